"""`pnc-gateway chargers` and `pnc-gateway charger`: the stations, as the running gateway knows them."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from gateway.control.running import ask, control, running, this_instant
from gateway.control.screen import chargers_table, show_charger
from gateway.control.seen import ChargerView
from pki.service.screen import screen


class _Chargers(msgspec.Struct):
    chargers: tuple[ChargerView, ...]


@click.command()
@running
def chargers(config: Path, as_json: bool) -> None:
    """Show every station.

    What it is, since when it is connected, its sessions and connectors, as the running gateway knows them.
    """
    answer = ask(lambda: control(config).get("chargers"))
    if as_json:
        click.echo(answer)
        return
    found = msgspec.json.decode(answer, type=_Chargers).chargers
    if not found:
        click.echo("no stations are configured; `pnc-gateway password --charger ID --config ...` adds one")
        return
    console = screen()
    console.print(chargers_table(found, this_instant(), console.width), crop=False)


@click.command()
@click.argument("charger_id")
@running
def charger(charger_id: str, config: Path, as_json: bool) -> None:
    """Show one station, with all it told."""
    answer = ask(lambda: control(config).get("chargers", charger_id))
    if as_json:
        click.echo(answer)
        return
    show_charger(screen(), msgspec.json.decode(answer, type=ChargerView), this_instant())
