"""The way to the registry is bounded, and refusals are noted within a measure."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pki.errors import IssueError, StateError
from pki.service.registry import Registry
from pki.service.state_folder import open_registry
from pki.service.store.audit import read_entries
from pki.service.web.desk import Desk
from pki.service.web.problems import Problem
from pki.service.web.refusals import BURST, BURST_EACH, RefusalLog, caller_of
from tests.pki_service import ACTOR, copy_pki


@pytest.fixture
def registry(founded: Path, tmp_path: Path) -> Iterator[Registry]:
    with open_registry(copy_pki(founded, tmp_path / "pki-state")) as opened:
        yield opened


def test_when_too_many_wait_the_next_one_is_turned_away() -> None:
    go_on = threading.Event()

    async def crowded() -> tuple[str, int | None]:
        desk = Desk(max_waiting=2)
        waiting = [asyncio.create_task(desk.run(go_on.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as turned_away:
            await desk.run(go_on.wait)
        go_on.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await desk.run(go_on.is_set)
        desk.close()
        return turned_away.value.code, turned_away.value.retry_after_s

    assert asyncio.run(crowded()) == ("busy", 2)


def test_a_caller_that_goes_away_does_not_stop_an_act() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def act() -> None:
        begun.set()
        go_on.wait()
        done.set()

    async def leave() -> None:
        desk = Desk()
        task = asyncio.create_task(desk.run(act))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        desk.close()

    asyncio.run(leave())
    assert done.is_set()


def test_a_store_that_fails_is_told_as_not_available() -> None:
    def fail() -> None:
        raise StateError("state-unusable", "disk full")

    async def told() -> Problem:
        desk = Desk()
        with pytest.raises(Problem) as raised:
            await desk.run(fail)
        desk.close()
        return raised.value

    problem = asyncio.run(told())
    assert (problem.status, problem.code, problem.retry_after_s) == (503, "state-unusable", 30)


def test_refusals_are_noted_within_a_measure_and_none_is_forgotten(registry: Registry) -> None:
    now_s = 0.0
    refusals = RefusalLog(registry, lambda: now_s)
    error = IssueError("proof-of-possession", "not signed")

    def note(peer: str, certificate: bytes | None = None) -> None:
        refusals.note(caller_of(peer, certificate), ACTOR, "simpleenroll", peer, error)

    for _ in range(BURST_EACH + 50):
        note("192.0.2.1")
    note("192.0.2.2")
    for number in range(1000):
        note(f"198.51.100.{number}")
    note("192.0.2.1", b"revoked")
    now_s = 10.0
    note("192.0.2.1")
    with registry.reading() as connection:
        noted = [entry for entry in read_entries(connection) if entry.act == "refused-simpleenroll"]
    assert sum(entry.subject == "192.0.2.1" for entry in noted) == BURST_EACH + 1
    assert noted[BURST_EACH].subject.startswith("192.0.2.2 (and 50 refusals")
    assert noted[-2].subject == "192.0.2.1", "who showed a certificate is noted whatever others do"
    assert len(noted) == BURST + 2
    assert noted[-1].subject == f"192.0.2.1 (and {1000 - (BURST - BURST_EACH - 1)} refusals not noted before it)"
