"""A session cut where the active components of a tariff may change. Pure, exact, bounded.

Rules
1. A session is cut at the times of day, midnights, dates and changes of the clock that elements name, at durations, and
   at amounts of energy; segments are cut by nature, for power and current are constant in one.
2. Within a piece every restriction has one answer. Time is asked at its begin, energy in its middle: energy may fall.
3. Cutting further changes nothing: neighbours with the same components are one period (wire.ocpi.pricing).
4. Work is bounded: pieces times elements, at most MAX_WORK.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from fractions import Fraction
from itertools import pairwise

from wire.errors import PricingError
from wire.ocpi.pricing_rules import Component, Element, Moment, Rules
from wire.ocpi.pricing_timeline import Span
from wire.ocpi.tariffs import TariffDimension

MAX_WORK = 2_000_000
"""Questions to elements: some seconds."""
MAX_DAYS = 400
"""Days in which local times are looked for: a longer session is priced with a tariff without them only."""
MAX_LOCAL_TIMES = 50_000
"""Times of day that elements name, on each day."""
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_US_KW_PER_WH = 3_600_000
"""A Wh in a microsecond is this many kW."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a span: from the fraction `begin` of it, `length_us` long, and what is active in it."""

    span: Span
    at: datetime
    length_us: Fraction
    energy_wh: Fraction
    active: dict[TariffDimension, Component]


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Where spans may have to be cut: microseconds since the timeline began and Wh since the session did, in order."""

    moments: list[int]
    energies: list[Fraction]

    def of(self, span: Span) -> list[Fraction]:
        """The cuts in a span as fractions of it, in order, its begin and end among them."""
        end_us, end_wh = span.begin_us + span.length_us, span.before_wh + span.energy_wh
        inside = self.moments[bisect_right(self.moments, span.begin_us) : bisect_left(self.moments, end_us)]
        low, high = min(span.before_wh, end_wh), max(span.before_wh, end_wh)
        crossed = self.energies[bisect_right(self.energies, low) : bisect_left(self.energies, high)]
        if not inside and not crossed:
            return [Fraction(0), Fraction(1)]
        found = {Fraction(0), Fraction(1)}
        found.update(Fraction(at - span.begin_us, span.length_us) for at in inside)
        found.update((at - span.before_wh) / span.energy_wh for at in crossed)
        return sorted(found)


def pieces_of(rules: Rules, spans: tuple[Span, ...], zone: tzinfo) -> Iterator[Piece]:
    """The pieces of a session, in order.

    Raises:
        PricingError: `too-long`, `too-much-work`.
    """
    origin = spans[0].segment.begin
    cuts = _cuts(rules, spans, origin, zone)
    asks_local = any(element.is_local for element in rules.every)
    asks_power = any(element.power_kw != (None, None) for element in rules.every)
    work = 0
    for span in spans:
        edges = cuts.of(span)
        work += len(edges) * (1 + len(rules.elements(span.segment.use)))
        if work > MAX_WORK:
            raise PricingError("too-much-work", "$.elements", f"more than {MAX_WORK} questions to elements")
        power = _power(span) if asks_power else None
        current = None if span.segment.current_a is None else Fraction(span.segment.current_a)
        for begin, end in pairwise(edges):
            whole = end - begin == 1
            offset_us = begin * span.length_us if begin else Fraction(0)
            at = origin + timedelta(microseconds=span.begin_us + int(offset_us))
            moment = Moment(
                use=span.segment.use,
                local=at.astimezone(zone) if asks_local else None,
                elapsed_us=span.elapsed_us + offset_us,
                energy_wh=span.before_wh + span.energy_wh * (begin + end) / 2 if cuts.energies else Fraction(0),
                power_kw=power,
                current_a=current,
            )
            yield Piece(
                span=span,
                at=at,
                length_us=Fraction(span.length_us) if whole else (end - begin) * span.length_us,
                energy_wh=span.energy_wh if whole else (end - begin) * span.energy_wh,
                active=rules.active(moment),
            )


def _power(span: Span) -> Fraction | None:
    """The power of a span, its mean where none is given; None where neither is known."""
    if span.segment.power_kw is not None:
        return Fraction(span.segment.power_kw)
    return span.energy_wh * _US_KW_PER_WH / span.length_us if span.length_us else None


def _cuts(rules: Rules, spans: tuple[Span, ...], origin: datetime, zone: tzinfo) -> _Cuts:
    elements = rules.every
    energies = {bound for element in elements for bound in element.energy_wh if bound is not None}
    moments: set[int] = set()
    session = next((span for span in spans if not span.segment.use.is_reservation), None)
    if session is not None:
        began = session.begin_us - session.elapsed_us
        moments.update(began + bound for element in elements for bound in element.elapsed_us if bound is not None)
    local = tuple(element for element in elements if element.is_local)
    if local:
        end = spans[-1].segment.end
        moments.update((at - origin) // _MICROSECOND for at in local_changes(local, origin, end, zone))
    return _Cuts(sorted(moments), sorted(energies))


def local_changes(elements: tuple[Element, ...], begin: datetime, end: datetime, zone: tzinfo) -> Iterator[datetime]:
    """The instants, in UTC and no order, at which the clock on the wall says something else to an element: the times
    of day that are named, midnights, and where the clock itself is put forward or back.

    Raises:
        PricingError: `too-long`, for more than MAX_DAYS; `too-much-work`, for more than MAX_LOCAL_TIMES in all.
    """
    if end - begin > MAX_DAYS * _DAY:
        raise PricingError("too-long", "segments", f"more than {MAX_DAYS} days, for which local times are asked")
    named = {0} | {minute for element in elements for minute in element.minutes or ()}
    if len(named) * ((end - begin).days + 1) > MAX_LOCAL_TIMES:
        raise PricingError("too-much-work", "$.elements", f"more than {MAX_LOCAL_TIMES} local times to look for")
    times = [time(minute // 60, minute % 60) for minute in named]
    try:
        day, last = begin.astimezone(zone).date() - _DAY, end.astimezone(zone).date() + _DAY
        while day <= last:
            for at in times:
                for fold in (0, 1):
                    yield datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC)
            yield from _clock_changes(datetime.combine(day, time(0), UTC), zone)
            day += _DAY
    except OverflowError as error:
        raise PricingError("too-long", "segments", "an instant at the end of the calendar") from error


def _clock_changes(midnight: datetime, zone: tzinfo) -> Iterator[datetime]:
    """When the zone's offset changes in the 24 hours after `midnight`, once at most."""

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(zone).utcoffset()

    low, high = midnight, midnight + _DAY
    if offset(low) == offset(high):
        return
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
    yield high.replace(microsecond=0)
