"""The uplink to a hub of ours: the parts of the sync protocol, put together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial

from gateway.chargers.commands.executor import Executor
from gateway.chargers.connected import Site
from gateway.clock import Clock
from gateway.config import Settings
from gateway.log import say
from gateway.opening import OpenLedger
from gateway.room import to_spare
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.uplink.commands import CommandLink
from gateway.uplink.exchange import HubExchange
from gateway.uplink.kind import Task
from gateway.uplink.lineage import Lineage
from gateway.uplink.link import REMEDY, Link
from gateway.uplink.list_books import LedgerBooks
from gateway.uplink.list_refresh import ListRefresh
from gateway.uplink.token_list import ListMove, ListProgress, TokenListFetcher
from gateway.uplink.witness import Witness
from gateway.way import link_settings
from wire.records import AuthorizationInfo
from wire.sync_messages import AuthorizeRequest

REMIND_EVERY_S = 600.0


class NativeUplink:
    """The hub gets what `books` says is to be sent; its list is for the ledger that is written. `anew` is set when a
    new epoch is due, `doubted` hears when the ledger's own soundness is."""

    def __init__(
        self,
        settings: Settings,
        tls: ssl.SSLContext,
        books: OpenLedger,
        whitelist: Whitelist,
        clock: Clock,
        anew: asyncio.Event,
        doubted: Callable[[], None],
    ) -> None:
        self._anew = anew
        table, sent, own = settings.table.uplink, books.sent, books.ledger
        self._exchange = HubExchange(link_settings(settings, tls))
        witness = Witness(sent.owner, sent.reader, sent.writer, clock.now, table.hub_log_key)
        self._link = Link(self._exchange, sent.owner, sent.reader, sent.writer, witness)
        self._link.hub_said = clock.hub_said
        kept = LedgerBooks(own.owner, own.reader, own.writer, clock.now, table.hub_log_key)
        parts, room = PartFolder(settings.list_parts_path), partial(to_spare, settings.room())
        self._fetcher = TokenListFetcher(whitelist, parts, own.owner.gateway_id, lambda: clock.now().at, kept, room)
        self._lists = self._link.lists = ListRefresh(self._exchange, self._fetcher)
        self._lists.moved = lambda move: self.moved(move)
        self.moved: Callable[[ListMove], None] = lambda move: None
        lineage = Lineage(
            sent.owner,
            sent.reader,
            sent.path,
            clock.now,
            anew.set,
            books.prepared.blocked,
            table.epoch_wait_s,
        )
        lineage.doubted = doubted
        self._link.lineage = lineage

    @property
    def online(self) -> bool:
        """Whether the last exchange with the hub went well."""
        return self._link.online

    @property
    def trouble(self) -> str | None:
        """What keeps the hub away, by code."""
        return self._link.trouble

    @property
    def progress(self) -> ListProgress | None:
        """How far the snapshot is that is being fetched."""
        return self._fetcher.progress

    @property
    def refused(self) -> Mapping[str, int]:
        """How often something of the hub's list was refused since the start, by code."""
        return self._fetcher.refused

    def stored(self) -> None:
        """The ledger has grown."""
        self._link.stored()

    async def authorize(self, asked: AuthorizeRequest) -> AuthorizationInfo | None:
        """The hub's answer, or None when there is none in time."""
        return await self._link.authorize(asked)

    def commanding(self, executor: Executor, site: Site) -> list[Task]:
        """The hub's commands, by long poll."""
        link = CommandLink(self._exchange, executor, site.ledger, site.writer, self._link.epoch, self._link.turns)
        return [("commands", link.run)]

    def tasks(self) -> list[Task]:
        """The link, and the list."""
        return [("uplink", self._keep_link), ("whitelist", self._lists.run)]

    async def start(self) -> dict[str, str]:
        """Nothing: the hub is called, it does not call."""
        return {}

    async def close(self) -> None:
        """Close all connections."""
        await self._exchange.close()

    async def _keep_link(self) -> None:
        """Run the link; once it has halted for good, go on saying so, because the site goes on charging."""
        await self._link.run()
        while self._link.halted and not self._anew.is_set():
            say("uplink-halted", level="error", remedy=REMEDY)
            await asyncio.sleep(REMIND_EVERY_S)
