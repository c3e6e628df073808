"""Reads the peer's tokens into the gateway's list: all of them at first and once a day, in between what has changed.

Rules
1. The list is the one that the hub of ours would fill (`gateway.store.whitelist`); here the gateway itself numbers its
   versions. Nobody signs it: that the peer said so is proven by its TLS certificate and our token alone.
2. What a page brings is put in force page by page: it is good whatever comes of the rest. What is absent goes only
   after a complete crawl of everything without a fault: one broken page must not block all cards.
3. How far was read is kept after the list is: who is killed in between reads again what he has.
4. A list that is not the one of the last crawl (it was begun anew, or another uplink's) is read from the start.
5. An object that cannot be read is skipped and counted; so nothing is taken as absent.

Source: OCPI 2.3.0 mod_tokens, transport_and_format (Pagination).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from gateway.clock import Moment
from gateway.errors import StoreError, UplinkError
from gateway.log import say
from gateway.store.ocpi import OCPIStore
from gateway.store.ocpi_seen import KeptCrawl
from gateway.store.whitelist import Whitelist
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.peer import Peer
from gateway.uplink.ocpi.settings import OCPISettings
from gateway.uplink.token_list import MAX_BLOCKED, ListMove
from wire.errors import OCPIRefused, WireError
from wire.ocpi import v221
from wire.ocpi.checks import mended
from wire.ocpi.document import view
from wire.ocpi.listing import as_listed
from wire.ocpi.paging import Crawl, Page, next_date_from, read_page
from wire.ocpi.routing import Routing
from wire.ocpi.tokens import Token as OCPIToken
from wire.ocpi.types import InterfaceRole, Module
from wire.records import Token, TokenType, WhitelistType
from wire.tokens import TokenKey, token_key
from wire.whitelist import MAX_DELTA_TOKENS, DeltaContent, ListHead, TokenName, make_delta, next_chain

OVERLAP = timedelta(minutes=5)
MOST_TOKENS = 1_000_000
"""Of one peer: about 150 MB while all of them are read."""
AGAIN = timedelta(hours=1)
_HOLDS = timedelta(days=1)
_DIGEST = 16


class TokenCrawl:
    """Keeps the list as the peer's tokens are. `moved` hears of each move."""

    def __init__(
        self,
        settings: OCPISettings,
        peer: Peer,
        met: Acquaintance,
        store: OCPIStore,
        whitelist: Whitelist,
        gateway_id: str,
        now: Callable[[], Moment],
    ) -> None:
        self._settings, self._peer, self._met = settings, peer, met
        self._store, self._whitelist, self._gateway_id, self._now = store, whitelist, gateway_id, now
        self.moved: Callable[[ListMove], None] = lambda move: None

    async def run_once(self) -> KeptCrawl:
        """Read what is due. Raises UplinkError, StoreError; what came before that is in force."""
        began = self._now().at
        last = self._store.crawl()
        full = last is None or not self._is_same_list(last) or self._is_due(last, began)
        date_from = None if full or last is None else next_date_from(last.watermark, OVERLAP)
        gathered = await asyncio.to_thread(self._held) if full else None
        crawl = await self._read_all(date_from, gathered)
        if gathered is not None and crawl.complete:
            await self._change((), gathered.absent(), full=True)
        await asyncio.to_thread(self._confirm, began)
        watermark = crawl.watermark or (None if last is None else last.watermark)
        kept = KeptCrawl(
            watermark=watermark,
            full_at=last.full_at if not full and last is not None else self._full_at(began, crawl),
            good_at=began,
            version=self._whitelist.version,
            chain=self._whitelist.chain or "",
            tokens=self._whitelist.tokens,
        )
        self._store.keep_crawl(kept)
        return kept

    def _is_same_list(self, last: KeptCrawl) -> bool:
        """Rule 4."""
        return (last.version, last.chain) == (self._whitelist.version, self._whitelist.chain)

    def _is_due(self, last: KeptCrawl, at: datetime) -> bool:
        return not timedelta(0) <= at - last.full_at < timedelta(hours=self._settings.full_crawl_h)

    def _full_at(self, began: datetime, crawl: Crawl) -> datetime:
        """One that was not complete is tried again after AGAIN at the latest."""
        every = timedelta(hours=self._settings.full_crawl_h)
        return began if crawl.complete or every <= AGAIN else began - every + AGAIN

    async def _read_all(self, date_from: datetime | None, gathered: _Gathered | None) -> Crawl:
        """Every page, each put in force as it comes. Raises UplinkError, StoreError."""
        url = self._peer.at(self._met.endpoint(Module.TOKENS, InterfaceRole.SENDER))
        foreign = self._settings.quirks.foreign_links
        crawl = Crawl(url, date_from=date_from, limit=self._settings.page_limit, own_place=foreign)
        routing = Routing(to=self._met.party, from_=self._settings.party)
        seen = 0
        while (url := crawl.url or "") != "":
            answer = await self._peer.ask("GET", url, routing=routing)
            objects = answer.data if isinstance(answer.data, list) else []
            if not isinstance(answer.data, list):
                raise UplinkError("not-ocpi", "the peer's tokens are no list")
            page = read_page(answer.headers, objects)
            tokens = self._tokens(crawl, page)
            seen += len(tokens)
            if seen > MOST_TOKENS:
                raise UplinkError("too-long", f"the peer shows more than {MOST_TOKENS} tokens")
            try:
                crawl.received(page)
            except OCPIRefused as error:
                raise UplinkError(error.code, f"{error}; the quirk foreign_links takes its query alone") from error
            changed = tokens if gathered is None else gathered.different(tokens)
            await self._change(changed, (), full=False)
        return crawl

    def _tokens(self, crawl: Crawl, page: Page) -> list[Token]:
        """The tokens of a page, of several of one key the last. Rule 5."""
        found: dict[TokenKey, Token] = {}
        quirks, skipped = self._settings.quirks, 0
        for document in page.objects:
            try:
                known = v221.up(Module.TOKENS, document) if self._met.is_old else document
                token = as_listed(view(mended(known, OCPIToken, quirks), OCPIToken, "token"))
            except (WireError, TypeError, AttributeError):
                crawl.skipped()
                skipped += 1
                continue
            found[token_key(token)] = token
        if skipped:
            say("ocpi-tokens-skipped", level="warning", count=skipped)
        return list(found.values())

    def _held(self) -> _Gathered:
        return _Gathered(self._whitelist.walk())

    async def _change(self, tokens: Sequence[Token], removed: Sequence[TokenName], *, full: bool) -> None:
        """Put changes in force, as many at once as a delta may hold. Raises StoreError."""
        since = self._whitelist.version
        for start in range(0, max(len(tokens), len(removed)), MAX_DELTA_TOKENS):
            end = start + MAX_DELTA_TOKENS
            content = DeltaContent(tokens=tuple(tokens[start:end]), removed=tuple(removed[start:end]))
            await asyncio.to_thread(self._apply, content)
        if self._whitelist.version == since:
            return
        blocked = [one for one in tokens if not one.valid or one.whitelist is WhitelistType.NEVER]
        full = full or len(blocked) > MAX_BLOCKED
        changed = len(tokens) + len(removed)
        say("whitelist-updated", version=self._whitelist.version, tokens=changed, full=full)
        self.moved(ListMove(since, self._whitelist.version, full, changed, () if full else tuple(blocked)))

    def _apply(self, content: DeltaContent) -> None:
        """In a thread. Raises StoreError."""
        version, chain = self._whitelist.version, self._whitelist.chain
        if chain is None:
            raise StoreError("the token list is of an earlier version; move whitelist.* aside, and it comes anew")
        delta = make_delta(version, version + 1, content)
        at = self._whitelist.confirmed_at or self._now().at
        self._whitelist.apply([delta], self._head(version + 1, next_chain(chain, delta), at))

    def _confirm(self, at: datetime) -> None:
        """The list is what the peer says, as of `at`. Raises StoreError."""
        self._whitelist.confirm(self._head(self._whitelist.version, self._whitelist.chain or "", at))

    def _head(self, version: int, chain: str, at: datetime) -> ListHead:
        """The head of the list, which here nobody signs. Rule 1."""
        return ListHead(
            gateway_id=self._gateway_id,
            version=version,
            chain=chain,
            tokens=self._whitelist.tokens,
            issued_at=at,
            not_after=at + _HOLDS,
        )


class _Gathered:
    """What the list held when a crawl of everything began; what of it comes again, and what does not."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._held = {token_key(token): _digest(token) for token in tokens}
        self._seen: set[TokenKey] = set()

    def different(self, tokens: Iterable[Token]) -> list[Token]:
        """Those that are new or say something else than is held."""
        found = []
        for token in tokens:
            key, digest = token_key(token), _digest(token)
            self._seen.add(key)
            if self._held.get(key) != digest:
                self._held[key] = digest
                found.append(token)
        return found

    def absent(self) -> list[TokenName]:
        """Those that did not come."""
        return [_name(key) for key in self._held if key not in self._seen]


def _digest(token: Token) -> bytes:
    """What tells a token's content from another's."""
    parts = (token.contract_id, token.issuer, token.valid, token.whitelist, token.visual_number, token.group_id)
    text = repr((*parts, token.language, token.last_updated.timestamp(), token.uid))
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST).digest()


def _name(key: TokenKey) -> TokenName:
    country, party, type_, uid = key
    return TokenName(country_code=country, party_id=party, type=TokenType(type_), uid=uid)
