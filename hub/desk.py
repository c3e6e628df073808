"""The desk where commands are handed in by operators and fetched by gateways: who waits is woken.

Everything durable is in `hub.store.commands`; here are only those who wait, and a restart loses nothing else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from hub.clock import now
from hub.quotes import COMMAND, quote_of
from hub.store import commands as store
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.meter_keys import learn_told
from hub.store.tariffs import keep_quote
from hub.told_keys import told_keys
from wire.commands import CommandBatch, CommandOrder, CommandReport, CommandState, QueuedOrder, StartSession
from wire.records import CdrToken, Session
from wire.settling.terms import MeterPlace

MAX_WAITING_FOR_STATES = 200


class CommandDesk:
    """One for the hub. Belongs to its event loop."""

    def __init__(self, database: Database, admitted: Collection[str]) -> None:
        self._database, self.admitted = database, frozenset(admitted)
        self._polls: dict[str, asyncio.Event] = {}
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    async def submit(self, gateway_id: str, order: CommandOrder) -> tuple[CommandState, bool]:
        """The order's state once it is durable, and whether it is new; with a start, what its driver was shown.

        Raises:
            ValueError: its id was given to another command.
            TooManyCommands, StoreError: it was not stored.
        """
        at = now()

        def both(connection: Connection) -> tuple[CommandState, bool]:
            found = store.put(connection, gateway_id, order, at)
            if found[1] and isinstance(order.command, StartSession):
                self._quote(connection, gateway_id, order.command_id, order.command, at)
            return found

        found = await self._database.write(both)
        self._wake(gateway_id)
        return found

    def _quote(
        self, connection: Connection, gateway_id: str, command_id: str, start: StartSession, at: datetime
    ) -> None:
        """Keep what holds at the EVSE now, which is what the driver who asked for the start was shown."""
        shown, place = start.token, MeterPlace(gateway_id, start.charger_id.casefold(), start.evse_id or 0)
        token = CdrToken(
            uid=shown.uid,
            type=shown.type,
            contract_id=shown.contract_id or shown.uid,
            country_code=shown.country_code,
            party_id=shown.party_id,
        )
        quote = quote_of(self._database.terms.tariff_at(place, token, at), command_id, at, COMMAND)
        keep_quote(connection, (gateway_id, start.charger_id), shown.ref, quote)

    async def poll(self, gateway_id: str, after: int, wait_s: float) -> CommandBatch:
        """What waits for the gateway beyond number `after`; empty after `wait_s` without any. A newer poll of the same
        gateway ends an older one at once: its connection is likely dead."""
        self._wake(gateway_id)
        woken = self._polls[gateway_id] = asyncio.Event()
        until = asyncio.get_running_loop().time() + wait_s
        try:
            while True:
                orders = await self._waiting(gateway_id, after, now())
                if orders:
                    return CommandBatch(orders=orders)
                if self._closed or self._polls.get(gateway_id) is not woken or not await _set_before(woken, until):
                    return CommandBatch()
                woken.clear()
        finally:
            if self._polls.get(gateway_id) is woken:
                del self._polls[gateway_id]

    async def _waiting(self, gateway_id: str, after: int, at: datetime) -> tuple[QueuedOrder, ...]:
        """What waits now; the database is written to only when there is any."""
        if not await self._database.read(lambda connection: store.is_any(connection, gateway_id, after, at)):
            return ()
        return await self._database.write(lambda connection: store.hand_out(connection, gateway_id, after, at))

    async def report(self, gateway_id: str, report: CommandReport) -> bool:
        """Keep a report, and the meter keys in the station's answers; False when the gateway has no such command.

        Raises:
            StoreError: nothing was kept.
            ValueError: a command has no report of this number.
        """
        at, told = now(), told_keys(report.answers)

        def both(connection: Connection) -> bool:
            known = store.add_report(connection, gateway_id, report, at)
            order = store.state(connection, report.command_id, at) if known and told else None
            if order is not None and order.command.charger_id is not None:
                for one in told:
                    place = MeterPlace(gateway_id, order.command.charger_id, one.evse_id).named
                    learn_told(connection, place, one.key, at)
            return known

        known = await self._database.write(both)
        for watcher in self._watchers.get(report.command_id, ()):
            watcher.set()
        return known

    async def state(self, command_id: str, seen: int = 0, wait_s: float = 0.0) -> CommandState | None:
        """Where a command stands; with `wait_s` not before there are more than `seen` reports, it is done, or the time
        is over."""
        loop = asyncio.get_running_loop()
        until, watcher = loop.time() + wait_s, asyncio.Event()
        self._watchers[command_id].add(watcher)
        try:
            while True:
                watcher.clear()
                at = now()
                found = await self._read(command_id, at)
                if found is None or len(found.reports) > seen or self._closed or loop.time() >= until:
                    return found
                if any(report.final for report in found.reports):
                    return found
                left_s = (found.expires_at - at).total_seconds()
                # That a command's time is over is news as well.
                await _set_before(watcher, min(until, loop.time() + left_s) if left_s > 0 else until)
        finally:
            self._watchers[command_id].discard(watcher)
            if not self._watchers[command_id]:
                del self._watchers[command_id]

    @property
    def watched(self) -> int:
        """How many wait for a command's state."""
        return sum(len(watchers) for watchers in self._watchers.values())

    async def session(self, session_id: str) -> Session | None:
        """The session that a command names. Raises StoreError."""
        return await self._database.read(lambda connection: store.session_named(connection, session_id))

    def close(self) -> None:
        """Let everybody go who waits."""
        self._closed = True
        for event in self._waiting_events():
            event.set()

    async def _read(self, command_id: str, at: datetime) -> CommandState | None:
        return await self._database.read(lambda connection: store.state(connection, command_id, at))

    def hear(self, what: str) -> None:
        """Wake whom it concerns that another process was given a command or a report (`hub.store.engine.Engine`)."""
        kind, _, name = what.partition(" ")
        if kind == "command":
            self._wake(name)
        for watcher in self._watchers.get(name, ()) if kind == "report" else ():
            watcher.set()
        if not what:
            for event in self._waiting_events():
                event.set()

    def _waiting_events(self) -> tuple[asyncio.Event, ...]:
        return (*self._polls.values(), *(one for all_ in self._watchers.values() for one in all_))

    def _wake(self, gateway_id: str) -> None:
        waiting = self._polls.get(gateway_id)
        if waiting is not None:
            waiting.set()


async def _set_before(event: asyncio.Event, until: float) -> bool:
    """Whether the event was set before `until`, by the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return False
    return True
