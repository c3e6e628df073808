"""Keeps the gateway's certificate young: the next one is asked for between half and three fifths of its life, so that a
fortnight of trouble still ends before two thirds of a year's certificate are over.

Rules
1. When exactly is drawn for each certificate, so that sites enrolled together do not come together.
2. A failure is said once for each kind, kept for `pnc-gateway status`, and tried again after a growing, jittered wait.
3. A pair that somebody else put there (`pnc-gateway enrol`) is taken up within LOOK_EVERY_S.
4. Connections that are open stay open: the new pair is shown by those that are made from then on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime

from gateway.clock import Clock
from gateway.enrol.enrolment import Enrolment
from gateway.enrol.identity import OwnIdentity, load_identity
from gateway.errors import EnrolmentError
from gateway.log import say
from gateway.store.evidence import EvidenceStore
from gateway.uplink.backoff import Backoff

EARLIEST, LATEST = 0.5, 0.6
"""The parts of a certificate's life between which it is renewed."""
LOOK_EVERY_S = 60.0
SOURCE = "own certificate"

Audit = Callable[[str, str], Awaitable[None]]
Show = Callable[[OwnIdentity], None]


class Renewal:
    """Renews the pair `present` and shows each new one through `show`. `run` until cancelled."""

    def __init__(
        self,
        enrolment: Enrolment,
        present: OwnIdentity,
        clock: Clock,
        store: EvidenceStore,
        *,
        show: Show,
        audit: Audit,
        backoff: Backoff,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._enrolment, self._clock, self._store = enrolment, clock, store
        self._show, self._audit, self._backoff, self._chance = show, audit, backoff, chance
        self._present = present
        self._due_at = self._drawn()
        self._trouble: str | None = None

    @property
    def due_at(self) -> datetime:
        """When the next certificate is asked for."""
        return self._due_at

    async def run(self) -> None:
        """Look, renew when it is time, wait; for ever. Raises StoreError, StoreUnavailable."""
        while True:
            await self.take_up()
            now = self._clock.now().at
            wait_s = (self._due_at - now).total_seconds()
            if wait_s <= 0:
                wait_s = await self._renew()
            await asyncio.sleep(min(max(wait_s, 0.0), LOOK_EVERY_S))

    async def take_up(self) -> None:
        """Show the pair that lies there now, if it is another one."""
        try:
            found = await asyncio.to_thread(load_identity, self._enrolment.path)
            if found.leaf != self._present.leaf:
                await self._adopt(found, "certificate-taken-up")
        except EnrolmentError as error:
            await self._failed(error)

    async def _renew(self) -> float:
        """One attempt; the seconds to wait after it."""
        try:
            found = await self._enrolment.next(self._present, self._clock.now())
            await self._adopt(found, "certificate-renewed")
        except EnrolmentError as error:
            await self._failed(error)
            return max(self._backoff.next_s(self._chance()), float(error.retry_after_s or 0))
        return self._backoff.shortest_s  # A PKI that gives certificates that are old already is not asked in a loop.

    async def _adopt(self, found: OwnIdentity, event: str) -> None:
        self._show(found)
        self._present, self._trouble = found, None
        self._due_at = self._drawn()
        self._backoff.reset()
        self._store.note_good(SOURCE, self._clock.now().at, found.leaf.not_after)
        say(event, not_after=found.leaf.not_after, serial=f"{found.leaf.serial:x}")
        await self._audit(event, f"serial {found.leaf.serial:x}, valid until {found.leaf.not_after}")

    async def _failed(self, error: EnrolmentError) -> None:
        self._store.note_trouble(SOURCE, self._clock.now().at, error.code, str(error))
        if error.code == self._trouble:
            return
        self._trouble = error.code
        left = self._present.leaf.not_after - self._clock.now().at
        say("renewal-failed", level="error", code=error.code, reason=str(error), life_left=str(left))
        await self._audit("renewal-failed", f"{error.code}: {error}")

    def _drawn(self) -> datetime:
        return self._present.due_at(EARLIEST + (LATEST - EARLIEST) * self._chance())
