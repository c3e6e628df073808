"""The audit log: what people and programs did here, each entry bound to the one before.

Rules
1. An act is noted before it is done, or in the same commit; one that was refused afterwards gets an entry that says so.
2. Entries are numbered without a gap. `hash` is SHA-256 over the hash before and the entry's fields as a JSON array;
   the database refuses to change or delete one, and `verify` finds out if it was done past it. That the newest ones
   are missing shows only against a head that was noted elsewhere: the log's last number and hash.
3. No secret stands here, and nobody who charged: `before` and `after` name settings, states and numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.errors import HubError
from hub.store.engine import Connection, Value as Cell
from wire.records import Value

GENESIS = "0" * 64
_AT_ONCE = 1000
_LONGEST = 500
"""Characters of a field; an id that somebody made up is cut."""


class AuditBroken(HubError):
    """Raised when the log is not the one that was written; the message names the first entry that does not fit."""

    def __init__(self, message: str) -> None:
        super().__init__("audit-broken", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What is done: `who` by which `way` (`pages`, `api`, `command-line`) from which address, on what."""

    who: str
    way: str
    address: str
    act: str
    object: str = ""
    before: str = ""
    after: str = ""


class AuditEntry(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An entry as it stands in the log."""

    number: int
    at: datetime
    who: str
    way: str
    address: str
    act: str
    object: str
    before: str
    after: str
    hash: str


class AuditHead(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The last number of the log and its hash; 0 and zeros for an empty one."""

    number: int
    hash: str


def note(connection: Connection, deed: Deed, at: datetime) -> AuditEntry:
    """Append an entry. For the writer."""
    last = head(connection)
    texts = (deed.who, deed.way, deed.address, deed.act, deed.object, deed.before, deed.after)
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields: tuple[Cell, ...] = (last.number + 1, moment, *(_clean(one) for one in texts))
    row = (*fields, _bound(last.hash, fields))
    connection.execute(f"INSERT INTO audit_log ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return _entry(row)


def head(connection: Connection) -> AuditHead:
    """Where the log ends."""
    row = connection.execute("SELECT number, hash FROM audit_log ORDER BY number DESC LIMIT 1").fetchone()
    return AuditHead(number=0, hash=GENESIS) if row is None else AuditHead(number=row[0], hash=row[1])


def entries(connection: Connection, after: int, limit: int) -> tuple[AuditEntry, ...]:
    """Entries beyond a number, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit_log WHERE number > ? ORDER BY number LIMIT ?", (after, limit)
    ).fetchall()
    return tuple(_entry(row) for row in rows)


def fitting(connection: Connection, end: str, values: Sequence[Cell]) -> tuple[AuditEntry, ...]:
    """The entries that the `end` of a statement chooses and orders."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit_log {end}", values).fetchall()
    return tuple(_entry(row) for row in rows)


def verify(connection: Connection, noted: AuditHead | None = None) -> AuditHead:
    """Where the log ends, every entry of it having been checked; with a head that was `noted` earlier it must be in it.

    Raises:
        AuditBroken: an entry is missing, was changed, or is not the one that was noted.
    """
    number, hash_ = 0, GENESIS
    while True:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM audit_log WHERE number > ? ORDER BY number LIMIT ?", (number, _AT_ONCE)
        ).fetchall()
        for row in rows:
            if row[0] != number + 1:
                raise AuditBroken(f"entry {number + 1} is missing; the next one is {row[0]}")
            number, hash_ = number + 1, _bound(hash_, tuple(row[:-1]))
            if row[-1] != hash_:
                raise AuditBroken(f"entry {number} or the one before was changed: its hash does not fit")
            if noted is not None and noted.number == number and noted.hash != hash_:
                raise AuditBroken(f"entry {number} is another one than was noted")
        if not rows:
            break
    if noted is not None and noted.number > number:
        raise AuditBroken(f"the log ends with entry {number}; entry {noted.number} was noted once")
    return AuditHead(number=number, hash=hash_)


_COLUMNS = "number, at, who, way, address, act, object, before, after, hash"


def _bound(before: str, fields: tuple[Cell, ...]) -> str:
    text = json.dumps([before, *fields], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _clean(text: str) -> str:
    """What both engines can store: no lone surrogate, no NUL."""
    whole = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return whole.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(
        number=row[0],
        at=datetime.fromisoformat(row[1]),
        who=row[2],
        way=row[3],
        address=row[4],
        act=row[5],
        object=row[6],
        before=row[7],
        after=row[8],
        hash=row[9],
    )
