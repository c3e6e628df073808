"""CALLs from the gateway: one at a time, each with one end, whatever the station does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from gateway.chargers.calls import WAITING, Calls
from gateway.errors import CallFailed
from wire.ocpp.frames import Call, CallError, CallResult, parse_frame


@dataclass
class Wire:
    """The sending side of a socket, which keeps what it was given."""

    frames: list[Call] = field(default_factory=list)
    broken: bool = False
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, text: str) -> None:
        if self.broken:
            raise ConnectionResetError("gone")
        frame = parse_frame(text)
        assert isinstance(frame, Call)
        self.frames.append(frame)
        async with self.news:
            self.news.notify_all()

    async def until(self, count: int) -> None:
        async with self.news, asyncio.timeout(10):
            await self.news.wait_for(lambda: len(self.frames) >= count)


def playing(part: Callable[[Calls, Wire], Awaitable[None]]) -> None:
    async def run() -> None:
        wire = Wire()
        await part(Calls("CP-1", wire.send), wire)

    asyncio.run(asyncio.wait_for(run(), 20))


def result(call: Call, payload: object) -> CallResult:
    return CallResult(message_id=call.message_id, payload=json.dumps(payload).encode())


def test_one_call_at_a_time_in_their_order() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = [asyncio.create_task(calls.call("Reset", {"n": n})) for n in range(3)]
        for n in range(3):
            await wire.until(n + 1)
            assert len(wire.frames) == n + 1, "the next one waits for the answer to this one"
            assert json.loads(wire.frames[n].payload) == {"n": n}
            assert calls.answered(result(wire.frames[n], {"status": n}))
        assert [json.loads(await each) for each in asked] == [{"status": n} for n in range(3)]
        assert len({frame.message_id for frame in wire.frames}) == 3
        assert all(len(frame.message_id) <= 36 for frame in wire.frames)

    playing(part)


async def failed(waiting: Awaitable[bytes]) -> CallFailed:
    with pytest.raises(CallFailed) as error:
        await waiting
    assert "CP-1" in str(error.value)
    return error.value


def test_error_answer_says_its_code() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = asyncio.create_task(calls.call("Reset", {}))
        await wire.until(1)
        refusal = CallError(
            message_id=wire.frames[0].message_id, code="NotSupported", description="no\x1b[31m", details=b"{}"
        )
        assert calls.answered(refusal)
        error = await failed(asked)
        assert (error.code, error.ocpp_code) == ("call-refused", "NotSupported")
        assert "\x1b" not in str(error)

    playing(part)


def test_silence_ends_and_a_late_answer_changes_nothing() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        assert (await failed(calls.call("Reset", {}, timeout_s=0.02))).code == "call-timeout"
        assert not calls.answered(result(wire.frames[0], {}))
        asked = asyncio.create_task(calls.call("Reset", {}))
        await wire.until(2)
        assert not calls.answered(CallResult(message_id="another", payload=b"{}"))
        assert calls.answered(result(wire.frames[1], {"status": "Accepted"}))
        assert not calls.answered(result(wire.frames[1], {"status": "Rejected"})), "the first answer counts"
        assert json.loads(await asked) == {"status": "Accepted"}

    playing(part)


def test_end_of_the_connection_ends_all_of_them() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = [asyncio.create_task(calls.call("Reset", {})) for _ in range(3)]
        await wire.until(1)
        calls.lost("the connection has ended")
        for each in asked:
            assert (await failed(each)).code == "connection-lost"
        assert (await failed(calls.call("Reset", {}))).code == "connection-lost"
        assert len(wire.frames) == 1

    playing(part)


def test_socket_that_breaks_while_sending_is_a_lost_connection() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        wire.broken = True
        assert (await failed(calls.call("Reset", {}))).code == "connection-lost"

    playing(part)


def test_too_many_that_wait_are_refused_and_the_others_go_on() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = [asyncio.create_task(calls.call("Reset", {})) for _ in range(WAITING)]
        await wire.until(1)
        assert (await failed(calls.call("Reset", {}))).code == "calls-waiting"
        for n in range(WAITING):
            await wire.until(n + 1)
            calls.answered(result(wire.frames[n], {}))
        assert [await each for each in asked] == [b"{}"] * WAITING

    playing(part)


def test_caller_that_goes_away_frees_its_turn() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = asyncio.create_task(calls.call("Reset", {}))
        await wire.until(1)
        asked.cancel()
        await asyncio.wait({asked})
        again = asyncio.create_task(calls.call("Reset", {}))
        await wire.until(2)
        assert not calls.answered(result(wire.frames[0], {}))
        assert calls.answered(result(wire.frames[1], {}))
        assert await again == b"{}"

    playing(part)
