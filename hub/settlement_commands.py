"""`pnc-hub agreements` and `pnc-hub settle`: what parties agreed on, and what they owe each other for a period."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
import msgspec
from rich.text import Text

from hub.asking import asked, asking, read
from hub.options import fail
from hub.settlement.agreements import (
    Agreement,
    AgreementRefused,
    Billing,
    PeriodKind,
    RoundAt,
    RoundingRule,
    party_named,
)
from hub.settlement.invoices import Invoice, Rate
from hub.store.settlements import Settlement
from hub.web.settlement import AgreementList, CloseWish, EndWish, NettingList, SettlementList
from pki.service.screen import listing, print_listing, screen
from wire.records import Value, encode

_AGREEMENTS, _SETTLEMENTS = "/api/v1/agreements", "/api/v1/settlements"


class _Shown(Value, frozen=True, kw_only=True):
    invoice: Invoice


@click.group()
def agreements() -> None:
    """What a CPO and an eMSP agreed on: fees, taxes, periods.

    The hub must be running.

    \b
        pnc-hub agreements add abc-xyz --seller 'DE*ABC' --buyer 'NL*XYZ' \\
            --from 2026-11-01 --time-zone Europe/Berlin \\
            --fee-per-session 0.10 --vat 19
    """


def _choices(kind: Any) -> click.Choice[str]:
    return click.Choice([one.value for one in kind])


@agreements.command()
@click.argument("id_", metavar="ID")
@click.option("--seller", required=True, help="The CPO, whose CDRs they are: DE*ABC.")
@click.option("--buyer", required=True, help="The eMSP, whose tokens they name.")
@click.option("--currency", default="EUR", show_default=True)
@click.option("--from", "valid_from", required=True, help="First day it holds on.")
@click.option("--until", "valid_until", help="First day it does not hold on.")
@click.option("--time-zone", default="UTC", show_default=True, help="Where its days begin.")
@click.option("--period", type=_choices(PeriodKind), default="month", show_default=True)
@click.option("--billing", type=_choices(Billing), default="direct", show_default=True, help="Who writes the invoice.")
@click.option("--fee-per-session", default="0", show_default=True)
@click.option("--fee-per-kwh", default="0", show_default=True)
@click.option("--fee-percent", default="0", show_default=True, help="Of the CDRs before taxes.")
@click.option("--minimum", default="0", show_default=True, help="Of the fees of a period.")
@click.option("--vat", "vat_percent", help="On everything; without it the CDRs' own taxes are passed on.")
@click.option("--digits", type=click.IntRange(0, 6), default=2, show_default=True)
@click.option("--rounding", type=_choices(RoundingRule), default="half-up", show_default=True)
@click.option("--round-at", type=_choices(RoundAt), default="line", show_default=True)
@click.option("--payment-days", type=click.IntRange(0, 365), default=30, show_default=True)
@click.option("--seller-details", default="", help="Name, address, tax number, for the invoice.")
@click.option("--buyer-details", default="")
@click.option("--note", default="", help="Stands on every invoice.")
@asking
def add(config_path: Path, token_file: Path, as_json: bool, **given: Any) -> None:
    """Add an agreement. It holds for sessions that begin while it does."""
    fields = {name: value for name, value in given.items() if value is not None} | {"id": given["id_"]}
    del fields["id_"]
    for name in ("fee_per_session", "fee_per_kwh", "fee_percent", "minimum", "vat_percent"):
        if name in fields:
            fields[name] = _number(_option(name), str(fields[name]))
    for name in ("seller", "buyer"):
        fields[name] = _party(_option(name), fields[name])
    for name in ("valid_from", "valid_until"):
        if name in fields:
            fields[name] = _day(_option(name), fields[name])
    try:
        wish = msgspec.convert(fields, Agreement, strict=False)
    except msgspec.ValidationError as error:
        fail(str(error))
    body = asked(config_path, token_file, "POST", _AGREEMENTS, encode(wish))
    click.echo(body if as_json else f"agreement {wish.id} added")


@agreements.command(name="list")
@asking
def list_agreements(config_path: Path, token_file: Path, as_json: bool) -> None:
    """List the agreements."""
    body = asked(config_path, token_file, "GET", _AGREEMENTS)
    if as_json:
        click.echo(body)
        return
    table = listing("ID", "SELLER", "BUYER", "HOLDS", "PERIOD", "CURRENCY", "FEES")
    for one in read(AgreementList, body).agreements:
        until = "" if one.valid_until is None else f" until {one.valid_until}"
        cells = (one.id, one.seller, one.buyer, f"from {one.valid_from}{until}", one.period.value, one.currency)
        table.add_row(*(Text(cell) for cell in cells), Text(_fees(one)))
    print_listing(screen(), table)


@agreements.command()
@click.argument("id_", metavar="ID")
@asking
def show(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show an agreement."""
    body = asked(config_path, token_file, "GET", f"{_AGREEMENTS}/{quote(id_, safe='')}")
    if as_json:
        click.echo(body)
        return
    one = read(Agreement, body)
    for name in one.__struct_fields__:
        value = getattr(one, name)
        if value not in (None, ""):
            click.echo(
                f"{name.replace('_', ' '):18}{value:f}"
                if isinstance(value, Decimal)
                else f"{name.replace('_', ' '):18}{value}"
            )


@agreements.command()
@click.argument("id_", metavar="ID")
@click.option("--until", required=True, help="First day it does not hold on.")
@asking
def end(id_: str, until: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """End an agreement, so that another one of the same pair can follow it."""
    wish = encode(EndWish(until=_day("--until", until)))
    body = asked(config_path, token_file, "POST", f"{_AGREEMENTS}/{quote(id_, safe='')}/end", wish)
    click.echo(body if as_json else f"agreement {id_} holds until {until}")


@agreements.command()
@click.argument("base")
@click.argument("quote_", metavar="QUOTE")
@click.argument("rate")
@click.option("--source", required=True, help="Who stated it.")
@click.option("--date", "day", required=True, help="The day it was stated for.")
@asking
def rate(
    base: str, quote_: str, rate: str, source: str, day: str, config_path: Path, token_file: Path, as_json: bool
) -> None:
    """State an exchange rate: 1 BASE is RATE QUOTE. A period takes the newest of its last day or before."""
    wish = Rate(
        base=base.upper(), quote=quote_.upper(), rate=_number("RATE", rate), source=source, date=_day("--date", day)
    )
    body = asked(config_path, token_file, "POST", "/api/v1/rates", encode(wish))
    click.echo(body if as_json else f"1 {wish.base} = {wish.rate:f} {wish.quote} on {wish.date}, {source}")


# --- settle


@click.group()
def settle() -> None:
    """Close periods, and show and export their invoices. The hub must be running.

    \b
        pnc-hub settle close abc-xyz 2026-11
        pnc-hub settle invoice abc-xyz-20261101 --out invoice.html
        pnc-hub settle export abc-xyz-20261101 --format csv --out cdrs.csv
    """


@settle.command()
@click.argument("agreement")
@click.argument("period")
@asking
def close(agreement: str, period: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Close the PERIOD of an AGREEMENT.

    PERIOD is its first day, or 2026-11 for a month. A closed period never changes: closing it again shows what it was
    closed with.
    """
    wish = encode(CloseWish(agreement=agreement, period=period))
    body = asked(config_path, token_file, "POST", _SETTLEMENTS, wish)
    if as_json:
        click.echo(body)
        return
    closed = read(Settlement, body)
    click.echo(
        "closed" if closed.fresh else f"closed already, at {closed.closed_at:%Y-%m-%d %H:%M} by {closed.by_whom}"
    )
    _show_invoice(closed.invoice)


@settle.command(name="list")
@click.option("--agreement", help="Only those of one agreement.")
@asking
def list_settlements(agreement: str | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """List closed periods."""
    query = "" if agreement is None else f"?{urlencode({'agreement': agreement})}"
    body = asked(config_path, token_file, "GET", f"{_SETTLEMENTS}{query}")
    if as_json:
        click.echo(body)
        return
    table = listing("INVOICE", "PERIOD", "PAYS", "TO", "CDRS", "TOTAL", "DUE")
    for one in read(SettlementList, body).settlements:
        invoice = one.invoice
        cells = (
            invoice.id,
            f"{invoice.begin} to before {invoice.end}",
            invoice.agreement.buyer,
            invoice.agreement.seller,
            str(invoice.cdrs),
            f"{invoice.total:f} {invoice.agreement.currency}",
            str(invoice.due),
        )
        table.add_row(*(Text(cell) for cell in cells))
    print_listing(screen(), table)


@settle.command(name="show")
@click.argument("invoice")
@asking
def show_settlement(invoice: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show an invoice.

    With --json also its CDRs and the record of OCPI's invoice reconciliation.
    """
    body = asked(config_path, token_file, "GET", _invoice(invoice, "json"))
    if as_json:
        click.echo(body)
    else:
        _show_invoice(read(_Shown, body).invoice)


@settle.command()
@click.argument("invoice")
@click.option("--format", "format_", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@asking
def export(invoice: str, format_: str, out: Path | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Export the CDRs of an invoice, for another program."""
    _written(asked(config_path, token_file, "GET", _invoice(invoice, "json" if as_json else format_)), out)


@settle.command(name="invoice")
@click.argument("invoice")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@asking
def invoice_page(invoice: str, out: Path | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """The invoice as a page to be read and printed (HTML)."""
    _written(asked(config_path, token_file, "GET", _invoice(invoice, "json" if as_json else "html")), out)


@settle.command()
@click.argument("one")
@click.argument("other")
@click.option("--from", "first", required=True, help="First day of the periods' first.")
@click.option("--to", "last", required=True, help="A day that the last period begins on, or before.")
@asking
def net(one: str, other: str, first: str, last: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """What two parties owe each other in a span of time.

    All their closed periods count that begin in it.
    """
    days = {"from": str(_day("--from", first)), "to": str(_day("--to", last))}
    query = urlencode({"one": one, "other": other, **days})
    body = asked(config_path, token_file, "GET", f"/api/v1/netting?{query}")
    if as_json:
        click.echo(body)
        return
    found = read(NettingList, body).netting
    for entry in found:
        for party, owed in zip(entry.parties, entry.owed, strict=True):
            click.echo(f"{party} owes {owed:f} {entry.currency}")
        even = (
            "both are even"
            if entry.pays is None
            else f"{entry.pays} pays {entry.balance:f} {entry.currency} to {entry.receives}"
        )
        click.echo(f"{even}, by {', '.join(entry.invoices)}")
    if not found:
        click.echo("no closed periods between them in that span")


def _show_invoice(invoice: Invoice) -> None:
    terms = invoice.agreement
    click.echo(f"invoice {invoice.id}: {terms.buyer} pays {terms.seller}, due {invoice.due}")
    click.echo(
        f"{invoice.cdrs} CDRs, {invoice.credits} of them credits, {invoice.late} late, {invoice.energy_kwh:f} kWh"
    )
    table = listing("FOR", "QUANTITY", "PRICE", "AMOUNT")
    for line in invoice.lines:
        quantity = "" if line.quantity is None else f"{line.quantity:f} {line.unit}"
        price = "" if line.price is None else f"{line.price:f}"
        table.add_row(Text(line.text), Text(quantity), price, f"{line.net:f}")
    for tax in invoice.taxes:
        name = tax.name if tax.percentage is None else f"{tax.name} {tax.percentage:f} %"
        table.add_row(Text(name), "", "", f"{tax.amount:f}")
    table.add_row("Total", "", "", f"{invoice.total:f} {terms.currency}")
    print_listing(screen(), table)
    for one in invoice.rates:
        click.echo(f"1 {one.base} = {one.rate:f} {one.quote} ({one.source}, {one.date})")
    if invoice.roundings:
        click.echo(f"rounding added {invoice.rounding:f} {terms.currency}")


def _invoice(invoice: str, format_: str) -> str:
    return f"{_SETTLEMENTS}/{quote(invoice, safe='')}?format={format_}"


def _written(body: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(body, nl=False)
        return
    try:
        out.write_bytes(body)
    except OSError as error:
        fail(f"--out {out}: {error.strerror}")
    click.echo(f"{out} written")


def _fees(one: Agreement) -> str:
    parts = (
        (one.fee_per_session, f"{one.fee_per_session:f} a session"),
        (one.fee_per_kwh, f"{one.fee_per_kwh:f} a kWh"),
        (one.fee_percent, f"{one.fee_percent:f} %"),
        (one.minimum, f"{one.minimum:f} at least"),
    )
    return ", ".join(words for value, words in parts if value) or "none"


def _option(field: str) -> str:
    """The option of `agreements add` that fills a field."""
    named = {"vat_percent": "--vat", "valid_from": "--from", "valid_until": "--until"}
    return named.get(field, f"--{field.replace('_', '-')}")


def _party(option: str, text: str) -> str:
    try:
        return str(party_named(text))
    except AgreementRefused as error:
        fail(f"{option}: {error}")


def _number(option: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        fail(f"{option}: {text!a} is no number")


def _day(option: str, text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        fail(f"{option}: {text!a} is no day like 2026-11-01")
