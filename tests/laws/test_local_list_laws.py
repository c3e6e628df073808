"""Whatever a station does and whenever the connection ends: once it is quiet it holds the list that is wanted."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway.chargers.abilities import abilities_of
from gateway.chargers.local_list import ListKeeper
from gateway.chargers.variables import StationVariables
from gateway.decide.contract import Trust
from gateway.decide.local_list import Entry, Wanted, fitting
from gateway.decide.policy import OfflinePolicy, SitePolicy
from gateway.errors import CallFailed
from gateway.store.local_lists import Learned, ListState, Standing, learn, read_list
from pki.service.files import load_trust
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench
from tests.gateway.rough_station import Mood, RoughStation
from tests.parts import ScriptedHub, SetClock

POLICY = OfflinePolicy(list_entries=60).under(SitePolicy())
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Iterator[Bench]:
    trust = Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence())
    folder = tmp_path_factory.mktemp("lists")
    made = Bench(folder=folder, trust=trust, policy=SitePolicy(), clock=SetClock(), hub=ScriptedHub())
    yield made
    made.close()


def entries(ocpp: str, picked: list[tuple[int, bool]]) -> Wanted:
    type_ = "" if ocpp == "1.6" else "ISO14443"
    statuses = {number: "Accepted" if good else "Blocked" for number, good in picked}
    return Wanted(tuple(Entry(id=f"{n:04X}", type=type_, status=s) for n, s in statuses.items()), {})


STATIONS = st.builds(
    dict,
    ocpp=st.sampled_from(["1.6", "2.0.1", "2.1"]),
    capacity=st.integers(1, 48),
    per_message=st.integers(1, 12),
    tells=st.booleans(),
    differential=st.booleans(),
)
WISHES = st.lists(st.tuples(st.integers(0, 59), st.booleans()), max_size=60)
MOODS = st.lists(st.sampled_from(Mood), max_size=6)
STEPS = st.lists(st.tuples(WISHES, MOODS, st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STATIONS, STEPS)
def test_walk(bench: Bench, made: dict[str, object], steps: list[tuple[object, ...]]) -> None:
    station = RoughStation(**made, charger_id=f"CP-{next(NUMBERS)}")  # type: ignore[arg-type]  # built above
    asyncio.run(walk(bench, station, steps))


async def walk(bench: Bench, station: RoughStation, steps: list[tuple[object, ...]]) -> None:
    variables = StationVariables(station, bench.site, POLICY)
    station.tells_to = variables.heard
    await variables.read()
    keeper = ListKeeper(station, bench.site, POLICY)
    wanted = entries(station.ocpp, [])
    for wish, moods, forgets, foreign, again in steps:
        wanted = entries(station.ocpp, wish)  # type: ignore[arg-type]
        station.moods.extend(moods)  # type: ignore[arg-type]
        if forgets:
            station.forget()
        if foreign:  # Another system gave it a list, in between.
            station.entries, station.version = dict(list(station.entries.items())[:1]), station.version + 100_003
        if again:
            keeper = ListKeeper(station, bench.site, POLICY)
        try:
            await keeper.bring_in_step(wanted, len(wanted.entries))
        except CallFailed:
            keeper = ListKeeper(station, bench.site, POLICY)
    station.moods.clear()
    await quiet(bench, station, keeper, wanted)


async def quiet(bench: Bench, station: RoughStation, keeper: ListKeeper, wanted: Wanted) -> None:
    """The station behaves from now on, and the lessons of its moods are forgotten, as a day or a boot does."""
    at = bench.clock.now().at
    await bench.writer.run(lambda c: learn(c, station.charger_id, Learned(), at))
    standing = Standing()
    for _ in range(4):
        standing = await keeper.bring_in_step(wanted, len(wanted.entries))
        if standing.state is ListState.IN_STEP:
            break
    assert standing.state is ListState.IN_STEP, standing
    stored = read_list(bench.reader, station.charger_id)
    target = fitting(wanted.entries, keeper_limits(bench, station), keeper.size)
    assert station.held() == {entry.key: entry.status for entry in target}
    assert stored.offer is None
    assert {key: entry.status for key, entry in stored.entries.items()} == station.held()
    assert standing.fits == len(station.entries) <= station.capacity
    if station.tells:
        most = station.capacity if station.differential else min(station.capacity, station.per_message)
        assert len(target) == min(most, len(wanted.entries)), "what it can hold is used"
    elif wanted.entries and station.differential:
        assert target, "the most likely at least"
    assert not keeper.behind(wanted)
    before = len(station.asked)
    assert (await keeper.bring_in_step(wanted, 0)).state is ListState.IN_STEP
    assert station.actions()[before:] == ["GetLocalListVersion"], "what is in step is left alone"


def keeper_limits(bench: Bench, station: RoughStation):  # type: ignore[no-untyped-def]
    from gateway.store.variables import read_variables

    learned = read_list(bench.reader, station.charger_id).learned
    told = read_variables(bench.reader, station.charger_id)
    return abilities_of(station.ocpp, told, learned, POLICY).limits
