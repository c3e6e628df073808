"""A record on its way into the books, read as far as it can be read. Pure.

Rules
1. Nothing here refuses a record: `trouble` says why its content cannot be used, and the record is kept.
2. A session id is checked against the gateway, charger and transaction it is made of, so no gateway can write into
   another's session.
3. Signed values are found in every message, also in one that cannot be used.

Source: design of this project.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from wire.chain import Record, RecordKind
from wire.errors import MalformedValue, WireError
from wire.ids import session_id
from wire.ocpp.content import content_key
from wire.ocpp.frames import Call, Send
from wire.ocpp.salvage import parse_recorded
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import Decision, TransactionEntry, TransactionEvent, decode
from wire.settling.carried import CarriedValue, carried_values, salvaged_values
from wire.tombstone import Tombstone

LET_GO = "its content was let go"
"""The trouble with a record that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A record: from whom, when the hub received it, and what it holds.

    A decision has its `decision`, a transaction message its `entry` and, unless there is `trouble` or nothing in it for
    us, the `call` and the `message` in it. `session_id` is the session's that the message is of, checked (rule 2),
    also when the message cannot be used; `values` are all its signed values. A `tombstone` says what is missing.
    """

    gateway_id: str
    record: Record
    received_at: datetime
    decision: Decision | None = None
    entry: TransactionEntry | None = None
    message: TransactionMessage | None = None
    call: Call | None = None
    session_id: str | None = None
    values: tuple[CarriedValue, ...] = ()
    tombstone: Tombstone | None = None
    trouble: str | None = None

    @property
    def content(self) -> str:
        """The content key of the message, hex; empty without one. Made when it is asked for: only ends are compared."""
        return "" if self.call is None else content_key(self.call.action, self.call.payload).hex()


def read_arrival(gateway_id: str, record: Record, received_at: datetime) -> Arrival:
    """The record, read. Never raises for a record's content; one whose content was let go holds nothing."""
    made = partial(Arrival, gateway_id=gateway_id, record=record, received_at=received_at)
    if record.is_released:
        return made(trouble=LET_GO)
    try:
        if record.kind is RecordKind.DECISION:
            decision = decode(Decision, record.body, "decision")
            _require_aware(decision.at, "decision")
            return made(decision=decision)
        if record.kind is RecordKind.TRANSACTION:
            return _transaction(made, gateway_id, decode(TransactionEntry, record.body, "transaction entry"))
        if record.kind is RecordKind.TOMBSTONE:
            return made(tombstone=decode(Tombstone, record.body, "tombstone"))
    except WireError as error:
        return made(trouble=str(error))
    return made()


def _transaction(made: Callable[..., Arrival], gateway_id: str, entry: TransactionEntry) -> Arrival:
    """The arrival of a transaction message; `made` knows all else of it."""
    session = _session_of(gateway_id, entry)
    if entry.quarantine is not None or entry.event is TransactionEvent.UNREADABLE:
        return _troubled(made, entry, session, entry.quarantine or "the gateway could not read the message")
    try:
        if entry.decision is not None:
            _require_aware(entry.decision.at, "transaction entry")
        call = _call(entry)
        if call is None:  # values of a periodic event stream: evidence, not a session
            return made(entry=entry, session_id=session)
        message = read_transaction(entry.ocpp, call.action, call.payload)
    except WireError as error:
        return _troubled(made, entry, session, str(error))
    except (ArithmeticError, ValueError) as error:
        # As a date at the end of the calendar does.
        return _troubled(made, entry, session, f"the content breaks arithmetic: {error}")
    trouble = None
    if session is None and (entry.session_id is not None or message.event is not TransactionEvent.METER_VALUES):
        trouble = _no_session(entry, message.event)
    return made(
        entry=entry,
        message=message,
        call=call,
        session_id=session,
        values=carried_values(message),
        trouble=trouble,
    )


def _troubled(made: Callable[..., Arrival], entry: TransactionEntry, session: str | None, trouble: str) -> Arrival:
    return made(entry=entry, session_id=session, values=salvaged_values(entry), trouble=trouble)


def _session_of(gateway_id: str, entry: TransactionEntry) -> str | None:
    """The entry's session, if it is the one that its gateway, charger and transaction make (rule 2)."""
    if entry.session_id is None or entry.transaction_id is None:
        return None
    made = session_id(gateway_id, entry.charger_id, entry.transaction_id, entry.reuse)
    return made if made == entry.session_id else None


def _no_session(entry: TransactionEntry, event: TransactionEvent) -> str:
    message = f"missing for event {event.value}"
    if entry.session_id is not None:
        message = f"{entry.session_id!r} is not the id of this gateway, charger, transaction_id and reuse"
    return str(MalformedValue("transaction entry", "$.session_id", message))


def _call(entry: TransactionEntry) -> Call | None:
    """The CALL of an entry; None for a SEND. Raises MalformedValue, FrameError."""
    frame = parse_recorded(entry.frame)
    if isinstance(frame, Send):
        return None
    if not isinstance(frame, Call):
        raise MalformedValue("transaction entry", "$.frame", f"a CALL was expected, found {type(frame).__name__}")
    return frame


def _require_aware(at: datetime, what: str) -> None:
    if at.tzinfo is None:
        raise MalformedValue(what, "$.at", "an instant without an offset from UTC")
