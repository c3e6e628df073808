"""Which session a transaction message is given to, when the station does not know or does not say."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.gateway.conftest import Bench, send


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
