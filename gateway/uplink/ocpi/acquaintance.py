"""Who the peer is: its newest common version, its endpoints, its party; and the exchange of credentials with it.

Rules
1. Of the versions that both speak the newest is taken; looked at again at each start and once a day.
2. Registration is a person's act (`pnc-gateway ocpi register`): it uses up the token A of the token file and keeps the
   token C of the answer. A site that nobody can reach names no modules of its own, and some peers refuse that: then the
   peer has to give a token C by another way, which stands in the token file and needs no registration.
3. A token that is replaced is kept before it is used: who is killed in between has one that works, or registers again.

Source: OCPI 2.3.0 credentials, version_information_endpoint.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec

from gateway.errors import PeerRefused, UplinkError
from gateway.store.ocpi import OCPIStore
from gateway.store.ocpi_seen import KeptPeer
from gateway.uplink.ocpi.peer import Answer, Peer
from gateway.uplink.ocpi.settings import OCPISettings
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi import v221
from wire.ocpi.authorization import require_token, token_hash
from wire.ocpi.checks import mended
from wire.ocpi.document import document_of, view
from wire.ocpi.partners import Credentials, CredentialsRole, VersionDetails, VersionLink
from wire.ocpi.quirks import unwrapped
from wire.ocpi.types import BusinessDetails, InterfaceRole, Module, PartyKey, Role, Version
from wire.ocpi.urls import place_of

_SPOKEN = (Version.V2_3_0, Version.V2_2_1)
"""Newest first."""

T = TypeVar("T")


class Acquaintance:
    """Meets the peer, and remembers it in the store. `own_url`: where our versions are served, None where they are
    not; then the peer is told its own, since the field is required and names nothing of ours."""

    def __init__(
        self,
        settings: OCPISettings,
        peer: Peer,
        store: OCPIStore,
        now: Callable[[], datetime],
        own_url: str | None = None,
    ) -> None:
        self._settings, self._peer, self._store, self._now = settings, peer, store, now
        self._own_url = own_url or settings.versions_url
        known = store.peer()
        self.known: KeptPeer | None = known
        if known is not None:
            self._take(known)

    def endpoint(self, module: Module, role: InterfaceRole) -> str:
        """Where that side of a module is at the peer. Raises UplinkError."""
        known = self.known
        if known is not None:
            for one in known.endpoints:
                if one.identifier == module and (one.role is role or module is Module.CREDENTIALS):
                    return one.url
        raise UplinkError("no-endpoint", f"the peer has no {role.value} side of {module.value}")

    @property
    def party(self) -> PartyKey | None:
        """The peer's own party, None while it is not known."""
        if self.known is None or self.known.party is None:
            return None
        country, _, party = self.known.party.partition("*")
        return PartyKey.of(country, party)

    @property
    def version(self) -> str | None:
        """Which version is spoken, None before the peer was met."""
        return None if self.known is None else self.known.version

    @property
    def is_old(self) -> bool:
        """Whether it speaks 2.2.1."""
        return self.known is not None and self.known.version == Version.V2_2_1

    async def meet(self) -> KeptPeer:
        """Look at the peer's versions and endpoints, and at who it is. Raises UplinkError."""
        version, details = await self._newest()
        before = self.known
        kept = KeptPeer(
            version=version,
            endpoints=details.endpoints,
            met_at=self._now(),
            token=None if before is None else before.token,
            token_in=None if before is None else before.token_in,
            registered_at=None if before is None else before.registered_at,
            roles=() if before is None else before.roles,
            party=None if before is None else before.party,
            is_hub=before is not None and before.is_hub,
        )
        self._take(kept)
        try:
            answer = await self._peer.ask("GET", self._peer.at(self.endpoint(Module.CREDENTIALS, InterfaceRole.SENDER)))
            kept = self._with_roles(kept, self._credentials(answer))
        except PeerRefused:
            pass  # Who it is, is only needed for routing headers; some show no credentials.
        self._keep(kept)
        return kept

    async def register(self, *, anew: bool) -> KeptPeer:
        """Exchange credentials: POST with the token A of the file, or PUT for new tokens (`anew`).

        Raises:
            UplinkError: it was not done; if the peer did it all the same, it has to be told to register us again.
        """
        version, details = await self._newest()
        before = self.known
        url = next((one.url for one in details.endpoints if one.identifier == Module.CREDENTIALS), None)
        if url is None:
            raise UplinkError("no-endpoint", "the peer has no credentials module")
        token_in = secrets.token_urlsafe(32)
        document = document_of(self._own(token_in))
        if version == Version.V2_2_1:
            document = v221.down(Module.CREDENTIALS, document)[0]
        self._peer.places = (self._settings.versions_url, *(one.url for one in details.endpoints))
        answer = await self._peer.ask("PUT" if anew else "POST", self._peer.at(url), document=document)
        credentials = self._credentials(answer, version)
        kept = KeptPeer(
            version=version,
            endpoints=details.endpoints,
            met_at=self._now(),
            token=require_token(credentials.token),
            token_in=token_hash(token_in),
            registered_at=self._now(),
            party=None if before is None else before.party,
        )
        self._keep(self._with_roles(kept, credentials))
        return self.known or kept

    def _own(self, token: str) -> Credentials:
        details = BusinessDetails(name=self._settings.name, website=self._settings.website)
        party = self._settings.party
        role = CredentialsRole(
            role=Role.CPO.value, business_details=details, party_id=party.party_id, country_code=party.country_code
        )
        return Credentials(token=token, url=self._own_url, roles=(role,))

    async def _newest(self) -> tuple[str, VersionDetails]:
        """Rule 1. Raises UplinkError."""
        answer = await self._peer.ask("GET", self._settings.versions_url)
        links = self._read(answer.data, tuple[VersionLink, ...], "versions")
        for version in _SPOKEN:
            url = next((link.url for link in links if link.version == version), None)
            if url is not None:
                self._peer.places = (self._settings.versions_url, self._same_place(url))
                details = (await self._peer.ask("GET", url)).data
                details = mended(unwrapped(details, self._settings.quirks), VersionDetails, self._settings.quirks)
                return version.value, self._read(details, VersionDetails, "version details")
        spoken = ", ".join(link.version for link in links)[:100]
        raise UplinkError("no-version", f"the peer speaks {spoken or 'no version'}; spoken here are 2.3.0 and 2.2.1")

    def _same_place(self, url: str) -> str:
        """The details of a version lie where the versions do: nobody else is shown the token. Raises UplinkError."""
        try:
            if place_of(url) != place_of(self._settings.versions_url):
                raise UplinkError("foreign-host", f"the peer's versions lead to another host: {url[:120]!a}")
        except OCPIRefused as error:
            raise UplinkError(error.code, str(error)) from error
        return url

    def _credentials(self, answer: Answer, version: str | None = None) -> Credentials:
        data = unwrapped(answer.data, self._settings.quirks)
        if (version or (self.known.version if self.known else None)) == Version.V2_2_1 and isinstance(data, dict):
            data = v221.up(Module.CREDENTIALS, data)
        return self._read(data, Credentials, "credentials")

    def _with_roles(self, kept: KeptPeer, credentials: Credentials) -> KeptPeer:
        hub = credentials.hub_party_id
        roles = credentials.roles
        if hub is not None:
            party: PartyKey | None = PartyKey.of(hub[:2], hub[2:])
        else:
            party = roles[0].party if roles else None
        return msgspec.structs.replace(
            kept, roles=roles, party=None if party is None else str(party), is_hub=hub is not None
        )

    def _read(self, data: object, type_: type[T], what: str) -> T:
        try:
            return view(data, type_, what)
        except MalformedValue as error:
            raise UplinkError("not-ocpi", f"the peer's {what} cannot be read: {error}") from error

    def _keep(self, kept: KeptPeer) -> None:
        self._store.keep_peer(kept)
        self._take(kept)

    def _take(self, kept: KeptPeer) -> None:
        """Speak with it as it is. Rule 1 of `peer` holds: its endpoints are the places that may be called."""
        self.known = kept
        self._peer.places = (self._settings.versions_url, *(one.url for one in kept.endpoints))
        if kept.token is not None:
            self._peer.token = kept.token
