"""`pnc-pki status` and `crl`: the authorities, what they have published, and making it anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from pki.errors import StateError
from pki.issue.lab import PUBLIC, LabFile
from pki.service.acts.publishing import publish
from pki.service.commands.context import (
    actor,
    add_row,
    as_json_option,
    by_person,
    check_new,
    echo_json,
    ends_clearly,
    in_folder,
    offline_keys,
    offline_options,
    tell_without_key,
)
from pki.service.commands.waiting import waiting_objects, waiting_sentence
from pki.service.files import write_file
from pki.service.registry import HeldAuthority, Registry
from pki.service.screen import listing, print_listing, print_short_profiles, screen, short_profile
from pki.service.state_folder import open_registry
from pki.service.store.certificates import count_certificates
from pki.service.store.publications import ListKind, PublishedList, find_list

_HERE = "here"
_AWAY = "key away"


class AuthorityObject(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `status --json`."""

    name: str
    issuer: str | None
    issues: tuple[str, ...]
    state: str
    key: str
    not_after: datetime
    certificates: int
    revoked: int
    list_number: int | None
    list_until: datetime | None


@click.command()
@in_folder
@as_json_option
@ends_clearly
def status(folder: Path, as_json: bool) -> None:
    """Show the authorities: who stands below whom, what each signs and has issued, until when its list counts."""
    with open_registry(folder) as registry:
        now, keys = registry.now(), set(registry.keys.names())
        entries = [_authority(registry, held, keys) for held in registry.authorities().values()]
        waiting = waiting_objects(registry)
    if as_json:
        echo_json({"authorities": entries, "waiting_for_approval": waiting})
        return
    console = screen()
    print_listing(console, _tree(entries, now))
    print_short_profiles(console, (name for entry in entries for name in entry.issues))
    for act in waiting:
        console.print(Text(waiting_sentence(act)))


@click.command()
@click.argument("authority", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write the authority's list there (DER)")
@click.option("--delta", is_flag=True, help="the delta list")
@click.option("--publish", "publishing", is_flag=True, help="make a new list now; without AUTHORITY: of all")
@click.option("--why", default="on request", show_default=True, help="the reason, for the audit log")
@offline_options
@by_person
@in_folder
@as_json_option
@ends_clearly
def crl(
    authority: str | None,
    out: Path | None,
    delta: bool,
    publishing: bool,
    why: str,
    offline: Path | None,
    offline_passphrase_file: Path | None,
    who: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Show the lists of revoked certificates, write one to a file, or make new ones.

    The list of a root whose key lies offline is made with --offline; `pnc-pki serve` makes the others by itself.
    """
    if out is not None and authority is None:
        raise click.UsageError("--out needs the name of an AUTHORITY")
    check_new(out)
    with open_registry(folder, offline_keys(offline, offline_passphrase_file)) as registry:
        if publishing:
            names = None if authority is None else [authority]
            done = publish(registry, actor(who, why), names)
            tell_without_key(done.without_key, "list", authority)
        names = list(registry.authorities()) if authority is None else [registry.authority(authority).name]
        kind = ListKind.DELTA if delta else ListKind.FULL
        with registry.reading() as connection:
            found = [made for made in (find_list(connection, name, kind) for name in names) if made is not None]
    if out is not None:
        if not found:
            raise StateError("list-missing", f"{authority} has no {kind.value} list yet; --publish makes one")
        write_file(out, LabFile(found[0].der, PUBLIC))
        if not as_json:
            made = found[0]
            upon = "" if made.base is None else f" upon base {made.base}"
            told = f"{out}: {made.kind.value} list {made.number}{upon} of {made.authority}"
            click.echo(f"{told}, counts until {made.next_update:%Y-%m-%d %H:%M} UTC")
            return
    if as_json:
        echo_json([_list_object(made) for made in found])
        return
    table = listing("authority", "kind", "number", "bytes", "made (UTC)", "counts until (UTC)")
    for made in found:
        times = (f"{made.this_update:%Y-%m-%d %H:%M}", f"{made.next_update:%Y-%m-%d %H:%M}")
        add_row(table, made.authority, made.kind.value, str(made.number), str(len(made.der)), *times)
    print_listing(screen(), table)


def _tree(entries: list[AuthorityObject], now: datetime) -> Table:
    """Every authority, below and right of the one that certifies it; what is over in red."""
    rows = [("  " * level + entry.name, entry) for level, entry in _by_level(entries)]
    longest = max((len(name) for name, _ in rows), default=0)
    headings = ("authority", "signs", "state", "valid\nuntil", "issued\n(revoked)", "list\nuntil")
    table = listing(*headings, authority=longest, state=len(_AWAY))
    for name, entry in rows:
        late = entry.list_until is None or entry.list_until <= now
        until = "none" if entry.list_until is None else f"{entry.list_until:%Y-%m-%d}"
        table.add_row(
            name,
            "\n".join(map(short_profile, entry.issues)),
            entry.state if entry.key == _HERE else f"{entry.state}, {_AWAY}",
            Text(f"{entry.not_after:%Y-%m-%d}", style="red" if entry.not_after <= now else ""),
            f"{entry.certificates} ({entry.revoked})",
            Text(until, style="red" if late else ""),
        )
    return table


def _by_level(entries: list[AuthorityObject]) -> Iterator[tuple[int, AuthorityObject]]:
    """Each authority with how many stand above it, behind the one that certifies it."""
    waiting = [(0, entry) for entry in reversed(entries) if entry.issuer is None]
    while waiting:
        level, entry = waiting.pop()
        yield level, entry
        waiting += [(level + 1, below) for below in reversed(entries) if below.issuer == entry.name]


def _list_object(made: PublishedList) -> dict[str, object]:
    return {
        "authority": made.authority,
        "kind": made.kind.value,
        "number": made.number,
        "base": made.base,
        "octets": len(made.der),
        "this_update": made.this_update,
        "next_update": made.next_update,
    }


def _authority(registry: Registry, held: HeldAuthority, keys: set[str]) -> AuthorityObject:
    with registry.reading() as connection:
        certificates, revoked = count_certificates(connection, held.name)
        made = find_list(connection, held.name, ListKind.FULL)
    return AuthorityObject(
        name=held.name,
        issuer=held.row.issuer,
        issues=held.row.issues,
        state=held.row.state.value,
        key=_HERE if held.row.key_name in keys else "offline",
        not_after=held.certificate.not_after,
        certificates=certificates,
        revoked=revoked,
        list_number=made.number if made else None,
        list_until=made.next_update if made else None,
    )
