"""The time daemon's own sign that the system's clock is synchronised: what the kernel was told by it, or the file that
systemd-timesyncd touches.

Rules
1. The kernel knows best (chrony, ntpd and systemd-timesyncd all tell it), and forgets at once when somebody else sets
   the clock. But a hardened service may not ask it, and a call that is not allowed may end the process: so a child asks
   first, and only if it comes back with an answer the kernel is ever asked here.
2. The file is touched with each synchronisation. Only a touch that was not seen before is news, and only while the
   clock stands where it could have been touched: a clock that was set since then is not what was synchronised.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from gateway.clock_estimate import SECOND_NS, VOUCHED_FOR_NS, Limits, Reading, TimeSource, Told

TIMESYNCD_SIGN = Path("/run/systemd/timesync/synchronized")
DAEMON_BOUND_NS = SECOND_NS
"""How wrong a clock may be that systemd-timesyncd keeps: it sets one that is off by 0.4 s."""
_TIMEX_OCTETS = 256
"""More than struct timex has on any Linux."""
_TIMEX_HEAD = struct.Struct("@Illlli")
"""modes, offset, freq, maxerror, esterror, status."""
_UNSYNCHRONISED = 0x40
_US = 1000
Daemon = Literal["auto", "kernel", "timesyncd", "none"]


class Sign(Protocol):
    """A time daemon's sign."""

    mark: int | None
    """The last sign that was seen, None for none; settable, so that it is not news after a restart."""

    def look(self, reading: Reading) -> Told | None:
        """What the daemon vouches for, if there is news."""


class NoSign:
    """No time daemon is believed."""

    mark: int | None = None

    def look(self, reading: Reading) -> Told | None:
        """None."""
        return None


@dataclass(slots=True)
class TimesyncdSign:
    """The file that systemd-timesyncd touches. Rule 2."""

    path: Path = TIMESYNCD_SIGN
    drift_ppm: int = 200
    mark: int | None = None

    def look(self, reading: Reading) -> Told | None:
        """The system's clock, if it was synchronised lately and this is news."""
        try:
            touched = self.path.stat().st_mtime_ns
        except OSError:
            return None
        if touched == self.mark:
            return None
        self.mark = touched
        age = reading.wall_ns - touched
        if not -2 * SECOND_NS <= age <= VOUCHED_FOR_NS:
            return None
        age = max(age, 0)
        bound = DAEMON_BOUND_NS + age * self.drift_ppm // 1_000_000
        return Told(TimeSource.DAEMON, reading.wall_ns - age, reading.boot_ns - age, bound)


@dataclass(slots=True)
class KernelSign:
    """What the kernel was told by a time daemon. `ask` gives the head of struct timex."""

    ask: Callable[[], bytes]
    mark: int | None = None

    def look(self, reading: Reading) -> Told | None:
        """The system's clock, while the kernel counts it as synchronised; its own bound is the kernel's."""
        _, _, _, max_error_us, _, status = _TIMEX_HEAD.unpack(self.ask())
        if status & _UNSYNCHRONISED:
            return None
        return Told(TimeSource.DAEMON, reading.wall_ns, reading.boot_ns, max_error_us * _US)


def daemon_sign(daemon: Daemon, limits: Limits, path: Path = TIMESYNCD_SIGN) -> Sign:
    """The sign to look for. Called before there are threads: it may fork (rule 1)."""
    if daemon in ("auto", "kernel") and kernel_may_be_asked():
        return KernelSign(ask_kernel)
    return TimesyncdSign(path, limits.drift_ppm) if daemon in ("auto", "timesyncd") else NoSign()


def kernel_may_be_asked(ask: Callable[[], object] | None = None) -> bool:
    """Whether a child that asked came back with an answer. About 2 ms."""
    asking = ask or ask_kernel
    child = os.fork()
    if child == 0:
        try:
            asking()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status == 0


def ask_kernel() -> bytes:
    """The head of the kernel's struct timex; nothing is changed. Raises OSError."""
    timex = ctypes.create_string_buffer(_TIMEX_OCTETS)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return timex.raw[: _TIMEX_HEAD.size]
