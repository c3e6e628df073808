"""The account of a demo: what was seen at each platform, what each pair owes, and what had to hold.

Amounts are exact decimals in the currency of the agreements; energy in kWh.
"""

from __future__ import annotations

from decimal import Decimal

from wire.records import Value


class Check(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An expectation: `seen` says what came, and what was expected when that is not the same."""

    what: str
    held: bool
    seen: str


class PlatformRow(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A CPO or eMSP at the end. `cdrs` are those that it keeps, credits among them; `refused` are not kept."""

    name: str
    party: str
    role: str
    sessions: int
    kwh: Decimal
    cdrs: int
    accepted: int
    on_hold: int
    refused: int
    disputed: int
    credited: int


class PairRow(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The closed month of a pair, as the CPO claims it; `agreed`: the eMSP's own invoice says the same."""

    seller: str
    buyer: str
    invoice: str
    cdrs: int
    credits: int
    kwh: Decimal
    net: Decimal
    vat: Decimal
    gross: Decimal
    agreed: bool


class Balance(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a party gets for the month over all its invoices; negative when it pays."""

    party: str
    amount: Decimal


class Account(Value, frozen=True, kw_only=True, omit_defaults=False):
    """All of it. `month` is its first day's `YYYY-MM`; `refusal` what the sender of the altered CDR was told."""

    month: str
    currency: str
    platforms: tuple[PlatformRow, ...]
    pairs: tuple[PairRow, ...]
    balances: tuple[Balance, ...]
    refusal: str
    checks: tuple[Check, ...]
    seconds: float
    folder: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return all(check.held for check in self.checks)


class Checks:
    """Takes expectations as the demo goes on."""

    def __init__(self) -> None:
        self._found: list[Check] = []

    def equal(self, what: str, seen: object, expected: object) -> None:
        """Two things that have to be the same, and read well."""
        told = f"{seen}" if seen == expected else f"{seen}; expected {expected}"
        self._found.append(Check(what=what, held=seen == expected, seen=told))

    def holds(self, what: str, held: bool, seen: str) -> None:
        """Something that has to be so."""
        self._found.append(Check(what=what, held=held, seen=seen))

    @property
    def all(self) -> tuple[Check, ...]:
        """In the order in which they came."""
        return tuple(self._found)
