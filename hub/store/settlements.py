"""Agreements, stated rates, and closed periods.

Rules
1. A period is closed once, after its end, and never changes: closing it again gives what it was closed with.
2. It takes every accepted CDR of the pair that ended before the period's end, began while the agreement held, is in no
   closed period and in no open dispute; a credit only with, or after, what it takes back. What comes later is taken by
   the next period, as late.
3. A period is not closed before one that follows it already is.
4. A rate is the newest one that was stated for a day not after the period's last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from hub.errors import HubError
from hub.settlement.agreements import Agreement, AgreementRefused, Period
from hub.settlement.invoices import Billed, Invoice, Item, Rate, invoice_of
from hub.store.engine import Connection, Value as Stored
from hub.store.findings import instant
from wire.ocpi.document import parse_document, view
from wire.ocpi.types import Price
from wire.records import Value, decode, encode

_CLOSED = "number, agreement, period_begin, closed_at, by_whom, invoice"


class NotClosed(HubError):
    """Raised when a period is not closed: `period-not-over`, `later-period-closed`, `no-rate`; or asked for and not
    there: `no-such-invoice`."""


class Settlement(Value, frozen=True, kw_only=True):
    """A closed period under its number; `fresh`: it was closed just now."""

    number: int
    closed_at: datetime
    by_whom: str
    invoice: Invoice
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Closing:
    """Which period of which agreement is closed, by whom and when."""

    agreement: Agreement
    period: Period
    by_whom: str
    at: datetime


class _Bill(Value, frozen=True, kw_only=True):
    """What of a CDR's document is settled."""

    id: str
    total_cost: Price
    total_energy: Decimal
    session_id: str | None = None
    credit: bool | None = None


# --- agreements and rates


def add_agreement(connection: Connection, agreement: Agreement, by_whom: str, at: datetime) -> None:
    """Keep a checked agreement.

    Raises:
        AgreementRefused: `known-agreement`, `agreement-overlaps`.
    """
    if connection.execute("SELECT 1 FROM agreements WHERE id = ?", (agreement.id,)).fetchone() is not None:
        message = f"agreement {agreement.id!r} is there already; an agreement is ended, and another one added"
        raise AgreementRefused("known-agreement", message)
    for other in agreements(connection, seller=agreement.seller, buyer=agreement.buyer):
        starts_before = agreement.valid_until is None or other.valid_from < agreement.valid_until
        if starts_before and (other.valid_until is None or agreement.valid_from < other.valid_until):
            until = "for good" if other.valid_until is None else f"until {other.valid_until}"
            message = f"agreement {other.id!r} of the same pair holds from {other.valid_from} {until}; end it first"
            raise AgreementRefused("agreement-overlaps", message)
    connection.execute(
        "INSERT INTO agreements (id, seller, buyer, valid_from, valid_until, agreement, added_at, by_whom)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            agreement.id,
            agreement.seller,
            agreement.buyer,
            agreement.valid_from.isoformat(),
            None if agreement.valid_until is None else agreement.valid_until.isoformat(),
            encode(agreement).decode(),
            instant(at),
            by_whom,
        ),
    )


def end_agreement(connection: Connection, id_: str, until: date) -> Agreement:
    """Let an agreement hold until before a day.

    Raises:
        AgreementRefused: `no-such-agreement`; `bad-agreement`: before it begins, or in a period that is closed.
    """
    agreement = agreement_named(connection, id_)
    if until <= agreement.valid_from:
        raise AgreementRefused("bad-agreement", f"it holds from {agreement.valid_from}; it cannot end on {until}")
    row = connection.execute("SELECT max(period_end) FROM settlements WHERE agreement = ?", (agreement.id,)).fetchone()
    if row[0] is not None and until.isoformat() < row[0]:
        raise AgreementRefused("bad-agreement", f"it is settled until {row[0]} already; it cannot end on {until}")
    ended = msgspec.structs.replace(agreement, valid_until=until)
    connection.execute(
        "UPDATE agreements SET valid_until = ?, agreement = ? WHERE id = ?",
        (until.isoformat(), encode(ended).decode(), agreement.id),
    )
    return ended


def agreements(connection: Connection, *, seller: str | None = None, buyer: str | None = None) -> tuple[Agreement, ...]:
    """All agreements, or those of a seller, a buyer or a pair, in the order in which they were added."""
    conditions, values = ["1 = 1"], list[Stored]()
    for name, party in (("seller", seller), ("buyer", buyer)):
        if party is not None:
            conditions.append(f"{name} = ?")
            values.append(party)
    rows = connection.execute(
        f"SELECT agreement FROM agreements WHERE {' AND '.join(conditions)} ORDER BY number", tuple(values)
    )
    return tuple(_agreement(text) for (text,) in rows.fetchall())


@lru_cache(maxsize=256)
def _agreement(text: str) -> Agreement:
    return decode(Agreement, text, "stored agreement")


def agreement_named(connection: Connection, id_: str) -> Agreement:
    """The agreement with this id. Raises AgreementRefused (`no-such-agreement`)."""
    row = connection.execute("SELECT agreement FROM agreements WHERE id = ?", (id_,)).fetchone()
    if row is None:
        message = f"no agreement {id_[:64]!r} here; `pnc-hub agreements list` names them"
        raise AgreementRefused("no-such-agreement", message)
    return decode(Agreement, row[0], "stored agreement")


def add_rate(connection: Connection, rate: Rate, by_whom: str, at: datetime) -> None:
    """State a rate. Raises AgreementRefused (`bad-rate`)."""
    if rate.base == rate.quote or not rate.rate.is_finite() or rate.rate <= 0:
        raise AgreementRefused("bad-rate", f"1 {rate.base} = {rate.rate} {rate.quote} is no rate")
    if not rate.source:
        raise AgreementRefused("bad-rate", "a rate says who stated it")
    connection.execute(
        "INSERT INTO exchange_rates (base, quote, date, rate, source, added_at, by_whom) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (rate.base, rate.quote, rate.date.isoformat(), str(rate.rate), rate.source, instant(at), by_whom),
    )


def rates_to(connection: Connection, quote: str, day: date) -> dict[str, Rate]:
    """The rates into a currency on a day, by the currency that they are from. Rule 4."""
    rows = connection.execute(
        "SELECT base, rate, source, date FROM exchange_rates WHERE quote = ? AND date <= ? ORDER BY date, number",
        (quote, day.isoformat()),
    ).fetchall()
    return {
        base: Rate(base=base, quote=quote, rate=Decimal(rate), source=source, date=date.fromisoformat(stated))
        for base, rate, source, stated in rows
    }


# --- closing


def close_period(connection: Connection, closing: Closing) -> Settlement:
    """The period, closed now or before; about 60 us a CDR.

    Raises:
        NotClosed: `period-not-over`, `later-period-closed`, `no-rate`.
    """
    agreement, period = closing.agreement, closing.period
    before = _closed(connection, "agreement = ? AND period_begin = ?", (agreement.id, period.begin.isoformat()))
    if before is not None:
        return before
    if closing.at < period.end_at:
        raise NotClosed("period-not-over", f"the period {period} ({period.time_zone}) is not over")
    later = connection.execute(
        "SELECT min(period_begin) FROM settlements WHERE agreement = ? AND period_begin > ?",
        (agreement.id, period.begin.isoformat()),
    ).fetchone()[0]
    if later is not None:
        raise NotClosed("later-period-closed", f"the period that begins on {later} is closed; this one stays open")
    billed = to_be_settled(connection, agreement, period)
    rates = rates_to(connection, agreement.currency, period.last_day)
    id_ = f"{agreement.id}-{period.begin:%Y%m%d}"
    try:
        invoice, items = invoice_of(id_, agreement, period, billed, rates, closing.at)
    except KeyError as error:
        message = f"no rate from {error.args[0]} to {agreement.currency} is stated for {period.last_day} or before"
        raise NotClosed("no-rate", f"{message}; `pnc-hub agreements rate` states one") from error
    number = connection.execute(
        "INSERT INTO settlements (agreement, period_begin, period_end, invoice_id, closed_at, by_whom, invoice, items)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            agreement.id,
            period.begin.isoformat(),
            period.end.isoformat(),
            id_,
            instant(closing.at),
            closing.by_whom,
            encode(invoice).decode(),
            encode(items).decode(),
        ),
    ).fetchone()[0]
    connection.executemany(
        "UPDATE cdr_standings SET settlement = ? WHERE object = ?", [(number, one.object) for one in billed]
    )
    return Settlement(number=number, closed_at=closing.at, by_whom=closing.by_whom, invoice=invoice, fresh=True)


def to_be_settled(connection: Connection, agreement: Agreement, period: Period) -> tuple[Billed, ...]:
    """The CDRs that closing the period takes now. Rule 2."""
    until = agreement.holds_until()
    rows = connection.execute(
        "SELECT s.object, s.begin_at, s.end_at, s.currency, o.document FROM cdr_standings s JOIN ocpi_objects o"
        " ON o.number = s.object WHERE s.owner = ? AND s.emsp = ? AND s.settlement IS NULL AND s.begin_at >= ?"
        " AND s.begin_at < ? AND s.end_at < ? AND s.state = 'accepted' AND s.disputed = 0 AND (s.credits_key IS NULL"
        " OR EXISTS (SELECT 1 FROM cdr_standings c WHERE c.owner = s.owner AND c.id_key = s.credits_key"
        " AND c.state = 'accepted' AND c.disputed = 0))",
        (
            agreement.seller,
            agreement.buyer,
            instant(agreement.holds_from()),
            "9999" if until is None else instant(until),
            instant(period.end_at),
        ),
    )
    return tuple(map(_billed, rows))


def _billed(row: Any) -> Billed:
    object_, begin, end, currency, text = row
    try:
        bill = _BILLS.decode(text)
    except msgspec.ValidationError:
        bill = view(parse_document(text, "stored CDR"), _Bill, "stored CDR")
    return Billed(
        object=object_,
        id=bill.id,
        begin=datetime.fromisoformat(begin),
        end=datetime.fromisoformat(end),
        energy=bill.total_energy,
        currency=currency,
        price=bill.total_cost,
        session=bill.session_id,
        credit=bool(bill.credit),
    )


_BILLS = msgspec.json.Decoder(_Bill)


# --- what is closed


def settlement_of(connection: Connection, invoice_id: str) -> Settlement:
    """The closed period of an invoice. Raises NotClosed (`no-such-invoice`)."""
    found = _closed(connection, "invoice_id = ?", (invoice_id,))
    if found is None:
        message = f"no invoice {invoice_id[:90]!r} here; `pnc-hub settle list` names them"
        raise NotClosed("no-such-invoice", message)
    return found


def items_of(connection: Connection, settlement: Settlement) -> tuple[Item, ...]:
    """The CDRs of a closed period."""
    row = connection.execute("SELECT items FROM settlements WHERE number = ?", (settlement.number,)).fetchone()
    return decode(tuple[Item, ...], row[0], "stored items")


def settlements(connection: Connection, after: int, limit: int, agreement: str | None = None) -> tuple[Settlement, ...]:
    """Closed periods beyond number `after`, in the order in which they were closed."""
    rows = connection.execute(
        f"SELECT {_CLOSED} FROM settlements WHERE number > ? AND (agreement = ? OR ? = '') ORDER BY number LIMIT ?",
        (after, agreement or "", agreement or "", limit),
    )
    return tuple(map(_settlement, rows.fetchall()))


def invoices_between(connection: Connection, one: str, other: str, first: date, last: date) -> tuple[Invoice, ...]:
    """The invoices between two parties, either way, for periods that begin from `first` to `last`."""
    rows = connection.execute(
        "SELECT s.invoice FROM settlements s JOIN agreements a ON a.id = s.agreement WHERE s.period_begin >= ? AND"
        " s.period_begin <= ? AND ((a.seller = ? AND a.buyer = ?) OR (a.seller = ? AND a.buyer = ?))"
        " ORDER BY s.number",
        (first.isoformat(), last.isoformat(), one, other, other, one),
    )
    return tuple(decode(Invoice, text, "stored invoice") for (text,) in rows.fetchall())


def _closed(connection: Connection, where: str, values: tuple[Stored, ...]) -> Settlement | None:
    row = connection.execute(f"SELECT {_CLOSED} FROM settlements WHERE {where}", values).fetchone()
    return None if row is None else _settlement(row)


def _settlement(row: Any) -> Settlement:
    return Settlement(
        number=row[0],
        closed_at=datetime.fromisoformat(row[3]),
        by_whom=row[4],
        invoice=decode(Invoice, row[5], "stored invoice"),
    )
