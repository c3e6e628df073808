"""What stations last said of themselves: the newest payload of each action and subject, as it came."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

TABLES = """
    CREATE TABLE notices (
        charger_id TEXT NOT NULL COLLATE NOCASE, action TEXT NOT NULL, subject TEXT NOT NULL, at TEXT NOT NULL,
        payload TEXT NOT NULL, PRIMARY KEY (charger_id, action, subject)) WITHOUT ROWID;
"""
MAX_SUBJECTS = 64
"""Rows kept of one action of one charger: the oldest makes room."""
MAX_PAYLOAD = 16 * 1024
"""Characters kept of a payload; a longer one is kept as null, the fact that it came stays."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The newest of its kind. `payload` is JSON as the station sent it."""

    charger_id: str
    action: str
    subject: str
    at: datetime
    payload: str


def keep_notice(connection: sqlite3.Connection, notice: Notice) -> None:
    """Keep the notice in place of an earlier one on the same subject. To be called inside a transaction."""
    payload = notice.payload if len(notice.payload) <= MAX_PAYLOAD else "null"
    connection.execute(
        "INSERT INTO notices VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,"
        " payload = excluded.payload",
        (notice.charger_id, notice.action, notice.subject, notice.at.isoformat(), payload),
    )
    connection.execute(
        "DELETE FROM notices WHERE charger_id = ?1 AND action = ?2 AND subject IN (SELECT subject FROM notices"
        " WHERE charger_id = ?1 AND action = ?2 ORDER BY at DESC LIMIT -1 OFFSET ?3)",
        (notice.charger_id, notice.action, MAX_SUBJECTS),
    )


def notices(connection: sqlite3.Connection, charger_id: str | None = None) -> list[Notice]:
    """The notices of one charger, or of all, by charger, action and subject."""
    rows = connection.execute(
        "SELECT charger_id, action, subject, at, payload FROM notices WHERE ?1 IS NULL OR charger_id = ?1"
        " ORDER BY charger_id, action, subject",
        (charger_id,),
    )
    return [
        Notice(name, action, subject, datetime.fromisoformat(at), payload)
        for name, action, subject, at, payload in rows
    ]
