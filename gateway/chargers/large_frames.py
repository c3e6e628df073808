"""Large frames on their way in: so many at once over all stations, the next ones wait, and none is dropped for that.

A station that was offline for long sends a whole session in one message. What a connection has in memory beyond
`LARGE_FROM` needs a place until it is answered; without a free one the connection is not read from, and TCP tells the
station. So the memory of all stations is bounded by their small shares and by the places.

Rules
1. A place is for one connection and has a deadline: who begins a large frame and does not end it is cut off.
2. Who waits is served in order.
3. Compression hides how large a frame is until it is unpacked, so on a connection that has it frames end earlier.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

SMALL = 256 * 1024
"""The largest frame of a station that has proven nothing."""
LARGEST, LARGEST_PACKED = 4 * 1024 * 1024, 1024 * 1024
"""The largest frame of a proven station, in bytes, without compression and with it."""
LARGE_FROM = 512 * 1024
"""Bytes of one connection that are not answered yet before it needs a place; what is read ahead of a busy station, some
384 KiB, needs none."""
AT_ONCE = 8
_SLACK = 64 * 1024
"""Heads of fragments, which are counted as they come and are in no frame's size."""


def largest(*, proven: bool, packed: bool) -> int:
    """The largest frame that a station may send, in bytes."""
    if not proven:
        return SMALL
    return LARGEST_PACKED if packed else LARGEST


class Reading(Protocol):
    """A connection that can be left unread for a while."""

    def hold(self) -> None:
        """Read no more."""

    def go_on(self, *, placed: bool) -> None:
        """Read again; `placed`: with a place, whose time runs now."""


class Places:
    """The places of all connections. Belongs to the event loop."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._inside: set[Reading] = set()
        self._waiting: OrderedDict[Reading, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, reading: Reading) -> None:
        """Give the connection a place, or have it wait for one."""
        if reading in self._inside:
            return
        if len(self._inside) < self._at_once and not self._waiting:
            self._inside.add(reading)
            reading.go_on(placed=True)
            return
        self._waiting[reading] = None
        reading.hold()

    def leave(self, reading: Reading) -> None:
        """Take the connection's place, or its place in the queue, away; idempotent."""
        if reading in self._waiting:
            del self._waiting[reading]
            reading.go_on(placed=False)
        if reading not in self._inside:
            return
        self._inside.discard(reading)
        if self._waiting:
            after, _ = self._waiting.popitem(last=False)
            self._inside.add(after)
            after.go_on(placed=True)


class Unanswered:
    """How much of one connection is in memory, by what came in and what was answered."""

    def __init__(self) -> None:
        self._bytes = 0

    def came(self, size: int) -> bool:
        """Count what came; whether it is large now."""
        self._bytes += size
        return self._bytes > LARGE_FROM

    def answered(self, size: int) -> bool:
        """Take a whole frame off; whether what is left is small."""
        left = self._bytes - size
        self._bytes = left if left > _SLACK else 0
        return self._bytes <= LARGE_FROM
