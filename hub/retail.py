"""What a driver pays the eMSP for a session that a CPO billed to the eMSP. Pure; Decimal and exact fractions.

Rules
1. Direct price: the driver pays what the CDR says. An eMSP adds a percentage of it, an amount per kWh and a fee per
   session, each before taxes; or has a tariff of its own in place of the CPO's, which prices the same periods.
2. A tax of the CPO is passed on as it is, unless the agreement names a rate: then all is taxed at that rate.
3. Rounding is the agreement's: none, or to so many places, at each line or at the end. Net first, then each tax.
4. The currency is the CDR's; a tariff of another one is refused, for rates of exchange are the settlement's business.

Source: design of this project; OCPI leaves what a driver pays to the eMSP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from wire.errors import PricingError
from wire.ocpi.periods import CdrDimensionType, ChargingPeriod
from wire.ocpi.pricing import price_session
from wire.ocpi.pricing_amounts import EXACTLY, Rounding, priced, summed
from wire.ocpi.pricing_timeline import Segment, Timeline, Use, exact
from wire.ocpi.tariffs import Tariff, TaxIncluded
from wire.ocpi.types import Price

_WH_PER_KWH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """What an eMSP agreed with its drivers. Amounts before taxes, in the currency of the CDR; `vat` and `percent` in
    percent. `places` None: nothing is rounded; `each_line`: every line is, and not only the sum."""

    percent: Decimal = Decimal(0)
    per_kwh: Decimal = Decimal(0)
    per_session: Decimal = Decimal(0)
    vat: Decimal | None = None
    tariff: Tariff | None = None
    places: int | None = None
    mode: str = ROUND_HALF_UP
    each_line: bool = False

    @property
    def told(self) -> str:
        """What it says, in a few words and in one order: `+10 %, +0.05 per kWh`; empty for the direct price."""
        parts = [] if self.tariff is None else [f"tariff {self.tariff.id} in place of the operator's"]
        amounts = ((self.percent, " %"), (self.per_kwh, " per kWh"), (self.per_session, " per session"))
        return ", ".join([*parts, *(f"{amount:+f}{unit}" for amount, unit in amounts if amount)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wholesale:
    """A session as the CPO billed it to the eMSP: what a CDR, ours or a partner's, says of it."""

    currency: str
    total: Price
    energy_kwh: Decimal
    begin: datetime
    end: datetime
    periods: Sequence[ChargingPeriod] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailLine:
    """What a driver pays for one thing."""

    what: str
    cost: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailPrice:
    """What a driver pays; `total` is the sum of the lines, rounded as agreed. `notes` are findings."""

    currency: str
    lines: tuple[RetailLine, ...]
    total: Price
    notes: tuple[str, ...] = ()


def retail_price(bought: Wholesale, markup: Markup, zone: tzinfo) -> RetailPrice:
    """What the driver of a session pays.

    Raises:
        PricingError: `other-currency`, `number-unusable`, or what the tariff in its place is refused for.
    """
    rounding = Rounding(places=markup.places, mode=markup.mode)
    by_line = rounding if markup.each_line else EXACTLY
    session, notes = bought.total, tuple[str, ...]()
    if markup.tariff is not None:
        session, notes = _own(bought, markup.tariff, zone, by_line)
    lines = [RetailLine(what="session", cost=_retaxed(session, markup.vat, by_line))]
    lines += list(_added(bought, session, markup, by_line))
    total = summed(line.cost for line in lines)
    if markup.places is not None and not markup.each_line:
        total = _rounded(total, rounding)
    return RetailPrice(currency=bought.currency, lines=tuple(lines), total=total, notes=notes)


def _added(bought: Wholesale, session: Price, markup: Markup, rounding: Rounding) -> Iterator[RetailLine]:
    """The lines that the eMSP adds. Without a rate of its own they bear the CDR's, if that has one alone."""
    vat = markup.vat
    if vat is None and len(session.taxes) == 1:
        vat = session.taxes[0].percentage
    rate = None if vat is None else exact(vat, "markup.vat")
    energy = exact(bought.energy_kwh, "energy_kwh")
    amounts = (
        (
            f"{markup.percent:f} % of the session",
            exact(session.before_taxes, "total") * exact(markup.percent, "") / 100,
        ),
        (f"{markup.per_kwh:f} for each kWh", energy * exact(markup.per_kwh, "markup.per_kwh")),
        ("session fee", exact(markup.per_session, "markup.per_session")),
    )
    for what, amount in amounts:
        if amount:
            yield RetailLine(what=what, cost=priced(amount, rate, TaxIncluded.NO, rounding))


def _retaxed(price: Price, vat: Decimal | None, rounding: Rounding) -> Price:
    """Rule 2."""
    if vat is None:
        return price if rounding.places is None else _rounded(price, rounding)
    return priced(Fraction(price.before_taxes), exact(vat, "markup.vat"), TaxIncluded.NO, rounding)


def _rounded(price: Price, rounding: Rounding) -> Price:
    taxes = (
        type(tax)(
            name=tax.name,
            amount=rounding.of(Fraction(tax.amount)),
            percentage=tax.percentage,
            account_number=tax.account_number,
        )
        for tax in price.taxes
    )
    return Price(before_taxes=rounding.of(Fraction(price.before_taxes)), taxes=tuple(taxes))


def _own(bought: Wholesale, tariff: Tariff, zone: tzinfo, rounding: Rounding) -> tuple[Price, tuple[str, ...]]:
    if tariff.currency != bought.currency:
        message = f"a tariff in {tariff.currency} for a session that is billed in {bought.currency}"
        raise PricingError("other-currency", "tariff.currency", message)
    found = price_session(tariff, timeline_of_periods(bought), zone, rounding)
    return found.total, found.notes


def timeline_of_periods(bought: Wholesale) -> Timeline:
    """The timeline that the periods of a CDR tell; one stretch, with a note, where there are none."""
    if not bought.periods:
        whole = Segment(begin=bought.begin, end=bought.end, energy_wh=bought.energy_kwh * _WH_PER_KWH)
        return Timeline(segments=(whole,), notes=("energy-spread: the CDR has no periods",))
    ends = [*(period.start_date_time for period in bought.periods[1:]), bought.end]
    return Timeline(segments=tuple(_segment(one, end) for one, end in zip(bought.periods, ends, strict=True)))


def _segment(period: ChargingPeriod, end: datetime) -> Segment:
    volumes = {one.type: one.volume for one in period.dimensions}
    use = Use.PARKING if CdrDimensionType.PARKING_TIME in volumes else Use.CHARGING
    if CdrDimensionType.RESERVATION_TIME in volumes:
        use = Use.RESERVED
    return Segment(
        begin=period.start_date_time,
        end=end,
        use=use,
        energy_wh=volumes.get(CdrDimensionType.ENERGY, Decimal(0)) * _WH_PER_KWH,
        power_kw=volumes.get(CdrDimensionType.MAX_POWER),
        current_a=volumes.get(CdrDimensionType.MAX_CURRENT),
    )
