"""What a charger remembers without power: its transactions and messages, as its folder holds them."""

from __future__ import annotations

from pathlib import Path

from firmware_sim.dialect import NO_TRANSACTION_ID, Transaction
from firmware_sim.journal import MessageJournal, TransactionJournal, load_message_journal
from firmware_sim.meter import SigningMeter
from firmware_sim.outbox import Pending
from firmware_sim.resume import (
    Interrupted,
    check_owner,
    interrupted,
    known_transaction,
    pending_of,
    waiting_messages,
)


class Memory:
    """The journals in `folder` and what was found in them. `waiting` are messages of earlier runs without CALLRESULT,
    oldest first; `last_number` the highest number a message had.

    Raises:
        StateError: no access to `folder`, or it belongs to another charger. MalformedValue: a line cannot be read.
    """

    def __init__(self, folder: Path, charger_id: str, ocpp: str, meter: SigningMeter) -> None:
        self._path, self._meter = folder / "messages.jsonl", meter
        self.messages = MessageJournal(self._path, charger_id)
        self._transactions = TransactionJournal(folder / "transactions.jsonl", charger_id, ocpp)
        told, begun = load_message_journal(self._path), self._transactions.lines
        check_owner(folder, charger_id, ocpp, begun, told, self.interrupted())
        self.waiting = waiting_messages(told)
        self.last_number = told[-1].number if told else 0
        self._known = {line.reference: known_transaction(line, told) for line in begun}

    def begin(self, tx: Transaction) -> None:
        """Remembers a new transaction; its begin must not be signed yet. Raises StateError."""
        self._transactions.begin(tx, self._meter.records + 1)
        self._known[tx.reference] = tx

    def note(self, tx: Transaction) -> None:
        """Remembers what an answer gave the transaction. Raises StateError."""
        self._transactions.note(tx)

    def transaction(self, reference: str) -> Transaction:
        """The transaction by the charger's name of it."""
        return self._known[reference]

    def transaction_of(self, message: Pending) -> Transaction:
        """The transaction that a message belongs to."""
        return self._known[message.draft.transaction]

    def id_of(self, reference: str) -> int:
        """The 1.6 id of a transaction; -1 when its answer never came."""
        return int(self._known[reference].wire_id or NO_TRANSACTION_ID)

    def history(self) -> list[Pending]:
        """Every message that was acknowledged, to be sent once more as it was. Raises StateError, MalformedValue."""
        return [pending_of(line) for line in load_message_journal(self._path) if line.acked]

    def interrupted(self) -> tuple[Interrupted, ...]:
        """The charges that were begun and not ended, oldest first. Raises StateError, MalformedValue."""
        told, meter = load_message_journal(self._path), self._meter
        return interrupted(self._transactions.lines, told, meter.readings(), meter.open_transaction)
