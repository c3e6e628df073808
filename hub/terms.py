"""What the operator agreed: the price of energy, and the public keys of the meters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class EnergyPrice:
    """One price for every session: `currency` per kWh plus a fee per session, before taxes."""

    currency: str
    energy_per_kwh: Decimal
    session_fee: Decimal


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """Where a meter is mounted."""

    gateway_id: str
    charger_id: str
    evse_id: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What turns a session into a charge detail record.

    `meter_keys` is the registry: the public key, as text, of the meter at a place. A place that is not listed is judged
    with the key the charger claims, and the CDR says so.
    """

    price: EnergyPrice
    meter_keys: Mapping[MeterPlace, str] = field(default_factory=dict)
