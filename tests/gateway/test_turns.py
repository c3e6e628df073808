"""An idle link over real sockets: one connection, on which the poll for commands says what greetings would be answered;
and a hub that is away is noticed no later than by greetings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.uplink.commands import CommandLink
from gateway.uplink.exchange import HubExchange
from gateway.uplink.link import Link
from gateway.uplink.witness import Witness
from tests.fault_proxy import HALF_OPEN, PASS, REFUSE, FaultProxy
from tests.gateway.conftest import Bench, Bond, RoughHub, link_settings, list_refresh, rough_hub, said
from tests.gateway.list_hub import ListHub, cards
from tests.gateway.test_commands import Yard, play
from wire.chain import GENESIS_HASH
from wire.commands import PATH_COMMANDS, ClearCache, CommandBatch, QueuedOrder
from wire.sync_messages import PATH_BATCHES, PATH_HELLO, Welcome
from wire.whitelist import PATH_HEAD

EARLIER, NOW = False, True
"""Whether the hub says with its answers to polls where it stands."""


@dataclass
class Poller:
    """What a hub says to polls."""

    says: bool
    orders: list[QueuedOrder] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    ended: asyncio.Condition = field(default_factory=asyncio.Condition)
    answers: int = 0

    async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path != PATH_COMMANDS:
            return said({}) if request.path.endswith("/result") else None
        self.queries.append(dict(request.query))
        after, wait_s, began = int(request.query["after"]), int(request.query["wait"]), hub.times[-1]
        fresh = tuple(one for one in self.orders if one.number > after)
        await asyncio.sleep(0 if fresh else wait_s)
        batch = CommandBatch(orders=fresh)
        if self.says:
            held_ms = int((asyncio.get_running_loop().time() - began) * 1000)
            batch = CommandBatch(orders=fresh, welcome=welcome(hub), held_ms=held_ms)
        async with self.ended:
            self.answers += 1
            self.ended.notify_all()
        return said(batch)

    async def turns(self, count: int) -> None:
        """Return when so many more polls were answered."""
        wanted = self.answers + count
        async with self.ended, asyncio.timeout(60):
            await self.ended.wait_for(lambda: self.answers >= wanted)


def welcome(hub: RoughHub) -> Welcome:
    seq, hash_ = (hub.held[-1].seq, hub.held[-1].hash) if hub.held else (0, GENESIS_HASH)
    version = 0 if hub.lists is None else hub.lists.version
    return Welcome(acked_seq=seq, acked_hash=hash_, whitelist_version=version, at=datetime.now(UTC))


@dataclass
class Idle(Bond):
    """A gateway that has nothing to do, and the way to its hub."""

    way: FaultProxy
    poller: Poller
    here: Yard

    async def until(self, *, online: bool) -> None:
        async with asyncio.timeout(60):
            while self.link.online is not online:
                await self.bench.writer.run(lambda connection: None)

    async def at_rest(self) -> None:
        """Everything has arrived, and what was opened for it is closed again."""
        await self.all_arrived()
        async with asyncio.timeout(60):
            while self.way.open > 1 or self.poller.answers < 2:
                await self.poller.turns(1)


def idle(
    bench: Bench,
    lab: Path,
    part: Callable[[Idle], Awaitable[None]],
    says: bool = NOW,
    lists: ListHub | None = None,
    **more: Any,
) -> None:
    """Run the links of a gateway through a proxy to a hub, and `part` beside them."""

    async def linked(here: Yard) -> None:
        async with rough_hub(lab) as hub, FaultProxy(int(hub.address.rpartition(":")[2])) as way:
            poller = Poller(says)
            hub.mood, hub.lists = poller.mood, lists
            chosen = replace(link_settings(lab, f"https://127.0.0.1:{way.port}"), keep_alive_s=1.0, kept_s=0.7)
            exchange = HubExchange(replace(chosen, **more))
            owner = bench.site.owner
            witness = Witness(owner, bench.reader, bench.writer, bench.clock.now, None)
            link = Link(exchange, owner, bench.reader, bench.writer, witness)
            commands = CommandLink(exchange, here.executor, bench.reader, bench.writer, owner.epoch, link.turns)
            running = asyncio.create_task(link.run())
            tasks = {running, asyncio.create_task(commands.run())}
            if lists is not None:
                link.lists = list_refresh(bench, exchange)
                tasks.add(asyncio.create_task(link.lists.run()))
            try:
                await part(Idle(bench, hub, link, exchange, running, way, poller, here))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await exchange.close()

    play(bench, linked)


def test_idle_gateway_holds_one_connection_over_which_it_hears_everything(bench: Bench, lab: Path) -> None:
    """Commands, the list's news, the time; and the look at the list that is due."""
    lists = ListHub(bench.clock.now().at)
    lists.put(*cards(0, 2))
    told: list[tuple[datetime, int, int]] = []

    async def part(here: Idle) -> None:
        await here.at_rest()
        here.link.hub_said = lambda *facts: told.append(facts)
        accepted, asked = here.way.accepted, len(here.hub.asked)
        await here.poller.turns(4)
        since = here.hub.asked[asked:]
        assert set(since) == {PATH_COMMANDS, PATH_HEAD}, "nothing was greeted, and the list was looked at"
        assert (here.way.accepted, here.way.open, here.link.online) == (accepted, 1, True)
        assert len(told) >= 3
        assert all(0 < received - sent < 0.9e9 for _, sent, received in told), "the hub had the question for a second"
        assert set(here.poller.queries[-1]) == {"wait", "after", "epoch"}
        lists.put(*cards(2, 3))
        here.poller.orders.append(QueuedOrder(number=7, order=here.here.order(ClearCache(charger_id="CP-1"))))
        await here.poller.turns(3)
        await here.hub.until(lambda: any(path.endswith("/result") for path in here.hub.asked))
        assert here.bench.whitelist.version == lists.version

    idle(bench, lab, part, lists=lists, whitelist_interval_s=1.5)


def test_record_goes_beside_the_poll_on_a_connection_that_is_closed_again(bench: Bench, lab: Path) -> None:
    async def part(here: Idle) -> None:
        await here.at_rest()
        accepted, greeted = here.way.accepted, here.hub.asked.count(PATH_HELLO)
        await here.store()
        await here.hub.until(lambda: here.hub.asked[-1] == PATH_BATCHES)
        await here.at_rest()
        assert here.way.open == 1
        assert 1 <= here.way.accepted - accepted <= 3
        assert here.hub.asked.count(PATH_HELLO) == greeted

    idle(bench, lab, part)


def test_hub_of_an_earlier_version_is_greeted_as_ever(bench: Bench, lab: Path) -> None:
    async def part(here: Idle) -> None:
        await here.all_arrived()
        greeted = here.hub.asked.count(PATH_HELLO)
        await here.hub.until(lambda: here.hub.asked.count(PATH_HELLO) >= greeted + 3)
        assert here.link.online
        assert here.poller.answers >= 2

    idle(bench, lab, part, EARLIER)


@pytest.mark.parametrize("says", [EARLIER, NOW])
def test_half_open_way_is_noticed(bench: Bench, lab: Path, says: bool) -> None:
    """Wherever between two polls it begins."""

    async def part(here: Idle) -> None:
        for delay_s in (0.0, 0.7):
            here.way.mood = PASS
            await here.until(online=True)
            await here.poller.turns(2)
            await asyncio.sleep(delay_s)
            here.way.mood = HALF_OPEN
            await here.until(online=False)
            assert here.link.trouble == "timeout"

    idle(bench, lab, part, says, request_timeout_s=1.5)


def test_hub_that_hangs_up_is_noticed_at_once(bench: Bench, lab: Path) -> None:
    async def part(here: Idle) -> None:
        await here.poller.turns(1)
        await here.all_arrived()
        began = asyncio.get_running_loop().time()
        here.way.mood = REFUSE
        await here.until(online=False)
        assert asyncio.get_running_loop().time() - began < 2
        here.way.mood = PASS
        await here.all_arrived()

    idle(bench, lab, part, keep_alive_s=4.0)


def test_poll_that_is_cut_off_does_not_end_the_link(bench: Bench, lab: Path) -> None:
    async def part(here: Idle) -> None:
        await here.at_rest()
        here.way.reset_all()
        for _ in range(3):
            await here.poller.turns(1)
            assert here.link.online

    idle(bench, lab, part)


def test_hub_that_went_back_to_a_backup_is_noticed_by_its_answer_to_a_poll(bench: Bench, lab: Path) -> None:
    async def part(here: Idle) -> None:
        await here.at_rest()
        del here.hub.held[1:]
        await here.all_arrived()

    idle(bench, lab, part)


def test_hub_that_says_no_more_where_it_stands_is_greeted(bench: Bench, lab: Path) -> None:
    """The epoch was closed there, or it went back to its version before."""

    async def part(here: Idle) -> None:
        await here.at_rest()
        greeted = here.hub.asked.count(PATH_HELLO)
        here.poller.says = EARLIER
        await here.hub.until(lambda: here.hub.asked.count(PATH_HELLO) >= greeted + 2)
        assert here.link.online

    idle(bench, lab, part)
