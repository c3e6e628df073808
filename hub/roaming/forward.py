"""A hub between its partners: sends on what is for others, to one or to all, and takes their answers back.

Rules
1. What becomes of a request says hub.routing. Its correlation id stays; the request that is sent on has a new one of
   its own, and the token of the hub.
2. One attempt. Who is not known is 4001, who does not answer in time 4002, who is not there 4003, and then asked
   whether it is there at all; an answer that is none of OCPI is 4000. Any other answer goes back as it is.
3. Nothing goes back to the partner that it came from.
4. A broadcast is kept here, answered, and then sent on beside that; what each receiver says stays in the log.
5. URLs of ours that stand for others' are used by the two partners only between whom they stand.

Source: OCPI 2.3.0 transport_and_format (Message Routing), status_codes (Hub errors).
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace

import aiohttp

from hub.clock import now
from hub.errors import StoreError
from hub.roaming import bridging, finding
from hub.roaming.client import CallFailed, PartnerClient, Question, Reply
from hub.roaming.liveness import Liveness
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.roaming.tasks import Beside
from hub.routing import Asked, Mode, broadcast_roles, mode_of
from hub.store import partners, relays
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.relays import Relay
from hub.web.ocpi.exchange import Answer, Exchange, Handle
from wire.errors import MalformedValue, OCPIRefused
from wire.ids import random_id
from wire.ocpi.commands import CommandType
from wire.ocpi.document import Document
from wire.ocpi.envelope import StatusCode
from wire.ocpi.headers import header
from wire.ocpi.keys import DEFAULT_TOKEN_TYPE, party_of
from wire.ocpi.partners import ConnectionStatus
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Version
from wire.ocpi.urls import joined, require_registered

_log = logging.getLogger(__name__)

TIMEOUT_S = 15.0
"""How long a receiver has. Whoever asked us waits longer."""
BROADCAST_AT_ONCE = 16
_RESULTS = frozenset({Module.COMMANDS, Module.CHARGING_PROFILES})


class HubForwarding:
    """One for a hub. Belongs to its event loop."""

    def __init__(
        self, database: Database, config: RoamingConfig, session: aiohttp.ClientSession, liveness: Liveness
    ) -> None:
        """`config` names a hub party."""
        if config.hub_party is None:
            raise ValueError("a hub has a party of its own")
        self._database, self._config, self._session, self._liveness = database, config, session, liveness
        self._hub = config.hub_party
        self._broadcasts, self._free = Beside(), asyncio.Semaphore(BROADCAST_AT_ONCE)

    async def close(self) -> None:
        """Give up the broadcasts that are under way: one attempt is all they have."""
        await self._broadcasts.close()

    async def answered(self, exchange: Exchange, own: Handle) -> Answer:
        """The answer to a partner's request; `own` is how this deployment itself answers.

        Raises:
            OCPIRefused: 4000 to 4003, or a mode that OCPI forbids.
            MalformedValue, HubError: as `own` does.
        """
        relayed = await self._relayed(exchange)
        if relayed is not None:
            return relayed
        asked = Asked(exchange.module, exchange.side, exchange.method, exchange.path, exchange.routing.to)
        match mode_of(asked, self._hub, self._config.owns):
            case Mode.OWN:
                return await own(exchange)
            case Mode.DIRECT:
                return await self._direct(exchange, exchange.routing.to or self._hub)
            case Mode.OPEN:
                return await self._open(exchange, asked, own)
            case Mode.BROADCAST:
                answer = await own(exchange)
                if 1000 <= answer.status < 2000 and answer.http < 300:
                    self._broadcasts.add(self._broadcast(exchange))
                return answer

    # --- to one party

    async def _direct(self, exchange: Exchange, to: PartyKey) -> Answer:
        sender = self._sender(exchange)
        await self._require_own(exchange)
        routing = Routing(to=to, from_=sender)
        partner = await self._receiver(exchange, to)
        response_url = await self._own_response_url(exchange, partner)
        content = bridging.body_for(
            partner, exchange.module, exchange.version, exchange.path, exchange.body, response_url
        )
        query = dict(exchange.query)
        if response_url is not None and bridging.RESPONSE_URL in query:
            query[bridging.RESPONSE_URL] = response_url
        question = Question(
            routing=routing, content=content, correlation_id=exchange.ids.correlation_id, timeout_s=TIMEOUT_S
        )
        reply = await self._exchanged(exchange, partner, query, question)
        fields = {"from": str(sender), "to": str(to), "module": exchange.module.value, "method": exchange.method}
        fields |= {"status": str(reply.envelope.status_code), "correlation_id": exchange.ids.correlation_id}
        _log.info("ocpi-forwarded", extra={"fields": fields})
        if reply.envelope.succeeded:
            await self._note(exchange, sender, to)
        return await self._answer(exchange, partner, reply, routing)

    async def _exchanged(
        self, exchange: Exchange, partner: Partner, query: dict[str, str], question: Question
    ) -> Reply:
        """The receiver's answer. Raises OCPIRefused. Rule 2."""
        client, module = PartnerClient(partner, self._session), exchange.module
        types: tuple[str | None, ...] = (None,)
        if module is Module.TOKENS and exchange.path:
            types = bridging.types_for(partner, exchange.version, query.get("type", DEFAULT_TOKEN_TYPE))
        try:
            for type_ in types:
                sent = query if type_ is None else query | {"type": type_}
                url = client.url(module, exchange.side, *exchange.path, query=sent)
                reply = await client.exchange(exchange.method, url, question)
                if reply.envelope.status_code != StatusCode.UNKNOWN_TOKEN:
                    break
        except CallFailed as error:
            raise await self._hub_error(partner, error) from error
        if reply.http in (401, 403):
            raise _refused("receiver-refused", f"{partner.id} does not know this hub's token", StatusCode.HUB_ERROR)
        return reply

    async def _hub_error(self, partner: Partner, error: CallFailed) -> OCPIRefused:
        _log.warning("ocpi-forward-failed", extra={"fields": {"partner": partner.id, "reason": str(error)}})
        if error.timed_out:
            return _refused("receiver-silent", "the receiver did not answer in time", StatusCode.HUB_TIMEOUT)
        if error.code == "unreachable":
            self._broadcasts.add(self._checked(partner.id))
            return _refused("receiver-away", "the receiver cannot be reached", StatusCode.RECEIVER_NOT_CONNECTED)
        if error.code == "no-endpoint":
            return _refused("no-endpoint", "the receiver does not have this side of the module", StatusCode.HUB_ERROR)
        return _refused(
            "receiver-failed", f"the receiver's answer is none of OCPI ({error.code})", StatusCode.HUB_ERROR
        )

    async def _checked(self, id_: str) -> None:
        try:
            await self._liveness.check(id_)
        except StoreError as error:
            _log.error("liveness-failed", extra={"fields": {"partner": id_, "reason": str(error)}})

    async def _receiver(self, exchange: Exchange, to: PartyKey) -> Partner:
        """The partner that a party is reached by. Raises OCPIRefused (4001, 4003). Rule 3."""
        found = await self._database.read(lambda connection: partners.partner_of_party(connection, to))
        if found is None or found.id == exchange.partner.id:
            raise _refused("unknown-receiver", f"{to} is not known here", StatusCode.UNKNOWN_RECEIVER)
        if found.status is not ConnectionStatus.CONNECTED:
            message = f"{to} is {found.status.value}"
            raise _refused("receiver-not-connected", message, StatusCode.RECEIVER_NOT_CONNECTED)
        return found

    async def _require_own(self, exchange: Exchange) -> None:
        """Raises OCPIRefused for what is in the name of a party that the partner does not speak for."""
        asked = Asked(exchange.module, exchange.side, exchange.method, exchange.path, exchange.routing.to)
        claimed = finding.claimed_by(asked, self._content(exchange))
        if claimed is None:
            return
        (party, where), ids = claimed, (exchange.partner, exchange.routing.from_)
        if not await self._database.read(lambda connection: partners.speaks_for(connection, ids[0], party, ids[1])):
            status, http = (StatusCode.CLIENT_ERROR, 404) if where == "URL" else (StatusCode.INVALID_PARAMETERS, 200)
            raise OCPIRefused("foreign-party", where, f"you do not speak for {party}", status=status, http=http)

    def _sender(self, exchange: Exchange) -> PartyKey:
        speakers = exchange.speakers()
        if len(speakers) != 1:
            message = "your platform has several parties; say from which one this is"
            raise OCPIRefused("no-sender", "OCPI-from-party-id", message)
        return speakers[0]

    async def _answer(self, exchange: Exchange, partner: Partner, reply: Reply, routing: Routing) -> Answer:
        try:
            data = bridging.data_for(reply, partner, exchange.partner, exchange.module, exchange.version)
        except (OCPIRefused, MalformedValue) as error:
            raise _refused("unconvertible", f"the receiver's answer: {error}", StatusCode.HUB_ERROR) from error
        await self._require_answerers(exchange, partner, reply)
        headers = bridging.page_headers_for(reply.headers, exchange.url, exchange.side)
        location = header(reply.headers, "Location")
        if exchange.module is Module.CDRS and exchange.method == "POST" and location:
            headers["Location"] = await self._own_location(exchange, partner, location)
        return Answer(
            data,
            http=reply.http,
            headers={**headers, **routing.answer().headers()},
            status=reply.envelope.status_code,
            message=reply.envelope.status_message,
        )

    async def _require_answerers(self, exchange: Exchange, partner: Partner, reply: Reply) -> None:
        """Raises OCPIRefused (4000) for the answer to an authorization that names another's token: it would be billed
        to whom nobody asked."""
        data = reply.data if exchange.module is Module.TOKENS and exchange.method == "POST" else None
        token = data.get("token") if isinstance(data, dict) else None
        if not isinstance(token, dict) or "party_id" not in token:
            return
        owner = party_of(token)
        if not await self._database.read(lambda connection: partners.speaks_for(connection, partner, owner)):
            raise _refused("foreign-party", f"the answer names a token of {owner}, of another", StatusCode.HUB_ERROR)

    # --- to whom it is for, and to all

    async def _open(self, exchange: Exchange, asked: Asked, own: Handle) -> Answer:
        sender, document = self._sender(exchange), self._content(exchange)
        type_ = exchange.query.get("type", DEFAULT_TOKEN_TYPE)

        def found_in(connection: Connection) -> tuple[PartyKey, ...]:
            return finding.receivers_of(connection, asked, document, sender, type_)

        found = await self._database.read(found_in)
        ours = [party for party in found if self._config.owns(party)]
        if ours:
            return await own(replace(exchange, routing=Routing(to=ours[0], from_=sender)))
        if not found:
            raise _refused("unknown-receiver", "nobody here is known to be the one", StatusCode.UNKNOWN_RECEIVER)
        if len(found) == 1:
            return await self._direct(exchange, found[0])
        return await self._first_good(exchange, found)

    async def _first_good(self, exchange: Exchange, parties: tuple[PartyKey, ...]) -> Answer:
        """The first answer of several eMSPs that knows the token, else the last one. Raises OCPIRefused."""
        tasks = [asyncio.create_task(self._direct(exchange, party)) for party in parties]
        last: Answer | OCPIRefused | None = None
        try:
            for done in asyncio.as_completed(tasks):
                try:
                    last = await done
                except OCPIRefused as error:
                    last = last or error
                    continue
                if 1000 <= last.status < 2000:
                    return last
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(last, Answer):
            return last
        raise last or _refused("unknown-receiver", "nobody is there to be asked", StatusCode.UNKNOWN_RECEIVER)

    def _content(self, exchange: Exchange) -> Document | None:
        is_object = exchange.method in ("PUT", "POST", "PATCH") and exchange.body.strip()
        return bridging.object_in(exchange.body) if is_object else None

    async def _broadcast(self, exchange: Exchange) -> None:
        """Rule 4."""
        try:
            found = await self._database.read(partners.partners)
        except StoreError as error:
            _log.error("broadcast-failed", extra={"fields": {"reason": str(error)}})
            return
        sender = set(exchange.speakers())
        roles = broadcast_roles(
            exchange.module, [one.role for one in exchange.partner.roles if one.party in sender] or ["CPO"]
        )
        receivers = [
            (partner, party)
            for partner in found
            if partner.id != exchange.partner.id and partner.can_be_sent_to
            for party in dict.fromkeys(one.party for one in partner.roles if one.role in roles)
            if partner.endpoint(exchange.module, InterfaceRole.RECEIVER) is not None
        ]
        await asyncio.gather(*(self._send_one(exchange, partner, party) for partner, party in receivers))

    async def _send_one(self, exchange: Exchange, partner: Partner, party: PartyKey) -> None:
        outcome = "done"
        async with self._free:
            try:
                content = bridging.body_for(
                    partner, exchange.module, exchange.version, exchange.path, exchange.body, None
                )
                question = Question(
                    routing=Routing(to=party, from_=self._hub),
                    content=content,
                    correlation_id=exchange.ids.correlation_id,
                    timeout_s=TIMEOUT_S,
                )
                reply = await self._exchanged(exchange, partner, dict(exchange.query), question)
                outcome = "done" if reply.envelope.succeeded else f"status {reply.envelope.status_code}"
            except OCPIRefused as error:
                outcome = error.code
        fields = {"to": str(party), "module": exchange.module.value, "outcome": outcome}
        _log.info("ocpi-broadcast", extra={"fields": fields | {"correlation_id": exchange.ids.correlation_id}})

    # --- URLs of ours in place of others', rule 5

    async def _own_response_url(self, exchange: Exchange, partner: Partner) -> str | None:
        """The URL at which the receiver is to tell what came of a command; None where none is asked for."""
        if exchange.module not in _RESULTS or exchange.side is not InterfaceRole.RECEIVER:
            return None
        given = exchange.query.get(bridging.RESPONSE_URL)
        if given is None:
            content = self._content(exchange)
            given = None if content is None else content.get(bridging.RESPONSE_URL)
        if not isinstance(given, str):
            raise OCPIRefused("missing", f"/{bridging.RESPONSE_URL}", "it is required")
        require_registered(given, exchange.partner.hosts)
        uid = await self._note_relay(relays.RESULT, exchange.partner.id, partner.id, given)
        command = (exchange.path[0],) if exchange.module is Module.COMMANDS and exchange.path else ()
        return self._own_url(partner.version, InterfaceRole.SENDER, exchange.module, *command, uid)

    async def _own_location(self, exchange: Exchange, partner: Partner, location: str) -> str:
        uid = await self._note_relay(relays.CDR, exchange.partner.id, partner.id, location[:2048])
        return self._own_url(exchange.version, InterfaceRole.RECEIVER, Module.CDRS, uid)

    def _own_url(self, version: Version | None, side: InterfaceRole, module: Module, *path: str) -> str:
        version = version or Version.V2_3_0
        return joined(f"{self._config.url}/{version.value}/{side.value.lower()}/{module.value}", *path)

    async def _note_relay(self, kind: str, asker: str, answerer: str, url: str) -> str:
        relay = Relay(random_id(os.urandom(16)), kind, asker, answerer, url)
        await self._database.write(lambda connection: relays.note_relay(connection, relay, now()))
        return relay.uid

    async def _relayed(self, exchange: Exchange) -> Answer | None:
        """The answer to what came to a URL of ours that stands for another's; None for anything else."""
        result = exchange.module in _RESULTS and (exchange.side, exchange.method) == (InterfaceRole.SENDER, "POST")
        cdr = exchange.module is Module.CDRS and (exchange.side, exchange.method) == (InterfaceRole.RECEIVER, "GET")
        if not exchange.path or not (result or (cdr and len(exchange.path) == 1)):
            return None
        kind, uid = (relays.RESULT if result else relays.CDR), exchange.path[-1]
        relay = await self._database.read(lambda connection: relays.relay_of(connection, uid, kind))
        if relay is None:
            return None
        here, there = (relay.answerer, relay.asker) if result else (relay.asker, relay.answerer)
        if exchange.partner.id != here:
            raise _refused("unknown-object", "no such object here", StatusCode.CLIENT_ERROR, http=404)
        partner = await self._partner(there)
        content = bridging.body_for(partner, exchange.module, exchange.version, (), exchange.body, None)
        question = Question(
            routing=exchange.routing,
            content=content,
            correlation_id=exchange.ids.correlation_id,
            timeout_s=TIMEOUT_S,
        )
        try:
            reply = await PartnerClient(partner, self._session).exchange(exchange.method, relay.url, question)
        except CallFailed as error:
            raise await self._hub_error(partner, error) from error
        return await self._answer(exchange, partner, reply, exchange.routing)

    async def _partner(self, id_: str) -> Partner:
        try:
            found = await self._database.read(lambda connection: partners.partner_named(connection, id_))
        except partners.NoSuchPartner as error:
            raise _refused("unknown-receiver", "the receiver has left", StatusCode.UNKNOWN_RECEIVER) from error
        if not found.can_be_sent_to:
            message = f"the receiver is {found.status.value}"
            raise _refused("receiver-not-connected", message, StatusCode.RECEIVER_NOT_CONNECTED)
        return found

    async def _note(self, exchange: Exchange, sender: PartyKey, to: PartyKey) -> None:
        """Keep whose a session or reservation is, for what is said of it later."""
        module, path, at = exchange.module, exchange.path, now()
        if exchange.side is not InterfaceRole.RECEIVER:
            return
        if module is Module.SESSIONS and exchange.method == "PUT" and len(path) == 3:
            owner = PartyKey.of(path[0], path[1])
            known = await self._database.read(lambda connection: relays.emsp_of_session(connection, owner, path[2]))
            if known != to:
                await self._database.write(lambda connection: relays.note_session(connection, owner, path[2], to, at))
        if module is Module.COMMANDS and path == (CommandType.RESERVE_NOW.value,):
            id_ = bridging.object_in(exchange.body).get("reservation_id")
            if isinstance(id_, str):
                await self._database.write(lambda connection: relays.note_reservation(connection, to, id_, sender, at))


def _refused(code: str, message: str, status: StatusCode, http: int = 200) -> OCPIRefused:
    return OCPIRefused(code, "hub", message, status=status, http=http)
