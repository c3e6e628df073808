"""Publishing: the lists of every authority, made anew when half of their life is over or something was revoked.

Rules of this file
1. Numbers of lists are seconds of time and never go back, so that a registry restored from a backup cannot publish an
   older list than the world has seen (RFC 5280 5.2.3).
2. A retired authority goes on publishing until its certificate ends; then nothing that it issued counts any more. One
   whose key lies offline is passed over, and named.
3. What was revoked is published at once: in a complete list and a delta of the same number, or, when the complete list
   is long, in a delta alone until the complete one is due.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from pki.errors import KeyStoreError
from pki.issue.authority import Authority
from pki.issue.lists import ListOrder, Revocation
from pki.service.registry import Actor, HeldAuthority, Registry
from pki.service.store.audit import append_entry
from pki.service.store.authorities import revision_of
from pki.service.store.certificates import count_certificates, released_since, revoked_rows
from pki.service.store.publications import ListKind, PublishedList, find_list, last_number, save_list

_LONG = 10_000
"""Entries from which on a complete list is not made at once for every revocation: 0.4 MB."""


@dataclass(frozen=True, slots=True)
class Published:
    """The authorities whose lists were made, and those whose keys were not there."""

    made: tuple[str, ...]
    without_key: tuple[str, ...]


def publish(registry: Registry, actor: Actor, names: Iterable[str] | None = None) -> Published:
    """New complete lists of the authorities of those names; None: of all.

    Raises:
        StateError: "authority-unknown", or nothing can be written.
        IssueError, KeyStoreError: a list cannot be signed, or the passphrase is wrong.
    """
    wanted = _alive(registry) if names is None else [registry.authority(name).name for name in names]
    return _publish(registry, actor, dict.fromkeys(wanted, ListKind.FULL))


def refresh(registry: Registry, actor: Actor) -> Published:
    """The lists that are due: complete ones after half of their life, and what follows from revocations since the last.
    Raises as `publish`."""
    with registry.reading() as connection:
        due = {name: _due(registry, connection, name) for name in _alive(registry)}
    return _publish(registry, actor, {name: kind for name, kind in due.items() if kind is not None})


def _publish(registry: Registry, actor: Actor, wanted: dict[str, ListKind]) -> Published:
    made: list[str] = []
    without: list[str] = []
    for name, kind in wanted.items():
        held = registry.authority(name)
        try:
            signer = registry.signer(held)
        except KeyStoreError as error:
            if error.code != "key-missing":
                raise
            without.append(name)
            continue
        with registry.writing() as connection:
            number = _make(registry, connection, held, signer, kind)
            append_entry(connection, registry.now(), "list-published", actor, name, f"{kind.value} {number}")
        made.append(name)
    return Published(tuple(made), tuple(without))


def _due(registry: Registry, connection: sqlite3.Connection, name: str) -> ListKind | None:
    now, complete = registry.now(), find_list(connection, name, ListKind.FULL)
    if complete is None or _half_over(complete, now):
        return ListKind.FULL
    delta = find_list(connection, name, ListKind.DELTA)
    newest = delta or complete
    if newest.revision != revision_of(connection, name):
        short = registry.authority(name).is_root or count_certificates(connection, name)[1] <= _LONG
        return ListKind.FULL if short else ListKind.DELTA
    return ListKind.DELTA if delta is not None and _half_over(delta, now) else None


def _alive(registry: Registry) -> list[str]:
    """The authorities whose certificates have not ended."""
    now = registry.now()
    return [name for name, held in registry.authorities().items() if now < held.certificate.not_after]


def _half_over(made: PublishedList, now: datetime) -> bool:
    """Whether it is time for another list: half of its life is over, or it was made by a clock that was ahead."""
    return now < made.this_update or now - made.this_update >= (made.next_update - made.this_update) / 2


def _make(
    registry: Registry, connection: sqlite3.Connection, held: HeldAuthority, signer: Authority, kind: ListKind
) -> int:
    """Sign and keep a list: a complete one with its delta upon the one before, or a delta alone; their number."""
    now, lists = registry.now(), registry.settings.lists
    before = find_list(connection, held.name, ListKind.FULL)
    if before is not None and before.this_update > now:
        # Made by a clock that was ahead: nobody can tell what has changed since.
        before = None
    number = max(last_number(connection, held.name) + 1, int(now.timestamp()))
    life = timedelta(days=lists.root_crl_days if held.is_root else lists.crl_days)
    revision = revision_of(connection, held.name)

    def keep(kind: ListKind, entries: Iterable[Revocation], next_update: datetime, base: int | None) -> None:
        # A root has no deltas: its key may lie offline, and a delta lives for hours.
        without = base is not None or held.is_root or held.row.publication.crl is None
        freshest = None if without else _delta_uri(held)
        order = ListOrder(number=number, this_update=now, next_update=next_update, base=base, freshest=freshest)
        made = PublishedList(
            authority=held.name,
            kind=kind,
            number=number,
            base=base,
            revision=revision,
            this_update=now,
            next_update=next_update,
            der=signer.revocation_list(order, entries),
        )
        save_list(connection, made)

    # A list does not promise anything beyond the life of who signed it.
    end = held.certificate.not_after
    if kind is ListKind.FULL:
        since = before.this_update if before else now
        keep(ListKind.FULL, revoked_rows(connection, held.name, since), min(now + life, end), None)
    if held.is_root:
        return number
    # A complete list says where its delta is, so there always is one: upon the list before, or the first upon itself.
    since, base = (before.this_update, before.number) if before else (now, number)
    changed = chain(revoked_rows(connection, held.name, since, since), released_since(connection, held.name, since))
    keep(ListKind.DELTA, changed, min(now + timedelta(hours=lists.delta_hours), end), base)
    return number


def _delta_uri(held: HeldAuthority) -> str:
    return (held.row.publication.crl or "").removesuffix(".crl") + "-delta.crl"
