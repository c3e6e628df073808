"""When the link looks after the token list, and what it does then: asks for what changed since the version we hold.

At once when the hub names another version, and after `whitelist_interval_s` in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.log import say
from gateway.store.whitelist import Whitelist
from gateway.uplink.exchange import HubExchange
from wire.records import WhitelistChange, decode
from wire.sync_messages import PATH_WHITELIST


class ListRefresh:
    """Keeps `whitelist` fresh; `moved` hears of each change that has moved it."""

    def __init__(self, exchange: HubExchange, whitelist: Whitelist, moved: Callable[[WhitelistChange], None]) -> None:
        self._exchange, self._whitelist, self._moved = exchange, whitelist, moved
        self._fetched_for = 0
        self.due_at = 0.0
        """By the event loop's clock."""

    def is_news(self, named: int) -> bool:
        """Whether the hub has named a version of the list that is not ours and was not fetched for already."""
        return named not in (0, self._whitelist.version, self._fetched_for)

    async def refresh(self, named: int) -> None:
        """Bring the list up to date, if it is due or `named` is news. Raises GatewayError, WireError."""
        now = asyncio.get_running_loop().time()
        if now < self.due_at and not self.is_news(named):
            return
        path = f"{PATH_WHITELIST}?since={self._whitelist.version}"
        body = await self._exchange.fetch(path, most=self._exchange.settings.max_answer_bytes)
        # In a thread: a whole list of a large hub takes seconds, and stations must be answered meanwhile.
        change, moved = await asyncio.to_thread(_take_list, self._whitelist, body)
        if moved:
            say("whitelist-updated", version=change.version, tokens=len(change.tokens), full=change.full)
            self._moved(change)
        elif change.version < self._whitelist.version:
            # The hub has gone back, as after a restored backup. Our version is none that it issued, so once it is
            # ahead again it sends the whole list.
            say("whitelist-refused", level="warning", held=self._whitelist.version, offered=change.version)
        self._fetched_for = named
        self.due_at = now + self._exchange.settings.whitelist_interval_s


def _take_list(whitelist: Whitelist, body: bytes) -> tuple[WhitelistChange, bool]:
    """The change that `body` holds, and whether it moved the list. Raises MalformedValue or StoreError."""
    change = decode(WhitelistChange, body, "whitelist")
    return change, whitelist.take(change)
