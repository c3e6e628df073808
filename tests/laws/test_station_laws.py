"""Whatever the line, the power and the order of things: at the end every session is there once, with its energy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from gateway.decide.contract import Trust
from hub.store.ledger import Chain, append, position_of
from hub.store.schema import MIGRATIONS
from hub.terms import EnergyPrice, Terms
from tests.gateway.conftest import Bench
from tests.laws.rough_station import Charge, RoughStation, tick
from tests.laws.test_gateway_laws import opened, trust as trust
from wire.records import AuditEntry, RecordKind, Session, SessionStatus, decode

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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(walk=walks, still=st.booleans())
@example(walk=[("CP-1", step) for step in (begun, cut, RoughStation.reboot, read, over)], still=False)
@example(
    walk=[("CP-1", step) for step in (begun, read, over, RoughStation.deliver, cut, RoughStation.reboot)], still=False
)
@example(walk=[("CP-2", step) for step in (begun, read, cut, cut, over)], still=True)
@example(walk=[("CP-3", begun), ("CP-3", RoughStation.deliver), None, ("CP-3", RoughStation.reboot)], still=False)
def test_the_account_is_exact_whatever_happens_on_the_way(
    tmp_path_factory: pytest.TempPathFactory, trust: Trust, walk: list[tuple[str, Step] | None], still: bool
) -> None:
    with opened(tmp_path_factory, trust) as bench:
        stations = {
            "CP-1": RoughStation(bench, "CP-1", "1.6"),
            "CP-2": RoughStation(bench, "CP-2", "2.0.1", still),
            "CP-3": RoughStation(bench, "CP-3", "2.1", still),
        }
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
        assert accounts(bench) == sorted(
            (expected(station, charge) for station in stations.values() for charge in station.charges), key=repr
        )
        assert "transaction-gap" not in alarms(bench), "nothing was lost, so nothing is missing"


def expected(station: RoughStation, charge: Charge) -> tuple[Any, ...]:
    """What the hub must know of a session."""
    status = SessionStatus.COMPLETED if charge.ended else SessionStatus.ACTIVE
    energy_kwh = Decimal(charge.told_wh - charge.begin_wh) / 1000
    return station.charger_id, charge.connector, charge.begun_at, status, energy_kwh, charge.ended


def accounts(bench: Bench) -> list[tuple[Any, ...]]:
    """Every session of the hub after it was sent all records, and whether there is one CDR for it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in MIGRATIONS:
            connection.executescript(script)
        chain = Chain("site-1", "epoch-1")
        append(connection, chain, position_of(connection, chain), tuple(bench.records()), bench.clock.at, TERMS)
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
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
