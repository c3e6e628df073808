"""Which session a transaction message is given to, when the station does not know or does not say."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import Any

import pytest

from tests.gateway.conftest import Bench, send
from tests.laws.test_station_laws import accounts
from wire.chain import RecordKind
from wire.records import AuditEntry, ClockState, TransactionEntry, decode


class Unnumbered:
    """Sessions of a 1.6 station that never heard their numbers."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.station = bench, bench.station("1.6")
        self.numbers: list[str] = []

    def at(self, minutes: int) -> str:
        return (self.bench.clock.at + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")

    def start(self, connector: int, minutes: int, tag: str = "A") -> None:
        begun = {"connectorId": connector, "idTag": tag, "meterStart": 0, "timestamp": self.at(minutes)}
        answer: Any = send(self.station, "StartTransaction", begun)[2]
        self.numbers.append(str(answer["transactionId"]))

    def stop(self, number: int, minutes: int, **more: object) -> None:
        end = {"transactionId": self.number(number), "meterStop": 5, "timestamp": self.at(minutes), "idTag": "A"}
        send(self.station, "StopTransaction", end | more)

    def values(self, number: int, connector: int, minutes: int) -> None:
        value = {"timestamp": self.at(minutes), "sampledValue": [{"value": "7"}]}
        fields = {"connectorId": connector, "transactionId": self.number(number), "meterValue": [value]}
        send(self.station, "MeterValues", fields)

    def number(self, nth: int) -> int:
        """The number of the n-th start; what is not positive is said as it is."""
        return int(self.numbers[nth - 1]) if nth > 0 else nth

    def sessions(self) -> list[int | None]:
        """Which session each record was given to: the first one is 1."""
        given = [json.loads(record.body).get("transaction_id") for record in self.bench.records()]
        known = list(dict.fromkeys(each for each in given if each is not None))
        return [None if each is None else known.index(each) + 1 for each in given]


@pytest.mark.parametrize("number", [-1, 0, -7])
def test_an_end_without_a_number_ends_the_session_that_runs(bench: Bench, number: int) -> None:
    said = Unnumbered(bench)
    said.start(1, 0)
    said.start(2, 1)
    said.stop(2, 5)
    said.stop(number, 9)
    assert said.sessions() == [1, 2, 2, 1]


def test_an_end_without_a_number_is_not_given_to_a_session_that_has_ended(bench: Bench) -> None:
    """The start of this one was lost: its energy belongs to nobody else's session."""
    said = Unnumbered(bench)
    said.start(1, 0)
    said.stop(1, 5)
    said.stop(-1, 9)
    assert said.sessions() == [1, 1, 2]
    said.stop(-1, 9, reason="PowerLoss")
    assert said.sessions() == [1, 1, 2, 2], "another writing of that end goes where it went"
    said.stop(-1, 9)
    assert len(said.sessions()) == 4


def test_values_without_a_number_are_of_their_connector_also_after_the_end(bench: Bench) -> None:
    said = Unnumbered(bench)
    said.start(1, 0)
    said.start(2, 1)
    said.values(-1, 1, 3)
    said.stop(1, 5)
    said.values(0, 1, 6)
    said.values(1, 1, 7)
    assert said.sessions() == [1, 2, 1, 1, 1, 1]


def test_values_of_transaction_zero_make_no_session(bench: Bench) -> None:
    said = Unnumbered(bench)
    said.values(0, 1, 0)
    said.values(-1, 1, 1)
    assert said.sessions() == [None, None]


# --- ends without a number


def starts(bench: Bench, *registers: int, tags: str = "AB") -> list[int]:
    """The numbers of starts at connector 1, 2, ..."""
    station, at = bench.station("1.6"), stamp(bench)
    heard: list[Any] = []
    for connector, (register, tag) in enumerate(zip(registers, tags, strict=False), 1):
        fields = {"connectorId": connector, "idTag": tag, "meterStart": register, "timestamp": at}
        heard.append(send(station, "StartTransaction", fields, f"start-{connector}")[2])
    return [each["transactionId"] for each in heard]


def stamp(bench: Bench, seconds: int = 0) -> str:
    return (bench.clock.at + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def stop(bench: Bench, register: int, message_id: str = "stop", **more: object) -> TransactionEntry:
    """What is recorded of an end without number and tag."""
    fields = {"transactionId": -1, "meterStop": register, "timestamp": stamp(bench, 60), "reason": "PowerLoss"} | more
    assert send(bench.station("1.6"), "StopTransaction", fields, message_id)[0] == 3
    return recorded(bench)[-1]


def recorded(bench: Bench) -> list[TransactionEntry]:
    kept = (each for each in bench.records() if each.kind is RecordKind.TRANSACTION)
    return [decode(TransactionEntry, each.body, "record") for each in kept]


def doubts(bench: Bench) -> int:
    kept = (each for each in bench.records() if each.kind is RecordKind.AUDIT)
    return [decode(AuditEntry, each.body, "record").event for each in kept].count("session-in-doubt")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_register_tells_whose_an_end_is(bench: Bench, order: tuple[int, int]) -> None:
    numbers = starts(bench, 100_000, 5)
    for nth in order:
        assert stop(bench, (101_000, 900)[nth]).transaction_id == str(numbers[nth])
    assert doubts(bench) == 0


def test_an_end_below_the_registers_of_all_that_run_is_of_none_of_them(bench: Bench) -> None:
    numbers = starts(bench, 100_000, 200_000)
    assert stop(bench, 900).transaction_id not in {*map(str, numbers), None}


@pytest.mark.parametrize("named", [True, False])
def test_values_tell_whose_an_end_cannot_be(bench: Bench, named: bool) -> None:
    numbers = starts(bench, 0, 0)
    value = {"timestamp": stamp(bench, 30), "sampledValue": [{"value": "9", "unit": "kWh"}]}
    send(
        bench.station("1.6"),
        "MeterValues",
        {"connectorId": 1, "transactionId": numbers[0] if named else -1, "meterValue": [value]},
    )
    assert stop(bench, 2000).transaction_id == str(numbers[1])
    assert stop(bench, 9100).transaction_id == str(numbers[0])


def test_what_the_registers_do_not_tell_is_kept_apart_shown_and_acknowledged(bench: Bench) -> None:
    starts(bench, 0, 0)
    entry = stop(bench, 0)
    assert (entry.session_id, entry.transaction_id) == (None, None)
    assert "connector 1" in (entry.quarantine or "")
    assert "connector 2" in (entry.quarantine or "")
    assert doubts(bench) == 1
    assert bench.reader.execute("SELECT count(*) FROM sessions WHERE ended_at IS NULL").fetchone() == (2,)
    stop(bench, 0)
    assert len(recorded(bench)) == 3, "the same message under the same id is a resend"
    stop(bench, 0, "other")
    assert (len(recorded(bench)), doubts(bench)) == (4, 2)


def test_the_end_of_one_twin_is_not_taken_for_a_resend_of_the_others(bench: Bench) -> None:
    """Two connectors, one meter that stands: the same words may be said of both."""
    numbers = starts(bench, 0, 500)
    assert stop(bench, 0).transaction_id == str(numbers[0])
    bench.clock.at += timedelta(minutes=2)
    numbers += starts(bench, 0)
    bench.clock.at -= timedelta(minutes=2)
    stop(bench, 0, "retry")
    assert doubts(bench) == 0, "what started later cannot have ended then"
    assert len(recorded(bench)) == 4


def test_an_end_said_again_while_another_runs_at_that_register_is_in_doubt(bench: Bench) -> None:
    starts(bench, 1000, 90_000)
    first = stop(bench, 91_000)
    assert (first.quarantine, doubts(bench)) == (None, 0)
    stop(bench, 91_000)
    assert doubts(bench) == 0
    stop(bench, 91_000, "retry")
    assert doubts(bench) == 1, "the other may have come so far: nothing says how far it was"


# --- ids and starts that come again


def event(bench: Bench, kind: str, seq_no: int, register: int) -> dict[str, object]:
    return {
        "eventType": kind,
        "timestamp": stamp(bench),
        "triggerReason": "Authorized",
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": "1"},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": stamp(bench), "sampledValue": [{"value": register}]}],
    }


@pytest.mark.parametrize("ocpp", ["2.0.1", "2.1"])
def test_a_name_that_is_used_again_is_another_session_and_billed(bench: Bench, ocpp: str) -> None:
    told = []
    for nth in range(3):
        told.append(event(bench, "Started", 0, nth * 10_000))
        bench.clock.at += timedelta(minutes=10)
        told.append(event(bench, "Ended", 1, nth * 10_000 + 1000 * (nth + 1)))
        bench.clock.at += timedelta(days=30)
        for each in told[-2:]:
            assert send(bench.station(ocpp), "TransactionEvent", each)[0] == 3
    bench.restart()
    for each in told:
        send(bench.station(ocpp), "TransactionEvent", each, "again")
    first, last = [entry.reuse for entry in recorded(bench)][2::2]
    assert [entry.reuse for entry in recorded(bench)] == [0, 0, first, first, last, last], (
        "and resends are known as such"
    )
    assert len({0, first, last}) == 3
    assert [(str(kwh), billed) for *_, kwh, billed in accounts(bench)] == [("1", True), ("2", True), ("3", True)]


def test_what_was_written_before_the_name_was_used_again_stays_with_the_first(bench: Bench) -> None:
    station = bench.station("2.0.1")
    send(station, "TransactionEvent", event(bench, "Started", 0, 0))
    bench.clock.at += timedelta(minutes=5)
    late = event(bench, "Updated", 1, 500)
    bench.clock.at += timedelta(minutes=5)
    send(station, "TransactionEvent", event(bench, "Ended", 2, 1000))
    bench.clock.at += timedelta(minutes=5)
    send(station, "TransactionEvent", event(bench, "Started", 0, 1000))
    send(station, "TransactionEvent", late)
    send(station, "TransactionEvent", event(bench, "Updated", 1, 1100))
    again = recorded(bench)[-1].reuse
    assert again > 0
    assert [entry.reuse for entry in recorded(bench)] == [0, 0, again, 0, again]


@pytest.mark.parametrize("state", [ClockState.UNKNOWN, ClockState.DRIFTING])
def test_a_store_that_was_put_back_gives_nothing_again_of_what_it_gave_since(
    bench: Bench, state: ClockState, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Though its clock stands, so that nothing tells how long ago that was."""
    bench.clock.state = state
    started = {"connectorId": 1, "idTag": "A", "meterStart": 0}

    def charge() -> list[str | None]:
        numbers = [
            send(bench.station("1.6"), "StartTransaction", started | {"timestamp": stamp(bench), "meterStart": nth})[2]
            for nth in range(30)
        ]
        for kind in ("Started", "Ended", "Started", "Ended"):
            bench.clock.at += timedelta(seconds=1)
            send(bench.station("2.0.1"), "TransactionEvent", event(bench, kind, 0, 0))
        assert all(0 < each["transactionId"] < 2**31 for each in numbers)
        return [entry.session_id for entry in recorded(bench)[-34:]]

    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Started", 0, 0))
    bench.clock.at += timedelta(seconds=1)
    send(bench.station("2.0.1"), "TransactionEvent", event(bench, "Ended", 1, 0))
    bench.close()
    image, at = tmp_path_factory.mktemp("kept") / "image", bench.clock.at
    shutil.copytree(bench.folder, image)
    bench.open()
    lost = charge()
    bench.close()
    shutil.rmtree(bench.folder)
    shutil.copytree(image, bench.folder)
    bench.clock.at = at
    bench.open()
    assert set(lost).isdisjoint(charge())


@pytest.mark.parametrize("year", [1970, 2022])
def test_a_clock_that_stands_does_not_swallow_the_second_session(bench: Bench, year: int) -> None:
    station = bench.station("1.6")
    begun = {"connectorId": 1, "idTag": "A", "meterStart": 500, "timestamp": f"{year}-01-01T00:00:07Z"}
    over = {"meterStop": 500, "timestamp": f"{year}-01-01T00:01:00Z"}
    numbers: list[int] = []
    for nth in range(3):
        heard: Any = send(station, "StartTransaction", begun, f"start-{nth}")[2]
        assert send(station, "StartTransaction", begun, f"again-{nth}")[2] == heard
        numbers.append(heard["transactionId"])
        send(station, "StopTransaction", over | {"transactionId": numbers[-1]}, f"stop-{nth}")
    assert len(set(numbers)) == 3
    assert len(recorded(bench)) == 6


def test_a_start_whose_clock_went_right_is_known_also_long_after_its_end(bench: Bench) -> None:
    station = bench.station("1.6")
    begun = {"connectorId": 1, "idTag": "A", "meterStart": 500, "timestamp": stamp(bench)}
    heard: Any = send(station, "StartTransaction", begun)[2]
    over = {"meterStop": 500, "timestamp": stamp(bench, 60), "transactionId": heard["transactionId"]}
    send(station, "StopTransaction", over)
    bench.clock.at += timedelta(days=40)
    assert send(station, "StartTransaction", begun, "again")[2] == heard
    assert len(recorded(bench)) == 2
