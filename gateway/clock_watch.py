"""Builds the gateway's clock, and looks after it while it runs.

Rules
1. What the time is worth is audited when it changes, with both clocks, so that records from before, which are never
   rewritten, can be placed by their boot and monotonic time. So is whatever the clock remarks. Of one kind an entry is
   made every REMARK_EVERY_S at most; it says how many were left out. That the time is trusted is said at once, that it
   is so no longer STATE_EVERY_S after the last word of it.
2. The floor is kept when the time is trusted first, then every KEEP_EVERY_S, and before new trust is put in force: so
   that a clock that is set back never gets behind a revocation that was known here.
3. While the system's clock is wrong, or may be, TLS to the hub and the PKI does not judge dates by it: only by the hub
   the time may become known. Names and signatures are judged as ever.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.clock import Clock, Moment
from gateway.clock_estimate import HOUR_NS, SECOND_NS, Limits
from gateway.clock_floor import FILE
from gateway.clock_sources import Sign, daemon_sign
from gateway.config import Settings
from gateway.errors import StoreError
from gateway.log import say
from gateway.tls import judge_dates
from wire.records import ClockState

LOOK_EVERY_S = 1.0
KEEP_EVERY_S = 600.0
REMARK_EVERY_S = 600.0
STATE_EVERY_S = 60.0
_STATE = "clock-state"

Audit = Callable[[str, str], Awaitable[None]]


def open_clock(settings: Settings, boot_id: str, *, sign: Sign | None = None) -> Clock:
    """The clock of the configured gateway. Without `sign` the time daemon of [clock]: call it then before there are
    threads (`gateway.clock_sources`)."""
    table = settings.table.clock
    limits = Limits(table.drift_ppm, table.believed_alone_h * HOUR_NS)
    sign = sign or daemon_sign(table.time_daemon, limits)
    return Clock(boot_id, kept_at=settings.state_dir / FILE, sign=sign, limits=limits)


@dataclass(slots=True)
class _Kind:
    """Entries of one kind: when the last one was made, and how many were left out since."""

    made_ns: int
    left_out: int = 0


class ClockWatch:
    """Looks after `clock`. `contexts`: TLS of the hub and the PKI."""

    def __init__(
        self, clock: Clock, audit: Audit, contexts: Sequence[ssl.SSLContext] = (), *, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._clock, self._audit, self._contexts, self._look_every_s = clock, audit, contexts, look_every_s
        self._kinds: dict[str, _Kind] = {}
        self._state: ClockState | None = None
        self._kept_ns: int | None = None

    async def run(self) -> None:
        """Look, for ever. Raises StoreUnavailable."""
        if self._clock.remark is not None:
            await self._tell("clock-file-unusable", self._clock.remark, self._clock.now())
        while True:
            await self.look()
            await asyncio.sleep(self._look_every_s)

    async def look(self) -> None:
        """One look: dates in TLS, remarks, state, floor. Raises StoreUnavailable."""
        now = self._clock.now()
        right = self._clock.system_clock_is_right()
        for context in self._contexts:
            judge_dates(context, by_system_clock=right)
        for remark in self._clock.take_remarks():
            await self._tell(remark.code, remark.message, now)
        trusted = now.clock is ClockState.TRUSTED
        if now.clock is not self._state and (trusted or self._is_due(_STATE, now, STATE_EVERY_S)):
            self._state = now.clock
            self._kinds.pop(_STATE, None)
            if trusted:
                await self.keep()
            await self._tell(_STATE, self._described(now), now)
        if self._kept_ns is None or now.mono_ns - self._kept_ns >= KEEP_EVERY_S * SECOND_NS:
            await self.keep()

    async def keep(self) -> None:
        """Keep the floor over a restart; that it cannot be kept is said."""
        self._kept_ns = self._clock.now().mono_ns
        try:
            await asyncio.to_thread(self._clock.keep)
        except StoreError as error:
            say("clock-not-kept", level="error", reason=str(error))

    def _described(self, now: Moment) -> str:
        source = self._clock.source()
        bound = "nobody knows how far off" if now.bound is None else f"give or take {now.bound.total_seconds():.1f} s"
        floor = "" if now.earliest is None else f", not before {now.earliest:%Y-%m-%d %H:%M:%S} UTC"
        by = "nothing" if source is None else f"the {source.value}"
        both = f"monotonic {now.mono_ns} ns of boot {now.boot_id} is {now.at.isoformat()}"
        return f"{now.clock.value}, by {by}: {both}, {bound}{floor}"

    def _is_due(self, code: str, now: Moment, every_s: float) -> bool:
        made = self._kinds.get(code)
        return made is None or now.mono_ns - made.made_ns >= every_s * SECOND_NS

    async def _tell(self, code: str, message: str, now: Moment) -> None:
        kind = self._kinds.get(code)
        if kind is not None and not self._is_due(code, now, STATE_EVERY_S if code == _STATE else REMARK_EVERY_S):
            kind.left_out += 1
            return
        left_out = 0 if kind is None else kind.left_out
        self._kinds[code] = _Kind(now.mono_ns)
        more = f" ({left_out} more since the last entry)" if left_out else ""
        say(code, level="info" if code in (_STATE, "clock-set") else "warning", message=message + more)
        await self._audit(code, message + more)
