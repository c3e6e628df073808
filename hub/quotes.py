"""What a driver is shown before the start: the tariff in words, and what its eMSP adds. Pure.

Rules
1. A quote names the tariff by the hash of its content, so that at settlement it is certain whether the same is billed.
2. The text says each price with its unit and when it holds; what the operator wrote beside it (`tariff_alt_text`)
   follows. Nothing is rounded or left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TariffElement, TariffRestrictions, TaxIncluded
from wire.records import PriceQuote
from wire.settling.tariffs import TariffSnapshot

COMMAND = "command"
_PER = {TariffDimension.ENERGY: " per kWh", TariffDimension.TIME: " per hour of charging"}
_UNIT = {TariffDimension.ENERGY: "Wh", TariffDimension.TIME: "s", TariffDimension.PARKING_TIME: "s"}
_TAXES = {
    TaxIncluded.YES: "taxes included",
    TaxIncluded.NO: "before taxes",
    TaxIncluded.NOT_APPLICABLE: "no taxes",
}


def quote_of(
    snapshot: TariffSnapshot, quote_id: str, at: datetime, shown_by: str, markup: str | None = None
) -> PriceQuote:
    """What is shown of a tariff; `markup` is what the eMSP adds, in its words."""
    added = "" if not markup else f"; your provider adds {markup}"
    return PriceQuote(
        quote_id=quote_id,
        at=at,
        tariff_id=snapshot.tariff.id,
        tariff_hash=snapshot.hash,
        currency=snapshot.tariff.currency,
        text=tariff_text(snapshot) + added,
        shown_by=shown_by,
        markup=markup or None,
    )


def tariff_text(snapshot: TariffSnapshot, language: str = "en") -> str:
    """A tariff in one line."""
    tariff = snapshot.tariff
    parts = [text for element in tariff.elements for text in _element(element, tariff)]
    for limit, word in ((tariff.min_price, "at least"), (tariff.max_price, "at most")):
        if limit is not None:
            parts.append(f"{word} {limit.before_taxes:f} {tariff.currency} before taxes")
    zone = f" (times as in {snapshot.time_zone})" if any(element.restrictions for element in tariff.elements) else ""
    told = "; ".join(parts) or "free"
    more = [text.text for text in tariff.tariff_alt_text if text.language == language] or [
        text.text for text in tariff.tariff_alt_text[:1]
    ]
    return f"{told}, {_TAXES[tariff.tax_included]}{zone}{'. ' if more else ''}{' '.join(more)}"


def _element(element: TariffElement, tariff: Tariff) -> Iterator[str]:
    when = when_text(element.restrictions)
    for component in element.price_components:
        if component.price or component.type is not TariffDimension.FLAT:
            yield f"{component_text(component, tariff.currency, element.restrictions)}{when}"


def component_text(component: PriceComponent, currency: str, given: TariffRestrictions | None = None) -> str:
    """A price with its unit, tax and step: `0.25 EUR per kWh plus 10 % VAT in steps of 100 Wh`."""
    per = _PER.get(component.type, " per hour of parking")
    if given is not None and given.reservation is not None and component.type is TariffDimension.TIME:
        per = " per hour of reservation"
    if component.type is TariffDimension.FLAT:
        per = " once"
    vat = "" if component.vat is None else f", {component.vat:f} % VAT"
    step = f", in steps of {component.step_size} {_UNIT[component.type]}" if component.type in _UNIT else ""
    return f"{component.price:f} {currency}{per}{vat}{step if component.step_size > 1 else ''}"


def when_text(given: TariffRestrictions | None) -> str:
    """When an element holds, in words with a blank before them; empty for always."""
    if given is None:
        return ""
    parts = [
        _between(given.start_time, given.end_time, "from", "until", ""),
        _between(given.start_date, given.end_date, "from", "before", ""),
        _between(given.min_kwh, given.max_kwh, "from", "below", " kWh"),
        _between(given.min_power, given.max_power, "from", "below", " kW"),
        _between(given.min_current, given.max_current, "from", "below", " A"),
        _between(given.min_duration, given.max_duration, "after", "before", " s"),
        ", ".join(day.value.capitalize() for day in given.day_of_week),
        "" if given.reservation is None else given.reservation.value.lower().replace("_", " that "),
    ]
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _between(low: object, high: object, from_: str, until: str, unit: str) -> str:
    parts = ((from_, low), (until, high))
    return " ".join(f"{word} {value}{unit}" for word, value in parts if value is not None)
