"""An invoice for others' programs and for people: CSV of its CDRs, one JSON document, a page that prints. Pure but for
reading the page's template.

Rules
1. Every export says what the closed period says, exactly: amounts as decimal text, never rounded for show but where the
   agreement rounded them.
2. A cell of the CSV that a spreadsheet would take for a formula is quoted with an apostrophe.
3. The page asks nobody for anything: no script, no picture, no font, no link.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hub.settlement.agreements import Agreement, Billing
from hub.settlement.invoices import Invoice, Item, reconciliation_record
from wire.ocpi.document import document_of
from wire.records import encode

MOST_ROWS = 2000
"""CDRs that the page lists; an invoice of more says that the CSV has them all."""
CSV_COLUMNS = (
    "cdr",
    "session",
    "begin",
    "end",
    "kwh",
    "currency",
    "amount",
    "tax",
    "net",
    "net_currency",
    "credit",
    "late",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_of(invoice: Invoice, items: Sequence[Item]) -> bytes:
    """The CDRs of an invoice, a row each, UTF-8, with CRLF (RFC 4180). Some 10 us a row."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for item in items:
        writer.writerow(
            (
                _cell(item.cdr),
                _cell(item.session or ""),
                item.begin.isoformat(),
                item.end.isoformat(),
                f"{item.kwh:f}",
                item.currency,
                f"{item.amount:f}",
                f"{item.tax:f}",
                f"{item.net:f}",
                invoice.agreement.currency,
                "yes" if item.credit else "no",
                "yes" if item.late else "no",
            )
        )
    return file.getvalue().encode()


def json_of(invoice: Invoice, items: Sequence[Item]) -> bytes:
    """Invoice, CDRs, and the record that OCPI's invoice reconciliation tells of them."""
    record = reconciliation_record(invoice, items)
    return encode(
        {
            "invoice": invoice,
            "rounding": invoice.rounding,
            "cdrs": items,
            "reconciliation_record": None if record is None else document_of(record),
        }
    )


def page_of(invoice: Invoice, items: Sequence[Item]) -> bytes:
    """The invoice as a page (HTML, UTF-8)."""
    terms = invoice.agreement
    page = _template().render(
        invoice=invoice,
        terms=terms,
        items=items[:MOST_ROWS],
        left=max(0, len(items) - MOST_ROWS),
        last_day=_last_day(invoice),
        rounding_words=_rounding_words(terms),
        reverse=terms.billing is Billing.REVERSE,
    )
    return page.encode()


def _last_day(invoice: Invoice) -> str:
    return invoice.end.fromordinal(invoice.end.toordinal() - 1).isoformat()


def _rounding_words(terms: Agreement) -> str:
    where = "each CDR, each line" if terms.round_at.value == "cdr" else "each line"
    return f"{where} and each tax to {terms.digits} decimal places, {terms.rounding.value.replace('-', ' ')}"


def _cell(text: str) -> str:
    """Rule 2."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _amount(amount: Decimal, digits: int = 2) -> str:
    """An amount with a space between thousands, at least `digits` decimals, none lost."""
    exponent = amount.normalize().as_tuple().exponent
    places = max(digits, -exponent if isinstance(exponent, int) else 0)
    return f"{amount:,.{places}f}".replace(",", "\u202f").replace("-", "\u2212")


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["amount"] = _amount
    return environment.get_template("invoice.html.j2")
