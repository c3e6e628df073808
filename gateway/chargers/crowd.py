"""Who is connected or arriving, over all ports: bounds for each address and for all together.

Rules
1. Open sockets are bounded; one too many is closed at once.
2. Arriving connections, whose station has not proven itself, are bounded too. When there are too many from one address,
   the next waits its turn. When there are too many in all, the address with the most of them loses its oldest one, once
   that has had a second: who floods pushes out itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.chargers.port import Bounds

_FRESH_S = 1.0
"""How long an arriving connection is safe from being pushed out."""


@dataclass(eq=False, slots=True)
class Arrival:
    """A connection on its way in. Its task is cancelled when it is pushed out."""

    host: str
    since_s: float
    task: asyncio.Task[None]


class Crowd:
    """Counts sockets and hands out places. Belongs to the event loop."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.turned_away = 0
        """Connections closed because a bound was reached."""
        self._open: Counter[str] = Counter()
        self._places = asyncio.Semaphore(bounds.handshakes)
        self._places_each: dict[str, asyncio.Semaphore] = {}
        self._inside: dict[Arrival, None] = {}

    def opens(self, host: str) -> bool:
        """Count one more socket of `host`; False: it is one too many and not counted."""
        if self._open.total() >= self.bounds.connections or self._open[host] >= self.bounds.connections_each:
            self.turned_away += 1
            return False
        self._open[host] += 1
        return True

    def closes(self, host: str) -> None:
        """One of them has ended."""
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]
            self._places_each.pop(host, None)

    @asynccontextmanager
    async def place(self, arrival: Arrival) -> AsyncIterator[None]:
        """A place among the arriving; waits for one."""
        each = self._places_each.setdefault(arrival.host, asyncio.Semaphore(self.bounds.handshakes_each))
        async with each:
            if self._places.locked():
                self._make_room()
            async with self._places:
                self._inside[arrival] = None
                try:
                    yield
                finally:
                    self._inside.pop(arrival, None)

    def _make_room(self) -> None:
        """Push out the oldest of the address that has the most, now or as soon as it is no longer fresh."""
        if not self._inside or not self._places.locked():
            return
        most, _ = Counter(arrival.host for arrival in self._inside).most_common(1)[0]
        oldest = next(arrival for arrival in self._inside if arrival.host == most)
        loop = asyncio.get_running_loop()
        fresh_for_s = oldest.since_s + _FRESH_S - loop.time()
        if fresh_for_s > 0:
            loop.call_later(fresh_for_s, self._make_room)
            return
        del self._inside[oldest]
        self.turned_away += 1
        oldest.task.cancel()
