"""What a station does that no schema shows: counted, alarmed where it must be, and never a reason to lose a message."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.chargers.calls import Calls
from gateway.chargers.connected import MODULES
from gateway.chargers.station import Station
from gateway.errors import CallFailed
from tests.gateway.conftest import Bench
from wire.chain import RecordKind
from wire.ocpp.quirks import Quirk
from wire.records import AuditEntry, TransactionEntry, TransactionEvent, decode


def send(station: Station, action: str, payload: object, message_id: str = "m1") -> list[object]:
    """What the station hears back for a CALL under this very id."""
    reply = asyncio.run(station.receive(json.dumps([2, message_id, action, payload])))
    assert reply is not None
    decoded: list[object] = json.loads(reply)
    return decoded


def audits(bench: Bench) -> list[AuditEntry]:
    return [decode(AuditEntry, each.body, "record") for each in bench.records() if each.kind is RecordKind.AUDIT]


def entries(bench: Bench) -> list[TransactionEntry]:
    kept = (each for each in bench.records() if each.kind is RecordKind.TRANSACTION)
    return [decode(TransactionEntry, each.body, "record") for each in kept]


def quirks(bench: Bench) -> Counter[str]:
    asyncio.run(bench.site.quirks.flush(bench.writer))
    rows = bench.reader.execute("SELECT quirk, count FROM quirks")
    return Counter({quirk: count for quirk, count in rows})


def event(bench: Bench, kind: str, seq_no: int, **more: object) -> dict[str, object]:
    at = (bench.clock.at - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    return {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "T-1"},
    } | more


# --- message ids


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
def test_an_id_that_named_another_message_is_alarmed_once_and_the_message_is_new(bench: Bench, ocpp: str) -> None:
    station = bench.station(ocpp)
    for seq_no in range(3):
        assert send(station, "TransactionEvent", event(bench, "Updated", seq_no), "same")[0] == 3
    assert len(entries(bench)) == 3
    assert [entry.event for entry in audits(bench)] == ["message-id-reused"]
    assert quirks(bench)[Quirk.REUSED_MESSAGE_ID] == 2


def test_a_retry_under_its_old_id_is_no_alarm_and_another_connection_has_ids_of_its_own(bench: Bench) -> None:
    station = bench.station("2.0.1")
    for _ in range(2):
        send(station, "TransactionEvent", event(bench, "Started", 0), "1")
    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Updated", 1), "1")
    assert (len(entries(bench)), audits(bench)) == (2, [])


# --- clocks, numbers, rewriting

YEAR = 60 * 24 * 365


@pytest.mark.parametrize(
    ("minutes", "wrong"),
    [(-60 * 24 * 400, 0), (0, 0), (4, 0), (6, 1), (60 * 24 * 365 * 20, 1), (-60 * 24 * 365 * 40, 1)],
)
def test_a_clock_that_cannot_be_right_is_counted(bench: Bench, minutes: int, wrong: int) -> None:
    at = (bench.clock.at + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Started", 0, timestamp=at))
    assert len(entries(bench)) == 1
    assert quirks(bench)[Quirk.WRONG_CLOCK] == wrong


def test_a_stop_without_a_number_and_one_that_is_written_anew_are_counted(bench: Bench) -> None:
    station = bench.station("1.6")
    at = bench.clock.at.isoformat().replace("+00:00", "Z")
    stop = {"transactionId": 0, "meterStop": 5, "timestamp": at}
    first = send(station, "StopTransaction", stop)
    assert send(station, "StopTransaction", stop | {"reason": "Reboot"}) == first
    assert quirks(bench) == {Quirk.NO_TRANSACTION_NUMBER: 2, Quirk.REWRITTEN_MESSAGE: 1, Quirk.REUSED_MESSAGE_ID: 1}
    assert {entry.transaction_id for entry in entries(bench)} == {entries(bench)[0].transaction_id}


def test_a_transaction_that_starts_again_after_its_end_is_alarmed(bench: Bench) -> None:
    station = bench.station("2.0.1")
    told = [event(bench, "Started", 0), event(bench, "Ended", 1)]
    for each in told:
        send(station, "TransactionEvent", each, f"m{each['seqNo']}")
    send(station, "TransactionEvent", told[0], "again")
    assert audits(bench) == [], "a resend is no second start"
    later = bench.clock.at.isoformat().replace("+00:00", "Z")
    assert send(station, "TransactionEvent", event(bench, "Started", 0, timestamp=later), "m2")[0] == 3
    assert [entry.event for entry in audits(bench)] == ["transaction-id-reused"]
    assert quirks(bench)[Quirk.REUSED_TRANSACTION_ID] == 1
    assert [entry.reuse > 0 for entry in entries(bench)] == [False, False, True]
    assert len({entry.session_id for entry in entries(bench)}) == 2


# --- sequence numbers


class Answering:
    """A station at the other end of a connection: answers GetTransactionStatus."""

    def __init__(self, bench: Bench, ocpp: str, answer: dict[str, object]) -> None:
        self.asked: list[Any] = []
        self._answer = answer
        self.station = Station(bench.site, "CP-1", ocpp, Calls("CP-1", self._sent))
        self._later: set[asyncio.Task[None]] = set()

    async def _sent(self, text: str) -> None:
        call = json.loads(text)
        self.asked.append(call[2:])
        if call[0] == 5:
            return
        self._later.add(asyncio.create_task(self._say([3, call[1], self._answer])))

    async def _say(self, frame: object) -> None:
        await self.station.receive(json.dumps(frame))

    def play(self, bench: Bench, *events: dict[str, object], until: Callable[[], bool]) -> None:
        """Send the events, and wait until `until` holds; looked at whenever something was stored."""

        async def run() -> None:
            for number, each in enumerate(events):
                await self._say([2, f"m{number}", "TransactionEvent", each])
            async with asyncio.timeout(60):
                while not until():
                    await bench.writer.run(lambda connection: None)

        asyncio.run(run())


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
@pytest.mark.parametrize(("queued", "said"), [(True, "still queued"), (False, "no message of it is queued")])
def test_a_gap_at_the_end_is_noted_and_asked_about(bench: Bench, ocpp: str, queued: bool, said: str) -> None:
    peer = Answering(bench, ocpp, {"messagesInQueue": queued})
    told = [event(bench, "Started", 3), event(bench, "Updated", 4), event(bench, "Ended", 9)]
    peer.play(bench, *told, until=lambda: len(audits(bench)) == 2)
    gap, status = audits(bench)
    assert gap.event == "transaction-gap"
    assert "4 between 3 and 9" in gap.message
    assert status.event == "transaction-status"
    assert said in status.message
    assert peer.asked == [["GetTransactionStatus", {"transactionId": "T-1"}]]


@pytest.mark.parametrize(
    "numbers",
    [(0, 1, 2), (7, 8, 9), (0, 0, 0), (2, 1, 0)],
    ids=["from 0", "a running counter", "always 0", "backwards"],
)
def test_numbers_without_a_gap_raise_no_question(bench: Bench, numbers: tuple[int, ...]) -> None:
    station = bench.station("2.0.1")
    for kind, number in zip(("Started", "Updated", "Ended"), numbers, strict=True):
        for _ in range(2):  # A resend is no further number.
            send(station, "TransactionEvent", event(bench, kind, number), f"m-{kind}")
    assert len(entries(bench)) == 3
    assert audits(bench) == []
    assert quirks(bench)[Quirk.REPEATED_SEQUENCE] == (1 if numbers == (0, 0, 0) else 0)


def test_numbers_are_remembered_over_a_restart(bench: Bench) -> None:
    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Started", 0))
    bench.restart()
    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Ended", 1))
    assert audits(bench) == []


# --- answers that cannot be read


@pytest.mark.parametrize(("ocpp", "told"), [("2.0.1", False), ("2.1", True)])
def test_an_answer_that_cannot_be_read_is_refused_in_21(bench: Bench, ocpp: str, told: bool) -> None:
    peer = Answering(bench, ocpp, {"ongoingIndicator": "maybe"})

    async def run() -> None:
        with pytest.raises(CallFailed, match="messagesInQueue") as failed:
            await peer.station.ask(MODULES[ocpp].GetTransactionStatus())
        assert failed.value.code == "unreadable-answer"

    asyncio.run(run())
    assert [each[0] for each in peer.asked[1:]] == (["OccurrenceConstraintViolation"] if told else [])


def test_a_refused_answer_changes_nothing_and_is_not_answered(bench: Bench) -> None:
    refusal = '[5,"m1","FormatViolation","why",{}]'
    assert asyncio.run(bench.station("2.1").receive(refusal)) is None
    assert bench.records() == []


# --- periodic event streams of 2.1


STREAM = {"id": 1, "pending": 0, "basetime": "2026-03-01T12:00:00Z", "data": [{"t": 0, "v": "230.1"}]}


def say(station: Station, action: str, payload: object) -> str | None:
    return asyncio.run(station.receive(json.dumps([6, "s1", action, payload])))


def test_a_stream_is_recorded_once_and_never_answered(bench: Bench) -> None:
    station = bench.station("2.1")
    for _ in range(2):
        assert say(station, "NotifyPeriodicEventStream", STREAM) is None
    (entry,) = entries(bench)
    assert (entry.event, entry.session_id, entry.quarantine) == (TransactionEvent.METER_VALUES, None, None)
    assert json.loads(entry.frame)[3] == STREAM


def test_a_stream_that_cannot_be_read_is_kept_and_shown(bench: Bench) -> None:
    assert say(bench.station("2.1"), "NotifyPeriodicEventStream", {"id": 1}) is None
    (entry,) = entries(bench)
    assert entry.quarantine is not None
    assert say(bench.station("2.1"), "Whatever", {}) is None
    assert len(entries(bench)) == 1


def test_a_send_is_no_frame_of_201(bench: Bench) -> None:
    answer = say(bench.station("2.0.1"), "NotifyPeriodicEventStream", STREAM)
    assert answer is not None
    assert json.loads(answer)[2] == "MessageTypeNotSupported"
    assert entries(bench) == []
