"""HubClientInfo: what a hub tells us of its parties, and, when this deployment is the hub, what we tell.

Rules
1. Only a partner that is a hub tells of others; of our own parties it is not believed.
2. A hub shows everybody's state but the caller's own. Nobody is ever deleted: who left is SUSPENDED.

Source: OCPI 2.3.0 mod_hub_client_info.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.roaming.deriving import said
from hub.roaming.own import RoamingConfig
from hub.store import objects as store, partners
from hub.store.database import Database
from hub.web.ocpi.exchange import Answer, Exchange, party_in, refuse_path, refuse_unknown
from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.keys import party_of
from wire.ocpi.paging import PageQuery, page_headers, read_query
from wire.ocpi.partners import ClientInfo, ConnectionStatus
from wire.ocpi.types import Module

MOST = 500
"""Objects in one page at most."""


class ClientInfoTold:
    """The Receiver side."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        self._database, self._config = database, config

    async def put(self, exchange: Exchange) -> Answer:
        """Keep what a hub tells of a party."""
        document = self._named(exchange)
        if exchange.partner.hub_party is None:
            raise OCPIRefused("not-a-hub", "/", "only a hub tells of other parties")
        if self._config.owns(party_of(document)):
            return Answer()
        kept, _ = await self._database.write(
            lambda connection: store.keep_object(
                connection, Module.HUB_CLIENT_INFO, document, exchange.partner.id, exchange.at
            )
        )
        return Answer(http=201 if kept is store.Kept.NEW else 200)

    async def get(self, exchange: Exchange) -> Answer:
        """What is held of a party that this hub told of; of several roles the one that it told of first."""
        if len(exchange.path) != 2:
            refuse_path(exchange, "/{country_code}/{party_id}")
        party = party_in(exchange.path)
        found = await self._database.read(
            lambda connection: store.told_by(connection, Module.HUB_CLIENT_INFO, party, exchange.partner.id)
        )
        if not found:
            refuse_unknown(exchange, "party")
        return Answer(found[0].document)

    def _named(self, exchange: Exchange) -> Document:
        """The body, whose party is that of the URL. Raises OCPIRefused."""
        if len(exchange.path) != 2:
            refuse_path(exchange, "/{country_code}/{party_id}")
        document = exchange.document(ClientInfo)
        if party_of(document) != party_in(exchange.path):
            raise OCPIRefused("id-differs", "/party_id", f"the URL names {party_in(exchange.path)}")
        return document


class ClientInfoList:
    """The Sender side, of a hub only."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        self._database, self._config = database, config

    async def page(self, exchange: Exchange) -> Answer:
        """One page of all parties: our own, then those of partners in the order in which they came."""
        if exchange.path:
            refuse_path(exchange, "")
        query = read_query(exchange.query, most=MOST)
        known = await self._database.read(lambda connection: partners.known_parties(connection, exchange.partner.id))
        since = exchange.partner.registered_at or exchange.at
        matching = [one for one in (*self._ours(since), *(party.info for party in known)) if _within(one, query)]
        shown = matching[query.offset : query.offset + query.limit]
        headers = page_headers(exchange.url, query, total=len(matching), most=MOST)
        return Answer([said(one) for one in shown], headers=headers)

    def _ours(self, since: datetime) -> Sequence[ClientInfo]:
        """Our parties, which the partner reaches since it registered."""
        return tuple(
            ClientInfo(
                party_id=role.party_id,
                country_code=role.country_code,
                role=role.role,
                status=ConnectionStatus.CONNECTED,
                last_updated=since,
            )
            for role in self._config.credentials_roles()
        )


def _within(info: ClientInfo, query: PageQuery) -> bool:
    after = query.date_from is None or info.last_updated >= query.date_from
    return after and (query.date_to is None or info.last_updated < query.date_to)
