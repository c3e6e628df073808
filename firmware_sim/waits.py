"""Waiting until a site is in a state: it is asked for, and no time is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from firmware_sim.charger import Charger
from firmware_sim.closing import POLL_S
from firmware_sim.errors import SiteError
from firmware_sim.operating import Operator
from firmware_sim.report import Screen
from firmware_sim.scenario import Until, WaitStep
from firmware_sim.site import Site


class Waits:
    """The waits of one play."""

    def __init__(self, site: Site, chargers: Mapping[str, Charger], operator: Operator, screen: Screen) -> None:
        self._site, self._chargers, self._operator, self._screen = site, chargers, operator, screen

    async def until(self, step: WaitStep, list_version: int) -> str:
        """What was seen when the site was in the state; `list_version` is what the hub published last.

        Raises:
            SiteError: it was not within the step's time, or cannot be asked.
        """
        try:
            async with asyncio.timeout(step.within_s):
                return await self._seen(step.until, list_version)
        except TimeoutError:
            raise SiteError("wait", f"not {step.until.value} within {step.within_s:g} s") from None

    async def _seen(self, until: Until, list_version: int) -> str:
        match until:
            case Until.WHITELIST:
                return await self._whitelist(list_version)
            case Until.EVIDENCE:
                return f"{await self._site.await_lists()} revocation lists at the gateway"
            case Until.RECONNECTED:
                await asyncio.gather(*(charger.online_again() for charger in self._chargers.values()))
                return "every charger has its connection again"
            case Until.LISTS:
                return await self._operator.lists()
            case Until.IDLE:
                await asyncio.gather(*(charger.sessions.idle() for charger in self._chargers.values()))
                return "nothing is charging"
            case Until.DRAINED:
                return await self._drained()

    async def _whitelist(self, list_version: int) -> str:
        while True:
            status = await self._site.gateway_status()
            if status.whitelist_version >= list_version:
                return f"version {status.whitelist_version} at the gateway"
            await asyncio.sleep(POLL_S)

    async def _drained(self) -> str:
        """Until the gateway's own store says that nothing is left; the hub's position is the progress."""
        first = None
        while True:
            status = await self._site.gateway_status()
            last = status.acked_seq + status.backlog
            position = min(await self._site.hub_position(), last)
            first = position if first is None else first
            while position < last:
                share = (position - first) / max(1, last - first)
                self._screen.progress("draining", share, f"record {position} of {last} at the hub")
                await asyncio.sleep(POLL_S)
                position = await self._site.hub_position()
            if status.backlog == 0:
                self._screen.progress_ended("draining")
                return f"all {status.records} records are acknowledged"
