"""When the elements of a tariff are active, and the moments at which that may change. Pure, exact.

Rules
1. A tariff is read once and checked: limits first, then every number, time and date. What cannot be meant is an error.
2. Restrictions hold moment by moment. Times of day, dates and days are those of a clock on the wall at the charger: in
   the night in which an hour comes twice a time of day comes twice, in the other one it may not come at all.
3. `start` and `min` are inclusive, `end` and `max` exclusive. `end_time` before `start_time` wraps around midnight, the
   same as `start_time` is the whole day; a day of the week is judged at each moment, also after midnight.
4. A power or current that nobody knows matches no restriction on it.
5. Elements with `reservation` are for reservations only, all others for sessions only. For an expired reservation those
   of RESERVATION_EXPIRES go first, then those of RESERVATION.

Source: OCPI 2.3.0 mod_tariffs (TariffElement, TariffRestrictions, ReservationRestrictionType).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from wire.errors import PricingError
from wire.ocpi.pricing_timeline import Use, exact
from wire.ocpi.tariffs import (
    DayOfWeek,
    PriceComponent,
    Reservation,
    Tariff,
    TariffDimension,
    TariffElement,
    TariffRestrictions,
)
from wire.ocpi.types import PriceLimit

MAX_ELEMENTS, MAX_COMPONENTS = 500, 20
REMEMBERED = 64
"""Tariffs whose rules are kept: a hub prices thousands of sessions by a few."""
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MAX_VAT = 1000
_WEEK = tuple(DayOfWeek)


@dataclass(frozen=True, slots=True)
class Component:
    """A price component: where it stands in its tariff, and its numbers as they are computed with."""

    element: int
    number: int
    of: PriceComponent
    price: Fraction
    vat: Fraction | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What restrictions ask of a stretch of time in which none of the answers changes. `local` is None where no
    restriction asks for it."""

    use: Use
    local: datetime | None
    elapsed_us: Fraction
    energy_wh: Fraction
    power_kw: Fraction | None
    current_a: Fraction | None


@dataclass(frozen=True, slots=True)
class Element:
    """A tariff element, read: its first component of each dimension, and when it is active. Bounds are (from, until),
    None where there is none; times of day in minutes."""

    components: dict[TariffDimension, Component]
    reservation: Reservation | None
    minutes: tuple[int, int] | None
    first_day: date | None
    end_day: date | None
    days: frozenset[int]
    energy_wh: tuple[Fraction | None, Fraction | None]
    elapsed_us: tuple[int | None, int | None]
    power_kw: tuple[Fraction | None, Fraction | None]
    current_a: tuple[Fraction | None, Fraction | None]

    @property
    def is_local(self) -> bool:
        """Whether it asks for the clock on the wall."""
        return self.minutes is not None or self.first_day is not None or self.end_day is not None or bool(self.days)

    def matches(self, moment: Moment) -> bool:
        """Whether all its restrictions hold; which reservation it is for is the caller's question."""
        return (
            (not self.is_local or (moment.local is not None and self._is_now(moment.local)))
            and _is_within(self.energy_wh, moment.energy_wh)
            and _is_within(self.elapsed_us, moment.elapsed_us)
            and _is_within(self.power_kw, moment.power_kw)
            and _is_within(self.current_a, moment.current_a)
        )

    def _is_now(self, local: datetime) -> bool:
        if self.days and local.weekday() not in self.days:
            return False
        today = local.date()
        if (self.first_day and today < self.first_day) or (self.end_day and today >= self.end_day):
            return False
        if self.minutes is None:
            return True
        start, end = self.minutes
        now = local.hour * 60 + local.minute
        return start <= now < end if start < end else now >= start or now < end


def _is_within(bounds: tuple[Fraction | int | None, Fraction | int | None], value: Fraction | None) -> bool:
    low, high = bounds
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value < high)


@dataclass(frozen=True, slots=True)
class Rules:
    """A tariff that was read: `sessions` are its elements in order, `reserved` and `expired` those for reservations in
    the order in which they are asked."""

    sessions: tuple[Element, ...]
    reserved: tuple[Element, ...]
    expired: tuple[Element, ...]

    def elements(self, use: Use) -> tuple[Element, ...]:
        """The elements that are asked while an EVSE is used like this."""
        if use is Use.EXPIRED:
            return self.expired
        return self.reserved if use is Use.RESERVED else self.sessions

    @property
    def every(self) -> tuple[Element, ...]:
        """All elements."""
        return (*self.sessions, *self.expired)

    def active(self, moment: Moment) -> dict[TariffDimension, Component]:
        """The active component of each dimension: that of the first element that matches and has the dimension."""
        found: dict[TariffDimension, Component] = {}
        for element in self.elements(moment.use):
            if element.components.keys() - found.keys() and element.matches(moment):
                for dimension, component in element.components.items():
                    found.setdefault(dimension, component)
        return found


@lru_cache(REMEMBERED)
def read_rules(tariff: Tariff) -> Rules:
    """The rules of a tariff; those of the last ones are remembered.

    Raises:
        PricingError: `too-many-elements`, `bad-component`, `bad-restriction`, `bad-limit`, `number-unusable`.
    """
    if not tariff.elements or len(tariff.elements) > MAX_ELEMENTS:
        message = f"{len(tariff.elements)} elements, 1 to {MAX_ELEMENTS} are priced"
        raise PricingError("too-many-elements", "$.elements", message)
    _check_limits(tariff.min_price, tariff.max_price)
    read = [_element(number, element) for number, element in enumerate(tariff.elements)]
    sessions = tuple(element for element in read if element.reservation is None)
    reserved = tuple(element for element in read if element.reservation is Reservation.RESERVATION)
    expires = tuple(element for element in read if element.reservation is Reservation.RESERVATION_EXPIRES)
    return Rules(sessions, reserved, (*expires, *reserved))


def _check_limits(low: PriceLimit | None, high: PriceLimit | None) -> None:
    for name, limit in (("min_price", low), ("max_price", high)):
        if limit is None:
            continue
        before = exact(limit.before_taxes, f"$.{name}.before_taxes")
        if before < 0 or (limit.after_taxes is not None and exact(limit.after_taxes, f"$.{name}.after_taxes") < before):
            raise PricingError("bad-limit", f"$.{name}", "below 0, or less after taxes than before them")
    if low is None or high is None:
        return
    if low.before_taxes > high.before_taxes or (
        low.after_taxes is not None and high.after_taxes is not None and low.after_taxes > high.after_taxes
    ):
        raise PricingError("bad-limit", "$.min_price", "above max_price")


def _element(number: int, element: TariffElement) -> Element:
    where = f"$.elements[{number}]"
    if not element.price_components or len(element.price_components) > MAX_COMPONENTS:
        count = len(element.price_components)
        raise PricingError("bad-component", where, f"{count} components, 1 to {MAX_COMPONENTS} are priced")
    components: dict[TariffDimension, Component] = {}
    for index, component in enumerate(element.price_components):
        read = _component(number, index, component, f"{where}.price_components[{index}]")
        components.setdefault(component.type, read)
    return _restricted(components, element.restrictions or TariffRestrictions(), f"{where}.restrictions")


def _component(element: int, number: int, of: PriceComponent, where: str) -> Component:
    vat = None if of.vat is None else exact(of.vat, f"{where}.vat")
    if vat is not None and not 0 <= vat <= _MAX_VAT:
        raise PricingError("bad-component", f"{where}.vat", f"{of.vat} is no percentage of 0 to {_MAX_VAT}")
    if not 0 <= of.step_size <= 10**9:
        raise PricingError("bad-component", f"{where}.step_size", f"{of.step_size} is no step of 0 to 10^9")
    return Component(element, number, of, exact(of.price, f"{where}.price"), vat)


def _restricted(components: dict[TariffDimension, Component], given: TariffRestrictions, where: str) -> Element:
    minutes = None
    if given.start_time is not None or given.end_time is not None:
        start = _minute(given.start_time or "00:00", f"{where}.start_time")
        minutes = start, _minute(given.end_time or "00:00", f"{where}.end_time")
    scaled = (None if value is None else value * 10**6 for value in (given.min_duration, given.max_duration))
    return Element(
        components=components,
        reservation=given.reservation,
        minutes=minutes,
        first_day=_day(given.start_date, f"{where}.start_date"),
        end_day=_day(given.end_date, f"{where}.end_date"),
        days=frozenset(_WEEK.index(day) for day in given.day_of_week),
        energy_wh=(_wh(given.min_kwh, f"{where}.min_kwh"), _wh(given.max_kwh, f"{where}.max_kwh")),
        elapsed_us=(next(scaled), next(scaled)),
        power_kw=(_bound(given.min_power, f"{where}.min_power"), _bound(given.max_power, f"{where}.max_power")),
        current_a=(
            _bound(given.min_current, f"{where}.min_current"),
            _bound(given.max_current, f"{where}.max_current"),
        ),
    )


def _minute(text: str, where: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise PricingError("bad-restriction", where, f"{text[:40]!r} is no time of day like 17:30")
    return int(match[1]) * 60 + int(match[2])


def _day(text: str | None, where: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise PricingError("bad-restriction", where, f"{text[:40]!r} is no date like 2026-12-24") from error


def _bound(value: Decimal | None, where: str) -> Fraction | None:
    return None if value is None else exact(value, where)


def _wh(value: Decimal | None, where: str) -> Fraction | None:
    return None if value is None else exact(value, where) * 1000
