"""`pnc-pki audit`, `backup`, `restore`."""

from __future__ import annotations

import shlex
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from heapq import merge
from pathlib import Path

import click
import msgspec

from pki.errors import StateError
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
from pki.service.pool.pools import POOLS_FILE
from pki.service.pool.tables import POOLS
from pki.service.registry import REGISTRY_FILE
from pki.service.screen import SERIAL_WIDTH, listing, print_listing, screen
from pki.service.state_folder import open_registry
from pki.service.store.audit import Entry, append_entry, first_broken, last_entries, read_entries
from pki.service.store.authorities import mark_all_changed
from pki.service.store.database import open_database, transaction
from pki.service.store.enrolment import drop_unused_codes
from pki.service.store.tables import REGISTRY

EXIT_BROKEN = 1
_SHOWN = 50


class Log(StrEnum):
    """An audit log: each store has its own, in one transaction with the acts that it tells of."""

    REGISTRY = "registry"
    POOLS = "pools"


@dataclass(frozen=True, slots=True)
class _Noted:
    """An entry as it was noted elsewhere."""

    log: Log
    number: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What a log says: the entries to be shown, its last one, the first that is broken, and what was noted of it and is
    not in it."""

    log: Log
    entries: list[Entry]
    last: Entry | None
    broken: int | None
    missed: list[_Noted]


_secret = click.option(
    "--passphrase-file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="holds the passphrase of the backup (0600)",
)


@click.command()
@click.option("--after", type=click.IntRange(0), default=0, help="only entries behind this number")
@click.option("--all", "everything", is_flag=True, help=f"every entry, not the last {_SHOWN} of each log")
@click.option(
    "--log",
    "only",
    type=click.Choice([log.value for log in Log]),
    help="show one log alone; both are checked all the same",
)
@click.option(
    "--noted",
    metavar="[LOG:]NUMBER:HASH",
    multiple=True,
    help="an entry as it was noted elsewhere: is it still there as it was? repeatable",
)
@in_folder
@as_json_option
@ends_clearly
def audit(after: int, everything: bool, only: str | None, noted: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Show who did what and why, and check that nothing was altered or removed; exit code 1 when it was.

    There are two logs: of the registry (what was issued and revoked) and of the pools (contracts, cars, roots).

    Write down number and hash of the last entry of each elsewhere: with --noted that shows later that none was cut off,
    and that the log was not written anew.
    """
    wanted = [_noted(text) for text in noted]
    limit = None if everything or after else _SHOWN
    with open_registry(folder) as registry, registry.reading() as connection:
        accounts = {Log.REGISTRY: _read(connection, Log.REGISTRY, after, limit, wanted)}
    if (folder / POOLS_FILE).exists():  # It is made when the pools are first used.
        with closing(open_database(folder / POOLS_FILE, POOLS)) as connection:
            accounts[Log.POOLS] = _read(connection, Log.POOLS, after, limit, wanted)
    shown = [account for log, account in accounts.items() if only is None or log == only]
    (_show_json if as_json else _show_table)(shown)
    broken = [account for account in accounts.values() if account.broken is not None]
    for account in broken:
        what = f"entry {account.broken} is not what it was, or is missing"
        click.echo(f"pnc-pki: the audit log of the {account.log} was altered: {what}", err=True)
    missed = [entry for entry in wanted if entry.log not in accounts or entry in accounts[entry.log].missed]
    for entry in missed:
        what = f"is not the one of which entry {entry.number} was noted"
        click.echo(f"pnc-pki: the audit log of the {entry.log} {what}", err=True)
    if broken or missed:
        sys.exit(EXIT_BROKEN)


def _read(connection: sqlite3.Connection, log: Log, after: int, limit: int | None, noted: list[_Noted]) -> _Account:
    """What there is to say of a log. `limit` None: all behind `after`. Raises StateError "state-unusable"."""
    try:
        entries = read_entries(connection, after) if limit is None else last_entries(connection, limit)
        missed = []
        for wanted in noted:
            found = next(read_entries(connection, wanted.number - 1, 1), None)
            if wanted.log is log and (found is None or (found.number, found.hash) != (wanted.number, wanted.hash)):
                missed.append(wanted)
        return _Account(
            log=log,
            entries=list(entries),
            last=next(last_entries(connection, 1), None),
            broken=first_broken(connection),
            missed=missed,
        )
    except sqlite3.Error as error:
        raise StateError("state-unusable", f"the audit log of the {log} could not be read: {error}") from error


def _merged(accounts: list[_Account]) -> Iterator[tuple[Log, Entry]]:
    """The entries of several logs by time, those of each log in its own order."""
    listed = [[(account.log, entry) for entry in account.entries] for account in accounts]
    return merge(*listed, key=lambda pair: pair[1].at)


def _show_json(accounts: list[_Account]) -> None:
    for log, entry in _merged(accounts):
        echo_json({"log": log, **msgspec.structs.asdict(entry)})


def _show_table(accounts: list[_Account]) -> None:
    """The entries, and what to note of each log; that of the registry stands last."""
    table = listing("log", "number", "at (UTC)", "act", "on what", "why", **{"on what": SERIAL_WIDTH + 1})
    for log, entry in _merged(accounts):
        what = (f"{entry.act} by {entry.who}", f"{entry.subject} {entry.detail}".rstrip(), entry.why)
        add_row(table, log, str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", *what)
    print_listing(screen(), table)
    for account in reversed(accounts):
        if account.last is not None:
            noted = f"{account.last.number}:{account.last.hash}"
            pools = account.log is Log.POOLS
            click.echo(f"last pools entry {account.log}:{noted}" if pools else f"last entry {noted}")


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


def _noted(text: str) -> _Noted:
    log, rest = Log.REGISTRY, text
    for named in Log:
        if text.startswith(f"{named}:"):
            log, rest = named, text.removeprefix(f"{named}:")
    number, colon, digest = rest.partition(":")
    if not colon or not (number.isascii() and number.isdigit()) or not int(number[:18]) > 0:
        message = "--noted needs NUMBER:HASH or pools:NUMBER:HASH, as the last lines of `pnc-pki audit` show them"
        raise click.UsageError(message)
    return _Noted(log, int(number[:18]), digest.strip().lower())
