"""How far the sequence numbers of each 2.x transaction go, so that a gap is seen when it has ended.

A continuous counter that several transactions share leaves gaps that mean nothing, and a station that is short of
memory may drop updates: a gap is a question, not a fault.

Source: OCPP 2.0.1 Part 2 E 1.3.2, E04.FR.07-08, E14.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

TABLES = """
    CREATE TABLE sequences (
        session_no INTEGER PRIMARY KEY, lowest INTEGER NOT NULL, highest INTEGER NOT NULL, messages INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Sequence:
    """The numbers of one transaction: `messages` different messages carried numbers from `lowest` to `highest`."""

    lowest: int
    highest: int
    messages: int

    @property
    def missing(self) -> int:
        """How many numbers between them no message had, at least."""
        return max(self.highest - self.lowest + 1 - self.messages, 0)

    @property
    def repeated(self) -> bool:
        """Whether messages share numbers for certain, as with a station that always says 0."""
        return self.messages > self.highest - self.lowest + 1


def note_sequence(connection: sqlite3.Connection, session_no: int, seq_no: int) -> None:
    """Count a new message of the session. To be called inside a transaction."""
    connection.execute(
        "INSERT INTO sequences VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET lowest = min(lowest, excluded.lowest),"
        " highest = max(highest, excluded.highest), messages = messages + 1",
        (session_no, seq_no, seq_no),
    )


def sequence_of(connection: sqlite3.Connection, charger_id: str, transaction_id: str) -> Sequence | None:
    """What is known of a transaction's numbers, of several of that name the latest; None when it has none."""
    row = connection.execute(
        "SELECT lowest, highest, messages FROM sequences JOIN sessions USING (session_no)"
        " WHERE charger_id = ? AND transaction_id = ? ORDER BY session_no DESC LIMIT 1",
        (charger_id, transaction_id),
    ).fetchone()
    return None if row is None else Sequence(*row)
