"""How much goes to the hub at once: as much as one exchange carries within its time, by what the last ones took. Pure.

Rules
1. An exchange takes the link's round trip, and then its time by length. Nothing is learned of one that is short for
   want of records; and a batch grows to at most twice the last one, for little is known of what is longer.
2. The time of an exchange is budgeted (BUDGET_S): long enough that the round trip does not count, short enough that a
   link which lives a few seconds brings something home. Where the round trip itself is long, as much again is spent.
3. A failure halves the batch, down to LEAST: it was too long for what the link bears.
"""

from __future__ import annotations

from dataclasses import dataclass

BUDGET_S = 2.0
LEAST = 16 * 1024
FIRST = 64 * 1024
MOST = 512 * 1024
"""Characters of record bodies in one batch, unless it has only one record, which is bounded by a charger's largest
frame. On the wire a character of a body takes at most 4 bytes, so a batch stays below what the hub takes
(MAX_BATCH_BYTES)."""
_WEIGHT = 0.3
"""Of the newest measurement."""


@dataclass(slots=True)
class Pace:
    """The size of the next batch, in characters of record bodies. Times are seconds."""

    budget_s: float = BUDGET_S
    characters: int = FIRST
    round_trip_s: float = 0.0
    rate: float | None = None
    """Characters a second beyond the round trip; None before anything was sent."""

    def greeted(self, took_s: float) -> None:
        """A small exchange took so long: the round trip. The shortest counts; a longer one moves it slowly."""
        if self.round_trip_s == 0.0 or took_s < self.round_trip_s:
            self.round_trip_s = took_s
        else:
            self.round_trip_s += _WEIGHT * (took_s - self.round_trip_s)

    def carried(self, characters: int, took_s: float) -> None:
        """A batch of so many characters was acknowledged after `took_s`."""
        self.round_trip_s = min(self.round_trip_s, took_s)
        if characters < LEAST and took_s <= self.budget_s:
            return
        rate = characters / max(took_s - self.round_trip_s, took_s / 16, 1e-4)
        self.rate = rate if self.rate is None else self.rate + _WEIGHT * (rate - self.rate)
        spent_s = max(self.budget_s - self.round_trip_s, self.round_trip_s)
        wanted = self.rate * spent_s
        ceiling = max(2 * characters, self.characters)
        # Where the round trip is long, more than the budget is as it should be (rule 2).
        whole_s = self.round_trip_s + spent_s
        if took_s > whole_s:
            wanted = min(wanted, characters * whole_s / took_s)
        self.characters = int(min(max(wanted, LEAST), ceiling, MOST))

    def failed(self) -> None:
        """A batch did not arrive, or its answer did not."""
        self.characters = max(LEAST, self.characters // 2)
