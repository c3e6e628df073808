"""Credit CDRs: the exact negative of a CDR, made and checked. Pure.

Rules
1. A credit has an id of its own, `credit`, `credit_reference_id`, its own `last_updated` and the negative of
   `total_cost`, taxes included; everything else is what the CDR says that it takes back.
2. Some partners also negate the partial costs; OCPI asks for `total_cost` only. Both are taken.

Source: OCPI 2.3.0 mod_cdrs (Credit CDRs).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from hub.reconcile.facts import COST_PARTS, Facts, Limits
from hub.reconcile.findings import Finding, found
from wire.ocpi.document import document_of
from wire.ocpi.keys import same
from wire.ocpi.pricing_amounts import after_taxes
from wire.ocpi.sessions import Cdr
from wire.ocpi.types import Price

SUFFIX = "-C"
MAX_ID = 39
_OWN = ("id", "credit", "credit_reference_id", "last_updated", "total_cost", "remark", "invoice_reference_id")
_PERSONAL = ("cdr_token", "authorization_reference", "signed_data")
"""What is let go of with whoever charged: of such a CDR nobody can compare it."""


def credit_of(cdr: Cdr, at: datetime) -> Cdr:
    """The credit that takes `cdr` back, made at `at`.

    Raises:
        ValueError: it is a credit itself, or its id leaves no room for SUFFIX.
    """
    if cdr.credit:
        raise ValueError(f"{cdr.id} is a credit; it is not taken back")
    if len(cdr.id) + len(SUFFIX) > MAX_ID:
        raise ValueError(f"{cdr.id}: an id of {len(cdr.id)} characters leaves no room for {SUFFIX}")
    return msgspec.structs.replace(
        cdr,
        id=cdr.id + SUFFIX,
        credit=True,
        credit_reference_id=cdr.id,
        last_updated=at,
        total_cost=negative(cdr.total_cost),
    )


def negative(price: Price) -> Price:
    """The price with the other sign; nothing is rounded."""
    taxes = tuple(msgspec.structs.replace(tax, amount=_negative(tax.amount)) for tax in price.taxes)
    return Price(before_taxes=_negative(price.before_taxes), taxes=taxes)


def _negative(amount: Decimal) -> Decimal:
    return amount.copy_negate() if amount else amount


def credit_findings(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """What is wrong with a credit."""
    where = "/credit_reference_id"
    credited = facts.credited
    if credited is None or cdr.credit_reference_id is None:
        yield found("credit-unknown", where, f"no CDR {cdr.credit_reference_id} of {cdr.owner} is held")
        return
    if credited.credit:
        yield found("credit-twice", where, f"{credited.id} is a credit itself")
        return
    if facts.is_credited:
        yield found("credit-twice", where, f"{credited.id} is credited already")
    if same(cdr.id, credited.id):
        yield found("credit-differs", "/id", "a credit has an id of its own")
    expected = negative(credited.total_cost)
    if _sums(cdr.total_cost) != _sums(expected):
        message = f"{cdr.total_cost.before_taxes:f} before taxes; {expected.before_taxes:f} would take it back"
        if cdr.total_cost.before_taxes == expected.before_taxes:
            message = f"{after_taxes(cdr.total_cost):f} with taxes; {after_taxes(expected):f} would take it back"
        yield found("credit-amount", "/total_cost", message)
    if cdr.currency != credited.currency:
        yield found("credit-amount", "/currency", f"{cdr.currency}; {credited.currency} was billed")
    gone = _PERSONAL if facts.credited_erased else ()
    if gone and cdr.cdr_token.owner != credited.cdr_token.owner:
        yield found("credit-differs", "/cdr_token", f"{credited.cdr_token.owner} was billed")
    for name in _differing(cdr, credited, gone):
        yield found("credit-differs", f"/{name}", f"it differs from that of CDR {credited.id}")


def _differing(cdr: Cdr, credited: Cdr, gone: tuple[str, ...]) -> Iterator[str]:
    one, other = document_of(cdr), document_of(credited)
    for name in sorted(one.keys() | other.keys()):
        if (
            name not in (*_OWN, *gone)
            and one.get(name) != other.get(name)
            and not _is_negated_part(name, cdr, credited)
        ):
            yield name


def _is_negated_part(name: str, cdr: Cdr, credited: Cdr) -> bool:
    """Rule 2."""
    value, before = getattr(cdr, name, None), getattr(credited, name, None)
    if name not in COST_PARTS or not isinstance(value, Price) or not isinstance(before, Price):
        return False
    return _sums(value) == _sums(negative(before))


def _sums(price: Price) -> tuple[Decimal, Decimal]:
    return price.before_taxes, after_taxes(price)
