"""Which partners are there: asked when nothing was heard of them, and told to others when this deployment is a hub.

Rules
1. Of whom nothing was heard for `SILENT_FOR` its versions are asked for. Who answers is CONNECTED, who does not is
   OFFLINE: then nothing is sent to it, and nothing queued (OCPI transport_and_format, Offline behaviour).
2. Who is OFFLINE and speaks to us, or answers, is CONNECTED again. Who left is SUSPENDED, and not asked.
3. A hub tells every partner that takes HubClientInfo what became of the others' parties: once each, never again.

Source: OCPI 2.3.0 mod_hub_client_info (Still alive check).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp

from hub.clock import now
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.roaming.tasks import Repeated
from hub.store import partners as store, turns
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.partners import KnownParty, NoSuchPartner
from wire.ocpi.document import document_of
from wire.ocpi.partners import ConnectionStatus
from wire.ocpi.types import InterfaceRole, Module

_log = logging.getLogger(__name__)

SILENT_FOR = timedelta(minutes=5)
EVERY_S = 10.0
ASKED_EVERY = timedelta(minutes=1)
TIMEOUT_S = 10.0
_TOLD = "client-info-told"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Liveness:
    """One for the hub. Belongs to its event loop. `is_back` hears of a partner that was OFFLINE."""

    def __init__(
        self,
        database: Database,
        config: RoamingConfig,
        session: aiohttp.ClientSession,
        is_back: Callable[[str], None] = lambda id_: None,
    ) -> None:
        self._database, self._config, self._session, self._is_back = database, config, session, is_back
        self._checking: dict[str, asyncio.Task[bool]] = {}
        self._repeated = Repeated("liveness", EVERY_S, self._round)
        self.start, self.close, self.wake = self._repeated.start, self._repeated.close, self._repeated.wake

    async def check(self, id_: str) -> bool:
        """Whether the partner answers now; its state is kept. Who asks meanwhile gets the same answer.

        Raises:
            StoreError: what came of it was not kept.
        """
        task = self._checking.get(id_)
        if task is None:
            task = self._checking[id_] = asyncio.create_task(self._check(id_))
            task.add_done_callback(lambda _: self._checking.pop(id_, None))
        return await asyncio.shield(task)

    async def _check(self, id_: str) -> bool:
        try:
            partner = await self._database.read(lambda connection: store.partner_named(connection, id_))
        except NoSuchPartner:
            return False
        if not partner.registered or partner.url is None:
            return False
        try:
            await PartnerClient(partner, self._session).ask("GET", partner.url, Question(timeout_s=TIMEOUT_S))
        except CallFailed as error:
            _log.info("partner-silent", extra={"fields": {"partner": id_, "reason": str(error)}})
            await self._set(partner, ConnectionStatus.OFFLINE)
            return False
        await self._set(partner, ConnectionStatus.CONNECTED)
        return True

    async def _set(self, partner: Partner, status: ConnectionStatus) -> None:
        at = now()

        def both(connection: Connection) -> bool:
            held = store.partner_named(connection, partner.id)
            if not held.registered or held.registered_at != partner.registered_at:
                return False
            if status is ConnectionStatus.CONNECTED:
                store.note_seen(connection, partner.id, at)
            else:
                turns.note_turn(connection, f"offline {partner.id}", at)
            return held.status is not status and store.set_status(connection, partner.id, status, at)

        try:
            changed = await self._database.write(both)
        except NoSuchPartner:
            return
        if changed:
            _log.warning("partner-state", extra={"fields": {"partner": partner.id, "status": status.value}})
            if status is ConnectionStatus.CONNECTED:
                self._is_back(partner.id)
            self.wake()

    async def _round(self) -> None:
        at = now()
        for partner in await self._database.read(store.partners):
            if not partner.registered:
                continue
            heard = partner.last_seen is not None and abs(at - partner.last_seen) < SILENT_FOR
            if partner.status is not ConnectionStatus.OFFLINE:
                if not heard:
                    await self._check_in_turn(partner.id, at)
            elif await self._database.read(partial(_spoke_since, partner=partner)):
                await self._set(partner, ConnectionStatus.CONNECTED)
            else:
                await self._check_in_turn(partner.id, at)
        if self._config.hub_party is not None:
            await self._tell()

    async def _check_in_turn(self, id_: str, at: datetime) -> None:
        name = f"alive {id_}"
        if await self._database.read(lambda connection: turns.is_due(connection, name, ASKED_EVERY, at)) and (
            await self._database.write(lambda connection: turns.take_turn(connection, name, ASKED_EVERY, at))
        ):
            await self.check(id_)

    # --- HubClientInfo, rule 3

    async def _tell(self) -> None:
        if not await self._database.read(_news):
            return
        news = await self._database.write(_taken_news)
        if not news:
            return
        takers = await self._database.read(store.partners)
        await asyncio.gather(*(self._tell_one(taker, news) for taker in takers if taker.can_be_sent_to))

    async def _tell_one(self, taker: Partner, news: tuple[KnownParty, ...]) -> None:
        client = PartnerClient(taker, self._session)
        if taker.endpoint(Module.HUB_CLIENT_INFO, InterfaceRole.RECEIVER) is None:
            return
        for one in news:
            info = one.info
            if one.partner == taker.id or taker.has(info.party):
                continue
            where = (Module.HUB_CLIENT_INFO, InterfaceRole.RECEIVER, info.country_code, info.party_id)
            try:
                await client.call("PUT", *where, question=Question(document=document_of(info)))
            except CallFailed as error:
                fields = {"partner": taker.id, "party": str(info.party), "reason": str(error)}
                _log.info("client-info-untold", extra={"fields": fields})


def _spoke_since(connection: Connection, partner: Partner) -> bool:
    """Whether an OFFLINE partner was heard of since it went."""
    went = turns.last_turn(connection, f"offline {partner.id}")
    return partner.last_seen is not None and went is not None and partner.last_seen > went


def _news(connection: Connection) -> tuple[KnownParty, ...]:
    """The parties whose state changed since that was told last."""
    since = turns.last_turn(connection, _TOLD) or _BEGINNING
    return tuple(one for one in store.known_parties(connection) if one.info.last_updated > since)


def _taken_news(connection: Connection) -> tuple[KnownParty, ...]:
    """The news, which nobody else has any more."""
    news = _news(connection)
    if news:
        turns.note_turn(connection, _TOLD, max(one.info.last_updated for one in news))
    return news
