"""Authorize, in every version and wrapped over 1.6: what was presented, decided, logged, then answered.

Source: OCPP 1.6 4.1; OCPP 2.0.1 and 2.1 Part 2 C01-C07; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

import sqlite3

from gateway.chargers.actions import Actions, action
from gateway.chargers.answers import authorize_answer, wrapped_authorize_answer
from gateway.chargers.connected import MODULES, Connected
from gateway.store.chains import remember_chain
from gateway.store.ledger import append
from gateway.store.transactions import remember_decision
from pki.verify.hash_text import HashData
from wire.ocpp import pnc16, v16, v21, v201
from wire.ocpp.transaction import token_of
from wire.records import Decision, RecordKind, TokenRef, TokenType


class Authorizing:
    """One station's questions whether somebody may charge."""

    def __init__(self, connected: Connected) -> None:
        self._connected, self._site = connected, connected.site

    def actions(self) -> Actions:
        """Authorize of the station's version."""
        if self._connected.ocpp == v16.VERSION:
            return {"Authorize": action("Authorize", v16.Authorize, self._authorize16)}
        return {"Authorize": action("Authorize", MODULES[self._connected.ocpp].Authorize, self._authorize2)}

    def transfers(self) -> Actions:
        """Authorize wrapped over 1.6."""
        return {"Authorize": action("DataTransfer.data", pnc16.Authorize, self._authorize_wrapped)}

    async def _authorize16(self, request: v16.Authorize) -> object:
        token = TokenRef(uid=request.id_tag, type=TokenType.RFID)
        return authorize_answer(self._connected.ocpp, await self._decide(token, None, ()))

    async def _authorize2(self, request: v201.Authorize | v21.Authorize) -> object:
        token = token_of(request.id_token.id_token, request.id_token.type)
        decision = await self._decide(token, request.certificate, request.iso15118_certificate_hash_data)
        return authorize_answer(self._connected.ocpp, decision)

    async def _authorize_wrapped(self, inner: pnc16.Authorize) -> object:
        token = TokenRef(uid=inner.id_token.id_token, type=TokenType.EMAID)
        hashes = inner.iso15118_certificate_hash_data or ()
        return wrapped_authorize_answer(await self._decide(token, inner.certificate, hashes))

    async def _decide(
        self, token: TokenRef, pem: str | None, hashes: tuple[v201.OCSPRequestData | v21.OCSPRequestData, ...]
    ) -> Decision:
        """The logged decision for what was presented; where chain and hashes came together, the chain speaks."""
        authorizer, charger_id = self._site.authorizer, self._connected.charger_id
        if pem is not None:
            return await self._logged(await authorizer.for_contract(charger_id, token.uid, pem), pem)
        if hashes:
            entries = [
                HashData(
                    hash_algorithm=named.hash_algorithm,
                    issuer_name_hash=named.issuer_name_hash,
                    issuer_key_hash=named.issuer_key_hash,
                    serial_number=named.serial_number,
                )
                for named in hashes
            ]
            return await self._logged(await authorizer.for_hashes(charger_id, token.uid, entries))
        return await self._logged(await authorizer.for_token(charger_id, token))

    async def _logged(self, decision: Decision, pem: str | None = None) -> Decision:
        """The decision, once it is durable in the audit log; with it the chain that was accepted, for later hashes."""

        def log(connection: sqlite3.Connection) -> None:
            append(connection, self._site.owner, RecordKind.DECISION, decision, self._site.clock.now())
            remember_decision(connection, decision)
            if pem is not None and decision.chain is not None and decision.chain.leaf_sha256 is not None:
                remember_chain(connection, decision.chain.leaf_sha256, pem, decision.at)

        await self._site.writer.run(log)
        self._site.stored()
        return decision
