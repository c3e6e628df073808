"""A transaction message is taken, acknowledged and billed whatever its frame looks like."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.gateway.conftest import Bench
from tests.laws.test_station_laws import accounts
from wire.chain import RecordKind
from wire.ocpp.quirks import Quirk
from wire.records import TransactionEntry, decode

START = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": "2026-11-29T10:00:00Z"}
EVENT = {
    "eventType": "Started",
    "timestamp": "2026-11-29T10:00:00Z",
    "triggerReason": "CablePluggedIn",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t1"},
    "evse": {"id": 1},
}
MESSAGES = {
    "1.6": ("StartTransaction", START),
    "2.0.1": ("TransactionEvent", EVENT),
    "2.1": ("TransactionEvent", EVENT),
}


def entries(bench: Bench) -> list[TransactionEntry]:
    kept = (record for record in bench.records() if record.kind is RecordKind.TRANSACTION)
    return [decode(TransactionEntry, record.body, "record") for record in kept]


def hear(bench: Bench, ocpp: str, text: str) -> list[Any]:
    reply = asyncio.run(bench.station(ocpp).receive(text))
    assert reply is not None
    heard: list[Any] = json.loads(reply)
    return heard


@pytest.mark.parametrize("ocpp", MESSAGES)
@pytest.mark.parametrize(
    ("head", "tail", "message_id"),
    [
        ("2,123", "", 123),
        ("2,null", "", None),
        ('2,""', "", ""),
        ('2,"' + "x" * 300 + '"', "", "x" * 300),
        ('"2","m1"', "", "m1"),
        ('2.0,"m1"', "", "m1"),
        ('2,"m1"', ",{}", "m1"),
        ('2,["m1"]', "", "-1"),
        ("2", "", "-1"),
    ],
)
def test_a_frame_that_breaks_the_rules_is_taken_like_any_other(
    bench: Bench, ocpp: str, head: str, tail: str, message_id: object
) -> None:
    action, payload = MESSAGES[ocpp]
    text = f'[{head},"{action}",{json.dumps(payload)}{tail}]'
    heard = hear(bench, ocpp, text)
    assert heard[:2] == [3, message_id]
    if ocpp == "1.6":
        assert heard[2]["transactionId"] > 0
    (entry,) = entries(bench)
    assert (entry.frame, entry.quarantine, entry.session_id is not None) == (text, None, True)
    assert hear(bench, ocpp, text) == heard
    assert len(entries(bench)) == 1, "a resend is not a second record"
    assert len(accounts(bench)) == 1, "and the hub reads it as the gateway does"
    asyncio.run(bench.site.quirks.flush(bench.writer))
    noted = {row[0] for row in bench.reader.execute("SELECT quirk FROM quirks")}
    assert Quirk.BROKEN_FRAME in noted


@pytest.mark.parametrize("ocpp", MESSAGES)
@pytest.mark.parametrize("rest", ["]", ",{}]", ",null]", ',{"v":NaN}]', ",5]"])
@pytest.mark.parametrize("head", ['2,"m1"', '2,"m\\u0031"', '"2","m1"'])
def test_a_frame_without_a_payload_that_can_be_read_is_kept_shown_and_acknowledged(
    bench: Bench, ocpp: str, head: str, rest: str
) -> None:
    action, _ = MESSAGES[ocpp]
    text = f'[{head},"{action}"{rest}'
    assert hear(bench, ocpp, text)[:2] == [3, "m1"]
    (entry,) = entries(bench)
    assert entry.frame == text
    assert entry.quarantine
    assert bench.reader.execute("SELECT count(*) FROM quarantine").fetchone() == (1,)


def test_a_start_with_a_reservation_that_no_database_holds_gets_its_number(bench: Bench) -> None:
    start = json.dumps(START | {"reservationId": 10**22})
    heard = hear(bench, "1.6", f'[2,"m1","StartTransaction",{start}]')
    assert heard[2]["transactionId"] > 0
    (entry,) = entries(bench)
    assert (entry.quarantine, entry.session_id is not None) == (None, True)
