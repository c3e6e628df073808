"""Tokens, paces and what is said seldom: by a clock of numbers."""

from __future__ import annotations

from hypothesis import given, strategies as st

from gateway.chargers.port import Bounds
from gateway.chargers.rates import BYTES_PER_TOKEN, Pace, Seldom, TokenBucket

BOUNDS = Bounds(
    messages_per_s=10,
    burst=5,
    messages_per_s_in_all=20,
    burst_in_all=10,
    share_per_s=1,
    share_burst=3,
    flood_after_s=60,
)


def test_burst_is_free_and_what_is_beyond_is_owed() -> None:
    bucket = TokenBucket(10, 5, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1, 0.0) == 0.1
    assert bucket.take(1, 0.0) == 0.2
    assert bucket.take(1, 0.2) == 0.1
    assert bucket.take(1, 100.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 9)), max_size=60))
def test_no_more_comes_through_than_burst_and_rate(steps: list[tuple[float, float]]) -> None:
    """Whoever waits as told takes at most burst + rate x time, and one frame on credit."""
    bucket, now_s, taken = TokenBucket(10, 5, 0.0), 0.0, 0.0
    for pause_s, tokens in steps:
        now_s += pause_s
        now_s += bucket.take(tokens, now_s)
        taken += tokens
        assert taken <= 5 + 10 * now_s + 1e-6


def test_large_frames_cost_more() -> None:
    pace = Pace(BOUNDS, TokenBucket(1000, 1000, 0.0), 0.0)
    assert pace.wait_s(4 * BYTES_PER_TOKEN, 0.0) == 0.0
    assert pace.wait_s(BYTES_PER_TOKEN - 1, 0.0) == 0.1


def test_mad_stations_take_nothing_from_one_that_keeps_to_its_share() -> None:
    in_all = TokenBucket(BOUNDS.messages_per_s_in_all, BOUNDS.burst_in_all, 0.0)
    mad = [Pace(BOUNDS, in_all, 0.0) for _ in range(8)]
    good, now_s = Pace(BOUNDS, in_all, 0.0), 0.0
    waited = 0.0
    for second in range(20):
        now_s = float(second)
        waited = max([waited, *(pace.wait_s(10, now_s) for pace in mad for _ in range(10))])
        assert good.wait_s(10, now_s) == 0.0
    assert waited > 10, "all together are far over the pace"


def test_one_that_is_ever_held_back_with_the_next_frame_there_is_flooding() -> None:
    pace = Pace(BOUNDS, TokenBucket(1000, 1000, 0.0), 0.0)
    for at in range(200):
        assert not pace.piled(False, float(at)), "one that waits for its answers never is"
    assert not pace.piled(True, 200.0)
    assert not pace.piled(True, 259.0)
    assert not pace.piled(False, 259.5)
    assert not pace.piled(True, 260.0)
    assert not pace.piled(True, 319.0)
    assert pace.piled(True, 320.0)


def test_pause_within_the_pace_ends_a_flood() -> None:
    pace = Pace(BOUNDS, TokenBucket(1000, 1000, 0.0), 0.0)
    assert not pace.piled(True, 0.0)
    assert pace.wait_s(1, 30.0) == 0.0
    assert not pace.piled(True, 61.0)


def test_what_is_said_seldom_counts_what_was_not_said() -> None:
    seldom = Seldom(10.0, burst=2, names=2)
    assert [seldom.admits("a", 0.0) for _ in range(5)] == [0, 0, None, None, None]
    assert seldom.admits("b", 0.0) == 0
    assert seldom.admits("a", 10.0) == 3
    assert seldom.admits("a", 10.0) is None
    assert seldom.admits("c", 10.0) == 0
    assert seldom.admits("b", 10.0) == 0, "forgotten: it was told longest ago"
