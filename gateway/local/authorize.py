"""POST /v1/authorize: may this contract, or this token, charge? For charger software that speaks OCPP elsewhere.

The decision is the one that a station would hear, and stands in the audit log before it is told. Every answer that is a
decision has status 200, whatever it says; anything else is a problem (RFC 9457), and no decision.

Bounds: a body of 64 KiB that comes within a second and is decided within another part of the same second; so many
questions of all callers in a second.

Source: OCPP 2.0.1 Part 2 C07 for the pairs of status and certificate status.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import hdrs, web

from gateway.chargers.rates import TokenBucket
from gateway.decide.authorize import evse_key
from gateway.decide.offered import OfferedAnswer
from gateway.errors import StoreUnavailable
from gateway.local.problems import problem
from gateway.presented import Deciding, Presented, decide_presented
from pki.errors import TrustError
from pki.verify.hash_text import HashData
from pki.verify.ocsp_answer import parse_ocsp
from wire.errors import MalformedValue
from wire.ids import is_charger_id
from wire.records import ChainEvidence, ClockState, Decision, TokenRef, TokenType, decode

PATH = "/v1/authorize"
MAX_BODY = 64 * 1024
DEADLINE_S = 1.0
PER_S, BURST = 20.0, 40
"""Questions of all callers together: as one station has, and more than one box with its cars can ask."""
UNNAMED = "local"
"""The station in the audit log when the caller names none."""

_Emaid = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Pem = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
_Hash = Annotated[str, msgspec.Meta(min_length=1, max_length=140)]
_Ocsp = Annotated[str, msgspec.Meta(min_length=1, max_length=22_000)]


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a body is made of: nothing beyond its fields."""


class HashDataBody(_Asked, frozen=True, kw_only=True):
    """OCPP's OCSPRequestDataType. What `responder_url` names is never asked."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: _Hash
    issuer_key_hash: _Hash
    serial_number: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
    responder_url: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class TokenBody(_Asked, frozen=True, kw_only=True):
    """A token that is no contract: its characters and OCPI type."""

    uid: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    type: Literal["RFID", "APP_USER", "AD_HOC_USER", "OTHER"] = "RFID"


class AuthorizeBody(_Asked, frozen=True, kw_only=True):
    """The question: an EMAID with what proves it, or a token; and at which station or EVSE."""

    emaid: _Emaid | None = None
    chain_pem: _Pem | None = None
    certificate_hash_data: Annotated[tuple[HashDataBody, ...], msgspec.Meta(min_length=1, max_length=4)] | None = None
    ocsp: Annotated[tuple[_Ocsp, ...], msgspec.Meta(min_length=1, max_length=4)] | None = None
    token: TokenBody | None = None
    charger_id: Annotated[str, msgspec.Meta(min_length=1, max_length=48)] | None = None
    evse_id: Annotated[str, msgspec.Meta(min_length=1, max_length=48)] | None = None


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OCPP's idTokenInfo, as far as it is decided here."""

    status: str
    group_id: str | None = None


class AuthorizeAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The decision, as it stands in the audit log under `decision_id`. `certificate_status` is there iff a contract was
    asked about; `findings` are what was borne with in its chain."""

    decision_id: str
    at: datetime
    id_token_info: TokenInfo
    reason: str
    basis: str
    online: bool
    clock: ClockState
    findings: tuple[str, ...]
    certificate_status: str | None = None
    contract_id: str | None = None
    authorization_reference: str | None = None
    chain: ChainEvidence | None = None


class AuthorizeDesk:
    """Answers the questions. `stations`: the station of each EVSE that is configured, by its `evse_key`; `chargers`:
    the stations that are, by case-folded id."""

    def __init__(self, site: Deciding, stations: Mapping[str, str], chargers: Mapping[str, str]) -> None:
        self._site, self._stations, self._chargers = site, stations, chargers
        self._allowance = TokenBucket(PER_S, BURST, 0.0)

    async def answer(self, request: web.Request) -> web.Response:
        """The response to the POST."""
        if request.content_type != "application/json":
            # A page in a browser cannot send this type to a foreign place without asking first, which is not answered.
            detail = f"Content-Type {request.content_type[:80]!a}: send application/json"
            return problem(415, "media-type", "Unsupported media type", detail)
        if not self._allowance.take_if_held(1, asyncio.get_running_loop().time()):
            detail = f"more than {PER_S:g} questions in a second"
            return problem(429, "too-many", "Too many requests", detail, retry_after_s=1)
        deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
        try:
            async with asyncio.timeout_at(deadline_s):
                octets = await request.read()
        except TimeoutError:
            return _hang_up(problem(408, "too-slow", "Request timeout", f"no whole body within {DEADLINE_S:g} s"))
        try:
            charger_id, presented = read_question(octets, self._stations, self._chargers)
        except MalformedValue as error:
            return problem(400, "malformed-question", "Bad request", str(error), where=error.where)
        try:
            async with asyncio.timeout_at(deadline_s):
                decision = await decide_presented(self._site, charger_id, presented)
        except TimeoutError:
            detail = f"no decision within {DEADLINE_S:g} s; it is not to be counted on"
            return problem(503, "no-decision", "Not available now", detail, retry_after_s=1)
        except StoreUnavailable:
            detail = "decisions cannot be stored, and one that is not stored is not told"
            return problem(503, "store-unavailable", "Not available now", detail, retry_after_s=5)
        body = msgspec.json.encode(answer_of(decision))
        return web.Response(body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"})


def read_question(octets: bytes, stations: Mapping[str, str], chargers: Mapping[str, str]) -> tuple[str, Presented]:
    """The station that is asked about, and what is presented there.

    Raises:
        MalformedValue: not such a body; names the JSON path.
    """
    body = decode(AuthorizeBody, octets, "body")
    if (body.emaid is None) == (body.token is None):
        raise MalformedValue("body", "$", "needs emaid or token, and not both")
    if body.charger_id is not None and body.evse_id is not None:
        raise MalformedValue("body", "$.evse_id", "charger_id says already where; give one of them")
    charger_id = _station(body, stations, chargers)
    if body.token is not None:
        for name in ("chain_pem", "certificate_hash_data", "ocsp"):
            if getattr(body, name) is not None:
                raise MalformedValue("body", f"$.{name}", "belongs to an emaid, not to a token")
        token = TokenRef(uid=body.token.uid, type=TokenType(body.token.type))
        return charger_id, Presented(token=token)
    if body.ocsp is not None and body.chain_pem is None:
        raise MalformedValue("body", "$.ocsp", "counts only with chain_pem")
    entries = tuple(
        HashData(
            hash_algorithm=each.hash_algorithm,
            issuer_name_hash=each.issuer_name_hash,
            issuer_key_hash=each.issuer_key_hash,
            serial_number=each.serial_number,
        )
        for each in body.certificate_hash_data or ()
    )
    offered = tuple(_offered(text, f"$.ocsp[{number}]") for number, text in enumerate(body.ocsp or ()))
    contract = TokenRef(uid=body.emaid or "", type=TokenType.EMAID)
    return charger_id, Presented(token=contract, pem=body.chain_pem, entries=entries, offered=offered)


def answer_of(decision: Decision) -> AuthorizeAnswer:
    """What is told of a decision."""
    status = decision.certificate_status
    return AuthorizeAnswer(
        decision_id=decision.decision_id,
        at=decision.at,
        id_token_info=TokenInfo(status=decision.verdict.value, group_id=decision.group_id),
        reason=decision.reason,
        basis=decision.basis.value,
        online=decision.online,
        clock=decision.clock,
        findings=() if decision.chain is None else decision.chain.findings,
        certificate_status=None if status is None else status.value,
        contract_id=decision.contract_id,
        authorization_reference=decision.authorization_reference,
        chain=decision.chain,
    )


def _station(body: AuthorizeBody, stations: Mapping[str, str], chargers: Mapping[str, str]) -> str:
    """Where it is asked: only what is configured, since the store remembers decisions for each station."""
    if body.charger_id is not None:
        if not is_charger_id(body.charger_id):
            raise MalformedValue("body", "$.charger_id", "is no identity of a charging station")
        named = chargers.get(body.charger_id.casefold())
        if named is None:
            message = f"no [[charger]] has the id {body.charger_id!a}; name one that is configured, or leave it out"
            raise MalformedValue("body", "$.charger_id", message)
        return named
    if body.evse_id is None:
        return UNNAMED
    if not is_charger_id(body.evse_id):
        raise MalformedValue("body", "$.evse_id", "is no EVSE id")
    named = stations.get(evse_key(body.evse_id))
    if named is None:
        message = f"no [[charger]] has the EVSE {body.evse_id!a} in its evse_ids; add it there, or leave it out"
        raise MalformedValue("body", "$.evse_id", message)
    return named


def _offered(text: str, where: str) -> OfferedAnswer:
    try:
        der = base64.b64decode(text, validate=True)
        return OfferedAnswer(der, parse_ocsp(der))
    except (binascii.Error, ValueError) as error:
        raise MalformedValue("body", where, f"is not base64: {error}") from error
    except TrustError as error:
        raise MalformedValue("body", where, f"is no OCSP answer: {error.code}: {error}") from error


def _hang_up(answer: web.Response) -> web.Response:
    """The rest of a body that comes too slowly is not waited for."""
    answer.force_close()
    return answer
