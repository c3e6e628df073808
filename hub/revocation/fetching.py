"""Keeps what gateways need of a PKI fetched ahead of its end: what the configuration lists, and what they asked for.

Rules
1. A source is fetched again when half of what it brought is over, at the latest after the interval, with splay; after a
   failure when a growing, jittered wait is over. One source's failure holds up no other.
2. What is new to all is fetched at once, while the gateway that asked for it waits; once, whoever else asks.
3. Of several processes one fetches a source at a time (hub.store.revocation, rule 3).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from hub.clock import now
from hub.config_revocation import RevocationConfig
from hub.errors import HubError, StoreError
from hub.revocation.download import EvidenceDownload
from hub.revocation.newest import read_fetched
from hub.store.database import Database
from hub.store.revocation import (
    Due,
    Standing,
    configure,
    forget_unasked,
    keep_fetched,
    next_due,
    note_asked,
    note_failed,
    standing,
    take_due,
    take_turn,
    was_asked_lately,
)
from wire.revocation import EvidenceSource

_log = logging.getLogger(__name__)

AT_ONCE = 8
LOOK_EVERY_S = 30.0
"""Other processes may have come to know of sources meanwhile."""
TIDY_EVERY = timedelta(hours=1)
_SPLAY = 0.2


class EvidenceFetching:
    """Fetches while it `run`s. Belongs to one event loop."""

    def __init__(
        self, database: Database, config: RevocationConfig, chance: Callable[[], float] = random.random
    ) -> None:
        self._database, self._config, self._chance = database, config, chance
        self._download = EvidenceDownload(config)
        self._lease = timedelta(seconds=2 * config.timeout_s + 5)
        self._news = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[EvidenceSource, asyncio.Task[None]] = {}
        self._tidied_at: datetime | None = None

    async def run(self) -> None:
        """Fetch what is due, until cancelled."""
        async with self._download:
            try:
                await self._keep_fetching()
            finally:
                for task in self._under_way.values():
                    task.cancel()
                await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def asked(self, source: EvidenceSource, gateway_id: str) -> Standing:
        """What is held for a gateway that asks; what nobody has tried yet is fetched first.

        Raises:
            NotKept: as many sources are known as may be.
            StoreError: the database does not work.
        """
        at = now()
        found = await self._database.read(lambda connection: standing(connection, source))
        if found is None or not await self._database.read(lambda each: was_asked_lately(each, source, at)):
            most = self._config.max_sources
            found = await self._database.write(lambda each: note_asked(each, source, gateway_id, at, most))
        if found.tried:
            return found
        await self._fetched_now(source)
        return await self._database.read(lambda connection: standing(connection, source)) or found

    async def _fetched_now(self, source: EvidenceSource) -> None:
        """Return when the source was tried, here; at once when another process has its turn."""
        if source not in self._under_way:
            due = await self._database.write(lambda each: take_turn(each, source, now(), self._lease))
            if due is not None:
                self._begin(due)
        task = self._under_way.get(source)
        if task is not None:
            await asyncio.shield(task)
        self._news.set()

    async def _keep_fetching(self) -> None:
        known = False
        while True:
            self._news.clear()
            wait_s = LOOK_EVERY_S
            try:
                if not known:
                    await self._database.write(lambda each: configure(each, self._config.sources, now()))
                    known = True
                wait_s = await self._fetch_due()
            except StoreError as error:
                _log.error("revocation-waits", extra={"fields": {"code": error.code, "reason": str(error)}})
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _fetch_due(self) -> float:
        """Fetch what is due; how long until something is."""
        at = now()
        if self._tidied_at is None or abs(at - self._tidied_at) >= TIDY_EVERY:
            self._tidied_at = at
            await self._database.write(lambda each: forget_unasked(each, at))
        due = await self._database.write(lambda each: take_due(each, now(), self._lease, AT_ONCE))
        tasks = [self._begin(each) for each in due]
        await asyncio.gather(*tasks)
        if len(due) == AT_ONCE:
            return 0.0
        ends = await self._database.read(next_due)
        return LOOK_EVERY_S if ends is None else min(LOOK_EVERY_S, max(0.0, (ends - now()).total_seconds()))

    def _begin(self, due: Due) -> asyncio.Task[None]:
        task = asyncio.create_task(self._fetch(due))
        self._under_way[due.source] = task
        task.add_done_callback(lambda _: self._under_way.pop(due.source, None))
        return task

    async def _fetch(self, due: Due) -> None:
        """Fetch a source and note how that went. Raises StoreError."""
        source = due.source
        try:
            async with self._gate:
                der = await self._download.fetch(source)
            at = now()
            new = await asyncio.to_thread(read_fetched, source.kind, der, at)
            again = at + self._wait(new.next_update, at)
            await self._database.write(lambda each: keep_fetched(each, source, new, at, again, self._config.max_bytes))
        except StoreError:
            raise
        except HubError as error:
            await self._failed(due, error)
            return
        fields = {"kind": source.kind.value, "url": source.url, "until": new.next_update, "octets": len(der)}
        _log.info("revocation-fetched", extra={"fields": fields})

    async def _failed(self, due: Due, error: HubError) -> None:
        at, source = now(), due.source
        code, message = error.code, str(error)
        ceiling = min(self._config.retry_max_s, self._config.retry_min_s * 2.0 ** min(due.failures, 30))
        pause_s = self._config.retry_min_s + (ceiling - self._config.retry_min_s) * self._chance()
        again = at + timedelta(seconds=pause_s)
        news = await self._database.write(lambda each: note_failed(each, source, at, again, code, message))
        if news:
            fields = {"kind": source.kind.value, "url": source.url, "code": code, "reason": message}
            _log.warning("revocation-not-fetched", extra={"fields": fields})

    def _wait(self, until: datetime | None, at: datetime) -> timedelta:
        half = float("inf") if until is None else (until - at).total_seconds() / 2
        wait_s = min(half, self._config.interval_s) * (1 - _SPLAY * self._chance())
        return timedelta(seconds=max(self._config.retry_min_s, wait_s))
