"""Real-time authorization for our chargers: which eMSP is asked about a token, and what its answer means here.

| what the hub knows                               | answer                                                    |
|--------------------------------------------------|-----------------------------------------------------------|
| START_SESSION, RESERVE_NOW at this charger, < 15 min ago | ALLOWED: its eMSP has authorized it, and is not asked |
| a token of ours, or that an operator listed for an eMSP that is no partner | as the list says                |
| whitelist ALWAYS; ALLOWED and valid              | as the list says; the owner is not asked                  |
| to be asked, and its eMSP cannot be, or has left | no answer: rule 2                                         |
| ALLOWED and not valid; ALLOWED_OFFLINE; NEVER    | the owner is asked                                        |
| not listed, an EMAID                             | its eMSP is asked, by a hub where it is no partner        |
| not listed, anything else                        | hubs by open routing, and all eMSPs, at once              |

Rules
1. All have the time that the gateway gives, less what the way back takes. The first ALLOWED counts; without one, the
   first that knows the token; NOT_ALLOWED when all say that they do not.
2. When one that was asked did not answer and nobody allowed it, there is no answer (`Unanswered`): then the gateway
   decides by its list and its policy, as if nobody could be asked.
3. The gateway's correlation id goes to the eMSP; the answer's authorization_reference goes into session and CDR.
4. An answer for another token than was asked about is none. EVSEs that it names are told by their EVSE ids.

Source: OCPI 2.3.0 mod_tokens (Real-time authorization, WhitelistType), mod_commands (START_SESSION, RESERVE_NOW).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from hub.errors import HubError
from hub.roaming.answers import Answered, read_answer
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.finding import emsp_named_by
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.store import objects, partners, whitelist
from hub.store.asked import AskedToken, commanded_here, note_asked
from hub.store.database import Database
from hub.store.engine import Connection
from hub.tokens import decide_authorization
from wire.commands import ReserveNow, StartSession
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.document import document_of
from wire.ocpi.keys import party_of, token_key
from wire.ocpi.routing import Routing
from wire.ocpi.tokens import LocationReferences
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role, Version
from wire.ocpi.words import V221
from wire.records import AllowedType, AuthorizationInfo, Token, TokenRef, TokenType, WhitelistType
from wire.settling.objects import OwnEVSE
from wire.tokens import choose

_log = logging.getLogger(__name__)

COMMANDED_FOR = timedelta(minutes=15)
WAY_BACK_S, LEAST_S, MOST_S = 0.1, 0.2, 30.0
MOST_ASKED = 8


class Unanswered(HubError):
    """Raised when an eMSP that had to be asked did not answer in time."""

    def __init__(self, reason: str) -> None:
        super().__init__("emsp-silent", f"no eMSP answered in time: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A gateway's question. `charger_id` is None from a gateway that does not say; `wait_s` is how long it waits."""

    at: datetime
    gateway_id: str
    presented: TokenRef
    charger_id: str | None
    wait_s: float
    correlation_id: str


@dataclass(frozen=True, slots=True)
class _Target:
    """A partner to be asked, and the party there; None for a hub that is to find it."""

    partner: Partner
    to: PartyKey | None


class Asking:
    """One for the hub."""

    def __init__(self, database: Database, config: RoamingConfig, session: aiohttp.ClientSession) -> None:
        self._database, self._config, self._session = database, config, session

    async def authorize(self, wanted: Wanted) -> AuthorizationInfo:
        """The answer for the gateway.

        Raises:
            Unanswered: rule 2.
            StoreError: nothing is known.
        """
        found = await self._database.read(lambda connection: self._known(connection, wanted))
        if isinstance(found, AuthorizationInfo):
            return found
        loop = asyncio.get_running_loop()
        began = loop.time()
        wait_s = min(max(wanted.wait_s - WAY_BACK_S, LEAST_S), MOST_S)
        answered, silent = await self._ask_all(wanted, found, wait_s)
        outcome = answered.info.allowed.value if answered is not None else "silent" if silent else "unknown"
        fields = {"gateway_id": wanted.gateway_id, "charger_id": wanted.charger_id, "outcome": outcome}
        fields |= {"partner": "" if answered is None else answered.partner, "ms": str(int((loop.time() - began) * 1e3))}
        _log.info("authorize-asked", extra={"fields": fields | {"correlation_id": wanted.correlation_id}})
        await self._note(wanted, answered, outcome)
        if answered is None and silent:
            raise Unanswered(silent)
        return AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED) if answered is None else answered.info

    # --- whom

    def _known(self, connection: Connection, wanted: Wanted) -> AuthorizationInfo | tuple[_Target, ...]:
        """The answer where nobody needs to be asked, or whom to ask."""
        commanded = self._commanded(connection, wanted)
        if commanded is not None:
            return commanded
        listed = choose(whitelist.candidates(connection, wanted.presented))
        if listed is None:
            return self._strangers(connection, wanted.presented) or decide_authorization(None)
        owner = PartyKey.of(listed.country_code, listed.party_id)
        by_list = listed.whitelist is WhitelistType.ALWAYS or (
            listed.whitelist is WhitelistType.ALLOWED and listed.valid
        )
        if by_list or self._config.owns(owner):
            return decide_authorization(listed)
        partner = _emsp(connection, owner)
        if partner is not None:
            return (_Target(partner, owner),)
        if _is_a_partners(connection, owner, listed):
            raise Unanswered(f"{owner} has to be asked, and cannot be asked now")
        return decide_authorization(listed)

    def _commanded(self, connection: Connection, wanted: Wanted) -> AuthorizationInfo | None:
        if wanted.charger_id is None:
            return None
        since = wanted.at - COMMANDED_FOR
        command = commanded_here(connection, wanted.gateway_id, wanted.charger_id, wanted.presented, since)
        if command is None:
            return None
        token = _commanded_token(command, wanted)
        reference = command.authorization_reference
        return AuthorizationInfo(allowed=AllowedType.ALLOWED, token=token, authorization_reference=reference)

    def _strangers(self, connection: Connection, presented: TokenRef) -> tuple[_Target, ...]:
        named = emsp_named_by(presented.uid) if presented.type is TokenType.EMAID else None
        there = [one for one in partners.partners(connection) if one.can_be_sent_to and _answers(one)]
        hubs = tuple(_Target(one, None) for one in there if one.hub_party is not None)
        if named is not None:
            partner = _emsp(connection, named)
            return hubs if partner is None else (_Target(partner, named),)
        emsps = (
            _Target(one, role.party)
            for one in there
            if one.hub_party is None
            for role in one.roles
            if role.role in (Role.EMSP, Role.OTHER)
        )
        return (*hubs, *emsps)[:MOST_ASKED]

    # --- asking

    async def _ask_all(self, wanted: Wanted, targets: Sequence[_Target], wait_s: float) -> tuple[Answered | None, str]:
        """The answer that counts, and why others have none. Rule 1."""
        until = asyncio.get_running_loop().time() + wait_s
        tasks = [asyncio.create_task(self._ask(wanted, target, wait_s)) for target in targets]
        best, silent = None, ""
        try:
            async with asyncio.timeout_at(until):
                for done in asyncio.as_completed(tasks):
                    try:
                        answered = await done
                    except CallFailed as error:
                        silent = silent or str(error)
                        continue
                    best = best or answered
                    if answered is not None and answered.info.allowed is AllowedType.ALLOWED:
                        return answered, ""
        except TimeoutError:
            silent = f"more than {wait_s:.1f} s"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return best, silent

    async def _ask(self, wanted: Wanted, target: _Target, wait_s: float) -> Answered | None:
        """The answer of one partner, None when it does not know the token. Raises CallFailed."""
        partner, presented = target.partner, wanted.presented
        places = self._places(wanted)
        where = None
        if places:
            uids = tuple(one.evse.uid for one in places if one.location is places[0].location)
            where = document_of(LocationReferences(location_id=places[0].location.id, evse_uids=uids))
        cpos = self._config.of_role(Role.CPO)
        from_ = places[0].location.owner if places else cpos[0] if cpos else None
        type_ = presented.type.value
        if partner.version is Version.V2_2_1 and type_ not in V221["TokenType"]:
            type_ = TokenType.OTHER.value
        try:
            reply = await PartnerClient(partner, self._session).call(
                "POST",
                Module.TOKENS,
                InterfaceRole.SENDER,
                presented.uid,
                "authorize",
                query={"type": type_},
                question=Question(
                    routing=Routing(to=target.to, from_=from_),
                    document=where,
                    correlation_id=wanted.correlation_id,
                    timeout_s=wait_s,
                ),
            )
        except CallFailed as error:
            if error.unknown_there:
                return None
            _log.warning("authorize-unanswered", extra={"fields": {"partner": partner.id, "reason": str(error)}})
            raise
        try:
            return read_answer(reply.data, partner, presented, target.to, places, wanted.at)
        except (MalformedValue, OCPIRefused) as error:
            message = f"partner {partner.id}: its answer to an authorization cannot be used: {error}"
            _log.warning("authorize-unusable", extra={"fields": {"partner": partner.id, "reason": str(error)}})
            raise CallFailed("not-ocpi", message) from error

    def _places(self, wanted: Wanted) -> tuple[OwnEVSE, ...]:
        """The EVSEs of the charger that asks."""
        charger_id = (wanted.charger_id or "").casefold()
        return tuple(
            one
            for one in self._config.evses
            if one.place.gateway_id == wanted.gateway_id and one.place.charger_id.casefold() == charger_id
        )

    async def _note(self, wanted: Wanted, answered: Answered | None, outcome: str) -> None:
        asked = AskedToken(
            at=wanted.at,
            gateway_id=wanted.gateway_id,
            charger_id=wanted.charger_id or "",
            presented=wanted.presented,
            partner="" if answered is None else answered.partner,
            outcome=outcome,
            correlation_id=wanted.correlation_id,
            token=None if answered is None else answered.info.token,
            reference=None if answered is None else answered.info.authorization_reference,
        )
        await self._database.write(lambda connection: note_asked(connection, asked))


def _emsp(connection: Connection, party: PartyKey) -> Partner | None:
    """The partner that answers for an eMSP, if it is there."""
    found = partners.partner_of_party(connection, party, Role.EMSP) or partners.partner_of_party(connection, party)
    return found if found is not None and found.can_be_sent_to and _answers(found) else None


def _is_a_partners(connection: Connection, owner: PartyKey, listed: Token) -> bool:
    """Whether a token is to be asked about at a partner, be it that this one is away or has left."""
    if partners.partner_of_party(connection, owner) is not None:
        return True
    held = objects.objects_of(connection, Module.TOKENS, token_key(listed.uid, listed.type.value))
    return any(one.from_partner is not None and party_of(one.document) == owner for one in held)


def _answers(partner: Partner) -> bool:
    return partner.endpoint(Module.TOKENS, InterfaceRole.SENDER) is not None


def _commanded_token(command: StartSession | ReserveNow, wanted: Wanted) -> Token:
    token = command.token
    return Token(
        country_code=token.country_code or "",
        party_id=token.party_id or "",
        uid=wanted.presented.uid,
        type=wanted.presented.type,
        contract_id=token.contract_id or token.uid,
        issuer="",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=wanted.at,
        group_id=token.group_id,
    )
