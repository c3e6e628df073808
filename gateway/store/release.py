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

import msgspec

from gateway.store.receipts import countersigned_before
from gateway.store.rows import KeptRow, RowHash, as_hash, rows_between
from wire.chain import GENESIS_HASH, RecordKind, commitment_of
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
    if last <= seq:
        return 0
    gone = 0
    for row in rows_between(connection, seq, last, limit):
        commitment = _commitment(connection, row)
        if commitment is None:
            continue
        session_id = _open_session(connection, row)
        if session_id is None:
            _let_go(connection, row.seq, commitment)
            gone += 1
        else:
            connection.execute("INSERT INTO held_back VALUES (?, ?)", (row.seq, session_id))
    connection.execute("UPDATE released SET seq = ?, records = records + ?", (last, gone))
    return last - int(seq)


def release_held_back(connection: sqlite3.Connection, limit: int = STEP) -> int:
    """Let go of the content of records that waited for the end of their session, at most `limit`; says how many there
    were. To be called inside a transaction."""
    waiting = connection.execute(
        "SELECT seq FROM held_back JOIN sessions USING (session_id) WHERE ended_at IS NOT NULL LIMIT ?", (limit,)
    ).fetchall()
    gone = 0
    for (seq,) in waiting:
        connection.execute("DELETE FROM held_back WHERE seq = ?", (seq,))
        for row in rows_between(connection, seq - 1, seq, 1):
            commitment = _commitment(connection, row)
            if commitment is not None:
                _let_go(connection, seq, commitment)
                gone += 1
    connection.execute("UPDATE released SET records = records + ?", (gone,))
    return len(waiting)


def _commitment(connection: sqlite3.Connection, row: KeptRow) -> bytes | None:
    """What stands for the content once it is gone; None for what has to stay: a record of the first form, and one that
    was altered, whose content is all that could show how."""
    owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    before = [each.hash for each in rows_between(connection, row.seq - 2, row.seq - 1, 1)]
    previous = as_hash(GENESIS_HASH if row.seq == 1 else "".join(before))
    if not row.salt or RowHash(*owner).of(row, previous) != as_hash(row.hash):
        return None
    return commitment_of(row.salt, row.body)


def _open_session(connection: sqlite3.Connection, row: KeptRow) -> str | None:
    """The session of a record, if it is one that is not over."""
    if row.kind != RecordKind.TRANSACTION.value:
        return None
    session_id = decode(_OfSession, row.body, "stored record").session_id
    known = connection.execute("SELECT ended_at FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
    return None if known is None or known[0] is not None else session_id


def _let_go(connection: sqlite3.Connection, seq: int, commitment: bytes) -> None:
    row = (commitment.hex(), seq)
    connection.execute("UPDATE records SET body = '', salt = '', commitment = ? WHERE seq = ?", row)
