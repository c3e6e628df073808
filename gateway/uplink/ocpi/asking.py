"""Asks in real time whether a token may charge here.

Rules
1. The question names the location of the charger, and its EVSEs; of one that is not said, the location of the site.
   Where that is none, or more than one, nothing is named; a peer may answer that this is not enough.
2. An unknown token (HTTP 404, or status 2004) is NOT_ALLOWED; every other refusal is no answer.
3. A peer may answer with less of the token than OCPI asks for: what is missing is filled with what decides nothing.
4. A token that is allowed is remembered: its session has to name its owner, also if it stands on no list.

Source: OCPI 2.3.0 mod_tokens (Real-time authorization).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.errors import PeerRefused, UplinkError
from gateway.store.ocpi import OCPIStore
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.peer import Peer
from gateway.uplink.ocpi.settings import OCPISettings
from wire.ocpi import tokens as ocpi, v221
from wire.ocpi.checks import mended
from wire.ocpi.document import Document, view
from wire.ocpi.envelope import StatusCode
from wire.ocpi.instants import instant_text
from wire.ocpi.listing import as_listed
from wire.ocpi.quirks import unwrapped
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module
from wire.records import AllowedType, AuthorizationInfo, LocationReferences, TokenRef, TokenType, WhitelistType
from wire.sync_messages import AuthorizeRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _asked_as(type_: TokenType, *, old: bool) -> TokenType:
    """The type that a token is asked about as: a tag of OCPP 1.6 may be any, and is a card; 2.2.1 has no EMAID."""
    if type_ is TokenType.OTHER:
        return TokenType.RFID
    return TokenType.OTHER if old and type_ is TokenType.EMAID else type_


class Asking:
    """Asks the peer."""

    def __init__(self, settings: OCPISettings, peer: Peer, met: Acquaintance, store: OCPIStore) -> None:
        self._settings, self._peer, self._met, self._store = settings, peer, met, store
        self._evse_ids = {one.evse.uid.upper(): one.evse.evse_id or one.evse.uid for one in settings.evses.values()}

    async def ask(self, asked: AuthorizeRequest) -> AuthorizationInfo:
        """The answer. Raises UplinkError, StoreError, WireError: there is none."""
        type_ = _asked_as(asked.type, old=self._met.is_old)
        endpoint = self._met.endpoint(Module.TOKENS, InterfaceRole.SENDER)
        url = self._peer.at(endpoint, asked.uid, "authorize", query={"type": type_.value})
        where = self._settings.where(asked.charger_id)
        known = self._met.known
        to = None if known is not None and known.is_hub else self._met.party
        try:
            routing, correlation_id = Routing(to=to, from_=self._settings.party), asked.correlation_id
            answer = await self._peer.ask("POST", url, document=where, routing=routing, correlation_id=correlation_id)
        except PeerRefused as error:
            if error.ocpi == StatusCode.UNKNOWN_TOKEN or (error.status == 404 and error.ocpi is None):
                return AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED)
            raise
        info = self._read(answer.data, asked)
        if info.allowed is AllowedType.ALLOWED and info.token is not None and info.token.party_id:
            self._store.meet(info.token)
        return info

    def _read(self, data: object, asked: TokenRef) -> AuthorizationInfo:
        """Raises MalformedValue, UplinkError."""
        quirks = self._settings.quirks
        document: Any = mended(unwrapped(data, quirks), ocpi.AuthorizationInfo, quirks)
        if not isinstance(document, dict):
            raise UplinkError("not-ocpi", "the answer about a token is no object")
        if self._met.is_old:
            document = v221.up(Module.TOKENS, document)
        found = view(document | {"token": self._filled(document.get("token"), asked)}, ocpi.AuthorizationInfo, "answer")
        where = found.location
        return AuthorizationInfo(
            allowed=found.allowed,
            token=as_listed(found.token),
            location=None
            if where is None
            else LocationReferences(
                location_id=where.location_id,
                evse_uids=tuple(self._evse_ids.get(uid.upper(), uid) for uid in where.evse_uids),
            ),
            authorization_reference=found.authorization_reference,
        )

    def _filled(self, token: object, asked: TokenRef) -> Document:
        """Rule 3."""
        known = self._met.known
        party = None if known is not None and known.is_hub else self._met.party
        filling = {
            "country_code": "" if party is None else party.country_code,
            "party_id": "" if party is None else party.party_id,
            "uid": asked.uid,
            "type": asked.type.value,
            "contract_id": asked.uid,
            "issuer": "",
            "valid": True,
            "whitelist": WhitelistType.NEVER.value,
            "last_updated": instant_text(_EPOCH),
        }
        return filling | (token if isinstance(token, dict) else {})
