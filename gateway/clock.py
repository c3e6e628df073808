"""The only place where the gateway reads a clock. Everything else takes instants as arguments."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wire.records import ClockState

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
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

    def now(self) -> Moment:
        """Both clocks now. The state is `trusted` when the system's time daemon reports synchronisation, `unknown` when
        the wall clock stands before this program was written, `drifting` otherwise."""
        at = datetime.now(UTC)
        if at < _EARLIEST:
            state = ClockState.UNKNOWN
        elif _SYNCHRONISED.exists():
            state = ClockState.TRUSTED
        else:
            state = ClockState.DRIFTING
        return Moment(at=at, boot_id=self._boot_id, mono_ns=time.monotonic_ns(), clock=state)


def read_boot_id(environment: str | None) -> str:
    """The kernel's boot id: from the service unit's environment (/proc may be hidden), from /proc, or "unknown"."""
    if environment:
        return environment
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
