"""How often somebody may try a password. Pure: the time is given; what it remembers is bounded.

Rules
1. Tries are counted for the name with the address, for the address, and for the name, within `WINDOW_S`; each has its
   limit in `LIMITS`. A try counts when it begins, so that many at once are many, and no more when it succeeded.
2. The answer does not depend on whether the name is anybody's.
3. `MOST` counts are kept; the one that was used longest ago goes first. An IPv6 address counts with its /64 network.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

WINDOW_S = 900.0
LIMITS = {"pair": 5, "address": 20, "name": 50}
MOST = 10_000

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Count:
    since_s: float
    tries: int = 0


class Throttle:
    """One for a process."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Key, _Count] = OrderedDict()

    def wait_s(self, name: str, address: str, at_s: float) -> float:
        """0 for a try that may be made, which is counted; else the seconds after which another one may be."""
        keys = list(_keys(name, address))
        left = [self._left_s(key, at_s) for key in keys]
        if any(left):
            return max(left)
        for key in keys:
            self._counts.setdefault(key, _Count(at_s)).tries += 1
            self._counts.move_to_end(key)
        while len(self._counts) > MOST:
            self._counts.popitem(last=False)
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the tries of this name from there; the one that succeeded does not count for others either."""
        for key in _keys(name, address):
            count = self._counts.get(key)
            if key[0] == "pair":
                self._counts.pop(key, None)
            elif count is not None:
                count.tries -= 1

    def __len__(self) -> int:
        return len(self._counts)

    def _left_s(self, key: Key, at_s: float) -> float:
        count = self._counts.get(key)
        if count is None:
            return 0.0
        if at_s - count.since_s >= WINDOW_S:
            del self._counts[key]
            return 0.0
        return count.since_s + WINDOW_S - at_s if count.tries >= LIMITS[key[0]] else 0.0


def _keys(name: str, address: str) -> Iterator[Key]:
    network = _network(address)
    yield ("pair", name[:64], network)
    yield ("address", "", network)
    yield ("name", name[:64], "")


def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
