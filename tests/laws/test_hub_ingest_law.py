"""Laws of the hub's books: how records are cut into batches, and how often they are sent, changes nothing."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given, settings, strategies as st

from hub.store.ledger import Books, Chain, append, position_of
from hub.store.meter_acts import reverify
from hub.store.readings import hashes
from hub.store.schema import MIGRATIONS
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.ids import session_id
from wire.meter.draft import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.keys import encode_public_key_oca, public_key_of
from wire.meter.record import Pagination, PaginationContext, ReadingReason
from wire.ocpp.frames import encode_call
from wire.records import (
    AuthMethod,
    Basis,
    Cdr,
    ClockState,
    Decision,
    TokenRef,
    TokenType,
    TransactionEntry,
    TransactionEvent,
    Verdict,
    decode,
    encode,
)
from wire.settling.arrival import read_arrival
from wire.settling.ingest import REVIEW_EACH, REVIEW_FREELY, ingest
from wire.settling.settle import MeterState
from wire.settling.terms import EnergyPrice, Terms
from wire.sync import Role, SyncPeer
from wire.sync_messages import Batch, Refusal

T0 = datetime(2026, 11, 23, tzinfo=UTC)
GATEWAY, EPOCH = "site-1", "e1"
TERMS = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))


def _decision(charger: str, uid: str, verdict: Verdict, minute: int) -> Decision:
    return Decision(
        decision_id=f"d{minute}",
        at=T0 + timedelta(minutes=minute),
        charger_id=charger,
        token=TokenRef(uid=uid, type=TokenType.RFID),
        verdict=verdict,
        reason="drawn",
        basis=Basis.WHITELIST,
        auth_method=AuthMethod.WHITELIST,
        online=True,
        clock=ClockState.TRUSTED,
    )


def _entry(event: str, charger: str, transaction: str, minute: int, kwh: int, uid: str) -> TransactionEntry:
    payload: dict[str, object] = {
        "eventType": event,
        "timestamp": T0 + timedelta(minutes=minute),
        "triggerReason": "Trigger",
        "seqNo": minute,
        "transactionInfo": {"transactionId": transaction},
        "idToken": {"idToken": uid, "type": "ISO14443"},
        "meterValue": [
            {
                "timestamp": T0 + timedelta(minutes=minute),
                "sampledValue": [{"value": kwh, "unitOfMeasure": {"unit": "kWh"}}],
            }
        ],
    }
    return TransactionEntry(
        charger_id=charger,
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id="m",
        frame=encode_call("m", "TransactionEvent", payload),
        event=TransactionEvent(event.lower()),
        reply="",
        session_id=session_id(GATEWAY, charger, transaction),
        transaction_id=transaction,
    )


chargers, transactions, uids = (
    st.sampled_from(["CP-1", "CP-2"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["A", "b"]),
)
minutes, kwhs = st.integers(0, 90), st.integers(0, 20)
entries = st.builds(
    _entry, st.sampled_from(["Started", "Updated", "Ended"]), chargers, transactions, minutes, kwhs, uids
).map(lambda entry: (RecordKind.TRANSACTION, encode(entry).decode()))
decisions = st.builds(_decision, chargers, uids, st.sampled_from([Verdict.ACCEPTED, Verdict.BLOCKED]), minutes).map(
    lambda decision: (RecordKind.DECISION, encode(decision).decode())
)
noise = st.tuples(st.sampled_from(list(RecordKind)), st.text(max_size=20))
contents = st.lists(st.one_of(entries, entries, decisions, noise), min_size=1, max_size=14)


def _chain(drawn: list[tuple[RecordKind, str]]) -> list[Record]:
    records: list[Record] = []
    previous = GENESIS_HASH
    for seq, (kind, body) in enumerate(drawn, 1):
        facts = {"seq": seq, "kind": kind, "at": T0, "boot_id": "b", "mono_ns": seq, "clock": ClockState.TRUSTED}
        bare = Record(**facts, body=body, hash="")
        previous = chain_hash(GATEWAY, EPOCH, previous, bare)
        records.append(Record(**facts, body=body, hash=previous))
    return records


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in MIGRATIONS:
            connection.executescript(script)
        yield connection


def _send(connection: sqlite3.Connection, batch: Batch) -> None:
    """What the endpoint does with a batch."""
    chain = Chain(GATEWAY, EPOCH)
    position = position_of(connection, chain)
    peer = SyncPeer(Role.HUB, GATEWAY, EPOCH, position.seq, position.hash)
    judged = peer.judge(batch, hashes(connection, chain, batch.first_seq - 1, position.seq))
    if not isinstance(judged, Refusal):
        append(connection, chain, position, judged, T0, TERMS)


def _account(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    tables = (
        *("gateways", "records", "quarantine", "sessions", "cdrs", "decisions", "conflicts", "verdicts", "outcomes"),
        *("meter_keys", "meter_key_acts", "meter_sightings", "meter_pages", "meter_gaps"),
    )
    return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in tables}


def _batch(records: list[Record], first: int, count: int) -> Batch:
    previous = records[first - 1].hash if first else GENESIS_HASH
    chosen = tuple(records[first : first + count])
    return Batch(gateway_id=GATEWAY, epoch=EPOCH, first_seq=first + 1, prev_hash=previous, records=chosen)


@settings(max_examples=150, deadline=None)
@given(contents, st.lists(st.tuples(st.integers(0, 13), st.integers(1, 14)), max_size=12))
def test_cuts_repetitions_and_order_of_batches_do_not_matter(
    drawn: list[tuple[RecordKind, str]], cuts: list[tuple[int, int]]
) -> None:
    records = _chain(drawn)
    with _database() as at_once, _database() as piecemeal:
        _send(at_once, _batch(records, 0, len(records)))
        for first, count in cuts:
            if first < len(records):
                _send(piecemeal, _batch(records, first, count))
        for first in range(len(records)):
            _send(piecemeal, _batch(records, first, 1))
        assert _account(piecemeal) == _account(at_once)
        held = at_once.execute("SELECT count(*) FROM records").fetchone()[0]
        assert held == len(records)


@settings(max_examples=40, deadline=None)
@given(st.deferred(lambda: st.lists(signed_entries, min_size=2, max_size=9)), st.lists(st.integers(1, 4), max_size=5))
def test_cuts_change_nothing_in_verdicts_keys_pages_and_tickets(
    drawn: list[tuple[RecordKind, str]], sizes: list[int]
) -> None:
    """Two meters with keys of their own and one of a stranger, pages in any order, at two chargers."""
    records = _chain(drawn)
    with _database() as at_once, _database() as piecemeal:
        _send(at_once, _batch(records, 0, len(records)))
        first = 0
        for size in [*sizes, len(records)]:
            if first < len(records):
                _send(piecemeal, _batch(records, first, size))
                first += size
        assert _account(piecemeal) == _account(at_once)
        counted = at_once.execute("SELECT coalesce(sum(count), 0) FROM meter_sightings").fetchone()
        assert counted == at_once.execute("SELECT count(*) FROM verdicts").fetchone() == (len(drawn),)
        before = _account(at_once)
        again = reverify(at_once, TERMS, "", T0)
        assert again.judged == len(drawn)
        assert reverify(at_once, TERMS, "", T0).changed == 0
        unchanged = ("records", "cdrs", "meter_keys", "meter_gaps")
        assert {name: before[name] for name in unchanged} == {name: _account(at_once)[name] for name in unchanged}


def test_late_values_cost_no_more_than_their_share_however_batches_are_cut() -> None:
    """A session of 201 values, then late ones: they are judged with the others while that stays cheap, then held."""
    begin, end = (
        _signed_entry(*event, "MS-1", 0) for event in (("Started", "CP-1", "1", 0, 1), ("Ended", "CP-1", "1", 5, 3))
    )
    between = _signed_entries(199)
    records = _chain([begin, between, end, *[_signed_entry("Updated", "CP-1", "1", 4, 2, "MS-1", 0)] * 30])
    with _database() as at_once, _database() as piecemeal:
        _send(at_once, _batch(records, 0, len(records)))
        for first, size in ((0, 2), (2, 5), (7, 1), (8, 17), (25, len(records))):
            _send(piecemeal, _batch(records, first, size))
        assert _account(piecemeal) == _account(at_once)
        ((text,),) = at_once.execute("SELECT meter FROM sessions").fetchall()
        meter = decode(MeterState, text, "meter state")
        assert meter.late_values == 30
        assert REVIEW_FREELY <= meter.judged_again <= REVIEW_FREELY + REVIEW_EACH * 30 + 231
        assert at_once.execute("SELECT count(*) FROM held_sessions").fetchone() == (1,)
        assert "review-due" in at_once.execute("SELECT outcome FROM outcomes ORDER BY number DESC").fetchone()[0]
        assert reverify(at_once, TERMS, "", T0).reviewed == 1
        assert "review-due" not in at_once.execute("SELECT outcome FROM outcomes ORDER BY number DESC").fetchone()[0]


@settings(max_examples=150, deadline=None)
@given(contents)
def test_each_completed_session_has_one_cdr_and_each_cdr_its_session(drawn: list[tuple[RecordKind, str]]) -> None:
    with _database() as connection:
        _send(connection, _batch(_chain(drawn), 0, len(drawn)))
        completed = connection.execute("SELECT id FROM sessions WHERE status = 'COMPLETED' ORDER BY id").fetchall()
        assert connection.execute("SELECT session_id FROM cdrs ORDER BY session_id").fetchall() == completed


def _sample(
    at: datetime, context: str, kwh: Decimal, signed: str | None, key: ec.EllipticCurvePrivateKey | None = None
) -> dict[str, object]:
    plain = {"value": kwh, "context": context, "unitOfMeasure": {"unit": "kWh"}}
    if signed is None:
        return {"timestamp": at, "sampledValue": [plain]}
    text = base64.b64encode(signed.encode()).decode()
    claimed = _METER_KEY if key is None else encode_public_key_oca(public_key_of(key.public_key()))
    carried = {"signedMeterData": text, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": claimed}
    return {"timestamp": at, "sampledValue": [plain, plain | {"signedMeterValue": carried}]}


_METER = ec.generate_private_key(ec.SECP256R1())
_METER_KEY = encode_public_key_oca(public_key_of(_METER.public_key()))
_CONTEXTS = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}
_REASONS = {"Started": ReadingReason.BEGIN, "Ended": ReadingReason.END}


def _signed(
    reason: ReadingReason,
    at: datetime,
    kwh: Decimal,
    page: int | None = None,
    serial: str = "MS-1",
    key: ec.EllipticCurvePrivateKey = _METER,
) -> str:
    """An OCMF record of a meter; without a page, the begin is its first one and the end its second."""
    reading = ReadingDraft(at=at, reason=reason, value=kwh, register="01-00:B2.08.00*FF", unit="kWh")
    number = page or (1 if reason is ReadingReason.BEGIN else 2)
    payload = OCMFPayload(
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=number),
        readings=(reading,),
        meter_serial=serial,
        gateway_serial="GS-1",
        gateway_id="GI-1",
        id_assigned=True,
        id_level="VERIFIED",
        id_flags=(),
        id_type="ISO14443",
        id_data="04A1",
    )
    return sign_ocmf(payload, key).decode()


_KEYS = (_METER, ec.generate_private_key(ec.SECP256R1()))


def _signed_entry(
    event: str, charger: str, transaction: str, minute: int, page: int, serial: str, key: int
) -> tuple[RecordKind, str]:
    at = T0 + timedelta(minutes=minute)
    signed = _signed(_REASONS.get(event, ReadingReason.CHARGING), at, Decimal(page), page, serial, _KEYS[key])
    value = _sample(at, _CONTEXTS.get(event, "Sample.Periodic"), Decimal(page), signed, _KEYS[key])
    entry = _entry(event, charger, transaction, minute, page, "A")
    return RecordKind.TRANSACTION, _with_payload(entry, "meterValue", [value])


def _signed_entries(count: int) -> tuple[RecordKind, str]:
    """One message with many values, all of them page 2."""
    at = T0 + timedelta(minutes=2)
    values = [
        _sample(moment, "Sample.Periodic", Decimal(2), _signed(ReadingReason.CHARGING, moment, Decimal(2), 2))
        for moment in (at + timedelta(milliseconds=number) for number in range(count))
    ]
    return RecordKind.TRANSACTION, _with_payload(_entry("Updated", "CP-1", "1", 2, 2, "A"), "meterValue", values)


signed_entries = st.builds(
    _signed_entry,
    st.sampled_from(["Started", "Updated", "Ended"]),
    chargers,
    transactions,
    minutes,
    st.integers(1, 9),
    st.sampled_from(["MS-1", "MS-2"]),
    st.integers(0, 1),
)


@st.composite
def one_session(draw: st.DrawFn) -> tuple[list[str], list[int], Decimal]:
    """The bodies of one session's messages in the order in which they were made, an order of arrival, and the kWh."""
    is_signed, named = draw(st.booleans()), draw(st.booleans())
    begin = Decimal(draw(st.integers(0, 10**6))).scaleb(-3)
    gains = draw(st.lists(st.integers(0, 10**5), min_size=1, max_size=5))
    register, bodies = begin, []
    for minute, (event, gain) in enumerate(
        [("Started", 0), *(("Updated", gain) for gain in gains[:-1]), ("Ended", gains[-1])]
    ):
        register += Decimal(gain).scaleb(-3)
        at = T0 + timedelta(minutes=minute)
        signed = _signed(_REASONS[event], at, register) if is_signed and event in _REASONS else None
        context = _CONTEXTS.get(event, "Sample.Periodic") if named or is_signed else "Sample.Periodic"
        bodies.append(_message(event, minute, _sample(at, context, register, signed)))
    return bodies, list(draw(st.permutations(range(len(bodies))))), register - begin


def _message(event: str, minute: int, value: dict[str, object]) -> str:
    payload = {
        "eventType": event,
        "timestamp": T0 + timedelta(minutes=minute),
        "triggerReason": "Trigger",
        "seqNo": minute,
        "transactionInfo": {"transactionId": "1"},
        "meterValue": [value],
    }
    entry = _entry(event, "CP-1", "1", minute, 0, "A")
    return _spoiled(entry, "frame", encode_call("m", "TransactionEvent", payload))


@settings(max_examples=150, deadline=None)
@given(one_session())
def test_any_order_of_a_sessions_messages_gives_the_same_energy(drawn: tuple[list[str], list[int], Decimal]) -> None:
    bodies, order, energy_kwh = drawn
    with _database() as connection:
        records = _chain([(RecordKind.TRANSACTION, bodies[index]) for index in order])
        _send(connection, _batch(records, 0, len(records)))
        ((text,),) = connection.execute("SELECT cdr FROM cdrs").fetchall()
        cdr = decode(Cdr, text, "cdr")
        assert (cdr.total_energy, cdr.start_date_time) == (energy_kwh, T0)
        assert cdr.end_date_time == T0 + timedelta(minutes=len(bodies) - 1)
        assert (cdr.signed_data is not None) == ("signedMeterValue" in bodies[0])
        unsigned = any(finding.startswith("unsigned-energy") for finding in cdr.findings)
        assert unsigned == (cdr.signed_data is None)
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _spoiled(entry: TransactionEntry, field: str, value: object) -> str:
    raw = {name: getattr(entry, name) for name in entry.__struct_fields__ if getattr(entry, name) is not None}
    return encode(raw | {field: value}).decode()


def _with_payload(entry: TransactionEntry, field: str, value: object) -> str:
    call = decode(list[Any], entry.frame, "frame")
    return _spoiled(entry, "frame", encode([*call[:3], call[3] | {field: value}]).decode())


_SAMPLE = _entry("Ended", "CP-1", "1", 1, 1, "A")
spoiled_entries = st.builds(_spoiled, st.just(_SAMPLE), st.sampled_from(_SAMPLE.__struct_fields__), json_values)
spoiled_payloads = st.builds(
    _with_payload,
    st.just(_SAMPLE),
    st.sampled_from(["eventType", "timestamp", "seqNo", "transactionInfo", "idToken", "meterValue", "evse"]),
    json_values,
)
registers = st.from_regex(r"-?(0|[1-9][0-9]{0,60})(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,7})?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(RecordKind)), st.one_of(st.text(max_size=40), spoiled_entries, spoiled_payloads))
@example(RecordKind.DECISION, '{"at": 1}')
def test_no_body_stops_the_ingest(kind: RecordKind, body: str) -> None:
    (record,) = _chain([(kind, body)])
    with _database() as connection:
        ingest(read_arrival(GATEWAY, record, T0), Books(connection, TERMS, T0), TERMS)


@settings(max_examples=200, deadline=None)
@given(registers, registers)
def test_no_register_stops_the_ingest(first: str, last: str) -> None:
    bodies = []
    for event, number in (("Started", first), ("Ended", last)):
        entry = _entry(event, "CP-1", "1", 1, 4711, "A")
        bodies.append((RecordKind.TRANSACTION, _spoiled(entry, "frame", entry.frame.replace("4711", number))))
    with _database() as connection:
        _send(connection, _batch(_chain(bodies), 0, 2))
        assert position_of(connection, Chain(GATEWAY, EPOCH)).seq == 2
