"""The Receiver sides of what partners own and push: GET, PUT, PATCH and DELETE of their objects.

Rules
1. The party in the URL is one that the partner speaks for, else HTTP 404; the ids in URL and body are the same, else
   2001. An object that breaks its type is refused with the place (2001), and what is held stays.
2. PATCH of an object that is not here is HTTP 404: its owner PUTs it then.
3. A session that is COMPLETED changes no more: the same again is done, another one is refused and an alarm.
4. Tokens also go on the hub's list, and with it to the gateways.

Source: OCPI 2.3.0 transport_and_format (Client Owned Object Push), the modules' Receiver Interfaces.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import assert_never

import msgspec

from hub.roaming.own import RoamingConfig
from hub.roaming.speech import without_nulls
from hub.store import alarms, objects as store, partners, whitelist
from hub.store.alarms import Alarm
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import Held, Kept, same_document
from hub.web.ocpi.exchange import Answer, Exchange, party_in, refuse_path, refuse_unknown
from wire.errors import OCPIRefused
from wire.ocpi.checks import TYPE_OF, TYPE_OF_PART, check, require
from wire.ocpi.document import Document, view
from wire.ocpi.envelope import StatusCode
from wire.ocpi.keys import DEFAULT_TOKEN_TYPE, ci_key, token_key
from wire.ocpi.listing import as_listed
from wire.ocpi.merge import (
    Part,
    merged,
    merged_part,
    part_at,
    part_of,
    require_same_object,
    require_same_part,
    with_part,
)
from wire.ocpi.sessions import SessionStatus
from wire.ocpi.tokens import Token
from wire.ocpi.types import Module, PartyKey

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """The object that a URL names; `parts` are the EVSE's and the connector's id below a location's."""

    party: PartyKey
    id: str
    key: str
    parts: tuple[str, ...] = ()
    token_type: str | None = None


class Pushed:
    """Takes what partners push."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        """Where this deployment is a hub, what is sent to it, or to nobody, is shared with all."""
        self._database, self._config, self._hub = database, config, config.hub_party

    async def get(self, exchange: Exchange) -> Answer:
        """An object as it is held here."""
        place = await self._place(exchange)
        held = await self._held(exchange, place)
        found = None if held is None else held.document
        if found is not None and place.parts:
            found = part_at(found, place.parts)
        if found is None:
            refuse_unknown(exchange, exchange.module.value.removesuffix("s"), _unknown(exchange.module))
        return Answer(exchange.spoken(found, part_of(place.parts)))

    async def put(self, exchange: Exchange) -> Answer:
        """Insert or replace an object, an EVSE or a connector."""
        place = await self._place(exchange)
        part = part_of(place.parts)
        document = exchange.document(_type(exchange.module, part))
        if part is Part.WHOLE:
            require_same_object(exchange.module, document, place.party, place.id, type_=place.token_type)
        else:
            require_same_part(document, part, place.parts[-1])
        return await self._kept(exchange, place, document, whole=True)

    async def patch(self, exchange: Exchange) -> Answer:
        """Change fields of an object, an EVSE or a connector that is here."""
        place = await self._place(exchange)
        document = exchange.document(_type(exchange.module, part_of(place.parts)), partial=True)
        return await self._kept(exchange, place, document, whole=False)

    async def delete(self, exchange: Exchange) -> Answer:
        """Take back a tariff."""
        place = await self._place(exchange)
        gone = await self._database.write(
            lambda connection: store.drop_object(connection, exchange.module, place.party, place.key)
        )
        if not gone:
            refuse_unknown(exchange, "tariff")
        return Answer()

    async def _place(self, exchange: Exchange) -> _Place:
        """Raises OCPIRefused for a path that is none, or a party that the partner does not speak for (HTTP 404)."""
        most = 5 if exchange.module is Module.LOCATIONS else 3
        if not 3 <= len(exchange.path) <= most:
            refuse_path(exchange, "/{country_code}/{party_id}/{id}")
        party, id_ = party_in(exchange.path), exchange.path[2]

        def speaks(connection: Connection) -> bool:
            return partners.speaks_for(connection, exchange.partner, party, exchange.routing.from_)

        if self._config.owns(party) or not await self._database.read(speaks):
            refuse_unknown(exchange, f"party of yours as {party}")
        if exchange.module is not Module.TOKENS:
            return _Place(party, id_, ci_key(id_), exchange.path[3:])
        type_ = exchange.query.get("type", DEFAULT_TOKEN_TYPE)
        return _Place(party, id_, token_key(id_, type_), (), type_)

    async def _held(self, exchange: Exchange, place: _Place) -> Held | None:
        return await self._database.read(
            lambda connection: store.object_of(connection, exchange.module, place.party, place.key)
        )

    async def _kept(self, exchange: Exchange, place: _Place, given: Document, *, whole: bool) -> Answer:
        def both(connection: Connection) -> Kept | OCPIRefused:
            held = store.object_of(connection, exchange.module, place.party, place.key)
            document = _made(exchange, place, None if held is None else held.document, given, whole=whole)
            require(check(document, TYPE_OF[exchange.module]))
            if held is not None and _final(exchange.module, held.document):
                if same_document(held.document, document):
                    return Kept.SAME
                # An alarm is to stay when the request is refused, so the refusal is handed out, not raised.
                alarm = _changed_after_end(exchange, place, given)
                alarms.note_alarm(connection, alarm, exchange.at)
                return OCPIRefused(alarm.code, "/status", alarm.message)
            shared = self._hub is not None and exchange.routing.to in (None, self._hub)
            ids = exchange.partner.id, exchange.at
            kept, _ = store.keep_object(connection, exchange.module, document, *ids, shared=shared)
            if exchange.module is Module.TOKENS:
                token = view(without_nulls(document), Token, "token")
                whitelist.put_tokens(connection, [as_listed(token)], exchange.at)
            return kept

        kept = await self._database.write(both)
        if isinstance(kept, OCPIRefused):
            fields = {"partner": exchange.partner.id, "party": str(place.party), "id": place.id}
            _log.warning(kept.code, extra={"fields": fields | {"correlation_id": exchange.ids.correlation_id}})
            raise kept
        match kept:
            case Kept.NEW:
                return Answer(http=201)
            case Kept.CHANGED | Kept.SAME:
                return Answer()
        assert_never(kept)


def _made(exchange: Exchange, place: _Place, held: Document | None, given: Document, *, whole: bool) -> Document:
    """The object as it is after the request. Raises OCPIRefused."""
    if whole and not place.parts:
        return given
    if held is None:
        refuse_unknown(exchange, exchange.module.value.removesuffix("s"), _unknown(exchange.module))
    if whole:
        return with_part(held, place.parts, given)
    if exchange.module is Module.LOCATIONS:
        return merged_part(held, place.parts, given)
    return merged(exchange.module, held, given)


def _type(module: Module, part: Part) -> type[msgspec.Struct]:
    return TYPE_OF_PART[part] if module is Module.LOCATIONS else TYPE_OF[module]


def _final(module: Module, held: Document) -> bool:
    return module is Module.SESSIONS and held.get("status") == SessionStatus.COMPLETED.value


def _changed_after_end(exchange: Exchange, place: _Place, given: Document) -> Alarm:
    return Alarm(
        exchange.partner.id,
        exchange.module,
        place.party,
        place.id,
        "session-final",
        f"session {place.id[:64]!r} of {place.party} is COMPLETED, and changes no more",
        exchange.ids.correlation_id,
        given,
    )


def _unknown(module: Module) -> StatusCode:
    return StatusCode.UNKNOWN_LOCATION if module is Module.LOCATIONS else StatusCode.CLIENT_ERROR
