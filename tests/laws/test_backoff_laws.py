"""Laws of patience: a delay keeps its bounds, grows with failures, and starts short after a success."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from gateway.uplink.backoff import Backoff


@given(
    st.floats(0.001, 100),
    st.floats(0.001, 10_000),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=60),
)
def test_delay_stays_within_its_bounds_and_its_ceiling_only_grows(
    shortest: float, longest: float, chances: list[float]
) -> None:
    shortest, longest = min(shortest, longest), max(shortest, longest)
    backoff = Backoff(shortest, longest)
    ceilings = []
    for chance in chances:
        ceilings.append(min(longest, shortest * 2.0 ** min(len(ceilings), 30)))
        delay = backoff.next_s(chance)
        assert shortest <= delay <= ceilings[-1] * (1 + 1e-9)
    assert ceilings == sorted(ceilings)
    backoff.reset()
    assert backoff.next_s(0.999) == shortest, "the first delay after a success is the shortest"


def test_long_outage_ends_at_the_longest_delay() -> None:
    backoff = Backoff(1.0, 60.0)
    delays = [backoff.next_s(1.0 - 1e-12) for _ in range(10_000)]
    assert delays[:3] == pytest.approx([1, 2, 4])
    assert delays[-1] == pytest.approx(60.0)


@given(st.floats(0.01, 10), st.floats(10, 1000), st.floats(0, 5000), st.floats(0, 100), st.integers(0, 40))
def test_what_the_other_side_asked_for_is_the_least_and_the_splay_is_the_least_spread(
    shortest: float, longest: float, least: float, splay: float, failures: int
) -> None:
    early, late = (Backoff(shortest, longest, failures) for _ in range(2))
    first, last = early.next_s(0.0, least_s=least, splay_s=splay), late.next_s(1 - 1e-12, least_s=least, splay_s=splay)
    assert first == max(shortest, least)
    assert last - first >= splay * (1 - 1e-9) - 1e-9
    assert last <= max(shortest, least) + max(longest, splay)
