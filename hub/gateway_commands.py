"""`pnc-hub gateways`: the registry of gateways. Reads only, works while the hub runs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
from rich.text import Text

from hub.clock import now, utc
from hub.config import HubConfig, load_config
from hub.options import config_option, fail, json_option, or_exit
from hub.store.registry import RegisteredGateway, registry
from pki.service.screen import listing, print_listing, screen
from wire.records import encode


@click.group()
def gateways() -> None:
    """See how gateways are, and which need somebody."""


@gateways.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Show every gateway in a row."""
    found = or_exit(lambda: _all(load_config(config_path)))
    if as_json:
        click.echo(encode({"gateways": found}))
        return
    console = screen()
    table = listing("GATEWAY", "LAST SEEN", "BACKLOG", "SOFTWARE", "CERTIFICATE UNTIL", "CLOCK", "ALARMS")
    for one in found:
        alarms = Text(", ".join(alarm.value for alarm in one.alarms), style="bold red")
        ends = "not seen" if one.certificate_not_after is None else utc(one.certificate_not_after)
        clock = "not told" if one.clock is None else one.clock.value
        software = Text(one.software or "not told")
        table.add_row(Text(one.gateway_id), _seen(one), str(one.backlog), software, ends, clock, alarms)
    print_listing(console, table)


@gateways.command()
@click.argument("gateway_id", metavar="GATEWAY")
@config_option
@json_option
def show(gateway_id: str, config_path: Path, as_json: bool) -> None:
    """Show all of one gateway."""
    found = [one for one in or_exit(lambda: _all(load_config(config_path))) if one.gateway_id == gateway_id]
    if not found:
        fail(f"no gateway {gateway_id!r} here; `pnc-hub gateways list` names them")
    if as_json:
        click.echo(encode(found[0]))
        return
    one = found[0]
    lines = (
        ("last seen", _seen(one)),
        ("epoch", f"{one.epoch or 'none'}, of {one.epochs}"),
        ("acknowledged", f"{one.acked_seq} records, {one.backlog} to come"),
        ("software", one.software or "not told"),
        ("token list", "not told" if one.list_version is None else f"version {one.list_version}"),
        ("certificate", "not seen" if one.certificate_not_after is None else f"until {utc(one.certificate_not_after)}"),
        ("clock", "not told" if one.clock is None else one.clock.value),
        ("conflicts", str(one.conflicts)),
        ("quarantined", str(one.quarantined)),
        ("alarms", ", ".join(one.alarms) or "none"),
    )
    for word, text in lines:
        click.echo(f"{word:14}{text}")


def _seen(one: RegisteredGateway) -> str:
    return "never" if one.last_seen is None else utc(one.last_seen)


def _all(config: HubConfig) -> tuple[RegisteredGateway, ...]:
    with closing(config.engine().open_reader()) as connection:
        return registry(connection, config.gateways, now())
