"""What a session was, moment by moment, out of its messages: the timeline that it is priced by. Pure.

Rules
1. Begin, end and energy are those that are billed (wire.settling.settle). The plain register says how the energy is
   spread between them: readings in order of time, never above what is billed; what they leave is in the last stretch.
2. A tariff that asks for no times gets one stretch. One that does and has no reading in between gets energy spread
   evenly, with the finding `energy-spread`.
3. Parking begins when the station says that the vehicle suspended charging (SuspendedEV) and ends when it says
   otherwise. Where a station says nothing of it (OCPP 1.6 has no such word in a transaction) there is no parking, with
   the finding `parking-unknown`.
4. Current is the sum of the phases of one instant, and holds until the next. Power is left to the mean of a stretch,
   which the register measured.
5. At most MAX_POINTS readings are used, evenly chosen.

Source: OCPI 2.3.0 mod_cdrs (PARKING_TIME); OCPP 2.0.1 ChargingStateEnumType; design of this project.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.ocpi.tariffs import Tariff
from wire.ocpp.transaction import Sampled, TransactionMessage
from wire.settling.tariffs import has_parking, needs_times

MAX_POINTS = 2_000
_US = datetime.resolution
_MICRO_WH = Decimal("0.000001")
_PARKED = "SuspendedEV"
_CURRENT = "Current.Import"
_PHASES = frozenset({"L1", "L2", "L3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The ends of a session as they are billed, and what its messages said in between."""

    begin: datetime
    end: datetime
    energy_wh: Decimal
    messages: Sequence[TransactionMessage] = ()


def timeline_of(course: Course, tariff: Tariff) -> Timeline:
    """The timeline of a session, as finely as `tariff` asks for."""
    end = max(course.end, course.begin)
    whole = Segment(begin=course.begin, end=end, energy_wh=course.energy_wh)
    if not needs_times(tariff):
        return Timeline(segments=(whole,))
    states = sorted(_states(course.messages), key=lambda state: state[0])
    currents = sorted(_currents(course.messages).items())
    readings = list(_readings(course))
    instants = {course.begin, end}
    instants.update(at for at, _ in (*readings, *states, *currents) if course.begin < at < end)
    return Timeline(
        segments=tuple(_segments(sorted(instants), _Curves(course, readings, states, currents))) or (whole,),
        notes=tuple(_notes(tariff, readings, states)),
    )


def _notes(tariff: Tariff, readings: Sequence[object], states: Sequence[object]) -> Iterator[str]:
    if not readings and any(element.restrictions is not None for element in tariff.elements):
        yield "energy-spread: no reading came between begin and end: energy counts as spread evenly over the time"
    if has_parking(tariff) and not states:
        yield "parking-unknown: the station did not say when the vehicle asked for no power: all time is charging"


class _Curves:
    """What is known of each instant of a session."""

    def __init__(
        self,
        course: Course,
        readings: Sequence[tuple[datetime, Decimal]],
        states: Sequence[tuple[datetime, str]],
        currents: Sequence[tuple[datetime, Decimal]],
    ) -> None:
        self._states, self._currents = states, currents
        end = max(course.end, course.begin)
        self._readings = [(course.begin, Decimal(0)), *readings, (end, course.energy_wh)]
        self._times = [at for at, _ in self._readings]

    def energy(self, at: datetime) -> Decimal:
        """The energy until `at`, evenly between readings."""
        after = bisect_right(self._times, at)
        if after >= len(self._readings):
            return self._readings[-1][1]
        (low_at, low), (high_at, high) = self._readings[after - 1], self._readings[after]
        if at == low_at:
            return low
        share = (high - low) * ((at - low_at) // _US) / ((high_at - low_at) // _US)
        return low + share.quantize(_MICRO_WH)

    def use(self, at: datetime) -> Use:
        """What the EVSE does from `at` on."""
        known = bisect_right(self._states, at, key=lambda state: state[0])
        return Use.PARKING if known and self._states[known - 1][1] == _PARKED else Use.CHARGING

    def current(self, at: datetime) -> Decimal | None:
        """The current from `at` on; before the first value, the first."""
        if not self._currents:
            return None
        known = bisect_right(self._currents, at, key=lambda current: current[0])
        return self._currents[max(known - 1, 0)][1]


def _segments(instants: Sequence[datetime], curves: _Curves) -> Iterator[Segment]:
    before = Decimal(0)
    for begin, end in pairwise(instants):
        until = curves.energy(end)
        yield Segment(
            begin=begin,
            end=end,
            use=curves.use(begin),
            energy_wh=until - before,
            current_a=curves.current(begin),
        )
        before = until


def _readings(course: Course) -> Iterator[tuple[datetime, Decimal]]:
    """The energy since the begin at each instant in between, rising, never more than in all."""
    found: dict[datetime, Decimal] = {}
    for message in course.messages:
        if message.register_wh is not None:
            found[message.at] = message.register_wh
        for sample in message.samples:
            if sample.energy_wh is not None:
                found[sample.at] = sample.energy_wh
    ordered = sorted(found.items())
    if not ordered:
        return
    first, before = ordered[0][1], Decimal(0)
    inside = [(at, wh) for at, wh in ordered if course.begin < at < course.end]
    for at, wh in inside[:: len(inside) // MAX_POINTS + 1]:
        before = min(max(before, wh - first), course.energy_wh)
        yield at, before


def _states(messages: Iterable[TransactionMessage]) -> Iterator[tuple[datetime, str]]:
    for message in messages:
        if message.charging_state is not None:
            yield message.at, message.charging_state


def _currents(messages: Iterable[TransactionMessage]) -> dict[datetime, Decimal]:
    """The current of all phases by instant; a value without a phase is already that of all."""
    phases: dict[datetime, dict[str, Decimal]] = {}
    for message in messages:
        for sample in message.samples:
            if sample.measurand == _CURRENT and sample.value is not None and _is_phase(sample):
                phases.setdefault(sample.at, {})[sample.phase or ""] = sample.value
    chosen = list(phases.items())
    return {
        at: values[""] if "" in values else sum(values.values(), Decimal(0))
        for at, values in chosen[:: len(chosen) // MAX_POINTS + 1]
    }


def _is_phase(sample: Sampled) -> bool:
    return sample.phase is None or sample.phase in _PHASES
