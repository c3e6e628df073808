"""Places for large frames: so many at once, in order, and nobody is left unread for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, strategies as st

from gateway.chargers.large_frames import (
    LARGE_FROM,
    LARGEST,
    LARGEST_PACKED,
    SMALL,
    Places,
    Unanswered,
    largest,
)

AT_ONCE = 2


@dataclass(eq=False)
class Connection:
    """What was said to it: `held` while it is not to be read."""

    name: int
    held: bool = False
    told: list[str] = field(default_factory=list)

    def hold(self) -> None:
        self.held = True

    def go_on(self, *, placed: bool) -> None:
        self.held = False
        self.told.append("placed" if placed else "let go")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_places_are_never_too_many_and_never_idle_while_somebody_waits(steps: list[tuple[bool, int]]) -> None:
    connections = [Connection(number) for number in range(6)]
    places, inside, waiting = Places(AT_ONCE), set[int](), list[int]()
    for asks, number in steps:
        if asks:
            places.ask(connections[number])
            if number not in inside and number not in waiting:
                (waiting.append if len(inside) == AT_ONCE else inside.add)(number)
        else:
            places.leave(connections[number])
            if number in waiting:
                waiting.remove(number)
            elif number in inside:
                inside.remove(number)
                if waiting:
                    inside.add(waiting.pop(0))
        assert {each.name for each in connections if each.held} == set(waiting)
        assert places.waiting == len(waiting)
    for connection in connections:
        places.leave(connection)
    assert not any(each.held for each in connections)


@given(st.lists(st.integers(1, 100_000), max_size=200), st.integers(0, 14))
def test_what_is_answered_in_turn_is_never_large(frames: list[int], head: int) -> None:
    unanswered = Unanswered()
    for size in frames:
        assert not unanswered.came(size + head)
        assert unanswered.answered(size)


def test_a_frame_is_large_until_it_is_answered_also_with_the_next_one_behind_it() -> None:
    unanswered = Unanswered()
    assert not unanswered.came(LARGE_FROM)
    assert unanswered.came(1)
    assert unanswered.came(LARGEST)
    assert not unanswered.answered(LARGE_FROM + 1), "the next one is on its way"
    assert unanswered.answered(LARGEST)


def test_who_may_send_how_much() -> None:
    assert largest(proven=False, packed=False) == largest(proven=False, packed=True) == SMALL
    assert (largest(proven=True, packed=True), largest(proven=True, packed=False)) == (LARGEST_PACKED, LARGEST)
