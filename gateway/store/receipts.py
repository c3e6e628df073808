"""What the hub has countersigned: receipts that this log is held elsewhere, as it was.

Rules
1. A receipt is a signed head with the hub's countersignature under it, kept only after that was verified.
2. The newest receipt proves every record before it. Of the older ones the last of each hour stays, to tell since when
   a record has been held there.
3. The hub's key is pinned when it is first seen, or is what the configuration says. What another key has signed is
   never a receipt.
4. A trouble is audited when it begins, and again at the earliest an hour later: an audit entry is a record, which is
   sent and answered too.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import msgspec

from gateway.errors import StoreError
from wire.errors import MalformedValue
from wire.records import Value, decode, encode
from wire.tree_head import Countersignature, SignedTreeHead

TABLES = """
    CREATE TABLE receipts (
        size INTEGER PRIMARY KEY, at TEXT NOT NULL, head TEXT NOT NULL, countersignature TEXT NOT NULL);
    CREATE TABLE hub_log_key (one INTEGER PRIMARY KEY CHECK (one = 1), public_key TEXT NOT NULL, since TEXT NOT NULL);
    CREATE TABLE log_troubles (
        kind TEXT PRIMARY KEY, message TEXT NOT NULL, audited_at TEXT NOT NULL, over INTEGER NOT NULL) WITHOUT ROWID;
"""
_HOUR = len("2026-11-23T12")
_AUDITED_AGAIN_AFTER = timedelta(hours=1)


class LogTrouble(StrEnum):
    """What is wrong between this log and the hub; the values are the audit events."""

    OTHER_KEY = "hub-log-key-changed"
    BAD_SIGNATURE = "countersignature-invalid"
    MISSING = "countersignature-missing"
    REFUSED = "tree-head-refused"
    DAMAGED = "tree-damaged"


class Trouble(Value, frozen=True, kw_only=True):
    """A trouble, and since when at the latest."""

    kind: LogTrouble
    message: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class Receipt(Value, frozen=True, kw_only=True):
    """A signed head of this log, and the hub's signature under it."""

    signed: SignedTreeHead
    countersignature: Countersignature


def keep_receipt(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Keep a verified receipt; the one before goes when it is of the same hour. It ends all trouble. To be called
    inside a transaction."""
    size = receipt.signed.head.size
    # The later of both clocks: content must not be let go early because one of them is wrong.
    at = _text(max(receipt.signed.head.at, receipt.countersignature.at))
    row = connection.execute(
        "SELECT size, at FROM receipts WHERE size < ? ORDER BY size DESC LIMIT 1", (size,)
    ).fetchone()
    if row is not None and row[1][:_HOUR] == at[:_HOUR]:
        connection.execute("DELETE FROM receipts WHERE size = ?", (row[0],))
    connection.execute(
        "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?)",
        (size, at, encode(receipt.signed).decode(), encode(receipt.countersignature).decode()),
    )
    connection.execute("UPDATE log_troubles SET over = 1 WHERE NOT over")


def newest_receipt(connection: sqlite3.Connection) -> Receipt | None:
    """The receipt of the longest log; None before the first. Raises StoreError when it cannot be read."""
    row = connection.execute(f"{_SELECT} ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else _receipt(row)


def all_receipts(connection: sqlite3.Connection) -> list[Receipt]:
    """Every receipt, shortest log first. Raises StoreError when one cannot be read."""
    return [_receipt(row) for row in connection.execute(f"{_SELECT} ORDER BY size").fetchall()]


def countersigned_seq(connection: sqlite3.Connection) -> int:
    """Up to which record the hub's countersignature reaches; 0 before the first."""
    return int(connection.execute("SELECT coalesce(max(size), 0) FROM receipts").fetchone()[0])


def countersigned_before(connection: sqlite3.Connection, at: datetime) -> int:
    """Up to which record the hub had countersigned before an instant."""
    (size,) = connection.execute("SELECT coalesce(max(size), 0) FROM receipts WHERE at < ?", (_text(at),)).fetchone()
    return int(size)


def last_countersigned_at(connection: sqlite3.Connection) -> datetime | None:
    """When the hub countersigned last, by the later of both clocks; None: never."""
    row = connection.execute("SELECT at FROM receipts ORDER BY size DESC LIMIT 1").fetchone()
    return None if row is None else datetime.fromisoformat(row[0])


def held_at_hub(connection: sqlite3.Connection, before: datetime | None) -> int:
    """Up to which record the hub had countersigned before an instant, or at all, and holds by its last word."""
    reached = countersigned_seq(connection) if before is None else countersigned_before(connection, before)
    (acked,) = connection.execute("SELECT acked_seq FROM position").fetchone()
    return min(reached, int(acked))


_SELECT = "SELECT size, head, countersignature FROM receipts"


def _receipt(row: tuple[int, str, str]) -> Receipt:
    try:
        signed = decode(SignedTreeHead, row[1], "receipt")
        countersignature = decode(Countersignature, row[2], "receipt")
    except MalformedValue as error:
        raise StoreError(f"the ledger is damaged: the receipt of {row[0]} records: {error}") from error
    return Receipt(signed=signed, countersignature=countersignature)


def pinned_hub_key(connection: sqlite3.Connection) -> str | None:
    """The hub's key (hex) that was seen first, or that the configuration gave; None before either."""
    row = connection.execute("SELECT public_key FROM hub_log_key").fetchone()
    return None if row is None else str(row[0])


def pin_hub_key(connection: sqlite3.Connection, public_key: str, at: datetime) -> None:
    """Take `public_key` (hex) as the hub's from now on. To be called inside a transaction."""
    connection.execute("INSERT OR REPLACE INTO hub_log_key VALUES (1, ?, ?)", (public_key, _text(at)))


def note_trouble(connection: sqlite3.Connection, trouble: Trouble) -> bool:
    """Keep a trouble for whoever asks for the status; says whether it is to be audited. To be called inside a
    transaction."""
    row = connection.execute("SELECT audited_at FROM log_troubles WHERE kind = ?", (trouble.kind.value,)).fetchone()
    if row is not None and trouble.at - datetime.fromisoformat(row[0]) < _AUDITED_AGAIN_AFTER:
        connection.execute("UPDATE log_troubles SET over = 0 WHERE kind = ?", (trouble.kind.value,))
        return False
    values = (trouble.kind.value, trouble.message, _text(trouble.at))
    connection.execute("INSERT OR REPLACE INTO log_troubles VALUES (?, ?, ?, 0)", values)
    return True


def troubles(connection: sqlite3.Connection) -> tuple[Trouble, ...]:
    """What is wrong now, the newest first; nothing while all is well."""
    rows = connection.execute(
        "SELECT kind, message, audited_at FROM log_troubles WHERE NOT over ORDER BY audited_at DESC"
    ).fetchall()
    return tuple(Trouble(kind=LogTrouble(row[0]), message=row[1], at=datetime.fromisoformat(row[2])) for row in rows)


def _text(at: datetime) -> str:
    """An instant as text that sorts as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
