"""The Sender side of Tokens: the list, and the answer to a real-time authorization for a token of our eMSP parties.

Rules
1. A token that none of our parties has: HTTP 404 with 2004. One that is valid is ALLOWED, another BLOCKED; neither the
   opening hours nor the state of an EVSE are looked at (OCPI mod_tokens).
2. What was answered is kept under its authorization_reference, which has to come back in session and CDR.

Source: OCPI 2.3.0 mod_tokens (POST).
"""

from __future__ import annotations

import uuid

from hub.roaming.own import RoamingConfig
from hub.store import objects as store
from hub.store.authorizations import Authorization, note_authorization
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.ocpi.exchange import Answer, Exchange, refuse_path, refuse_unknown
from wire.ocpi.document import Document, document_of, view
from wire.ocpi.envelope import StatusCode
from wire.ocpi.keys import DEFAULT_TOKEN_TYPE, party_of, token_key
from wire.ocpi.tokens import AuthorizationInfo, LocationReferences, Token
from wire.ocpi.types import Module, Version
from wire.ocpi.v221 import types_of
from wire.records import AllowedType


class RealTimeAuthorization:
    """Answers for our eMSP parties."""

    def __init__(self, database: Database, config: RoamingConfig) -> None:
        self._database, self._config = database, config

    async def post(self, exchange: Exchange) -> Answer:
        """AuthorizationInfo of a token."""
        if len(exchange.path) != 2 or exchange.path[1] != "authorize":
            refuse_path(exchange, "/{token_uid}/authorize")
        where = None
        if exchange.body.strip():
            references = exchange.understood(exchange.json_object(), LocationReferences)
            where = view(references, LocationReferences, "location references")
        document = await self._token(exchange)
        if document is None:
            refuse_unknown(exchange, "token", StatusCode.UNKNOWN_TOKEN)
        token = view(document, Token, "token")
        allowed = AllowedType.ALLOWED if token.valid else AllowedType.BLOCKED
        info = AuthorizationInfo(
            allowed=allowed,
            token=token,
            location=where if token.valid else None,
            authorization_reference=str(uuid.uuid4()) if token.valid else None,
        )
        speakers = exchange.speakers()
        kept = Authorization(
            reference=info.authorization_reference,
            at=exchange.at,
            partner=exchange.partner.id,
            cpo=speakers[0] if len(speakers) == 1 else None,
            token=token,
            allowed=allowed,
            location=where,
            correlation_id=exchange.ids.correlation_id,
        )
        await self._database.write(lambda connection: note_authorization(connection, kept))
        # The token as its owner wrote it, with the fields that nobody here knows.
        answer: Document = document_of(info) | {"token": document}
        return Answer(exchange.spoken(answer))

    async def _token(self, exchange: Exchange) -> Document | None:
        uid, type_ = exchange.path[0], exchange.query.get("type", DEFAULT_TOKEN_TYPE)
        types = types_of(type_) if exchange.version is Version.V2_2_1 else (type_,)
        to = exchange.routing.to

        def reading(connection: Connection) -> Document | None:
            for one in types:
                for held in store.objects_of(connection, Module.TOKENS, token_key(uid, one), ours=True):
                    if to in (None, self._config.hub_party, party_of(held.document)):
                        return held.document
            return None

        return await self._database.read(reading)
