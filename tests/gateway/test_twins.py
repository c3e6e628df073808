"""Two stations of one name: who takes whose place, and how often."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import WSCloseCode
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway.chargers.port import Bounds
from gateway.store.credentials import note_profile
from tests.gateway.conftest import Bench
from tests.gateway.house import events, said
from tests.gateway.ports import Ports, ask, ended, entrance, handshake, play, raw


def test_second_connection_proves_itself_before_the_first_is_touched(
    bench: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part(ports: Ports) -> None:
        first = await ports.connect("CP-1")
        assert await ports.status("CP-1", password="wrong") == 401
        assert await ports.status("cp-1", password="") == 401
        assert (await ask(first))[2]["status"] == "Accepted"
        second = await ports.connect("cp-1", password="CP-1")
        assert await ended(first) == WSCloseCode.POLICY_VIOLATION
        assert (await ask(second))[2]["status"] == "Accepted"
        assert ports.server.connected == 1
        assert ports.server.roster.find("CP-1") is not None

    play(bench, part)
    assert [entry.subject for entry in events(bench) if entry.event == "charger-replaced"] == ["CP-1"]
    assert len(said(capfd, "charger-replaced")) == 1


def test_dead_first_connection_does_not_hold_up_the_second(bench: Bench) -> None:
    """One whose other end is gone answers no goodbye."""

    async def part(ports: Ports) -> None:
        async with raw(ports) as (reader, writer):
            writer.write(handshake("CP-1", ports.address))
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            ending = asyncio.create_task(reader.read())
            assert (await ask(await ports.connect("CP-1")))[2]["status"] == "Accepted"
            assert not ending.done(), "its goodbye still has its time"
            ending.cancel()

    play(bench, part)


def test_two_stations_of_one_name_do_not_go_on_taking_each_others_place(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        first = await ports.connect("CP-1")
        swaps = [await ports.connect("CP-1") for _ in range(3)]
        assert [await ports.status("CP-1") for _ in range(9)] == [503] * 9
        assert (await ask(swaps[-1]))[2]["status"] == "Accepted", "the last that came stays"
        assert (await ask(await ports.connect("CP-2")))[0] == 3
        assert [await ended(each) for each in (first, *swaps[:-1])] == [WSCloseCode.POLICY_VIOLATION] * 3

    play(bench, part)
    told = [entry.message for entry in events(bench) if entry.event == "charger-replaced"]
    assert len(told) == 1, "an alarm a minute"


def test_late_end_of_the_first_does_not_unregister_the_second(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        first = await ports.connect("CP-1")
        second = await ports.connect("CP-1")
        await ended(first)
        await first.close()
        assert ports.server.connected == 1
        assert (await ask(second))[0] == 3
        await second.close()
        third = await ports.connect("CP-1")
        assert (await ask(third))[0] == 3

    play(bench, part)


def test_connection_that_ends_while_it_is_admitted_takes_nobodys_place(bench: Bench) -> None:
    """The store is slow, the arrival's time is over, and the live connection stays."""

    async def part(ports: Ports) -> None:
        station = await ports.connect("CP-1")
        await bench.writer.run(lambda connection: note_profile(connection, "CP-1", 0, bench.clock.at))
        held = threading.Event()
        slow = asyncio.create_task(bench.writer.run(lambda connection: held.wait(60)))
        # Its profile has to be written first: the store has it on another one.
        late = asyncio.create_task(ports.status("CP-1"))
        with pytest.raises(aiohttp.ClientError):
            await late
        held.set()
        await slow
        await bench.writer.run(lambda connection: None)
        assert (await ask(station))[2]["status"] == "Accepted"

    play(bench, part, entrance(bounds=Bounds(handshake_timeout_s=0.5)))


@dataclass
class Twins:
    """Stations of one name, in any order; which of them is the last that was let in."""

    ports: Ports
    sockets: list[aiohttp.ClientWebSocketResponse] = field(default_factory=list)
    live: aiohttp.ClientWebSocketResponse | None = None

    async def come(self, _which: int) -> None:
        status = 101
        try:
            socket = await self.ports.connect("CP-1")
        except aiohttp.WSServerHandshakeError as error:
            status = error.status
        if status == 101:
            self.sockets.append(socket)
            self.live = socket
        else:
            # Only a station that is there is protected from being replaced again and again.
            assert (status, self.live is not None) == (503, True)

    async def come_wrongly(self, _which: int) -> None:
        assert await self.ports.status("CP-1", password="wrong") == 401

    async def leave(self, which: int) -> None:
        if self.sockets:
            socket = self.sockets.pop(which % len(self.sockets))
            await socket.close()
            if socket is self.live:
                self.live = None
                await self.ports.empty()

    async def check(self) -> None:
        if self.live is None:
            assert self.ports.server.connected == 0
        else:
            assert (await ask(self.live))[2]["status"] == "Accepted"
            assert self.ports.server.connected == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["come", "come", "come_wrongly", "leave"]), st.integers(0, 9)), max_size=8))
def test_the_last_that_has_proven_itself_is_the_station(bench: Bench, steps: list[tuple[str, int]]) -> None:
    """Whatever the order of coming, coming wrongly and going: never two, and never none while one is there."""

    async def part(ports: Ports) -> None:
        twins = Twins(ports)
        for name, which in steps:
            await getattr(twins, name)(which)
            await twins.check()

    play(bench, part)
