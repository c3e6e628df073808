"""How the running gateway is, gathered from its parts for whoever asks at the control socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.control.seen import ClockView, ListView, Vitals
from gateway.room import RoomKeeper
from gateway.store.whitelist import Whitelist
from gateway.store.writer import Writer
from gateway.uplink.kind import Uplink

_IO = Path("/proc/self/io")


@dataclass(frozen=True, slots=True)
class VitalParts:
    """The parts that are asked."""

    clock: Clock
    writer: Writer
    uplink: Uplink
    room: RoomKeeper
    whitelist: Whitelist

    def read(self) -> Vitals:
        """How they are now."""
        return Vitals(
            online=self.uplink.online,
            uplink_trouble=self.uplink.trouble,
            broken=self.writer.broken,
            clock=self._clock(),
            room=self.room.level.name.lower(),
            written=written_octets(),
            whitelist=self._list(),
        )

    def _clock(self) -> ClockView:
        now, source = self.clock.now(), self.clock.source()
        return ClockView(
            at=now.at,
            state=now.clock.value,
            bound_s=None if now.bound is None else now.bound.total_seconds(),
            known_by=None if source is None else source.value,
            system_clock_right=self.clock.system_clock_is_right(),
        )

    def _list(self) -> ListView:
        return ListView(
            version=self.whitelist.version,
            tokens=self.whitelist.tokens,
            confirmed_at=self.whitelist.confirmed_at,
            progress=self.uplink.progress,
            refused=dict(self.uplink.refused),
        )


def written_octets() -> int | None:
    """What this process has given to the disk; None where the system does not say."""
    try:
        lines = _IO.read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)
