"""The work of hub.store.deriving in a process: chains that were just added to, and now and then all that are behind.

Rules
1. A gateway that records were stored of is worked on at once, by one connection of its own. Where another process of
   this machine derives (hub.workers), it is told the gateway by a datagram, which may be lost.
2. Every SWEEP_S all chains that are behind are looked for: those of processes that were killed, and those that failed.
3. What fails is logged and tried again with the next sweep; it keeps no other gateway waiting.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable
from typing import Protocol

from hub.errors import StoreError
from hub.store.chains import Chain
from hub.store.deriving import Appended, Step, behind, derive_next
from hub.store.engine import Connection, Engine
from hub.store.writer import Writer
from wire.settling.terms import Terms

_log = logging.getLogger(__name__)

SWEEP_S = 10.0
SETTLED_S = 0.05
MAX_NAME = 256


class Told(Protocol):
    """Whoever hears of which gateway records were stored."""

    def wake(self, gateway_id: str) -> None:
        """Its records are to be taken into the books."""

    async def close(self) -> None:
        """No more are told."""


class Elsewhere:
    """Derivation in another process, at the other end of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)

    def wake(self, gateway_id: str) -> None:
        """Tell the other process. One that has no time finds it by itself, with its next sweep."""
        try:
            self._socket.send(gateway_id.encode())
        except OSError:
            return

    async def close(self) -> None:
        """The socket is whose who gave it."""


class Derivation:
    """Made inside the event loop that uses it; `close` ends it."""

    def __init__(self, engine: Engine, terms: Terms, tell: Callable[[Chain, Appended], None] | None = None) -> None:
        """Opens a connection. Raises StoreError."""
        self._terms, self._tell = terms, tell
        self._writer = Writer(engine, threads=1)
        self._waiting: dict[str, None] = {}
        self._woken = asyncio.Event()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    async def hear(self, sock: socket.socket) -> None:
        """Be told by the processes at the other end of a socket; for ever."""
        sock.setblocking(False)
        while True:
            self.wake((await asyncio.get_running_loop().sock_recv(sock, MAX_NAME)).decode())

    async def close(self) -> None:
        """End the step that is under way, and close the connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self._writer.close)

    def wake(self, gateway_id: str) -> None:
        """Take the gateway's records into the books, when its turn comes."""
        self._waiting[gateway_id] = None
        self._woken.set()

    async def _work(self) -> None:
        while True:
            await self._woken.wait()
            if not self._waiting:
                self._woken.clear()
                continue
            gateway_id = next(iter(self._waiting))
            del self._waiting[gateway_id]
            step = asyncio.ensure_future(self._writer.submit(self._next_of(gateway_id)))
            await asyncio.wait({step})
            error = step.exception()
            if error is not None:
                fields = {"gateway_id": gateway_id, "reason": f"{type(error).__name__}: {error}"}
                _log.error("derivation-failed", extra={"fields": fields})
            else:
                self._done(step.result())

    def _next_of(self, gateway_id: str) -> Callable[[Connection], Step | None]:
        return lambda connection: derive_next(connection, gateway_id, self._terms)

    def _done(self, step: Step | None) -> None:
        if step is None:
            return
        if self._tell is not None:
            self._tell(step.chain, step.news)
        if step.records:
            self.wake(step.chain.gateway_id)  # There may be more of this epoch, or of the next one.
        else:
            # Whoever works on it may have looked before our records came.
            asyncio.get_running_loop().call_later(SETTLED_S, self.wake, step.chain.gateway_id)

    async def _sweep(self) -> None:
        while True:
            try:
                for chain in await self._writer.submit(behind):
                    self.wake(chain.gateway_id)
            except StoreError as error:
                _log.error("derivation-failed", extra={"fields": {"reason": str(error)}})
            await asyncio.sleep(SWEEP_S * random.uniform(0.8, 1.2))
