"""Segments: rows that go when nothing of them is needed here any more, and where the log begins since.

Rules
1. A segment is a whole tile of 256 records. Its rows go when the hub has acknowledged and countersigned all of them and
   none has content left; its tile stays, so that proofs over the log hold. Segments go in order, the oldest first.
2. Where the log begins is one row, `dropped`: the number and the hash of the last record that went. It is written in
   the transaction that takes the rows, so that the chain behind it can be followed on.
3. The last `KEEP` records never go.
4. With the rows go the traces by which a message is known again, of sessions that ended `LONG_OVER` ago: all but those
   of the start, of the first and of the last message. These keep a late repetition from becoming a second session.
5. A record of the first form has its content under its own hash (`wire.chain`); when its turn comes it goes whole, if
   it still fits. One that was altered stays, and everything behind it.
6. Pages of rows that went are used again; the file does not shrink.

Source: design of this project; docs/decisions/0012.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from gateway.store.receipts import held_at_hub
from gateway.store.rows import RowHash, as_hash, rows_between
from wire.chain import GENESIS_HASH
from wire.merkle import TILE_WIDTH
from wire.records import Value

TABLES = """
    CREATE TABLE dropped (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE thinned (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
    INSERT INTO thinned VALUES (1, 0);
    CREATE TABLE forgotten (one INTEGER PRIMARY KEY CHECK (one = 1), session_no INTEGER NOT NULL);
    INSERT INTO forgotten VALUES (1, 0);
"""
KEEP = 4 * TILE_WIDTH
LONG_OVER = timedelta(days=30)
_SESSIONS_AT_ONCE = 100


class Dropped(Value, frozen=True, kw_only=True):
    """Up to where the rows are gone: number and hash of the last of them; 0 and the genesis hash when none is."""

    seq: int
    hash: str


def dropped(connection: sqlite3.Connection) -> Dropped:
    """Where the log that is kept here begins: behind this record."""
    row = connection.execute("SELECT seq, hash FROM dropped").fetchone()
    return Dropped(seq=0, hash=GENESIS_HASH) if row is None else Dropped(seq=row[0], hash=row[1])


def hash_before(connection: sqlite3.Connection, seq: int) -> bytes:
    """The hash that record `seq` stands on, 32 bytes; nothing when it is not here, or none."""
    gone = dropped(connection)
    if seq == gone.seq + 1:
        return as_hash(gone.hash)
    return as_hash("".join(each.hash for each in rows_between(connection, seq - 2, seq - 1, 1)))


def drop_segment(connection: sqlite3.Connection, before: datetime | None) -> int:
    """Take the rows of the next segment, if the hub had countersigned them before an instant, or at all; says how many,
    0 when there is none whose turn has come. To be called inside a transaction. Some 2 ms."""
    gone = dropped(connection)
    last_of_it = gone.seq + TILE_WIDTH
    (head,) = connection.execute("SELECT max(seq) FROM records").fetchone()
    if head is None or last_of_it > min(held_at_hub(connection, before), head - KEEP):
        return 0
    if not _has_tile(connection, last_of_it) or not _is_empty(connection, gone, last_of_it):
        return 0
    hash_ = connection.execute("SELECT hash FROM records WHERE seq = ?", (last_of_it,)).fetchone()[0]
    (without,) = connection.execute(
        "SELECT count(*) FROM records WHERE seq <= ? AND commitment IS NOT NULL", (last_of_it,)
    ).fetchone()
    connection.execute("DELETE FROM records WHERE seq <= ?", (last_of_it,))
    connection.execute("INSERT OR REPLACE INTO dropped VALUES (1, ?, ?)", (last_of_it, hash_))
    connection.execute("UPDATE released SET records = records - ?", (without,))
    return TILE_WIDTH


def forget_traces(connection: sqlite3.Connection, before: datetime) -> int:
    """Rule 4, for the next sessions, those that ended `LONG_OVER` before an instant; says how many were looked at, 0
    when there are no more. To be called inside a transaction."""
    gone, ended = dropped(connection).seq, (before - LONG_OVER).isoformat()
    (done,) = connection.execute("SELECT session_no FROM forgotten").fetchone()
    sessions = connection.execute(
        "SELECT session_no, start_key, ended_at, (SELECT min(seq) FROM seen WHERE bucket = session_no),"
        " (SELECT max(seq) FROM seen WHERE bucket = session_no) FROM sessions WHERE session_no > ?"
        " ORDER BY session_no LIMIT ?",
        (done, _SESSIONS_AT_ONCE),
    ).fetchall()
    looked_at = 0
    for number, start_key, ended_at, first, last in sessions:
        if last is not None:
            if last > gone or ended_at is None or ended_at >= ended:
                break
            connection.execute(
                "DELETE FROM seen WHERE bucket = ? AND seq > ? AND seq < ? AND key IS NOT ?",
                (number, first, last, start_key),
            )
        looked_at, done = looked_at + 1, number
    connection.execute("UPDATE forgotten SET session_no = ?", (done,))
    day = (before - LONG_OVER).toordinal()
    looked_at += connection.execute(
        "DELETE FROM seen WHERE (bucket, key) IN (SELECT bucket, key FROM seen WHERE bucket < 0 AND bucket > ?"
        " AND seq <= ? LIMIT ?)",
        (-day, gone, _SESSIONS_AT_ONCE),
    ).rowcount
    return looked_at


def _has_tile(connection: sqlite3.Connection, size: int) -> bool:
    row = connection.execute("SELECT 1 FROM tiles WHERE level = 1 AND number = ?", (size // TILE_WIDTH - 1,)).fetchone()
    return row is not None


def _is_empty(connection: sqlite3.Connection, gone: Dropped, last: int) -> bool:
    """Whether all rows of a segment are there, and none has content that must stay."""
    rows = rows_between(connection, gone.seq, last, TILE_WIDTH)
    if [row.seq for row in rows] != list(range(gone.seq + 1, last + 1)):
        return False
    owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    hashes, previous = RowHash(*owner), as_hash(gone.hash)
    for row in rows:
        kept = as_hash(row.hash)
        if hashes.of(row, previous) != kept or (row.commitment is None and row.salt):
            return False
        previous = kept
    return True
