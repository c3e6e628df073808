"""The types that OCPI's objects are made of.

Rules
1. A closed set is an Enum. What OCPI calls an OpenEnum is `str`: a value that nobody here knows must survive.
2. Numbers are Decimal, never float. Instants are aware datetimes in UTC.
3. A field that a peer may leave out has a default; a list that may be empty is an empty tuple.

Source: OCPI 2.3.0 types.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""An aware datetime. `view` makes one of a text without an offset too, which is UTC in OCPI."""


class OCPIValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What crosses the wire; a field that holds its default is not written."""


class DisplayText(OCPIValue, frozen=True, kw_only=True):
    """A text in one language (ISO 639-1), at most 512 characters, no markup."""

    language: str
    text: str


class TaxAmount(OCPIValue, frozen=True, kw_only=True):
    """One tax of a price; `percentage` where there is one."""

    name: str
    amount: Decimal
    account_number: str | None = None
    percentage: Decimal | None = None


class Price(OCPIValue, frozen=True, kw_only=True):
    """An amount and the taxes on it; its currency stands in the object that holds it."""

    before_taxes: Decimal
    taxes: tuple[TaxAmount, ...] = ()

    @property
    def after_taxes(self) -> Decimal:
        """The amount with all its taxes."""
        return self.before_taxes + sum((tax.amount for tax in self.taxes), Decimal(0))


class PriceLimit(OCPIValue, frozen=True, kw_only=True):
    """A bound on a price, before and after taxes; each holds by itself."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


class Role(StrEnum):
    """What a party does. HUB is a role in 2.2.1 only; in 2.3.0 a hub is named by `hub_party_id`."""

    CPO = "CPO"
    EMSP = "EMSP"
    HUB = "HUB"
    NAP = "NAP"
    NSP = "NSP"
    OTHER = "OTHER"
    SCSP = "SCSP"


class InterfaceRole(StrEnum):
    """On which side of a module an endpoint stands: who owns the objects is the sender."""

    SENDER = "SENDER"
    RECEIVER = "RECEIVER"


class Module(StrEnum):
    """The modules that are spoken here; others are kept in endpoint lists as they came."""

    CDRS = "cdrs"
    CHARGING_PROFILES = "chargingprofiles"
    COMMANDS = "commands"
    CREDENTIALS = "credentials"
    HUB_CLIENT_INFO = "hubclientinfo"
    INVOICE_RECONCILIATION = "invoicereconciliation"
    LOCATIONS = "locations"
    SESSIONS = "sessions"
    TARIFFS = "tariffs"
    TOKENS = "tokens"


class Version(StrEnum):
    """The versions that are spoken here."""

    V2_2_1 = "2.2.1"
    V2_3_0 = "2.3.0"


class Image(OCPIValue, frozen=True, kw_only=True):
    """Where an image lies, and what it shows."""

    url: str
    category: str
    type: str
    thumbnail: str | None = None
    width: int | None = None
    height: int | None = None


class BusinessDetails(OCPIValue, frozen=True, kw_only=True):
    """A party as its customers know it."""

    name: str
    website: str | None = None
    logo: Image | None = None


class EnergySource(OCPIValue, frozen=True, kw_only=True):
    """A share of the energy, in percent."""

    source: str
    percentage: Decimal


class EnvironmentalImpact(OCPIValue, frozen=True, kw_only=True):
    """What a kWh costs the environment, in g/kWh."""

    category: str
    amount: Decimal


class EnergyMix(OCPIValue, frozen=True, kw_only=True):
    """Where the energy comes from."""

    is_green_energy: bool
    energy_sources: tuple[EnergySource, ...] = ()
    environ_impact: tuple[EnvironmentalImpact, ...] = ()
    supplier_name: str | None = None
    energy_product_name: str | None = None


class PartyKey(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A party: country code and party id in capitals, as they are compared; nothing is said of its role."""

    country_code: str
    party_id: str

    @classmethod
    def of(cls, country_code: str, party_id: str) -> PartyKey:
        """The key of a party however it is spelt."""
        return cls(country_code=country_code.upper(), party_id=party_id.upper())

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}"


class Owned(OCPIValue, frozen=True, kw_only=True):
    """An object of a party, which alone changes it."""

    country_code: str
    party_id: str
    last_updated: Instant

    @property
    def owner(self) -> PartyKey:
        """Whose it is."""
        return PartyKey.of(self.country_code, self.party_id)
