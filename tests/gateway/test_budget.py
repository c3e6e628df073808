"""The levels of room: every bound from both sides, both measures, and no flutter about a bound."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from gateway.store.budget import ACTS, Act, Level, Room, level_of

BUDGET, KEEP = 1000, 100
AMPLE = 10_000


def room(used: int = 0, free: int = AMPLE) -> Room:
    return Room(budget=BUDGET, used=used, free=free, keep_free=KEEP)


@pytest.mark.parametrize(
    ("used", "level"),
    [
        (0, Level.PLENTY),
        (699, Level.PLENTY),
        (700, Level.TIGHT),
        (849, Level.TIGHT),
        (850, Level.SCARCE),
        (949, Level.SCARCE),
        (950, Level.SPENT),
        (1000, Level.SPENT),
        (2000, Level.SPENT),
    ],
)
def test_level_of_the_budget(used: int, level: Level) -> None:
    assert level_of(room(used), Level.PLENTY) is level


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (300, Level.PLENTY),
        (299, Level.TIGHT),
        (200, Level.TIGHT),
        (199, Level.SCARCE),
        (100, Level.SCARCE),
        (99, Level.SPENT),
        (0, Level.SPENT),
    ],
)
def test_level_of_the_file_system(free: int, level: Level) -> None:
    assert level_of(room(free=free), Level.PLENTY) is level


def test_the_worse_of_both_counts() -> None:
    assert level_of(room(700, 150), Level.PLENTY) is Level.SCARCE
    assert level_of(room(960, 250), Level.PLENTY) is Level.SPENT


@pytest.mark.parametrize(
    ("before", "used", "level"),
    [
        (Level.SPENT, 949, Level.SPENT),
        (Level.SPENT, 900, Level.SPENT),
        (Level.SPENT, 899, Level.SCARCE),
        (Level.SCARCE, 800, Level.SCARCE),
        (Level.SCARCE, 799, Level.TIGHT),
        (Level.TIGHT, 650, Level.TIGHT),
        (Level.TIGHT, 649, Level.PLENTY),
        (Level.SPENT, 100, Level.PLENTY),
    ],
)
def test_it_falls_when_there_is_clearly_more_room(before: Level, used: int, level: Level) -> None:
    assert level_of(room(used), before) is level


@pytest.mark.parametrize(
    ("before", "free", "level"),
    [
        (Level.SPENT, 124, Level.SPENT),
        (Level.SPENT, 125, Level.SCARCE),
        (Level.SCARCE, 249, Level.SCARCE),
        (Level.SCARCE, 250, Level.TIGHT),
        (Level.TIGHT, 374, Level.TIGHT),
        (Level.TIGHT, 375, Level.PLENTY),
    ],
)
def test_so_it_does_on_the_disk(before: Level, free: int, level: Level) -> None:
    assert level_of(room(free=free), before) is level


def test_a_higher_level_does_all_that_a_lower_one_does() -> None:
    assert set(ACTS) == set(Level)
    assert ACTS[Level.PLENTY] == frozenset()
    for lower, higher in zip(Level, list(Level)[1:], strict=False):
        assert ACTS[lower] < ACTS[higher]
    assert Act.COUNT_VALUES not in ACTS[Level.SCARCE]


@given(
    used=st.integers(0, 1200),
    free=st.integers(0, 600),
    wobbles=st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), max_size=20),
    before=st.sampled_from(Level),
)
def test_what_only_wobbles_changes_the_level_once_at_most(
    used: int, free: int, wobbles: list[tuple[int, int]], before: Level
) -> None:
    level = level_of(room(used, free), before)
    changes = 0
    for more, freer in wobbles:
        now = level_of(room(max(0, used + more), max(0, free + freer)), level)
        assert now >= level_of(room(max(0, used + more), max(0, free + freer)), Level.PLENTY)
        changes += now is not level
        level = now
    # Each bound may be crossed upwards once; coming back takes more than a wobble.
    assert changes <= 3
