"""When what is pulled: from each partner that is there, what changed since, and all tokens once a day.

Rules
1. A new partner, and one that is back, is asked at once: what it could not push is there for us to get.
2. Between two rounds lie `EVERY`, a tenth more or less: no two platforms that started together ask together for ever.
3. Of several processes one takes each turn.

Source: OCPI 2.3.0 transport_and_format (Pull and Push), mod_tokens (GET).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import timedelta

from hub.clock import now
from hub.errors import HubError
from hub.roaming.crawl import Puller, pulled_modules
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.roaming.tasks import Beside, Repeated
from hub.store import partners, turns
from hub.store.database import Database
from hub.store.engine import Connection
from wire.ocpi.types import Module

_log = logging.getLogger(__name__)

EVERY = timedelta(hours=4)
ALL_TOKENS_EVERY = timedelta(hours=24)
LOOK_EVERY_S = 15.0
AT_ONCE = 4


class Schedule:
    """One for the hub. Belongs to its event loop."""

    def __init__(self, database: Database, config: RoamingConfig, puller: Puller) -> None:
        self._database, self._config, self._puller = database, config, puller
        self._pulls, self._free = Beside(), asyncio.Semaphore(AT_ONCE)
        self._back: set[str] = set()
        self._repeated = Repeated("pull", LOOK_EVERY_S, self._round)
        self.start, self.wake = self._repeated.start, self._repeated.wake

    def is_back(self, id_: str) -> None:
        """A partner is there again: ask it now."""
        self._back.add(id_)
        self._repeated.wake()

    async def close(self) -> None:
        """Stop; what was kept counts."""
        await self._repeated.close()
        await self._pulls.close()

    async def _round(self) -> None:
        back, self._back = self._back, set()
        found = [one for one in await self._database.read(partners.partners) if one.can_be_sent_to]
        for partner in found:
            for module in pulled_modules(partner, self._config):
                full = await self._taken(partner, module, partner.id in back)
                if full is not None:
                    self._pulls.add(self._pull(partner, module, full))

    async def _taken(self, partner: Partner, module: Module, back: bool) -> bool | None:
        """Whether all is to be pulled, None when it is nobody's turn, or another's."""
        name, at = f"pull {partner.id} {module.value} {partner.registered_at}", now()
        every = splayed(EVERY, f"{self._config.url} {name}")

        def due(connection: Connection) -> bool:
            return back or turns.is_due(connection, name, every, at)

        def taken(connection: Connection) -> bool | None:
            if not due(connection):
                return None
            turns.note_turn(connection, name, at)
            return module is Module.TOKENS and turns.take_turn(connection, f"all {name}", ALL_TOKENS_EVERY, at)

        return await self._database.write(taken) if await self._database.read(due) else None

    async def _pull(self, partner: Partner, module: Module, full: bool) -> None:
        async with self._free:
            try:
                await self._puller.pull(partner, module, full=full)
            except HubError as error:
                fields = {"partner": partner.id, "module": module.value, "reason": str(error)}
                _log.error("pull-failed", extra={"fields": fields})


def splayed(every: timedelta, name: str) -> timedelta:
    """`every`, up to a tenth more or less, always the same for one name."""
    chance = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
    return every * (0.9 + 0.2 * chance)
