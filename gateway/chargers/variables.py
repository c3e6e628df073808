"""Asking a station for its variables and setting them, within what it takes in one message.

What it answers is durable before anything rests on it. A question that a station refuses for its size or its form is
asked again in halves, so that one variable it dislikes does not hide the others. Any other refusal, and an answer that
cannot be read, would be the same to each half: it is kept as the answer for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from gateway.chargers.abilities import number
from gateway.chargers.connected import Site
from gateway.chargers.local_list import Asked
from gateway.chargers.settings import (
    CONFIGURATION_MAX_KEYS,
    ITEMS_TO_GET,
    ITEMS_TO_SET,
    LIST_ENTRIES,
    LIST_ENTRIES_LIMIT,
    Change,
    changes_for,
    get_request,
    in_parts,
    names_to_read,
    read_answer,
    read_report,
    read_set_answer,
    report_request,
    set_request,
)
from gateway.decide.policy import OfflinePolicy
from gateway.errors import CallFailed
from gateway.log import say
from gateway.store.variables import Variable, keep_variables, note_answer, read_variables
from wire.ocpp import v16
from wire.ocpp.payload import Message

ITEMS = 10
"""Variables in one message where the station does not say."""
REPORT_TIMEOUT_S = 30.0
_PARTLY = ("call-refused", "unreadable-answer")
"""Failures that say something about the question and nothing about the connection."""
_IN_HALVES = frozenset(
    {
        "FormationViolation",
        "FormatViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "OccurrenceConstraintViolation",
        "TypeConstraintViolation",
    }
)
"""CALLERRORs for the size or the form of a question (1.6-J 4.2.3, 2.0.1 Part 4 4.3; with the spelling of 1.6)."""


class StationVariables:
    """One station's variables on one connection."""

    _report_ids = itertools.count(1)

    def __init__(self, station: Asked, site: Site, policy: OfflinePolicy) -> None:
        self._station, self._site, self._policy = station, site, policy
        self._report_id: int | None = None
        self._reported = asyncio.Event()
        self._limits: dict[str, Variable] = {}

    def told(self) -> dict[str, Variable]:
        """What is stored of what the station told."""
        return read_variables(self._site.ledger, self._station.charger_id)

    async def read(self) -> None:
        """Ask for every variable that matters, and keep what is answered. Raises CallFailed, StoreUnavailable."""
        first = self._station.ocpp == v16.VERSION
        sizes = (CONFIGURATION_MAX_KEYS,) if first else (ITEMS_TO_GET, ITEMS_TO_SET)
        found = await self._ask(sizes)
        most = number({each.name: each for each in found}, sizes[0]) or ITEMS
        for part in in_parts(names_to_read(self._station.ocpp), most):
            found += await self._ask(part)
        if not first:
            found += await self._ask_for_limits()
        await self._site.writer.run(partial(_keep, self._station.charger_id, found, self._site.clock.now().at))

    async def _ask(self, names: Sequence[str]) -> list[Variable]:
        try:
            answer = await self._station.ask(get_request(self._station.ocpp, names))
        except CallFailed as error:
            if error.code not in _PARTLY:
                raise
            half = len(names) // 2
            if half == 0 or error.ocpp_code not in _IN_HALVES:
                status = error.ocpp_code or error.code
                return [Variable(name=name, status=status) for name in names]
            return [*await self._ask(names[:half]), *await self._ask(names[half:])]
        return list(read_answer(answer, names))

    async def _ask_for_limits(self) -> list[Variable]:
        """How many entries the list may have: 2.x tells that in a report alone. Nothing when it does not."""
        self._report_id = next(self._report_ids)
        self._reported.clear()
        self._limits.clear()
        try:
            answer = await self._station.ask(report_request(self._station.ocpp, LIST_ENTRIES, self._report_id))
            if getattr(answer, "status", None) != "Accepted":
                return []
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await self._reported.wait()
        except TimeoutError:
            return []
        except CallFailed as error:
            if error.code not in _PARTLY:
                raise
            return []
        finally:
            self._report_id = None
        return list(self._limits.values())

    def heard(self, report: Message) -> None:
        """Take a NotifyReport if it is the one that was asked for; the last part of it ends the waiting."""
        if self._report_id is None or getattr(report, "request_id", None) != self._report_id:
            return
        self._limits.update({each.name: each for each in read_report(report) if each.name == LIST_ENTRIES_LIMIT})
        if not getattr(report, "tbc", None):
            self._reported.set()

    async def set(self, *, again: bool) -> None:
        """Set what is not as policy wants it; what was refused before only if `again`, as after a boot.

        Raises CallFailed, StoreUnavailable.
        """
        told = self.told()
        changes = [
            change
            for change in changes_for(self._station.ocpp, self._policy, told)
            if again or told[change.name].wanted != change.value or told[change.name].answer in (None, "Accepted")
        ]
        most = 1 if self._station.ocpp == v16.VERSION else number(told, ITEMS_TO_SET) or ITEMS
        for part in in_parts(changes, most):
            await self._set(part)

    async def _set(self, changes: Sequence[Change]) -> None:
        charger_id = self._station.charger_id
        try:
            answers = list(read_set_answer(await self._station.ask(set_request(self._station.ocpp, changes)), changes))
        except CallFailed as error:
            if error.code not in _PARTLY:
                raise
            answers = [(change, error.ocpp_code or error.code) for change in changes]
        at = self._site.clock.now().at
        for change, answer in answers:
            await self._site.writer.run(partial(_note, charger_id, change, answer, at))
            level = "info" if answer in ("Accepted", "RebootRequired") else "warning"
            say("charger-set", level=level, charger=charger_id, variable=change.name, value=change.value, answer=answer)


def _keep(charger_id: str, variables: Iterable[Variable], at: datetime, connection: sqlite3.Connection) -> None:
    keep_variables(connection, charger_id, variables, at)


def _note(charger_id: str, change: Change, answer: str, at: datetime, connection: sqlite3.Connection) -> None:
    note_answer(connection, charger_id, change.name, change.value, answer, at)
