"""Frames of stations that were too large to be taken: what was in them is not in the ledger, so they are shown."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

TABLES = """
    CREATE TABLE lost_frames (
        charger_id TEXT PRIMARY KEY COLLATE NOCASE, count INTEGER NOT NULL, size TEXT NOT NULL, at TEXT NOT NULL)
        WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class LostFrames:
    """How many of one station, and of the latest one what was said of its size, and when it came."""

    charger_id: str
    count: int
    size: str
    at: datetime


def count_lost_frame(connection: sqlite3.Connection, charger_id: str, size: str, at: datetime) -> None:
    """Count one more. To be called inside a transaction."""
    connection.execute(
        "INSERT INTO lost_frames VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET count = count + 1, size = excluded.size,"
        " at = excluded.at",
        (charger_id, size, at.isoformat(timespec="microseconds")),
    )


def lost_frames(connection: sqlite3.Connection) -> list[LostFrames]:
    """What was counted, by station."""
    rows = connection.execute("SELECT charger_id, count, size, at FROM lost_frames ORDER BY charger_id")
    return [LostFrames(name, count, size, datetime.fromisoformat(at)) for name, count, size, at in rows]
