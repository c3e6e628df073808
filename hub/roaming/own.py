"""What this deployment is to its partners: its parties, its locations, and which gateway stands behind an EVSE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.config_source import Address, TLSFiles
from wire.ocpi.locations import Location
from wire.ocpi.partners import CredentialsRole
from wire.ocpi.types import BusinessDetails, PartyKey, Role
from wire.settling.objects import OwnEVSE


@dataclass(frozen=True, slots=True)
class OwnParty:
    """A party of this deployment. `help_phone` stands for its locations that give none."""

    party: PartyKey
    roles: tuple[Role, ...]
    name: str
    website: str | None = None
    help_phone: str | None = None


@dataclass(frozen=True, slots=True)
class RoamingConfig:
    """What `[roaming]` of hub.toml says. `url` is the public one that all of OCPI is below, without a slash at its end.
    `ca` holds the roots that partners' certificates are of, None for those of the system. `hub_party`: this deployment
    is a hub under that name.

    The locations are templates: their EVSEs' status and all `last_updated` are given when they are published.
    """

    listen: Address
    tls: TLSFiles
    url: str
    parties: tuple[OwnParty, ...]
    ca: Path | None = None
    hub_party: PartyKey | None = None
    locations: tuple[Location, ...] = ()
    evses: tuple[OwnEVSE, ...] = ()
    _by_place: Mapping[tuple[str, str, int], OwnEVSE] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        found = {(one.place.gateway_id, one.place.charger_id.casefold(), one.place.evse_id): one for one in self.evses}
        object.__setattr__(self, "_by_place", found)

    def owns(self, party: PartyKey, role: Role | None = None) -> bool:
        """Whether the party is one of ours, in that role if one is given; the hub itself is ours too."""
        if role is None and party == self.hub_party:
            return True
        return any(own.party == party and (role is None or role in own.roles) for own in self.parties)

    def of_role(self, role: Role) -> tuple[PartyKey, ...]:
        """Our parties that have the role."""
        return tuple(own.party for own in self.parties if role in own.roles)

    def evse_at(self, gateway_id: str, charger_id: str, evse_id: int) -> OwnEVSE | None:
        """The EVSE that a gateway calls so."""
        return self._by_place.get((gateway_id, charger_id.casefold(), evse_id))

    def evses_of(self, owner: PartyKey | None, location_id: str) -> tuple[OwnEVSE, ...]:
        """The EVSEs of a location, of any of our parties without an `owner`."""
        return tuple(
            one
            for one in self.evses
            if one.location.id.casefold() == location_id.casefold() and (owner is None or one.location.owner == owner)
        )

    def credentials_roles(self) -> tuple[CredentialsRole, ...]:
        """Our parties in each of their roles, as credentials name them."""
        return tuple(
            CredentialsRole(
                role=role.value,
                business_details=BusinessDetails(name=own.name, website=own.website),
                party_id=own.party.party_id,
                country_code=own.party.country_code,
            )
            for own in self.parties
            for role in own.roles
        )
