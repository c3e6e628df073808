"""The exchange of credentials, on both of its sides.

Rules
1. Sender: with the partner's token A its versions and details are read; the newest version that both speak counts. The
   token B is good before it is sent, for the partner calls back while the POST is open. Its answer holds C.
2. Receiver: while the POST (or PUT) is open the partner's versions and details are read with B. Failing that, nothing
   is changed: 3001 when it cannot be called, 3002 without this version, 3003 without endpoints to use.
3. A partner speaks for parties of its own only: one that is ours, or another partner's, is refused, and so is a hub
   under such a name. A hub names the parties behind it, which may be connected to us directly too; for those it does
   not speak, and ours among them are left out.
4. Every new token ends all older ones of that partner.

Source: OCPI 2.3.0 credentials, version_information_endpoint.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import aiohttp

from hub.clock import now
from hub.errors import HubError
from hub.roaming.client import CallFailed, PartnerClient, Question
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner, Registration, TokenKind
from hub.roaming.publishing import publish_all
from hub.roaming.speech import SPOKEN, inward, outward
from hub.store import partners as store
from hub.store.database import Database
from hub.store.engine import Connection
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.authorization import require_token, token_hash
from wire.ocpi.document import Document, document_of, view
from wire.ocpi.envelope import StatusCode
from wire.ocpi.partners import Credentials, Endpoint, VersionDetails, VersionLink
from wire.ocpi.quirks import unwrapped
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Version
from wire.ocpi.urls import require_registered

T = TypeVar("T")


def new_token() -> str:
    """A credentials token: 43 characters with 256 bits of chance."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Way:
    """The version that both speak, and what the partner serves in it."""

    version: Version
    endpoints: tuple[Endpoint, ...]

    @property
    def credentials_url(self) -> str:
        """Where credentials are exchanged."""
        return next(one.url for one in self.endpoints if one.identifier == Module.CREDENTIALS)


async def find_way(partner: Partner, session: aiohttp.ClientSession, token: str, wanted: Iterable[Version]) -> Way:
    """The first of the `wanted` versions that a partner has, with its endpoints.

    Raises:
        CallFailed: it cannot be called, or answers what is none of OCPI.
        OCPIRefused: it has none of the versions (3002), or no endpoints to use (3003).
    """
    if partner.url is None:
        raise CallFailed("no-url", f"partner {partner.id}: the URL of its versions is not known")
    client = PartnerClient(partner, session, token)
    links = await _got(client, partner, partner.url, tuple[VersionLink, ...])
    for version in wanted:
        url = next((link.url for link in links if link.version == version), None)
        if url is not None:
            details = await _got(client, partner, url, VersionDetails)
            return Way(version, _usable(partner, details.endpoints))
    theirs = ", ".join(link.version for link in links) or "none"
    message = f"partner {partner.id} speaks {theirs}; here {', '.join(wanted)}"
    raise OCPIRefused("no-version", "versions", message, status=StatusCode.UNSUPPORTED_VERSION)


async def _got(client: PartnerClient, partner: Partner, url: str, type_: type[T]) -> T:
    reply = await client.ask("GET", client.at(url))
    try:
        data = reply.data if type_ is not VersionDetails else unwrapped(reply.data, partner.quirks)
        return view(data, type_, "answer")
    except MalformedValue as error:
        raise CallFailed("not-ocpi", f"partner {partner.id}: GET {url[:200]}: {error}") from error


def _usable(partner: Partner, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints, all of which lead to registered hosts. Raises OCPIRefused (3003)."""
    identifiers = {one.identifier for one in endpoints}
    missing = Module.CREDENTIALS not in identifiers or not identifiers & (set(Module) - {Module.CREDENTIALS})
    if missing:
        message = f"partner {partner.id} serves {', '.join(sorted(identifiers)) or 'nothing'}; credentials and a module"
        raise OCPIRefused(
            "no-endpoints", "endpoints", f"{message} to use are needed", status=StatusCode.NO_MATCHING_ENDPOINTS
        )
    for one in endpoints:
        require_registered(one.url, partner.hosts)
    return tuple(endpoints)


class Registrar:
    """Exchanges credentials, as sender and as receiver. One per hub."""

    def __init__(self, database: Database, config: RoamingConfig, session: aiohttp.ClientSession) -> None:
        self._database, self._config, self._session = database, config, session
        self.changed: Callable[[], None] = lambda: None
        """Called when a partner has registered or left."""

    # --- as sender

    async def register(self, id_: str) -> Partner:
        """The partner, registered with the token that it handed over.

        Raises:
            NoSuchPartner, RegistrationFailed, CallFailed, OCPIRefused, StoreError.
        """
        partner = await self._database.read(lambda connection: store.partner_named(connection, id_))
        if partner.registered:
            raise RegistrationFailed("registered", f"partner {id_} is registered; `pnc-hub partners rotate` renews it")
        if partner.token_out is None or partner.url is None:
            message = f"partner {id_} has handed over no token; it registers itself with the one that it was given"
            raise RegistrationFailed("no-token", message)
        return await self._offer("POST", partner, partner.token_out)

    async def rotate(self, id_: str) -> Partner:
        """The registered partner with new tokens on both sides and its endpoints read anew. Raises as `register`."""
        partner = await self._database.read(lambda connection: store.partner_named(connection, id_))
        if not partner.registered or partner.token_out is None:
            raise RegistrationFailed("not-registered", f"partner {id_} is not registered; `pnc-hub partners register`")
        return await self._offer("PUT", partner, partner.token_out)

    async def _offer(self, method: str, partner: Partner, token: str) -> Partner:
        way = await find_way(partner, self._session, token, SPOKEN)
        ours = new_token()
        await self._database.write(
            lambda connection: store.issue_token(connection, partner.id, TokenKind.CREDENTIALS, token_hash(ours), now())
        )
        try:
            offered = self._offered(ours, way.version)
            client = PartnerClient(partner, self._session, token)
            reply = await client.ask(method, client.at(way.credentials_url), Question(document=offered))
            theirs = _credentials(unwrapped(reply.data, partner.quirks), way.version)
            done = self._registration(partner, theirs, way)
        except (HubError, OCPIRefused, MalformedValue):
            # A PUT that failed may have been done all the same: then the partner holds the new token, else the old one.
            if method == "POST":
                await self._database.write(lambda connection: store.end_token(connection, token_hash(ours)))
            raise
        kept = await self._database.write(lambda connection: self._keep(connection, partner.id, done, token_hash(ours)))
        self.changed()
        return kept

    async def leave(self, id_: str) -> None:
        """End the registration on both sides. Raises NoSuchPartner, StoreError; CallFailed when only ours is ended."""
        partner = await self._database.read(lambda connection: store.partner_named(connection, id_))
        await self._database.write(lambda connection: store.unregister(connection, id_, now()))
        self.changed()
        url = partner.endpoint(Module.CREDENTIALS, InterfaceRole.SENDER)
        if partner.registered and url is not None:
            client = PartnerClient(partner, self._session)
            await client.ask("DELETE", client.at(url))

    # --- as receiver

    async def accept(self, partner: Partner, document: Document, version: Version, *, anew: bool) -> Document:
        """The credentials that answer those a partner sent; `anew`: it is registered already.

        Raises:
            OCPIRefused: with the status to answer (3001, 3002, 3003, 2001), or HTTP 405.
            MalformedValue, StoreError.
        """
        theirs = _credentials(document, version)
        require_registered(theirs.url, partner.hosts)
        caller = replace(partner, url=theirs.url)
        try:
            way = await find_way(caller, self._session, theirs.token, (version,))
            done = self._registration(caller, theirs, way)
        except CallFailed as error:
            message = f"your versions cannot be read: {error}"
            raise OCPIRefused("no-call-back", "/url", message, status=StatusCode.CANNOT_USE_CLIENT_API) from error
        ours = new_token()

        def keep(connection: Connection) -> None:
            if store.partner_named(connection, partner.id).registered is not anew:
                raise not_allowed(registered=not anew)
            self._keep(connection, partner.id, done, token_hash(ours))

        await self._database.write(keep)
        self.changed()
        return self._offered(ours, version)

    def credentials(self, token: str, version: Version) -> Document:
        """Our credentials with the token that the partner has just shown."""
        return self._offered(token, version)

    async def withdraw(self, partner: Partner) -> None:
        """Do as a partner says that ends its registration. Raises StoreError."""
        await self._database.write(lambda connection: store.unregister(connection, partner.id, now()))
        self.changed()

    # --- both

    def _offered(self, token: str, version: Version) -> Document:
        hub = self._config.hub_party
        credentials = Credentials(
            token=token,
            url=f"{self._config.url}/versions",
            roles=self._config.credentials_roles(),
            hub_party_id=None if hub is None else f"{hub.country_code}{hub.party_id}",
        )
        return outward(version, Module.CREDENTIALS, document_of(credentials))

    def _registration(self, partner: Partner, theirs: Credentials, way: Way) -> Registration:
        """What the partner's credentials come to. Raises OCPIRefused."""
        require_token(theirs.token)
        require_registered(theirs.url, partner.hosts)
        hub = _hub_party(theirs)
        if hub is not None and self._config.owns(hub):
            raise OCPIRefused("foreign-party", "/hub_party_id", f"{hub} is a party of this platform")
        roles = tuple(one for one in theirs.roles if not self._config.owns(one.party))
        if len(roles) < len(theirs.roles) and hub is None:
            ours = ", ".join(str(one.party) for one in theirs.roles if one not in roles)
            raise OCPIRefused("foreign-party", "/roles", f"{ours} is a party of this platform")
        if not roles and hub is None:
            raise OCPIRefused("no-roles", "/roles", "at least one role is required")
        return Registration(
            url=theirs.url,
            token_out=theirs.token,
            version=way.version,
            endpoints=way.endpoints,
            roles=roles,
            hub_party=hub,
        )

    def _keep(self, connection: Connection, id_: str, done: Registration, hash_: str) -> Partner:
        at = now()
        if done.hub_party is None:
            _require_unclaimed(connection, id_, [one.party for one in done.roles], "/roles")
        else:
            _require_unclaimed(connection, id_, [done.hub_party], "/hub_party_id")
        store.register(connection, id_, done, at)
        store.end_tokens(connection, id_, kept=hash_)
        held = connection.execute("SELECT 1 FROM partner_tokens WHERE hash = ?", (hash_,)).fetchone()
        if held is None:
            store.issue_token(connection, id_, TokenKind.CREDENTIALS, hash_, at)
        partner = store.partner_named(connection, id_)
        if partner.hub_party is not None:
            publish_all(connection, partner, at)
        return partner


class RegistrationFailed(HubError):
    """Raised when a partner cannot be registered with as it stands; the code says why."""


def not_allowed(*, registered: bool) -> OCPIRefused:
    """The answer to a method of credentials that the partner's state does not allow: HTTP 405."""
    message = "you are registered already; renew credentials with PUT" if registered else "you are not registered yet"
    return OCPIRefused("bad-state", "credentials", message, status=StatusCode.CLIENT_ERROR, http=405)


def _require_unclaimed(connection: Connection, id_: str, parties: Sequence[PartyKey], where: str) -> None:
    for party in parties:
        if store.is_elsewhere(connection, party, id_):
            raise OCPIRefused("foreign-party", where, f"{party} is registered by another platform")


def _credentials(data: object, version: Version) -> Credentials:
    """Raises MalformedValue, OCPIRefused."""
    document = inward(version, Module.CREDENTIALS, data) if isinstance(data, dict) else data
    return view(document, Credentials, "credentials")


def _hub_party(theirs: Credentials) -> PartyKey | None:
    if theirs.hub_party_id is None:
        return None
    if len(theirs.hub_party_id) != 5:
        raise OCPIRefused("bad-hub-party", "/hub_party_id", "country code and party id in one are expected, as DEHUB")
    return PartyKey.of(theirs.hub_party_id[:2], theirs.hub_party_id[2:])
