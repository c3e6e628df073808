"""The only place where the gateway reads a clock. Everything else takes instants as arguments."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wire.records import ClockState

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_LOOK_EVERY_NS = 1_000_000_000
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of both clocks: `at` for people and certificates, `boot_id` and `mono_ns` for the true order."""

    at: datetime
    boot_id: str
    mono_ns: int
    clock: ClockState


class Clock:
    """Reads wall and monotonic time, and says how far the wall time can be trusted."""

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id
        self._synchronised, self._look_again_ns = False, 0

    def now(self) -> Moment:
        """Both clocks now. The state is `trusted` when the system's time daemon reports synchronisation (looked up once
        a second), `unknown` when the wall clock stands before this program was written, `drifting` otherwise."""
        at, mono_ns = datetime.now(UTC), time.monotonic_ns()
        if mono_ns >= self._look_again_ns:
            self._synchronised, self._look_again_ns = _SYNCHRONISED.exists(), mono_ns + _LOOK_EVERY_NS
        if at < _EARLIEST:
            state = ClockState.UNKNOWN
        else:
            state = ClockState.TRUSTED if self._synchronised else ClockState.DRIFTING
        return Moment(at=at, boot_id=self._boot_id, mono_ns=mono_ns, clock=state)


def read_boot_id(environment: str | None) -> str:
    """The kernel's boot id: from the service unit's environment (/proc may be hidden), from /proc, or "unknown"."""
    if environment:
        return environment
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
