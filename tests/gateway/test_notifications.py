"""What stations tell: kept as the newest of its kind, entered into the chain of evidence or acknowledged, and heard by
whoever listens."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.chargers.calls import Calls
from gateway.chargers.station import Station
from gateway.store.notices import MAX_PAYLOAD, MAX_SUBJECTS, notices
from tests.gateway.conftest import Bench, nobody_listens, send
from wire.chain import RecordKind
from wire.ocpp.payload import Message
from wire.records import AuditEntry, decode

AT = "2026-11-29T10:00:00Z"
BOOT = {
    "1.6": {"chargePointVendor": "V", "chargePointModel": "M"},
    "2.0.1": {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}},
}
BOOT["2.1"] = BOOT["2.0.1"]


def booted(bench: Bench, version: str) -> Station:
    station = bench.station(version)
    assert send(station, "BootNotification", BOOT[version])[0] == 3
    return station


def kept(bench: Bench) -> dict[tuple[str, str], object]:
    return {(each.action, each.subject): json.loads(each.payload) for each in notices(bench.reader, "cp-1")}


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_the_newest_state_of_each_connector_is_kept_over_a_restart(bench: Bench, version: str) -> None:
    station = booted(bench, version)
    for evse, state in ((1, "Available"), (2, "Occupied"), (1, "Faulted")):
        told = {"timestamp": AT, "connectorStatus": state, "evseId": evse, "connectorId": 1}
        assert send(station, "StatusNotification", told) == [3, "m1", {}]
    bench.restart()
    found = kept(bench)
    assert found["StatusNotification", "1/1"]["connectorStatus"] == "Faulted"  # type: ignore[index]
    assert found["StatusNotification", "2/1"]["connectorStatus"] == "Occupied"  # type: ignore[index]


def test_states_of_16_are_kept_by_connector(bench: Bench) -> None:
    station = booted(bench, "1.6")
    for connector in (0, 1):
        told = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
        assert send(station, "StatusNotification", told) == [3, "m1", {}]
    assert {subject for _, subject in kept(bench)} == {"0", "1"}


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_a_security_event_stands_in_the_chain_of_evidence(bench: Bench, version: str) -> None:
    station = booted(bench, version)
    told = {"type": "TamperDetectionActivated", "timestamp": AT, "techInfo": "door"}
    assert send(station, "SecurityEventNotification", told) == [3, "m1", {}]
    (entry,) = [
        decode(AuditEntry, record.body, "audit") for record in bench.records() if record.kind is RecordKind.AUDIT
    ]
    assert (entry.event, entry.subject) == ("security-event", "CP-1")
    assert json.loads(entry.message) == told
    bench.check_chain()


def test_custom_data_of_a_kept_notice_survives_to_the_letter(bench: Bench) -> None:
    station = booted(bench, "2.1")
    told = {"status": "Idle", "customData": {"vendorId": "X", "X-Foo_Bar": [1.10, None]}}
    assert send(station, "FirmwareStatusNotification", told) == [3, "m1", {}]
    assert kept(bench)["FirmwareStatusNotification", ""] == told


def test_what_is_kept_of_one_charger_is_bounded(bench: Bench) -> None:
    station = booted(bench, "2.0.1")
    for evse in range(MAX_SUBJECTS + 5):
        told = {"timestamp": AT, "connectorStatus": "Available", "evseId": evse, "connectorId": 1}
        send(station, "StatusNotification", told)
    assert len(kept(bench)) == MAX_SUBJECTS
    long = {"status": "Uploaded", "customData": {"vendorId": "X", "much": "x" * MAX_PAYLOAD}}
    assert send(station, "LogStatusNotification", long) == [3, "m1", {}]
    assert kept(bench)["LogStatusNotification", ""] is None


def test_whoever_listens_hears_what_is_only_acknowledged(bench: Bench) -> None:
    heard: list[tuple[Station, Message]] = []

    def tell(told_by: Station, request: Message) -> None:
        heard.append((told_by, request))

    station = Station(bench.site, "CP-1", "2.0.1", Calls("CP-1", nobody_listens), tell)
    send(station, "BootNotification", BOOT["2.0.1"])
    report = {"requestId": 4, "generatedAt": AT, "seqNo": 0}
    assert json.loads(asyncio.run(station.receive(json.dumps([2, "m2", "NotifyReport", report]))) or "") == [
        3,
        "m2",
        {},
    ]
    assert [type(request).__name__ for _, request in heard] == ["BootNotification", "NotifyReport"]
    assert all(told_by is station for told_by, _ in heard)


@pytest.mark.parametrize(
    ("version", "action", "payload", "answer"),
    [
        (
            "2.0.1",
            "NotifyEVChargingNeeds",
            {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}},
            {"status": "Rejected"},
        ),
        (
            "2.1",
            "NotifyEVChargingNeeds",
            {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}},
            {"status": "NoChargingProfile"},
        ),
        ("2.1", "PullDynamicScheduleUpdate", {"chargingProfileId": 3}, {"status": "Rejected"}),
        (
            "2.1",
            "NotifySettlement",
            {"pspRef": "P", "status": "Settled", "settlementAmount": 3.5, "settlementTime": AT},
            {},
        ),
    ],
)
def test_answers_that_say_something(
    bench: Bench, version: str, action: str, payload: dict[str, object], answer: dict[str, object]
) -> None:
    assert send(booted(bench, version), action, payload) == [3, "m1", answer]
