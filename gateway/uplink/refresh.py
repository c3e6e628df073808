"""Fetches the list of roots, revocation lists and OCSP answers ahead of their end, and has them take the place of what
is held once they are verified.

Rules
1. A source is fetched again when half of what it brought is over, at the latest after the configured interval, with
   jitter; after a failure when a growing, jittered wait is over. One source's failure holds up no other.
2. Nothing is replaced before it was verified (`gateway.uplink.evidence`), and nothing goes back
   (`gateway.store.evidence`).
3. Trust is replaced whole, in one assignment, and no socket is closed for it.
4. While the clock is unknown nothing is fetched: no date of an answer could be judged.
5. What a certificate or a list of roots points to is fetched only where the host is allowed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.clock import Clock
from gateway.config import Settings
from gateway.decide.dates import Dated, judged_at
from gateway.errors import DownloadError, GatewayError
from gateway.log import say
from gateway.store.evidence import EvidenceStore, KeptTrustList
from gateway.trust import SiteTrust
from gateway.uplink.backoff import Backoff
from gateway.uplink.download import Downloader
from gateway.uplink.evidence import Asked, accept_answer, accept_crl, encode_ocsp_request
from gateway.uplink.known import Known, OwnChains, survey
from gateway.uplink.met import Met
from gateway.uplink.staples import Staples
from gateway.uplink.ways import Audit, ByHub, Direct, Fetch, Way, Ways
from pki.certificate import Certificate
from pki.errors import PKIError, TrustError
from pki.verify.conclusion import VerifiedChain
from pki.verify.hash_text import CertificateName
from pki.verify.revocation import RevocationState
from pki.verify.trust_list import verify_trust_list
from wire.revocation import EvidenceKind

LOOK_EVERY_S = 60.0
AT_ONCE = 4
"""Sources that are fetched side by side."""
MAX_LISTS = 256
MAX_WANTED = 256
"""Certificates to ask about that are on no chain of the site; see `_wish` for which one is let go."""
MAX_WANTED_EACH, MAX_WANTED_UNNAMED = 16, 128
"""Of these, those that one station has named, and those of stations that are not told apart."""
PAUSE_S = 0.2
"""Between two looks that somebody asks for."""
TIDY_EVERY = timedelta(hours=1)
_JITTER = 0.2
TRUST_LIST = "trust list"
_VERIFIED, _UNNAMED = "verified", "unnamed"  # who wishes; else a slash and the id of a station


class Keeper(Protocol):
    """Whoever holds the trust that is in force."""

    @property
    def site_trust(self) -> SiteTrust:
        """What is trusted now."""

    async def reload(self) -> bool:
        """Load what is on disk and in the store, and put it in force; says whether that could be done."""

    def sub_cas(self) -> frozenset[Certificate]:
        """The CAs above the contracts that were verified."""

    def own_chains(self) -> OwnChains:
        """The chains of the site itself."""


@dataclass(slots=True)
class _Source:
    name: str
    fetch: Fetch
    backoff: Backoff
    shown: bool = True
    """Whether status and audit log tell of it; what only a station has named is not, so that it cannot fill them."""
    due_s: float = 0.0
    trouble: str | None = None


class Refresh:
    """Keeps evidence fresh. `run` until cancelled."""

    def __init__(
        self,
        settings: Settings,
        downloader: Downloader,
        keeper: Keeper,
        store: EvidenceStore,
        staples: Staples,
        clock: Clock,
        *,
        audit: Audit,
        hub: ByHub | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`hub`: who is asked before the PKI itself. Raises ConfigurationError when there is no [trust.refresh]."""
        self._table = settings.refresh_table()
        self._downloader, self._keeper, self._store, self._staples = downloader, keeper, store, staples
        self._clock, self._audit, self._chance = clock, audit, chance
        self.ways = Ways(Direct(downloader), hub, audit)
        self._grace = timedelta(hours=settings.table.policy.revocation_stale_grace_h)
        self._sources: dict[str, _Source] = {}
        self._met = Met()
        self._wanted: OrderedDict[str, tuple[Asked, str]] = OrderedDict()
        self._known: Known | None = None
        self._remarks: tuple[str, ...] = ()
        self._news = asyncio.Event()
        self._clock_said = False
        self._changed = False
        self._tidied_at: datetime | None = None

    def look(self) -> None:
        """Look at once what there is to fetch: chains, anchors or wishes have changed."""
        self._news.set()

    def met(self, chain: VerifiedChain) -> None:
        """Take note of a contract's chain whose path is sound: of its CAs and its leaf's list; and ask ahead about the
        leaf, for the next time, when nothing is known of its revocation."""
        news = self._met.meet(chain)
        if chain.revocation in (RevocationState.UNKNOWN, RevocationState.STALE):
            news |= self._wish(Asked(chain.path[1], chain.leaf.serial), _VERIFIED)
        if news:
            self.look()

    def want(self, name: CertificateName, station: str | None = None) -> None:
        """Ask ahead about a certificate that `station` has named, if its issuer is known here. Without `station` the
        wish counts against a quota that all such share."""
        issuer = None if self._known is None else self._known.issuer(name.issuer)
        if issuer is None:
            return
        by = _UNNAMED if station is None else f"/{station}"
        if any([self._wish(Asked(issuer, serial, name.issuer.algorithm), by) for serial in name.serials]):
            self.look()

    def _wish(self, asked: Asked, by: str) -> bool:
        """Whether this is a new wish. Beyond a quota its own oldest wish is let go, beyond the whole the oldest of
        whoever has most, so that a station with invented serial numbers evicts nobody's wishes but its own. A wish from
        a verified chain stays one, whoever names the certificate again."""
        held = self._wanted.pop(asked.key, None)
        if held is not None and by != _VERIFIED:
            by = held[1]
        self._wanted[asked.key] = asked, by
        counts = Counter(each for _, each in self._wanted.values())
        if counts[by] <= {_VERIFIED: MAX_WANTED, _UNNAMED: MAX_WANTED_UNNAMED}.get(by, MAX_WANTED_EACH):
            if len(self._wanted) <= MAX_WANTED:
                return held is None
            by = max(counts, key=lambda each: (each != _VERIFIED, counts[each]))
        del self._wanted[next(key for key, (_, each) in self._wanted.items() if each == by)]
        return held is None

    async def run(self) -> None:
        """Fetch what is due, for ever. Raises StoreError."""
        loop = asyncio.get_running_loop()
        async with self._downloader, self.ways:
            while True:
                self._news.clear()
                wait_s = LOOK_EVERY_S
                if await self._clock_is_set():
                    await self._survey()
                    due = [source for source in self._sources.values() if source.due_s <= loop.time()]
                    await self._fetch_all(due)
                    ends_s = min((source.due_s for source in self._sources.values()), default=float("inf"))
                    wait_s = min(LOOK_EVERY_S, max(0.0, ends_s - loop.time()))
                if self._changed:
                    self._changed = False
                    await self._keeper.reload()
                    continue  # new trust may know more issuers, and name more lists
                try:
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(PAUSE_S)

    async def _clock_is_set(self) -> bool:
        now = self._clock.now()
        unknown = judged_at(Dated.EVIDENCE, now) is None
        if self._clock_said and not unknown:
            self._changed = True  # what was loaded with a wrong clock may count now, and the other way round
        if unknown and not self._clock_said:
            self._store.note_trouble(TRUST_LIST, now.at, "clock-unknown", "nothing is fetched before the clock is set")
            say("refresh-waits", level="error", code="clock-unknown", reason=f"the clock says {now.at}")
        self._clock_said = unknown
        return not unknown

    # --- what there is to fetch

    async def _survey(self) -> None:
        """Bring the table of sources up to date with what is trusted and known now."""
        now = self._clock.now().at
        trusted = self._keeper.site_trust
        if trusted.listed is not None and now - trusted.listed.next_update > self._grace:
            await self._keeper.reload()
            trusted = self._keeper.site_trust
        own, sub_cas = self._keeper.own_chains(), (*self._keeper.sub_cas(), *self._met.issuers())
        known = await asyncio.to_thread(survey, trusted.trust.anchors, sub_cas, own, now)
        before, self._known = self._known, known
        for remark in known.remarks:
            if remark not in self._remarks:
                say("own-chain-unusable", level="warning", reason=remark)
        self._remarks = known.remarks
        self._staples.know(list(known.chains), known.issuers)
        if before is None or before.issuers != known.issuers:
            self._recall_answers(known, now)
            await asyncio.to_thread(self._promote, known, now)
        self._tidy(now)
        sources = {source.name: source for source in self._wished(known, trusted)}
        gone = self._sources.keys() - sources.keys()
        for name in gone:
            del self._sources[name]
            self.ways.forget(name)
        if before is None or gone:
            await asyncio.to_thread(self._store.forget_sources, "CRL ", frozenset(sources))
            await asyncio.to_thread(self._store.forget_sources, "OCSP ", frozenset(sources))
            urls = frozenset(name.removeprefix("CRL ") for name in sources)
            await asyncio.to_thread(self._store.forget_candidates, urls)
        for name, source in sources.items():
            self._sources.setdefault(name, source)

    def _wished(self, known: Known, trusted: SiteTrust) -> list[_Source]:
        found: list[_Source] = []
        if self._table.trust_list is not None:
            found.append(self._source(TRUST_LIST, self._fetch_trust_list))
        listed = () if trusted.listed is None else trusted.listed.crls
        named = [
            url for url in (*listed, *known.crl_uris, *self._met.crl_uris()) if self._downloader.allowed.allows(url)
        ]
        for url in list(dict.fromkeys((*self._table.crls, *named)))[:MAX_LISTS]:
            found.append(self._source(f"CRL {url}", self._crl_fetcher(url)))
        asked = {each.key: each for each in (*known.asked, *(wished for wished, _ in self._wanted.values()))}
        for each in asked.values():
            urls = self._responders(known, each)
            if urls:
                fetch = self._answer_fetcher(each, urls)
                found.append(self._source(f"OCSP {each.key}", fetch, shown=each.key not in self._wanted))
        return found

    def _source(self, name: str, fetch: Fetch, *, shown: bool = True) -> _Source:
        return _Source(name, fetch, Backoff(self._table.retry_min_s, self._table.retry_max_s), shown)

    def _responders(self, known: Known, asked: Asked) -> tuple[str, ...]:
        named = (url for url in known.responders.get(asked.key, ()) if self._downloader.allowed.allows(url))
        return tuple(dict.fromkeys((*named, *self._table.ocsp)))

    def _recall_answers(self, known: Known, now: datetime) -> None:
        """Verify the answers that the store holds with the issuers that are known now. Not in a thread: what is known
        of delegates is used by the decisions too, and is not made for two users at once."""
        asked = {each.key: each for each in (*known.asked, *(wished for wished, _ in self._wanted.values()))}
        revocation = self._keeper.site_trust.trust.revocation
        for answer in self._store.answers():
            if answer.key in asked and self._staples.held(answer.key) is None:
                try:
                    self._staples.put(accept_answer(answer.der, asked[answer.key], revocation, now))
                except TrustError:
                    continue  # it has run out, or its delegate is revoked by now

    def _promote(self, known: Known, now: datetime) -> None:
        """Take the lists that waited and whose issuers are known now."""
        for url, der in self._store.candidates():
            try:
                kept = accept_crl(der, known.issuers, now)
            except TrustError:
                continue  # it stays a candidate, which counts for nothing
            if kept is not None:
                self._changed |= self._store.keep_crl(kept, url)

    def _tidy(self, now: datetime) -> None:
        """Once an hour, let go of what has run out for so long that no grace covers it."""
        if self._tidied_at is not None and abs(now - self._tidied_at) < TIDY_EVERY:
            return
        self._tidied_at = now
        self._store.forget(now - self._grace)
        self._staples.forget(now - self._grace)

    # --- fetching

    async def _fetch_all(self, due: list[_Source]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(source: _Source) -> None:
            async with gate:
                await self._fetch(source)

        await asyncio.gather(*(one(source) for source in due))

    async def _fetch(self, source: _Source) -> None:
        loop, now = asyncio.get_running_loop(), self._clock.now().at
        try:
            until = await self.ways.fetched(source.name, source.fetch, now, shown=source.shown)
        except (GatewayError, PKIError) as error:
            source.due_s = loop.time() + source.backoff.next_s(self._chance())
            await self._failed(source, error.code, str(error), fetched=not isinstance(error, DownloadError))
            return
        source.backoff.reset()
        source.trouble = None
        source.due_s = loop.time() + self._wait_s(until, now)
        if source.shown:
            await asyncio.to_thread(self._store.note_good, source.name, now, until)

    async def _failed(self, source: _Source, code: str, reason: str, *, fetched: bool) -> None:
        """Say it once for each kind; what came and was refused is for the audit log too."""
        news, source.trouble = code != source.trouble, code
        if not source.shown:
            return
        await asyncio.to_thread(self._store.note_trouble, source.name, self._clock.now().at, code, reason)
        if news:
            say("refresh-failed", level="warning", source=source.name, code=code, reason=reason)
        if news and fetched:
            await self._audit("evidence-refused", f"{source.name}: {code}: {reason}")

    def _wait_s(self, until: datetime | None, now: datetime) -> float:
        """Half of what is left, at most the interval, less a random part of up to a fifth; no shorter than the
        shortest wait after a failure."""
        half = float("inf") if until is None else (until - now).total_seconds() / 2
        return max(self._table.retry_min_s, min(half, self._table.interval_s) * (1 - _JITTER * self._chance()))

    async def _fetch_trust_list(self, way: Way, now: datetime) -> datetime | None:
        der = await way.fetch(EvidenceKind.ROOTS, self._table.trust_list or "")
        kept = self._store.trust_list()
        trusted = self._keeper.site_trust
        found = verify_trust_list(
            der,
            trust=trusted.files,
            at=now,
            floor_version=0 if kept is None else kept.version,
            revocation=trusted.trust.revocation,
        )
        if kept is None or kept.der != der:
            new = KeptTrustList(found.version, found.issued_at, found.next_update, der)
            if not self._store.keep_trust_list(new):
                message = f"the list of roots of {found.issued_at} is older than the one that is held"
                raise TrustError("trust-list-old", message)
            self._changed = True
            if kept is None or kept.version != found.version:
                say("trust-list-taken", version=found.version, roots=len(found.roots), until=found.next_update)
                await self._audit("trust-list-taken", f"version {found.version}, sha256 {found.sha256}")
        return found.next_update

    def _crl_fetcher(self, url: str) -> Fetch:
        async def fetch(way: Way, now: datetime) -> datetime | None:
            der = await way.fetch(EvidenceKind.CRL, url)
            return await asyncio.to_thread(self._take_crl, url, der, now)

        return fetch

    def _take_crl(self, url: str, der: bytes, now: datetime) -> datetime | None:
        """Until when the list lasts; None when nobody can verify it yet. Raises TrustError, StoreError."""
        known = self._known
        kept = accept_crl(der, () if known is None else known.issuers, now)
        if kept is None:
            if (url, der) not in self._store.candidates():
                self._store.keep_candidate(url, der)
                self._changed = True
            return None
        held = self._store.crl_order(kept.issuer, kept.scope)
        if held == kept.order:
            return kept.next_update
        if not self._store.keep_crl(kept, url):
            message = f"CRL number {kept.order.number} of {kept.order.this_update} is older than the one that is held"
            raise TrustError("crl-number", message, clause="RFC 5280 5.2.3")
        self._changed = True
        say("crl-taken", source=url, number=kept.order.number, until=kept.next_update)
        return kept.next_update

    def _answer_fetcher(self, asked: Asked, urls: tuple[str, ...]) -> Fetch:
        async def fetch(way: Way, now: datetime) -> datetime | None:
            request, fault = encode_ocsp_request(asked), DownloadError("unreachable", "no responder is known")
            for url in urls:
                try:
                    der = await way.fetch(EvidenceKind.OCSP, url, request)
                except DownloadError as error:
                    fault = error
                    continue
                return await self._take_answer(der, asked, now)
            raise fault

        return fetch

    async def _take_answer(self, der: bytes, asked: Asked, now: datetime) -> datetime:
        kept = accept_answer(der, asked, self._keeper.site_trust.trust.revocation, now)
        held = self._staples.held(asked.key)
        if not await asyncio.to_thread(self._store.keep_answer, kept):
            message = f"OCSP answer of {kept.this_update} is older than the one that is held"
            raise TrustError("ocsp-dates", message, clause="RFC 6960 4.2.2.1")
        self._staples.put(kept)
        self._changed |= held is None or held.der != kept.der
        return kept.next_update
