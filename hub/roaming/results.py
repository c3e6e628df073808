"""Who waits for what came of a command that we gave to a partner."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress

from hub.store import calls as store
from hub.store.calls import Call
from hub.store.database import Database


class Results:
    """Wakes those who wait for results. Belongs to its event loop; what is durable is in hub.store.calls."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def came(self, uid: str) -> None:
        """A result is kept: wake who waits for it."""
        for event in self._waiting.get(uid, ()):
            event.set()

    async def result(self, uid: str, wait_s: float) -> Call | None:
        """The call, not before its result is there or `wait_s` is over; None for an unknown one. Raises StoreError."""
        event = asyncio.Event()
        self._waiting[uid].add(event)
        try:
            found = await self._call(uid)
            if found is None or found.result is not None:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await event.wait()
            # Of several processes another one may have been told.
            return await self._call(uid)
        finally:
            self._waiting[uid].discard(event)
            if not self._waiting[uid]:
                del self._waiting[uid]

    async def _call(self, uid: str) -> Call | None:
        return await self._database.read(lambda connection: store.call_of(connection, uid))
