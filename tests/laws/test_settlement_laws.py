"""Laws of settlement: parts make the total, rounding is bounded and told, order is nothing, netting is symmetric."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given, strategies as st

from hub.reconcile.credit import credit_of, negative
from hub.settlement.agreements import Agreement, PeriodKind, RoundAt, RoundingRule, period_of
from hub.settlement.invoices import Billed, Rate, invoice_of, netted
from tests.hub.settled_cdrs import BUYER, JUDGED, SELLER, agreement, cdr
from wire.ocpi.types import Price, TaxAmount

AT = datetime(2026, 12, 2, tzinfo=UTC)
NOVEMBER = period_of(PeriodKind.MONTH, "Europe/Berlin", date(2026, 11, 5))
RATES = {"SEK": Rate(base="SEK", quote="EUR", rate=Decimal("0.0883"), source="bank", date=date(2026, 11, 30))}

money = st.decimals(-1000, 1000, allow_nan=False, allow_infinity=False, places=5)
amounts = st.builds(
    lambda net, vat, rate: Price(
        before_taxes=net, taxes=(TaxAmount(name="VAT", amount=vat, percentage=Decimal(rate)),)
    ),
    money,
    money,
    st.sampled_from(("7", "19")),
)
begins = st.integers(-40, 28).map(lambda days: datetime(2026, 11, 1, 12, tzinfo=UTC) + timedelta(days=days))


@st.composite
def bills(draw: st.DrawFn) -> list[Billed]:
    return [
        Billed(
            object=number,
            id=f"CDR{number}",
            begin=begin,
            end=begin + timedelta(hours=1),
            energy=draw(st.decimals(0, 200, places=3)),
            currency=draw(st.sampled_from(("EUR", "SEK"))),
            price=draw(amounts),
        )
        for number, begin in enumerate(draw(st.lists(begins, max_size=12)))
    ]


agreements = st.builds(
    agreement,
    fee_per_session=st.decimals(-2, 2, places=3),
    fee_per_kwh=st.decimals(0, 1, places=4),
    fee_percent=st.decimals(0, 10, places=2),
    minimum=st.decimals(0, 50, places=2),
    vat_percent=st.none() | st.sampled_from((Decimal(0), Decimal(19))),
    digits=st.integers(0, 4),
    rounding=st.sampled_from(RoundingRule),
    round_at=st.sampled_from(RoundAt),
)


@given(agreements, bills())
def test_the_parts_make_the_total_and_rounding_is_bounded(terms: Agreement, billed: list[Billed]) -> None:
    invoice, items = invoice_of("I", terms, NOVEMBER, billed, RATES, AT)
    assert invoice.net == sum(line.net for line in invoice.lines)
    assert invoice.tax == sum(tax.amount for tax in invoice.taxes)
    assert invoice.total == invoice.net + invoice.tax
    assert invoice.exact == sum(line.exact for line in invoice.lines) + sum(tax.exact for tax in invoice.taxes)
    charging = sum(item.net for item in items)
    unit = Decimal(1).scaleb(-terms.digits)
    assert abs(invoice.lines[0].net - charging) < unit
    taxed = 1 + (terms.vat_percent or Decimal(0)) / 100
    assert abs(invoice.rounding) <= invoice.roundings * unit * taxed
    assert invoice.roundings or not invoice.rounding
    assert invoice.cdrs == len(billed) == len({item.cdr for item in items})
    assert invoice.late == sum(one.end < NOVEMBER.begin_at for one in billed)
    assert all(-line.net.as_tuple().exponent <= terms.digits for line in invoice.lines)  # type: ignore[operator]


@given(agreements, bills(), st.randoms(use_true_random=False))
def test_the_order_of_cdrs_does_not_matter(terms: Agreement, billed: list[Billed], shuffling: object) -> None:
    shuffled = list(billed)
    shuffling.shuffle(shuffled)  # type: ignore[attr-defined]
    assert invoice_of("I", terms, NOVEMBER, billed, RATES, AT) == invoice_of("I", terms, NOVEMBER, shuffled, RATES, AT)


@given(agreements, bills())
def test_credits_of_everything_leave_the_minimum(terms: Agreement, billed: list[Billed]) -> None:
    credits = [
        replace(one, object=100 + one.object, id=f"{one.id}-C", price=negative(one.price), credit=True)
        for one in billed
    ]
    invoice, _ = invoice_of("I", terms, NOVEMBER, [*billed, *credits], RATES, AT)
    assert invoice.exact == terms.minimum * (1 + (terms.vat_percent or Decimal(0)) / 100)


@given(st.lists(st.tuples(st.booleans(), bills()), max_size=4))
def test_netting_is_the_same_from_both_sides(given_: list[tuple[bool, list[Billed]]]) -> None:
    invoices = []
    for number, (turned, billed) in enumerate(given_):
        terms = agreement(seller=BUYER, buyer=SELLER) if turned else agreement()
        invoices.append(invoice_of(f"I{number}", terms, NOVEMBER, billed, RATES, AT)[0])
    found = netted(invoices, SELLER, BUYER)
    assert found == netted(reversed(invoices), BUYER, SELLER)
    for one in found:
        assert one.owed[0] + one.owed[1] == sum(invoice.total for invoice in invoices)
        assert one.balance == abs(one.owed[0] - one.owed[1])
        assert (one.pays is None) == (one.balance == 0)


@given(
    st.dates(date(2020, 1, 1), date(2035, 1, 1)), st.sampled_from(PeriodKind), st.sampled_from(("UTC", "Europe/Berlin"))
)
def test_periods_cover_every_day_once(day: date, kind: PeriodKind, zone: str) -> None:
    period = period_of(kind, zone, day)
    assert period.begin <= day < period.end
    assert period_of(kind, zone, period.begin) == period == period_of(kind, zone, period.last_day)
    assert period_of(kind, zone, period.end).begin_at == period.end_at


@given(st.decimals(-10_000, 10_000, places=6), st.decimals(-10_000, 10_000, places=6))
def test_a_credit_takes_back_exactly(net: Decimal, tax: Decimal) -> None:
    price = Price(before_taxes=net, taxes=(TaxAmount(name="VAT", amount=tax),))
    credit = credit_of(cdr(total_cost=price), JUDGED)
    assert credit.total_cost.after_taxes + price.after_taxes == 0
    assert negative(negative(price)) == price
