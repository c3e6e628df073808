"""Tariffs and timelines that no price is made of: hostile ones cost no time, and each error names its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.wire.tariff_book import BERLIN, ENERGY, MONDAY, TIME, charged, component, element, minutes, tariff
from wire.errors import PricingError
from wire.ocpi.pricing import price_session
from wire.ocpi.pricing_pieces import MAX_WORK
from wire.ocpi.pricing_rules import MAX_COMPONENTS, MAX_ELEMENTS
from wire.ocpi.pricing_timeline import MAX_SEGMENTS, Segment, Timeline
from wire.ocpi.tariffs import Tariff, TariffRestrictions
from wire.ocpi.types import PriceLimit

D = Decimal
KWH = component(ENERGY, "0.25")
GOOD = tariff(element(KWH))


def restricted(**given: object) -> Tariff:
    return tariff(element(KWH, when=TariffRestrictions(**given)))  # type: ignore[arg-type]


def limits(low: PriceLimit | None, high: PriceLimit | None) -> Tariff:
    return tariff(element(KWH), min_price=low, max_price=high)


def limit(before: str, after: str | None = None) -> PriceLimit:
    return PriceLimit(before_taxes=D(before), after_taxes=None if after is None else D(after))


TARIFFS = {
    "no element": (tariff(), "too-many-elements", "$.elements"),
    "many elements": (tariff(*[element(KWH)] * (MAX_ELEMENTS + 1)), "too-many-elements", "$.elements"),
    "no component": (tariff(element()), "bad-component", "$.elements[0]"),
    "many components": (tariff(element(*[KWH] * (MAX_COMPONENTS + 1))), "bad-component", "$.elements[0]"),
    "step": (tariff(element(component(TIME, "1", step=-1))), "bad-component", "step_size"),
    "vat": (tariff(element(component(TIME, "1", "-100"))), "bad-component", "vat"),
    "huge price": (tariff(element(component(TIME, "1E+999999"))), "number-unusable", "price"),
    "tiny price": (tariff(element(component(TIME, "1E-999999"))), "number-unusable", "price"),
    "long price": (tariff(element(component(TIME, "1." + "1" * 60))), "number-unusable", "price"),
    "no number": (tariff(element(component(TIME, "NaN"))), "number-unusable", "price"),
    "time of day": (restricted(start_time="24:00"), "bad-restriction", "start_time"),
    "date": (restricted(end_date="2026-02-30"), "bad-restriction", "end_date"),
    "kwh": (restricted(min_kwh=D("Infinity")), "number-unusable", "min_kwh"),
    "negative limit": (limits(limit("-1"), None), "bad-limit", "$.min_price"),
    "limit below itself": (limits(None, limit("10", "9")), "bad-limit", "$.max_price"),
    "limits crossed": (limits(limit("10"), limit("9")), "bad-limit", "$.min_price"),
    "limits crossed after taxes": (limits(limit("1", "12"), limit("9", "11")), "bad-limit", "$.min_price"),
}


@pytest.mark.parametrize("name", TARIFFS)
def test_a_tariff_that_cannot_be_meant_is_refused(name: str) -> None:
    given, code, where = TARIFFS[name]
    with pytest.raises(PricingError) as caught:
        price_session(given, charged(kwh="20"), BERLIN)
    assert caught.value.code == code
    assert where in caught.value.where


def segments(change: Callable[[Segment, Segment], tuple[Segment, ...]]) -> Timeline:
    first = Segment(begin=MONDAY, end=MONDAY + minutes(10))
    return Timeline(segments=change(first, Segment(begin=first.end, end=first.end + minutes(10))))


TIMELINES = {
    "nothing": (Timeline(segments=()), "no-timeline"),
    "overlap": (segments(lambda a, b: (a, replace(b, begin=MONDAY))), "timeline-order"),
    "backwards": (segments(lambda a, b: (replace(a, end=MONDAY - minutes(1)), b)), "timeline-order"),
    "no offset": (segments(lambda a, b: (replace(a, begin=datetime(2026, 6, 15)),)), "timeline-order"),  # noqa: DTZ001
    "gap": (segments(lambda a, b: (a, replace(b, begin=a.end + minutes(1)))), "timeline-gap"),
    "many": (Timeline(segments=(Segment(begin=MONDAY, end=MONDAY),) * (MAX_SEGMENTS + 1)), "too-many-segments"),
    "energy": (segments(lambda a, b: (replace(a, energy_wh=D("sNaN")), b)), "number-unusable"),
}


@pytest.mark.parametrize("name", TIMELINES)
def test_a_timeline_that_contradicts_itself_is_refused(name: str) -> None:
    given, code = TIMELINES[name]
    with pytest.raises(PricingError) as caught:
        price_session(GOOD, given, BERLIN)
    assert caught.value.code == code


def test_local_times_over_years_or_at_the_end_of_the_calendar_are_refused() -> None:
    nights = restricted(start_time="22:00")
    long = Timeline(segments=(Segment(begin=MONDAY, end=MONDAY + timedelta(days=500)),))
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    end = Timeline(segments=(Segment(begin=last, end=last + minutes(30)),))
    for given in (long, end):
        with pytest.raises(PricingError) as caught:
            price_session(nights, given, BERLIN)
        assert caught.value.code == "too-long"
        assert price_session(GOOD, given, BERLIN).total.before_taxes == 0


def test_more_work_than_is_done_is_refused_and_not_done() -> None:
    crowd = tariff(*[element(KWH, when=TariffRestrictions(min_kwh=D(number))) for number in range(1, MAX_ELEMENTS)])
    up_and_down = [D(10**6) if number % 2 else D(-(10**6)) for number in range(MAX_SEGMENTS)]
    given = Timeline(segments=tuple(Segment(begin=MONDAY, end=MONDAY, energy_wh=energy) for energy in up_and_down))
    with pytest.raises(PricingError, match=f"{MAX_WORK}") as caught:
        price_session(crowd, given, BERLIN)
    assert caught.value.code == "too-much-work"


def test_a_crowd_of_local_times_over_months_is_refused_and_not_looked_for() -> None:
    times = (f"{minute // 60:02}:{minute % 60:02}" for minute in range(MAX_ELEMENTS))
    crowd = tariff(*[element(KWH, when=TariffRestrictions(start_time=at)) for at in times])
    with pytest.raises(PricingError, match="local times") as caught:
        price_session(crowd, Timeline(segments=(Segment(begin=MONDAY, end=MONDAY + timedelta(days=300)),)), BERLIN)
    assert caught.value.code == "too-much-work"
    assert price_session(crowd, charged(60), BERLIN).total.before_taxes == 0
