"""Whatever the line, the power and the order of things: at the end every session is there once, with its energy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from gateway.decide.contract import Trust
from hub.store.ledger import Chain, append, position_of
from hub.store.schema import MIGRATIONS
from tests.gateway.conftest import Bench
from tests.laws.rough_station import HEADS, Charge, RoughStation, tick
from tests.laws.test_gateway_laws import opened, trust as trust
from wire.chain import RecordKind
from wire.records import AuditEntry, Session, SessionStatus, decode
from wire.settling.terms import EnergyPrice, Terms

Step = Callable[[RoughStation], None]
TERMS = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))

connectors = st.sampled_from([1, 2])
steps = st.one_of(
    st.builds(lambda c: partial(RoughStation.begin, connector=c), connectors),
    st.builds(lambda c, e: partial(RoughStation.charge, connector=c, energy_wh=e), connectors, st.integers(0, 3)),
    st.builds(lambda c: partial(RoughStation.end, connector=c), connectors),
    st.builds(lambda c: partial(RoughStation.late, connector=c), connectors),
    st.just(RoughStation.reboot),
    st.just(RoughStation.connect),
    st.builds(
        lambda lost, same, again: partial(RoughStation.deliver, lost=lost, same_id=same, rewritten=again),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.just(RoughStation.deliver),
)
walks = st.lists(st.tuples(st.sampled_from(["CP-1", "CP-2", "CP-3"]), steps) | st.just(None), max_size=40)
"""Steps of three stations; None is a kill and a new start of the gateway."""

begun, read, over = (
    partial(RoughStation.begin, connector=1),
    partial(RoughStation.charge, connector=1, energy_wh=2),
    partial(RoughStation.end, connector=1),
)
cut = partial(RoughStation.deliver, lost=True)
both_unanswered = (
    *(begun, cut, RoughStation.reboot, partial(RoughStation.begin, connector=2), cut, RoughStation.reboot),
    *(partial(RoughStation.charge, connector=2, energy_wh=3), over, partial(RoughStation.end, connector=2)),
)
VERSIONS = {"CP-1": "1.6", "CP-2": "2.0.1", "CP-3": "2.1"}


@dataclass(frozen=True)
class Habits:
    """What may be peculiar to the stations of a walk; see RoughStation."""

    still: bool = False
    untagged: bool = False
    reusing: bool = False
    silent: bool = False
    head: str = "plain"


ORDERLY = Habits()
habits = st.builds(Habits, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(sorted(HEADS)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(walk=walks, habit=habits)
@example(walk=[("CP-1", step) for step in (begun, cut, RoughStation.reboot, read, over)], habit=ORDERLY)
@example(
    walk=[("CP-1", step) for step in (begun, read, over, RoughStation.deliver, cut, RoughStation.reboot)],
    habit=ORDERLY,
)
@example(walk=[("CP-2", step) for step in (begun, read, cut, cut, over)], habit=Habits(still=True))
@example(walk=[("CP-3", begun), ("CP-3", RoughStation.deliver), None, ("CP-3", RoughStation.reboot)], habit=ORDERLY)
@example(walk=[("CP-1", step) for step in both_unanswered], habit=Habits(untagged=True))
@example(walk=[("CP-2", step) for step in (begun, read, over, begun, read, over)], habit=Habits(reusing=True))
def test_the_account_is_exact_whatever_happens_on_the_way(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, walk: list[tuple[str, Step] | None], habit: Habits
) -> None:
    with opened(tmp_path_factory, trust) as bench:
        stations = walked(bench, walk, habit)
        assert accounts(bench, habit.untagged) == sorted(
            (expected(station, charge) for station in stations for charge in station.charges), key=repr
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(walk=walks, registers=st.tuples(st.integers(0, 3), st.integers(0, 3)), silent=st.booleans())
@example(walk=[("CP-1", step) for step in both_unanswered], registers=(0, 0), silent=True)
@example(walk=[("CP-1", step) for step in both_unanswered], registers=(2, 0), silent=True)
def test_ends_that_registers_do_not_tell_apart_are_never_given_to_the_wrong_session(
    tmp_path_factory: pytest.TempPathFactory,
    trust: Trust,
    walk: list[tuple[str, Step] | None],
    registers: tuple[int, int],
    silent: bool,
) -> None:
    """Two connectors whose meters stand alike, no tags: what is billed is right, and what is not billed is alarmed."""
    with opened(tmp_path_factory, trust) as bench:
        stations = walked(bench, walk, Habits(untagged=True, silent=silent), registers)
        meant = [expected(station, charge) for station in stations for charge in station.charges]
        billed = [account for account in accounts(bench, untagged=True) if account[-1]]
        assert all(account in meant for account in billed)
        ended = sum(charge.ended for station in stations for charge in station.charges)
        assert len(billed) == ended or "session-in-doubt" in alarms(bench)


def walked(
    bench: Bench, walk: list[tuple[str, Step] | None], habit: Habits, registers: tuple[int, int] | None = None
) -> list[RoughStation]:
    """The stations after the walk, their queues empty; `registers` are those of the connectors at first."""
    stations = {name: RoughStation(bench, name, ocpp, **asdict(habit)) for name, ocpp in VERSIONS.items()}
    for station in stations.values():
        if registers is not None:
            station.meter_wh = {1: registers[0], 2: registers[1]}
    for step in walk:
        tick(bench)
        if step is None:
            bench.restart()
            for station in stations.values():
                station.connect()
        else:
            step[1](stations[step[0]])
    for station in stations.values():
        while station.queue:
            station.deliver()
    bench.check_chain()
    assert "transaction-gap" not in alarms(bench), "nothing was lost, so nothing is missing"
    return list(stations.values())


def expected(station: RoughStation, charge: Charge) -> tuple[Any, ...]:
    """What the hub must know of a session."""
    status = SessionStatus.COMPLETED if charge.ended else SessionStatus.ACTIVE
    energy_kwh = Decimal(charge.told_wh - charge.begin_wh) / 1000
    return station.charger_id, charge.connector, charge.begun_at, status, energy_kwh, charge.ended


def accounts(bench: Bench, untagged: bool = False) -> list[tuple[Any, ...]]:
    """Every session of the hub after it was sent all records, and whether there is one CDR for it. Only ends that are
    in doubt are kept apart there, and only ends without a tag may be in doubt."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in MIGRATIONS:
            connection.executescript(script)
        chain = Chain("site-1", "epoch-1")
        append(connection, chain, position_of(connection, chain), tuple(bench.records()), bench.clock.at, TERMS)
        apart = [row[0] for row in connection.execute("SELECT reason FROM quarantine")]
        assert not apart or (untagged and all("without a transaction number" in reason for reason in apart))
        billed = {row[0] for row in connection.execute("SELECT session_id FROM cdrs")}
        found = [decode(Session, row[0], "session") for row in connection.execute("SELECT session FROM sessions")]
    return sorted(
        (
            (each.charger_id, each.evse_id, each.start_date_time, each.status, each.kwh, each.id in billed)
            for each in found
        ),
        key=repr,
    )


def alarms(bench: Bench) -> set[str]:
    return {decode(AuditEntry, each.body, "r").event for each in bench.records() if each.kind is RecordKind.AUDIT}
