"""What a charger finds when its power comes back: messages nobody acknowledged, and a charge that never ended. Pure.

Rules of this file
1. A message without CALLRESULT goes on with its number, its message ids and its very payload.
2. A charge without a message that ends it is over: the car got no power meanwhile. What its meter signed and no message
   carries is told first, in order; then its end, PowerLoss, with a record signed now (OCMF TX=P) unless the meter had
   signed the end already.
3. A state that another charger wrote, or open business in another OCPP version, is refused: it cannot be told here.

Source: OCPP 2.0.1 Part 2 E (stoppedReason PowerLoss); OCPP 1.6 4.10 (reason PowerLoss); OCMF table 7 (TX=P).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.dialect import Answer, Dialect, Measurement, Presented, Transaction
from firmware_sim.errors import StateError
from firmware_sim.journal import MessageLine, TransactionLine
from firmware_sim.meter import Began, SignedReading
from firmware_sim.meter_telling import Telling
from firmware_sim.outbox import Draft, Pending
from wire.errors import MalformedValue
from wire.meter.record import ReadingReason


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A charge that no message ended. `begin` is how it began, `readings` are all that its meter signed for it, oldest
    first; a meter that makes one record of a whole transaction has signed none before its end. `untold` are the SHA-256
    of those that no message carries; `known` says whether any message of it was put at all."""

    reference: str
    begin: Measurement
    readings: tuple[SignedReading, ...]
    untold: frozenset[str]
    known: bool

    @property
    def end(self) -> Measurement | None:
        """The end that was signed and not told; None when the power went before it."""
        return measured(self.readings[-1]) if self.readings and self.readings[-1].reason.is_end else None


def check_owner(
    folder: Path,
    charger_id: str,
    ocpp: str,
    transactions: Sequence[TransactionLine],
    messages: Sequence[MessageLine],
    open_charges: Sequence[Interrupted],
) -> None:
    """Rule 3. Raises StateError: the state in `folder` is not for `charger_id` speaking `ocpp`."""
    owners = {line.charger_id for line in transactions} | {line.charger_id for line in messages}
    for found in sorted(owners - {charger_id}):
        raise StateError("state-of-another", folder, f"it belongs to the charger {found!r}, not to {charger_id!r}")
    untold = {line.transaction for line in messages if not line.settled} | {open_.reference for open_ in open_charges}
    for tx in transactions:
        if tx.ocpp != ocpp and tx.reference in untold:
            what = f"transaction {tx.wire_id or tx.reference} is not told to its end in OCPP {tx.ocpp}"
            raise StateError("state-of-another", folder, f"{what}; run once more with that version")


def waiting_messages(messages: Sequence[MessageLine]) -> list[Pending]:
    """Rule 1: what is still to be sent, oldest first. Raises MalformedValue: a message without its payload."""
    return [pending_of(line) for line in messages if not line.settled]


def pending_of(line: MessageLine) -> Pending:
    """The message as it stood, to be sent (again). Raises MalformedValue: it lacks its payload."""
    payload = line.payload.encode()
    if not payload:
        raise MalformedValue(f"message {line.number} of {line.charger_id}", "$.payload", "missing in the journal")
    draft = Draft(line.action, payload, line.transaction, line.carries, line.id_member, line.last)
    pending = Pending(line.number, draft, message_ids=list(line.message_ids))
    if line.attempts:
        pending.payload, pending.payload_sha256 = payload, line.payload_sha256
    return pending


def known_transaction(line: TransactionLine, messages: Sequence[MessageLine]) -> Transaction:
    """The transaction as its charger knew it; each of its messages took one sequence number."""
    return Transaction(
        line.reference,
        Presented(line.medium, line.uid, type=line.token_type, remote_start_id=line.remote_start_id),
        line.evse_id,
        line.connector_id,
        wire_id=line.wire_id,
        next_seq_no=sum(message.transaction == line.reference for message in messages),
        stop_asked=None if line.stop_asked is None else Answer(line.stop_asked),
    )


def interrupted(
    transactions: Sequence[TransactionLine],
    messages: Sequence[MessageLine],
    readings: Sequence[SignedReading],
    open_transaction: Began | None,
) -> tuple[Interrupted, ...]:
    """Rule 2: the charges that were begun and not ended, oldest first. One whose begin the meter has not taken down,
    signed or in the transaction that is open at it, never was."""
    known, ended = {line.transaction for line in messages}, {line.transaction for line in messages if line.last}
    told = {digest for line in messages for digest in line.carries}
    found = []
    for index, line in enumerate(transactions):
        if line.reference in ended:
            continue
        is_last = index + 1 == len(transactions)
        behind = None if is_last else transactions[index + 1].first_record
        own = tuple(
            reading
            for reading in readings
            if reading.place >= line.first_record and (behind is None or reading.place < behind)
        )
        begin = _begin_of(own, open_transaction if is_last else None)
        if begin is not None:
            untold = frozenset(reading.sha256 for reading in own) - told
            found.append(Interrupted(line.reference, begin, own, untold, line.reference in known))
    return tuple(found)


def _begin_of(own: Sequence[SignedReading], open_transaction: Began | None) -> Measurement | None:
    if own and own[0].reason is ReadingReason.BEGIN:
        return measured(own[0])
    began = own[0].began if own else open_transaction
    return None if began is None else Measurement(*began, 0, "Transaction.Begin")


def closing_drafts(
    dialect: Dialect, tx: Transaction, found: Interrupted, end: Measurement, tell: Telling
) -> Iterator[Draft]:
    """Rule 2: everything that is still to be told of an interrupted charge that ended with `end`, in order."""
    begin = found.begin
    if not found.known:
        yield from dialect.started(tx, begin, tell, True)
    elif begin.signed is not None and begin.signed.sha256 in found.untold:
        yield dialect.updated(tx, begin, tell, True)
    for reading in found.readings:
        if reading.sha256 in found.untold and reading != begin.signed and not reading.reason.is_end:
            yield dialect.updated(tx, measured(reading), tell, True)
    yield from dialect.ended(tx, begin, end, tell, True)


def measured(reading: SignedReading) -> Measurement:
    """A signed record as the measurement it was; the power of that instant is not in it, but at an end none flows."""
    between = reading.reason is not ReadingReason.BEGIN and not reading.reason.is_end
    context = "Sample.Periodic" if between else "Transaction.End"
    if reading.reason is ReadingReason.BEGIN:
        context = "Transaction.Begin"
    return Measurement(reading.at, reading.register_kwh, None if between else 0, context, reading)
