"""The uplink of a site without a hub of ours: OCPI with one peer, put together and kept running.

Rules
1. The peer is met first, then told what is new, then looked at once a day; what fails is tried again, less and less
   often. Its tokens are read by a task of their own: neither holds up the other.
2. Drivers are asked about within `authorize_timeout_s`, or decided by the list and the site's policy.
3. What is wrong is kept in the store by part (`peer`, `tokens`, `delivery`), until that part goes well again.
4. The peer countersigns nothing: no content of the ledger is let go on its account.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial

from gateway.chargers.commands.executor import Executor
from gateway.chargers.connected import Site
from gateway.clock import Clock
from gateway.config import Settings
from gateway.errors import GatewayError, StoreError, UplinkError
from gateway.log import say
from gateway.store.ledger import Identity, move_position, open_ledger_reader
from gateway.store.ocpi import OCPIStore
from gateway.store.ocpi_seen import KeptTrouble
from gateway.store.whitelist import Whitelist
from gateway.store.whitelist_mark import note_version
from gateway.store.writer import Writer
from gateway.uplink.backoff import Backoff
from gateway.uplink.exchange import LinkSettings
from gateway.uplink.kind import Task
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.asking import Asking
from gateway.uplink.ocpi.books import Books
from gateway.uplink.ocpi.crawl import TokenCrawl
from gateway.uplink.ocpi.delivery import Delivery
from gateway.uplink.ocpi.peer import Peer
from gateway.uplink.ocpi.settings import OCPISettings
from gateway.uplink.token_list import ListMove, ListProgress
from wire.errors import WireError
from wire.records import AuthorizationInfo
from wire.sync_messages import AuthorizeRequest

MET_FOR = timedelta(days=1)


def open_ocpi_uplink(
    settings: Settings,
    way: LinkSettings,
    owner: Identity,
    writer: Writer,
    whitelist: Whitelist,
    clock: Clock,
    opened: ExitStack,
) -> OCPIUplink:
    """The uplink with its files, which `opened` closes. Raises ConfigurationError, StoreError."""

    def now() -> datetime:
        return clock.now().at

    ocpi = settings.ocpi_settings()
    peer = Peer(way, ocpi, ocpi.token())
    store = OCPIStore(settings.ocpi_path, now())
    opened.callback(store.close)
    books = Books(ocpi, owner, open_ledger_reader(settings.ledger_path), whitelist, store, now)
    opened.callback(books.close)
    return OCPIUplink(ocpi, way, owner, peer, store, books, writer, whitelist, clock)


class OCPIUplink:
    """The parts, and how they run."""

    def __init__(
        self,
        ocpi: OCPISettings,
        way: LinkSettings,
        owner: Identity,
        peer: Peer,
        store: OCPIStore,
        books: Books,
        writer: Writer,
        whitelist: Whitelist,
        clock: Clock,
    ) -> None:
        self._way, self._writer, self._whitelist, self._clock = way, writer, whitelist, clock
        self._peer, self._store, self._books = peer, store, books
        self._met = Acquaintance(ocpi, self._peer, self._store, self._now)
        self._delivery = Delivery(ocpi, self._peer, self._met, self._store, self._now)
        self._delivery.delivered = self._books.delivered
        self._crawl = TokenCrawl(ocpi, self._peer, self._met, self._store, whitelist, owner.gateway_id, clock.now)
        self._crawl.moved = lambda move: self.moved(move)
        self._asking = Asking(ocpi, self._peer, self._met, self._store)
        self._update_s = ocpi.session_update_s
        self.moved: Callable[[ListMove], None] = lambda move: None
        self._woken, self._known = asyncio.Event(), asyncio.Event()
        self._trouble: dict[str, str] = {}
        self._went_well: set[str] = set()
        self._running = False
        self._position = -1
        self.online = False

    def _now(self) -> datetime:
        return self._clock.now().at

    @property
    def trouble(self) -> str | None:
        """What keeps the peer away, by code."""
        return next((self._trouble[what] for what in ("peer", "delivery") if what in self._trouble), None)

    @property
    def progress(self) -> ListProgress | None:
        """None: tokens are in force page by page."""
        return None

    @property
    def refused(self) -> Mapping[str, int]:
        """Nothing: what cannot be read of a page is skipped, and said."""
        return {}

    def stored(self) -> None:
        """The ledger has grown."""
        self._woken.set()

    async def authorize(self, asked: AuthorizeRequest) -> AuthorizationInfo | None:
        """The eMSP's answer, or None when there is none in time."""
        if not self._running:
            return None
        try:
            async with asyncio.timeout(self._way.authorize_timeout_s):
                return await self._asking.ask(asked)
        except (TimeoutError, GatewayError, WireError) as error:
            say("authorize-unanswered", level="warning", reason=str(error) or "no answer in time")
            return None

    def commanding(self, executor: Executor, site: Site) -> list[Task]:
        """Nothing: the peer cannot reach this site."""
        return []

    def tasks(self) -> list[Task]:
        """The link, the tokens."""
        return [("uplink", self._run), ("whitelist", self._read_tokens)]

    async def start(self) -> dict[str, str]:
        """Nothing: the peer is called, it does not call."""
        return {}

    async def close(self) -> None:
        """Close all connections."""
        await self._peer.close()

    # --- the link

    async def _run(self) -> None:
        """Meet the peer and bring it what is new, until cancelled."""
        backoff = Backoff(self._way.retry_min_s, self._way.retry_max_s)
        self._running = True
        try:
            while True:
                await self._derive()
                pause_s = self._update_s
                try:
                    await self._once()
                    backoff.reset()
                except (UplinkError, WireError) as error:
                    self.online = False
                    said_s = error.retry_after_s if isinstance(error, UplinkError) else None
                    pause_s = backoff.next_s(random.random(), least_s=said_s or 0.0)
                finally:
                    await self._move()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._rest(woken=self.online)
        finally:
            self._running = self.online = False

    async def _rest(self, *, woken: bool) -> None:
        """Until there is something new; for ever while the peer is away, since a record more helps nothing then."""
        if not woken:
            await asyncio.Event().wait()
        await self._woken.wait()

    async def _once(self) -> None:
        known = self._met.known
        if known is None or not self.online or not timedelta(0) <= self._now() - known.met_at < MET_FOR:
            await self._well("peer", self._met.meet)
            self._known.set()
            if not self.online:
                say("uplink-online", peer=self._peer.places[0], version=self._met.version)
            self.online = True
        await self._well("delivery", self._delivery.bring)

    async def _derive(self) -> None:
        """What the ledger's new records make, into the store. Raises StoreError."""
        self._woken.clear()
        while await asyncio.to_thread(self._books.step):
            pass

    async def _move(self) -> None:
        """The ledger's position, when it has moved. Raises StoreUnavailable."""
        position = self._books.position
        if position != self._position:
            await self._writer.run(partial(move_position, acked=position))
            self._position = position

    # --- the tokens

    async def _read_tokens(self) -> None:
        """Read them, again and again, until cancelled."""
        backoff = Backoff(self._way.retry_min_s, self._way.retry_max_s)
        await self._known.wait()
        while True:
            try:
                await self._well("tokens", self._crawl.run_once)
                version = self._whitelist.version
                await self._writer.run(partial(note_version, version=version))
                backoff.reset()
                pause_s = self._way.whitelist_interval_s
            except (UplinkError, WireError, StoreError) as error:
                said_s = error.retry_after_s if isinstance(error, UplinkError) else None
                pause_s = backoff.next_s(random.random(), least_s=said_s or 0.0)
            await asyncio.sleep(pause_s)

    async def _well(self, what: str, do: Callable[[], Awaitable[object]]) -> None:
        """Do it; rule 3. Raises what it raises."""
        try:
            await do()
        except (UplinkError, WireError, StoreError) as error:
            if self._trouble.get(what) != error.code:
                say("ocpi-trouble", level="warning", part=what, code=error.code, reason=str(error))
                kept = KeptTrouble(what=what, at=self._now(), code=error.code, message=str(error))
                self._store.note(kept, what)
            self._trouble[what] = error.code
            self._went_well.discard(what)
            raise
        if what not in self._went_well:
            self._store.note(None, what)
        self._went_well.add(what)
        self._trouble.pop(what, None)
