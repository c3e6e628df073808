"""The journal of a charger's transaction messages: one line each time one of them is put, retried or settled.

The last line of a message (its `number`) is how it ended; the account reads nothing else of a charger than this and
its meter's journal.
"""

from __future__ import annotations

from pathlib import Path

from firmware_sim.meter import append_line, journal_lines
from firmware_sim.outbox import Pending
from wire.records import Value, decode


class MessageLine(Value, frozen=True, kw_only=True):
    """Where one transaction message stands. `payload_sha256` is empty until it is first sent; `carries` are the signed
    records inside; `acked` means a CALLRESULT came; `dropped` that it was thrown away."""

    charger_id: str
    number: int
    action: str
    transaction: str
    payload_sha256: str = ""
    attempts: int = 0
    acked: bool = False
    dropped: bool = False
    message_ids: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()


class MessageJournal:
    """Writes `path`; a folder must be there."""

    def __init__(self, path: Path, charger_id: str) -> None:
        self._path, self._charger_id = path, charger_id

    def note(self, pending: Pending, *, dropped: bool = False) -> None:
        """Writes where `pending` stands now."""
        line = MessageLine(
            charger_id=self._charger_id,
            number=pending.number,
            action=pending.draft.action,
            transaction=pending.draft.transaction,
            payload_sha256=pending.payload_sha256,
            attempts=pending.attempts,
            acked=pending.acked,
            dropped=dropped,
            message_ids=tuple(pending.message_ids),
            carries=pending.draft.carries,
        )
        append_line(self._path, line, sync=False)


def load_message_journal(path: Path) -> tuple[MessageLine, ...]:
    """The last state of every message in the journal, by number; empty when there is none.

    Raises:
        MalformedValue: a line cannot be read; names file and line.
    """
    last: dict[int, MessageLine] = {}
    for number, text in journal_lines(path):
        line = decode(MessageLine, text, f"{path} line {number}")
        last[line.number] = line
    return tuple(last[number] for number in sorted(last))
