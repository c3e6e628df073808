"""Pulls what partners own: all of it, or what changed since, page by page.

Rules
1. A crawl follows wire.ocpi.paging. Each page is kept in one transaction; what was kept counts, however the crawl ends.
2. The next one starts `OVERLAP` before the greatest `last_updated` that was received, a clock's time only where that
   lies in the future.
3. An object that cannot be used is skipped and named; the others are kept. It makes the crawl incomplete.
4. A token that a complete crawl did not show is no longer valid, unless it came or changed meanwhile. Absence in any
   other crawl says nothing.
5. An object whose owner the partner does not speak for is not kept; of a hub, one whose owner is connected to us by
   itself is passed over, and so is what a hub tells of us. What is final here (a CDR, a completed session)
   stays; another one in its place is an alarm. What was pushed while the page was read stays as it is.
6. A CDR is kept as it came and judged afterwards (hub.reconcile); one that is refused then is not settled.

Source: OCPI 2.3.0 transport_and_format (Pagination), mod_tokens (GET).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from hub.clock import now
from hub.roaming.client import CallFailed, PartnerClient, Question, Reply
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.roaming.speech import inward, without_nulls
from hub.store import alarms, objects, partners, turns, whitelist
from hub.store.alarms import Alarm
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import Kept, ObjectDiffers, key_of, object_of, same_document
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.checks import TYPE_OF, check, mended, require
from wire.ocpi.document import Document, require_shallow, view
from wire.ocpi.instants import parse_instant
from wire.ocpi.keys import party_of
from wire.ocpi.listing import as_listed
from wire.ocpi.paging import Crawl, next_date_from, read_page
from wire.ocpi.partners import ClientInfo
from wire.ocpi.routing import Routing
from wire.ocpi.sessions import SessionStatus
from wire.ocpi.tokens import Token
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role, Version

_log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)
LIMIT = 500
BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MOST_NAMED = 100
"""Skipped objects that are named; the others are counted."""
_ROLE_OF = {Module.TOKENS: (Role.CPO,), Module.LOCATIONS: (Role.EMSP, Role.NSP, Role.OTHER)}
_ROLE_OF |= {Module.TARIFFS: _ROLE_OF[Module.LOCATIONS]}
_ROLE_OF |= dict.fromkeys((Module.SESSIONS, Module.CDRS), (Role.EMSP, Role.OTHER))
PULLED = (Module.TOKENS, Module.LOCATIONS, Module.TARIFFS, Module.SESSIONS, Module.CDRS, Module.HUB_CLIENT_INFO)
_PER_PARTY = frozenset({Module.SESSIONS, Module.CDRS})


@dataclass(slots=True)
class Pulled:
    """How far a crawl is, and what it came to. `skipped` names objects with the reason, at most MOST_NAMED; `total` is
    what the partner says that there is."""

    pages: int = 0
    objects: int = 0
    new: int = 0
    changed: int = 0
    bad: int = 0
    invalidated: int = 0
    total: int | None = None
    complete: bool = False
    failed: str | None = None
    skipped: list[str] = field(default_factory=list)

    def skip(self, why: str) -> None:
        """Count an object that cannot be used."""
        self.bad += 1
        if len(self.skipped) < MOST_NAMED:
            self.skipped.append(why)


def pulled_modules(partner: Partner, config: RoamingConfig) -> tuple[Module, ...]:
    """What there is to pull from a partner: the sides that it serves and a role of ours needs."""
    found = []
    for module in PULLED:
        wanted = partner.hub_party is not None if module is Module.HUB_CLIENT_INFO else bool(_askers(module, config))
        if wanted and partner.endpoint(module, InterfaceRole.SENDER) is not None:
            found.append(module)
    return tuple(found)


def _askers(module: Module, config: RoamingConfig) -> tuple[PartyKey, ...]:
    """In whose names a module is asked for: sessions and CDRs are shown to their own eMSP only."""
    found = dict.fromkeys(party for role in _ROLE_OF.get(module, ()) for party in config.of_role(role))
    return tuple(found) if module in _PER_PARTY else tuple(found)[:1]


class Puller:
    """Crawls partners. One per hub."""

    def __init__(self, database: Database, config: RoamingConfig, session: aiohttp.ClientSession) -> None:
        self._database, self._config, self._session = database, config, session

    async def pull(
        self,
        partner: Partner,
        module: Module,
        *,
        full: bool,
        progress: Callable[[Pulled], None] = lambda pulled: None,
    ) -> Pulled:
        """What a crawl of one module came to; `progress` hears of every page.

        Raises:
            CallFailed: the partner has no such side.
            StoreError: what came could not be kept.
        """
        pulled, whole = Pulled(), True
        routings = [_routing(partner, party) for party in _askers(module, self._config)] or [Routing()]
        for routing in routings if module is not Module.HUB_CLIENT_INFO else [Routing()]:
            crawling = _Crawling(self._database, self._config, self._session, partner, module, routing, pulled)
            whole &= await crawling.run(full=full, progress=progress)
        pulled.complete = whole
        fields = {"partner": partner.id, "module": module.value, "objects": pulled.objects, "bad": pulled.bad}
        _log.info("ocpi-pulled", extra={"fields": fields | {"complete": pulled.complete, "failed": pulled.failed}})
        return pulled


def _routing(partner: Partner, asker: PartyKey) -> Routing:
    """Of a hub all objects are asked for; of another platform those of all its parties."""
    return Routing(to=partner.hub_party, from_=asker)


class _Crawling:
    """One crawl."""

    def __init__(
        self,
        database: Database,
        config: RoamingConfig,
        session: aiohttp.ClientSession,
        partner: Partner,
        module: Module,
        routing: Routing,
        pulled: Pulled,
    ) -> None:
        self._database, self._config = database, config
        self._partner, self._module, self._pulled = partner, module, pulled
        self._client = PartnerClient(partner, session)
        self._question = Question(routing=routing, correlation_id=str(uuid.uuid4()))
        self._name = f"mark {partner.id} {module.value} {routing.from_ or ''}"
        self._seen: set[tuple[PartyKey, str]] = set()

    async def run(self, *, full: bool, progress: Callable[[Pulled], None]) -> bool:
        """Crawl to the end, or as far as it goes; whether everything was seen."""
        pulled, before = self._pulled, await self._known_tokens()
        mark = None if full else await self._database.read(lambda connection: turns.last_turn(connection, self._name))
        since = next_date_from(mark, OVERLAP)
        if since is None and self._module is Module.SESSIONS:
            since = BEGINNING
        endpoint = self._client.url(self._module, InterfaceRole.SENDER)
        quirks = self._partner.quirks
        crawl = Crawl(endpoint, date_from=since, limit=LIMIT, own_place=quirks.foreign_links)
        while (url := crawl.url) is not None:
            try:
                reply = await self._client.ask("GET", url, self._question)
                listed = _listed(reply, self._told)
                page = read_page(reply.headers, listed)
                pulled.pages, pulled.total = pulled.pages + 1, page.total
                if await self._keep(listed):
                    crawl.skipped()
                crawl.received(page)
            except (CallFailed, MalformedValue, OCPIRefused) as error:
                pulled.failed = str(error)
                crawl.failed()
            progress(pulled)
        if crawl.watermark is not None and pulled.failed is None:
            # One object from the future would hide all that comes until then.
            reached = min(crawl.watermark, now())
            moved = reached if mark is None else max(mark, reached)
            await self._database.write(lambda connection: turns.note_turn(connection, self._name, moved))
        if crawl.complete and self._module is Module.TOKENS:
            await self._invalidate(before)
        return crawl.complete

    @property
    def _told(self) -> str:
        return f"partner {self._partner.id}: {self._module.value}"

    async def _keep(self, listed: Sequence[object]) -> int:
        """Keep a page; how many objects of it cannot be used."""
        good, bad = list[Document](), list[str]()
        for index, found in enumerate(listed):
            try:
                good.append(_understood(self._partner, self._module, found))
            except (OCPIRefused, MalformedValue) as error:
                bad.append(f"{_name_of(found, index)}: {error}")

        def page(connection: Connection) -> tuple[list[Kept], list[str], list[tuple[PartyKey, str]]]:
            kept, refused, seen = list[Kept](), list[str](), list[tuple[PartyKey, str]]()
            news = list[Document]()
            for index, document in enumerate(good):
                try:
                    kept.append(self._take(connection, document))
                except (OCPIRefused, MalformedValue) as error:
                    refused.append(f"{_name_of(document, index)}: {error}")
                else:
                    seen.append((party_of(document), key_of(self._module, document)))
                    news += [document] if kept[-1] is not Kept.SAME else []
            self._list_tokens(connection, news)
            return kept, refused, seen

        kept, refused, seen = await self._database.write(page)
        self._seen.update(seen)
        pulled = self._pulled
        pulled.objects += len(kept)
        pulled.new += kept.count(Kept.NEW)
        pulled.changed += kept.count(Kept.CHANGED)
        for why in (*bad, *refused):
            pulled.skip(why)
            _log.warning("ocpi-object-skipped", extra={"fields": {"where": self._told, "reason": why[:500]}})
        return len(bad) + len(refused)

    def _take(self, connection: Connection, document: Document) -> Kept:
        """Keep one object. Raises OCPIRefused. Rule 5."""
        module, partner, owner, at = self._module, self._partner, party_of(document), now()
        if module is Module.HUB_CLIENT_INFO:
            if self._config.owns(owner):
                return Kept.SAME
        elif not partners.speaks_for(connection, partner, owner):
            if partner.hub_party is not None and partners.is_elsewhere(connection, owner, partner.id):
                return Kept.SAME
            raise OCPIRefused("foreign-party", "/party_id", f"the partner does not speak for {owner}")
        key = key_of(module, document)
        held = object_of(connection, module, owner, key)
        if held is not None and held.from_partner is None:
            raise OCPIRefused("ours", "/party_id", f"{owner} is a party of this platform")
        if held is not None and module is not Module.CDRS and _is_newer(held.document, document):
            return Kept.SAME
        try:
            if held is not None and _is_final(module, held.document) and not same_document(held.document, document):
                raise ObjectDiffers(owner, key)
            kept, _ = objects.keep_object(connection, module, document, partner.id, at)
        except ObjectDiffers as error:
            ids = partner.id, module, owner, key, error.code
            alarm = Alarm(*ids, str(error), self._question.correlation_id or "", document)
            alarms.note_alarm(connection, alarm, at)
            raise OCPIRefused(error.code, "/id", str(error)) from error
        return kept

    def _list_tokens(self, connection: Connection, documents: Sequence[Document]) -> None:
        """Put tokens on the hub's list, all as one change of it."""
        if self._module is Module.TOKENS and documents:
            tokens = [as_listed(view(one, Token, "token")) for one in documents]
            whitelist.put_tokens(connection, tokens, now())

    # --- tokens that are no longer shown, rule 4

    async def _known_tokens(self) -> dict[tuple[PartyKey, str], Document]:
        if self._module is not Module.TOKENS:
            return {}
        found = await self._database.read(
            lambda connection: tuple(objects.documents_from(connection, Module.TOKENS, self._partner.id))
        )
        return {(party_of(one), key_of(Module.TOKENS, one)): one for one in found if one.get("valid")}

    async def _invalidate(self, before: dict[tuple[PartyKey, str], Document]) -> None:
        absent = {known: document for known, document in before.items() if known not in self._seen}

        def all_of_them(connection: Connection) -> int:
            gone, at = list[Document](), now()
            for (owner, key), document in absent.items():
                held = object_of(connection, Module.TOKENS, owner, key)
                if held is None or held.document != document:
                    continue
                gone.append(document | {"valid": False})
                objects.keep_object(connection, Module.TOKENS, gone[-1], self._partner.id, at)
            self._list_tokens(connection, gone)
            return len(gone)

        if absent:
            self._pulled.invalidated = await self._database.write(all_of_them)


def _listed(reply: Reply, what: str) -> list[Any]:
    data = reply.data
    if not isinstance(data, list):
        raise MalformedValue(what, "/data", "a list is expected")
    return data


def _understood(partner: Partner, module: Module, found: object) -> Document:
    """The object in 2.3.0, checked. Raises OCPIRefused, MalformedValue."""
    if not isinstance(found, dict):
        raise OCPIRefused("no-object", "/", "a JSON object is expected")
    require_shallow(found, "object")
    type_ = ClientInfo if module is Module.HUB_CLIENT_INFO else TYPE_OF[module]
    document: Document = mended(inward(partner.version or Version.V2_3_0, module, found), type_, partner.quirks)
    require(check(document, type_))
    return dict(without_nulls(document))


def _is_newer(held: Document, document: Document) -> bool:
    """Whether what is held came later than the page that the document is from: it was pushed meanwhile."""
    one, other = held.get("last_updated"), document.get("last_updated")
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    return parse_instant(one, "/last_updated") > parse_instant(other, "/last_updated")


def _is_final(module: Module, held: Document) -> bool:
    return module is Module.SESSIONS and held.get("status") == SessionStatus.COMPLETED.value


def _name_of(found: object, index: int) -> str:
    names = [found[name] for name in ("id", "uid", "party_id") if name in found] if isinstance(found, dict) else []
    return f"{str(names[0])[:64]!a}" if names else f"object {index}"
