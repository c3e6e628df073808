"""Brings sessions and CDRs to the peer: each CDR exactly once, whatever is killed or cut in between.

Rules
1. A session is PUT whole, when it begins, every `session_update_s` while it runs, and when it is over: a PUT that is
   repeated changes nothing, a PATCH with charging periods would append them again.
2. A CDR is noted as uncertain before it is POSTed. Who has no answer that tells what became of it asks for it by GET
   before it is POSTed again, with the same octets.
3. Where the CDR is asked for: OCPI leaves that to the peer's Location. Its URL is made as that of the CDR which was
   delivered last, else below the endpoint by the id alone, and by owner and id.
4. A CDR that is refused and not there is kept and tried again every REFUSED_AGAIN_S: whoever is the CPO must keep it
   until the peer has it. Others are not held up.
5. Each message names the party that it is from, and the token's party that it is for.

Source: OCPI 2.3.0 mod_sessions, mod_cdrs, transport_and_format.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from gateway.errors import PeerRefused, UplinkError
from gateway.log import say
from gateway.store.ocpi import KeptCdr, OCPIStore
from gateway.store.ocpi_seen import CdrState
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.peer import Answer, Peer
from gateway.uplink.ocpi.settings import OCPISettings
from wire.errors import OCPIRefused
from wire.ocpi import v221
from wire.ocpi.document import Document, parse_document
from wire.ocpi.headers import header
from wire.ocpi.keys import same
from wire.ocpi.losses import Loss
from wire.ocpi.quirks import fitted, unwrapped
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module, PartyKey
from wire.ocpi.urls import resolved

REFUSED_AGAIN_S = 3600.0
_RUNNING = ("ACTIVE", "PENDING", "RESERVATION")
_LONGEST_LOCATION = 1024


class Delivery:
    """Brings what the store has. `delivered` hears of each CDR that the peer has."""

    def __init__(
        self, settings: OCPISettings, peer: Peer, met: Acquaintance, store: OCPIStore, now: Callable[[], datetime]
    ) -> None:
        self._settings, self._peer, self._met, self._store, self._now = settings, peer, met, store, now
        self._told_at: dict[str, float] = {}
        self._refused_at: dict[str, float] = {}
        self.delivered: Callable[[str], None] = lambda session_id: None

    async def bring(self) -> None:
        """Bring all that is due. Raises UplinkError: the rest waits. StoreError."""
        await self._sessions()
        for cdr in self._store.waiting():
            if self._is_due(cdr):
                await self._cdr(cdr)

    # --- sessions

    async def _sessions(self) -> None:
        """Rule 1."""
        now = time.monotonic()
        for session_id, text in self._store.untold():
            document = parse_document(text, "session")
            runs = document.get("status") in _RUNNING
            if runs and now - self._told_at.get(session_id, -self._settings.session_update_s) < (
                self._settings.session_update_s
            ):
                continue
            await self._put(session_id, document)
            self._store.told(session_id, text)
            if runs:
                self._told_at[session_id] = now
            else:
                self._told_at.pop(session_id, None)

    async def _put(self, session_id: str, document: Document) -> None:
        """One session. A peer that refuses it is not asked again until it changes: its CDR is what counts."""
        endpoint = self._met.endpoint(Module.SESSIONS, InterfaceRole.RECEIVER)
        party = self._settings.party
        url = self._peer.at(endpoint, party.country_code, party.party_id, session_id)
        try:
            written = self._written(Module.SESSIONS, document)
            await self._peer.ask(
                "PUT", url, document=written, routing=self._routing(document), correlation_id=session_id[:36]
            )
        except (PeerRefused, OCPIRefused) as error:
            say("ocpi-session-refused", level="warning", session=session_id, reason=str(error))

    # --- CDRs

    def _is_due(self, cdr: KeptCdr) -> bool:
        """Rule 4."""
        at = self._refused_at.get(cdr.session_id)
        return cdr.state is not CdrState.REFUSED or at is None or time.monotonic() - at >= REFUSED_AGAIN_S

    async def _cdr(self, cdr: KeptCdr) -> None:
        """Rule 2. Raises UplinkError: it is as uncertain as before."""
        document = parse_document(cdr.document, "CDR")
        if cdr.state is not CdrState.QUEUED and await self._is_there(cdr, document):
            self._note(cdr, None)
            return
        try:
            written = self._written(Module.CDRS, document)
        except OCPIRefused as error:
            self._refuse(cdr, f"cannot be said in the peer's version: {error}")
            return
        self._store.sending(cdr.session_id)
        url = self._peer.at(self._met.endpoint(Module.CDRS, InterfaceRole.RECEIVER))
        routing = self._routing(document)
        try:
            answer = await self._peer.ask(
                "POST", url, document=written, routing=routing, correlation_id=cdr.session_id[:36]
            )
        except PeerRefused as error:
            if await self._is_there(cdr, document):
                self._note(cdr, None)
            else:
                self._refuse(cdr, str(error))
            return
        self._note(cdr, self._location(answer, url))

    def _note(self, cdr: KeptCdr, location: str | None) -> None:
        self._store.delivered(cdr.session_id, location, self._now())
        self._refused_at.pop(cdr.session_id, None)
        say("ocpi-cdr-delivered", session=cdr.session_id, attempts=cdr.attempts + 1)
        self.delivered(cdr.session_id)

    def _refuse(self, cdr: KeptCdr, reason: str) -> None:
        self._store.refused(cdr.session_id, reason)
        self._refused_at[cdr.session_id] = time.monotonic()
        say("ocpi-cdr-refused", level="error", session=cdr.session_id, reason=reason)

    async def _is_there(self, cdr: KeptCdr, document: Document) -> bool:
        """Whether the peer shows the CDR at one of the places of rule 3. Raises UplinkError when it cannot be told."""
        for url in self._places(cdr):
            try:
                answer = await self._peer.ask("GET", url, routing=self._routing(document))
            except PeerRefused:
                continue
            except UplinkError as error:
                if error.code in ("unauthorized", "busy") or error.status is None or error.status >= 500:
                    raise
                continue  # A place that is none of the peer's, as it says in its own way.
            shown = unwrapped(answer.data, self._settings.quirks)
            if isinstance(shown, dict) and same(str(shown.get("id", "")), str(document.get("id", ""))):
                return True
        return False

    def _places(self, cdr: KeptCdr) -> list[str]:
        endpoint, party = self._met.endpoint(Module.CDRS, InterfaceRole.RECEIVER), self._settings.party
        found = [
            self._peer.at(endpoint, cdr.session_id),
            self._peer.at(endpoint, party.country_code, party.party_id, cdr.session_id),
        ]
        last = self._store.last_location()
        if last is not None and last[0] in last[1]:
            found.insert(0, last[1].replace(last[0], cdr.session_id))
        return list(dict.fromkeys(found))

    def _location(self, answer: Answer, url: str) -> str | None:
        """Where the peer says that the CDR is; None for what is no URL."""
        text = header(answer.headers, "Location") or ""
        try:
            return resolved(url, text) if 0 < len(text) <= _LONGEST_LOCATION else None
        except OCPIRefused:
            return None

    # --- how it is said

    def _written(self, module: Module, document: Document) -> Document:
        """The document in the version and the ways of the peer; what that cost is said. Raises OCPIRefused."""
        lost: tuple[Loss, ...] = ()
        if self._met.is_old:
            document, lost = v221.down(module, document)
        document, more = fitted(module, document, self._settings.quirks)
        for loss in (*lost, *more):
            say(
                "ocpi-loss",
                level="warning",
                module=module.value,
                id=document.get("id"),
                at=loss.pointer,
                reason=loss.reason,
            )
        return document

    def _routing(self, document: Document) -> Routing:
        """Rule 5."""
        token = document.get("cdr_token") or {}
        to = PartyKey.of(str(token.get("country_code", "")), str(token.get("party_id", "")))
        return Routing(to=to, from_=self._settings.party)
