"""Charging periods: what was used from one moment to the next. Source: OCPI 2.3.0 mod_cdrs."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from wire.ocpi.types import Instant, OCPIValue


class CdrDimensionType(StrEnum):
    """What a volume counts: kWh, kW, A or hours; the last five in sessions only."""

    ENERGY = "ENERGY"
    MAX_CURRENT = "MAX_CURRENT"
    MIN_CURRENT = "MIN_CURRENT"
    MAX_POWER = "MAX_POWER"
    MIN_POWER = "MIN_POWER"
    PARKING_TIME = "PARKING_TIME"
    RESERVATION_TIME = "RESERVATION_TIME"
    TIME = "TIME"
    CURRENT = "CURRENT"
    ENERGY_EXPORT = "ENERGY_EXPORT"
    ENERGY_IMPORT = "ENERGY_IMPORT"
    POWER = "POWER"
    STATE_OF_CHARGE = "STATE_OF_CHARGE"


class CdrDimension(OCPIValue, frozen=True, kw_only=True):
    """A volume of one dimension."""

    type: CdrDimensionType
    volume: Decimal


class ChargingPeriod(OCPIValue, frozen=True, kw_only=True):
    """What happened from `start_date_time` until the next period, the last one until the session's end."""

    start_date_time: Instant
    dimensions: tuple[CdrDimension, ...]
    tariff_id: str | None = None
