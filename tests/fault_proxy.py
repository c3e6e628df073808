"""A TCP proxy on loopback that treats its connections as a bad network does, in a mood that is set at any time.

Rules
1. A mood holds for new connections and, from its next octet on, for those that are open. What a cut counts begins with
   the mood.
2. An octet is passed in order and unchanged, or not at all. A connection that lost one is never used again: half open,
   it stays silent after the mood has passed; cut or refused, it is reset.
3. Bounded: MAX_CONNECTIONS at once (more are reset), a few chunks of buffer each way, noise of NOISE_BYTES. Leaving the
   context closes every connection and the port.

Use it in the loop that entered it:

    async with FaultProxy(hub_port) as proxy:
        ... connect to proxy.port
        proxy.mood = slow(delay_s=0.3, rate=8000)
        proxy.mood = cut(up=10_000)          # reset after so many octets towards the target
        proxy.mood = HALF_OPEN
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

MAX_CONNECTIONS = 256
NOISE_BYTES = 16 * 1024
_CHUNK = 64 * 1024
_CHUNKS_ON_THE_WAY = 64
_PAGE = b"<html><head><title>Welcome</title></head><body>Please accept our terms to go online.</body></html>"
_PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(_PAGE)


class Kind(StrEnum):
    """What becomes of a connection."""

    PASS = "pass"
    REFUSE = "refuse"
    HALF_OPEN = "half-open"
    GARBAGE = "garbage"
    PORTAL = "portal"
    FLAPPING = "flapping"


@dataclass(frozen=True, slots=True)
class Mood:
    """One way to treat connections. The figures are those of PASS: `delay_s` each way, `rate` in octets a second each
    way, `up` and `down` the octets towards the target and back after which a connection is reset."""

    kind: Kind = Kind.PASS
    delay_s: float = 0.0
    rate: int | None = None
    up: int | None = None
    down: int | None = None
    seed: int = 0
    shortest_s: float = 0.0
    longest_s: float = 0.0
    bad: tuple[Mood, ...] = ()


PASS = Mood()
REFUSE = Mood(Kind.REFUSE)
"""Accepted and reset; those that are open are reset."""
HALF_OPEN = Mood(Kind.HALF_OPEN)
"""Accepted and swallowed: no answer, no end. The far side of one that was open hears nothing either."""
PORTAL = Mood(Kind.PORTAL)
"""Whatever is asked is answered with a page, in plain HTTP; those that are open are reset."""


def slow(delay_s: float = 0.0, rate: int | None = None) -> Mood:
    """All passes, late by `delay_s` and at most `rate` octets a second, each way."""
    return Mood(delay_s=delay_s, rate=rate)


def cut(up: int | None = None, down: int | None = None) -> Mood:
    """Each connection is reset after so many octets towards the target, or back."""
    return Mood(up=up, down=down)


def garbage(seed: int = 0) -> Mood:
    """The first octets are answered with noise; nothing reaches the target."""
    return Mood(Kind.GARBAGE, seed=seed)


def flapping(seed: int, shortest_s: float, longest_s: float, bad: tuple[Mood, ...] = (REFUSE, HALF_OPEN)) -> Mood:
    """PASS and one of `bad` in turn, each for `shortest_s` to `longest_s`, both drawn from `seed`."""
    return Mood(Kind.FLAPPING, seed=seed, shortest_s=shortest_s, longest_s=longest_s, bad=bad)


@dataclass(slots=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    target: asyncio.StreamWriter | None = None
    dead: bool = False
    """An octet was swallowed: nothing passes any more."""
    told: bool = False
    """The target's end was passed on to the client: nothing more can be said to it."""
    counted: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """Octets passed since the mood was set, by whether they went towards the target."""

    def reset(self) -> None:
        """RST to both sides."""
        for side in (self.client, self.target):
            if side is not None:
                _abort(side)


class FaultProxy:
    """Passes connections on to `target_port`, in its `mood`. An asynchronous context manager."""

    def __init__(self, target_port: int, *, port: int = 0, host: str = "127.0.0.1") -> None:
        """`port`: where to listen, 0 for a free one."""
        self.target_port, self.port, self._host = target_port, port, host
        self.accepted = 0
        """Connections, of all moods."""
        self.passed = {True: 0, False: 0}
        """Octets, by whether they went towards the target."""
        self._mood = self._now = PASS
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flaps: asyncio.Task[None] | None = None

    @property
    def mood(self) -> Mood:
        """As it was set."""
        return self._mood

    @mood.setter
    def mood(self, mood: Mood) -> None:
        self._mood = mood
        if self._flaps is not None:
            self._flaps.cancel()
            self._flaps = None
        if mood.kind is Kind.FLAPPING:
            self._flaps = asyncio.get_running_loop().create_task(self._flap(mood))
        else:
            self._turn(mood)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def reset_all(self) -> None:
        """Reset what is open, whatever the mood."""
        for connection in tuple(self._open):
            connection.reset()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        pending = set(self._tasks)
        if self._flaps is not None:
            pending.add(self._flaps)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        self.reset_all()
        self._open.clear()
        await asyncio.sleep(0)  # The turn in which what was aborted is closed.

    def _turn(self, mood: Mood) -> None:
        self._now = mood
        for connection in tuple(self._open):
            connection.counted = {True: 0, False: 0}
            if mood.kind in (Kind.REFUSE, Kind.PORTAL):
                connection.reset()

    async def _flap(self, mood: Mood) -> None:
        chance = random.Random(mood.seed)
        while True:
            for now in (PASS, chance.choice(mood.bad)):
                self._turn(now)
                await asyncio.sleep(chance.uniform(mood.shortest_s, mood.longest_s))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if len(self._open) >= MAX_CONNECTIONS or self._now.kind is Kind.REFUSE:
            _abort(writer)
            return
        connection = _Connection(writer)
        self._open.add(connection)
        task = asyncio.get_running_loop().create_task(self._carry(connection, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        try:
            if self._now.kind is Kind.PASS:
                await self._pass(connection, reader)
            else:
                await self._mistreat(connection, reader, self._now)
        except* OSError:
            connection.reset()  # The one side is gone: so is the connection.
        finally:
            await asyncio.gather(*(_end(side) for side in (connection.client, connection.target) if side is not None))
            self._open.discard(connection)

    async def _mistreat(self, connection: _Connection, reader: asyncio.StreamReader, mood: Mood) -> None:
        """What becomes of a connection that begins in a mood other than PASS."""
        if mood.kind is Kind.HALF_OPEN:
            while await reader.read(_CHUNK):
                connection.dead = True
            return
        if await reader.read(_CHUNK):
            connection.client.write(_PORTAL + _PAGE if mood.kind is Kind.PORTAL else _noise(mood.seed))
            await connection.client.drain()

    async def _pass(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        back, connection.target = await asyncio.open_connection(self._host, self.target_port, limit=_CHUNK)
        async with asyncio.TaskGroup() as ways:
            ways.create_task(self._way(connection, reader, connection.target, True))
            ways.create_task(self._way(connection, back, connection.client, False))

    async def _way(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool
    ) -> None:
        """One direction: a reader and a writer with a short queue between, so that a delay does not cost throughput."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_ON_THE_WAY)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._read(source, queue))
            ends.create_task(self._write(connection, queue, sink, up))

    async def _read(self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                chunk = await source.read(_CHUNK)
            except OSError:
                chunk = b""  # A reset ends it as an end does; the other side is told by `_write`.
            await queue.put((clock() + self._now.delay_s, chunk))
            if not chunk:
                return

    async def _write(
        self, connection: _Connection, queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, up: bool
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not chunk:
                if not sink.is_closing() and not connection.dead:
                    sink.write_eof() if sink.can_write_eof() else sink.close()
                    connection.told = connection.told or not up
                return
            await self._forward(connection, memoryview(chunk), sink, up)

    async def _forward(self, connection: _Connection, chunk: memoryview, sink: asyncio.StreamWriter, up: bool) -> None:
        while chunk and not sink.is_closing():
            mood = self._now
            if connection.dead or mood.kind is Kind.HALF_OPEN:
                connection.dead = True
                return
            if mood.kind is Kind.GARBAGE:
                connection.dead = True
                if not connection.told:
                    connection.client.write(_noise(mood.seed))
                return
            most = mood.up if up else mood.down
            left = len(chunk) if most is None else most - connection.counted[up]
            piece = chunk[: max(0, min(left, len(chunk), _CHUNK if mood.rate is None else max(1, mood.rate // 20)))]
            if piece:
                sink.write(piece)
                await sink.drain()
                connection.counted[up] += len(piece)
                self.passed[up] += len(piece)
                chunk = chunk[len(piece) :]
            if most is not None and connection.counted[up] >= most:
                connection.reset()
                return
            if mood.rate is not None:
                await asyncio.sleep(len(piece) / mood.rate)


def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(NOISE_BYTES)


async def _end(side: asyncio.StreamWriter) -> None:
    """Close in peace; one whose peer takes nothing more is reset."""
    side.close()
    try:
        async with asyncio.timeout(1.0):
            await side.wait_closed()
    except OSError:  # of which TimeoutError is one
        _abort(side)


def _abort(side: asyncio.StreamWriter) -> None:
    """End with RST instead of FIN, as a router that forgot the connection would."""
    of_socket = side.get_extra_info("socket")
    if of_socket is not None and of_socket.fileno() >= 0:
        of_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    side.transport.abort()
