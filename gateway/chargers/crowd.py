"""Who is connected or arriving, over all ports: bounds for each address and for all together.

Rules
1. Open sockets are bounded; one too many is closed at once.
2. Arriving connections, whose station has not proven itself, are bounded too. When there are too many from one address,
   the next waits its turn. When there are too many in all, the address with the most of them loses its oldest one, once
   that has had a second: who floods pushes out itself.
3. An address has so many connections a second that come to nothing; over that its next ones wait. Those that are
   proven do not count: a site that comes back after a power cut is let in as fast as it goes.
4. Of IPv6 a whole /64 is one address: a peer has them all.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from gateway.chargers.port import Bounds
from gateway.chargers.rates import TokenBucket

_FRESH_S = 1.0
"""How long an arriving connection is safe from being pushed out."""
_MAX_ADDRESSES = 4096
"""Addresses whose arrivals are remembered; the one that was seen longest ago is forgotten first."""


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
        self._debts: OrderedDict[str, TokenBucket] = OrderedDict()

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

    def is_shut(self, host: str, now_s: float) -> bool:
        """Whether so many connections of `host` came to nothing that the next would wait for longer than it may."""
        if self._failures(host, now_s).debt_s(now_s) < self.bounds.handshake_timeout_s:
            return False
        self.turned_away += 1
        return True

    def failed(self, host: str, now_s: float) -> None:
        """A connection of `host` has come to nothing."""
        self._failures(host, now_s).take(1, now_s)

    @asynccontextmanager
    async def place(self, arrival: Arrival) -> AsyncIterator[None]:
        """A place among the arriving; waits for one, and until the address has no failures to wait for."""
        each = self._places_each.setdefault(arrival.host, asyncio.Semaphore(self.bounds.handshakes_each))
        async with each:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._failures(arrival.host, loop.time()).debt_s(loop.time()))
            if self._places.locked():
                self._make_room()
            async with self._places:
                self._inside[arrival] = None
                try:
                    yield
                finally:
                    self._inside.pop(arrival, None)

    def _failures(self, host: str, now_s: float) -> TokenBucket:
        bounds = self.bounds
        bucket = self._debts.pop(host, None) or TokenBucket(bounds.failures_per_s, bounds.failures_burst, now_s)
        self._debts[host] = bucket
        if len(self._debts) > _MAX_ADDRESSES:
            self._debts.popitem(last=False)
        return bucket

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


def address_of(peer: str) -> str:
    """What counts as one address: that of IPv4, the /64 of IPv6."""
    try:
        found = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))
