"""Asks stations to boot of which no boot is known here: the store that knew of it was lost, or was another box's.

A station boots once after it was switched on, and only connects again after that, so nothing else makes it say what it
is. It is asked once on each connection, a while after it came, for it may be about to boot by itself. What it answers
changes nothing: one that does not boot, whether it cannot be asked, refuses because it was accepted before (2.x has it
do so), or does not answer at all, is taken as accepted then and served (`gateway.chargers.provisioning`, rule 3): it is
configured, has proven who it is, and a boot of it would be accepted.

Source: OCPP 1.6 5.17; OCPP 2.0.1 and 2.1 Part 2 F06.FR.17.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.chargers.connected import MODULES
from gateway.chargers.roster import Companion
from gateway.chargers.station import Station
from gateway.errors import CallFailed, StoreUnavailable
from gateway.log import say
from gateway.store.chargers import has_booted
from gateway.supervisor import supervise
from wire.ocpp.payload import Message


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: before a station that has just connected is asked, for the answer, and for the boot that it promised."""

    settle_s: float = 5.0
    answer_s: float = 30.0
    boot_s: float = 60.0


@dataclass(slots=True)
class _Asking:
    """One connection of a station that has not booted here."""

    booted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class BootReminder(Companion):
    """The companion of all stations. `ledger` knows who has booted."""

    def __init__(self, ledger: sqlite3.Connection, patience: Patience | None = None) -> None:
        self._ledger, self._patience = ledger, patience or Patience()
        self._asked: dict[Station, _Asking] = {}

    async def attached(self, station: Station) -> None:
        """Begin to wait for its boot."""
        if has_booted(self._ledger, station.charger_id):
            return
        asking = self._asked[station] = _Asking()
        name = f"boot of {station.charger_id}"
        asking.task = asyncio.create_task(supervise(name, lambda: self._see_to(station, asking)), name=name)

    def detached(self, station: Station) -> None:
        """It cannot be asked any more."""
        asking = self._asked.pop(station, None)
        if asking is not None and asking.task is not None:
            asking.task.cancel()

    def heard(self, station: Station, request: Message) -> None:
        """It may have booted."""
        asking = self._asked.get(station)
        if asking is not None and type(request).__name__ == "BootNotification":
            asking.booted.set()

    async def _see_to(self, station: Station, asking: _Asking) -> None:
        patience = self._patience
        if await _within(asking.booted, patience.settle_s):
            return
        said = await self._ask(station)
        say("charger-asked-to-boot", charger=station.charger_id, answer=said)
        if said == "Accepted" and await _within(asking.booted, patience.boot_s):
            return
        if not station.registered and said != "connection-lost":
            with suppress(StoreUnavailable):  # Its next connection is the next occasion.
                await station.take_as_accepted(f"no boot of it is known, and asked to boot it said {said}")

    async def _ask(self, station: Station) -> str:
        """What the station answers, or the code of what came instead."""
        request = MODULES[station.ocpp].TriggerMessage(requested_message="BootNotification")
        try:
            answer = await station.ask(request, self._patience.answer_s)
        except CallFailed as error:
            return error.ocpp_code or error.code
        return str(getattr(answer, "status", "nothing"))


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set in time."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
