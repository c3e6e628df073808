"""Letting go of what records say, once it is kept elsewhere and its time is over: header, commitment and hash stay, and
with them every link of the chain and every proof.

Rules
1. Content goes when the hub had countersigned it long enough ago and still holds it, by its last word: neither what is
   not countersigned, nor what a hub that was restored from a backup asks for again.
2. Nothing of a session that is not over goes: its records are held back until it is.
3. Records of the first form (`wire.chain`) keep their content, because their hash covers it.
4. Only what still fits its hash is let go: the content of an altered record is all that could show how.
5. It is done in small steps: each is one short transaction among those of the stations.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import NamedTuple

import msgspec

from gateway.store.receipts import countersigned_before
from wire.chain import GENESIS_HASH, RecordKind, Stamp, commitment_of, hash_start, instant_text, link_hash
from wire.records import Value, decode

TABLES = """
    CREATE TABLE released (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, records INTEGER NOT NULL);
    INSERT INTO released VALUES (1, 0, 0);
    CREATE TABLE held_back (seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL);
"""
STEP = 100
"""Records in one step; some 3 ms."""


class Released(Value, frozen=True, kw_only=True):
    """How far the content of records was let go: all was looked at up to `seq`, `records` are without content,
    `held_back` wait for the end of their session."""

    seq: int
    records: int
    held_back: int


class _OfSession(msgspec.Struct):
    session_id: str | None = None


def released(connection: sqlite3.Connection) -> Released:
    """How far it is."""
    seq, records = connection.execute("SELECT seq, records FROM released").fetchone()
    (held_back,) = connection.execute("SELECT count(*) FROM held_back").fetchone()
    return Released(seq=seq, records=records, held_back=held_back)


def release_step(connection: sqlite3.Connection, before: datetime, limit: int = STEP) -> int:
    """Let go of the content of the next records that the hub had countersigned before an instant: at most `limit` are
    looked at, 0 when there are none. To be called inside a transaction."""
    seq, acked = connection.execute("SELECT released.seq, acked_seq FROM released, position").fetchone()
    last: int = min(seq + limit, acked, countersigned_before(connection, before))
    rows = connection.execute(f"{_SELECT} WHERE mine.seq > ? AND mine.seq <= ?", (seq, last)).fetchall()
    gone = 0
    for record in map(_Kept._make, rows):
        commitment = _commitment(connection, record)
        if commitment is None:
            continue
        session_id = _open_session(connection, record)
        if session_id is None:
            _let_go(connection, record.seq, commitment)
            gone += 1
        else:
            connection.execute("INSERT INTO held_back VALUES (?, ?)", (record.seq, session_id))
    if last > seq:
        connection.execute("UPDATE released SET seq = ?, records = records + ?", (last, gone))
    return max(last - int(seq), 0)


def release_held_back(connection: sqlite3.Connection, limit: int = STEP) -> int:
    """Let go of the content of records that waited for the end of their session, at most `limit`; says how many there
    were. To be called inside a transaction."""
    rows = connection.execute(
        f"{_SELECT} JOIN held_back ON held_back.seq = mine.seq JOIN sessions USING (session_id)"
        " WHERE ended_at IS NOT NULL LIMIT ?",
        (limit,),
    ).fetchall()
    gone = 0
    for record in map(_Kept._make, rows):
        connection.execute("DELETE FROM held_back WHERE seq = ?", (record.seq,))
        commitment = _commitment(connection, record)
        if commitment is not None:
            _let_go(connection, record.seq, commitment)
            gone += 1
    connection.execute("UPDATE released SET records = records + ?", (gone,))
    return len(rows)


class _Kept(NamedTuple):
    seq: int
    kind: str
    at: str
    boot_id: str
    mono_ns: int
    clock: str
    body: str
    hash: str
    salt: str
    previous: str


_SELECT = (
    "SELECT mine.seq, mine.kind, mine.at, mine.boot_id, mine.mono_ns, mine.clock, mine.body, mine.hash, mine.salt,"
    f" coalesce(before.hash, '{GENESIS_HASH}') FROM records mine LEFT JOIN records before ON before.seq = mine.seq - 1"
)


def _commitment(connection: sqlite3.Connection, record: _Kept) -> bytes | None:
    """What stands for the content once it is gone; None for what has to stay: a record of the first form, and one that
    was altered, whose content is all that could show how."""
    if not record.salt:
        return None
    gateway_id, epoch = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    try:
        commitment = commitment_of(record.salt, record.body)
        at = instant_text(datetime.fromisoformat(record.at))
        stamp = Stamp(record.kind, at, record.boot_id, record.mono_ns, record.clock)
        previous = bytes.fromhex(record.previous)
    except (ValueError, TypeError, AttributeError):
        return None
    hash_ = link_hash(hash_start(gateway_id, epoch), previous, record.seq, stamp, commitment)
    return commitment if hash_.hex() == record.hash else None


def _open_session(connection: sqlite3.Connection, record: _Kept) -> str | None:
    """The session of a record, if it is one that is not over."""
    if record.kind != RecordKind.TRANSACTION.value:
        return None
    session_id = decode(_OfSession, record.body, "stored record").session_id
    row = connection.execute("SELECT ended_at FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
    return None if row is None or row[0] is not None else session_id


def _let_go(connection: sqlite3.Connection, seq: int, commitment: bytes) -> None:
    row = (commitment.hex(), seq)
    connection.execute("UPDATE records SET body = '', salt = '', commitment = ? WHERE seq = ?", row)
