"""Counts of messages that were acknowledged and not stored, until a tombstone has them (`gateway.store.shedding`)."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gateway.store.arrivals import Arrival
from wire.chain import instant_text
from wire.tombstone import NotKept

TABLES = """
    CREATE TABLE unkept (
        charger_id TEXT NOT NULL, action TEXT NOT NULL, count INTEGER NOT NULL, first_at TEXT NOT NULL,
        last_at TEXT NOT NULL, PRIMARY KEY (charger_id, action)) WITHOUT ROWID;
"""


def count_one(connection: sqlite3.Connection, arrival: Arrival) -> None:
    """Count a message. To be called inside a transaction."""
    at = instant_text(arrival.now.at)
    connection.execute(
        "INSERT INTO unkept VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET count = count + 1, last_at = ?",
        (arrival.charger_id, arrival.action, at, at, at),
    )


def unkept(connection: sqlite3.Connection) -> int:
    """How many messages no tombstone has taken up yet."""
    return int(connection.execute("SELECT coalesce(sum(count), 0) FROM unkept").fetchone()[0])


def take_counts(connection: sqlite3.Connection) -> tuple[NotKept, ...]:
    """The counts, which begin anew. To be called inside a transaction."""
    rows = connection.execute("DELETE FROM unkept RETURNING charger_id, action, count, first_at, last_at").fetchall()
    return tuple(
        NotKept(
            charger_id=charger_id,
            action=action,
            count=count,
            first_at=datetime.fromisoformat(first_at),
            last_at=datetime.fromisoformat(last_at),
        )
        for charger_id, action, count, first_at, last_at in sorted(rows)
    )
