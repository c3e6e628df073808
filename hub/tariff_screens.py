"""What `pnc-hub tariffs` shows: tables, in which nothing is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rich.console import Console
from rich.text import Text

from hub.clock import utc
from hub.evidence.checks import shown_amount
from hub.quotes import component_text, tariff_text, when_text
from pki.service.screen import listing, print_listing
from wire.ocpi.pricing import Line, Part, Priced, Step
from wire.ocpi.pricing_amounts import after_taxes, tax_of
from wire.ocpi.tariffs import TariffDimension
from wire.settling.tariffs import SHORT_FORM, Assignment, TariffSnapshot, short_form
from wire.settling.terms import Terms

_HASH = 12
_FEW = 3
_WHAT = {
    (Part.ENERGY, TariffDimension.ENERGY): "Energy",
    (Part.TIME, TariffDimension.TIME): "Charging time",
    (Part.PARKING, TariffDimension.PARKING_TIME): "Parking time",
    (Part.PARKING, TariffDimension.FLAT): "Parking fee",
    (Part.RESERVATION, TariffDimension.TIME): "Reservation time",
    (Part.RESERVATION, TariffDimension.FLAT): "Reservation fee",
    (Part.FIXED, TariffDimension.FLAT): "Session fee",
}


@dataclass(frozen=True, slots=True)
class KnownTariff:
    """A tariff, where hub.toml has it for (None: everywhere), and when the first session was pinned to it. `earlier`:
    hub.toml has it no more."""

    snapshot: TariffSnapshot
    assignment: Assignment | None
    pinned_at: datetime | None
    earlier: bool = False

    @property
    def where(self) -> str:
        """Where it is for, in words."""
        if self.earlier:
            return "no more in hub.toml"
        one = self.assignment
        if one is None:
            return "wherever no other is" if self.snapshot.tariff.id == SHORT_FORM else "everywhere"
        sets = (
            ("gateways", sorted(one.gateways)),
            ("chargers", sorted(one.chargers)),
            ("EVSEs", sorted(map(str, one.evses))),
            ("drivers of", sorted(map(str, one.parties))),
        )
        return "; ".join(f"{word} {', '.join(names)}" for word, names in sets if names) or "everywhere"


def known_tariffs(terms: Terms, kept: Sequence[tuple[datetime, TariffSnapshot]]) -> list[KnownTariff]:
    """Those of hub.toml in the order in which they are asked, then those that are only `kept`, since when."""
    found = [KnownTariff(one.snapshot, one, None) for one in terms.tariffs]
    found.append(KnownTariff(short_form(terms.price), None, None))
    held = {snapshot.hash: (at, snapshot) for at, snapshot in kept}
    for index, one in enumerate(found):
        found[index] = KnownTariff(one.snapshot, one.assignment, held.pop(one.snapshot.hash, (None, None))[0])
    return found + [KnownTariff(snapshot, None, at, earlier=True) for at, snapshot in held.values()]


def print_tariffs(console: Console, known: list[KnownTariff]) -> None:
    """Each tariff in a row, in the order in which they are asked."""
    table = listing("TARIFF", "HASH", "WHERE", "VALID", "PRICE", "FIRST PINNED", HASH=_HASH)
    for one in known:
        table.add_row(
            Text(one.snapshot.tariff.id),
            Text(one.snapshot.hash[:_HASH]),
            Text(one.where),
            Text(_validity(one.snapshot)),
            Text(_short(one.snapshot)),
            Text("never" if one.pinned_at is None else utc(one.pinned_at)),
        )
    print_listing(console, table)


def _short(snapshot: TariffSnapshot) -> str:
    """A tariff of few prices in words, one of more by their number."""
    elements = snapshot.tariff.elements
    if sum(len(element.price_components) for element in elements) <= _FEW:
        return tariff_text(snapshot)
    return f"{len(elements)} elements in {snapshot.tariff.currency}: `pnc-hub tariffs show {snapshot.tariff.id}`"


def _validity(snapshot: TariffSnapshot) -> str:
    since, until = snapshot.tariff.start_date_time, snapshot.tariff.end_date_time
    parts = (f"from {utc(since)}" if since else "", f"until {utc(until)}" if until else "")
    return " ".join(part for part in parts if part) or "always"


def print_tariff(console: Console, snapshot: TariffSnapshot) -> None:
    """A tariff, element by element."""
    tariff = snapshot.tariff
    console.print(Text(f"Tariff {tariff.id}, {tariff.currency}, tax included: {tariff.tax_included.value}"))
    console.print(Text(f"hash {snapshot.hash}, times as in {snapshot.time_zone}, valid {_validity(snapshot)}"))
    table = listing("ELEMENT", "PRICE", "WHEN")
    for number, element in enumerate(tariff.elements):
        when = when_text(element.restrictions).strip(" ()") or "always"
        for index, component in enumerate(element.price_components):
            price = component_text(component, tariff.currency, element.restrictions)
            table.add_row(str(number) if not index else "", Text(price), Text(when if not index else ""))
    print_listing(console, table)
    for limit, word in ((tariff.min_price, "at least"), (tariff.max_price, "at most")):
        if limit is not None:
            after = "" if limit.after_taxes is None else f", {limit.after_taxes:f} with them"
            console.print(Text(f"A session costs {word} {limit.before_taxes:f} {tariff.currency} before taxes{after}."))
    for text in tariff.tariff_alt_text:
        console.print(Text(f"{text.language}: {text.text}"))


def print_priced(console: Console, snapshot: TariffSnapshot, priced: Priced) -> None:
    """A price, line by line, and why each is what it is."""
    console.print(Text(f"Tariff {snapshot.tariff.id}, {priced.currency}, {_length(priced)}, {priced.energy:f} kWh"))
    table = listing("FOR", "USED", "BILLED", "PRICE", "BEFORE TAXES", "TAXES", "WHY")
    for column in table.columns[1:5]:
        column.justify = "right"
    for number, line in enumerate(priced.lines):
        table.add_row(
            Text(_WHAT[line.part, line.component.type]),
            Text(_volume(line, line.used)),
            Text(_volume(line, line.billed)),
            Text(f"{line.component.price:f}"),
            Text(_money(line.cost.before_taxes)),
            Text(_taxes(line)),
            Text("\n".join(_why(snapshot, line, [step for step in priced.steps if step.line == number]))),
        )
    if priced.adjustment is not None:
        changed = priced.adjustment
        why = "the tariff's limit"
        table.add_row("Limit", "", "", "", Text(_money(changed.before_taxes)), Text(_money(tax_of(changed))), Text(why))
    table.add_section()
    table.add_row("Total", "", "", "", _money(priced.total.before_taxes), _money(tax_of(priced.total)), "")
    print_listing(console, table)
    told = f"{_money(after_taxes(priced.total))} {priced.currency} with taxes"
    console.print(Text(told, style="bold"))
    for note in priced.notes:
        console.print(Text(note, style="yellow"))


def _why(snapshot: TariffSnapshot, line: Line, steps: list[Step]) -> Iterator[str]:
    yield f"element {line.element}{when_text(snapshot.tariff.elements[line.element].restrictions)}"
    for step in steps:
        unit = "Wh" if step.part is Part.ENERGY else "s"
        used, size = f"{step.used.normalize():f} {unit}", f"{step.step_size} {unit}"
        yield f"steps of {size}: {used} in all count as {step.billed:f} {unit}, the rest is billed here"


def _length(priced: Priced) -> str:
    if not any(line.part is not Part.RESERVATION for line in priced.lines) and not priced.time:
        return "a reservation"
    parking = f", {priced.parking_time:f} h of them parking" if priced.parking_time else ""
    return f"{priced.time:f} h{parking}"


def _volume(line: Line, volume: Decimal) -> str:
    if line.component.type is TariffDimension.FLAT:
        return "once"
    if line.component.type is TariffDimension.ENERGY:
        return f"{volume:f} kWh"
    seconds = (volume * 3600).quantize(Decimal("0.001")).normalize()
    return f"{seconds:f} s" if seconds % 60 else f"{seconds / 60:f} min"


def _taxes(line: Line) -> str:
    taxes = [
        f"{_money(tax.amount)}" + ("" if tax.percentage is None else f" ({tax.percentage:f} %)")
        for tax in line.cost.taxes
    ]
    return " + ".join(taxes) or "0.00"


def _money(amount: Decimal) -> str:
    return shown_amount(amount)
