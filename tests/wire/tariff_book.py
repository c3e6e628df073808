"""Tariffs and timelines for tests of pricing, in few words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.ocpi.tariffs import (
    PriceComponent,
    Tariff,
    TariffDimension,
    TariffElement,
    TariffRestrictions,
    TaxIncluded,
)

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 6, 15, 9, 30, tzinfo=BERLIN)
ENERGY, FLAT = TariffDimension.ENERGY, TariffDimension.FLAT
TIME, PARKING = TariffDimension.TIME, TariffDimension.PARKING_TIME


def component(kind: TariffDimension, price: str, vat: str | None = None, step: int = 1) -> PriceComponent:
    return PriceComponent(type=kind, price=Decimal(price), step_size=step, vat=None if vat is None else Decimal(vat))


def element(*components: PriceComponent, when: TariffRestrictions | None = None) -> TariffElement:
    return TariffElement(price_components=components, restrictions=when)


def tariff(*elements: TariffElement, tax_included: TaxIncluded = TaxIncluded.NO, **more: object) -> Tariff:
    known: dict[str, object] = {
        "country_code": "DE",
        "party_id": "ALL",
        "id": "12",
        "currency": "EUR",
        "last_updated": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Tariff(elements=elements, tax_included=tax_included, **{**known, **more})  # type: ignore[arg-type]


def minutes(number: float | int) -> timedelta:
    return timedelta(minutes=number)


def timeline(start: datetime, *parts: tuple[Use, int, str], amps: str | None = None) -> Timeline:
    """Segments one after the other: use, minutes, kWh."""
    segments, at = [], start
    for use, length, kwh in parts:
        end = at + minutes(length)
        current = Decimal(amps) if amps is not None and use is Use.CHARGING else None
        segments.append(Segment(begin=at, end=end, use=use, energy_wh=Decimal(kwh) * 1000, current_a=current))
        at = end
    return Timeline(segments=tuple(segments))


def charged(length: int = 60, kwh: str = "0", start: datetime = MONDAY) -> Timeline:
    return timeline(start, (Use.CHARGING, length, kwh))


def prices(values: Sequence[object]) -> list[str]:
    return [f"{value}" for value in values]
