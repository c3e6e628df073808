"""A box whose clocks are driven: the real clock of the gateway over dials that a test turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from gateway.clock import Clock, Dials
from gateway.clock_estimate import Limits, Reading, TimeSource, Told, ns_of
from tests.parts import NOON

SECOND = 1_000_000_000


@dataclass
class DrivenSign:
    """A time daemon's sign: vouches for the system's clock when it was told to, once."""

    bound_ns: int = SECOND
    news: bool = False
    mark: int | None = None

    def look(self, reading: Reading) -> Told | None:
        if not self.news:
            return None
        self.news = False
        return Told(TimeSource.DAEMON, reading.wall_ns, reading.boot_ns, self.bound_ns)


@dataclass
class Box:
    """`true`: what time it really is. The system's clock shows it plus `wrong_ns`. Both it and the time since boot run
    `rate_ppm` too fast."""

    folder: Path
    true_ns: int = ns_of(NOON)
    wrong_ns: int = 0
    boot_ns: int = 5 * SECOND
    boots: int = 1
    rate_ppm: int = 0
    limits: Limits = field(default_factory=Limits)
    sign: DrivenSign = field(default_factory=DrivenSign)

    def __post_init__(self) -> None:
        self.clock = self.start()

    def start(self) -> Clock:
        """A new process of the gateway."""
        dials = Dials(
            wall_ns=lambda: self.true_ns + self.wrong_ns, mono_ns=lambda: self.boot_ns, boot_ns=lambda: self.boot_ns
        )
        self.sign = DrivenSign()
        kept_at = self.folder / "clock.json"
        self.clock = Clock(f"boot-{self.boots}", kept_at=kept_at, sign=self.sign, limits=self.limits, dials=dials)
        return self.clock

    def boot(self, off_s: float = 60.0) -> Clock:
        """The box was without power for so long."""
        self.true_ns += int(off_s * SECOND)
        self.boots, self.boot_ns = self.boots + 1, 5 * SECOND
        return self.start()

    def run(self, seconds: float) -> None:
        """Time goes by."""
        gone = int(seconds * SECOND)
        fast = gone * self.rate_ppm // 1_000_000
        self.true_ns, self.boot_ns, self.wrong_ns = (
            self.true_ns + gone,
            self.boot_ns + gone + fast,
            self.wrong_ns + fast,
        )

    def jump(self, by: timedelta) -> None:
        """Somebody sets the system's clock."""
        self.wrong_ns += int(by.total_seconds() * SECOND)

    def synchronise(self) -> None:
        """The time daemon sets the system's clock right, and says so."""
        self.wrong_ns, self.sign.news = 0, True
        self.run(1)
        self.clock.now()

    def hub_says(self, off: timedelta = timedelta(0), round_s: float = 0.2) -> bool:
        """The hub, whose clock is `off`, answers."""
        sent = self.boot_ns
        self.run(round_s / 2)
        said = self.true + off
        self.run(round_s / 2)
        return self.clock.hub_said(said, sent, self.boot_ns)

    @property
    def true(self) -> datetime:
        return NOON + timedelta(microseconds=(self.true_ns - ns_of(NOON)) // 1000)

    def off(self) -> float:
        """How far the gateway is off, in seconds."""
        return (self.clock.now().at - self.true).total_seconds()
