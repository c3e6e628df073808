"""Acts that wait for a second person."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.service.store.tables import instant, stamp


class Decision(StrEnum):
    """What the second person said."""

    APPROVED = "approved"
    DECLINED = "declined"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An act that was asked for. `act` is its JSON; `decided_by`, `decided_at` and `decision` are None while it
    waits."""

    number: int
    act: str
    asked_by: str
    asked_at: datetime
    why: str
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision: Decision | None = None


def insert_approval(connection: sqlite3.Connection, act: str, asked_by: str, why: str, at: datetime) -> int:
    """Keep an act until it is decided; its number."""
    written = connection.execute(
        "INSERT INTO approval (act, asked_by, asked_at, why) VALUES (?, ?, ?, ?)", (act, asked_by, stamp(at), why)
    )
    return int(written.lastrowid or 0)


def decide(connection: sqlite3.Connection, number: int, decided_by: str, decision: Decision, at: datetime) -> None:
    """Write down what the second person said."""
    connection.execute(
        "UPDATE approval SET decided_by = ?, decided_at = ?, decision = ? WHERE number = ?",
        (decided_by, stamp(at), decision.value, number),
    )


def find_approval(connection: sqlite3.Connection, number: int) -> Approval | None:
    """The act of that number."""
    row = connection.execute("SELECT * FROM approval WHERE number = ?", (number,)).fetchone()
    return None if row is None else _approval(row)


def list_waiting(connection: sqlite3.Connection) -> list[Approval]:
    """The acts that nobody has decided, the oldest first."""
    return [
        _approval(row) for row in connection.execute("SELECT * FROM approval WHERE decision IS NULL ORDER BY number")
    ]


def _approval(row: tuple[int, str, str, int, str, str | None, int | None, str | None]) -> Approval:
    return Approval(
        number=row[0],
        act=row[1],
        asked_by=row[2],
        asked_at=instant(row[3]),
        why=row[4],
        decided_by=row[5],
        decided_at=None if row[6] is None else instant(row[6]),
        decision=None if row[7] is None else Decision(row[7]),
    )
