"""Partners over the API for operators: who they are, and registering with them.

    GET    /api/v1/partners                   {"partners": [...]}
    POST   /api/v1/partners                   add one; the answer holds the token for its registration, if we issue it
    GET    /api/v1/partners/{id}
    DELETE /api/v1/partners/{id}              end the registration on both sides, and forget it
    PUT    /api/v1/partners/{id}/quirks       {"quirks": "raw-2.2,trailing_slash"}
    POST   /api/v1/partners/{id}/token        a new token for its registration; it must not be registered
    POST   /api/v1/partners/{id}/register     register with it, with the token that it handed over
    POST   /api/v1/partners/{id}/rotate       new tokens on both sides
    GET    /api/v1/partners-alarms            what partners did that somebody has to look at, oldest first

No answer but the one that issues a token holds any.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime

from aiohttp import web

from hub.clock import now
from hub.errors import HubError, StoreError
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner, TokenKind
from hub.roaming.registration import Registrar, new_token
from hub.store import alarms, partners as store
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.partners import KnownPartner, NoSuchPartner
from hub.web.lists import cut_of
from hub.web.problems import Problem, json_response, read_body
from wire.errors import OCPIRefused
from wire.ocpi.authorization import require_token, token_hash
from wire.ocpi.document import Document
from wire.ocpi.partners import CredentialsRole, Endpoint
from wire.ocpi.quirks import in_force, quirks_of
from wire.ocpi.urls import place_of
from wire.records import Value, decode, encode

_log = logging.getLogger(__name__)

MAX_BYTES, TIMEOUT_S = 64 * 1024, 20.0
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class PartnerWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partner to be added. With `token`, which it handed over, and the `url` of its versions we register with it;
    without, it registers with us by the token that is issued. `hosts`: further places that it may be called at."""

    id: str
    name: str | None = None
    url: str | None = None
    token: str | None = None
    hosts: tuple[str, ...] = ()
    quirks: str = ""


class QuirksWish(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quirks, comma-separated."""

    quirks: str


class PartnerView(Value, frozen=True, kw_only=True):
    """A partner as operators see it."""

    id: str
    name: str
    status: str
    hosts: tuple[str, ...]
    added_at: datetime
    url: str | None = None
    version: str | None = None
    hub_party: str | None = None
    registered_at: datetime | None = None
    last_seen: datetime | None = None
    quirks: tuple[str, ...] = ()
    roles: tuple[CredentialsRole, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


class AddedPartner(Value, frozen=True, kw_only=True):
    """A partner with the token for its registration, shown once; `versions_url` is ours, to be handed over with it."""

    partner: PartnerView
    token: str | None = None
    versions_url: str | None = None


class PartnerList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All partners."""

    partners: tuple[PartnerView, ...]


class AlarmView(Value, frozen=True, kw_only=True):
    """An alarm."""

    number: int
    at: datetime
    partner: str
    module: str
    party: str
    object_id: str
    code: str
    message: str
    correlation_id: str
    document: Document | None = None


class AlarmList(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Alarms, and the number to go on from."""

    alarms: tuple[AlarmView, ...]
    next: int | None


def view_of(partner: Partner) -> PartnerView:
    """What operators see of a partner: no token."""
    return PartnerView(
        id=partner.id,
        name=partner.name,
        status=partner.status.value,
        hosts=partner.hosts,
        added_at=partner.added_at,
        url=partner.url,
        version=partner.version,
        hub_party=None if partner.hub_party is None else str(partner.hub_party),
        registered_at=partner.registered_at,
        last_seen=partner.last_seen,
        quirks=in_force(partner.quirks),
        roles=partner.roles,
        endpoints=partner.endpoints,
    )


class OperatorPartners:
    """The operators' side of partners."""

    def __init__(self, database: Database, config: RoamingConfig, registrar: Registrar) -> None:
        self._database, self._config, self._registrar = database, config, registrar

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        one = "/api/v1/partners/{id}"
        return [
            web.get("/api/v1/partners", self.list_all),
            web.post("/api/v1/partners", self.add),
            web.get(one, self.show),
            web.delete(one, self.remove),
            web.put(f"{one}/quirks", self.set_quirks),
            web.post(f"{one}/token", self.invite),
            web.post(f"{one}/register", self.register),
            web.post(f"{one}/rotate", self.rotate),
            web.get("/api/v1/partners-alarms", self.alarms),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """All partners, in the order in which they were added."""
        found = await self._database.read(store.partners)
        return json_response(encode(PartnerList(partners=tuple(view_of(one) for one in found))))

    async def add(self, request: web.Request) -> web.Response:
        """201 with the partner, and the token that is issued to it."""
        wish = decode(PartnerWish, await read_body(request, MAX_BYTES, TIMEOUT_S), "partner")
        partner, at = _wished(wish), now()
        token = new_token() if wish.token is None else None

        def both(connection: Connection) -> None:
            store.add_partner(connection, partner, at)
            if token is not None:
                store.issue_token(connection, partner.id, TokenKind.REGISTRATION, token_hash(token), at)

        try:
            await self._database.write(both)
        except KnownPartner as error:
            raise Problem(409, error.code, str(error)) from error
        return json_response(encode(self._added(partner, token)), 201)

    async def show(self, request: web.Request) -> web.Response:
        """One partner."""
        return json_response(encode(view_of(await self._named(request))))

    async def remove(self, request: web.Request) -> web.Response:
        """{"left": true} when the partner was told, with `reason` when it could not be."""
        partner, reason = await self._named(request), ""
        if partner.registered:
            try:
                await self._registrar.leave(partner.id)
            except StoreError:
                raise
            except HubError as error:
                reason = str(error)
        await self._database.write(lambda connection: store.remove_partner(connection, partner.id))
        return json_response(encode({"left": not reason, "reason": reason}))

    async def set_quirks(self, request: web.Request) -> web.Response:
        """The partner with its quirks replaced."""
        wish = decode(QuirksWish, await read_body(request, MAX_BYTES, TIMEOUT_S), "quirks")
        partner, quirks, at = await self._named(request), quirks_of(wish.quirks), now()
        await self._database.write(lambda connection: store.set_quirks(connection, partner.id, quirks, at))
        return json_response(encode(view_of(await self._named(request))))

    async def invite(self, request: web.Request) -> web.Response:
        """A token for registration; the one before it ends."""
        partner, token, at = await self._named(request), new_token(), now()
        if partner.registered:
            raise Problem(409, "registered", f"partner {partner.id} is registered; it renews its credentials itself")

        def both(connection: Connection) -> None:
            store.end_tokens(connection, partner.id)
            store.issue_token(connection, partner.id, TokenKind.REGISTRATION, token_hash(token), at)

        await self._database.write(both)
        return json_response(encode(self._added(partner, token)), 201)

    async def register(self, request: web.Request) -> web.Response:
        """The partner, registered."""
        return await self._exchanged(request, rotate=False)

    async def rotate(self, request: web.Request) -> web.Response:
        """The partner with new tokens."""
        return await self._exchanged(request, rotate=True)

    async def alarms(self, request: web.Request) -> web.Response:
        """One page of alarms."""
        cut = cut_of(request)
        found = await self._database.read(lambda connection: alarms.alarms(connection, cut.after, cut.limit + 1))
        shown = tuple(
            AlarmView(
                number=one.number,
                at=one.at,
                partner=one.alarm.partner,
                module=one.alarm.module.value,
                party=str(one.alarm.party),
                object_id=one.alarm.object_id,
                code=one.alarm.code,
                message=one.alarm.message,
                correlation_id=one.alarm.correlation_id,
                document=one.alarm.document,
            )
            for one in found[: cut.limit]
        )
        return json_response(encode(AlarmList(alarms=shown, next=shown[-1].number if len(found) > cut.limit else None)))

    async def _exchanged(self, request: web.Request, *, rotate: bool) -> web.Response:
        partner = await self._named(request)
        try:
            done = await (self._registrar.rotate if rotate else self._registrar.register)(partner.id)
        except StoreError:
            raise
        except HubError as error:
            raise Problem(
                409 if error.code in ("registered", "not-registered", "no-token") else 502, error.code, str(error)
            ) from error
        except OCPIRefused as error:
            raise Problem(502, error.code, str(error)) from error
        _log.info("partner-registered", extra={"fields": {"partner": done.id, "version": done.version or ""}})
        return json_response(encode(view_of(done)))

    async def _named(self, request: web.Request) -> Partner:
        id_ = request.match_info["id"]
        try:
            return await self._database.read(lambda connection: store.partner_named(connection, id_))
        except NoSuchPartner as error:
            raise Problem(404, error.code, str(error)) from error

    def _added(self, partner: Partner, token: str | None) -> AddedPartner:
        url = None if token is None else f"{self._config.url}/versions"
        return AddedPartner(partner=view_of(partner), token=token, versions_url=url)


def _wished(wish: PartnerWish) -> Partner:
    """The partner to be added. Raises Problem, OCPIRefused."""
    if _ID.fullmatch(wish.id) is None:
        raise Problem(400, "bad-id", "id: expected 1 to 64 of a-z, 0-9, `.`, `_`, `-`, the first a letter or digit")
    if wish.token is not None and wish.url is None:
        raise Problem(400, "no-url", "url: a partner that handed over a token has the URL of its versions too")
    given = (*filter(None, (wish.url,)), *wish.hosts)
    if not given:
        raise Problem(400, "no-host", "url or hosts: expected the https host that the partner is called at")
    return Partner(
        id=wish.id,
        name=wish.name or wish.id,
        url=wish.url,
        hosts=tuple(dict.fromkeys(_host(one) for one in given)),
        token_out=None if wish.token is None else require_token(wish.token),
        quirks=quirks_of(wish.quirks),
        added_at=now(),
    )


def _host(given: str) -> str:
    place = place_of(given if "://" in given else f"https://{given}")
    if place.scheme != "https":
        raise Problem(400, "not-https", f"{given[:120]!a}: partners are called by https only")
    return f"https://{place.host}:{place.port}"
