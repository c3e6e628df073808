"""How a demo looks: a line for each act, the account as tables, and every expectation with its sign and its word."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.demo.account import Account, Check
from pki.service.screen import listing


def progress(console: Console) -> Callable[[str], None]:
    """Tells each act with the seconds since the first."""
    began = time.monotonic()

    def tell(text: str) -> None:
        console.print(Text.assemble((f"{time.monotonic() - began:5.1f} s  ", "dim"), text), soft_wrap=True)

    return tell


def show(console: Console, account: Account) -> None:
    """The account, and the expectations: those that did not hold at the end, where they are seen."""
    for title, table in (
        (f"Who did what in {account.month}", _platforms(account)),
        (f"What they owe each other, in {account.currency}", _pairs(account)),
        ("What each gets for the month", _balances(account)),
    ):
        console.print()
        console.print(Text(title, style="bold"))
        console.print(table)
    console.print()
    console.print(Text("The altered CDR was refused: ", style="bold") + Text(account.refusal))
    console.print()
    for check in sorted(account.checks, key=lambda one: not one.held):
        console.print(_line(check), soft_wrap=True)
    broken = sum(not check.held for check in account.checks)
    console.print()
    end = "all of them held" if not broken else f"{broken} did not hold"
    told = f"{len(account.checks)} expectations, {end}; {account.seconds:.0f} s"
    console.print(Text(told, style="bold green" if not broken else "bold red"))


def _platforms(account: Account) -> Table:
    names = "SESSIONS", "KWH", "CDRS", "ACCEPTED", "ON HOLD", "REFUSED", "DISPUTED", "CREDITED"
    table = listing("", "PARTY", "ROLE", *names)
    _right(table, 3)
    for row in account.platforms:
        counts = row.cdrs, row.accepted, row.on_hold, row.refused, row.disputed, row.credited
        table.add_row(row.name, row.party, row.role, str(row.sessions), f"{row.kwh:,.3f}", *map(str, counts))
    return table


def _pairs(account: Account) -> Table:
    table = listing("CPO", "EMSP", "INVOICE", "CDRS", "CREDITS", "KWH", "NET", "VAT", "GROSS", "BOTH SIDES")
    _right(table, 3, 9)
    for row in account.pairs:
        amounts = (f"{amount:,.2f}" for amount in (row.net, row.vat, row.gross))
        said = Text("agree", "green") if row.agreed else Text("differ", "bold red")
        numbers = str(row.cdrs), str(row.credits), f"{row.kwh:,.3f}"
        table.add_row(row.seller, row.buyer, row.invoice, *numbers, *amounts, said)
    return table


def _balances(account: Account) -> Table:
    table = listing("PARTY", account.currency)
    _right(table, 1)
    for balance in account.balances:
        table.add_row(balance.party, f"{balance.amount:+,.2f}")
    table.add_row("together", f"{sum((one.amount for one in account.balances), Decimal(0)):,.2f}")
    return table


def _right(table: Table, first: int, end: int | None = None) -> None:
    for column in table.columns[first:end]:
        column.justify = "right"


def _line(check: Check) -> Text:
    sign = Text("  held      ", "green") if check.held else Text("  NOT HELD  ", "bold red")
    return Text.assemble(sign, check.what, (f"  {check.seen}", "dim"))
