"""`pnc-pki audit`, `backup`, `restore`."""

from __future__ import annotations

import shlex
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from pki.service.acts.keeping import backup, restore
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
)
from pki.service.key_store import read_passphrase
from pki.service.registry import REGISTRY_FILE
from pki.service.screen import SERIAL_WIDTH, listing, print_listing, screen
from pki.service.state_folder import open_registry
from pki.service.store.audit import append_entry, first_broken, last_entries, read_entries
from pki.service.store.authorities import mark_all_changed
from pki.service.store.database import open_database, transaction
from pki.service.store.enrolment import drop_unused_codes
from pki.service.store.tables import REGISTRY

EXIT_BROKEN = 1
_SHOWN = 50

_secret = click.option(
    "--passphrase-file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="holds the passphrase of the backup (0600)",
)


@click.command()
@click.option("--after", type=click.IntRange(0), default=0, help="only entries behind this number")
@click.option("--all", "everything", is_flag=True, help=f"every entry, not the last {_SHOWN}")
@click.option("--noted", metavar="NUMBER:HASH", help="an entry as it was noted elsewhere: is it still there as it was?")
@in_folder
@as_json_option
@ends_clearly
def audit(after: int, everything: bool, noted: str | None, folder: Path, as_json: bool) -> None:
    """Show who did what and why, and check that nothing was altered or removed; exit code 1 when it was.

    Write down number and hash of the last entry elsewhere: with --noted that shows later that none was cut off, and
    that the log was not written anew.
    """
    number, digest = _noted(noted) if noted is not None else (0, "")
    with open_registry(folder) as registry, registry.reading() as connection:
        broken = first_broken(connection)
        entries = list(last_entries(connection, _SHOWN)) if not everything and not after else None
        if entries is None:
            entries = list(read_entries(connection, after))
        found = next(read_entries(connection, number - 1, 1), None) if noted is not None else None
    if as_json:
        for entry in entries:
            echo_json(entry)
    else:
        table = listing("number", "at (UTC)", "act", "on what", "why", **{"on what": SERIAL_WIDTH + 1})
        for entry in entries:
            what = (f"{entry.act} by {entry.who}", f"{entry.subject} {entry.detail}".rstrip(), entry.why)
            add_row(table, str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", *what)
        print_listing(screen(), table)
        if entries:
            click.echo(f"last entry {entries[-1].number}:{entries[-1].hash}")
    if broken is not None:
        click.echo(f"pnc-pki: the audit log was altered: entry {broken} is not what it was, or is missing", err=True)
    missed = noted is not None and (found is None or (found.number, found.hash) != (number, digest))
    if missed:
        click.echo(f"pnc-pki: the audit log is not the one of which entry {number} was noted", err=True)
    if broken is not None or missed:
        sys.exit(EXIT_BROKEN)


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@_secret
@click.option("--why", default="on request", show_default=True, help="the reason, for the audit log")
@by_person
@in_folder
@as_json_option
@ends_clearly
def backup_command(target: Path, passphrase_file: Path, why: str, who: str | None, folder: Path, as_json: bool) -> None:
    """Write the whole state folder, encrypted, to the new file TARGET; the service may be running.

    What lies elsewhere is not in it: the file with the passphrase of the keys, and the keys of offline roots.
    """
    passphrase, by = read_passphrase(passphrase_file), actor(who, why)
    check_new(target)
    with open_registry(folder) as registry, registry.writing() as connection:
        append_entry(connection, registry.now(), "backed-up", by, target.name)
    size = backup(folder, target, passphrase)
    if as_json:
        echo_json({"out": str(target), "octets": size})
        return
    new = f"{folder.resolve()}-again"
    words = ("restore", target, "--passphrase-file", passphrase_file, "--dir", new)
    click.echo(f"{target}: {size} bytes, encrypted. It is restored to a folder that does not exist yet:")
    click.echo(shlex.join(["pnc-pki", *map(str, words)]))


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@_secret
@in_folder
@by_person
@as_json_option
@ends_clearly
def restore_command(source: Path, passphrase_file: Path, folder: Path, who: str | None, as_json: bool) -> None:
    """Make a state folder anew from the backup SOURCE, in a folder that does not exist yet."""
    by = actor(who, "restored from a backup")

    def note(made: Path) -> None:
        with closing(open_database(made / REGISTRY_FILE, REGISTRY)) as connection, transaction(connection):
            append_entry(connection, datetime.now(UTC).replace(microsecond=0), "restored", by, source.name)
            # The world may have seen newer lists than those in the backup: all are due.
            mark_all_changed(connection)
            # A code that was used after the backup would count once more.
            drop_unused_codes(connection)

    restore(source, folder, read_passphrase(passphrase_file), note)
    if as_json:
        echo_json({"folder": str(folder)})
        return
    click.echo(f"restored to {folder}. Enrolment codes that were not used count no more: make new ones.")
    click.echo("What was issued or revoked after the backup is not in it: revoke it again,")
    click.echo(f"then make new lists before the service runs: pnc-pki crl --publish --dir {shlex.quote(str(folder))}")


def _noted(text: str) -> tuple[int, str]:
    number, colon, digest = text.partition(":")
    if not colon or not (number.isascii() and number.isdigit()) or not int(number[:18]) > 0:
        raise click.UsageError("--noted needs NUMBER:HASH, as the last line of `pnc-pki audit` shows it")
    return int(number[:18]), digest.strip().lower()
