"""How much room there is for evidence, and what is done about it. Pure.

Rules
1. The level is that of the budget or that of the file system, whichever is worse.
2. It rises at once. It falls when there is clearly more room than the level above began with, so that it does not
   flutter about a bound.
3. What each level does is one table, `ACTS`; a higher level does all that a lower one does.
4. The beginning and end of a transaction, whatever is signed, decisions, the audit log and what is in quarantine are
   kept on every level.

Source: design of this project; docs/decisions/0012.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

MB = 1024 * 1024
PAGE = 4096
WAL_USUAL, WAL_ROOM = 4 * MB, 16 * MB
"""What the write-ahead log takes while no reader stands; and what the budget has for it: more is alarmed."""


class Level(IntEnum):
    """How it stands with the room, from best to worst."""

    PLENTY = 0
    TIGHT = 1
    SCARCE = 2
    SPENT = 3


class Act(StrEnum):
    """What is done for room."""

    RELEASE_EARLY = "release-early"
    """Content that the hub countersigned more than a day before its last word goes before its keep_days."""
    DROP_SEGMENTS = "drop-segments"
    """Rows of such records go, once they are without content."""
    THIN = "thin"
    """Of unsigned periodic values that the hub has not yet, one a session stays for each quarter of an hour."""
    COUNT_VALUES = "count-values"
    """Unsigned periodic values are acknowledged and counted, and not stored."""
    RELEASE_LATEST = "release-latest"
    """Of what was countersigned later, content and empty rows go as far as it takes to get off the level: a hub that is
    put back to a backup from before will not have what they said."""
    REFUSE_SESSIONS = "refuse-sessions"
    """Who asks to begin a session is refused."""


_TIGHT = frozenset({Act.RELEASE_EARLY, Act.DROP_SEGMENTS})
_SCARCE = _TIGHT | {Act.THIN}
ACTS: dict[Level, frozenset[Act]] = {
    Level.PLENTY: frozenset(),
    Level.TIGHT: _TIGHT,
    Level.SCARCE: _SCARCE,
    Level.SPENT: _SCARCE | {Act.COUNT_VALUES, Act.RELEASE_LATEST, Act.REFUSE_SESSIONS},
}

FROM_PERCENT = {Level.TIGHT: 70, Level.SCARCE: 85, Level.SPENT: 95}
"""Of the budget, from which on a level holds."""
BELOW_TIMES_KEPT_FREE = {Level.TIGHT: 3, Level.SCARCE: 2, Level.SPENT: 1}
"""Of `keep_free`, below which a level holds."""
_CLEAR_PERCENT, _CLEAR_SHARE = 5, 4
"""To fall, the budget must be used by so many percent less, and a part in so many more be free, than where the level
began."""


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """Octets: `budget` for the ledger with its write-ahead log, `keep_free` of the file system, `ballast`."""

    ledger: Path
    budget: int
    keep_free: int
    ballast: int

    @property
    def max_pages(self) -> int:
        """How long the ledger's file may become."""
        return (self.budget - WAL_ROOM) // PAGE

    @property
    def wal(self) -> Path:
        """The write-ahead log."""
        return self.ledger.with_name(self.ledger.name + "-wal")


@dataclass(frozen=True, slots=True)
class Room:
    """Octets: the `budget` of the ledger's file and what of it is `used`; what is `free` for it in the file system, in
    the file's own free pages too, and how much is to stay free there."""

    budget: int
    used: int
    free: int
    keep_free: int


def level_of(room: Room, before: Level) -> Level:
    """The level of a room in which it was `before`."""
    now = _plain(room, 0, 0)
    if now >= before:
        return now
    return max(now, min(before, _plain(room, _CLEAR_PERCENT, _CLEAR_SHARE)))


def _plain(room: Room, percent: int, share: int) -> Level:
    """The level without regard to what was before; with `percent` and `share` that of a room that has so much less."""
    found = Level.PLENTY
    for level in (Level.TIGHT, Level.SCARCE, Level.SPENT):
        bound = BELOW_TIMES_KEPT_FREE[level] * room.keep_free
        bound += bound // share if share else 0
        if room.used * 100 >= (FROM_PERCENT[level] - percent) * room.budget or room.free < bound:
            found = level
    return found
