"""By which instant dates are judged, for what is worth deciding and what the time is worth: one table.

| what is judged                             | trusted, drifting | unknown                              |
|--------------------------------------------|-------------------|--------------------------------------|
| a contract chain, and its revocation       | the time          | as `[policy] clock_unknown` has it   |
| a station's TLS certificate                | the time          | the earliest instant that it can be  |
| whether the hub's command is still in time | the time          | cannot be told: refused              |
| whether the token list is fresh            | the time          | cannot be told: not fresh            |
| lists, answers and roots that are fetched  | the time          | nothing is fetched                   |
| the gateway's own next certificate         | the time          | none is asked for                    |
| letting go of what is kept long enough     | the earliest      | nothing is let go                    |

Why: a clock that was set back must not revive what had ended when the time was last known, so what is judged without a
clock is judged no earlier than that. A clock that was set ahead must not lock a site out: it does not move the time
while the gateway or its box runs (`gateway.clock_estimate`), and after a boot it makes the time unknown, which closes
neither the stations' ports nor the token list. A contract is refused then unless the site wants otherwise, because it
may have ended since.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from gateway.clock import Moment
from gateway.decide.policy import Choice
from wire.records import ClockState


class Dated(Enum):
    """What is judged by its dates."""

    CONTRACT = "contract"
    STATION = "station"
    COMMAND = "command"
    LIST = "list"
    EVIDENCE = "evidence"
    PAPER = "paper"
    KEEPING = "keeping"


class By(Enum):
    """The instant: the time, the earliest that it can be, that one if the site's policy accepts, or none."""

    TIME = "time"
    EARLIEST = "earliest"
    POLICY = "policy"
    NONE = "none"


HUB_AHEAD = timedelta(days=1)
"""A list that was confirmed further ahead than this was confirmed by a wrong clock, ours or the hub's: not fresh."""
_T, _D, _U = ClockState.TRUSTED, ClockState.DRIFTING, ClockState.UNKNOWN
JUDGED_BY: dict[Dated, dict[ClockState, By]] = {
    Dated.CONTRACT: {_T: By.TIME, _D: By.TIME, _U: By.POLICY},
    Dated.STATION: {_T: By.TIME, _D: By.TIME, _U: By.EARLIEST},
    Dated.COMMAND: {_T: By.TIME, _D: By.TIME, _U: By.NONE},
    Dated.LIST: {_T: By.TIME, _D: By.TIME, _U: By.NONE},
    Dated.EVIDENCE: {_T: By.TIME, _D: By.TIME, _U: By.NONE},
    Dated.PAPER: {_T: By.TIME, _D: By.TIME, _U: By.NONE},
    Dated.KEEPING: {_T: By.EARLIEST, _D: By.EARLIEST, _U: By.NONE},
}
"""The table."""


def judged_at(what: Dated, now: Moment, clock_unknown: Choice = Choice.REFUSE) -> datetime | None:
    """The instant to judge `what` by; None: it cannot be judged, and what that means is said in the table.

    While a clock drifts of which the earliest instant is not known, the time stands for it: nothing speaks against it.
    """
    by = JUDGED_BY[what][now.clock]
    if by is By.TIME:
        return now.at
    if by is By.NONE or (by is By.POLICY and clock_unknown is Choice.REFUSE):
        return None
    if now.earliest is None and now.clock is not ClockState.UNKNOWN:
        return now.at
    return now.earliest


def list_is_stale(confirmed_at: datetime | None, now: Moment, max_age: timedelta) -> bool:
    """Whether the token list, which the hub confirmed last at `confirmed_at`, is not fresh, or cannot be told to be.

    A list that no hub has ever confirmed (None) is one of a hub that does not do so: it holds, as it did before there
    was any confirming.
    """
    if confirmed_at is None:
        return False
    at = judged_at(Dated.LIST, now)
    return at is None or not -HUB_AHEAD <= at - confirmed_at <= max_age
