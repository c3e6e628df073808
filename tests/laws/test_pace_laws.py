"""Laws of the pace: within its bounds whatever happens; on a steady link it settles at what the budget carries."""

from __future__ import annotations

from hypothesis import example, given, strategies as st

from gateway.uplink.pace import BUDGET_S, LEAST, MOST, Pace

ROUND_TRIPS = st.floats(0.0005, 1.5)
RATES = st.floats(100, 1e8)
CHARACTERS = st.integers(0, 10 * MOST)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("greeted"), st.just(0), st.floats(0, 100)),
        st.tuples(st.just("carried"), CHARACTERS, st.floats(0, 100)),
        st.tuples(st.just("failed"), st.just(0), st.just(0.0)),
    ),
    max_size=60,
)


def on_a_link(pace: Pace, round_trip_s: float, rate: float, exchanges: int) -> float:
    """Fill `exchanges` batches over a link as it is; how long the last one took."""
    took_s = 0.0
    pace.greeted(round_trip_s)
    for _ in range(exchanges):
        took_s = round_trip_s + pace.characters / rate
        pace.carried(pace.characters, took_s)
    return took_s


@given(EVENTS)
def test_a_batch_keeps_its_bounds_and_at_most_doubles(events: list[tuple[str, int, float]]) -> None:
    pace = Pace()
    for what, characters, took_s in events:
        before = pace.characters
        if what == "greeted":
            pace.greeted(took_s)
        elif what == "carried":
            pace.carried(characters, took_s)
            assert pace.characters <= max(LEAST, before, 2 * characters)
        else:
            pace.failed()
            assert pace.characters == max(LEAST, before // 2)
        assert LEAST <= pace.characters <= MOST


@given(ROUND_TRIPS, RATES)
def test_on_a_steady_link_an_exchange_takes_its_budget_unless_a_bound_says_otherwise(
    round_trip_s: float, rate: float
) -> None:
    pace = Pace()
    took_s = on_a_link(pace, round_trip_s, rate, 40)
    if LEAST < pace.characters < MOST:
        assert BUDGET_S * 0.5 <= took_s <= max(BUDGET_S, 2 * round_trip_s) * 1.1
    elif pace.characters == LEAST:
        assert took_s >= BUDGET_S * 0.5, "a batch is small because the link is slow"
    else:
        assert took_s <= max(BUDGET_S, 2 * round_trip_s) * 1.1, "a batch is large because the link bears it"


@given(ROUND_TRIPS, RATES, st.floats(1, 50))
def test_a_faster_link_is_given_no_less(round_trip_s: float, rate: float, times: float) -> None:
    slow, fast = Pace(), Pace()
    on_a_link(slow, round_trip_s, rate, 40)
    on_a_link(fast, round_trip_s, rate * times, 40)
    assert fast.characters >= slow.characters * 0.99


@given(ROUND_TRIPS, RATES, RATES)
@example(1.029296875, 100.0, 17687.0)
def test_a_link_that_changes_is_followed_both_ways(round_trip_s: float, before: float, after: float) -> None:
    pace, fresh = Pace(), Pace()
    on_a_link(pace, round_trip_s, before, 40)
    on_a_link(pace, round_trip_s, after, 60)
    on_a_link(fresh, round_trip_s, after, 60)
    assert 0.9 <= pace.characters / fresh.characters <= 1.12


def test_short_batches_at_the_end_of_a_backlog_do_not_shrink_the_next() -> None:
    pace = Pace()
    on_a_link(pace, 0.05, 1e7, 20)
    assert pace.characters == MOST
    for _ in range(20):
        pace.carried(300, 0.0501)
    assert pace.characters == MOST
