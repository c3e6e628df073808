"""`pnc-hub revocation`: what is fetched for gateways. Reads only, works while the hub runs."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from hub.clock import utc
from hub.config import HubConfig, load_config
from hub.options import config_option, json_option, or_exit
from hub.store.revocation import HeldEvidence, held_evidence
from pki.service.screen import listing, print_listing, screen
from wire.records import encode


@click.group()
def revocation() -> None:
    """See what of revocation and roots is held for gateways."""


@revocation.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Show every source: what is held, from when until when, and what the last try came to."""
    found = or_exit(lambda: _all(load_config(config_path)))
    if as_json:
        click.echo(encode({"revocation": found}))
        return
    console = screen()
    if not found:
        console.print("Nothing is fetched yet: [revocation] in the configuration says what is, and from where.")
        return
    table = listing("KIND", "URL", "FOR", "THIS UPDATE", "NEXT UPDATE", "OCTETS", "LAST ERROR")
    for one in found:
        trouble = "" if one.error_code is None else f"{one.error_code}: {one.error}"
        table.add_row(
            one.kind.value,
            Text(one.url),
            Text(one.asked_by or "configured"),
            _shown(one.this_update),
            _shown(one.next_update),
            str(one.octets),
            Text(trouble, style="bold red"),
        )
    print_listing(console, table)


def _shown(at: datetime | None) -> str:
    return "none" if at is None else utc(at)


def _all(config: HubConfig) -> tuple[HeldEvidence, ...]:
    with closing(config.engine().open_reader()) as connection:
        return held_evidence(connection)
