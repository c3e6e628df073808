"""What sessions cost, example by example; the numbers are those of the worked examples in OCPI 2.3.0 mod_tariffs and
mod_cdrs, which are facts, told here in our own tariffs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from tests.wire.tariff_book import (
    BERLIN,
    ENERGY,
    FLAT,
    MONDAY,
    PARKING,
    TIME,
    charged,
    component,
    element,
    minutes,
    tariff,
    timeline,
)
from wire.ocpi.pricing import Part, Priced, choose_tariff, price_session
from wire.ocpi.pricing_amounts import Rounding, after_taxes
from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.ocpi.tariffs import DayOfWeek, Reservation, Tariff, TariffRestrictions, TaxIncluded
from wire.ocpi.types import PriceLimit

D = Decimal
RESERVED, EXPIRES = Reservation.RESERVATION, Reservation.RESERVATION_EXPIRES
WEEKDAYS = tuple(DayOfWeek)[:5]
CHARGE, PARK, RESERVE, EXPIRED = Use.CHARGING, Use.PARKING, Use.RESERVED, Use.EXPIRED


def limit(before: str, after: str | None = None) -> PriceLimit:
    return PriceLimit(before_taxes=D(before), after_taxes=None if after is None else D(after))


def when(**restrictions: object) -> TariffRestrictions:
    return TariffRestrictions(**restrictions)  # type: ignore[arg-type]


def only(reservation: Reservation) -> TariffRestrictions:
    return TariffRestrictions(reservation=reservation)


def local(hour: int, minute: int, day: int = 15) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=BERLIN)


def costs(priced: Priced) -> tuple[Decimal, Decimal]:
    return priced.total.before_taxes, after_taxes(priced.total)


KWH = component(ENERGY, "0.25", "10")
START = component(FLAT, "0.50", "20")
SIMPLE = tariff(element(KWH))
WITH_START = tariff(element(START, KWH))
CAPPED = tariff(element(START, KWH), max_price=limit("10", "11"))
AT_LEAST = tariff(element(KWH), min_price=limit("0.50", "0.55"))
PARKED = tariff(element(START, KWH, component(PARKING, "2", "20", 900)))
HOURLY = tariff(element(component(TIME, "2", "10", 60)))
TWO_CLOCKS = tariff(element(component(TIME, "3", "10", 60), component(PARKING, "5", "20", 300)))
AD_HOC = tariff(element(component(TIME, "1.90", "5.2", 300)), type="AD_HOC_PAYMENT")
STEPPED = tariff(element(START, component(ENERGY, "0.25", "10", 100)), type="PROFILE_CHEAP")


def complex_tariff(weekend: str) -> Tariff:
    """Example tariff_4. 114 minutes at its 1.25 an hour are 2.375; its table says 2.28, which is 1.20 an hour."""
    return tariff(
        element(component(FLAT, "2.50", "15")),
        element(component(TIME, "1.00", "20", 900), when=when(max_current=D(32))),
        element(component(TIME, "2.00", "20", 600), when=when(min_current=D(32), day_of_week=WEEKDAYS)),
        element(component(TIME, weekend, "20", 600), when=when(min_current=D(32), day_of_week=tuple(DayOfWeek)[5:])),
        element(
            component(PARKING, "5", "10", 300), when=when(start_time="09:00", end_time="18:00", day_of_week=WEEKDAYS)
        ),
        element(
            component(PARKING, "6", "10", 300),
            when=when(start_time="10:00", end_time="17:00", day_of_week=(DayOfWeek.SATURDAY,)),
        ),
    )


COMPLEX = complex_tariff("1.25")
SWITCHING = tariff(
    element(
        component(TIME, "1.20", step=1800),
        component(PARKING, "1", step=900),
        when=when(start_time="00:00", end_time="17:00"),
    ),
    element(
        component(TIME, "2.40", step=900),
        component(PARKING, "1", step=900),
        when=when(start_time="17:00", end_time="20:00"),
    ),
    element(component(TIME, "2.40", step=900), when=when(start_time="20:00", end_time="00:00")),
)


def reserved(*reservation: object) -> Tariff:
    return tariff(*reservation, element(START, KWH))  # type: ignore[arg-type]


RESERVABLE = reserved(element(component(TIME, "5", "20", 60), when=only(RESERVED)))
RESERVATION_FEE = reserved(
    element(component(FLAT, "2", "20"), component(TIME, "5", "20", 300), when=only(RESERVED)),
)
EXPIRY_FEE = reserved(
    element(component(FLAT, "4", "20"), when=only(EXPIRES)),
    element(component(TIME, "2", "20", 600), when=only(RESERVED)),
)
EXPIRY_TIME = reserved(
    element(component(TIME, "6", "20", 600), when=only(EXPIRES)),
    element(component(TIME, "3", "20", 600), when=only(RESERVED)),
)
BY_POWER = tariff(
    element(component(ENERGY, "0.20", "20"), when=when(max_power=D(16))),
    element(component(ENERGY, "0.35", "20"), when=when(max_power=D(32))),
    element(component(ENERGY, "0.50", "20")),
)
BY_DURATION = tariff(
    element(component(ENERGY, "0", "20"), when=when(max_duration=1800)),
    element(component(ENERGY, "0.25", "20"), when=when(max_duration=3600)),
    element(component(ENERGY, "0.40", "20")),
)


@dataclass(frozen=True)
class Example:
    tariff: Tariff
    timeline: Timeline
    before: str
    after: str


def use(*parts: tuple[Use, int, str], start: datetime = MONDAY, amps: str | None = None) -> Timeline:
    return timeline(start, *parts, amps=amps)


SATURDAY = use((CHARGE, 114, "20"), (PARK, 71, "0"), start=local(13, 30, 20), amps="43")
EXAMPLES = {
    "tariff_8": Example(SIMPLE, charged(kwh="20"), "5.00", "5.50"),
    "tariff_9": Example(WITH_START, charged(kwh="20"), "5.50", "6.10"),
    "tariff_12": Example(AT_LEAST, charged(kwh="20"), "5.00", "5.50"),
    "tariff_12 under the minimum": Example(AT_LEAST, charged(kwh="1.999"), "0.50", "0.55"),
    "tariff_12 without energy": Example(AT_LEAST, charged(kwh="0"), "0.50", "0.55"),
    "tariff_10": Example(PARKED, use((CHARGE, 60, "20"), (PARK, 40, "0")), "7.00", "7.90"),
    "tariff_6 at its maximum": Example(CAPPED, charged(kwh="50"), "10.00", "11.00"),
    "tariff_6": Example(CAPPED, charged(kwh="30"), "8.00", "8.85"),
    "tariff_1": Example(HOURLY, charged(150), "5.00", "5.50"),
    "tariff_19": Example(tariff(element(component(TIME, "2")), currency="CAD"), charged(150), "5.00", "5.00"),
    "tariff_20": Example(
        tariff(element(component(TIME, "2.10", step=60)), tax_included=TaxIncluded.YES), charged(150), "5.25", "5.25"
    ),
    "tariff_13": Example(TWO_CLOCKS, use((CHARGE, 150, "20"), (PARK, 42, "0")), "11.25", "12.75"),
    "tariff_2, 5.00 when rounded": Example(AD_HOC, charged(150), "4.75", "4.997"),
    "tariff_3 as its prose has it, 5.63 and 6.24 rounded": Example(STEPPED, charged(kwh="20.45"), "5.625", "6.2375"),
    "tariff_4 on a Monday": Example(COMPLEX, use((CHARGE, 165, "20"), (PARK, 42, "0"), amps="16"), "9.00", "10.30"),
    "tariff_4 on a Saturday, by its price": Example(COMPLEX, SATURDAY, "12.375", "13.975"),
    "tariff_4 on a Saturday, by its table": Example(complex_tariff("1.20"), SATURDAY, "12.28", "13.861"),
    "tariff_14 before and after five": Example(
        SWITCHING, use((CHARGE, 10, "2"), (PARK, 2, "0"), start=local(16, 55)), "0.55", "0.55"
    ),
    "tariff_14 no parking": Example(SWITCHING, use((CHARGE, 35, "2"), start=local(16, 35)), "1.30", "1.30"),
    "tariff_14 parking that becomes free": Example(
        SWITCHING, use((CHARGE, 12, "2"), (PARK, 20, "0"), start=local(19, 40)), "0.73", "0.73"
    ),
    "tariff_5": Example(tariff(element(component(FLAT, "0"))), charged(kwh="20"), "0", "0"),
    "tariff_15": Example(RESERVABLE, use((RESERVE, 15, "0"), (CHARGE, 60, "20")), "6.75", "7.60"),
    "tariff_16": Example(RESERVATION_FEE, use((RESERVE, 13, "0"), (CHARGE, 60, "20")), "8.75", "10.00"),
    "tariff_17": Example(EXPIRY_FEE, use((RESERVE, 22, "0"), (CHARGE, 60, "20")), "6.50", "7.30"),
    "tariff_17 expired": Example(EXPIRY_FEE, use((EXPIRED, 60, "0")), "6.00", "7.20"),
    "tariff_18": Example(EXPIRY_TIME, use((RESERVE, 22, "0"), (CHARGE, 60, "20")), "7.00", "7.90"),
    "tariff_18 expired": Example(EXPIRY_TIME, use((EXPIRED, 90, "0")), "9.00", "10.80"),
    "max_power": Example(BY_POWER, use((CHARGE, 10, "1"), (CHARGE, 50, "40"), (CHARGE, 8, "0.5")), "20.30", "24.36"),
    "max_duration": Example(BY_DURATION, use((CHARGE, 30, "5"), (CHARGE, 10, "1.2")), "0.30", "0.36"),
    "step of 1 Wh": Example(tariff(element(component(ENERGY, "0.25"))), charged(kwh="0.1152"), "0.029", "0.029"),
    "step of 25 Wh": Example(
        tariff(element(component(ENERGY, "0.25", step=25))), charged(kwh="0.1152"), "0.03125", "0.03125"
    ),
    "step of 500 Wh": Example(
        tariff(element(component(ENERGY, "0.25", step=500))), charged(kwh="0.1152"), "0.125", "0.125"
    ),
    "a multiple of its step": Example(
        tariff(element(component(ENERGY, "0.25", step=500))), charged(kwh="1.5"), "0.375", "0.375"
    ),
    "21 minutes charged, 16 parked, by 10": Example(
        tariff(element(component(TIME, "1", step=600), component(PARKING, "2", step=600))),
        use((CHARGE, 21, "3"), (PARK, 16, "0")),
        "1.016666666667",
        "1.016666666667",
    ),
    "21 minutes charged, 7 parked, by 5": Example(
        tariff(element(component(TIME, "6", step=300), component(PARKING, "3", step=300))),
        use((CHARGE, 21, "3"), (PARK, 7, "0")),
        "2.6",
        "2.6",
    ),
    "5.4 kWh around five, by half a kWh": Example(
        tariff(
            element(component(ENERGY, "0.20", step=500), when=when(end_time="17:00")),
            element(component(ENERGY, "0.27", step=500)),
        ),
        use((CHARGE, 30, "4.3"), (CHARGE, 15, "1.1"), start=local(16, 30)),
        "1.184",
        "1.184",
    ),
    "28 minutes around five, by 10": Example(
        tariff(
            element(component(TIME, "5", step=600), when=when(end_time="17:00")),
            element(component(TIME, "7", step=600)),
        ),
        use((CHARGE, 28, "4"), start=local(16, 54)),
        "3.3",
        "3.3",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_worked_example_costs_what_the_specification_says(name: str) -> None:
    example = EXAMPLES[name]
    assert costs(price_session(example.tariff, example.timeline, BERLIN)) == (D(example.before), D(example.after))


def test_the_contradictory_example_costs_what_its_table_says_when_its_step_is_left_out() -> None:
    stepless = tariff(element(START, component(ENERGY, "0.25", "10", 0)))
    cents = Rounding(places=2, mode=ROUND_HALF_EVEN)
    priced = price_session(stepless, charged(kwh="20.45"), BERLIN)
    assert costs(priced) == (D("5.6125"), D("6.22375"))
    assert costs(price_session(stepless, charged(kwh="20.45"), BERLIN, cents)) == (D("5.61"), D("6.22"))


def test_rounding_happens_where_it_is_asked_for() -> None:
    cents = price_session(STEPPED, charged(kwh="20.45"), BERLIN, Rounding(places=2))
    assert costs(cents) == (D("5.63"), D("6.24"))
    assert cents.parts[Part.ENERGY].before_taxes == D("5.13")


def test_a_step_is_told_with_what_it_added_and_to_which_line() -> None:
    priced = price_session(SWITCHING, use((CHARGE, 35, "2"), start=local(16, 35)), BERLIN)
    (step,) = priced.steps
    assert (step.used, step.billed, step.step_size) == (2100, 2700, 900)
    line = priced.lines[step.line]
    assert (line.component.price, line.used, line.billed) == (D("2.40"), D("0.166666666667"), D("0.333333333333"))
    assert [period.start_date_time for period in priced.periods] == [local(16, 35), local(17, 0)]


def test_a_gross_price_tells_its_tax() -> None:
    gross = tariff(element(component(ENERGY, "0.59", "19")), tax_included=TaxIncluded.YES)
    priced = price_session(gross, charged(kwh="20"), BERLIN)
    assert after_taxes(priced.total) == D("11.80")
    assert priced.total.before_taxes == D("9.915966386555")
    assert price_session(gross, charged(kwh="20"), BERLIN, Rounding(places=2)).total.taxes[0].amount == D("1.88")


def test_taxes_that_are_not_applicable_are_not_added() -> None:
    free = tariff(element(KWH), tax_included=TaxIncluded.NOT_APPLICABLE)
    assert costs(price_session(free, charged(kwh="20"), BERLIN)) == (5, 5)


def test_a_gross_price_without_a_rate_is_told() -> None:
    priced = price_session(EXAMPLES["tariff_20"].tariff, charged(150), BERLIN)
    assert [note.partition(":")[0] for note in priced.notes] == ["tax-unknown"]


def test_rates_of_tax_are_kept_apart() -> None:
    priced = price_session(PARKED, use((CHARGE, 60, "20"), (PARK, 40, "0")), BERLIN)
    assert [(tax.percentage, tax.amount) for tax in priced.total.taxes] == [(10, D("0.50")), (20, D("0.40"))]
    assert priced.parts[Part.PARKING].before_taxes == D("1.50")
    assert priced.parts[Part.FIXED].before_taxes == D("0.50")


def test_a_limit_without_taxes_lets_them_follow() -> None:
    capped = tariff(element(START, KWH), max_price=limit("4.40"))
    priced = price_session(capped, charged(kwh="20"), BERLIN)  # 5.50, and 0.10 + 0.50 of taxes
    assert costs(priced) == (D("4.40"), D("4.88"))
    assert priced.adjustment is not None
    assert priced.adjustment.before_taxes == D("-1.10")


def test_limits_before_and_after_taxes_hold_by_themselves() -> None:
    capped = tariff(element(KWH), max_price=limit("5.10", "5.20"))
    assert costs(price_session(capped, charged(kwh="20"), BERLIN)) == (D("5.00"), D("5.20"))


def test_an_expired_reservation_has_no_minimum() -> None:
    floored = tariff(*EXPIRY_TIME.elements, min_price=limit("50"))
    assert costs(price_session(floored, use((EXPIRED, 90, "0")), BERLIN)) == (D("9.00"), D("10.80"))


def test_of_two_fees_that_follow_each_other_the_first_is_due() -> None:
    fees = tariff(
        element(component(FLAT, "1"), when=when(end_time="20:00")),
        element(component(FLAT, "3")),
    )
    assert costs(price_session(fees, use((CHARGE, 60, "1"), start=local(19, 30)), BERLIN)) == (1, 1)


def test_energy_thresholds_are_met_where_they_are_reached() -> None:
    banded = tariff(
        element(component(ENERGY, "0.10", step=0), when=when(min_kwh=D(10))),
        element(component(ENERGY, "0.50", step=0)),
    )
    priced = price_session(banded, charged(60, "30"), BERLIN)
    assert priced.total.before_taxes == 7
    assert [period.start_date_time for period in priced.periods] == [MONDAY, MONDAY + minutes(20)]


def test_an_interval_over_midnight_wraps() -> None:
    night = tariff(
        element(component(TIME, "1", step=0), when=when(start_time="22:00", end_time="06:00")),
        element(component(TIME, "2", step=0)),
    )
    priced = price_session(night, charged(12 * 60, start=local(21, 0)), BERLIN)  # 21:00 to 09:00
    assert priced.total.before_taxes == 1 * 2 + 8 * 1 + 3 * 2


def test_dates_are_local_and_the_last_is_excluded() -> None:
    dated = tariff(
        element(component(TIME, "5", step=0), when=when(start_date="2026-06-16", end_date="2026-06-17")),
        element(component(TIME, "1", step=0)),
    )
    priced = price_session(dated, charged(26 * 60, start=local(23, 0)), BERLIN)
    assert priced.total.before_taxes == 1 + 24 * 5 + 1


@pytest.mark.parametrize(
    ("start", "hours", "cost"),
    [
        (datetime(2026, 3, 29, 0, 0, tzinfo=UTC), 2, "1"),  # 01:00 to 04:00 on the wall: 02:00 to 03:00 does not come
        (datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 2, "4"),  # 02:00 to 03:00 comes twice: each half of it twice
    ],
)
def test_the_clock_is_put_forward_and_back(start: datetime, hours: int, cost: str) -> None:
    tariff_ = tariff(
        element(component(TIME, "3", step=0), when=when(start_time="02:00", end_time="02:30")),
        element(component(TIME, "1", step=0), when=when(start_time="02:30", end_time="03:00")),
        element(component(TIME, "0.5", step=0)),
    )
    priced = price_session(tariff_, charged(hours * 60, start=start), BERLIN)
    assert priced.total.before_taxes == D(cost)


def test_what_no_component_is_for_costs_nothing() -> None:
    nights = tariff(element(component(TIME, "5", step=0), when=when(start_time="22:00", end_time="06:00")))
    assert costs(price_session(nights, charged(60), BERLIN)) == (0, 0)


def test_an_unknown_current_matches_nothing_and_is_told() -> None:
    priced = price_session(COMPLEX, use((CHARGE, 165, "20")), BERLIN)
    assert priced.parts[Part.TIME].before_taxes == 0
    assert any(note.startswith("current-unknown:") for note in priced.notes)


def test_periods_hold_what_was_used_and_sum_to_the_whole() -> None:
    priced = price_session(SWITCHING, use((CHARGE, 10, "2"), (PARK, 2, "0"), start=local(16, 55)), BERLIN)
    volumes = [[(one.type.value, one.volume) for one in period.dimensions] for period in priced.periods]
    assert volumes == [
        [("ENERGY", 1), ("TIME", D("0.0833"))],
        [("ENERGY", 1), ("TIME", D("0.0834"))],
        [("ENERGY", 0), ("PARKING_TIME", D("0.0333"))],
    ]
    assert (priced.energy, priced.time, priced.parking_time) == (2, D("0.2000"), D("0.0333"))


def test_energy_into_the_grid_is_paid_back() -> None:
    assert costs(price_session(SIMPLE, charged(kwh="-4"), BERLIN)) == (-1, D("-1.1"))


def test_the_tariff_of_the_profile_goes_before_the_one_for_all() -> None:
    ending = datetime(2026, 7, 1, tzinfo=UTC)
    any_, cheap = tariff(element(KWH), id="any"), tariff(element(KWH), id="cheap", type="PROFILE_CHEAP")
    old = tariff(element(KWH), id="old", end_date_time=ending)
    assert choose_tariff((any_, cheap), "PROFILE_CHEAP", MONDAY) is cheap
    assert choose_tariff((any_, cheap), "REGULAR", MONDAY) is any_
    assert choose_tariff((old, any_), "REGULAR", ending) is any_
    assert choose_tariff((cheap,), "REGULAR", MONDAY) is None


def test_segments_of_no_length_still_hold_energy() -> None:
    at = Segment(begin=MONDAY, end=MONDAY, energy_wh=D(3000))
    assert costs(price_session(WITH_START, Timeline(segments=(at,)), BERLIN)) == (D("1.25"), D("1.425"))


def test_a_reservation_may_end_before_the_session_begins() -> None:
    first = use((RESERVE, 15, "0")).segments
    later = charged(kwh="20", start=MONDAY + timedelta(hours=1)).segments
    assert costs(price_session(RESERVABLE, Timeline(segments=(*first, *later)), BERLIN)) == (D("6.75"), D("7.60"))


def test_a_night_in_local_times_is_as_long_as_it_was() -> None:
    """From 22:00 to 06:00 in the night in which the clock is put forward there are seven hours."""
    begin = datetime(2026, 3, 28, 22, 0, tzinfo=BERLIN)
    night = Segment(begin=begin, end=begin + timedelta(hours=8), energy_wh=D(7000))
    priced = price_session(HOURLY, Timeline(segments=(night,)), BERLIN)
    assert (priced.time, priced.total.before_taxes) == (7, 14)


def test_a_segment_of_nothing_changes_nothing() -> None:
    fees = tariff(
        element(component(FLAT, "9"), when=when(max_power=D(1))),
        element(component(FLAT, "1"), when=when(min_power=D(1))),
    )
    nothing = Segment(begin=MONDAY, end=MONDAY)
    session = charged(60, "20")
    assert costs(price_session(fees, Timeline(segments=(nothing, *session.segments)), BERLIN)) == (1, 1)
    unpowered = tariff(element(component(FLAT, "2")))
    assert costs(price_session(unpowered, Timeline(segments=(nothing, nothing)), BERLIN)) == (2, 2)
