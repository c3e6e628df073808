"""How much a station may send: the pace of one, the pace of all, and when too much has been too much for too long.

Rules
1. Over the pace nothing is dropped: the next frame is read later, and TCP tells the station.
2. A frame costs one token, and one more for each 8 KiB of it, so that few large frames cost as much as many small ones.
3. Each station has a small share of the common pace that nobody can take from it: whoever keeps to it never waits
   for what others send.
4. A station that sends on and on while it is held back, its next frame always there already, is flooding. One that
   waits for its answers never is, however fast it is: a long queue replayed after an outage is no flood.
"""

from __future__ import annotations

from gateway.chargers.port import Bounds

BYTES_PER_TOKEN = 8 * 1024


class TokenBucket:
    """Tokens that come back with time; they can be owed. Seconds are of any monotonic clock."""

    __slots__ = ("_burst", "_last_s", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._tokens, self._last_s = burst, now_s

    def take(self, tokens: float, now_s: float) -> float:
        """Take the tokens, on credit if need be: the seconds until the debt is paid, 0 without one."""
        self._refill(now_s)
        self._tokens -= tokens
        return 0.0 if self._tokens >= 0 else -self._tokens / self._per_s

    def debt_s(self, now_s: float) -> float:
        """The seconds until what is owed is paid, 0 when nothing is."""
        self._refill(now_s)
        return max(0.0, -self._tokens / self._per_s)

    def take_if_held(self, tokens: float, now_s: float) -> bool:
        """Take the tokens if they are there."""
        self._refill(now_s)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def _refill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now_s - self._last_s) * self._per_s)
        self._last_s = now_s


class Pace:
    """The pace of one connection within that of all."""

    __slots__ = ("_all", "_flood_after_s", "_own", "_piled_since_s", "_share")

    def __init__(self, bounds: Bounds, in_all: TokenBucket, now_s: float) -> None:
        self._own = TokenBucket(bounds.messages_per_s, bounds.burst, now_s)
        self._share = TokenBucket(bounds.share_per_s, bounds.share_burst, now_s)
        self._all, self._flood_after_s = in_all, bounds.flood_after_s
        self._piled_since_s: float | None = None

    def wait_s(self, size: int, now_s: float) -> float:
        """How long to wait before a frame of `size` is taken up; mostly 0."""
        tokens = 1.0 + size // BYTES_PER_TOKEN
        wait_s = self._own.take(tokens, now_s)
        of_all_s = self._all.take(tokens, now_s)
        if of_all_s and not self._share.take_if_held(tokens, now_s):
            wait_s = max(wait_s, of_all_s)
        if not wait_s:
            self._piled_since_s = None
        return wait_s

    def piled(self, was_there: bool, now_s: float) -> bool:
        """Note whether the next frame was there already when a held back one was done; says whether this has gone on
        for too long."""
        if not was_there:
            self._piled_since_s = None
            return False
        if self._piled_since_s is None:
            self._piled_since_s = now_s
        return now_s - self._piled_since_s >= self._flood_after_s


class Seldom:
    """Says something about each of many names at most once in a while, and counts what was not said. Remembers at most
    `names` of them, forgetting the one that was told longest ago."""

    def __init__(self, every_s: float, burst: int = 1, names: int = 1024) -> None:
        self._every_s, self._burst, self._names = every_s, burst, names
        self._told: dict[str, tuple[TokenBucket, int]] = {}

    def admits(self, name: str, now_s: float) -> int | None:
        """How many were left out before, when this one may be said; None: it may not."""
        fresh = TokenBucket(1 / self._every_s, self._burst, now_s), 0
        bucket, left_out = self._told.pop(name, fresh)
        admitted = bucket.take_if_held(1, now_s)
        self._told[name] = (bucket, 0 if admitted else left_out + 1)
        if len(self._told) > self._names:
            del self._told[next(iter(self._told))]
        return left_out if admitted else None
