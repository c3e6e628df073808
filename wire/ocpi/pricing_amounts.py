"""From volumes to money: exact amounts, taxes, limits. Pure.

Rules
1. Amounts are computed as fractions and told as decimals, exactly. Only what no decimal expresses (a third of an hour,
   the net part of a gross price) is rounded, to ENDLESS_PLACES, half even, where the line of a component is made; or
   all lines are, as `Rounding` says. Sums are sums of lines, so parts always make the total.
2. `tax_included` NO: taxes come on top; YES: they are in the price and taken out by the rate; N/A: there are none. YES
   without a rate: nobody can tell the tax, and the whole amount stands before taxes.
3. min_price and max_price bound the amount before and the amount after taxes, each by itself. A limit without
   `after_taxes` that bounds the amount before them lets the taxes follow in proportion.

Source: OCPI 2.3.0 mod_tariffs (Tariff, PriceLimit, TaxIncluded; no rounding is specified).
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from wire.ocpi.tariffs import Tariff, TaxIncluded
from wire.ocpi.types import Price, TaxAmount

ENDLESS_PLACES = 12
TAX = "VAT"
ZERO = Decimal(0)
_EXACT = decimal.Context(prec=120, rounding=ROUND_HALF_EVEN)
_LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How lines are rounded: not at all with `places` None, but for what has no end. `mode` is one of `decimal`'s."""

    places: int | None = None
    mode: str = decimal.ROUND_HALF_UP

    def of(self, amount: Fraction) -> Decimal:
        """The amount as a decimal."""
        if self.places is not None:
            return _rounded(amount, self.places, self.mode)
        places = _places(amount.denominator)
        if places is None:
            return _rounded(amount, ENDLESS_PLACES, ROUND_HALF_EVEN)
        return Decimal(amount.numerator * 10**places // amount.denominator).scaleb(-places, _EXACT)


EXACTLY = Rounding()


def _rounded(amount: Fraction, places: int, mode: str) -> Decimal:
    # Two places more, and one that says whether anything is left: so no mode takes for a tie what is none.
    digits, rest = divmod(amount.numerator * 10 ** (places + 2), amount.denominator)
    sticky = Decimal(digits * 10 + bool(rest)).scaleb(-places - 3, _EXACT)
    return sticky.quantize(Decimal(1).scaleb(-places), rounding=mode, context=_EXACT)


def _places(denominator: int) -> int | None:
    """How many decimal places a fraction with this denominator has, None without end."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return places if rest == 1 and places <= _LONGEST else None


def plus(*amounts: Decimal) -> Decimal:
    """The exact sum."""
    total = ZERO
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def priced(amount: Fraction, vat: Fraction | None, tax_included: TaxIncluded, rounding: Rounding) -> Price:
    """The price of an amount that a tariff names, its tax told apart. Rules 1 and 2."""
    if tax_included is TaxIncluded.NOT_APPLICABLE or vat is None:
        return Price(before_taxes=rounding.of(amount))
    if tax_included is TaxIncluded.NO:
        before, tax = rounding.of(amount), rounding.of(amount * vat / 100)
    else:
        before = rounding.of(amount / (1 + vat / 100))
        tax = _EXACT.subtract(rounding.of(amount), before)
    return Price(before_taxes=before, taxes=(TaxAmount(name=TAX, amount=tax, percentage=EXACTLY.of(vat)),))


def summed(prices: Iterable[Price]) -> Price:
    """The sum of prices, with each rate of tax once, the lowest first."""
    before, taxes = ZERO, dict[tuple[str, Decimal | None], Decimal]()
    for price in prices:
        before = plus(before, price.before_taxes)
        for tax in price.taxes:
            key = tax.name, tax.percentage
            taxes[key] = plus(taxes.get(key, ZERO), tax.amount)
    ordered = sorted(taxes.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or ZERO))
    told = (TaxAmount(name=name, amount=amount, percentage=rate) for (name, rate), amount in ordered)
    return Price(before_taxes=before, taxes=tuple(told))


def tax_of(price: Price) -> Decimal:
    """All taxes of a price."""
    return plus(*(tax.amount for tax in price.taxes))


def after_taxes(price: Price) -> Decimal:
    """A price with its taxes, exactly."""
    return plus(price.before_taxes, tax_of(price))


def limited(price: Price, tariff: Tariff, rounding: Rounding) -> Price:
    """The price within the limits of the tariff. Rule 3."""
    before, follows = price.before_taxes, False
    low, high = tariff.min_price, tariff.max_price
    after = after_taxes(price)
    if low is not None and before < low.before_taxes:
        before, follows = low.before_taxes, low.after_taxes is None
    if high is not None and before > high.before_taxes:
        before, follows = high.before_taxes, high.after_taxes is None
    if follows and price.before_taxes:
        after = rounding.of(Fraction(after) * Fraction(before) / Fraction(price.before_taxes))
    if low is not None and low.after_taxes is not None:
        after = max(after, low.after_taxes)
    if high is not None and high.after_taxes is not None:
        after = min(after, high.after_taxes)
    after = max(after, before) if before >= 0 else after
    if (before, after) == (price.before_taxes, after_taxes(price)):
        return price
    return Price(before_taxes=before, taxes=_shared(price, _EXACT.subtract(after, before), tariff))


def _shared(price: Price, tax: Decimal, tariff: Tariff) -> tuple[TaxAmount, ...]:
    """A total of taxes shared among the rates of a price as its own are; the last takes what the others leave."""
    held = tax_of(price)
    if not held:
        rates = {component.vat for element in tariff.elements for component in element.price_components}
        rate = rates.pop() if len(rates) == 1 else None
        return (TaxAmount(name=TAX, amount=tax, percentage=rate),) if tax else ()
    shares = [EXACTLY.of(Fraction(tax) * Fraction(one.amount) / Fraction(held)) for one in price.taxes[:-1]]
    shares.append(_EXACT.subtract(tax, plus(*shares)))
    told = zip(price.taxes, shares, strict=True)
    return tuple(TaxAmount(name=one.name, amount=amount, percentage=one.percentage) for one, amount in told)


def difference(price: Price, other: Price) -> Price:
    """What has to be added to `other` to make `price`; taxes by their rate."""
    taken = (TaxAmount(name=tax.name, amount=-tax.amount, percentage=tax.percentage) for tax in other.taxes)
    total = summed((price, Price(before_taxes=-other.before_taxes, taxes=tuple(taken))))
    return Price(before_taxes=total.before_taxes, taxes=tuple(tax for tax in total.taxes if tax.amount))
