"""The accept loop of one port, and the guard of each connection.

aiohttp's own site has no deadline for a handshake, no bound, and is silent about what it turns away.

Rules
1. A connection is arriving until its station has proven itself, and has one deadline for all of that: waiting for a
   place (`crowd`), TLS, HTTP, a refusal. A header that comes a byte at a time ends there like a socket that says
   nothing.
2. A peer that does not take what is sent is cut off at a deadline, whatever was being sent: an answer, a pong, a
   goodbye.
3. Of frames that are on their way in, so many may be large at once, over all ports (`large_frames`).
"""

from __future__ import annotations

import asyncio
import errno
import socket

from aiohttp import web

from gateway.chargers.crowd import Arrival, Crowd, address_of
from gateway.chargers.large_frames import Places, Unanswered
from gateway.chargers.port import Port
from gateway.chargers.rates import Seldom
from gateway.chargers.tls import PortTLS
from gateway.log import say

BACKLOG = 512
SILENT_INTERVALS = 3
"""A station is cut off after so many intervals of its pings without a whole frame."""
_TLS_GOODBYE_S = 5.0
_PAUSE_S = 0.5
"""How long to wait for a free file descriptor."""
_TELL_EVERY_S, _TELL_BURST = 10.0, 5
_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Guard(asyncio.Protocol):
    """Stands between a transport and the HTTP server. `port` is where the connection came in."""

    def __init__(self, inner: web.RequestHandler, port: Port, crowd: Crowd, places: Places, host: str) -> None:
        self.port, self._inner, self._crowd, self._host = port, inner, crowd, host
        self._places, self._unanswered = places, Unanswered()
        self._frame_deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self.is_proven = self.is_connected = self.is_held = False
        self._is_counted = True
        self.settled = asyncio.Event()
        """Set once the station has proven itself, or the connection has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, or TLS, stands."""
        assert isinstance(transport, asyncio.Transport)  # asyncio gives this to a Protocol.
        self._transport, self.is_connected = transport, True
        # Whatever is not taken at once starts the deadline for writing. With 0, TLS would wait for its own next write.
        transport.set_write_buffer_limits(high=1)
        self._inner.connection_made(transport)

    def proven(self) -> None:
        """The station has shown who it is: it has arrived."""
        self.is_proven = True
        self.settled.set()

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return self._transport is not None

    def cut(self) -> None:
        """End the connection now, without a goodbye."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
        self._transport = None
        self._places.leave(self)
        self._end_frame_deadline()
        self.release()
        self._inner.connection_lost(exc)

    def release(self) -> None:
        """The socket is, or will be, no more: it is not counted any longer. Idempotent."""
        if self._is_counted:
            self._is_counted = False
            self._crowd.closes(self._host)
        self.settled.set()

    def data_received(self, data: bytes) -> None:
        """Pass on what has come."""
        self._inner.data_received(data)
        if self.is_proven and self._transport is not None and self._unanswered.came(len(data)):
            self._places.ask(self)

    def answered(self, size: int) -> None:
        """A whole frame of `size` bytes is done with."""
        if self._unanswered.answered(size):
            self._places.leave(self)
            self._end_frame_deadline()
        elif size and self._frame_deadline is not None:
            self._begin_frame_deadline()  # The next large one is behind it.

    def hold(self) -> None:
        """Read no more until `go_on`; the server may still go on with what it has."""
        self.is_held = True
        self._inner.pause_reading()

    def go_on(self, *, placed: bool) -> None:
        """Read again. A large frame has a time, which runs from here."""
        self.is_held = False
        if self._transport is None:
            return
        if placed:
            self._begin_frame_deadline()
        self._inner.resume_reading()

    def _begin_frame_deadline(self) -> None:
        self._end_frame_deadline()
        time_s = SILENT_INTERVALS * self._crowd.bounds.ping_interval_s
        self._frame_deadline = asyncio.get_running_loop().call_later(time_s, self.cut)

    def _end_frame_deadline(self) -> None:
        if self._frame_deadline is not None:
            self._frame_deadline.cancel()
            self._frame_deadline = None

    def eof_received(self) -> None:
        """Pass on that nothing more comes."""
        self._inner.eof_received()

    def pause_writing(self) -> None:
        """The peer does not take what is sent: its time runs."""
        if self._write_deadline is None:
            timeout_s = self._crowd.bounds.write_timeout_s
            self._write_deadline = asyncio.get_running_loop().call_later(timeout_s, self.cut)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It took it."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        self._inner.resume_writing()


class Listener:
    """Accepts connections for `server` on one port. `start`, then `close`."""

    def __init__(self, port: Port, tls: PortTLS | None, crowd: Crowd, places: Places, server: web.Server) -> None:
        self.port, self.tls, self._places = port, tls, places
        self._crowd, self._server = crowd, server
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._seldom = Seldom(_TELL_EVERY_S, _TELL_BURST)

    async def start(self) -> str:
        """Listen at every address of the host; the answer is HOST:PORT with the port that was taken. Raises OSError,
        UnicodeError; nothing listens then."""
        host, port = self.port.host, self.port.port
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, address in found if port else found[:1]:
            try:
                listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and self._sockets:
                    continue  # A name may have an address of IPv6 where the box has none.
                await self.close()
                raise
            listening.setblocking(False)
            self._sockets.append(listening)
        name = f"accept {self.port.key}"
        self._accepting = [asyncio.create_task(self._accept(each), name=name) for each in self._sockets]
        bound = self._sockets[0].getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stop accepting, and drop what is arriving. What has arrived is the server's."""
        tasks = [*self._accepting, *self._arriving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _SHORT_OF:
                    say("accept-failed", level="error", port=self.port.key, reason=str(error))
                    await asyncio.sleep(_PAUSE_S)
                continue
            await asyncio.sleep(0)  # One that waited in the backlog is accepted without giving anybody else a turn.
            host = address_of(str(peer[0]))
            if not self._crowd.opens(host):
                accepted.close()
                self._tell(host, "too many connections")
                continue
            if self._crowd.is_shut(host, loop.time()):
                accepted.close()
                self._crowd.closes(host)
                self._tell(host, "too many connections that come to nothing")
                continue
            task = asyncio.create_task(self._arrive(accepted, host))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _arrive(self, accepted: socket.socket, host: str) -> None:
        """See the connection through until its station is proven, or it has ended."""
        accepted.setblocking(False)
        loop, bounds = asyncio.get_running_loop(), self._crowd.bounds
        task = asyncio.current_task()
        assert task is not None  # This runs as a task.
        arrival = Arrival(host, loop.time(), task)
        deadline_s = arrival.since_s + bounds.handshake_timeout_s
        guard = Guard(self._server(), self.port, self._crowd, self._places, host)
        try:
            async with asyncio.timeout_at(deadline_s), self._crowd.place(arrival):
                await self._connect(accepted, guard, deadline_s - loop.time())
                await guard.settled.wait()
        except TimeoutError:
            self._tell(host, f"no station has proven itself within {bounds.handshake_timeout_s:g} s")
        except OSError as error:
            # ssl.SSLError and the end of the peer are OSErrors.
            self._tell(host, str(error))
        finally:
            if not guard.is_connected:
                accepted.close()
                guard.release()
            elif not guard.is_proven:
                guard.cut()
            if not guard.is_proven:
                self._crowd.failed(host, loop.time())

    async def _connect(self, accepted: socket.socket, guard: Guard, left_s: float) -> None:
        """TLS where there is one; then the server reads. Raises OSError."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: guard,
            accepted,
            ssl=None if self.tls is None else self.tls.for_handshake(),
            ssl_handshake_timeout=None if self.tls is None else max(left_s, 0.1),
            ssl_shutdown_timeout=None if self.tls is None else _TLS_GOODBYE_S,
        )

    def _tell(self, host: str, reason: str) -> None:
        """Say why a peer was turned away; of each address only so many."""
        left_out = self._seldom.admits(host, asyncio.get_running_loop().time())
        if left_out is not None:
            say("charger-refused", level="warning", port=self.port.key, peer=host, reason=reason, left_out=left_out)
