"""When the token list is looked after, over a real link: named by the hub, after trouble, beside everything else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
import traceback
from contextlib import closing
from pathlib import Path
from types import CodeType

import msgspec
import pytest
from aiohttp import web

from gateway.store.whitelist import Whitelist
from gateway.uplink.token_list import ListMove
from tests.gateway.conftest import CARD, Bench, Bond, RoughHub, link_against, said
from tests.gateway.list_hub import ListHub, cards
from wire.records import AllowedType, AuthorizationInfo
from wire.sync_messages import PATH_BATCHES, PATH_HELLO, Refusal, parse_answer
from wire.whitelist import PATH_DELTAS, PATH_HEAD, PATH_MANIFEST


@pytest.fixture
def lists(bench: Bench) -> ListHub:
    made = ListHub(bench.clock.now().at)
    made.put(*cards(0, 2))
    return made


async def naming(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
    """A hub that names the version of its list with every answer."""
    if request.path not in (PATH_HELLO, PATH_BATCHES) or hub.lists is None:
        return None
    response = hub.behave(request, body)
    assert isinstance(response.body, bytes)
    answer = parse_answer(response.body)
    assert not isinstance(answer, Refusal)
    return said(msgspec.structs.replace(answer, whitelist_version=hub.lists.version))


def events(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


async def held(bond: Bond, version: int) -> None:
    """Wait until the list is there: every question to the hub is a look."""
    while bond.bench.whitelist.version != version:
        await bond.store()
        await bond.hub.until_asked(1)


def test_token_put_while_the_link_is_quiet_arrives_with_the_next_record(
    bench: Bench, lab: Path, lists: ListHub
) -> None:
    moves: list[ListMove] = []

    async def part(bond: Bond) -> None:
        await held(bond, 10)
        lists.put(*cards(2, 3))
        await held(bond, 20)
        await bond.all_arrived()
        assert [(move.since, move.version, move.full) for move in moves] == [(0, 10, False), (10, 20, False)]

    link_against(bench, lab, part, mood=naming, lists=lists, moved=moves.append)


def test_token_put_while_nothing_is_sent_arrives_with_the_keep_alive(bench: Bench, lab: Path, lists: ListHub) -> None:
    async def part(bond: Bond) -> None:
        await held(bond, 10)
        lists.put(*cards(2, 3))
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_DELTAS) == 2)
        greetings = bond.hub.asked.count(PATH_HELLO)
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_HELLO) >= greetings + 3)
        assert bench.whitelist.version == 20
        assert bond.hub.asked.count(PATH_HEAD) <= 3, "not with every answer"

    link_against(bench, lab, part, mood=naming, lists=lists, keep_alive_s=0.05)


def test_older_list_of_a_restored_hub_is_looked_at_once_and_left_alone(
    bench: Bench, lab: Path, lists: ListHub, capfd: pytest.CaptureFixture[str]
) -> None:
    before = ListHub(lists.at)
    before.put(*cards(5, 6))
    lists.put(*cards(2, 3))

    async def part(bond: Bond) -> None:
        await held(bond, 20)
        bond.hub.lists = before
        heads = bond.hub.asked.count(PATH_HEAD)
        greetings = bond.hub.asked.count(PATH_HELLO)
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_HELLO) >= greetings + 4)
        assert (bench.whitelist.version, bond.hub.asked.count(PATH_HEAD)) == (20, heads + 1)
        for first in (10, 20, 30):
            before.put(*cards(first, first + 1))
        await held(bond, before.version)
        assert len(bench.whitelist) == 4

    link_against(bench, lab, part, mood=naming, lists=lists, keep_alive_s=0.05)
    told = [one["code"] for one in events(capfd) if one["event"] == "whitelist-refused"]
    assert told == ["list-older"]


@pytest.mark.parametrize("path", [PATH_HEAD, PATH_DELTAS, PATH_MANIFEST])
def test_trouble_with_the_list_holds_up_nothing_and_is_over_when_the_hub_is_well(
    bench: Bench, lab: Path, lists: ListHub, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    if path == PATH_MANIFEST:
        lists.deltas.clear()

    async def broken(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return web.Response(status=500) if request.path == path else None

    async def part(bond: Bond) -> None:
        await bond.hub.until(lambda: bond.hub.asked.count(path) >= 3)
        await bond.all_arrived()
        assert bench.whitelist.version == 0
        bond.hub.mood = None
        await held(bond, 10)

    link_against(bench, lab, part, mood=broken, lists=lists)
    told = [one["code"] for one in events(capfd) if one["event"] == "whitelist-not-refreshed"]
    assert told == ["not-a-hub"], "said once, and tried again"


def test_snapshot_that_is_being_made_is_asked_for_again_when_the_hub_says(
    bench: Bench, lab: Path, lists: ListHub
) -> None:
    lists.deltas.clear()
    times: list[float] = []

    async def busy(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path != PATH_MANIFEST:
            return None
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=503, headers={"Retry-After": "1"}) if len(times) == 1 else None

    async def part(bond: Bond) -> None:
        await bond.hub.until(lambda: len(times) == 2)
        assert times[1] - times[0] >= 1
        await held(bond, 10)

    link_against(bench, lab, part, mood=busy, lists=lists)


def stands_in(code: CodeType) -> bool:
    """Whether another thread is at work in a function."""
    frames = (frame for ident, frame in sys._current_frames().items() if ident != threading.get_ident())
    return any(each.f_code is code for top in frames for each, _ in traceback.walk_stack(top))


def test_long_list_is_taken_beside_the_event_loop(bench: Bench, lab: Path, lists: ListHub) -> None:
    """While the list is written, drivers are asked about and answered."""
    (file,) = bench.folder.glob("whitelist-*.db")

    async def part(bond: Bond) -> None:
        await bond.hub.until(lambda: PATH_DELTAS in bond.hub.asked)
        while not stands_in(Whitelist.apply.__code__):  # noqa: ASYNC110  nothing tells that a thread waits for a lock
            await asyncio.sleep(0)
        assert await bond.link.authorize(CARD) == AuthorizationInfo(allowed=AllowedType.ALLOWED)
        assert stands_in(Whitelist.apply.__code__)
        assert bench.whitelist.version == 0
        blocker.execute("ROLLBACK")
        await held(bond, 10)

    with closing(sqlite3.connect(file, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        link_against(bench, lab, part, lists=lists)


def test_list_stays_fresh_when_the_link_has_halted(bench: Bench, lab: Path, lists: ListHub) -> None:
    async def part(bond: Bond) -> None:
        await held(bond, 10)
        bond.running.cancel()
        await asyncio.wait({bond.running})
        lists.put(*cards(2, 3))
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_DELTAS) == 2)

    link_against(bench, lab, part, lists=lists, whitelist_interval_s=0.05)
