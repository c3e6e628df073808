"""By which instant dates are judged: the table, and what follows for contracts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.decide.contract import judge_contract
from gateway.decide.dates import JUDGED_BY, Dated, judged_at
from gateway.decide.policy import Choice, SitePolicy
from tests.gateway.conftest import Bench
from tests.parts import NOON, SetClock
from wire.records import ClockState

EARLY = NOON - timedelta(days=1)
T, D, U = ClockState.TRUSTED, ClockState.DRIFTING, ClockState.UNKNOWN


def test_table_is_whole() -> None:
    assert set(JUDGED_BY) == set(Dated)
    assert all(set(row) == set(ClockState) for row in JUDGED_BY.values())


@pytest.mark.parametrize("state", [T, D])
@pytest.mark.parametrize("what", Dated)
def test_known_time_decides_and_what_is_kept_goes_late(what: Dated, state: ClockState) -> None:
    now = SetClock(state=state, earliest=EARLY).now()
    assert judged_at(what, now) == (EARLY if what is Dated.KEEPING else NOON)
    assert judged_at(what, SetClock(state=state).now()) == NOON


@pytest.mark.parametrize("what", Dated)
@pytest.mark.parametrize("choice", Choice)
def test_unknown_time_decides_nothing_but_what_the_table_says(what: Dated, choice: Choice) -> None:
    known_once = SetClock(state=U, earliest=EARLY).now()
    by_floor = what is Dated.STATION or (what is Dated.CONTRACT and choice is Choice.ACCEPT)
    assert judged_at(what, known_once, choice) == (EARLY if by_floor else None)
    assert judged_at(what, SetClock(state=U).now(), choice) is None


@pytest.mark.parametrize(
    ("choice", "earliest_days", "code"),
    [
        (Choice.REFUSE, 0, "clock-unknown"),
        (Choice.ACCEPT, None, "clock-unknown"),
        (Choice.ACCEPT, 0, "accepted"),
        (Choice.ACCEPT, 36500, "expired"),
    ],
)
def test_contract_while_the_time_is_not_known(
    bench: Bench, lab: Path, choice: Choice, earliest_days: int | None, code: str
) -> None:
    """The system shows 1970; what counts is when the time was known last."""
    known = bench.clock.at
    earliest = None if earliest_days is None else known + timedelta(days=earliest_days)
    clock = SetClock(at=NOON - timedelta(days=20000), state=U, earliest=earliest)
    alice = (lab / "contracts" / "alice.pem").read_text()
    judged = judge_contract(alice, None, bench.trust, clock.now(), SitePolicy(clock_unknown=choice))
    assert judged.evidence.code == code
