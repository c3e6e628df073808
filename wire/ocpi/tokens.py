"""Tokens and what is said of them. Source: OCPI 2.3.0 mod_tokens."""

from __future__ import annotations

from wire.ocpi.types import DisplayText, OCPIValue, Owned, PartyKey
from wire.records import AllowedType, WhitelistType


class EnergyContract(OCPIValue, frozen=True, kw_only=True):
    """A driver's contract with a supplier of energy."""

    supplier_name: str
    contract_id: str | None = None


class Token(Owned, frozen=True, kw_only=True):
    """A token as its eMSP publishes it; `type` is open: AD_HOC_USER, APP_USER, EMAID, OTHER, RFID and what others add.
    Never deleted, only made invalid."""

    uid: str
    type: str
    contract_id: str
    issuer: str
    valid: bool
    whitelist: WhitelistType
    visual_number: str | None = None
    group_id: str | None = None
    language: str | None = None
    default_profile_type: str | None = None
    energy_contract: EnergyContract | None = None


class LocationReferences(OCPIValue, frozen=True, kw_only=True):
    """A location, and the EVSEs of it that are meant: all of them without any."""

    location_id: str
    evse_uids: tuple[str, ...] = ()


class AuthorizationInfo(OCPIValue, frozen=True, kw_only=True):
    """The answer to a real-time authorization; `location` names where the token may be used."""

    allowed: AllowedType
    token: Token
    location: LocationReferences | None = None
    authorization_reference: str | None = None
    info: DisplayText | None = None


class CdrToken(OCPIValue, frozen=True, kw_only=True):
    """The token of a session, as it was when the session began."""

    country_code: str
    party_id: str
    uid: str
    type: str
    contract_id: str

    @property
    def owner(self) -> PartyKey:
        """The eMSP whose driver charged."""
        return PartyKey.of(self.country_code, self.party_id)
