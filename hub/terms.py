"""What the operator agreed: the price of energy, and the public keys of the meters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from wire.meter.registry import KeyPlace


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

    @property
    def named(self) -> KeyPlace:
        """The place as the registry of keys has it."""
        return KeyPlace(gateway_id=self.gateway_id, charger_id=self.charger_id.casefold(), evse_id=self.evse_id)


@dataclass(frozen=True, slots=True)
class Terms:
    """What turns a session into a charge detail record.

    `meter_keys` are the public keys, as text, that hub.toml pins to places; more are in the registry. A meter without
    either is judged with the key that its station sends, and the CDR says so. `max_power_w` is what the connector at a
    place can deliver, where that is known.
    """

    price: EnergyPrice
    meter_keys: Mapping[MeterPlace, str] = field(default_factory=dict)
    max_power_w: Mapping[MeterPlace, int] = field(default_factory=dict)
