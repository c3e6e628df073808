"""What time it is and what that is worth, from what sources said and from the clock that no one sets. Pure.

Time goes on by the time since the kernel was booted, which nobody can set. The system's clock is only one more witness.

Rules
1. The estimate follows what a source said, and from then on the time since boot, with a bound that grows. A system's
   clock that jumps moves nothing; the jump is remarked.
2. A source is the time daemon, which vouches for the system's clock, or the hub. Whoever contradicts the other one
   while that one's word is fresh is not followed; it is remarked, and until they agree the time counts as drifting.
3. A source that contradicts what follows from the words before it is followed only once it has insisted for INSISTS, or
   the other one agrees: a time server that is wrong for a moment, in a week without the hub, must not move the floor.
4. Before any source has spoken since boot, the system's clock is believed if it stands neither before the floor nor
   longer after it than is allowed. What it shows first counts: its later jumps do not.
5. The floor is the instant before which it cannot be. It moves by itself with the time since boot, and is raised only
   by what follows from a source's word; so no jump poisons it. What lies before it is not believed, unless two sources
   agree on it: then the floor was wrong.
6. `trusted`: a fresh word, small bound, no contradiction. `drifting`: the bound is known, or nothing speaks against the
   system's clock. `unknown`: anything else; the estimate is then the floor, if there is one.

Instants are nanoseconds since 1970 or, `boot_ns`, since the kernel was booted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from wire.records import ClockState

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
VOUCHED_FOR_NS = 2 * HOUR_NS
"""How long a source's word is fresh; time daemons ask their servers at least every 34 minutes."""
TRUSTED_BOUND_NS = 60 * SECOND_NS
DRIFTING_BOUND_NS = HOUR_NS
TOLERANCE_NS = 300 * SECOND_NS
"""Sources that differ by no more than this beyond their bounds do not contradict each other."""
INSISTS_NS = 600 * SECOND_NS
JUMP_NS = SECOND_NS
_SLACK_NS = 60 * SECOND_NS
"""How far before the floor the system's clock may stand: clocks that run on a battery are not exact."""
_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = 1_000_000
REMARKS_KEPT = 64


def instant_of(ns: int) -> datetime:
    """The instant, cut to microseconds."""
    return _THE_EPOCH + timedelta(0, 0, ns // 1000)


def ns_of(at: datetime) -> int:
    """Nanoseconds since 1970 of an aware instant."""
    return (at - _THE_EPOCH) // timedelta(microseconds=1) * 1000


EARLIEST_NS = ns_of(datetime(2026, 1, 1, tzinfo=UTC))
"""Before this program was written: a clock that shows it was never set."""
LATEST_NS = ns_of(datetime(2200, 1, 1, tzinfo=UTC))


class TimeSource(StrEnum):
    """Who said what time it is."""

    DAEMON = "time daemon"
    HUB = "hub"
    SYSTEM = "system clock"


# Read for every record: these two cost a third of a dataclass.
class Reading(msgspec.Struct, frozen=True, gc=False):
    """The clocks of the box at one moment: the one that is set, and the time since boot."""

    wall_ns: int
    boot_ns: int


@dataclass(frozen=True, slots=True)
class Told:
    """At `boot_ns` it was `at_ns`, give or take `bound_ns`; None: nobody knows how much."""

    source: TimeSource
    at_ns: int
    boot_ns: int
    bound_ns: int | None

    def at(self, boot_ns: int) -> int:
        """What follows for another moment of the same boot."""
        return self.at_ns + boot_ns - self.boot_ns


@dataclass(frozen=True, slots=True)
class Limits:
    """`drift_ppm`: how wrong the time since boot may run. `believed_ns`: how far after the floor the system's clock is
    believed while no source speaks."""

    drift_ppm: int = 200
    believed_ns: int = 744 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives a process: the floor, noted at `boot_ns` of the boot `boot_id`, and what was followed then."""

    floor_ns: int
    boot_id: str
    boot_ns: int
    told: Told | None = None
    mark: int | None = None
    """What the time daemon's sign was; the same sign is not news."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """The time at a reading. `floor_ns`: it cannot be before; None: nothing is known."""

    at_ns: int
    bound_ns: int | None
    state: ClockState
    floor_ns: int | None


@dataclass(frozen=True, slots=True)
class Remark:
    """Something an operator should hear of: a code, kebab-case, and a sentence."""

    code: str
    message: str


class Estimate:
    """The time of one boot. Not shared between threads."""

    def __init__(self, boot_id: str, first: Reading, limits: Limits, kept: Kept | None = None) -> None:
        self._limits, self._floor = limits, (0, 0)
        self._known, self._proven = False, (0, 0)
        self._told: dict[TimeSource, Told] = {}
        self._followed: Told | None = None
        self._insisting: Told | None = None
        self._ahead_ns = first.wall_ns - first.boot_ns
        self._differ = False
        self._remarks: list[Remark] = []
        if kept is not None:
            same = kept.boot_id == boot_id != "unknown" and kept.boot_ns <= first.boot_ns
            self._floor, self._known = (kept.floor_ns, kept.boot_ns if same else first.boot_ns), True
            if same and kept.told is not None:
                self._followed = kept.told
                self._told[kept.told.source] = kept.told
        if self._followed is None:
            self._presume(first)

    @property
    def followed(self) -> Told | None:
        """Whose word the estimate rests on."""
        return self._followed

    def floor(self, boot_ns: int) -> int | None:
        """The instant before which it cannot be at `boot_ns`; None: nothing is known."""
        if not self._known:
            return None
        at_ns, since_ns = self._floor
        elapsed = boot_ns - since_ns
        return at_ns + elapsed - self._drift(elapsed)

    def prove(self, at_ns: int, boot_ns: int) -> None:
        """Take note that it cannot be before `at_ns`: somebody who is trusted has signed something then. It counts
        while no source has spoken, and is not kept: whoever signed may have had a wrong clock."""
        least = self._least(boot_ns)
        if not EARLIEST_NS <= at_ns < LATEST_NS or (least is not None and at_ns <= least):
            return
        self._proven = at_ns, boot_ns
        if self._followed is not None and not self._spoken():
            after_ns = self._followed.at(boot_ns) - at_ns
            if not -_SLACK_NS <= after_ns <= self._limits.believed_ns:
                self._followed = None

    def judge(self, reading: Reading) -> Judged:
        """The time at `reading`, which is not older than the last."""
        self._notice_jump(reading)
        if self._followed is None:
            self._presume(reading)
        boot_ns, followed = reading.boot_ns, self._followed
        if followed is None or followed.source is TimeSource.SYSTEM:
            return self._alone(followed, reading)
        at_ns, bound_ns, floor = followed.at(boot_ns), self._width(followed, boot_ns), self.floor(boot_ns)
        state = self._state(followed, bound_ns, boot_ns)
        if not self._differ and (floor is None or at_ns - bound_ns > floor):
            floor = at_ns - bound_ns
            self._floor, self._known = (floor, boot_ns), True
        return Judged(at_ns if floor is None else max(at_ns, floor), bound_ns, state, floor)

    def tell(self, told: Told, reading: Reading) -> bool:
        """Whether a source's word is followed. Rules 2, 3 and 5."""
        boot_ns = reading.boot_ns
        if told.bound_ns is None or not EARLIEST_NS <= told.at(boot_ns) < LATEST_NS:
            return False
        others = [each for each in self._told.values() if each.source is not told.source and self._fresh(each, boot_ns)]
        supported = any(self._agree(told, each, boot_ns) for each in others)
        self._differ = bool(others) and not supported
        self._told[told.source] = told
        if not self._at_or_after_floor(told, boot_ns, supported=supported):
            return False
        followed = self._followed
        if self._differ:
            self._remark("clock-sources-differ", f"{_said(told, boot_ns)}; {_said(others[0], boot_ns)}; look at both")
        if followed is None or followed.source is TimeSource.SYSTEM:
            return self._follow(told, boot_ns)
        if self._agree(told, followed, boot_ns):
            self._insisting = None
            tighter = self._width(told, boot_ns) <= self._width(followed, boot_ns)
            return self._follow(told, boot_ns) if tighter or told.source is TimeSource.DAEMON else False
        if self._differ:
            return False
        if not supported and not self._insists(told, boot_ns):
            return False
        return self._follow(told, boot_ns)

    def take_remarks(self) -> list[Remark]:
        """What there was to remark since this was asked last."""
        taken, self._remarks = self._remarks, []
        return taken

    # --- inside

    def _least(self, boot_ns: int) -> int | None:
        """The floor while no source has spoken: what is proven counts too."""
        at_ns, since_ns = self._proven
        proven, floor = at_ns + boot_ns - since_ns - self._drift(boot_ns - since_ns), self.floor(boot_ns)
        if not at_ns:
            return floor
        return proven if floor is None else max(proven, floor)

    def _alone(self, followed: Told | None, reading: Reading) -> Judged:
        """The time while no source has spoken."""
        least = self._least(reading.boot_ns)
        if followed is None:
            return Judged(reading.wall_ns if least is None else least, None, ClockState.UNKNOWN, least)
        at_ns = followed.at(reading.boot_ns) if least is None else max(followed.at(reading.boot_ns), least)
        return Judged(at_ns, self._bound(followed, reading.boot_ns), ClockState.DRIFTING, least)

    def _presume(self, reading: Reading) -> None:
        """Rule 4."""
        floor, wall = self._least(reading.boot_ns), reading.wall_ns
        if not EARLIEST_NS <= wall < LATEST_NS:
            return
        if floor is None:
            self._followed = Told(TimeSource.SYSTEM, wall, reading.boot_ns, None)
        elif floor - _SLACK_NS <= wall <= floor + self._limits.believed_ns:
            at_ns = max(wall, floor)
            self._followed = Told(TimeSource.SYSTEM, at_ns, reading.boot_ns, at_ns - floor)

    def _at_or_after_floor(self, told: Told, boot_ns: int, *, supported: bool) -> bool:
        floor = self.floor(boot_ns)
        if floor is None or told.at(boot_ns) + self._width(told, boot_ns) >= floor - TOLERANCE_NS:
            return True
        if not supported:
            message = (
                f"{_said(told, boot_ns)}, which is before {_shown(floor)}, when it was later already; not believed"
            )
            self._remark("clock-before-floor", message)
            return False
        self._known, self._followed = False, None
        self._remark("clock-floor-reset", f"{_said(told, boot_ns)}, as another source does: {_shown(floor)} was wrong")
        return True

    def _follow(self, told: Told, boot_ns: int) -> bool:
        before, self._followed, self._insisting = self._followed, told, None
        moved = 0 if before is None else told.at(boot_ns) - before.at(boot_ns)
        if before is None or abs(moved) > TOLERANCE_NS:
            was = "was not known" if before is None else f"was taken for {_shown(before.at(boot_ns))}"
            self._remark("clock-set", f"{_said(told, boot_ns)}; it {was}")
        return True

    def _insists(self, told: Told, boot_ns: int) -> bool:
        first = self._insisting
        if first is None or not self._agree(told, first, boot_ns):
            self._insisting = told
            code = "clock-hub-differs" if told.source is TimeSource.HUB else "clock-daemon-differs"
            self._remark(code, f"{_said(told, boot_ns)}, and before it said otherwise; waiting")
            return False
        return told.boot_ns - first.boot_ns >= INSISTS_NS

    def _state(self, followed: Told, bound_ns: int, boot_ns: int) -> ClockState:
        if bound_ns > DRIFTING_BOUND_NS:
            return ClockState.UNKNOWN
        vouched = any(
            self._fresh(each, boot_ns) and self._agree(each, followed, boot_ns) for each in self._told.values()
        )
        if self._differ and sum(self._fresh(each, boot_ns) for each in self._told.values()) < 2:
            self._differ = False  # Whoever contradicted has fallen silent.
        trusted = vouched and bound_ns <= TRUSTED_BOUND_NS and not self._differ
        return ClockState.TRUSTED if trusted else ClockState.DRIFTING

    def _notice_jump(self, reading: Reading) -> None:
        ahead_ns = reading.wall_ns - reading.boot_ns
        jumped_ns, self._ahead_ns = ahead_ns - self._ahead_ns, ahead_ns
        if abs(jumped_ns) > JUMP_NS:
            before = _shown(reading.wall_ns - jumped_ns)
            message = f"the system's clock was set from {before} to {_shown(reading.wall_ns)}"
            self._remark("clock-jumped", f"{message}; this gateway follows only where a time source says so")

    def _remark(self, code: str, message: str) -> None:
        if len(self._remarks) < REMARKS_KEPT:
            self._remarks.append(Remark(code, message))

    def _spoken(self) -> bool:
        return self._followed is not None and self._followed.source is not TimeSource.SYSTEM

    def _fresh(self, told: Told, boot_ns: int) -> bool:
        return boot_ns - told.boot_ns <= VOUCHED_FOR_NS

    def _agree(self, one: Told, other: Told, boot_ns: int) -> bool:
        apart = abs(one.at(boot_ns) - other.at(boot_ns))
        return apart <= self._width(one, boot_ns) + self._width(other, boot_ns) + TOLERANCE_NS

    def _width(self, told: Told, boot_ns: int) -> int:
        return self._bound(told, boot_ns) or 0

    def _bound(self, told: Told, boot_ns: int) -> int | None:
        return None if told.bound_ns is None else told.bound_ns + self._drift(abs(boot_ns - told.boot_ns))

    def _drift(self, elapsed_ns: int) -> int:
        return elapsed_ns * self._limits.drift_ppm // _MILLION


def _shown(ns: int) -> str:
    return f"{instant_of(ns):%Y-%m-%d %H:%M:%S} UTC"


def _said(told: Told, boot_ns: int) -> str:
    return f"the {told.source.value} says {_shown(told.at(boot_ns))}"
