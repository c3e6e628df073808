"""How long to wait before trying again: exponential, capped, with full jitter, so that a region whose hub comes back
does not knock all at once. Pure: randomness is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays between `shortest_s` and `longest_s`; `reset` after a success."""

    shortest_s: float
    longest_s: float
    failures: int = 0

    def next_s(self, chance: float, *, least_s: float = 0.0, splay_s: float = 0.0) -> float:
        """The next delay; `chance` is uniform in [0, 1). `least_s`: what the other side asked for, which is kept even
        beyond `longest_s`. `splay_s`: over how long those who lost the same hub at once spread at least."""
        ceiling = min(self.longest_s, self.shortest_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return max(self.shortest_s, least_s) + max(ceiling - self.shortest_s, splay_s) * chance

    def reset(self) -> None:
        """Start from the shortest delay again."""
        self.failures = 0
