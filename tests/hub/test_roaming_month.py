"""The parts of the demo: its month, its platforms, and what it does when one of them does not come up."""

from __future__ import annotations

import socket
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from hub.clock import now
from hub.config import load_config
from hub.demo.cast import CONNECTOR_W, EVERYBODY, NORTH, OPERATORS, PROVIDERS, Papers
from hub.demo.errors import DemoFailed
from hub.demo.month import MOST_VISITS, month_before, visits_of, wrong_visit
from hub.demo.paper import Paper
from hub.demo.platform import Platform, until
from hub.demo.site import Site
from hub.settlement.agreements import PeriodKind, period_of


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    paper = Paper(tmp_path / "paper", now())
    keys = {meter.serial: meter.public_key for one in OPERATORS for meter in Site(one).meters.values()}
    return Papers(*paper.issue("all"), paper.root, keys)


@given(day=st.dates(date(2025, 1, 1), date(2030, 12, 31)), count=st.integers(2, MOST_VISITS), seed=st.integers())
def test_a_month_is_over_and_no_two_cars_stand_at_one_place(day: date, count: int, seed: int) -> None:
    month = month_before(day)
    period = period_of(PeriodKind.MONTH, "Europe/Berlin", month)
    assert period.end <= day
    for operator in OPERATORS:
        visits = visits_of(operator, PROVIDERS, month, count, seed)
        assert len(visits) == count * len(operator.stations)
        for station in operator.stations:
            here = [one for one in (*visits, wrong_visit(operator, PROVIDERS[0], month)) if one.station == station]
            assert all(one.end <= other.begin for one, other in pairwise(here))
        for one in visits:
            assert period.begin_at <= one.begin < one.charged <= one.end < period.end_at
            assert 0 < one.kwh * 3_600_000 <= CONNECTOR_W * (one.charged - one.begin) // timedelta(seconds=1) + 3_600


def test_every_configuration_is_one(tmp_path: Path, papers: Papers) -> None:
    for member in EVERYBODY:
        platform = Platform(tmp_path / member.name, member, papers)
        config = load_config(platform.config_path)
        assert config.roaming is not None
        assert (len(config.terms.meter_keys), len(config.roaming.evses)) == (len(member.stations),) * 2
        assert platform.stop() is None


def test_what_does_not_come_is_not_waited_for_for_ever() -> None:
    with pytest.raises(DemoFailed, match="the cat: not within 0 s"):
        until("the cat", lambda: None, 0)


def test_a_program_that_ends_says_why(tmp_path: Path, papers: Papers) -> None:
    platform = Platform(tmp_path / "north", NORTH, papers)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", platform.ports.ocpi))
        taken.listen()
        platform.start()
        with pytest.raises(DemoFailed, match=r"pnc-hub run ended: .*cannot listen"):
            platform.wait_ready()
    assert platform.stop() != 0
