"""Authorize, in every version and wrapped over 1.6: what was presented, decided, logged, then answered.

Source: OCPP 1.6 4.1; OCPP 2.0.1 and 2.1 Part 2 C01-C07; OCA "ISO 15118 Plug & Charge with OCPP 1.6" v1.0.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.chargers.actions import Actions, action
from gateway.chargers.answers import authorize_answer, wrapped_authorize_answer
from gateway.chargers.connected import MODULES, Connected
from gateway.chargers.naming import Named, hash_data_of
from gateway.presented import Presented, decide_presented
from pki.verify.hash_text import HashData
from wire.ocpp import pnc16, v16, v21, v201
from wire.ocpp.quirks import Quirk
from wire.ocpp.transaction import token_of
from wire.records import Decision, TokenRef, TokenType, Verdict


class Authorizing:
    """One station's questions whether somebody may charge."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected

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
        decision = await self._decide(Presented(token=token))
        shown = self._connected.shows_price
        if shown is not None and shown.told is not None and decision.verdict is Verdict.ACCEPTED:
            shown.told(request.id_tag)
        return authorize_answer(self._connected.ocpp, decision)

    async def _authorize2(self, request: v201.Authorize | v21.Authorize) -> object:
        token = token_of(request.id_token.id_token, request.id_token.type)
        entries = self._named(request.iso15118_certificate_hash_data)
        decision = await self._decide(Presented(token=token, pem=self._chain(request.certificate), entries=entries))
        return authorize_answer(self._connected.ocpp, decision, self._connected.shows_price)

    async def _authorize_wrapped(self, inner: pnc16.Authorize) -> object:
        token = TokenRef(uid=inner.id_token.id_token, type=TokenType.EMAID)
        entries = self._named(inner.iso15118_certificate_hash_data)
        return wrapped_authorize_answer(
            await self._decide(Presented(token=token, pem=self._chain(inner.certificate), entries=entries))
        )

    def _chain(self, pem: str | None) -> str | None:
        """The chain; one without a character is none, from stations that write every field they know."""
        if pem == "":
            self._connected.noticed(Quirk.EMPTY_FIELD, "Authorize $.certificate")
            return None
        return pem

    def _named(self, named: Sequence[Named]) -> tuple[HashData, ...]:
        return hash_data_of(named, "Authorize $.iso15118CertificateHashData[]", self._connected.noticed)

    async def _decide(self, presented: Presented) -> Decision:
        return await decide_presented(self._connected.site, self._connected.charger_id, presented)
