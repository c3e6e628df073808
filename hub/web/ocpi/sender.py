"""The Sender sides of what our parties own: lists in pages, and single locations.

Source: OCPI 2.3.0 transport_and_format (Pagination), mod_locations, mod_tariffs, mod_sessions, mod_cdrs, mod_tokens.
"""

from __future__ import annotations

import logging

import msgspec

from hub.roaming.own import RoamingConfig
from hub.roaming.speech import is_plain
from hub.store import objects as store
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.objects import Held, Page, Scope
from hub.web.ocpi.exchange import Answer, Exchange, refuse_path, refuse_unknown
from wire.errors import OCPIRefused
from wire.ocpi.document import encode_document
from wire.ocpi.envelope import StatusCode
from wire.ocpi.keys import ci_key, party_of
from wire.ocpi.merge import part_at, part_of
from wire.ocpi.paging import page_headers, read_query
from wire.ocpi.types import Module

_log = logging.getLogger(__name__)

MOST = {Module.LOCATIONS: 200, Module.CDRS: 1000, Module.SESSIONS: 1000, Module.TARIFFS: 200, Module.TOKENS: 1000}
"""Objects in one page at most."""


class Lists:
    """Lists of what this deployment owns; of a hub, to whom asks the hub itself, of what was shared through it too."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        self._database, self._config = database, config

    async def page(self, exchange: Exchange) -> Answer:
        """One page of a list."""
        if exchange.path:
            refuse_path(exchange, "")
        module, most = exchange.module, MOST[exchange.module]
        query = read_query(exchange.query, most=most, needs_date_from=module is Module.SESSIONS)
        scope = self.scope(exchange)

        def reading(connection: Connection) -> tuple[msgspec.Raw, int]:
            # What a page of 2.2.1 takes is not taken from the loop in which everybody else waits.
            page = store.page_of(connection, module, query, scope)
            return _said(exchange, page), page.total

        said, total = await self._database.read(reading)
        return Answer(said, headers=page_headers(exchange.url, query, total=total, most=most))

    def scope(self, exchange: Exchange) -> Scope:
        """Which objects the partner may see: those of the party that it names, of the hub's own list the shared ones
        too; sessions and CDRs only where its parties have a part in them."""
        to, hub = exchange.routing.to, self._config.hub_party
        whole = hub is not None and to in (None, hub)
        return Scope(owners=None if to in (None, hub) else (to,), readers=exchange.speakers(), shared=whole)

    async def location(self, exchange: Exchange) -> Answer:
        """The list, or one location, an EVSE or a connector of it."""
        if not exchange.path:
            return await self.page(exchange)
        id_, parts = exchange.path[0], exchange.path[1:]
        part = part_of(parts)
        found = await self._held(exchange, id_)
        document = None if found is None else part_at(found.document, parts)
        if document is None:
            refuse_unknown(exchange, "location", StatusCode.UNKNOWN_LOCATION)
        return Answer(exchange.spoken(document, part))

    async def session(self, exchange: Exchange) -> Answer:
        """ChargingPreferences of a session: no station is asked for a profile here, so they cannot be met."""
        if len(exchange.path) != 2 or exchange.path[1] != "charging_preferences":
            refuse_path(exchange, "/{session_id}/charging_preferences")
        exchange.json_object()
        found = await self._held(exchange, exchange.path[0])
        token = None if found is None else found.document.get("cdr_token")
        owner = f"{token.get('country_code')}*{token.get('party_id')}".upper() if isinstance(token, dict) else ""
        if owner not in {str(party) for party in exchange.speakers()}:
            refuse_unknown(exchange, "session")
        return Answer("NOT_POSSIBLE")

    async def _held(self, exchange: Exchange, id_: str) -> Held | None:
        module, to = exchange.module, exchange.routing.to
        found = await self._database.read(
            lambda connection: store.objects_of(connection, module, ci_key(id_), ours=True)
        )
        wanted = None if to in (None, self._config.hub_party) else to
        return next((one for one in found if wanted is None or party_of(one.document) == wanted), None)


def _said(exchange: Exchange, page: Page) -> msgspec.Raw:
    """The list in the partner's version. An object that it has no words for is left out and named in the log: it would
    hold up all that come after it."""
    if is_plain(exchange.version, exchange.partner.quirks):
        return msgspec.Raw(f"[{','.join(page.texts)}]".encode())
    found = []
    for document in page.documents:
        try:
            found.append(exchange.spoken(document))
        except OCPIRefused as error:
            fields = {"partner": exchange.partner.id, "module": exchange.module.value, "reason": str(error)}
            _log.warning("ocpi-not-said", extra={"fields": fields | {"id": str(document.get("id"))}})
    return msgspec.Raw(encode_document(found))
