"""Shedding: what may give way and what never, one value a quarter of an hour, tombstones, counts that outlive kills."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.ledger.verify import verify_ledger
from gateway.store.ledger import append, head, move_position
from gateway.store.release import released
from gateway.store.shedding import LATEST, ONE_EACH_S, Thinning, bury_unkept, is_periodic
from gateway.store.unkept import unkept
from tests.gateway.conftest import Bench, send
from wire.chain import Record, RecordKind
from wire.ocpp.transaction import read_transaction
from wire.records import AuditEntry, TransactionEntry, decode
from wire.tombstone import Tombstone, TombstoneReason

AT = "2026-11-23T12:00:00Z"
OCMF = 'OCMF|{"FV":"1.0"}|{"SD":"3045"}'


def values16(**sample: object) -> dict[str, Any]:
    told = {"value": "17"} | sample
    return {"connectorId": 1, "transactionId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [told]}]}


def event(trigger: str = "MeterValuePeriodic", kind: str = "Updated", **more: object) -> dict[str, Any]:
    sampled = more.pop("sampled", {"value": 17, "context": "Sample.Periodic"})
    told = {
        "eventType": kind,
        "timestamp": AT,
        "triggerReason": trigger,
        "seqNo": 1,
        "transactionInfo": {"transactionId": "T-1"},
        "meterValue": [{"timestamp": AT, "sampledValue": [sampled]}],
    }
    return told | more


SIGNED = {"signedMeterData": "eyJ9", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
STAY: list[tuple[str, str, dict[str, Any]]] = [
    ("1.6", "MeterValues", values16(format="SignedData", value=OCMF)),
    ("1.6", "MeterValues", values16(value=OCMF)),
    ("1.6", "MeterValues", values16(value="AP;0;3;AJ2CGWOVBA7KYT6NGJQNGFX2OAW6T65PIHBG5LLB")),
    ("1.6", "MeterValues", values16(context="Transaction.Begin")),
    ("1.6", "MeterValues", values16(context="Transaction.End")),
    ("1.6", "MeterValues", values16(context="Interruption.Begin")),
    ("1.6", "MeterValues", values16(publicKey="3059")),
    ("1.6", "MeterValues", values16(customData={"vendorId": "x"})),
    ("1.6", "StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": AT}),
    ("1.6", "StopTransaction", {"transactionId": 1, "meterStop": 5, "timestamp": AT}),
    ("2.0.1", "TransactionEvent", event(kind="Started")),
    ("2.0.1", "TransactionEvent", event(kind="Ended")),
    ("2.0.1", "TransactionEvent", event("ChargingStateChanged")),
    ("2.0.1", "TransactionEvent", event("Authorized", idToken={"idToken": "A", "type": "ISO14443"})),
    ("2.0.1", "TransactionEvent", event(idToken={"idToken": "A", "type": "ISO14443"})),
    ("2.0.1", "TransactionEvent", event(sampled={"value": 17, "signedMeterValue": SIGNED})),
    ("2.0.1", "TransactionEvent", event(sampled={"value": 17, "context": "Transaction.Begin"})),
    ("2.0.1", "TransactionEvent", event(meterValue=[])),
    ("2.1", "TransactionEvent", event(sampled={"value": 17, "signedMeterValue": SIGNED})),
]
GO: list[tuple[str, str, dict[str, Any]]] = [
    ("1.6", "MeterValues", values16()),
    ("1.6", "MeterValues", values16(context="Sample.Periodic", format="Raw", measurand="Voltage", unit="V")),
    ("1.6", "MeterValues", values16(context="Sample.Clock")),
    ("2.0.1", "TransactionEvent", event()),
    ("2.0.1", "TransactionEvent", event("MeterValueClock", sampled={"value": 1.5, "context": "Sample.Clock"})),
    ("2.0.1", "MeterValues", {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": [{"value": 3}]}]}),
    ("2.1", "TransactionEvent", event()),
]


def periodic(ocpp: str, action: str, payload: dict[str, Any]) -> bool:
    data = json.dumps(payload)
    return is_periodic(action, f'[2,"1","{action}",{data}]', read_transaction(ocpp, action, data.encode()))


@pytest.mark.parametrize(("ocpp", "action", "payload"), STAY)
def test_stays(ocpp: str, action: str, payload: dict[str, Any]) -> None:
    assert not periodic(ocpp, action, payload)


@pytest.mark.parametrize(("ocpp", "action", "payload"), GO)
def test_may_give_way(ocpp: str, action: str, payload: dict[str, Any]) -> None:
    assert periodic(ocpp, action, payload)


class Shedder:
    """A site with a charger of either version, and hands to shed."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.thinning, self.number = bench, Thinning(), 0
        self.counting = False
        bench.site = replace(bench.site, counts_values=lambda: self.counting)

    def begin(self) -> None:
        fields = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": self.at()}
        answer = send(self.bench.station("1.6"), "StartTransaction", fields)[2]
        assert isinstance(answer, dict)
        self.number = int(answer["transactionId"])

    def at(self) -> str:
        return self.bench.clock.at.isoformat().replace("+00:00", "Z")

    def value(self, after_s: float = 10, **sample: object) -> list[object]:
        self.bench.clock.move(after_s)
        told = {"value": str(self.bench.clock.mono_ns // 10**9)} | sample
        value = {"timestamp": self.at(), "sampledValue": [told]}
        fields = {"connectorId": 1, "transactionId": self.number, "meterValue": [value]}
        return send(self.bench.station("1.6"), "MeterValues", fields)

    def end(self) -> list[object]:
        fields = {"transactionId": self.number, "meterStop": 9, "timestamp": self.at()}
        return send(self.bench.station("1.6"), "StopTransaction", fields)

    def do(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return asyncio.run(self.bench.writer.run(work))

    def bury_deep(self) -> None:
        """Put so much behind everything that none of it is among the latest."""
        entry, now = AuditEntry(event="test", subject="site-1", message="x"), self.bench.clock.now()

        def work(connection: sqlite3.Connection) -> None:
            for _ in range(LATEST):
                append(connection, self.bench.site.owner, RecordKind.AUDIT, entry, now)

        self.do(work)

    def thin(self, limit: int = 500) -> int:
        shed, now = 0, self.bench.clock.now()
        while True:
            looked_at, gone = self.do(lambda c: self.thinning.step(c, self.bench.site.owner, now, limit))
            shed += gone
            if not looked_at:
                return shed

    def gone(self) -> list[int]:
        return [each.seq for each in self.bench.records() if each.is_released]

    def tombstones(self) -> list[Tombstone]:
        return tombstones(self.bench.records())


def tombstones(records: list[Record]) -> list[Tombstone]:
    return [decode(Tombstone, each.body, "tombstone") for each in records if each.kind is RecordKind.TOMBSTONE]


@pytest.fixture
def shedder(bench: Bench) -> Shedder:
    # Values of a few seconds are to be of one quarter of an hour.
    bench.clock.move(ONE_EACH_S - bench.clock.at.timestamp() % ONE_EACH_S)
    made = Shedder(bench)
    made.begin()
    return made


def test_one_value_of_a_session_stays_each_quarter_of_an_hour(shedder: Shedder) -> None:
    for _ in range(3 * ONE_EACH_S // 60):
        shedder.value(60)
    shedder.end()
    shedder.bury_deep()
    shed = shedder.thin()
    kept = [
        each
        for each in shedder.bench.records()
        if not each.is_released
        and each.kind is RecordKind.TRANSACTION
        and decode(TransactionEntry, each.body, "record").action == "MeterValues"
    ]
    quarters = [int(each.at.timestamp()) // ONE_EACH_S for each in kept]
    assert len(quarters) == len(set(quarters))
    assert 3 <= len(kept) <= 4
    assert shed == 45 - len(kept) == len(shedder.gone())
    (found,) = shedder.tombstones()
    assert found.reason is TombstoneReason.BUDGET
    (range_,) = found.shed
    assert (range_.first_seq, range_.last_seq, range_.count) == (shedder.gone()[0], shedder.gone()[-1], shed)
    shedder.bench.check_chain()
    report = verify_ledger(shedder.bench.reader, None, lambda done, total: None)
    assert report.findings == ()
    assert report.released == released(shedder.bench.reader).records == shed


def test_begin_end_signed_and_latest_stay(shedder: Shedder) -> None:
    shedder.value()
    shedder.value(format="SignedData", value=OCMF)
    for _ in range(5):
        shedder.value(1)
    shedder.end()
    before = head(shedder.bench.reader).seq
    assert shedder.thin() == 0, "all of them are among the latest"
    shedder.bury_deep()
    assert shedder.thin() == 5
    named = {each.seq for each in shedder.bench.records() if each.seq <= before and not each.is_released}
    bodies = [each.body for each in shedder.bench.records() if each.seq in named]
    assert sum("StartTransaction" in body for body in bodies) == 1
    assert sum("StopTransaction" in body for body in bodies) == 1
    assert sum("OCMF" in body for body in bodies) == 1


def test_what_the_hub_has_is_not_thinned(shedder: Shedder) -> None:
    for _ in range(10):
        shedder.value()
    acked = head(shedder.bench.reader).seq
    shedder.do(lambda connection: move_position(connection, acked))
    shedder.bury_deep()
    assert shedder.thin() == 0
    assert shedder.tombstones() == []


def test_thinning_goes_on_where_it_was(shedder: Shedder) -> None:
    for _ in range(20):
        shedder.value(1)
    shedder.bury_deep()
    now = shedder.bench.clock.now()
    owner = shedder.bench.site.owner
    looked_at, gone = shedder.do(lambda connection: shedder.thinning.step(connection, owner, now, 10))
    assert (looked_at, gone) == (10, 8), "the beginning and the first value stay"
    shedder.thinning = Thinning()
    assert shedder.thin() == 10, "after a restart each session keeps one more"
    assert shedder.thin() == 0


def test_step_that_was_rolled_back_is_forgotten(shedder: Shedder) -> None:
    for _ in range(20):
        shedder.value(1)
    shedder.bury_deep()
    now, owner = shedder.bench.clock.now(), shedder.bench.site.owner

    def step(connection: sqlite3.Connection) -> tuple[int, int]:
        return shedder.thinning.step(connection, owner, now, 10)

    def failing(connection: sqlite3.Connection) -> None:
        assert step(connection) == (10, 8)
        raise ValueError("the piece is rolled back")

    with pytest.raises(ValueError, match="rolled back"):
        shedder.do(failing)
    assert shedder.do(step) == (10, 8), "the value that stays is the same one"
    assert shedder.thinning.shed == 8


def test_altered_value_stays(shedder: Shedder) -> None:
    for _ in range(4):
        shedder.value(1)
    shedder.do(lambda connection: connection.execute("UPDATE records SET mono_ns = 1 WHERE seq = 3").rowcount)
    shedder.bury_deep()
    shedder.thin()
    assert 3 not in shedder.gone()


def test_end_without_a_number_still_finds_its_session(shedder: Shedder) -> None:
    for _ in range(30):
        shedder.value(1)
    shedder.bury_deep()
    assert shedder.thin() == 29
    fields = {"transactionId": -1, "meterStop": 9000, "timestamp": shedder.at(), "idTag": "A"}
    send(shedder.bench.station("1.6"), "StopTransaction", fields)
    (ended,) = shedder.bench.reader.execute("SELECT ended_at FROM sessions").fetchone()
    assert ended is not None


def test_values_are_counted_instead_of_stored_and_acknowledged(shedder: Shedder) -> None:
    shedder.value()
    shedder.counting = True
    before = head(shedder.bench.reader).seq
    for _ in range(7):
        assert shedder.value()[0] == 3
    assert head(shedder.bench.reader).seq == before
    assert unkept(shedder.bench.reader) == 7
    shedder.value(format="SignedData", value=OCMF)
    shedder.end()
    assert head(shedder.bench.reader).seq == before + 2, "what is signed, and the end"
    shedder.bench.restart()
    assert unkept(shedder.bench.reader) == 7, "a kill loses no count"
    now = shedder.bench.clock.now()
    assert shedder.do(lambda connection: bury_unkept(connection, shedder.bench.site.owner, now)) == 7
    assert shedder.do(lambda connection: bury_unkept(connection, shedder.bench.site.owner, now)) == 0
    (found,) = shedder.tombstones()
    (count,) = found.not_kept
    assert (count.charger_id, count.action, count.count) == ("CP-1", "MeterValues", 7)
    assert (count.last_at - count.first_at).total_seconds() == 60
    assert unkept(shedder.bench.reader) == 0


def test_value_that_came_before_is_not_counted(shedder: Shedder) -> None:
    first = shedder.value()
    shedder.counting = True
    assert shedder.value(0) == first
    assert unkept(shedder.bench.reader) == 0


def test_value_of_a_session_that_is_not_known_is_stored(shedder: Shedder) -> None:
    shedder.counting, shedder.number = True, 4711
    before = head(shedder.bench.reader).seq
    shedder.value()
    assert head(shedder.bench.reader).seq == before + 1
    shedder.value()
    assert head(shedder.bench.reader).seq == before + 1, "the next is of a known one"


def test_numbers_of_counted_messages_leave_no_gap(bench: Bench) -> None:
    shedder = Shedder(bench)
    station = bench.station("2.0.1")
    send(station, "TransactionEvent", event("Authorized", kind="Started") | {"seqNo": 0})
    shedder.counting = True
    for number in (1, 2, 3):
        send(station, "TransactionEvent", event() | {"seqNo": number})
    shedder.counting = False
    send(station, "TransactionEvent", event("StopAuthorized", kind="Ended") | {"seqNo": 4})
    assert unkept(bench.reader) == 3
    assert not any("gap" in each.body for each in bench.records() if each.kind is RecordKind.AUDIT)
