"""Counts what stations do beyond their schemas, and writes the counts down now and then.

A crash loses the counts of the last seconds, never a message. What a station does for the first time is said in
the log.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.clock import Clock
from gateway.log import say
from gateway.store.quirks import QuirkCount, add_quirks
from gateway.store.writer import Writer

FLUSH_EVERY_S = 5.0
_SHOWN = 200
"""Characters of an example."""


class QuirkTally:
    """One for the site."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], QuirkCount] = {}
        self._said: set[tuple[str, str]] = set()

    def note(self, charger_id: str, quirk: str, where: str) -> None:
        """Count one occurrence at `where` (action and JSON path)."""
        at, key, where = self._clock.now().at, (charger_id.casefold(), quirk), where[:_SHOWN]
        known = self._counts.get(key)
        if known is None:
            known = QuirkCount(charger_id, quirk, 0, at, at, where)
        self._counts[key] = replace(known, count=known.count + 1, last_at=at, example=where)
        if key not in self._said:
            self._said.add(key)
            say("quirk-tolerated", charger=charger_id, quirk=quirk, where=where)

    async def flush(self, writer: Writer) -> None:
        """Write down what was counted since. Raises StoreUnavailable; the counts are kept then."""
        counts = dict(self._counts)
        if not counts:
            return
        await writer.run(lambda connection: add_quirks(connection, counts.values()))
        for key, written in counts.items():
            left = self._counts[key].count - written.count
            if left:
                self._counts[key] = replace(self._counts[key], count=left, first_at=written.last_at)
            else:
                del self._counts[key]

    async def keep(self, writer: Writer) -> None:
        """Write down every few seconds, until cancelled; what a broken store does not take waits for a mended one."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if writer.broken is None:
                await self.flush(writer)
