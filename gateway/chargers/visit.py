"""One station on one connection, from the WebSocket to its end.

Rules
1. Frames are answered in their order. Over the pace the next one is read later.
2. A station that sends nothing whole for a while is asked by a ping, and cut off when it does not answer.
3. A goodbye has a deadline; after it the connection is cut off.
"""

from __future__ import annotations

import asyncio

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web

from gateway.chargers.admission import Admitted
from gateway.chargers.listener import SILENT_INTERVALS, Guard
from gateway.chargers.port import Bounds
from gateway.chargers.rates import Pace
from gateway.chargers.station import Station
from gateway.errors import AdmissionRefused, FrameCut, StoreUnavailable
from gateway.log import say

GOODBYE_S = 5.0


class Line:
    """The sending side of a socket: answers and CALLs of our own, one frame at a time."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket, self._turn = socket, asyncio.Lock()

    async def send(self, frame: str) -> None:
        """Send one frame. Raises ConnectionError when the station is gone, or was cut off because it does not read."""
        # Where compression was agreed on, each frame by itself: what is kept from one to the next is 60 kB a station.
        window_bits = int(self._socket.compress) or None
        async with self._turn:
            await self._socket.send_str(frame, compress=window_bits)


class Visit:
    """A conversation. `converse` returns when it is over; the others may be called meanwhile."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        guard: Guard,
        line: Line,
        admitted: Admitted,
        station: Station,
        pace: Pace,
        bounds: Bounds,
    ) -> None:
        self.admitted, self.station = admitted, station
        self.refused: AdmissionRefused | None = None
        """Why the station is not who it has proven to be, once that was seen."""
        self.too_big: str | None = None
        """What is known of the size of a frame that was too large, once one came."""
        self._socket, self._guard, self._line = socket, guard, line
        self._pace, self._bounds = pace, bounds
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._asked_s = self._heard_s
        self._is_waiting = False
        self._task: asyncio.Task[object] | None = None
        self._goodbye: tuple[int, bytes] | None = None
        self._over = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the connection stands; it may be over before the conversation is."""
        return self._guard.is_open

    async def converse(self) -> str | None:
        """Answer frames until the connection ends; why this side ended it, if it was this side.

        Raises:
            ConnectionError: the station is gone, or was cut off.
        """
        self._task = asyncio.current_task()
        try:
            return await self._converse()
        finally:
            self._over.set()

    async def _converse(self) -> str | None:
        held_back = False
        while (goodbye := self._goodbye) is None:
            try:
                message, was_there = await self._next(held_back)
            except asyncio.CancelledError:
                if not self._is_sent_away():
                    raise
                continue
            now_s = self._heard_s = self._loop.time()
            size = _size(message)
            if size is None:
                return await self._ended(message)
            if held_back and self._pace.piled(was_there, now_s):
                await self._say_goodbye(WSCloseCode.POLICY_VIOLATION, b"too many messages")
                return "flood"
            wait_s = self._pace.wait_s(size, now_s)
            held_back = wait_s > 0
            if held_back:
                await asyncio.sleep(wait_s)
            if message.type is WSMsgType.TEXT:
                why = await self._answer(message.data)
                if why is not None:
                    return why
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            self._guard.answered(size)
        await self._say_goodbye(*goodbye)
        return "sent away"

    def _is_sent_away(self) -> bool:
        """Whether the reader was called off by `end`, and by nobody else."""
        return self._goodbye is not None and self._task is not None and self._task.uncancel() == 0

    async def end(self, code: int, message: bytes, within_s: float = GOODBYE_S) -> None:
        """Say goodbye once the frame at hand is answered, and cut off who does not answer that in time."""
        self._goodbye = self._goodbye or (code, message)
        if self._is_waiting and self._task is not None:
            # The reader itself says it: closed from beside it, the socket would not wait for the station's goodbye.
            self._is_waiting = False
            self._task.cancel()
        try:
            async with asyncio.timeout(within_s):
                await self._over.wait()
        except TimeoutError:
            self._guard.cut()

    async def _say_goodbye(self, code: int, message: bytes) -> None:
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._socket.close(code=code, message=message)
        except (TimeoutError, ConnectionError):
            self._guard.cut()

    def look(self, now_s: float) -> bool:
        """Whether it is time to ask the station whether it is there; cuts it off when it has not answered in time."""
        if not self._is_waiting or self._guard.is_held:  # What it has sent is not read yet.
            return False
        if now_s - self._heard_s >= SILENT_INTERVALS * self._bounds.ping_interval_s:
            say("charger-silent", level="warning", charger=self.station.charger_id)
            self._guard.cut()
            return False
        if now_s - max(self._heard_s, self._asked_s) < self._bounds.ping_interval_s:
            return False
        self._asked_s = now_s
        return True

    async def ping(self) -> None:
        """Ask whether it is there."""
        try:
            await self._socket.ping()
        except ConnectionError:
            return  # The reader of this connection learns that too.

    async def _next(self, held_back: bool) -> tuple[WSMessage, bool]:
        """The next frame, and whether it was there already; that is only asked of a station that is held back."""
        self._is_waiting = True
        try:
            if not held_back:
                return await self._socket.receive(), False
            turn = asyncio.Event()
            mark = self._loop.call_soon(turn.set)
            message = await self._socket.receive()
            mark.cancel()
            return message, not turn.is_set()
        finally:
            self._is_waiting = False

    async def _answer(self, text: str) -> str | None:
        """Answer one frame; why the connection had to be ended, None while it goes on."""
        try:
            reply = await self.station.receive(text)
        except StoreUnavailable as error:
            say("store-unavailable", level="error", charger=self.station.charger_id, reason=str(error))
            await self._say_goodbye(WSCloseCode.INTERNAL_ERROR, b"cannot store")
            return "store"
        except FrameCut as error:
            say("frame-cut", level="warning", charger=self.station.charger_id, reason=str(error))
            await self._say_goodbye(WSCloseCode.INVALID_TEXT, b"message cut short, send it again")
            return error.code
        except AdmissionRefused as error:
            self.refused = error
            say("charger-refused", level="warning", charger=self.station.charger_id, code=error.code, reason=str(error))
            await self._say_goodbye(WSCloseCode.POLICY_VIOLATION, error.code.encode())
            return error.code
        if reply is not None and not self._socket.closed:
            await self._line.send(reply)
        return None

    async def _ended(self, message: WSMessage) -> str | None:
        """What is no frame of OCPP or of the liveness check ends the connection."""
        if message.type is WSMsgType.BINARY:
            await self._say_goodbye(WSCloseCode.UNSUPPORTED_DATA, b"OCPP-J is text")
            return "binary"
        error = message.data
        # The socket's own close code is what became of the goodbye.
        if isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG:
            self.too_big = str(error.args[-1])[:200]
            return "frame-too-big"
        return None


def _size(message: WSMessage) -> int | None:
    """What a frame counts, in bytes; None for what ends the connection."""
    if message.type is WSMsgType.TEXT:
        text: str = message.data
        return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    return 0 if message.type in (WSMsgType.PING, WSMsgType.PONG) else None
