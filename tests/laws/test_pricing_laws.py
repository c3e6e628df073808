"""Laws of pricing, over tariffs and sessions of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given, strategies as st

from tests.wire.tariff_book import BERLIN, component, element, tariff
from wire.ocpi.pricing import price_session
from wire.ocpi.pricing_amounts import Rounding, after_taxes, summed
from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.ocpi.tariffs import (
    DayOfWeek,
    PriceComponent,
    Reservation,
    Tariff,
    TariffDimension,
    TariffElement,
    TariffRestrictions,
    TaxIncluded,
)
from wire.ocpi.types import PriceLimit

D = Decimal
MONEY = st.integers(0, 400).map(lambda cents: D(cents).scaleb(-2))
STARTS = st.sampled_from(
    [
        datetime(2026, 3, 28, 20, 10, tzinfo=BERLIN),  # a night that lacks an hour
        datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN),  # a night that has one twice
        datetime(2026, 6, 14, 23, 40, tzinfo=BERLIN),
    ]
)
HOURS = st.integers(0, 23).map(lambda hour: f"{hour:02}:30")


@st.composite
def components(draw: st.DrawFn) -> PriceComponent:
    kind = draw(st.sampled_from(TariffDimension))
    vat = draw(st.sampled_from([None, "0", "7", "19"]))
    return component(kind, str(draw(MONEY)), vat, draw(st.sampled_from([0, 1, 60, 600])))


@st.composite
def restrictions(draw: st.DrawFn) -> TariffRestrictions | None:
    kind = draw(st.sampled_from(["none", "time", "days", "kwh", "power", "duration", "reservation"]))
    if kind == "time":
        return TariffRestrictions(start_time=draw(HOURS), end_time=draw(HOURS))
    if kind == "days":
        return TariffRestrictions(day_of_week=(draw(st.sampled_from(DayOfWeek)),))
    if kind == "kwh":
        return TariffRestrictions(min_kwh=D(draw(st.integers(0, 20))), max_kwh=D(draw(st.integers(0, 30))))
    if kind == "power":
        return TariffRestrictions(min_power=D(draw(st.integers(0, 10))))
    if kind == "duration":
        return TariffRestrictions(max_duration=draw(st.integers(0, 30_000)))
    return TariffRestrictions(reservation=draw(st.sampled_from(Reservation))) if kind == "reservation" else None


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    elements: list[TariffElement] = [
        element(*draw(st.lists(components(), min_size=1, max_size=3)), when=draw(restrictions()))
        for _ in range(draw(st.integers(1, 4)))
    ]
    low = draw(st.none() | MONEY.map(lambda money: PriceLimit(before_taxes=money)))
    high = draw(st.none() | MONEY.map(lambda money: PriceLimit(before_taxes=money + 4, after_taxes=money + 5)))
    included = draw(st.sampled_from(TaxIncluded))
    return tariff(*elements, tax_included=included, min_price=low, max_price=high)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """A reservation perhaps, then charging and parking; each segment has whole Wh for each of its minutes."""
    at = draw(STARTS).astimezone(UTC)
    uses = draw(st.lists(st.sampled_from([Use.CHARGING, Use.PARKING]), min_size=1, max_size=4))
    if draw(st.booleans()):
        uses = [Use.RESERVED, *uses]
    segments = []
    for use in uses:
        length = draw(st.integers(1, 300))
        wh = D(length * draw(st.integers(0, 400))) if use is Use.CHARGING else D(0)
        segments.append(Segment(begin=at, end=at + timedelta(minutes=length), use=use, energy_wh=wh))
        at = segments[-1].end
    return Timeline(segments=tuple(segments))


def split(timeline: Timeline, number: int, minute: int) -> Timeline:
    """The timeline with one segment cut at a whole minute of it."""
    which = number % len(timeline.segments)
    segment = timeline.segments[which]
    length = (segment.end - segment.begin) // timedelta(minutes=1)
    at = minute % (length + 1)
    middle = segment.begin + timedelta(minutes=at)
    wh = segment.energy_wh * at / length
    parts = (
        Segment(begin=segment.begin, end=middle, use=segment.use, energy_wh=wh),
        Segment(begin=middle, end=segment.end, use=segment.use, energy_wh=segment.energy_wh - wh),
    )
    return Timeline(segments=(*timeline.segments[:which], *parts, *timeline.segments[which + 1 :]))


@given(tariffs(), timelines(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 300)), max_size=1))
def test_cutting_a_session_further_changes_nothing(
    tariff_: Tariff, timeline: Timeline, cuts: list[tuple[int, int]]
) -> None:
    whole = price_session(tariff_, timeline, BERLIN)
    for number, minute in cuts:
        timeline = split(timeline, number, minute)
    assert price_session(tariff_, timeline, BERLIN) == whole


@given(tariffs(), timelines(), st.sampled_from([Rounding(), Rounding(places=2), Rounding(places=0)]))
def test_the_sum_of_the_parts_is_the_total(tariff_: Tariff, timeline: Timeline, rounding: Rounding) -> None:
    priced = price_session(tariff_, timeline, BERLIN, rounding)
    subtotal = summed(priced.parts.values())
    assert subtotal == summed(line.cost for line in priced.lines)
    whole = subtotal if priced.adjustment is None else summed((subtotal, priced.adjustment))
    assert whole.before_taxes == priced.total.before_taxes
    assert after_taxes(whole) == after_taxes(priced.total)


@given(tariffs(), timelines())
def test_the_limits_hold(tariff_: Tariff, timeline: Timeline) -> None:
    priced = price_session(tariff_, timeline, BERLIN)
    low, high = tariff_.min_price, tariff_.max_price
    if low is not None and (high is None or low.before_taxes <= high.before_taxes):
        assert priced.total.before_taxes >= low.before_taxes
    if high is not None and high.after_taxes is not None:
        assert priced.total.before_taxes <= high.before_taxes
        assert after_taxes(priced.total) <= high.after_taxes
    assert after_taxes(priced.total) >= priced.total.before_taxes


@given(tariffs(), timelines(), st.integers(1, 5))
def test_more_energy_never_costs_less(tariff_: Tariff, timeline: Timeline, times: int) -> None:
    """Of tariffs that ask for energy in one band only, without steps and limits: by the specification's arithmetic a
    step, a cheaper band or a limit may make more energy cheaper."""
    plain = [
        element(
            *(msgspec.structs.replace(one, step_size=0) for one in each.price_components),
            when=each.restrictions if each.restrictions and each.restrictions.start_time else None,
        )
        for each in tariff_.elements
    ]
    given_ = msgspec.structs.replace(tariff_, elements=tuple(plain), min_price=None, max_price=None)
    more = Timeline(
        segments=tuple(
            Segment(begin=one.begin, end=one.end, use=one.use, energy_wh=one.energy_wh * times)
            for one in timeline.segments
        )
    )
    before = price_session(given_, timeline, BERLIN).total
    assert price_session(given_, more, BERLIN).total.before_taxes >= before.before_taxes


@given(tariffs(), timelines())
def test_order_matters_only_where_two_elements_match(tariff_: Tariff, timeline: Timeline) -> None:
    """Elements that share no dimension may stand in any order."""
    alone: list[TariffElement] = []
    seen: set[TariffDimension] = set()
    for each in tariff_.elements:
        dimensions = {one.type for one in each.price_components}
        if not dimensions & seen:
            alone.append(each)
            seen |= dimensions
    forth = msgspec.structs.replace(tariff_, elements=tuple(alone))
    back = msgspec.structs.replace(tariff_, elements=tuple(reversed(alone)))
    one, other = price_session(forth, timeline, BERLIN), price_session(back, timeline, BERLIN)
    assert one.total == other.total
    assert one.periods == other.periods


@given(tariffs(), timelines())
def test_volumes_of_the_periods_sum_to_the_session(tariff_: Tariff, timeline: Timeline) -> None:
    priced = price_session(tariff_, timeline, BERLIN)
    volumes: dict[str, Decimal] = {}
    for period in priced.periods:
        for one in period.dimensions:
            volumes[one.type.value] = volumes.get(one.type.value, D(0)) + one.volume
    assert volumes["ENERGY"] == priced.energy == timeline.energy_wh / 1000
    hours = volumes.get("TIME", D(0)) + volumes.get("PARKING_TIME", D(0))
    assert abs(hours - priced.time) <= D("0.0001")


@given(tariffs(), timelines())
def test_no_float_is_anywhere(tariff_: Tariff, timeline: Timeline) -> None:
    priced = price_session(tariff_, timeline, BERLIN)
    assert not list(_floats(priced))


def _floats(value: object) -> list[object]:
    if isinstance(value, float | Fraction):
        return [value]
    if isinstance(value, dict):
        return [found for each in value.values() for found in _floats(each)]
    if isinstance(value, tuple | list):
        return [found for each in value for found in _floats(each)]
    if isinstance(value, msgspec.Struct):
        return [found for name in value.__struct_fields__ for found in _floats(getattr(value, name))]
    if hasattr(value, "__dataclass_fields__"):
        return [found for name in value.__dataclass_fields__ for found in _floats(getattr(value, name))]
    return []
