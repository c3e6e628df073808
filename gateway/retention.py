"""Lets go of what old records say (`gateway.store.release`) while the stations leave the store alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic

from gateway.clock import Moment
from gateway.decide.dates import Dated, judged_at
from gateway.errors import StoreUnavailable
from gateway.log import say
from gateway.store.release import release_decisions, release_held_back, release_step
from gateway.store.writer import Work, Writer

ROUND_S = 600.0
SPARED = timedelta(days=1)
"""What the hub countersigned so long before its last word stays where room is short, but not yet spent: a hub that is
put back to a backup that was younger than this when it failed is brought everything again, however long it was away."""
_SHARE = 5
"""A step takes at most one part in so many of the time."""


class Retention:
    """Keeps the content of records for `keep_days` after the hub countersigned it, and the latest decisions a day
    longer; for ever when that is 0."""

    def __init__(self, writer: Writer, now: Callable[[], Moment], keep_days: int) -> None:
        self._writer, self._now, self._keep = writer, now, timedelta(days=keep_days)

    async def run(self) -> None:
        """Let go of what is due, again and again, until cancelled; returns at once when content is kept for ever."""
        while self._keep:
            with suppress(StoreUnavailable):  # Which is said by whoever mends the store.
                await self.round()
            await asyncio.sleep(ROUND_S)

    async def round(self) -> int:
        """Let go of all that is due now; says how many records were looked at. A clock that is not known lets go of
        nothing."""
        at = judged_at(Dated.KEEPING, self._now())
        if not self._keep or at is None:
            return 0
        before = at - self._keep
        looked_at = await self.release(before)
        await in_steps(self._writer, lambda connection: release_decisions(connection, before))
        return looked_at

    def spared_since(self, countersigned_at: datetime | None) -> datetime | None:
        """What was countersigned from then on is spared, by when the hub did so last and the earliest that it can be
        now; None: all, for one of these is not known."""
        at = judged_at(Dated.KEEPING, self._now())
        return None if at is None or countersigned_at is None else min(at, countersigned_at) - SPARED

    async def release(self, before: datetime | None, go_on: Work[bool] = lambda _connection: True) -> int:
        """Let go, the oldest first and for as long as `go_on` wants, of what the hub had countersigned before an
        instant, or at all; says how many records were looked at. Raises StoreUnavailable."""
        looked_at = await in_steps(self._writer, lambda c: release_held_back(c, before) if go_on(c) else 0)
        looked_at += await in_steps(self._writer, lambda c: release_step(c, before) if go_on(c) else 0)
        if looked_at:
            say("content-released", records=looked_at)
        return looked_at


async def in_steps(writer: Writer, step: Work[int]) -> int:
    """Do a piece of work again and again until it says 0, a part of the time and when nobody else writes; the sum of
    what it said. Raises StoreUnavailable."""
    done = 0
    while True:
        await writer.idle()
        begun = monotonic()
        looked_at = await writer.run(step)
        if not looked_at:
            return done
        done += looked_at
        await asyncio.sleep((monotonic() - begun) * (_SHARE - 1))
