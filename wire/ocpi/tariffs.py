"""Tariffs: what charging costs, element by element. Source: OCPI 2.3.0 mod_tariffs."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from wire.ocpi.types import DisplayText, EnergyMix, Instant, OCPIValue, Owned, PriceLimit


class TariffDimension(StrEnum):
    """What a component charges for: kWh, once, hours without energy asked for, hours of charging or reservation."""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class TaxIncluded(StrEnum):
    """Whether the prices of a tariff's components hold the taxes."""

    YES = "YES"
    NO = "NO"
    NOT_APPLICABLE = "N/A"


class Reservation(StrEnum):
    """An element for a reservation, or for one that expired."""

    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"


class DayOfWeek(StrEnum):
    """A day of the week, in the charger's time zone."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class PriceComponent(OCPIValue, frozen=True, kw_only=True):
    """A price per kWh or hour, or once. `vat` in percent, None where it is unknown or not applicable; `step_size` in Wh
    or seconds."""

    type: TariffDimension
    price: Decimal
    step_size: int
    vat: Decimal | None = None


class TariffRestrictions(OCPIValue, frozen=True, kw_only=True):
    """When an element is active: all that is given must hold. Times and dates are local to the charger, `HH:MM` and
    `YYYY-MM-DD`; kWh, A (all phases), kW, seconds; what begins with `min` or `start` is inclusive, the others are not.
    """

    start_time: str | None = None
    end_time: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: tuple[DayOfWeek, ...] = ()
    reservation: Reservation | None = None


class TariffElement(OCPIValue, frozen=True, kw_only=True):
    """Components that are active together, and when."""

    price_components: tuple[PriceComponent, ...]
    restrictions: TariffRestrictions | None = None


class Tariff(Owned, frozen=True, kw_only=True):
    """What charging costs. `type` is AD_HOC_PAYMENT, PROFILE_CHEAP, PROFILE_FAST, PROFILE_GREEN or REGULAR; without one
    it is for all of them."""

    id: str
    currency: str
    elements: tuple[TariffElement, ...]
    tax_included: TaxIncluded
    type: str | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: str | None = None
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    start_date_time: Instant | None = None
    end_date_time: Instant | None = None
    energy_mix: EnergyMix | None = None
