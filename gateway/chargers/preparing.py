"""Prepares every connected station for being alone: what it can, how it is set, whom it lets in.

For each station one task, in this order: its variables are read, set as policy has it, and its local list is brought in
step. Then it is left alone until something moves:

| what                                  | when the station hears of it                                           |
|---------------------------------------|------------------------------------------------------------------------|
| a token was blocked                   | at once, where the station holds it as a good one or it was used there |
| the whitelist moved, tokens were used | `interval_s` after the last time; changes in between come together     |
| the station booted                    | at once, all of it anew                                                |
| it connected, or a command set it     | at once, its variables anew: somebody else may have set them           |
| nothing                               | once a day its variables and its list's version are asked for          |
| it refused or did not answer          | again after a while, longer each time                                  |

At most `AT_ONCE` stations are spoken to at a time, so that a site that comes back does not talk to all of them at once;
those that failed last wait for each other and for nobody else. A station that connects or boots again and again is
read anew a few times an hour at most.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import msgspec

from gateway.chargers.abilities import Abilities, abilities_of
from gateway.chargers.connected import MODULES, Site
from gateway.chargers.local_list import ListKeeper
from gateway.chargers.ranking import Ranking
from gateway.chargers.roster import Companion
from gateway.chargers.station import Station
from gateway.chargers.variables import StationVariables
from gateway.decide.local_list import Wanted
from gateway.decide.policy import OfflinePolicy
from gateway.errors import CallFailed, StoreUnavailable
from gateway.log import say
from gateway.store.chargers import is_registered
from gateway.store.local_lists import (
    Learned,
    ListState,
    Standing,
    holders,
    learn,
    note_cleared,
    note_standing,
    read_list,
)
from gateway.store.transactions import latest_decision
from gateway.store.usage import latest_session, latest_uses
from gateway.store.whitelist import Whitelist
from gateway.supervisor import supervise
from gateway.uplink.backoff import Backoff
from wire.ocpp.payload import Message
from wire.records import Token, Verdict
from wire.tokens import found_by

AT_ONCE = 8
LOOKED_UP = 2000
"""Blocked tokens of one change that are looked up; with more of them every station is looked after."""
DAY_S = 86_400.0
SHORTEST_LOOK_S = 60.0
HOUR_S = 3600.0
MANY_BOOTS = 4
"""Boots, and connections, within an hour after which the next ones are no reason to read all anew."""
_SETTING = frozenset({"ChangeConfiguration", "SetVariables", "SetNetworkProfile", "DataTransfer"})
"""Requests by which a command may change variables."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: before a station that has just connected is spoken to (it may boot first), between two changes of its
    list, between two looks at what was used, between two looks at its version, before it is tried again at least and at
    most, and how long a ranking serves while tokens are used."""

    settle_s: float = 5.0
    interval_s: float = 900.0
    usage_s: float = 900.0
    check_s: float = DAY_S
    retry_min_s: float = 30.0
    retry_max_s: float = 3600.0
    ranking_s: float = 60.0


def pace_of(policy: OfflinePolicy) -> Pace:
    """The pace that policy asks for."""
    return Pace(interval_s=policy.list_interval_s, usage_s=max(SHORTEST_LOOK_S, policy.list_interval_s))


@dataclass(slots=True)
class _Care:
    """One connected station, and what is to be done: `booted` all anew, `doubtful` read its variables, `fresh` ask what
    it holds, `moved` compare it with what it should hold, `urgent` do so now."""

    station: Station
    variables: StationVariables
    keeper: ListKeeper
    booted: bool = False
    doubtful: bool = False
    fresh: bool = True
    moved: bool = False
    urgent: bool = False
    seen_session: int = -1
    not_before: float = 0.0
    task: asyncio.Task[None] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def due(self) -> bool:
        """Whether there is anything to be done."""
        return self.booted or self.doubtful or self.fresh or self.moved or self.urgent

    def wake(self) -> None:
        """Let the task look what there is to be done."""
        self.quiet.clear()
        self.news.set()


class Preparing(Companion):
    """The companion of all stations; `whitelist_moved` is to be called after each change of the whitelist."""

    def __init__(self, site: Site, whitelist: Whitelist, policy: OfflinePolicy, pace: Pace | None = None) -> None:
        """`policy` with nothing left to [policy] (`OfflinePolicy.under`)."""
        self._site, self._whitelist, self._policy = site, whitelist, policy
        self._pace = pace or pace_of(policy)
        self._cares: dict[str, _Care] = {}
        self._turns, self._slow_turns = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        self._boots: dict[str, deque[float]] = {}
        self._arrivals: dict[str, deque[float]] = {}
        self._ranking: Ranking | None = None
        self._ranked_session, self._ranked_at = -1, 0.0
        self._ranking_turn = asyncio.Lock()

    async def attached(self, station: Station) -> None:
        """Begin to look after the station, in place of an older connection of the same."""
        if not self._policy.manage:
            return
        care = _Care(
            station,
            StationVariables(station, self._site, self._policy),
            ListKeeper(station, self._site, self._policy),
            doubtful=_counts(self._arrivals, station.charger_id),
        )
        self._end(self._cares.get(station.charger_id.casefold()))
        self._cares[station.charger_id.casefold()] = care
        name = f"preparing {station.charger_id}"
        care.task = asyncio.create_task(supervise(name, lambda: self._look_after(care)), name=name)

    def detached(self, station: Station) -> None:
        """Nothing more can be done for it."""
        care = self._of(station)
        if care is not None:
            self._end(care)
            del self._cares[station.charger_id.casefold()]

    @staticmethod
    def _end(care: _Care | None) -> None:
        if care is not None and care.task is not None:
            care.task.cancel()
            care.quiet.set()

    def _of(self, station: Station) -> _Care | None:
        care = self._cares.get(station.charger_id.casefold())
        return care if care is not None and care.station is station else None

    def heard(self, station: Station, request: Message) -> None:
        """A boot makes all new; a report may be the one that was asked for."""
        care = self._of(station)
        if care is None:
            return
        if type(request).__name__ == "BootNotification":
            care.booted, care.fresh = _counts(self._boots, station.charger_id) or care.booted, True
            # Its boot is answered first.
            care.not_before = asyncio.get_running_loop().time() + self._pace.settle_s
            care.wake()
        elif type(request).__name__ == "NotifyReport":
            care.variables.heard(request)

    def commanded(self, station: Station, action: str) -> None:
        """What is known of the station may hold no longer."""
        care = self._of(station)
        if care is None or action not in (*_SETTING, "SendLocalList"):
            return
        care.doubtful = care.doubtful or action in _SETTING
        care.fresh = care.urgent = True
        care.wake()

    def whitelist_moved(self, blocked: Collection[Token], *, full: bool) -> None:
        """The whitelist has another version; who holds or used a token that is blocked now hears of it at once, and
        everybody when it is not told which are (`full`)."""
        everybody = full or len(blocked) > LOOKED_UP
        concerned = set() if everybody else self._concerned(blocked)
        for name, care in self._cares.items():
            care.moved = True
            care.urgent = care.urgent or everybody or name in concerned
            care.wake()

    def _concerned(self, blocked: Collection[Token]) -> set[str]:
        keys = {text.casefold() for token in blocked for text in (token.uid, *found_by(token))}
        held = holders(self._site.ledger, keys)
        used = {charger_id for charger_id, text in latest_uses(self._site.ledger) if text.casefold() in keys}
        return {charger_id.casefold() for charger_id in held | used}

    async def until_quiet(self, charger_id: str) -> None:
        """Return once nothing is left to be done for the station, or it is gone."""
        care = self._cares.get(charger_id.casefold())
        if care is not None:
            await care.quiet.wait()

    # --- one station

    async def _look_after(self, care: _Care) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(self._pace.retry_min_s, self._pace.retry_max_s)
        next_at = care.not_before = loop.time() + self._pace.settle_s
        while True:
            await self._until_due(care, next_at)
            try:
                async with self._slow_turns if backoff.failures else self._turns:
                    standing, sent = await self._prepare(care)
                problem = standing.problem if standing.state is ListState.BEHIND else None
            except CallFailed as error:
                problem, sent = str(error), True
                await self._note_trouble(care, error)
            except (StoreUnavailable, sqlite3.Error) as error:
                problem, sent = str(error), True
            if problem is None:
                backoff.reset()
                next_at = loop.time() + (self._pace.interval_s if sent else 0.0)
                continue
            care.fresh = True  # What it holds is not known.
            wait_s = backoff.next_s(random.random())
            next_at = loop.time() + wait_s
            say("charger-unprepared", level="warning", charger=care.station.charger_id, reason=problem, again_s=wait_s)

    async def _note_trouble(self, care: _Care, error: CallFailed) -> None:
        """Let the status say why nothing is known of the list now; a connection that has ended says nothing of it."""
        charger_id = care.station.charger_id
        standing = read_list(self._site.ledger, charger_id).standing
        if error.code == "connection-lost" or (standing.state, standing.problem) == (ListState.BEHIND, str(error)):
            return
        standing = msgspec.structs.replace(standing, state=ListState.BEHIND, problem=str(error))
        try:
            await self._site.writer.run(partial(_note, charger_id, standing, self._site.clock.now().at))
        except StoreUnavailable:
            return  # It is said in the log all the same.

    async def _until_due(self, care: _Care, next_at: float) -> None:
        """Wait until something is to be done and the station may be spoken to again."""
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self._pace.check_s
        while True:
            now = loop.time()
            next_turn = (
                care.not_before if care.urgent or care.booted or care.doubtful else max(next_at, care.not_before)
            )
            if care.due and now >= next_turn and self._registered(care):
                return
            if now >= check_at:
                care.fresh = care.doubtful = True
                check_at = now + self._pace.check_s
                await self._forget_lessons(care)
                continue
            care.news.clear()
            if not care.due:
                care.quiet.set()
            wait_until = next_turn if care.due and next_turn > now else min(check_at, now + self._pace.usage_s)
            if not await _heard_within(care.news, wait_until - now):
                care.moved = care.moved or latest_session(self._site.ledger) != care.seen_session

    def _registered(self, care: _Care) -> bool:
        """Whether the station was ever accepted; before that nothing may be asked of it (1.6 4.2, 2.0.1 B02)."""
        return is_registered(self._site.ledger, care.station.charger_id)

    async def _prepare(self, care: _Care) -> tuple[Standing, bool]:
        """How the list stands now, and whether the station was spoken to."""
        charger_id, version = care.station.charger_id, care.station.ocpp
        booted, fresh, doubtful = care.booted, care.fresh, care.doubtful
        care.booted = care.fresh = care.doubtful = care.moved = care.urgent = False
        care.seen_session = latest_session(self._site.ledger)
        try:
            await self._read_and_set(care, booted=booted, doubtful=doubtful)
        except (CallFailed, StoreUnavailable):
            care.booted, care.doubtful = care.booted or booted, care.doubtful or doubtful
            raise
        stored = read_list(self._site.ledger, charger_id)
        abilities = abilities_of(version, care.variables.told(), stored.learned, self._policy)
        wanted, eligible = await self._wanted(charger_id, abilities)
        standing, sent = stored.standing, fresh or booted
        if not abilities.lists:
            problem = "its local list is switched off or holds nothing"
            standing = Standing(state=ListState.NOT_SUPPORTED, wanted=eligible, problem=problem)
        elif fresh or (standing.state is not ListState.NOT_SUPPORTED and care.keeper.behind(wanted)):
            standing, sent = await care.keeper.bring_in_step(wanted, eligible), True
        if not sent:
            standing = msgspec.structs.replace(standing, wanted=eligible)
        if msgspec.structs.replace(standing, at=None) != msgspec.structs.replace(stored.standing, at=None):
            await self._site.writer.run(partial(_note, charger_id, standing, self._site.clock.now().at))
            say("charger-list", charger=charger_id, state=standing.state.value, fits=standing.fits, wanted=eligible)
        await self._clear_cache(care, abilities)
        return standing, sent

    async def _read_and_set(self, care: _Care, *, booted: bool, doubtful: bool) -> None:
        if booted:
            await self._forget_lessons(care)
        if booted or doubtful or not care.variables.told():
            await care.variables.read()
        await care.variables.set(again=booted)

    async def _forget_lessons(self, care: _Care) -> None:
        at = self._site.clock.now().at
        await self._site.writer.run(lambda c: learn(c, care.station.charger_id, Learned(), at))

    async def _wanted(self, charger_id: str, able: Abilities) -> tuple[Wanted, int]:
        """What the station's list should hold, from a ranking of now or of a moment ago."""
        loop = asyncio.get_running_loop()
        async with self._ranking_turn:
            session, ranking = latest_session(self._site.ledger), self._ranking
            aged = session != self._ranked_session and loop.time() >= self._ranked_at + self._pace.ranking_s
            if ranking is None or ranking.version != self._whitelist.version or aged:
                uses = latest_uses(self._site.ledger)
                ends = self._site.authorizer.contract_ends()
                ranking = await asyncio.to_thread(Ranking, self._whitelist, uses, self._policy.list_entries, ends)
                self._ranking, self._ranked_session, self._ranked_at = ranking, session, loop.time()
            at = self._site.clock.now().at
            return await asyncio.to_thread(ranking.wanted, charger_id, able.rules, able.limits.entries, at)

    async def _clear_cache(self, care: _Care, abilities: Abilities) -> None:
        """Have the station forget its cache when a token that it may hold there as a good one is so no longer, and its
        list does not say so. Once for each such token."""
        if not self._policy.clear_cache or not abilities.caches or self._ranking is None:
            return
        charger_id = care.station.charger_id
        stored = read_list(self._site.ledger, charger_id)
        listed = {key for key, entry in stored.entries.items() if entry.status != "Accepted"}
        listed = listed if abilities.lists and stored.standing.state is ListState.IN_STEP else set()
        silent = {
            text.casefold()
            for text, token in self._ranking.not_good_here(charger_id).items()
            if not token.valid or self._may_remember(charger_id, text)
        } - listed
        if silent - stored.cache_cleared_for:
            try:
                answer = await care.station.ask(MODULES[care.station.ocpp].ClearCache())
                status = str(getattr(answer, "status", "unreadable"))
            except CallFailed as error:
                if error.ocpp_code is None:
                    raise
                status = error.ocpp_code
            say("charger-cache-cleared", charger=charger_id, tokens=len(silent), answer=status)
        if silent != stored.cache_cleared_for:
            at = self._site.clock.now().at
            await self._site.writer.run(lambda c: note_cleared(c, charger_id, silent, at))

    def _may_remember(self, charger_id: str, text: str) -> bool:
        """Whether the station may hold a token as a good one, by what it was answered last: an accept that holds only
        now it was told to forget."""
        latest = latest_decision(self._site.ledger, charger_id, text)
        return latest is None or (latest.verdict is Verdict.ACCEPTED and not latest.transient)


def _counts(lately: dict[str, deque[float]], charger_id: str) -> bool:
    """Whether what the station does now is a reason to read all anew. What does not count is not remembered."""
    now = asyncio.get_running_loop().time()
    times = lately.setdefault(charger_id.casefold(), deque(maxlen=MANY_BOOTS))
    if len(times) == MANY_BOOTS and now - times[0] < HOUR_S:
        return False
    times.append(now)
    return True


async def _heard_within(news: asyncio.Event, seconds: float) -> bool:
    """Whether there was news within the time."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _note(charger_id: str, standing: Standing, at: datetime, connection: sqlite3.Connection) -> None:
    note_standing(connection, charger_id, standing, at)
