"""Commands and charging profiles: taken for our stations, and the results of those that we gave.

    POST   {receiver}/commands/{command}                 CommandResponse
    POST   {sender}/commands/{command}/{uid}             a CommandResult, at the response_url that we gave
    *      {receiver}/chargingprofiles/{session_id}      ChargingProfileResponse
    POST   {sender}/chargingprofiles/{uid}               what came of a profile

No station is given a charging profile here, and the answer says so: NOT_SUPPORTED; UNKNOWN_SESSION for a session that
is not the partner's.

Source: OCPI 2.3.0 mod_commands, mod_charging_profiles.
"""

from __future__ import annotations

from hub.roaming.commanding import Commanding
from hub.roaming.ordering import REQUESTS
from hub.roaming.results import Results
from hub.store import calls, objects, partners
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.ocpi.exchange import Answer, Exchange, refuse_path, refuse_unknown
from wire.errors import OCPIRefused
from wire.ocpi.commands import (
    ChargingProfileResponse,
    ChargingProfileResponseType,
    ChargingProfileResult,
    CommandResult,
    CommandType,
    SetChargingProfile,
)
from wire.ocpi.document import document_of, view
from wire.ocpi.keys import ci_key, party_of
from wire.ocpi.types import Module

_COMMANDS = {one.value: one for one in CommandType}


class CommandsTaken:
    """The Receiver side."""

    def __init__(self, commanding: Commanding) -> None:
        self._commanding = commanding

    async def post(self, exchange: Exchange) -> Answer:
        """CommandResponse."""
        if len(exchange.path) != 1 or exchange.path[0] not in _COMMANDS:
            refuse_path(exchange, f"/{{command}}, one of {', '.join(_COMMANDS)}")
        type_ = _COMMANDS[exchange.path[0]]
        wanted = view(exchange.document(REQUESTS[type_]), REQUESTS[type_], type_.value)
        ids = exchange.routing, exchange.ids.correlation_id
        answer = await self._commanding.take(exchange.partner, type_, wanted, *ids)
        return Answer(document_of(answer))


class ResultsTaken:
    """The Sender side of both modules: results come to the response_urls that we gave."""

    def __init__(self, database: Database, results: Results) -> None:
        self._database, self._results = database, results

    async def post(self, exchange: Exchange) -> Answer:
        """Keep what came of a command or a profile; a uid that the partner was never given is HTTP 404."""
        most = 2 if exchange.module is Module.COMMANDS else 1
        if len(exchange.path) != most:
            refuse_path(exchange, "/{uid}" if most == 1 else "/{command}/{uid}")
        document, uid = exchange.json_object(), exchange.path[-1]
        exchange.understood(document, CommandResult if exchange.module is Module.COMMANDS else ChargingProfileResult)
        known = await self._database.write(
            lambda connection: calls.note_result(connection, uid, exchange.partner.id, document, exchange.at)
        )
        if not known:
            refuse_unknown(exchange, "command")
        self._results.came(uid)
        return Answer()


class ProfilesTaken:
    """The Receiver side of ChargingProfiles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, exchange: Exchange) -> Answer:
        """ChargingProfileResponse, to GET, PUT and DELETE alike."""
        if len(exchange.path) != 1:
            refuse_path(exchange, "/{session_id}")
        if exchange.method == "PUT":
            exchange.document(SetChargingProfile)
        elif "response_url" not in exchange.query:
            raise OCPIRefused("missing", "response_url", "it is required")
        known = await self._database.read(lambda connection: _is_theirs(connection, exchange, exchange.path[0]))
        types = ChargingProfileResponseType
        result = types.NOT_SUPPORTED if known else types.UNKNOWN_SESSION
        return Answer(document_of(ChargingProfileResponse(result=result, timeout=0)))


def _is_theirs(connection: Connection, exchange: Exchange, session_id: str) -> bool:
    """Whether a session of ours is of a token of the partner's."""
    for held in objects.objects_of(connection, Module.SESSIONS, ci_key(session_id), ours=True):
        token = held.document.get("cdr_token")
        ids = exchange.partner, exchange.routing.from_
        if isinstance(token, dict) and partners.speaks_for(connection, ids[0], party_of(token), ids[1]):
            return True
    return False
