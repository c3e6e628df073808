"""CALLs from the gateway to one charging station on one connection.

Rules
1. One CALL is open at a time (OCPP 2.0.1 Part 4 4.1.1); at most WAITING others wait: those of a higher rank go first,
   those of one rank in their order.
2. A CALL ends with its CALLRESULT, its CALLERROR, its time limit, or the connection. Whoever made it learns which.
3. An answer that comes after the time limit, or to no CALL of ours, changes nothing.
4. Message ids are made here and never used twice.
5. A station that let a CALL run out of its time is left alone by upkeep for BACK_OFF_S, or until it answers another:
   what people want of it does not wait behind questions that it does not answer.

Whoever answers the station's own CALLs must not wait for one of these: the answer comes through the same reader.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import IntEnum

from gateway.errors import CallFailed
from wire.ids import random_id
from wire.ocpp.frames import CallError, CallResult, OCPPErrorCode, encode_call, encode_result_error

WAITING = 32
"""CALLs that may wait for their turn on one connection."""
CALL_TIMEOUT_S = 30.0
BACK_OFF_S = 300.0
"""How long upkeep leaves a station alone that gave no answer."""
_SHOWN = 200


class Rank(IntEnum):
    """What goes first: what people ask for, then what belongs to a session, then what the gateway asks by itself."""

    COMMAND = 0
    SESSION = 1
    UPKEEP = 2


class Calls:
    """The CALLs of one connection. `send` puts a frame on the socket."""

    def __init__(self, charger_id: str, send: Callable[[str], Awaitable[None]]) -> None:
        self._charger_id, self._send = charger_id, send
        self._busy = False
        self._queue: list[tuple[Rank, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._left_alone_until = 0.0
        self._pending: dict[str, asyncio.Future[bytes]] = {}
        self._waiting = 0
        self._gone: str | None = None

    async def call(
        self, action: str, payload: object, timeout_s: float = CALL_TIMEOUT_S, rank: Rank = Rank.COMMAND
    ) -> bytes:
        """The payload of the CALLRESULT. Raises as `exchange` does."""
        return (await self.exchange(action, payload, timeout_s, rank)).payload

    async def exchange(
        self, action: str, payload: object, timeout_s: float = CALL_TIMEOUT_S, rank: Rank = Rank.COMMAND
    ) -> CallResult:
        """The CALLRESULT; `timeout_s` counts from the sending.

        Raises:
            CallFailed: "call-refused" (CALLERROR), "call-timeout", "connection-lost", "calls-waiting" (too many),
                "station-silent" (upkeep only: nothing was sent, by rule 5).
        """
        if self._waiting >= WAITING:
            raise self._failed("calls-waiting", f"{action}: {WAITING} calls wait for this station already")
        self._waiting += 1
        try:
            await self._turn(rank)
            try:
                if rank is Rank.UPKEEP:
                    self._check_answers(action)
                return await self._exchange(action, payload, timeout_s)
            finally:
                self._next_turn()
        finally:
            self._waiting -= 1

    async def _turn(self, rank: Rank) -> None:
        """Return once no other CALL is open; `_next_turn` gives the turn on."""
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (rank, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # It was given the turn and goes away with it.
                self._next_turn()
            raise

    def _next_turn(self) -> None:
        while self._queue:
            turn = heapq.heappop(self._queue)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False

    def _check_answers(self, action: str) -> None:
        """Rule 5. Raises CallFailed."""
        if self._gone is None and asyncio.get_running_loop().time() < self._left_alone_until:
            message = f"{action} was not sent: it gave no answer before, and is left alone for {BACK_OFF_S / 60:g} min"
            raise self._failed("station-silent", message)

    async def refuse(self, result: CallResult, code: OCPPErrorCode, why: str) -> None:
        """Tell a 2.1 station that its CALLRESULT could not be read (CALLRESULTERROR, Part 4 4.2.3)."""
        with suppress(ConnectionError):  # It learns nothing then, and the CALL has failed all the same.
            await self._send(encode_result_error(result.message_id, code, why))

    async def _exchange(self, action: str, payload: object, timeout_s: float) -> CallResult:
        if self._gone is not None:
            raise self._failed("connection-lost", f"{action}: {self._gone}")
        message_id = random_id(os.urandom(16))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pending[message_id] = answer
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(encode_call(message_id, action, payload))
                return CallResult(message_id=message_id, payload=await answer)
        except TimeoutError as error:
            self._left_alone_until = asyncio.get_running_loop().time() + BACK_OFF_S
            raise self._failed("call-timeout", f"{action}: no answer within {timeout_s:g} s") from error
        except ConnectionError as error:
            raise self._failed("connection-lost", f"{action}: {error}") from error
        finally:
            del self._pending[message_id]

    def answered(self, frame: CallResult | CallError) -> bool:
        """Take an answer of the station; says whether it belongs to the open CALL."""
        answer = self._pending.get(frame.message_id)
        if answer is None or answer.done():
            return False
        self._left_alone_until = 0.0
        if isinstance(frame, CallResult):
            answer.set_result(frame.payload)
        else:
            code, description = frame.code[:_SHOWN], frame.description[:_SHOWN]
            message = f"the station answered {code!a}: {description!a}"
            answer.set_exception(self._failed("call-refused", message, code))
        return True

    def lost(self, why: str) -> None:
        """The connection has ended: every CALL that is open or waits fails."""
        self._gone = why
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(self._failed("connection-lost", why))

    def _failed(self, code: str, message: str, ocpp_code: str | None = None) -> CallFailed:
        return CallFailed(code, f"{self._charger_id}: {message}", ocpp_code=ocpp_code)
