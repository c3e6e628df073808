"""The audit log: every act with who and why, each entry bound to the one before by SHA-256.

An entry is written in the transaction of its act, so that there is no act without its entry. Whoever alters or removes
an entry breaks every hash behind it; `first_broken` finds where. The last entries can only be missed by comparing with
what was noted elsewhere: `pnc-pki audit` prints number and hash of the last one for that.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime

import msgspec

from pki.service.store.tables import instant, stamp

_NOTHING = bytes(32)


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, and why: an operator with a reason, a program with what it was asked."""

    who: str
    why: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One act. `subject` names what it was done to, `detail` what else is worth knowing; `number` counts from 1."""

    number: int
    at: datetime
    act: str
    who: str
    why: str
    subject: str
    detail: str
    hash: str


def append_entry(
    connection: sqlite3.Connection, at: datetime, act: str, actor: Actor, subject: str, detail: str = ""
) -> None:
    """Write the next entry, inside the transaction of the act."""
    last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, before = (last[0] + 1, last[1]) if last else (1, _NOTHING)
    said = (number, stamp(at), act, actor.who, actor.why, subject, detail)
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*said, _bound(before, said)))


def read_entries(connection: sqlite3.Connection, after: int = 0, limit: int = -1) -> Iterator[Entry]:
    """The entries behind number `after`, oldest first, `limit` of them at most (negative: all)."""
    rows = connection.execute("SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
    for number, at, act, who, why, subject, detail, digest in rows:
        yield Entry(
            number=number, at=instant(at), act=act, who=who, why=why, subject=subject, detail=detail, hash=digest.hex()
        )


def last_entries(connection: sqlite3.Connection, limit: int) -> Iterator[Entry]:
    """The last entries, `limit` of them at most, oldest first."""
    row = connection.execute("SELECT number FROM audit ORDER BY number DESC LIMIT 1 OFFSET ?", (limit,)).fetchone()
    return read_entries(connection, int(row[0]) if row else 0)


def first_broken(connection: sqlite3.Connection) -> int | None:
    """The number of the first entry that was altered, or behind which one was removed; None when the log is whole."""
    before, expected = _NOTHING, 1
    for *said, digest in connection.execute("SELECT * FROM audit ORDER BY number"):
        if said[0] != expected or digest != _bound(before, tuple(said)):
            return expected
        before, expected = digest, expected + 1
    return None


def _bound(before: bytes, said: tuple[object, ...]) -> bytes:
    return hashlib.sha256(before + msgspec.json.encode(said)).digest()
