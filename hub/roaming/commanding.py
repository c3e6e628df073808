"""Commands of partners for our stations: handed to the desk, and the station's answer posted to the response_url.

Rules
1. A command is answered at once: ACCEPTED when it is on its way to a gateway. What the station says follows within
   `TIMEOUT_S`, or TIMEOUT does; it is posted once, and never tried again (OCPI mod_commands).
2. The response_url lies on a host that is registered for the partner, else the command is refused before it is begun.
3. An eMSP starts and reserves for tokens of its own, and stops, unlocks and gives up what is its own. Of another's
   session it learns nothing, not even that there is one.
4. What was taken on and not told yet is told after a restart, if its time is not over by then.

Source: OCPI 2.3.0 mod_commands.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

import aiohttp

from hub.clock import now
from hub.desk import CommandDesk
from hub.errors import StoreError, TooManyCommands
from hub.roaming import ordering
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.ordering import Ordered, Request, reservation_id, result_of
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.store import orders as store, partners
from hub.store.database import Database
from hub.store.orders import TakenOrder
from wire.commands import CommandOrder, CommandReport
from wire.errors import OCPIRefused
from wire.ids import random_id
from wire.ocpi import commands as ocpi
from wire.ocpi.commands import CommandResponse, CommandResponseType, CommandType
from wire.ocpi.document import document_of
from wire.ocpi.routing import Routing
from wire.ocpi.types import DisplayText, PartyKey
from wire.ocpi.urls import require_registered
from wire.records import CdrToken

_log = logging.getLogger(__name__)

TIMEOUT_S = 60
"""How long a station has to answer."""
GRACE = timedelta(seconds=5)
"""How much longer its gateway's report is awaited."""
UNREGISTERED, TOLD = "partner-gone", "told"


@dataclass(frozen=True, slots=True)
class _By:
    """Who commands: a partner, and the party of it that it names."""

    partner: Partner
    party: PartyKey | None

    @property
    def parties(self) -> tuple[PartyKey, ...]:
        """The parties whose commands these may be; behind a hub each is for itself."""
        is_one = self.partner.hub_party is not None and self.party is not None
        return (self.party,) if is_one and self.party is not None else self.partner.parties


class Commanding:
    """Takes commands for our CPO parties. Belongs to its event loop."""

    def __init__(
        self, database: Database, config: RoamingConfig, desk: CommandDesk, session: aiohttp.ClientSession
    ) -> None:
        self._database, self._config, self._desk, self._session = database, config, desk, session
        self._telling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Go on with what was not told when the hub stopped. Raises StoreError."""
        for order in await self._database.read(store.untold_orders):
            self._tell_later(order)

    async def close(self) -> None:
        """Stop; what is not told yet is, after the next start."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def take(
        self, partner: Partner, type_: CommandType, wanted: Request, routing: Routing, correlation_id: str
    ) -> CommandResponse:
        """What is answered at once.

        Raises:
            OCPIRefused: it names a place that is not here, or another's.
            StoreError: it was not taken on.
        """
        response_url = wanted.response_url
        require_registered(response_url, partner.hosts)
        found = await self._ordered(partner, wanted, routing)
        if isinstance(found, CommandResponse):
            return found
        ordered, reservation = found
        at = now()
        order = CommandOrder(
            command_id=random_id(os.urandom(16)),
            expires_at=at + timedelta(seconds=TIMEOUT_S),
            command=ordered.command,
        )
        taken = TakenOrder(
            command_id=order.command_id,
            partner=partner.id,
            command=type_,
            response_url=response_url,
            routing=routing,
            gateway_id=ordered.gateway_id,
            charger_id=str(ordered.command.charger_id),
            reservation=reservation,
            correlation_id=correlation_id,
            taken_at=at,
        )
        await self._database.write(lambda connection: store.note_order(connection, taken))
        try:
            await self._desk.submit(ordered.gateway_id, order)
        except TooManyCommands as error:
            await self._note(taken, error.code)
            return _response(CommandResponseType.REJECTED, str(error))
        fields = {"partner": partner.id, "command": type_.value, "command_id": order.command_id}
        _log.info("ocpi-command", extra={"fields": fields | {"correlation_id": correlation_id}})
        self._tell_later(taken)
        return _response(CommandResponseType.ACCEPTED)

    # --- which order

    async def _ordered(
        self, partner: Partner, wanted: Request, routing: Routing
    ) -> tuple[Ordered, str | None] | CommandResponse:
        """The order and the reservation that it is about, or why there is none."""
        owner, by = None if routing.to == self._config.hub_party else routing.to, _By(partner, routing.from_)
        match wanted:
            case ocpi.StartSession():
                await self._require_theirs(by, wanted.token.owner)
                return ordering.start_order(wanted, self._config, owner), None
            case ocpi.ReserveNow():
                await self._require_theirs(by, wanted.token.owner)
                reservation = reservation_id(wanted.token.owner, wanted.reservation_id)
                return ordering.reserve_order(wanted, self._config, owner), reservation
            case ocpi.StopSession():
                return await self._stop(by, wanted)
            case ocpi.UnlockConnector():
                return await self._unlock(by, wanted, owner)
            case ocpi.CancelReservation():
                return await self._cancel(by, wanted)
        assert_never(wanted)

    async def _require_theirs(self, by: _By, owner: PartyKey) -> None:
        if not await self._speaks_for(by, owner):
            raise OCPIRefused("foreign-party", "/token/party_id", f"you do not speak for {owner}")

    async def _speaks_for(self, by: _By, owner: PartyKey) -> bool:
        return await self._database.read(
            lambda connection: partners.speaks_for(connection, by.partner, owner, by.party)
        )

    async def _owns(self, by: _By, token: CdrToken | None) -> bool:
        if token is None or token.country_code is None or token.party_id is None:
            return False
        return await self._speaks_for(by, PartyKey.of(token.country_code, token.party_id))

    async def _stop(self, by: _By, wanted: ocpi.StopSession) -> tuple[Ordered, None] | CommandResponse:
        session = await self._desk.session(wanted.session_id)
        if session is None or not await self._owns(by, session.cdr_token):
            return _response(CommandResponseType.UNKNOWN_SESSION)
        if session.end_date_time is not None:
            return _response(CommandResponseType.REJECTED, f"session {session.id} has ended")
        return ordering.stop_order(session), None

    async def _unlock(
        self, by: _By, wanted: ocpi.UnlockConnector, owner: PartyKey | None
    ) -> tuple[Ordered, None] | CommandResponse:
        order = ordering.unlock_order(wanted, self._config, owner)
        charger_id = str(order.command.charger_id)
        running = await self._database.read(
            lambda connection: store.running_at(connection, order.gateway_id, charger_id)
        )
        for session in running:
            found = self._config.evse_at(session.gateway_id, session.charger_id, session.evse_id)
            here = found is not None and found.evse.uid.casefold() == wanted.evse_uid.casefold()
            if here and await self._owns(by, session.cdr_token):
                return order, None
        return _response(CommandResponseType.REJECTED, "none of your drivers charges there")

    async def _cancel(self, by: _By, wanted: ocpi.CancelReservation) -> tuple[Ordered, str] | CommandResponse:
        for party in by.parties:
            name = reservation_id(party, wanted.reservation_id)
            made = await self._reservation(name)
            if made is not None and made.partner == by.partner.id:
                return ordering.cancel_order(made.gateway_id, made.charger_id, name), name
        return _response(CommandResponseType.REJECTED, "no such reservation of yours")

    async def _reservation(self, name: str) -> TakenOrder | None:
        return await self._database.read(lambda connection: store.reservation_order(connection, name))

    # --- telling what came of it

    def _tell_later(self, order: TakenOrder) -> None:
        task = asyncio.create_task(self._tell(order))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, order: TakenOrder) -> None:
        """Wait for the station's answer and post it."""
        try:
            report = await self._report(order)
            outcome = await self._post(order, report)
            await self._note(order, outcome)
        except StoreError as error:
            _log.error("ocpi-result-untold", extra={"fields": {"command_id": order.command_id, "reason": str(error)}})

    async def _report(self, order: TakenOrder) -> CommandReport | None:
        until = order.taken_at + timedelta(seconds=TIMEOUT_S) + GRACE
        while True:
            left_s = (until - now()).total_seconds()
            state = await self._desk.state(order.command_id, 0, max(left_s, 0.0))
            if state is not None and state.reports:
                return state.reports[0]
            if state is None or left_s <= 0:
                return None

    async def _post(self, order: TakenOrder, report: CommandReport | None) -> str:
        """What became of the one attempt, in a word."""
        try:
            partner = await self._database.read(lambda connection: partners.partner_named(connection, order.partner))
        except partners.NoSuchPartner:
            return UNREGISTERED
        if not partner.registered:
            return UNREGISTERED
        try:
            await PartnerClient(partner, self._session).ask(
                "POST",
                order.response_url,
                Question(
                    routing=order.routing.answer(),
                    document=document_of(result_of(report)),
                    correlation_id=order.correlation_id,
                ),
            )
        except CallFailed as error:
            fields = {"partner": order.partner, "command_id": order.command_id, "reason": str(error)}
            _log.warning("ocpi-result-refused", extra={"fields": fields | {"correlation_id": order.correlation_id}})
            return error.code
        return TOLD

    async def _note(self, order: TakenOrder, outcome: str) -> None:
        await self._database.write(lambda connection: store.note_told(connection, order.command_id, outcome, now()))


def _response(result: CommandResponseType, message: str = "") -> CommandResponse:
    texts = (DisplayText(language="en", text=message[:512]),) if message else ()
    return CommandResponse(result=result, timeout=TIMEOUT_S, message=texts)
