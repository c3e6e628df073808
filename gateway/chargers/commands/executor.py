"""Does what commands want, each once, and reports: durable before anything is asked, and before anybody is told.

1. The command is written down (`take`, `submit`), whatever becomes of it.
2. It is judged: allowed, in time, station known and connected, session known, sayable in the station's version. What is
   refused here is reported and done.
3. It is noted as begun, with the decision that it makes (`Grants`), in one commit.
4. The station is asked. No answer in time is TIMEOUT: it may have acted, so it is not asked again.
5. The answer is written down as report 1. A StartSession that was not refused goes on: report 2 says which session came
   of it, or that none came in time.

After a restart (`resume`) a command that was begun without a report is reported as that: asked, outcome not known.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.chargers.commands.asked import Asked, Facts
from gateway.chargers.commands.judge import Judge, tag_of
from gateway.chargers.commands.outcome import as_answer, combined, read_answer, read_failure
from gateway.chargers.commands.table import translate
from gateway.chargers.connected import Site
from gateway.chargers.roster import Companion, Roster
from gateway.chargers.station import Station
from gateway.errors import CallFailed, CommandRefused, StoreUnavailable
from gateway.grants import REMEMBERED, grant_of
from gateway.log import say
from gateway.store import commands as store
from gateway.store.commands import STUMBLES, Kept, Stage
from gateway.store.ledger import append
from wire.chain import RecordKind
from wire.commands import (
    CancelReservation,
    CommandOrder,
    CommandReport,
    QueuedOrder,
    ReserveNow,
    ResultCode,
    StartSession,
    StationAnswer,
    UnreadOrder,
)
from wire.ids import random_id
from wire.records import AuditEntry, AuthMethod, Basis, Decision, Verdict

CALL_TIMEOUT_S = 30.0
_FULL = (
    "no session begins here now, the room for evidence is spent (site-full): see docs/operations.md, Room on the disk"
)
MEND_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway waits: for a station that is away (hub's commands only), for an answer, for a start; and
    whether it bears everything from its hub, or only what concerns charging."""

    station_s: float = 10.0
    call_s: float = CALL_TIMEOUT_S
    start_s: float = 900.0
    hub_may_all: bool = False


class Executor(Companion):
    """Executes the commands of the site. `configured`: the stations that may connect, as written. `reported` is called
    whenever there is a report for the hub."""

    def __init__(self, site: Site, roster: Roster, configured: Collection[str], patience: Patience) -> None:
        self._site, self._roster, self._patience = site, roster, patience
        self._judge = Judge(site.ledger, roster, configured, hub_may_all=patience.hub_may_all)
        self._grants = site.authorizer.grants
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, asyncio.Event] = {}
        self._arrivals: set[asyncio.Event] = set()
        self._watches: set[asyncio.Event] = set()
        self.reported: Callable[[], None] = lambda: None

    # --- what others tell

    async def attached(self, station: Station) -> None:
        """A station has come: commands that wait for it look again."""
        for arrival in self._arrivals:
            arrival.set()

    def stored(self) -> None:
        """The ledger has grown: a session may have started."""
        for watch in self._watches:
            watch.set()

    # --- orders

    async def take(self, queued: Sequence[QueuedOrder | UnreadOrder]) -> None:
        """Write down the hub's orders, and how far its queue is taken in; they are executed in tasks of their own. What
        cannot be one is reported at once.

        Raises:
            StoreUnavailable: none is written down.
        """
        if not queued:
            return
        at = self._site.clock.now().at
        for one in queued:
            if isinstance(one, UnreadOrder):
                say("order-unreadable", level="warning", command=one.command_id, reason=one.reason)
        taken = await self._site.writer.run(lambda c: store.receive_queued(c, queued, at))
        for kept in taken:
            self._start(kept)
        if len(taken) < len(queued) or any(not kept.from_hub for kept in taken):
            self.reported()

    async def submit(self, order: CommandOrder) -> CommandReport:
        """The first report of a local order; of one that was given before, the report that was made then.

        Raises:
            StoreUnavailable: it cannot be written down, and is not done.
            ValueError: the id names another command.
        """
        at = self._site.clock.now().at
        kept = (await self._site.writer.run(lambda c: store.receive(c, [order], at)))[0]
        done = self._start(kept)
        await done.wait()
        found = store.reports(self._site.ledger, order.command_id)
        if not found:
            raise StoreUnavailable("the gateway stopped before the report was written down")
        return found[0]

    def kept_reports(self, command_id: str) -> tuple[CommandReport, ...]:
        """The reports of a command so far."""
        return store.reports(self._site.ledger, command_id)

    def _start(self, kept: Kept) -> asyncio.Event:
        """The event that is set once there is a first report."""
        command_id = kept.order.command_id
        running = self._running.get(command_id)
        if running is None:
            running = self._running[command_id] = asyncio.Event()
            self._spawn(self._execute(kept, running), f"command-{command_id}")
        return running

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say("command-broken", level="error", task=task.get_name(), reason=str(error))

    async def resume(self) -> None:
        """Take up what the gateway before this one left: grants, and commands that are not done."""
        at = self._site.clock.now().at
        for kept in store.granting(self._site.ledger, at - REMEMBERED):
            self._grants.add(grant_of(kept))
        for kept in store.unfinished(self._site.ledger):
            if kept.stage is Stage.WAITING and kept.from_hub:
                self._start(kept)
            elif kept.stage is Stage.WAITING:
                await self._conclude(kept, 1, ResultCode.EXPIRED, "the gateway stopped before the station was asked")
            elif kept.stage is Stage.BEGUN:
                message = "the gateway stopped while it asked the station; whether it acted is not known"
                await self._conclude(
                    kept, 1, ResultCode.TIMEOUT, message, final=not isinstance(kept.order.command, StartSession)
                )
                self._follow(kept)
            else:
                self._follow(kept)

    async def close(self) -> None:
        """End all tasks; what is begun is taken up by `resume` of the next one."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # --- one command

    async def _execute(self, kept: Kept, reported: asyncio.Event) -> None:
        try:
            if kept.stage is Stage.WAITING:
                await self._perform(kept)
        except STUMBLES as error:
            # Whoever waits for the report must not wait for ever; what was asked before stays asked.
            say("command-broken", level="error", id=kept.order.command_id, reason=f"{type(error).__name__}: {error}")
            await self._conclude(kept, 1, ResultCode.FAILED, f"the gateway could not go on with it: {error}")
        finally:
            reported.set()
            self._running.pop(kept.order.command_id, None)
        if kept.stage is Stage.WAITING:
            self._follow(kept)

    async def _perform(self, kept: Kept) -> None:
        """Steps 2 to 5, up to report 1."""
        try:
            self._judge.require_allowed(kept, self._site.clock.now())
            if isinstance(kept.order.command, StartSession) and self._site.is_full():
                raise CommandRefused(ResultCode.REJECTED, _FULL)
            station = await self._station(kept)
            facts = self._judge.facts(kept, self._site.clock.now().at)
            asked = translate(station.ocpp, kept.order.command, facts)
            if not await self._begin(kept, facts):
                return
        except CommandRefused as error:
            await self._conclude(kept, 1, error.result, str(error))
            return
        except StoreUnavailable as error:
            await self._conclude(kept, 1, ResultCode.FAILED, f"the station was not asked: {error}")
            return
        outcomes, answers = await self._ask(station, asked)
        result, message = combined(outcomes)
        refused = result not in (ResultCode.ACCEPTED, ResultCode.TIMEOUT)
        final = refused or not isinstance(kept.order.command, StartSession)
        withdrawn = _withdrawn(kept, facts, result)
        await self._conclude(kept, 1, result, message, final=final, answers=tuple(answers), withdrawn=withdrawn)

    async def _station(self, kept: Kept) -> Station:
        """The station, once the command may be sent to it. Raises CommandRefused."""
        patience = self._patience.station_s if kept.from_hub else 0.0
        arrival = asyncio.Event()
        self._arrivals.add(arrival)
        try:
            async with asyncio.timeout(patience if patience > 0 else None):
                while True:
                    arrival.clear()
                    found = self._judge.station(kept.order, self._site.clock.now().at, wait=patience > 0)
                    if found is not None:
                        return found
                    await arrival.wait()
        except TimeoutError:
            found = self._judge.station(kept.order, self._site.clock.now().at, wait=False)
            if found is None:  # Not reached: without waiting, it is there or refused.
                raise CommandRefused(ResultCode.CHARGER_OFFLINE, "the station is not connected") from None
            return found
        finally:
            self._arrivals.discard(arrival)

    async def _begin(self, kept: Kept, facts: Facts) -> bool:
        """Step 3; False when the command was begun before."""
        command, site, now = kept.order.command, self._site, self._site.clock.now()
        grant = until = None
        if isinstance(command, StartSession | ReserveNow):
            grant = self._decision(kept, command)
            start_until = now.at + timedelta(seconds=self._patience.start_s)
            until = command.expiry_date if isinstance(command, ReserveNow) else start_until
        source = "hub" if kept.from_hub else "operator"
        what = f"{tag_of(command)} {kept.order.command_id} of the {source}"
        entry = grant or AuditEntry(event="command", subject=command.charger_id, message=what)
        kind = RecordKind.AUDIT if grant is None else RecordKind.DECISION
        reserved = facts.reservation_number

        def begin(connection: sqlite3.Connection) -> bool:
            begun = store.begin(connection, kept, now.at, reserved=reserved, grant=grant, start_until=until)
            if begun:
                append(connection, site.owner, kind, entry, now)
            return begun

        if not await site.writer.run(begin):
            return False
        site.stored()
        say("command", command=tag_of(command), id=kept.order.command_id, charger=command.charger_id, source=source)
        fresh = store.find(site.ledger, kept.order.command_id)
        if fresh is not None and fresh.grant is not None:
            self._grants.add(grant_of(fresh))
        return True

    def _decision(self, kept: Kept, command: StartSession | ReserveNow) -> Decision:
        now = self._site.clock.now()
        return Decision(
            decision_id=random_id(os.urandom(16)),
            at=now.at,
            charger_id=command.charger_id,
            token=command.token.ref,
            verdict=Verdict.ACCEPTED,
            reason="remote-start" if isinstance(command, StartSession) else "reserved",
            basis=Basis.COMMAND,
            auth_method=AuthMethod.COMMAND,
            online=kept.from_hub,
            clock=now.clock,
            contract_id=command.token.contract_id,
            group_id=command.token.group_id,
            authorization_reference=command.authorization_reference,
            command_id=kept.order.command_id,
        )

    async def _ask(
        self, station: Station, asked: Sequence[Asked]
    ) -> tuple[list[tuple[ResultCode, str]], list[StationAnswer]]:
        """Step 4: one request after the other, up to the first that is not answered well."""
        outcomes: list[tuple[ResultCode, str]] = []
        answers: list[StationAnswer] = []
        for one in asked:
            try:
                try:
                    answer = await station.calls.call(one.action, one.payload, self._patience.call_s)
                finally:
                    self._roster.commanded(station, one.action)
            except CallFailed as error:
                outcomes.append(read_failure(one, error))
                answers.append(as_answer(one, None))
                break
            outcomes.append(read_answer(one, answer))
            answers.append(as_answer(one, answer))
            if outcomes[-1][0] is not ResultCode.ACCEPTED:
                break
        return outcomes, answers

    async def _conclude(
        self,
        kept: Kept,
        number: int,
        result: ResultCode,
        message: str,
        *,
        final: bool = True,
        answers: tuple[StationAnswer, ...] = (),
        session_id: str | None = None,
        withdrawn: int | None = None,
    ) -> None:
        """Write a report down; with it that nothing starts by the command, when `withdrawn` says so."""
        report = CommandReport(
            command_id=kept.order.command_id,
            number=number,
            at=self._site.clock.now().at,
            result=result,
            message=message,
            final=final,
            answers=answers,
            session_id=session_id,
        )
        charger_id = kept.order.command.charger_id

        def write(connection: sqlite3.Connection) -> None:
            store.conclude(connection, report)
            if withdrawn is not None:
                store.withdraw_grant(connection, charger_id, withdrawn)

        while True:
            try:
                await self._site.writer.run(write)
                break
            except StoreUnavailable:  # What the station did cannot be asked again; the store is being mended.
                await asyncio.sleep(MEND_S)
        if withdrawn is not None:
            self._grants.withdraw(charger_id, withdrawn)
        self.reported()

    # --- what becomes of a start

    def _follow(self, kept: Kept) -> None:
        """Watch for the session of a StartSession whose outcome is open."""
        if isinstance(kept.order.command, StartSession):
            self._spawn(self._watch(kept.order.command_id), f"start-{kept.order.command_id}")

    async def _watch(self, command_id: str) -> None:
        """Report 2: the session that started, or that none did in time."""
        watch = asyncio.Event()
        self._watches.add(watch)
        try:
            while True:
                watch.clear()
                kept = store.find(self._site.ledger, command_id)
                if kept is None or kept.stage is not Stage.ANSWERED or kept.start_until is None:
                    return
                if kept.session_id is not None:
                    message = f"transaction {kept.transaction_id} has started"
                    await self._conclude(kept, 2, ResultCode.ACCEPTED, message, session_id=kept.session_id)
                    return
                left = (kept.start_until - self._site.clock.now().at).total_seconds()
                if left <= 0:
                    await self._conclude(kept, 2, ResultCode.TIMEOUT, "no session started in time")
                    return
                try:
                    async with asyncio.timeout(left):
                        await watch.wait()
                except TimeoutError:
                    continue
        finally:
            self._watches.discard(watch)


def _withdrawn(kept: Kept, facts: Facts, result: ResultCode) -> int | None:
    """The number under which nothing may start any more, given how the station answered; None: nothing changes."""
    command = kept.order.command
    if isinstance(command, CancelReservation):
        return facts.reservation_number if result is ResultCode.ACCEPTED else None
    refused = result not in (ResultCode.ACCEPTED, ResultCode.TIMEOUT)
    # A change of a reservation that is refused leaves the reservation as it was.
    granting = isinstance(command, StartSession | ReserveNow) and facts.reservation_number is None
    return facts.number if refused and granting else None
