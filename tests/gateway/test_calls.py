"""CALLs from the gateway: one at a time, each with one end, whatever the station does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from gateway.chargers.calls import BACK_OFF_S, WAITING, Calls, Rank
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
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(lambda: len(self.frames) >= count)


def playing(part: Callable[[Calls, Wire], Awaitable[None]]) -> None:
    async def run() -> None:
        wire = Wire()
        await part(Calls("CP-1", wire.send), wire)

    asyncio.run(asyncio.wait_for(run(), 100))


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


def test_what_people_want_goes_first() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        ranks = [Rank.UPKEEP, Rank.UPKEEP, Rank.SESSION, Rank.COMMAND, Rank.COMMAND]
        asked = [asyncio.create_task(calls.call("Reset", {"n": n}, rank=rank)) for n, rank in enumerate(ranks)]
        for n, expected in enumerate((0, 3, 4, 2, 1)):
            await wire.until(n + 1)
            assert json.loads(wire.frames[n].payload) == {"n": expected}, "the open one ends first, then by rank"
            calls.answered(result(wire.frames[n], {}))
        await asyncio.gather(*asked)

    playing(part)


def test_waiting_caller_that_goes_away_holds_nobody_up() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        asked = [asyncio.create_task(calls.call("Reset", {"n": n})) for n in range(3)]
        await wire.until(1)
        asked[1].cancel()
        calls.answered(result(wire.frames[0], {}))
        await wire.until(2)
        assert json.loads(wire.frames[1].payload) == {"n": 2}
        calls.answered(result(wire.frames[1], {}))
        assert await asked[2] == b"{}"
        assert asked[1].cancelled()

    playing(part)


def test_upkeep_leaves_a_silent_station_alone_and_a_command_does_not() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        assert (await failed(calls.call("GetVariables", {}, 0.02, Rank.UPKEEP))).code == "call-timeout"
        error = await failed(calls.call("GetVariables", {}, rank=Rank.UPKEEP))
        assert error.code == "station-silent"
        assert f"{BACK_OFF_S / 60:g} min" in str(error)
        assert len(wire.frames) == 1, "nothing was sent"
        asked = asyncio.create_task(calls.call("Reset", {}))
        await wire.until(2)
        calls.answered(result(wire.frames[1], {}))
        await asked
        again = asyncio.create_task(calls.call("GetVariables", {}, rank=Rank.UPKEEP))
        await wire.until(3)  # It has answered, so that it is asked again.
        calls.answered(result(wire.frames[2], {}))
        assert await again == b"{}"

    playing(part)


def test_session_is_no_upkeep() -> None:
    async def part(calls: Calls, wire: Wire) -> None:
        assert (await failed(calls.call("Reset", {}, timeout_s=0.02))).code == "call-timeout"
        asked = asyncio.create_task(calls.call("GetTransactionStatus", {}, rank=Rank.SESSION))
        await wire.until(2)
        calls.answered(result(wire.frames[1], {}))
        assert await asked == b"{}"

    playing(part)
