"""Which records a hub should hear of first: begins and ends of sessions, and decisions."""

from __future__ import annotations

import sqlite3

from gateway.errors import StoreError
from wire.chain import RecordKind
from wire.records import TransactionEvent

_MARKS = tuple(f'"event":"{event.value}"' for event in (TransactionEvent.STARTED, TransactionEvent.ENDED))
"""As an entry's own field is written. A frame inside it is text, in which every quote has a backslash before it."""


def urgent_seqs(connection: sqlite3.Connection, after: int, last: int) -> list[int]:
    """The sequence numbers of urgent records beyond `after`, up to `last`; about 2 us a record looked at. Raises
    StoreError when they cannot be read."""
    try:
        rows = connection.execute(
            "SELECT seq FROM records WHERE seq > ? AND seq <= ? "
            "AND (kind = ? OR (kind = ? AND (instr(body, ?) OR instr(body, ?)))) AND commitment IS NULL ORDER BY seq",
            (after, last, RecordKind.DECISION.value, RecordKind.TRANSACTION.value, *_MARKS),
        ).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"the ledger is damaged among records {after + 1} to {last}: {error}") from error
    return [row[0] for row in rows]
