"""The way of commands to and from the hub: what a rough hub may answer, and that nothing is told twice or forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.store import commands as store
from gateway.uplink.commands import CommandLink
from gateway.uplink.exchange import HubExchange
from gateway.uplink.turns import Turns
from tests.gateway.conftest import Bench, RoughHub, link_settings, rough_hub, said
from tests.gateway.test_commands import Yard, play
from wire.commands import PATH_COMMANDS, ClearCache, CommandBatch, QueuedOrder
from wire.records import encode

Part = Callable[[Yard, RoughHub], Awaitable[None]]


def against(bench: Bench, lab: Path, mood: Any, part: Part) -> None:
    """A site with a command link against a hub in that mood."""

    async def linked(here: Yard) -> None:
        async with rough_hub(lab) as hub:
            hub.mood = mood
            exchange = HubExchange(link_settings(lab, hub.address))
            epoch, turns = bench.site.owner.epoch, Turns(exchange.settings.keep_alive_s)
            link = CommandLink(exchange, here.executor, bench.reader, bench.writer, epoch, turns)
            running = asyncio.create_task(link.run())
            try:
                await part(here, hub)
            finally:
                running.cancel()
                await asyncio.wait({running})
                await exchange.close()

    play(bench, linked)


def clear(here: Yard, command_id: str, number: int) -> QueuedOrder:
    return QueuedOrder(number=number, order=here.order(ClearCache(charger_id="CP-1"), command_id))


def test_a_report_is_told_until_it_is_acknowledged(bench: Bench, lab: Path) -> None:
    answers = [500, 503, 200]
    given: list[QueuedOrder] = []

    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_COMMANDS:
            after = int(request.query["after"])
            fresh = tuple(one for one in given if one.number > after)
            if not fresh:
                await asyncio.Event().wait()
            return said(CommandBatch(orders=fresh))
        return said({}, answers.pop(0))

    async def part(here: Yard, hub: RoughHub) -> None:
        given.append(clear(here, "c1", 7))
        await here.connect("2.0.1")
        await hub.until(lambda: not answers)
        told = [path for path in hub.asked if path.endswith("/result")]
        assert told == ["/sync/v1/commands/c1/result"] * 3
        while store.untold(here.bench.reader, 10):
            await here.bench.writer.run(lambda connection: None)
        assert store.cursor_of(here.bench.reader) == 7

    against(bench, lab, mood, part)


def test_a_report_that_nobody_wants_is_not_told_for_ever(bench: Bench, lab: Path) -> None:
    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_COMMANDS:
            await asyncio.Event().wait()
        return said({}, 404)

    async def part(here: Yard, hub: RoughHub) -> None:
        await here.connect("2.0.1")
        await here.executor.take([clear(here, "c1", 1)])
        await hub.until(lambda: any(path.endswith("/result") for path in hub.asked))
        while store.untold(here.bench.reader, 10):
            await here.bench.writer.run(lambda connection: None)
        assert sum(path.endswith("/result") for path in hub.asked) == 1

    against(bench, lab, mood, part)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(404, {}, "no-commands-here"), (500, {}, "not-a-hub"), (200, {"orders": 1}, "malformed-value")],
)
def test_a_poll_that_goes_wrong_is_said_and_tried_again(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str], status: int, body: object, code: str
) -> None:
    async def mood(hub: RoughHub, request: web.Request, _body: bytes) -> web.StreamResponse | None:
        return said(body, status)

    said_so = ""

    async def part(here: Yard, hub: RoughHub) -> None:
        nonlocal said_so
        await hub.until(lambda: len(hub.asked) >= (1 if status == 404 else 3))
        while code not in said_so:
            said_so += capfd.readouterr().out
            await here.bench.writer.run(lambda connection: None)
        assert store.cursor_of(here.bench.reader) == 0

    against(bench, lab, mood, part)
    assert (said_so + capfd.readouterr().out).count(code) == 1, "once for each kind of trouble"


def test_an_order_that_cannot_be_read_does_not_hold_up_the_others(bench: Bench, lab: Path) -> None:
    """It has its report, and the queue goes on."""
    told: dict[str, dict[str, Any]] = {}
    cost = {"command": "SHOW_COST", "charger_id": "CP-1", "transaction_id": "1", "total_cost": "NaN"}
    orders: list[dict[str, Any]] = []

    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_COMMANDS:
            fresh = [one for one in orders if one["number"] > int(request.query["after"])]
            if not fresh:
                await asyncio.Event().wait()
            return said({"orders": fresh})
        report = json.loads(body)
        told[report["command_id"]] = report
        return said({})

    async def part(here: Yard, hub: RoughHub) -> None:
        expires_at = json.loads(encode(here.order(ClearCache(charger_id="CP-1")).expires_at))
        wanted: list[tuple[object, dict[str, Any]]] = [
            ("nan", cost),
            ("unknown", {"command": "DANCE"}),
            ("not an id", cost),
            ("fine", {"command": "CLEAR_CACHE", "charger_id": "CP-1"}),
        ]
        for number, (name, command) in enumerate(wanted, 1):
            order = {"command_id": name, "expires_at": expires_at, "command": command}
            orders.append({"number": number, "order": order})
        await here.connect("2.0.1")
        await hub.until(lambda: len(told) >= 3)
        assert {name: report["result"] for name, report in told.items()} == {
            "nan": "MALFORMED",
            "unknown": "MALFORMED",
            "fine": "ACCEPTED",
        }
        assert "total_cost" in told["nan"]["message"]
        while store.untold(here.bench.reader, 10):
            await here.bench.writer.run(lambda connection: None)
        assert store.cursor_of(here.bench.reader) == 4
        assert here.bench.writer.broken is None

    against(bench, lab, mood, part)
