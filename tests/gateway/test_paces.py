"""Stations that send too much: held back, told apart from those in a hurry, and closed."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSCloseCode

from gateway.chargers.port import Bounds
from tests.gateway.conftest import Bench
from tests.gateway.house import events, said
from tests.gateway.ports import Ports, ask, ended, entrance, play

SLOW = Bounds(messages_per_s=50, burst=5, flood_after_s=0.5)
HEARTBEAT = '[2,"%d","Heartbeat",{}]'


def test_flood_is_answered_in_order_then_closed_and_told(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    async def part(ports: Ports) -> None:
        station, other = await ports.connect("CP-1"), await ports.connect("CP-2")
        await ask(station)
        for number in range(200):
            await station.send_str(HEARTBEAT % number)
        answered = 0
        while (message := await station.receive(timeout=60)).data is not None and message.type == 1:
            assert f'"{answered}"' in message.data, "in their order, none left out"
            answered += 1
        assert station.close_code == WSCloseCode.POLICY_VIOLATION
        assert 20 < answered < 100
        assert (await ask(other))[2]["status"] == "Accepted"

    play(bench, part, entrance(bounds=SLOW))
    assert [entry.subject for entry in events(bench) if entry.event == "charger-flood"] == ["CP-1"]
    assert [line["reason"] for line in said(capfd, "charger-disconnected") if line["charger"] == "CP-1"] == ["flood"]


def test_one_in_a_hurry_is_held_back_and_stays(bench: Bench) -> None:
    """A queue is replayed after an outage: one message after the other, as fast as the answers come."""

    async def part(ports: Ports) -> None:
        station = await ports.connect("CP-1")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for _ in range(100):
            assert (await ask(station))[2]["status"] == "Accepted"
        assert loop.time() - begun > 1.5, "a hundred at fifty a second, with five on credit"

    play(bench, part, entrance(bounds=SLOW))
    assert not [entry for entry in events(bench) if entry.event == "charger-flood"]


def test_pings_count_too(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect("CP-1")
        for _ in range(300):
            await station.ping()
        assert await ended(station) == WSCloseCode.POLICY_VIOLATION

    play(bench, part, entrance(bounds=SLOW))
