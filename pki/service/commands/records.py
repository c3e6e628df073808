"""`pnc-pki audit`, `backup`, `restore`."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from pki.service.acts.keeping import backup, restore
from pki.service.commands.context import actor, as_json_option, by_person, echo_json, ends_clearly, in_folder
from pki.service.key_store import read_passphrase
from pki.service.registry import REGISTRY_FILE
from pki.service.screen import screen
from pki.service.settings import load_settings
from pki.service.state_folder import open_registry
from pki.service.store.audit import append_entry, first_broken, read_entries
from pki.service.store.database import open_database, transaction
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
@in_folder
@as_json_option
@ends_clearly
def audit(after: int, everything: bool, folder: Path, as_json: bool) -> None:
    """Show who did what and why, and check that nothing was altered or removed; exit code 1 when it was.

    Write down number and hash of the last entry elsewhere: that shows later that none was cut off.
    """
    with open_registry(folder) as registry, registry.reading() as connection:
        broken = first_broken(connection)
        entries = list(read_entries(connection, after))
    if not everything and not after:
        entries = entries[-_SHOWN:]
    if as_json:
        for entry in entries:
            echo_json(entry)
    else:
        table = Table("number", "at (UTC)", "act", "who", "subject", "detail", "why")
        for entry in entries:
            what = (entry.act, entry.who, entry.subject, entry.detail, entry.why)
            table.add_row(str(entry.number), f"{entry.at:%Y-%m-%d %H:%M:%S}", *what)
        screen().print(table)
        if entries:
            click.echo(f"last entry {entries[-1].number}, hash {entries[-1].hash}")
    if broken is not None:
        click.echo(f"pnc-pki: the audit log was altered: entry {broken} is not what it was, or is missing", err=True)
        sys.exit(EXIT_BROKEN)


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@_secret
@in_folder
@ends_clearly
def backup_command(target: Path, passphrase_file: Path, folder: Path) -> None:
    """Write the whole state folder, encrypted, to the new file TARGET; the service may be running."""
    load_settings(folder)
    size = backup(folder, target, read_passphrase(passphrase_file))
    click.echo(f"{target}: {size} bytes, encrypted; restore it with pnc-pki restore {target} --dir NEW_FOLDER")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@_secret
@in_folder
@by_person
@ends_clearly
def restore_command(source: Path, passphrase_file: Path, folder: Path, who: str | None) -> None:
    """Make a state folder anew from the backup SOURCE, in a folder that does not exist yet."""
    restore(source, folder, read_passphrase(passphrase_file))
    with closing(open_database(folder / REGISTRY_FILE, REGISTRY)) as connection, transaction(connection):
        append_entry(connection, datetime.now(UTC), "restored", actor(who, "restored from a backup"), source.name)
    click.echo(f"restored to {folder}. What was revoked or issued after the backup is not in it: see pnc-pki audit")
