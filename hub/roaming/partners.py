"""A partner: another platform that speaks OCPI with this one, and what both agreed on.

Rules
1. A partner is entered by the operator, with the hosts that it may be called at; it registers itself with a token that
   was handed over outside of OCPI, or is registered with at its versions URL with the token that it handed over.
2. Of tokens that we issued only the SHA-256 is kept. One for registration opens versions and credentials only; it ends
   when the registration is done, and another one ends when it is replaced.
3. The parties of a partner are those of its credentials; of a hub also those whose state it told by HubClientInfo, but
   none that is connected to us by itself.
4. Behind a hub each party speaks for itself alone: what the hub says to be from one is in no other's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wire.ocpi.partners import ConnectionStatus, CredentialsRole, Endpoint
from wire.ocpi.quirks import Quirks
from wire.ocpi.types import InterfaceRole, Module, PartyKey, Role, Version


class TokenKind(StrEnum):
    """What a token that we issued opens: registration only, or everything."""

    REGISTRATION = "registration"
    CREDENTIALS = "credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A platform. `url` is that of its versions, `hosts` are the places that it may be called at (`https://HOST:PORT`).
    `token_out` is what we show it. `version`, `endpoints` and `roles` are those of its registration."""

    id: str
    name: str
    hosts: tuple[str, ...]
    added_at: datetime
    url: str | None = None
    token_out: str | None = None
    version: Version | None = None
    endpoints: tuple[Endpoint, ...] = ()
    roles: tuple[CredentialsRole, ...] = ()
    quirks: Quirks = field(default_factory=Quirks)
    status: ConnectionStatus = ConnectionStatus.PLANNED
    hub_party: PartyKey | None = None
    registered_at: datetime | None = None
    last_seen: datetime | None = None

    @property
    def registered(self) -> bool:
        """Whether credentials were exchanged."""
        return self.registered_at is not None

    @property
    def can_be_sent_to(self) -> bool:
        """Whether calls make sense now: registered, and neither offline nor suspended."""
        return self.registered and self.status is ConnectionStatus.CONNECTED

    def endpoint(self, module: Module | str, role: InterfaceRole) -> str | None:
        """The URL of one side of a module; that of credentials whatever role the partner gave it."""
        for one in self.endpoints:
            if one.identifier == module and (one.role is role or module == Module.CREDENTIALS):
                return one.url
        return None

    def has(self, party: PartyKey, role: Role | None = None) -> bool:
        """Whether the party is one of its credentials, in that role if one is given."""
        return any(one.party == party and role in (None, one.role) for one in self.roles)

    @property
    def parties(self) -> tuple[PartyKey, ...]:
        """The parties of its credentials, each once."""
        return tuple(dict.fromkeys(one.party for one in self.roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What an exchange of credentials came to."""

    url: str
    token_out: str
    version: Version
    endpoints: tuple[Endpoint, ...]
    roles: tuple[CredentialsRole, ...]
    hub_party: PartyKey | None
