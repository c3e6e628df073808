"""How often each station did what is beyond its schema and was accepted all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

TABLES = """
    CREATE TABLE quirks (
        charger_id TEXT NOT NULL COLLATE NOCASE, quirk TEXT NOT NULL, count INTEGER NOT NULL, first_at TEXT NOT NULL,
        last_at TEXT NOT NULL, example TEXT NOT NULL, PRIMARY KEY (charger_id, quirk)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class QuirkCount:
    """`example`: where it was met last, as action and JSON path."""

    charger_id: str
    quirk: str
    count: int
    first_at: datetime
    last_at: datetime
    example: str


def add_quirks(connection: sqlite3.Connection, counts: Iterable[QuirkCount]) -> None:
    """Add to what was counted before. To be called inside a transaction."""
    connection.executemany(
        "INSERT INTO quirks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count,"
        " last_at = excluded.last_at, example = excluded.example",
        (
            (each.charger_id, each.quirk, each.count, each.first_at.isoformat(), each.last_at.isoformat(), each.example)
            for each in counts
        ),
    )


def quirk_counts(connection: sqlite3.Connection) -> list[QuirkCount]:
    """All counts, by charger and quirk."""
    rows = connection.execute(
        "SELECT charger_id, quirk, count, first_at, last_at, example FROM quirks ORDER BY charger_id, quirk"
    )
    return [
        QuirkCount(name, quirk, count, datetime.fromisoformat(first), datetime.fromisoformat(last), example)
        for name, quirk, count, first, last, example in rows
    ]
