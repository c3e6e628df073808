"""The books of an account: what each side wrote down or holds, and how a chain is read for one charger. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from firmware_sim.given_way import GivenWay, same_record
from firmware_sim.journal import MessageLine
from firmware_sim.meter import MeterLine
from wire.carried import mark_of
from wire.chain import Record, RecordKind
from wire.errors import MalformedValue, MeterRecordError, WireError
from wire.merkle import TILE_WIDTH
from wire.meter.carrier import unwrap
from wire.meter.keys import PublicKey
from wire.meter.ocmf import parse_ocmf
from wire.ocpp.frames import Call, parse_frame
from wire.ocpp.transaction import read_transaction
from wire.records import Cdr, Session, TransactionEntry, Value, decode


@dataclass(frozen=True, slots=True)
class ChargerBook:
    """What one charger and its meter wrote down themselves; `earlier` are the keys of meters that were swapped out, by
    their serials."""

    charger_id: str
    key: PublicKey
    signed: tuple[MeterLine, ...]
    messages: tuple[MessageLine, ...]
    earlier: Mapping[str, PublicKey] = field(default_factory=dict)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Those of all keys of meters that were here."""
        return frozenset(key.fingerprint for key in (self.key, *self.earlier.values()))


@dataclass(frozen=True, slots=True)
class ChargeBook:
    """One charge that took place: its id on the wire, the difference of the signed registers, and the codes of what the
    hub is to find on it."""

    charger_id: str
    transaction_id: str
    energy_wh: Decimal
    foreseen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChainBook:
    """A chain of evidence as one program holds it."""

    gateway_id: str
    epoch: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class HubBook:
    """What the hub holds; `earlier` are the epochs that the gateway's present one continues, the oldest first."""

    chain: ChainBook
    sessions: tuple[Session, ...]
    cdrs: tuple[Cdr, ...]
    earlier: tuple[ChainBook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an outsider says of the evidence file of one session: `flaws`, () when every step holds; the fingerprints of
    the meters that signed, and the records (epoch, number) that are proven to be in the log."""

    session_id: str
    flaws: tuple[str, ...]
    meter_keys: frozenset[str] = frozenset()
    records: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofBook:
    """What an outsider says of all evidence files that were written."""

    proofs: tuple[Proof, ...]


class Finding(Value, frozen=True, kw_only=True):
    """One thing that does not balance; `code` is stable and kebab-case."""

    code: str
    message: str


@dataclass(slots=True)
class Held:
    """What one chain holds of one charger: how often each message number and each signed text is there."""

    messages: Counter[int] = field(default_factory=Counter)
    signed: Counter[str] = field(default_factory=Counter)
    altered_messages: int = 0
    altered_signed: int = 0
    texts: dict[str, bytes] = field(default_factory=dict)


class Ledger:
    """Collects findings while the rows are made."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def note(self, code: str, message: str) -> None:
        """One thing that does not balance."""
        self.findings.append(Finding(code=code, message=message))


def history_of(chain: ChainBook, earlier: Sequence[ChainBook]) -> ChainBook:
    """The records of all epochs as one: what an epoch carries over from an earlier one is there once
    (`wire.carried`)."""
    records, known = list[Record](), set[bytes]()
    for each in (*earlier, chain):
        marked = [(mark_of(record), record) for record in each.records]
        records += [record for mark, record in marked if mark not in known]
        known.update(mark for mark, _ in marked)
    return ChainBook(chain.gateway_id, chain.epoch, tuple(records))


def completed(gateway: ChainBook, hub: ChainBook) -> ChainBook:
    """The gateway's chain with what it has handed over to the hub for good: whole segments of rows before its first,
    and contents that no tombstone names. Taken are the hub's, where they are the very records; the links are for others
    to look at."""
    records, first = gateway.records, gateway.records[0].seq if gateway.records else 1
    if (gateway.gateway_id, gateway.epoch) != (hub.gateway_id, hub.epoch) or (first - 1) % TILE_WIDTH:
        return gateway
    theirs, given_way = {record.seq: record for record in hub.records}, GivenWay(records)
    before = [theirs[seq] for seq in sorted(theirs) if seq < first]
    kept = (
        theirs[each.seq]
        if each.is_released and not given_way.names(each) and each.seq in theirs and same_record(each, theirs[each.seq])
        else each
        for each in records
    )
    return ChainBook(gateway.gateway_id, gateway.epoch, (*before, *kept))


def held_of(book: ChargerBook, chain: ChainBook, where: str, ledger: Ledger, given_way: GivenWay) -> Held:
    """What `chain` holds of the charger of `book`; what is there and should not be goes into `ledger`. Records that
    have `given_way` hold nothing."""
    by_message_id = {message_id: line for line in book.messages for message_id in line.message_ids}
    digests = {line.sha256 for line in book.signed}
    held = Held()
    for record in chain.records:
        entry = None if given_way.names(record) else _entry(record, where, ledger)
        if entry is None or entry.charger_id.casefold() != book.charger_id.casefold():
            continue
        place = f"record {record.seq} at {where}"
        line = by_message_id.get(entry.message_id)
        payload = _payload(entry)
        if line is None or payload is None or hashlib.sha256(payload).hexdigest() != line.payload_sha256:
            held.altered_messages += 1
            why = "was never sent" if line is None else "is not what the charger sent"
            ledger.note("message-altered", f"{book.charger_id}: message {entry.message_id} in {place} {why}")
        else:
            held.messages[line.number] += 1
        for text in _signed_texts(entry, payload or b""):
            digest = hashlib.sha256(text).hexdigest()
            if digest in digests:
                held.signed[digest] += 1
                held.texts[digest] = text
            else:
                held.altered_signed += 1
                name = f"{book.charger_id}: signed record {_pagination(text)} in {place}"
                ledger.note("signed-altered", f"{name} is no text the meter signed")
    return held


def _entry(record: Record, where: str, ledger: Ledger) -> TransactionEntry | None:
    if record.kind is not RecordKind.TRANSACTION:
        return None
    try:
        return decode(TransactionEntry, record.body, f"record {record.seq}")
    except MalformedValue as error:
        ledger.note("record-unreadable", f"at {where}: {error}")
        return None


def _payload(entry: TransactionEntry) -> bytes | None:
    try:
        frame = parse_frame(entry.frame)
    except WireError:
        return None
    return frame.payload if isinstance(frame, Call) else None


def _signed_texts(entry: TransactionEntry, payload: bytes) -> list[bytes]:
    try:
        message = read_transaction(entry.ocpp, entry.action, payload)
    except MalformedValue:
        return []  # Then its signed records are missing in the count, which is a finding of its own.
    return [unwrap(sample.signed.raw).payload for sample in message.samples if sample.signed is not None]


def _pagination(text: bytes) -> str:
    try:
        number = parse_ocmf(text).pagination
    except MeterRecordError:
        return "(unreadable)"
    return "(unnumbered)" if number is None else f"{number.context.value}{number.number}"
