"""The only place where the gateway reads a clock. Everything else takes instants as arguments.

What the time is worth is told by `gateway.clock_estimate`, what may be decided by it by `gateway.decide.dates`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gateway.clock_estimate import (
    SECOND_NS,
    TOLERANCE_NS,
    Estimate,
    Kept,
    Limits,
    Reading,
    Remark,
    TimeSource,
    Told,
    instant_of,
    ns_of,
)
from gateway.clock_floor import load_kept, save_kept
from gateway.clock_sources import NoSign, Sign
from wire.records import ClockState

_LOOK_EVERY_NS = SECOND_NS
HUB_BOUND_NS = SECOND_NS
"""How wrong a hub's clock may be that does not say."""
LONGEST_ROUND_NS = 60 * SECOND_NS


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One reading of both clocks: `at` for people and certificates, `boot_id` and `mono_ns` for the true order.

    `at` is the best estimate, `clock` what it is worth, `bound` by how much it may be wrong where that is known.
    `earliest`: it cannot be before; None where nothing is known of it.
    """

    at: datetime
    boot_id: str
    mono_ns: int
    clock: ClockState
    bound: timedelta | None = None
    earliest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Dials:
    """The kernel's clocks, nanoseconds: the one that is set, the one that runs while the box is awake, and the one that
    runs since it was booted."""

    wall_ns: Callable[[], int] = time.time_ns
    mono_ns: Callable[[], int] = time.monotonic_ns
    boot_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """Tells the time and what it is worth, to any thread."""

    def __init__(
        self,
        boot_id: str,
        *,
        kept_at: Path | None = None,
        sign: Sign | None = None,
        limits: Limits | None = None,
        dials: Dials | None = None,
    ) -> None:
        """`kept_at`: what is kept over restarts (`gateway.clock_floor`). `sign`: the time daemon's. `remark`: why what
        was kept cannot be used."""
        self._boot_id, self._path, self._turn = boot_id, kept_at, threading.Lock()
        self._keeping = threading.Lock()
        self._dials, self._sign = dials or Dials(), sign or NoSign()
        kept, self.remark = (None, None) if kept_at is None else load_kept(kept_at)
        if kept is not None and kept.boot_id == boot_id:
            self._sign.mark = kept.mark
        self._estimate = Estimate(boot_id, self._read(), limits or Limits(), kept)
        self._look_again_ns = 0

    def now(self) -> Moment:
        """Both clocks now. The time daemon's sign is looked for once a second. Some 3 us."""
        with self._turn:
            reading, mono_ns = self._read(), self._dials.mono_ns()
            judged = self._estimate.judge(reading)
            if reading.boot_ns >= self._look_again_ns:
                self._look_again_ns = reading.boot_ns + _LOOK_EVERY_NS
                told = self._sign.look(reading)
                if told is not None:
                    self._estimate.tell(told, reading)
                    judged = self._estimate.judge(reading)
        return Moment(
            at=instant_of(judged.at_ns),
            boot_id=self._boot_id,
            mono_ns=mono_ns,
            clock=judged.state,
            bound=None if judged.bound_ns is None else timedelta(microseconds=judged.bound_ns // 1000),
            earliest=None if judged.floor_ns is None else instant_of(judged.floor_ns),
        )

    def hub_said(self, at: datetime, sent_mono_ns: int, received_mono_ns: int) -> bool:
        """Take note that the hub, asked over mTLS, said it was `at` at some moment between two readings of the
        monotonic clock (`time.monotonic_ns`). Says whether it is followed; answers that took a minute are not."""
        round_ns = received_mono_ns - sent_mono_ns
        with self._turn:
            reading = self._read()
            ago_ns = self._dials.mono_ns() - received_mono_ns
            if not (0 <= round_ns <= LONGEST_ROUND_NS and 0 <= ago_ns <= LONGEST_ROUND_NS):
                return False
            middle_ns = reading.boot_ns - ago_ns - round_ns // 2
            return self._estimate.tell(
                Told(TimeSource.HUB, ns_of(at), middle_ns, round_ns // 2 + HUB_BOUND_NS), reading
            )

    def proves(self, *instants: datetime | None) -> None:
        """Take note that it cannot be before any of `instants`, since somebody who is trusted has signed something
        then. It counts while no time source has spoken."""
        with self._turn:
            for at in instants:
                if at is not None:
                    self._estimate.prove(ns_of(at), self._dials.boot_ns())

    def source(self) -> TimeSource | None:
        """What the time rests on; None: on nothing."""
        followed = self._estimate.followed
        return None if followed is None else followed.source

    def system_clock_is_right(self) -> bool:
        """Whether the system's clock, by which libraries judge dates, shows what this one does, and that is known."""
        with self._turn:
            reading = self._read()
            judged = self._estimate.judge(reading)
        return judged.state is not ClockState.UNKNOWN and abs(judged.at_ns - reading.wall_ns) <= TOLERANCE_NS

    def take_remarks(self) -> list[Remark]:
        """What an operator should hear of, since this was asked last."""
        with self._turn:
            return self._estimate.take_remarks()

    def keep(self) -> None:
        """Keep the floor, and what is followed, over a restart, if a source has spoken. Waits for the disk. Raises
        StoreError."""
        self.now()
        with self._keeping:
            with self._turn:
                boot_ns, followed = self._dials.boot_ns(), self._estimate.followed
                floor_ns = self._estimate.floor(boot_ns)
            if self._path is None or floor_ns is None or floor_ns <= 0:
                return
            told = None if followed is None or followed.source is TimeSource.SYSTEM else followed
            save_kept(self._path, Kept(floor_ns, self._boot_id, boot_ns, told, self._sign.mark))

    def _read(self) -> Reading:
        return Reading(self._dials.wall_ns(), self._dials.boot_ns())


def read_boot_id(environment: str | None) -> str:
    """The kernel's boot id: from the service unit's environment (/proc may be hidden), from /proc, or "unknown"."""
    if environment:
        return environment
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
