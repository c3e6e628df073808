"""What drivers pay their eMSP: direct, with a mark-up, by another tariff; and laws of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from hub.retail import Markup, Wholesale, retail_price
from tests.wire.tariff_book import ENERGY, FLAT, PARKING, TIME, component, element, tariff, timeline
from wire.errors import PricingError
from wire.ocpi.pricing import price_session
from wire.ocpi.pricing_amounts import after_taxes, summed
from wire.ocpi.pricing_timeline import Timeline, Use
from wire.ocpi.tariffs import Tariff, TariffRestrictions
from wire.ocpi.types import Price, TaxAmount

D = Decimal
NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
OPERATOR = tariff(
    element(component(FLAT, "0.50", "19"), component(ENERGY, "0.40", "19"), component(PARKING, "6", "19", 60))
)
SESSION = timeline(NOON, (Use.CHARGING, 60, "20"), (Use.PARKING, 15, "0"))


def bought(by: Tariff = OPERATOR, session: Timeline = SESSION) -> Wholesale:
    priced = price_session(by, session, UTC)
    end = session.segments[-1].end
    return Wholesale(
        currency="EUR",
        total=priced.total,
        energy_kwh=priced.energy,
        begin=session.segments[0].begin,
        end=end,
        periods=priced.periods,
    )


def test_the_direct_price_is_that_of_the_cdr() -> None:
    assert (
        retail_price(bought(), Markup(), UTC).total
        == bought().total
        == Price(before_taxes=D("10.00"), taxes=(TaxAmount(name="VAT", amount=D("1.9"), percentage=D(19)),))
    )
    assert Markup().told == ""


def test_percent_energy_and_fee_are_added_before_taxes() -> None:
    markup = Markup(percent=D(10), per_kwh=D("0.05"), per_session=D("0.30"))
    paid = retail_price(bought(), markup, UTC)
    assert [(line.what, line.cost.before_taxes) for line in paid.lines] == [
        ("session", 10),
        ("10 % of the session", 1),
        ("0.05 for each kWh", 1),
        ("session fee", D("0.30")),
    ]
    assert (paid.total.before_taxes, after_taxes(paid.total)) == (D("12.30"), D("14.637"))
    assert markup.told == "+10 %, +0.05 per kWh, +0.30 per session"


def test_an_agreement_may_tax_all_at_its_own_rate() -> None:
    paid = retail_price(bought(), Markup(per_session=D(1), vat=D(25)), UTC)
    assert (paid.total.before_taxes, after_taxes(paid.total)) == (11, D("13.75"))


def test_an_own_tariff_prices_the_periods_of_the_cdr() -> None:
    own = tariff(element(component(ENERGY, "0.59", "19"), component(PARKING, "3", "19")), id="flat-rate")
    markup = Markup(tariff=own, per_session=D("0.20"))
    paid = retail_price(bought(), markup, UTC)
    assert paid.total.before_taxes == 20 * D("0.59") + D("0.75") + D("0.20")
    assert markup.told == "tariff flat-rate in place of the operator's, +0.20 per session"


def test_an_own_tariff_for_a_cdr_without_periods_says_what_it_could_not_know() -> None:
    nights = tariff(element(component(TIME, "2"), when=TariffRestrictions(start_time="22:00")))
    whole = bought()
    bare = Wholesale(
        currency="EUR", total=whole.total, energy_kwh=D(20), begin=whole.begin, end=whole.begin + timedelta(hours=1)
    )
    assert [note.partition(":")[0] for note in retail_price(bare, Markup(tariff=nights), UTC).notes] == [
        "energy-spread"
    ]


def test_rounding_is_the_agreements() -> None:
    markup = Markup(percent=D("3.33"), per_kwh=D("0.0333"))
    exactly = retail_price(bought(), markup, UTC)
    at_the_end = retail_price(bought(), Markup(percent=D("3.33"), per_kwh=D("0.0333"), places=2), UTC)
    by_line = retail_price(bought(), Markup(percent=D("3.33"), per_kwh=D("0.0333"), places=2, each_line=True), UTC)
    assert exactly.total.before_taxes == D("10.999")
    assert (at_the_end.total.before_taxes, at_the_end.total.taxes[0].amount) == (D("11.00"), D("2.09"))
    assert (by_line.total.before_taxes, by_line.total.taxes[0].amount) == (D("11.00"), D("2.09"))


def test_a_tariff_in_another_currency_is_refused() -> None:
    with pytest.raises(PricingError) as caught:
        retail_price(bought(), Markup(tariff=tariff(element(component(ENERGY, "1")), currency="CHF")), UTC)
    assert caught.value.code == "other-currency"


MONEY = st.integers(0, 10_000).map(lambda cents: D(cents).scaleb(-2))


@given(MONEY, MONEY, MONEY, st.none() | st.integers(0, 3), st.booleans())
def test_lines_make_the_total_and_a_mark_up_never_makes_it_less(
    percent: Decimal, per_kwh: Decimal, fee: Decimal, places: int | None, each_line: bool
) -> None:
    markup = Markup(percent=percent, per_kwh=per_kwh, per_session=fee, places=places, each_line=each_line)
    paid = retail_price(bought(), markup, UTC)
    lines = summed(line.cost for line in paid.lines)
    step = D(0) if places is None or each_line else D(1).scaleb(-places)
    assert abs(lines.before_taxes - paid.total.before_taxes) <= step / 2
    assert paid.total.before_taxes >= bought().total.before_taxes
