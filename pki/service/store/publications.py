"""What an authority has published: its last full and delta list, and the certificate of its OCSP responder."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.service.store.tables import instant, stamp


class ListKind(StrEnum):
    """A whole list, or what has changed since one."""

    FULL = "full"
    DELTA = "delta"


class PublishedList(msgspec.Struct, frozen=True, kw_only=True):
    """A CRL as it was published; `base` is the number of the full list that a delta list builds on,
    `revision` that of the authority when it was made."""

    authority: str
    kind: ListKind
    number: int
    base: int | None
    revision: int
    this_update: datetime
    next_update: datetime
    der: bytes


class Responder(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of an authority's OCSP responder, and the name of its key."""

    authority: str
    certificate: bytes
    key_name: str


def save_list(connection: sqlite3.Connection, made: PublishedList) -> None:
    """Put a list in the place of the last one of its kind; a full list ends the delta list of the one before."""
    if made.kind is ListKind.FULL:
        connection.execute("DELETE FROM list WHERE authority = ?", (made.authority,))
    connection.execute(
        "INSERT OR REPLACE INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            made.authority,
            made.kind.value,
            made.number,
            made.base,
            made.revision,
            stamp(made.this_update),
            stamp(made.next_update),
            made.der,
        ),
    )


def find_list(connection: sqlite3.Connection, authority: str, kind: ListKind) -> PublishedList | None:
    """The last list of that kind."""
    row = connection.execute("SELECT * FROM list WHERE authority = ? AND kind = ?", (authority, kind.value)).fetchone()
    if row is None:
        return None
    return PublishedList(
        authority=row[0],
        kind=ListKind(row[1]),
        number=row[2],
        base=row[3],
        revision=row[4],
        this_update=instant(row[5]),
        next_update=instant(row[6]),
        der=row[7],
    )


def list_number(connection: sqlite3.Connection, authority: str, kind: ListKind) -> int | None:
    """The number of the last list of that kind; None before the first."""
    row = connection.execute(
        "SELECT number FROM list WHERE authority = ? AND kind = ?", (authority, kind.value)
    ).fetchone()
    return None if row is None else int(row[0])


def last_number(connection: sqlite3.Connection, authority: str) -> int:
    """The highest number that a list of this authority had; both kinds count together (RFC 5280 5.2.3)."""
    row = connection.execute("SELECT max(number) FROM list WHERE authority = ?", (authority,)).fetchone()
    return int(row[0] or 0)


def save_responder(connection: sqlite3.Connection, responder: Responder) -> None:
    """Put a responder in the place of the last one."""
    connection.execute(
        "INSERT OR REPLACE INTO responder VALUES (?, ?, ?)",
        (responder.authority, responder.certificate, responder.key_name),
    )


def find_responder(connection: sqlite3.Connection, authority: str) -> Responder | None:
    """The authority's responder; None before the first was made."""
    row = connection.execute("SELECT * FROM responder WHERE authority = ?", (authority,)).fetchone()
    return None if row is None else Responder(authority=row[0], certificate=row[1], key_name=row[2])
