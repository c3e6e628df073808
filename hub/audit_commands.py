"""`pnc-hub audit`: what people and API clients did. Reads only, works while the hub runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import click
from rich.text import Text

from hub.clock import utc
from hub.config import load_config
from hub.options import config_option, fail, json_option, or_exit
from hub.store.audit import AuditBroken, AuditEntry, AuditHead, entries, head, verify as verify_log
from hub.store.engine import Connection
from pki.service.screen import listing, print_listing, screen
from wire.records import encode

T = TypeVar("T")
EXIT_BROKEN = 1
_NOTED = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


@click.group()
def audit() -> None:
    """See what people and API clients did."""


@audit.command("list")
@click.option("--last", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, the newest.")
@click.option("--after", type=click.IntRange(0, 2**62), help="Those beyond this number instead, the oldest first.")
@config_option
@json_option
def list_(last: int, after: int | None, config_path: Path, as_json: bool) -> None:
    """Show entries, the oldest first."""

    def reading(connection: Connection) -> tuple[AuditEntry, ...]:
        return entries(connection, max(0, head(connection).number - last) if after is None else after, last)

    found = _read(config_path, reading)
    if as_json:
        click.echo(encode({"entries": found}))
        return
    console = screen()
    if not found:
        console.print("Nothing has been done yet.")
        return
    table = listing("NUMBER", "WHEN", "WHO", "BY", "FROM", "ACT", "ON", "BEFORE", "AFTER")
    for one in found:
        texts = (one.who, one.way, one.address, one.act, one.object, one.before, one.after)
        table.add_row(str(one.number), utc(one.at), *(Text(text) for text in texts))
    print_listing(console, table)


@audit.command()
@click.option("--noted", metavar="NUMBER:HASH", help="A head that was noted earlier; it must still be in the log.")
@config_option
@json_option
def verify(noted: str | None, config_path: Path, as_json: bool) -> None:
    """Check every entry; exit code 1 when one is missing or was changed.

    Prints the head to be noted elsewhere: without one, entries that were cut off at the end are not missed.
    """
    match = None if noted is None else _NOTED.fullmatch(noted)
    if noted is not None and match is None:
        fail(f"--noted: expected NUMBER:HASH as this command prints it, found {noted[:100]!r}")
    known = None if match is None else AuditHead(number=int(match[1]), hash=match[2])
    found = _read(config_path, lambda connection: _checked(connection, known))
    if isinstance(found, AuditBroken):
        fail(f"the audit log is not whole: {found}", EXIT_BROKEN)
    if as_json:
        click.echo(encode(found))
    else:
        click.echo(f"{found.number} entries, each follows from the one before\n{found.number}:{found.hash}")


def _checked(connection: Connection, noted: AuditHead | None) -> AuditHead | AuditBroken:
    """Where the log ends, or what is wrong with it, which is an answer and no failure."""
    try:
        return verify_log(connection, noted)
    except AuditBroken as error:
        return error


def _read(config_path: Path, reading: Callable[[Connection], T]) -> T:
    """What `reading` finds."""

    def work() -> T:
        with closing(load_config(config_path).engine().open_reader()) as connection:
            return reading(connection)

    return or_exit(work)
