"""Pushes of our objects to partners: one attempt each; what came of it is noted, and the partner pulls what it missed.

Rules
1. A push is claimed before it is tried (hub.store.outbound): it is never tried twice, and whatever is killed, the
   object is there for the partner's next GET.
2. To a partner the pushes of one object go one after the other, and so do the CDRs of one session: a credit before the
   CDR that replaces what it takes back. All else goes beside each other.
3. A PATCH that fails is followed by a GET, and by a PUT of the whole when the partner does not have the object, or has
   another one. A partner that takes no PATCH is sent the whole at once.
4. A CDR may be sent once more, word for word, when nobody knows whether it arrived; its receiver tells by the id.
5. When a partner cannot be reached it is asked whether it is there; if not, the rest is left for it to pull.
6. A session or CDR is from its CPO to the eMSP of its token; everything else that goes to a hub is for all behind it.

Source: OCPI 2.3.0 transport_and_format (Client Owned Object Push, Offline behaviour), mod_cdrs (POST).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import aiohttp

from hub.clock import now
from hub.errors import StoreError
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.liveness import Liveness
from hub.roaming.partners import Partner
from hub.roaming.speech import inward, outward
from hub.roaming.tasks import Beside, Repeated
from hub.store import objects, outbound, partners
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import same_document
from hub.store.outbound import Push
from hub.store.partners import NoSuchPartner
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.keys import id_of, party_of, token_key
from wire.ocpi.quirks import unwrapped
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role, Version

_log = logging.getLogger(__name__)

EVERY_S = 2.0
AT_ONCE = 200
BESIDE = 8
"""Lanes of pushes to one partner at the same time."""
BATCH_S = 60.0
"""How long one batch may take; what was not tried by then is tried with the next one."""
DONE, GONE, OFFLINE, UNKNOWN_TOKEN = "done", "partner-gone", "offline", "token-unknown-there"
_ADDRESSED = frozenset({Module.SESSIONS, Module.CDRS})
_RECEIVING = {Module.TOKENS: (Role.CPO,), Module.LOCATIONS: (Role.EMSP, Role.NSP, Role.OTHER)}
_RECEIVING[Module.TARIFFS] = _RECEIVING[Module.LOCATIONS]


class Pusher:
    """One for the hub. Belongs to its event loop."""

    def __init__(self, database: Database, session: aiohttp.ClientSession, liveness: Liveness) -> None:
        self._database, self._session, self._liveness = database, session, liveness
        self._batches = Beside()
        self._repeated = Repeated("push", EVERY_S, self._round)
        self.wake = self._repeated.wake

    async def start(self) -> None:
        """Begin. What was being tried when the only process ended is settled: the partner pulls it. Raises
        StoreError."""
        if not self._database.engine.is_shared:
            await self._database.write(outbound.end_claims)
        self._repeated.start()

    async def close(self) -> None:
        """Stop; a push that is under way is not tried again."""
        await self._repeated.close()
        await self._batches.close()

    async def _round(self) -> None:
        at = now()
        if not await self._database.read(lambda connection: outbound.is_any_waiting(connection, at)):
            return
        claimed = await self._database.write(lambda connection: outbound.claim_pushes(connection, at, AT_ONCE))
        by_partner: defaultdict[str, list[Push]] = defaultdict(list)
        for push in claimed:
            by_partner[push.partner].append(push)
        for id_, pushes in by_partner.items():
            self._batches.add(self._batch(id_, pushes))

    async def _batch(self, id_: str, pushes: Sequence[Push]) -> None:
        """Try what was claimed for one partner."""
        try:
            try:
                partner = await self._database.read(lambda connection: partners.partner_named(connection, id_))
            except NoSuchPartner:
                await self._settle(pushes, GONE)
                return
            batch = _Batch(self._database, self._session, self._liveness, partner)
            await asyncio.gather(*(batch.push_all(lane) for lane in lanes_of(pushes)))
        except StoreError as error:
            _log.error("push-failed", extra={"fields": {"partner": id_, "reason": str(error)}})
        self.wake()

    async def _settle(self, pushes: Sequence[Push], outcome: str) -> None:
        at = now()

        def all_of_them(connection: Connection) -> None:
            for push in pushes:
                outbound.settle_push(connection, push.number, outcome, at)

        await self._database.write(all_of_them)


def lanes_of(pushes: Sequence[Push]) -> tuple[tuple[Push, ...], ...]:
    """What goes one after the other, each in its order; lanes go beside each other. Rule 2."""
    lanes: defaultdict[str | int, list[Push]] = defaultdict(list)
    for push in pushes:
        lanes[push.correlation_id if push.module is Module.CDRS else push.object_number].append(push)
    return tuple(map(tuple, lanes.values()))


class _Batch:
    """Pushes to one partner."""

    def __init__(
        self, database: Database, session: aiohttp.ClientSession, liveness: Liveness, partner: Partner
    ) -> None:
        self._database, self._liveness, self._partner = database, liveness, partner
        self._client = PartnerClient(partner, session)
        self._beside, self._there = asyncio.Semaphore(BESIDE), partner.can_be_sent_to
        self._until = asyncio.get_running_loop().time() + BATCH_S

    async def push_all(self, pushes: Sequence[Push]) -> None:
        """Try the pushes of one lane, in their order. Raises StoreError."""
        async with self._beside:
            for push in pushes:
                if asyncio.get_running_loop().time() >= self._until:
                    await self._database.write(partial(outbound.unclaim_push, number=push.number))
                    continue
                outcome = await self._outcome(push) if self._there else OFFLINE
                settled = partial(outbound.settle_push, number=push.number, outcome=outcome, at=now())
                await self._database.write(settled)
                fields = {"partner": push.partner, "module": push.module.value, "method": push.method}
                fields |= {"outcome": outcome, "correlation_id": push.correlation_id}
                _log.info("ocpi-push", extra={"fields": fields})

    async def _outcome(self, push: Push) -> str:
        """What became of the attempt, in a word. Raises StoreError."""
        quirks = self._partner.quirks
        try:
            if push.module is Module.SESSIONS and quirks.session_needs_token and not await self._knows_token(push):
                return UNKNOWN_TOKEN
            if push.method == "POST":
                await self._post(push)
            elif push.method == "PATCH" and not quirks.no_patch:
                await self._patch(push)
            else:
                await self._put(push, await self._whole(push))
        except OCPIRefused as error:
            _log.warning("ocpi-push-unsaid", extra={"fields": {"partner": push.partner, "reason": str(error)}})
            return error.code
        except CallFailed as error:
            fields = {"partner": push.partner, "module": push.module.value, "reason": str(error)}
            _log.warning("ocpi-push-failed", extra={"fields": fields | {"correlation_id": push.correlation_id}})
            if self._there and error.http is None:
                self._there = await self._liveness.check(push.partner)
            return error.code
        return DONE

    # --- one push

    async def _post(self, push: Push) -> None:
        """Rule 4."""
        question = self._question(push, self._said(push, push.document), push.document)
        try:
            await self._client.call("POST", push.module, InterfaceRole.RECEIVER, question=question)
        except CallFailed as error:
            if not error.uncertain or not await self._liveness.check(push.partner):
                raise
            await self._client.call("POST", push.module, InterfaceRole.RECEIVER, question=question)

    async def _put(self, push: Push, document: Document) -> None:
        said = self._said(push, document)
        question = self._question(push, said, document)
        await self._client.call("PUT", *self._where(push, document), query=_query(push, said), question=question)

    async def _patch(self, push: Push) -> None:
        """Rule 3."""
        whole = await self._whole(push)
        where, said = self._where(push, whole), self._said(push, push.document)
        query = _query(push, self._said(push, whole))
        try:
            await self._client.call("PATCH", *where, query=query, question=self._question(push, said, whole))
            return
        except CallFailed as error:
            if error.http is None:
                raise
        try:
            reply = await self._client.call("GET", *where, query=query, question=self._question(push, None, whole))
            if self._same(push, reply.data, whole):
                return
        except (CallFailed, MalformedValue, OCPIRefused) as error:
            if isinstance(error, CallFailed) and error.http is None:
                raise
        await self._put(push, whole)

    def _same(self, push: Push, data: object, whole: Document) -> bool:
        held = unwrapped(data, self._partner.quirks)
        if not isinstance(held, dict):
            return False
        return same_document(inward(self._version, push.module, held), whole)

    async def _whole(self, push: Push) -> Document:
        """The object as it is now. Raises OCPIRefused when it is gone."""
        if push.method != "PATCH":
            return push.document
        held = await self._database.read(lambda connection: objects.object_numbered(connection, push.object_number))
        if held is None:
            raise OCPIRefused("object-gone", "/", "the object is no longer here")
        return held.document

    async def _knows_token(self, push: Push) -> bool:
        token = (await self._whole(push)).get("cdr_token")
        if not isinstance(token, dict):
            return False
        key = token_key(str(token.get("uid")), str(token.get("type")))
        held = await self._database.read(lambda connection: objects.objects_of(connection, Module.TOKENS, key))
        return any(one.from_partner == push.partner for one in held)

    # --- how it is said

    @property
    def _version(self) -> Version:
        return self._partner.version or Version.V2_3_0

    def _said(self, push: Push, document: Document) -> Document:
        return outward(self._version, push.module, document, quirks=self._partner.quirks)

    def _where(self, push: Push, document: Document) -> tuple[Module, InterfaceRole, str, str, str]:
        country, party = str(document["country_code"]), str(document["party_id"])
        return push.module, InterfaceRole.RECEIVER, country, party, id_of(push.module, document)

    def _question(self, push: Push, said: Document | None, whole: Document) -> Question:
        routing = routing_of(push.module, whole, self._partner)
        return Question(routing=routing, document=said, correlation_id=push.correlation_id)


def routing_of(module: Module, document: Document, partner: Partner) -> Routing:
    """From whom and for whom an object of ours is. Rule 6."""
    owner, token = party_of(document), document.get("cdr_token")
    if module in _ADDRESSED and isinstance(token, dict):
        return Routing(to=party_of(token), from_=owner)
    return Routing(to=partner.hub_party or _first(partner, _RECEIVING.get(module, ())), from_=owner)


def _first(partner: Partner, roles: Sequence[Role]) -> PartyKey | None:
    return next((one.party for one in partner.roles if one.role in roles), None)


def _query(push: Push, said: Document) -> dict[str, str] | None:
    return {"type": str(said["type"])} if push.module is Module.TOKENS else None
