"""Commands of our eMSP parties for others' stations: given once, answered at once, and their result awaited.

Rules
1. A command goes to the partner that its CPO is reached by, with a response_url of ours that names it
   (hub.store.calls).
2. It is kept before it is sent, and never sent twice: the CPO's `timeout` says how long a result may take.
3. A command for a token is for a token of our own. START_SESSION and RESERVE_NOW carry the whole token.
4. The correlation id and the authorization_reference are new; they come back with session and CDR.

Source: OCPI 2.3.0 mod_commands.
"""

from __future__ import annotations

import os
import uuid

import aiohttp

from hub.clock import now
from hub.errors import HubError
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.roaming.results import Results
from hub.roaming.speech import inward, outward, without_nulls
from hub.store import calls, objects, partners
from hub.store.calls import Call
from hub.store.database import Database
from hub.store.engine import Connection
from wire.errors import MalformedValue, OCPIRefused
from wire.ids import random_id
from wire.ocpi.commands import CommandResponse, CommandType
from wire.ocpi.document import Document, view
from wire.ocpi.keys import party_of, token_key
from wire.ocpi.quirks import unwrapped
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role, Version
from wire.ocpi.urls import joined
from wire.records import Value

_WITH_TOKEN = frozenset({CommandType.START_SESSION, CommandType.RESERVE_NOW})


class CommandNotGiven(HubError):
    """Raised when a command cannot be given: no such party or token, or the partner refused the request."""


class RemoteCommand(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command for another's station. `to` is its CPO, `DE*CPO`; `token` one of ours by uid and type. What a command
    needs of the rest says OCPI (mod_commands); `expiry_date` is RFC 3339."""

    command: CommandType
    to: str
    token_uid: str | None = None
    token_type: str = "APP_USER"
    location_id: str | None = None
    evse_uid: str | None = None
    connector_id: str | None = None
    session_id: str | None = None
    reservation_id: str | None = None
    expiry_date: str | None = None


class Remote:
    """Gives commands. One per hub. Belongs to its event loop."""

    def __init__(
        self, database: Database, config: RoamingConfig, session: aiohttp.ClientSession, results: Results
    ) -> None:
        self._database, self._config, self._session, self.results = database, config, session, results

    async def give(self, wish: RemoteCommand) -> Call:
        """The command with what was answered at once.

        Raises:
            CommandNotGiven: nothing was sent, or it was refused; the code says why.
            StoreError: nothing was sent.
        """
        receiver = _party(wish.to)
        uid = random_id(os.urandom(16))
        partner, token = await self._database.read(lambda connection: self._found(connection, wish, receiver))
        version = partner.version or Version.V2_3_0
        request = self._request(wish, token, uid, version)
        sender = self._sender(token)
        call = Call(
            uid=uid,
            partner=partner.id,
            command=wish.command.value,
            sender=sender,
            receiver=receiver,
            request=request,
            sent_at=now(),
            correlation_id=str(uuid.uuid4()),
        )
        await self._database.write(lambda connection: calls.note_call(connection, call))
        question = Question(
            routing=Routing(to=receiver, from_=sender),
            document=outward(version, Module.COMMANDS, request, quirks=partner.quirks),
            correlation_id=call.correlation_id,
        )
        try:
            reply = await PartnerClient(partner, self._session).call(
                "POST", Module.COMMANDS, InterfaceRole.RECEIVER, wish.command.value, question=question
            )
            response = _response(unwrapped(reply.data, partner.quirks), version)
        except (CallFailed, MalformedValue, OCPIRefused) as error:
            raise CommandNotGiven(error.code, str(error)) from error
        await self._database.write(lambda connection: calls.note_response(connection, uid, response))
        found = await self._database.read(lambda connection: calls.call_of(connection, uid))
        return found or call

    def _found(
        self, connection: Connection, wish: RemoteCommand, receiver: PartyKey
    ) -> tuple[Partner, Document | None]:
        partner = partners.partner_of_party(connection, receiver)
        if partner is None or not partner.can_be_sent_to:
            raise CommandNotGiven("no-such-party", f"{receiver} is reached by no partner that is connected")
        if wish.command not in _WITH_TOKEN:
            return partner, None
        key = token_key(wish.token_uid or "", wish.token_type)
        for held in objects.objects_of(connection, Module.TOKENS, key, ours=True):
            return partner, held.document
        message = f"no token {wish.token_uid!r} of type {wish.token_type} of ours"
        raise CommandNotGiven("no-such-token", f"{message}; it is there a moment after it was put on the list")

    def _sender(self, token: Document | None) -> PartyKey:
        if token is not None:
            return party_of(token)
        emsps = self._config.of_role(Role.EMSP)
        if not emsps:
            raise CommandNotGiven("no-emsp", "none of our parties is an eMSP")
        return emsps[0]

    def _request(self, wish: RemoteCommand, token: Document | None, uid: str, version: Version) -> Document:
        base = f"{self._config.url}/{version.value}/sender/{Module.COMMANDS.value}"
        given = {
            "response_url": joined(base, wish.command.value, uid),
            "token": token,
            "location_id": wish.location_id,
            "evse_uid": wish.evse_uid,
            "connector_id": wish.connector_id,
            "session_id": wish.session_id,
            "reservation_id": wish.reservation_id,
            "expiry_date": wish.expiry_date,
            "authorization_reference": str(uuid.uuid4()) if wish.command in _WITH_TOKEN else None,
        }
        return dict(without_nulls(given))


def _party(text: str) -> PartyKey:
    country, _, party = text.partition("*")
    if len(country) != 2 or len(party) != 3:
        raise CommandNotGiven("bad-party", f"to: expected a party as DE*CPO, found {text[:20]!r}")
    return PartyKey.of(country, party)


def _response(data: object, version: Version) -> Document:
    """What was answered at once, checked. Raises MalformedValue, OCPIRefused."""
    if not isinstance(data, dict):
        raise MalformedValue("answer to a command", "$", "a CommandResponse is expected")
    document = inward(version, Module.COMMANDS, data)
    view(without_nulls(document), CommandResponse, "answer to a command")
    return document
