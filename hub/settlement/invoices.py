"""Invoices as data: made of CDRs, fees, taxes and stated rates, every sum and every rounding told. Pure.

Rules
1. What is in an invoice is decided by its list of CDRs, not by dates. A CDR that ended before the period is `late`.
2. Everything is exact until it is rounded, which the agreement says when and how: each CDR or each line; then each tax.
   `net` is the sum of the lines, `total` that and the taxes; `exact` is what it were without any rounding.
3. `roundings` counts what was rounded; `|total - exact|` is at most so many units of the last digit, and the tax on
   them.
4. Another currency is converted at the rate that is stated with its source and date, each CDR by itself.
5. The order in which CDRs come changes nothing.

Source: OCPI 2.3.0 mod_invoice_reconciliation; rounding is the agreement's business (OCPI specifies none).
"""

from __future__ import annotations

import decimal
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from hub.settlement.agreements import MODE_OF, Agreement, Period, RoundAt, party_named
from wire.ocpi.pricing_amounts import plus, summed
from wire.ocpi.sessions import InvoiceReconciliationRecord
from wire.ocpi.types import Price
from wire.records import Value

_EXACT = decimal.Context(prec=120)
_HUNDRED = Decimal(100)
ZERO = Decimal(0)


class Rate(Value, frozen=True, kw_only=True):
    """1 `base` is `rate` `quote`, as `source` said on `date`."""

    base: str
    quote: str
    rate: Decimal
    source: str
    date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What of a CDR is settled; `object` is its number. `price` of a credit is negative."""

    object: int
    id: str
    begin: datetime
    end: datetime
    energy: Decimal
    currency: str
    price: Price
    session: str | None = None
    credit: bool = False


class Item(Value, frozen=True, kw_only=True):
    """A CDR in an invoice: `amount` and `tax` as it says, `net` in the invoice's currency."""

    cdr: str
    begin: datetime
    end: datetime
    kwh: Decimal
    currency: str
    amount: Decimal
    tax: Decimal
    net: Decimal
    session: str | None = None
    credit: bool = False
    late: bool = False


class Line(Value, frozen=True, kw_only=True):
    """A line: `quantity` times `price` where it is so; `exact` before it was rounded to `net`."""

    what: str
    text: str
    net: Decimal
    exact: Decimal
    quantity: Decimal | None = None
    unit: str = ""
    price: Decimal | None = None


class Tax(Value, frozen=True, kw_only=True):
    """A tax on the lines, or as the CDRs state it."""

    name: str
    amount: Decimal
    exact: Decimal
    percentage: Decimal | None = None


class Invoice(Value, frozen=True, kw_only=True):
    """What `agreement.buyer` owes `agreement.seller` for a period. Amounts in the agreement's currency."""

    id: str
    agreement: Agreement
    begin: date
    end: date
    issued_at: datetime
    due: date
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]
    net: Decimal
    tax: Decimal
    total: Decimal
    exact: Decimal
    roundings: int
    cdrs: int
    credits: int
    late: int
    energy_kwh: Decimal
    rates: tuple[Rate, ...] = ()

    @property
    def rounding(self) -> Decimal:
        """What rounding added."""
        return self.total - self.exact


def invoice_of(
    id_: str, agreement: Agreement, period: Period, billed: Iterable[Billed], rates: Mapping[str, Rate], at: datetime
) -> tuple[Invoice, tuple[Item, ...]]:
    """The invoice, and its CDRs in order of their id. `rates` by currency, for those that are not the agreement's.
    About 15 us a CDR.

    Raises:
        KeyError: a currency without a rate.
    """
    ordered = sorted(billed, key=lambda one: (one.id, one.object))
    rounds = _Rounding(agreement)
    begin_at = period.begin_at
    items = tuple(_item(one, agreement, begin_at, rates, rounds) for one in ordered)
    energy = plus(*(item.kwh if not item.credit else -item.kwh for item in items))
    exact = plus(*(_converted(one.price.before_taxes, one.currency, agreement, rates) for one in ordered))
    lines = _lines(agreement, items, exact, energy, rounds, agreement.minimum if _holds(agreement, period) else ZERO)
    net = plus(*(line.net for line in lines))
    exact_net = plus(*(line.exact for line in lines))
    taxes = _taxes(agreement, ordered, net, exact_net, rates, rounds)
    tax = plus(*(one.amount for one in taxes))
    used = sorted({item.currency for item in items} - {agreement.currency})
    invoice = Invoice(
        id=id_,
        agreement=agreement,
        begin=period.begin,
        end=period.end,
        issued_at=at,
        due=at.date() + timedelta(days=agreement.payment_days),
        lines=lines,
        taxes=taxes,
        net=net,
        tax=tax,
        total=plus(net, tax),
        exact=plus(exact_net, *(one.exact for one in taxes)),
        roundings=rounds.count,
        cdrs=len(items),
        credits=sum(item.credit for item in items),
        late=sum(item.late for item in items),
        energy_kwh=energy,
        rates=tuple(rates[currency] for currency in used),
    )
    return invoice, items


def _holds(agreement: Agreement, period: Period) -> bool:
    """Whether the agreement holds on a day of the period; what comes late is settled in one after its end."""
    until = agreement.valid_until
    return agreement.valid_from < period.end and (until is None or period.begin < until)


class _Rounding:
    """Rounds as an agreement says, and counts."""

    def __init__(self, agreement: Agreement) -> None:
        self._unit, self._mode, self.count = Decimal(1).scaleb(-agreement.digits), MODE_OF[agreement.rounding], 0

    def __call__(self, amount: Decimal) -> Decimal:
        rounded = amount.quantize(self._unit, rounding=self._mode, context=_EXACT)
        if rounded != amount:
            self.count += 1
        return rounded


def _item(one: Billed, agreement: Agreement, begin_at: datetime, rates: Mapping[str, Rate], rounds: _Rounding) -> Item:
    net = _converted(one.price.before_taxes, one.currency, agreement, rates)
    return Item(
        cdr=one.id,
        begin=one.begin,
        end=one.end,
        kwh=one.energy,
        currency=one.currency,
        amount=one.price.before_taxes,
        tax=plus(*(tax.amount for tax in one.price.taxes)),
        net=rounds(net) if agreement.round_at is RoundAt.CDR else net,
        session=one.session,
        credit=one.credit,
        late=one.end < begin_at,
    )


def _converted(amount: Decimal, currency: str, agreement: Agreement, rates: Mapping[str, Rate]) -> Decimal:
    return amount if currency == agreement.currency else _EXACT.multiply(amount, rates[currency].rate)


def _lines(
    agreement: Agreement, items: Sequence[Item], charged: Decimal, energy: Decimal, rounds: _Rounding, minimum: Decimal
) -> tuple[Line, ...]:
    """The lines; `charged` is what the CDRs come to exactly, `minimum` that of the fees."""
    credits = sum(item.credit for item in items)
    sessions = len(items) - 2 * credits
    text = f"Charging: {_several(len(items) - credits, 'CDR')}"
    text += f" and {_several(credits, 'credit')}" if credits else ""
    lines = [Line(what="charging", text=text, net=rounds(plus(*(item.net for item in items))), exact=charged)]
    for what, quantity, unit, price in (
        ("fee-per-session", Decimal(sessions), "sessions", agreement.fee_per_session),
        ("fee-per-kwh", energy, "kWh", agreement.fee_per_kwh),
        ("fee-percent", charged, agreement.currency, agreement.fee_percent / _HUNDRED),
    ):
        if price:
            exact = _EXACT.multiply(quantity, price)
            label = (
                f"Fee of {agreement.fee_percent:f} %"
                if what == "fee-percent"
                else f"Fee by {'kWh' if unit == 'kWh' else 'session'}"
            )
            lines.append(
                Line(what=what, text=label, quantity=quantity, unit=unit, price=price, net=rounds(exact), exact=exact)
            )
    fees = plus(*(line.exact for line in lines[1:]))
    if minimum > fees:
        missing = plus(minimum, -fees)
        told = f"Up to the minimum of fees, {minimum:f} {agreement.currency}"
        lines.append(Line(what="minimum", text=told, net=rounds(missing), exact=missing))
    return tuple(lines)


def _several(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _taxes(
    agreement: Agreement,
    billed: Sequence[Billed],
    net: Decimal,
    exact_net: Decimal,
    rates: Mapping[str, Rate],
    rounds: _Rounding,
) -> tuple[Tax, ...]:
    rate = agreement.vat_percent
    if rate is not None:
        amount, exact = (_EXACT.multiply(base, rate / _HUNDRED) for base in (net, exact_net))
        return (Tax(name="VAT", percentage=rate, amount=rounds(amount), exact=exact),) if rate else ()
    by_currency = dict[str, list[Price]]()
    for one in billed:
        by_currency.setdefault(one.currency, []).append(one.price)
    sums = dict[tuple[str, Decimal | None], Decimal]()
    for currency in sorted(by_currency):
        for tax in summed(by_currency[currency]).taxes:
            key = tax.name, tax.percentage
            sums[key] = plus(sums.get(key, ZERO), _converted(tax.amount, currency, agreement, rates))
    return tuple(
        Tax(name=name, percentage=percentage, amount=rounds(exact), exact=exact)
        for (name, percentage), exact in sorted(sums.items(), key=lambda entry: (entry[0][0], entry[0][1] or ZERO))
    )


# --- what follows from an invoice


class Netted(Value, frozen=True, kw_only=True):
    """What two parties owe each other in one currency: `pays` owes `balance` to `receives`, both None when even."""

    currency: str
    parties: tuple[str, str]
    owed: tuple[Decimal, Decimal]
    balance: Decimal
    pays: str | None
    receives: str | None
    invoices: tuple[str, ...]


def netted(invoices: Iterable[Invoice], one: str, other: str) -> tuple[Netted, ...]:
    """What the invoices between two parties come to, by currency; the same whichever is named first."""
    first, second = sorted((one, other))
    found = dict[str, list[Invoice]]()
    for invoice in invoices:
        if {invoice.agreement.seller, invoice.agreement.buyer} == {first, second}:
            found.setdefault(invoice.agreement.currency, []).append(invoice)
    return tuple(_netted(currency, first, second, found[currency]) for currency in sorted(found))


def _netted(currency: str, first: str, second: str, invoices: Sequence[Invoice]) -> Netted:
    owed = tuple(
        plus(*(invoice.total for invoice in invoices if invoice.agreement.buyer == party)) for party in (first, second)
    )
    difference = plus(owed[0], -owed[1])
    pays, receives = (first, second) if difference > 0 else (second, first)
    return Netted(
        currency=currency,
        parties=(first, second),
        owed=(owed[0], owed[1]),
        balance=abs(difference),
        pays=pays if difference else None,
        receives=receives if difference else None,
        invoices=tuple(sorted(invoice.id for invoice in invoices)),
    )


def reconciliation_record(invoice: Invoice, items: Sequence[Item]) -> InvoiceReconciliationRecord | None:
    """Which CDRs the invoice is about, as OCPI tells its receiver; None for an invoice of fees only, for OCPI asks for
    one CDR at least."""
    if not items:
        return None
    issuer = party_named(invoice.agreement.issuer)
    return InvoiceReconciliationRecord(
        country_code=issuer.country_code,
        party_id=issuer.party_id,
        id=hashlib.sha256(invoice.id.encode()).hexdigest()[:36],
        invoice_id=invoice.id,
        cdrs=tuple(item.cdr for item in items),
        last_updated=invoice.issued_at,
    )
