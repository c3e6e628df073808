"""The journals of a charger: its transaction messages, and its transactions. What stands here outlives the process.

Rules of this file
1. A message is written, payload and all, and synced to the disk, before anybody tries to send it; its message id and
   its completed payload are written before the frame that bears them leaves.
2. A transaction is written and synced before its begin is signed, and what an answer gave it (the 1.6 id, a late
   refusal) before the message is noted as acknowledged. So no moment to be killed at leaves a gap.
3. The last line of a message (its `number`) is how it ended; the account reads nothing else of a charger than this and
   its meter's journal.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from firmware_sim.dialect import Medium, Transaction
from firmware_sim.lines import append_lines, cut_torn_line, journal_lines
from firmware_sim.outbox import Pending
from wire.records import Value, decode


class MessageLine(Value, frozen=True, kw_only=True):
    """Where one transaction message stands.

    `payload` is its JSON text, without `id_member` (see `Draft`) until it is first sent; a line that leaves it out
    leaves it as it was. `payload_sha256` is empty until it is first sent; `carries` are the signed records inside;
    `acked` means a CALLRESULT came; `dropped` that it was thrown away; `last` that it ends its transaction.
    """

    charger_id: str
    number: int
    action: str
    transaction: str
    payload: str = ""
    id_member: str = ""
    last: bool = False
    payload_sha256: str = ""
    attempts: int = 0
    acked: bool = False
    dropped: bool = False
    message_ids: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether nobody will send it again."""
        return self.acked or self.dropped


class TransactionLine(Value, frozen=True, kw_only=True):
    """One transaction of one charger. `reference` and `wire_id` as in `Transaction`; `first_record` is the place in the
    meter's journal, from 1, of the first record that is of it or would have been; `stop_asked` the status that refused
    its token afterwards."""

    charger_id: str
    ocpp: str
    reference: str
    medium: Medium
    uid: str
    evse_id: int
    connector_id: int
    first_record: int
    wire_id: str | None = None
    stop_asked: str | None = None
    token_type: str | None = None
    remote_start_id: int | None = None


class MessageJournal:
    """Writes `path`, of which a torn end is cut first; its folder must be there. Every method raises StateError."""

    def __init__(self, path: Path, charger_id: str) -> None:
        self._path, self._charger_id = path, charger_id
        cut_torn_line(path)

    def put(self, *messages: Pending) -> None:
        """Writes new messages in one piece; they are on the disk when this returns."""
        append_lines(self._path, *(self._line(message, message.draft.payload) for message in messages), sync=True)

    def sending(self, message: Pending) -> None:
        """Writes the message id that is about to leave, and at the first sending the completed payload."""
        completed = message.attempts == 1 and message.draft.id_member
        append_lines(self._path, self._line(message, message.payload if completed else b""), sync=False)

    def note(self, message: Pending, *, dropped: bool = False) -> None:
        """Writes where `message` stands now."""
        append_lines(self._path, self._line(message, dropped=dropped), sync=False)

    def _line(self, message: Pending, payload: bytes = b"", *, dropped: bool = False) -> MessageLine:
        return MessageLine(
            charger_id=self._charger_id,
            number=message.number,
            action=message.draft.action,
            transaction=message.draft.transaction,
            payload=payload.decode(),
            id_member=message.draft.id_member,
            last=message.draft.last,
            payload_sha256=message.payload_sha256,
            attempts=message.attempts,
            acked=message.acked,
            dropped=dropped,
            message_ids=tuple(message.message_ids),
            carries=message.draft.carries,
        )


class TransactionJournal:
    """Writes `path`, of which a torn end is cut first; its folder must be there. `lines` are the transactions so far.

    Raises:
        MalformedValue: a line cannot be read; names file and line. StateError: no access, also from every method.
    """

    def __init__(self, path: Path, charger_id: str, ocpp: str) -> None:
        self._path, self._charger_id, self._ocpp = path, charger_id, ocpp
        cut_torn_line(path)
        self._lines = {line.reference: line for line in load_transaction_journal(path)}

    @property
    def lines(self) -> tuple[TransactionLine, ...]:
        """Every transaction as it stands, oldest first."""
        return tuple(self._lines.values())

    def begin(self, tx: Transaction, first_record: int) -> None:
        """Writes a new transaction, before its first record is signed, at place `first_record`; synced."""
        line = TransactionLine(
            charger_id=self._charger_id,
            ocpp=self._ocpp,
            reference=tx.reference,
            medium=tx.presented.medium,
            uid=tx.presented.uid,
            evse_id=tx.evse_id,
            connector_id=tx.connector_id,
            first_record=first_record,
            wire_id=tx.wire_id,
            token_type=tx.presented.type,
            remote_start_id=tx.presented.remote_start_id,
        )
        self._write(line)

    def note(self, tx: Transaction) -> None:
        """Writes what answers gave the transaction, if that is news; synced."""
        known = self._lines[tx.reference]
        stop_asked = None if tx.stop_asked is None else tx.stop_asked.status
        line = msgspec.structs.replace(known, wire_id=tx.wire_id, stop_asked=stop_asked)
        if line != known:
            self._write(line)

    def _write(self, line: TransactionLine) -> None:
        append_lines(self._path, line, sync=True)
        self._lines[line.reference] = line


def load_message_journal(path: Path) -> tuple[MessageLine, ...]:
    """The last state of every message in the journal, by number; empty when there is none.

    Raises:
        MalformedValue: a line cannot be read; names file and line. StateError: no access.
    """
    last: dict[int, MessageLine] = {}
    for number, text in journal_lines(path):
        line = decode(MessageLine, text, f"{path} line {number}")
        if not line.payload and line.number in last:
            line = msgspec.structs.replace(line, payload=last[line.number].payload)
        last[line.number] = line
    return tuple(last[number] for number in sorted(last))


def load_transaction_journal(path: Path) -> tuple[TransactionLine, ...]:
    """The last state of every transaction, oldest first; empty when there is none.

    Raises:
        MalformedValue: a line cannot be read; names file and line. StateError: no access.
    """
    last: dict[str, TransactionLine] = {}
    for number, text in journal_lines(path):
        line = decode(TransactionLine, text, f"{path} line {number}")
        last[line.reference] = line
    return tuple(last.values())
