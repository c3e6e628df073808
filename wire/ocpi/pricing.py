"""What a session costs by a tariff. Pure; Decimal outside, exact fractions inside, no float anywhere.

Rules
1. At each moment and for each dimension the first element that matches is active (`pricing_rules`); what no component
   is active for costs nothing. TIME counts while charging, PARKING_TIME while the vehicle asks for no power, ENERGY
   always; of a reservation its time counts as TIME. A FLAT fee is due once for a session, the first that is active, and
   once for a reservation.
2. `step_size` rounds up once: ENERGY by itself, the session's time (TIME or PARKING_TIME, whichever came last) and the
   time of a reservation by themselves. The step is that of the component that was used last, what is added is billed
   by it, and only time and energy that a component is active for count. An exact multiple adds nothing; a step of 0
   is none.
3. Limits hold for the whole, the reservation included; a reservation that nobody used is no session and has none.
4. Amounts: `pricing_amounts`. Volumes in periods are what was used, not what is billed: kWh exactly, hours to
   HOUR_PLACES so that the sum of the periods is the whole.

Source: OCPI 2.3.0 mod_tariffs, mod_cdrs (step_size, ChargingPeriod). Where the texts are silent: rule 1 on FLAT, rule 2
on reservations, rule 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction

from wire.ocpi.periods import CdrDimension, CdrDimensionType, ChargingPeriod
from wire.ocpi.pricing_amounts import EXACTLY, Rounding, difference, limited, plus, priced, summed
from wire.ocpi.pricing_pieces import Piece, pieces_of
from wire.ocpi.pricing_rules import Component, Rules, read_rules
from wire.ocpi.pricing_timeline import Timeline, Use, spans_of
from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TaxIncluded
from wire.ocpi.types import Price

HOUR_PLACES = 4
_US_PER_HOUR = 3_600_000_000
_TIMES = (TariffDimension.TIME, TariffDimension.PARKING_TIME)
_WHOLE_HOURS = Rounding(places=HOUR_PLACES, mode=ROUND_HALF_EVEN)


class Part(StrEnum):
    """What of a session an amount is for, as a CDR tells them apart."""

    ENERGY = "energy"
    TIME = "time"
    PARKING = "parking"
    RESERVATION = "reservation"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one component costs: `used` and `billed` in kWh, hours or times; `element` and `number` say where in the
    tariff the component stands."""

    part: Part
    component: PriceComponent
    element: int
    number: int
    used: Decimal
    billed: Decimal
    cost: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rounding up by step_size: `used` became `billed`, in Wh or seconds, and `line` bears it (a number of
    `Priced.lines`)."""

    part: Part
    step_size: int
    used: Decimal
    billed: Decimal
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a session costs. `parts` sum to `subtotal`, which with `adjustment` (of a limit) is `total`. Energy in kWh,
    times in hours; `time` counts charging and parking, not a reservation. `notes` are findings, `code: words`."""

    tariff_id: str
    currency: str
    periods: tuple[ChargingPeriod, ...]
    lines: tuple[Line, ...]
    steps: tuple[Step, ...]
    parts: dict[Part, Price]
    adjustment: Price | None
    total: Price
    energy: Decimal
    time: Decimal
    parking_time: Decimal
    notes: tuple[str, ...]


def price_session(tariff: Tariff, timeline: Timeline, time_zone: tzinfo, rounding: Rounding = EXACTLY) -> Priced:
    """What `timeline` costs by `tariff`, with local times as at `time_zone`. A session of 200 periods takes some ms.

    Raises:
        PricingError: a number, time or limit of the tariff is unusable, the timeline contradicts itself, or both ask
            for more work than is done.
    """
    rules = read_rules(tariff)
    bill = _Bill()
    for piece in pieces_of(rules, spans_of(timeline), time_zone):
        bill.take(piece)
    steps = bill.round_up()
    lines = tuple(bill.lines(tariff, rounding))
    parts = {part: summed(line.cost for line in lines if line.part is part) for part in Part}
    subtotal = summed(parts.values())
    is_session = any(not segment.use.is_reservation for segment in timeline.segments)
    total = limited(subtotal, tariff, rounding) if is_session else subtotal
    return Priced(
        tariff_id=tariff.id,
        currency=tariff.currency,
        periods=tuple(_periods(bill.stretches, tariff.id)),
        lines=lines,
        steps=steps,
        parts=parts,
        adjustment=None if total is subtotal else difference(total, subtotal),
        total=total,
        energy=EXACTLY.of(sum((one.energy_wh for one in bill.stretches), Fraction(0)) / 1000),
        time=_hours(bill.stretches, (Use.CHARGING, Use.PARKING)),
        parking_time=_hours(bill.stretches, (Use.PARKING,)),
        notes=(*timeline.notes, *_notes(rules, tariff, timeline)),
    )


def _hours(stretches: Iterable[_Stretch], uses: tuple[Use, ...]) -> Decimal:
    used_us = sum((one.length_us for one in stretches if one.use in uses), Fraction(0))
    return _WHOLE_HOURS.of(used_us / _US_PER_HOUR)


@dataclass(slots=True)
class _Used:
    """A component's share of the bill so far: Wh, microseconds or times."""

    component: Component
    part: Part
    used: Fraction = Fraction(0)
    added: Fraction = Fraction(0)


@dataclass(slots=True)
class _Stretch:
    """Pieces with the same use and the same components: a charging period."""

    at: datetime
    use: Use
    active: dict[TariffDimension, Component]
    length_us: Fraction = Fraction(0)
    energy_wh: Fraction = Fraction(0)
    powers: list[Decimal] = field(default_factory=list)
    currents: list[Decimal] = field(default_factory=list)


@dataclass(slots=True)
class _Bill:
    """The bill while pieces are taken, in order. `last` is the line that a step would be added to."""

    used: dict[tuple[Part, int, int], _Used] = field(default_factory=dict)
    last: dict[str, _Used] = field(default_factory=dict)
    stretches: list[_Stretch] = field(default_factory=list)
    fees: set[bool] = field(default_factory=set)

    def take(self, piece: Piece) -> None:
        """Add a piece."""
        use = piece.span.segment.use
        self._stretch(piece, use)
        for dimension, component in piece.active.items():
            if dimension is TariffDimension.FLAT:
                if use.is_reservation not in self.fees:
                    self.fees.add(use.is_reservation)
                    self._line(_fixed(use), component).used = Fraction(1)
            elif dimension is TariffDimension.ENERGY:
                self._energy(piece, component)
            elif (dimension is TariffDimension.PARKING_TIME) == (use is Use.PARKING):
                self._time(piece, use, component)

    def _energy(self, piece: Piece, component: Component) -> None:
        if piece.span.segment.use.is_reservation or not piece.energy_wh:
            return
        line = self.last["energy"] = self._line(Part.ENERGY, component)
        line.used += piece.energy_wh

    def _time(self, piece: Piece, use: Use, component: Component) -> None:
        if not piece.length_us:
            return
        part = Part.RESERVATION if use.is_reservation else Part.PARKING if use is Use.PARKING else Part.TIME
        line = self.last["reservation" if use.is_reservation else "time"] = self._line(part, component)
        line.used += piece.length_us

    def _line(self, part: Part, component: Component) -> _Used:
        key = part, component.element, component.number
        return self.used.setdefault(key, _Used(component, part))

    def _stretch(self, piece: Piece, use: Use) -> None:
        known = self.stretches[-1] if self.stretches else None
        if known is None or known.use is not use or known.active != piece.active:
            known = _Stretch(piece.at, use, piece.active)
            self.stretches.append(known)
        known.length_us += piece.length_us
        known.energy_wh += piece.energy_wh
        segment = piece.span.segment
        if segment.power_kw is not None:
            known.powers.append(segment.power_kw)
        if segment.current_a is not None:
            known.currents.append(segment.current_a)

    def round_up(self) -> tuple[Step, ...]:
        """Add what steps add (rule 2), and tell each."""
        return tuple(step for line in self.last.values() for step in self._rounded(line))

    def _rounded(self, line: _Used) -> Iterator[Step]:
        size, dimension = line.component.of.step_size, line.component.of.type
        unit = 1 if dimension is TariffDimension.ENERGY else 1_000_000
        same = (one for one in self.used.values() if one.part is line.part and one.component.of.type is dimension)
        total = sum((one.used for one in same), Fraction(0)) / unit
        if not size or total <= 0:
            return
        billed = -(-total // size) * size
        line.added = (billed - total) * unit
        if line.added:
            number = list(self.used.values()).index(line)
            used = EXACTLY.of(total)
            yield Step(part=line.part, step_size=size, used=used, billed=Decimal(billed), line=number)

    def lines(self, tariff: Tariff, rounding: Rounding) -> Iterator[Line]:
        """The lines in the order in which their components became active."""
        for one in self.used.values():
            unit = _unit(one.component.of.type)
            billed = (one.used + one.added) / unit
            yield Line(
                part=one.part,
                component=one.component.of,
                element=one.component.element,
                number=one.component.number,
                used=EXACTLY.of(one.used / unit),
                billed=EXACTLY.of(billed),
                cost=priced(one.component.price * billed, one.component.vat, tariff.tax_included, rounding),
            )


def _fixed(use: Use) -> Part:
    return Part.RESERVATION if use.is_reservation else Part.PARKING if use is Use.PARKING else Part.FIXED


def _unit(dimension: TariffDimension) -> int:
    if dimension in _TIMES:
        return _US_PER_HOUR
    return 1000 if dimension is TariffDimension.ENERGY else 1


def _periods(stretches: Sequence[_Stretch], tariff_id: str) -> Iterator[ChargingPeriod]:
    """The charging periods; volumes are differences of rounded sums, so nothing is lost between them (rule 4)."""
    energy, hours, told = Fraction(0), dict[Use, Fraction](), dict[object, Decimal]()

    def since(key: object, total: Decimal) -> Decimal:
        volume = plus(total, -told.get(key, Decimal(0)))
        told[key] = total
        return volume

    for one in stretches:
        dimensions = []
        if not one.use.is_reservation:
            energy += one.energy_wh / 1000
            dimensions.append(_volume(CdrDimensionType.ENERGY, since("energy", EXACTLY.of(energy))))
        hours[one.use] = hours.get(one.use, Fraction(0)) + one.length_us / _US_PER_HOUR
        dimensions.append(_volume(_HOURS[one.use], since(one.use, _WHOLE_HOURS.of(hours[one.use]))))
        for kinds, values in ((_POWERS, one.powers), (_CURRENTS, one.currents)):
            if values:
                dimensions += [_volume(kinds[0], min(values)), _volume(kinds[1], max(values))]
        yield ChargingPeriod(start_date_time=one.at, dimensions=tuple(dimensions), tariff_id=tariff_id)


_HOURS = {
    Use.CHARGING: CdrDimensionType.TIME,
    Use.PARKING: CdrDimensionType.PARKING_TIME,
    Use.RESERVED: CdrDimensionType.RESERVATION_TIME,
    Use.EXPIRED: CdrDimensionType.RESERVATION_TIME,
}
_POWERS = CdrDimensionType.MIN_POWER, CdrDimensionType.MAX_POWER
_CURRENTS = CdrDimensionType.MIN_CURRENT, CdrDimensionType.MAX_CURRENT


def _volume(kind: CdrDimensionType, volume: Decimal) -> CdrDimension:
    return CdrDimension(type=kind, volume=volume)


def _notes(rules: Rules, tariff: Tariff, timeline: Timeline) -> Iterator[str]:
    """What the price rests on that nobody measured, and what could not be said of the tax."""
    elements = rules.sessions
    charging = [one for one in timeline.segments if one.use is Use.CHARGING]
    if any(one.power_kw != (None, None) for one in elements) and any(one.power_kw is None for one in charging):
        yield "power-averaged: the tariff asks for the power, which is known as a mean only"
    if any(one.current_a != (None, None) for one in elements) and any(one.current_a is None for one in charging):
        yield "current-unknown: the tariff asks for the current, which nobody told: no price that asks for it applies"
    untaxed = any(component.vat is None for element in tariff.elements for component in element.price_components)
    if tariff.tax_included is TaxIncluded.YES and untaxed:
        yield "tax-unknown: prices include taxes whose rate the tariff does not say: they stand as before taxes"


def choose_tariff(tariffs: Sequence[Tariff], kind: str, at: datetime) -> Tariff | None:
    """The tariff that is valid at `at` for `kind` (REGULAR, AD_HOC_PAYMENT, PROFILE_...): the first of that type, else
    the first for all; None without any. `start_date_time` is inclusive, `end_date_time` exclusive."""
    valid = [
        tariff
        for tariff in tariffs
        if (tariff.start_date_time is None or tariff.start_date_time <= at)
        and (tariff.end_date_time is None or at < tariff.end_date_time)
    ]
    return next((one for one in valid if one.type == kind), next((one for one in valid if one.type is None), None))
