"""What is still needed of records that stayed behind in an earlier epoch of this store.

Rules
1. Records that the hub holds are not carried into a new epoch (`gateway.store.carrying`). What sessions and resends ask
   of them is kept here: when each came, and of sessions that are not over what it said.
2. Their numbers are below zero, in the order they had: no record of this epoch has such a number.
3. With the end of its session what one says goes, as that of any record (`gateway.store.release`).
"""

from __future__ import annotations

import sqlite3

TABLES = """
    CREATE TABLE earlier (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL);
"""


def keep_earlier(connection: sqlite3.Connection, seq: int, at: str, body: str) -> None:
    """Keep what is needed of a record that stays behind, under its new number. To be called inside a transaction."""
    connection.execute("INSERT OR REPLACE INTO earlier VALUES (?, ?, ?)", (seq, at, body))


def forget_earlier(connection: sqlite3.Connection, session_no: int) -> None:
    """Let go of what the records of a session said that stayed behind. To be called inside a transaction."""
    connection.execute(
        "UPDATE earlier SET body = '' WHERE seq IN (SELECT seq FROM seen WHERE bucket = ? AND seq < 0)", (session_no,)
    )


def came_at(connection: sqlite3.Connection, bucket: int, key: bytes) -> str | None:
    """When the message of that content came, as text: empty when its record's row was dropped; None when it never
    came."""
    row = connection.execute(
        "SELECT coalesce(records.at, earlier.at, '') FROM seen LEFT JOIN records ON records.seq = seen.seq"
        " LEFT JOIN earlier ON earlier.seq = seen.seq WHERE bucket = ? AND key = ?",
        (bucket, key),
    ).fetchone()
    return None if row is None else row[0]


def body_of(connection: sqlite3.Connection, seq: int) -> str:
    """What record `seq` says, of this epoch or an earlier one; empty once that was let go."""
    table = "records" if seq > 0 else "earlier"
    row = connection.execute(f"SELECT body FROM {table} WHERE seq = ?", (seq,)).fetchone()
    return "" if row is None else str(row[0])


def latest_bodies(connection: sqlite3.Connection, bucket: int, limit: int) -> list[str]:
    """What the latest records of a bucket say, the latest first, at most `limit`; empty what was let go."""
    rows = connection.execute("SELECT seq FROM seen WHERE bucket = ? ORDER BY seq DESC LIMIT ?", (bucket, limit))
    return [body_of(connection, seq) for (seq,) in rows.fetchall()]
