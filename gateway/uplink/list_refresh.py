"""When the token list is looked after: at start, when the hub names another version, when the hub is back, and after
`whitelist_interval_s` in any case.

It has a task of its own beside the link: a download of hours holds up no evidence, and a link that has halted does not
let the list grow old. What fails is tried again, less and less often, and said once for each kind.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from gateway.errors import GatewayError, UplinkError
from gateway.log import say
from gateway.uplink.backoff import Backoff
from gateway.uplink.exchange import HubExchange
from gateway.uplink.token_list import ListMove, TokenListFetcher
from wire.whitelist import PATH_HEAD


class ListRefresh:
    """Keeps the list fresh while it `run`s; `moved` hears of each move."""

    def __init__(self, exchange: HubExchange, fetcher: TokenListFetcher) -> None:
        self._exchange, self.fetcher = exchange, fetcher
        self._named = self._looked_for = 0
        self._wake, self._back = asyncio.Event(), asyncio.Event()
        self._trouble: str | None = None
        self.moved: Callable[[ListMove], None] = lambda move: None

    def named(self, version: int) -> None:
        """The hub has named the version of its list, 0 for none."""
        self._named = version
        if self._is_news():
            self._wake.set()

    def hub_is_back(self) -> None:
        """The hub could not be reached and can: what failed meanwhile is worth trying at once."""
        self._back.set()

    async def run(self) -> None:
        """Look after the list until cancelled."""
        settings = self._exchange.settings
        backoff = Backoff(settings.retry_min_s, settings.retry_max_s)
        way: HubExchange | _AtLeisure = self._exchange
        while True:
            self._wake.clear()
            self._back.clear()
            self._looked_for = self._named
            try:
                self._tell(await self.fetcher.refresh(way))
            except GatewayError as error:
                self._tell(self.fetcher.take_move())
                self._say(error)
                said_s = error.retry_after_s if isinstance(error, UplinkError) else None
                pause_s = backoff.next_s(random.random(), least_s=said_s or 0.0)
                await _waited(self._back if said_s is None else None, pause_s)
                way = self._exchange
                continue
            backoff.reset()
            self._trouble = None
            if not self._is_news():  # What was named meanwhile is what we hold.
                self._wake.clear()
            await _waited(self._wake, settings.whitelist_interval_s)
            way = self._exchange if self._wake.is_set() else _AtLeisure(self._exchange)

    def _tell(self, move: ListMove | None) -> None:
        if move is not None:
            say("whitelist-updated", version=move.version, tokens=move.changed, full=move.full)
            self.moved(move)

    def _is_news(self) -> bool:
        return self._named not in (0, self.fetcher.version, self._looked_for)

    def _say(self, error: GatewayError) -> None:
        if error.code != self._trouble:
            say("whitelist-not-refreshed", level="warning", reason=str(error), code=error.code)
        self._trouble = error.code


class _AtLeisure:
    """The way to the hub for a look at the list that nothing urges: over the connection that is there anyhow. What the
    look then leads to goes as always."""

    def __init__(self, exchange: HubExchange) -> None:
        self._exchange = exchange

    async def fetch(self, path: str, *, most: int) -> bytes:
        """As HubExchange.fetch."""
        if path == PATH_HEAD:
            return await self._exchange.fetch_at_leisure(path, most=most)
        return await self._exchange.fetch(path, most=most)


async def _waited(event: asyncio.Event | None, seconds: float) -> None:
    """Return after so long, or when the event is set."""
    if event is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
