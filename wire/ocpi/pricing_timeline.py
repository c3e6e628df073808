"""What a session was, moment by moment: the input of pricing. Pure, exact.

Rules
1. A segment says what was used from `begin` to `end`; within it energy flows evenly. Energy is what the meter counted,
   in Wh; cutting a segment anywhere changes no price.
2. Segments stand in order and do not overlap. A session has no gap; between a reservation and the session there may be.
3. Parking is time in which the vehicle asked for no power (OCPI 2.3.0 mod_cdrs), not time without energy.
4. What is not known says so: a power or current of None, and in `notes` how the segments were made out of less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from wire.errors import PricingError

MAX_SEGMENTS = 20_000
MAX_DIGITS, MAX_EXPONENT = 45, 45
"""Longer numbers are nobody's meter and nobody's price: exact arithmetic with them has no bound."""
_MICROSECOND = timedelta(microseconds=1)


class Use(StrEnum):
    """What an EVSE did for a driver. RESERVED: kept until charging began; EXPIRED: kept, and nobody came."""

    CHARGING = "charging"
    PARKING = "parking"
    RESERVED = "reserved"
    EXPIRED = "expired"

    @property
    def is_reservation(self) -> bool:
        """Whether it is before the session, or without one."""
        return self in (Use.RESERVED, Use.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What was used from `begin` to `end`, aware instants: energy in Wh (negative: into the grid), kW and A (sum of all
    phases) where they are known. Without a power its mean is taken."""

    begin: datetime
    end: datetime
    use: Use = Use.CHARGING
    energy_wh: Decimal = Decimal(0)
    power_kw: Decimal | None = None
    current_a: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A session in order, a reservation before it if there was one. `notes` are findings on how it was made."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()

    @property
    def energy_wh(self) -> Decimal:
        """All energy, exact while it has at most 28 digits."""
        return sum((segment.energy_wh for segment in self.segments), Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A checked segment in plain numbers: microseconds since the timeline's first instant, exact Wh. `elapsed_us` is
    the time since the session began (not the reservation), `before_wh` the energy before it."""

    segment: Segment
    begin_us: int
    length_us: int
    elapsed_us: int
    before_wh: Fraction
    energy_wh: Fraction


def spans_of(timeline: Timeline) -> tuple[Span, ...]:
    """The checked segments of a timeline.

    Raises:
        PricingError: `no-timeline`, `timeline-order`, `timeline-gap`, `too-many-segments`, `too-long`,
            `number-unusable`.
    """
    segments = timeline.segments
    if not segments:
        raise PricingError("no-timeline", "segments", "nothing was used: there is no segment")
    if len(segments) > MAX_SEGMENTS:
        raise PricingError("too-many-segments", "segments", f"{len(segments)} segments, {MAX_SEGMENTS} are priced")
    in_utc = [_in_utc(number, segment) for number, segment in enumerate(segments)]
    _check_order(in_utc)
    return tuple(_spans(_extended(in_utc)))


def _in_utc(number: int, segment: Segment) -> Segment:
    """The segment with its instants in UTC: the difference of two local times is none of time when the clock is put
    forward between them."""
    if segment.begin.tzinfo is None or segment.end.tzinfo is None:
        raise PricingError("timeline-order", f"segments[{number}]", "an instant without an offset from UTC")
    if segment.begin.tzinfo is UTC and segment.end.tzinfo is UTC:
        return segment
    try:
        return replace(segment, begin=segment.begin.astimezone(UTC), end=segment.end.astimezone(UTC))
    except OverflowError as error:
        raise PricingError("too-long", f"segments[{number}]", "an instant at the end of the calendar") from error


def _extended(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Without those in which there is neither time nor energy; a session or reservation that has no others keeps them,
    for its fee is due all the same."""
    filled = {one.use.is_reservation for one in segments if _holds(one)}
    return [one for one in segments if _holds(one) or one.use.is_reservation not in filled]


def _holds(segment: Segment) -> bool:
    """Whether there is time or energy in it."""
    return segment.end > segment.begin or bool(segment.energy_wh)


def _check_order(segments: Sequence[Segment]) -> None:
    for number, segment in enumerate(segments):
        if segment.end < segment.begin:
            raise PricingError("timeline-order", f"segments[{number}]", "it ends before it begins")
        for amount in (segment.energy_wh, segment.power_kw, segment.current_a):
            if amount is not None and not is_exact(amount):
                raise PricingError("number-unusable", f"segments[{number}]", f"{amount:.40} is no amount of a meter")
    for number, (before, after) in enumerate(pairwise(segments), start=1):
        where = f"segments[{number}]"
        if after.begin < before.end or (after.use.is_reservation and not before.use.is_reservation):
            raise PricingError("timeline-order", where, "it is not after the segment before it")
        if after.begin > before.end and not before.use.is_reservation:
            raise PricingError("timeline-gap", where, "nothing is said of the time before it")


def _spans(segments: Sequence[Segment]) -> Iterator[Span]:
    origin = segments[0].begin
    session_us: int | None = None
    before_wh = Fraction(0)
    for segment in segments:
        begin_us = (segment.begin - origin) // _MICROSECOND
        if session_us is None and not segment.use.is_reservation:
            session_us = begin_us
        energy_wh = Fraction(segment.energy_wh)
        yield Span(
            segment=segment,
            begin_us=begin_us,
            length_us=(segment.end - segment.begin) // _MICROSECOND,
            elapsed_us=0 if session_us is None else begin_us - session_us,
            before_wh=before_wh,
            energy_wh=energy_wh,
        )
        before_wh += energy_wh


def exact(number: Decimal, where: str) -> Fraction:
    """The number as a fraction, which every number of a meter or a tariff fits into.

    Raises:
        PricingError: `number-unusable`: not finite, or out of all proportion.
    """
    if not is_exact(number):
        raise PricingError("number-unusable", where, f"{number:.40} is no amount that can be priced")
    return Fraction(number)


def is_exact(number: Decimal) -> bool:
    """Whether exact arithmetic with the number is bounded."""
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        return False
    # Counting digits takes ten times as long as writing them.
    return len(str(number)) <= MAX_DIGITS or len(number.as_tuple().digits) <= MAX_DIGITS
