"""How platforms find and know each other: versions, endpoints, credentials, who is connected.

Source: OCPI 2.3.0 version_information_endpoint, credentials, mod_hub_client_info.
"""

from __future__ import annotations

from enum import StrEnum

from wire.ocpi.types import BusinessDetails, Instant, InterfaceRole, OCPIValue, PartyKey


class VersionLink(OCPIValue, frozen=True, kw_only=True):
    """A version that a platform speaks, and where its details are."""

    version: str
    url: str


class Endpoint(OCPIValue, frozen=True, kw_only=True):
    """One side of a module at a platform; `identifier` is open."""

    identifier: str
    role: InterfaceRole
    url: str


class VersionDetails(OCPIValue, frozen=True, kw_only=True):
    """All endpoints of a version."""

    version: str
    endpoints: tuple[Endpoint, ...]


class CredentialsRole(OCPIValue, frozen=True, kw_only=True):
    """A party of a platform in one of its roles (open)."""

    role: str
    business_details: BusinessDetails
    party_id: str
    country_code: str

    @property
    def party(self) -> PartyKey:
        """Which party."""
        return PartyKey.of(self.country_code, self.party_id)


class Credentials(OCPIValue, frozen=True, kw_only=True):
    """What a platform needs to call another: a token of U+0021 to U+007E, at most 64, and the URL of its versions.
    `hub_party_id` is country code and party id in one, of a hub only."""

    token: str
    url: str
    roles: tuple[CredentialsRole, ...]
    hub_party_id: str | None = None


class ConnectionStatus(StrEnum):
    """How a party is reached by the hub: only CONNECTED ones are sent to."""

    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    PLANNED = "PLANNED"
    SUSPENDED = "SUSPENDED"


class ClientInfo(OCPIValue, frozen=True, kw_only=True):
    """A party that a hub knows, and how it is reached."""

    party_id: str
    country_code: str
    role: str
    status: ConnectionStatus
    last_updated: Instant

    @property
    def party(self) -> PartyKey:
        """Which party."""
        return PartyKey.of(self.country_code, self.party_id)
