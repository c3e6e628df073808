"""Prices and tariffs between 2.3.0 and 2.2.1.

Rules
1. A Price keeps its sum: `incl_vat` is `before_taxes` and all taxes; back it is one tax, named VAT, of the difference.
   Several taxes, or one with another name, an account or a percentage, are named as a loss. No `incl_vat`: no taxes.
2. The limits of a tariff only change the names of their fields.
3. 2.2.1 has prices without VAT only, and no VAT where a component says none. So, down: NO as it is; N/A as it is; YES
   is divided by 1 + vat, to OCPI's four decimals, and named as a loss. YES without a component's `vat` is refused:
   nobody can say what the price without taxes is. Up: NO where a component has `vat`, else N/A.
4. In a PATCH, `elements` need `tax_included` beside them to go down, and the other way round.

Source: OCPI 2.2.1 types (Price), mod_tariffs; OCPI 2.3.0 types (Price), mod_tariffs (PriceLimit, TaxIncluded).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any

from wire.ocpi.document import Document
from wire.ocpi.losses import Losses, unconvertible

_VAT = "VAT"
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation, Overflow])
_STEP = Decimal("0.0001")
_LARGEST = Decimal(10) ** 15
_LIMITS = {"min_price", "max_price"}
COSTS = (
    "total_cost",
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)
"""The fields of Sessions and CDRs that are prices."""


def _number(value: object) -> Decimal | None:
    """A JSON number; None for anything else, and for one that no price comes near."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return Decimal(value) if -_LARGEST < value < _LARGEST else None


def price_down(price: object, pointer: str, losses: Losses) -> object:
    """A Price of 2.3.0 as one of 2.2.1; what is no Price stays as it is."""
    if not isinstance(price, dict) or _number(price.get("before_taxes")) is None:
        return price
    before, taxes = price["before_taxes"], price.get("taxes")
    if taxes is not None and not isinstance(taxes, list):
        return price
    kept = {name: value for name, value in price.items() if name not in ("before_taxes", "taxes")}
    written = {"excl_vat": before} | kept
    if not taxes:
        return written
    total = _sum_of(taxes, f"{pointer}/taxes")
    if len(taxes) != 1 or taxes[0] != {"name": _VAT, "amount": total}:
        left = [{"name": _VAT, "amount": total}]
        losses.note(f"{pointer}/taxes", "2.2.1 has one amount of VAT", taxes, left)
    return written | {"incl_vat": _add(before, total, pointer)}


def price_up(price: object) -> object:
    """A Price of 2.2.1 as one of 2.3.0; what is no Price stays as it is."""
    without = _number(price.get("excl_vat")) if isinstance(price, dict) else None
    if not isinstance(price, dict) or without is None:
        return price
    total = _number(price.get("incl_vat"))
    names = ("excl_vat",) if total is None else ("excl_vat", "incl_vat")
    written = {"before_taxes": price["excl_vat"]} | {n: value for n, value in price.items() if n not in names}
    if total is None:
        return written
    return written | {"taxes": [{"name": _VAT, "amount": _add(total, -without, "/incl_vat")}]}


def costs_down(document: Document, losses: Losses, pointer: str = "") -> Document:
    """A Session or CDR with its prices as 2.2.1 has them."""
    return document | {n: price_down(document[n], f"{pointer}/{n}", losses) for n in COSTS if n in document}


def costs_up(document: Document) -> Document:
    """A Session or CDR with its prices as 2.3.0 has them."""
    return document | {name: price_up(document[name]) for name in COSTS if name in document}


def tariff_down(tariff: Document, losses: Losses, pointer: str = "") -> Document:
    """A tariff of 2.3.0 as one of 2.2.1.

    Raises:
        OCPIRefused: its prices hold taxes that nobody can take out, or a PATCH has half of what is needed
            (`unconvertible`).
    """
    written = {n: _limit(v, "excl_vat", "incl_vat") if n in _LIMITS else v for n, v in tariff.items()}
    included = written.pop("tax_included", None)
    if "elements" not in tariff:
        if included is not None:
            raise unconvertible(f"{pointer}/tax_included", "in a patch it needs the elements beside it")
        return written
    if included not in ("YES", "NO", "N/A"):
        raise unconvertible(f"{pointer}/tax_included", "nobody says whether the prices hold taxes")
    if included == "YES" and isinstance(tariff["elements"], list):
        written["elements"] = _without_taxes(tariff["elements"], f"{pointer}/elements", losses)
    left = _tax_included(written["elements"])
    if left != included:
        losses.note(f"{pointer}/tax_included", "2.2.1 says it by the components' vat only", included, left)
    return written


def tariff_up(tariff: Document) -> Document:
    """A tariff of 2.2.1 as one of 2.3.0."""
    written = {n: _limit(v, "before_taxes", "after_taxes") if n in _LIMITS else v for n, v in tariff.items()}
    if "elements" in written:
        written["tax_included"] = _tax_included(written["elements"])
    return written


def _components(elements: object) -> list[tuple[str, dict[str, Any]]]:
    """The price components of elements, each with its JSON pointer below them; what is ill-formed is left out."""
    found = []
    for i, element in enumerate(elements if isinstance(elements, list) else []):
        parts = element.get("price_components") if isinstance(element, dict) else None
        for j, part in enumerate(parts if isinstance(parts, list) else []):
            if isinstance(part, dict):
                found.append((f"/{i}/price_components/{j}", part))
    return found


def _tax_included(elements: object) -> str:
    return "NO" if any(part.get("vat") is not None for _, part in _components(elements)) else "N/A"


def _without_taxes(elements: list[Any], pointer: str, losses: Losses) -> list[Any]:
    prices: dict[str, Decimal] = {}
    for place, part in _components(elements):
        price, vat = _number(part.get("price")), _number(part.get("vat"))
        if price is None:
            continue
        if price != 0 and (vat is None or vat < 0):
            raise unconvertible(f"{pointer}{place}/vat", "the price holds taxes, and their rate is not given")
        net = price / (1 + vat / 100) if vat else price
        prices[place] = net if net == price else net.quantize(_STEP, ROUND_HALF_UP)
        if prices[place] != price:
            losses.note(f"{pointer}{place}/price", "2.2.1 has prices without VAT only", part["price"], prices[place])
    return [
        element
        | {
            "price_components": [
                part | {"price": prices[place]} if (place := f"/{i}/price_components/{j}") in prices else part
                for j, part in enumerate(element["price_components"])
            ]
        }
        if isinstance(element, dict) and isinstance(element.get("price_components"), list)
        else element
        for i, element in enumerate(elements)
    ]


def _limit(limit: object, without: str, including: str) -> object:
    """A PriceLimit, or the Price that it was, with its fields named so."""
    if not isinstance(limit, dict):
        return limit
    names = {"before_taxes": without, "excl_vat": without, "after_taxes": including, "incl_vat": including}
    return {names.get(name, name): value for name, value in limit.items()}


def _sum_of(taxes: list[Any], pointer: str) -> Decimal:
    total = Decimal(0)
    for i, tax in enumerate(taxes):
        amount = _number(tax.get("amount")) if isinstance(tax, dict) else None
        if amount is None:
            raise unconvertible(f"{pointer}/{i}/amount", "a tax without an amount")
        total = _add(total, amount, pointer)
    return total


def _add(one: int | Decimal, other: Decimal, pointer: str) -> Decimal:
    try:
        return _EXACT.add(Decimal(one), other)
    except DecimalException as error:
        raise unconvertible(pointer, "a number with more digits than can be added exactly") from error
