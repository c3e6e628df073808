"""What the operator agreed: prices, and the public keys of the meters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from wire.records import CdrToken
from wire.settling.places import MeterPlace as MeterPlace
from wire.settling.tariffs import Assignment, EnergyPrice as EnergyPrice, TariffSnapshot, applicable, short_form


def only_utc(name: str) -> tzinfo | None:
    """UTC by its name: all that is known where nobody looks into tables of time zones."""
    return UTC if name == "UTC" else None


@dataclass(frozen=True, slots=True)
class Terms:
    """What turns a session into a charge detail record.

    `tariffs` are asked in their order, then `price`. `meter_keys` are the public keys, as text, that hub.toml pins to
    places; more are in the registry. A meter without either is judged with the key that its station sends, and the CDR
    says so. `max_power_w` is what the connector at a place can deliver, where that is known. `zone_named` is the time
    zone with a name of the IANA, None where this machine knows none.
    """

    price: EnergyPrice
    meter_keys: Mapping[MeterPlace, str] = field(default_factory=dict)
    max_power_w: Mapping[MeterPlace, int] = field(default_factory=dict)
    tariffs: tuple[Assignment, ...] = ()
    zone_named: Callable[[str], tzinfo | None] = only_utc

    def tariff_at(self, place: MeterPlace, token: CdrToken | None, at: datetime) -> TariffSnapshot:
        """The tariff of a session that begins at `at`."""
        return applicable(self.tariffs, place, token, at) or short_form(self.price)
