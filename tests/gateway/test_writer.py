"""Group commit: an answer means durable, a bad piece harms itself alone, and a failed commit fails everyone in it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreError, StoreUnavailable
from gateway.store.database import Schema, open_reader, open_writer
from gateway.store.writer import MAX_BATCH, Writer
from wire.errors import MalformedValue

SCHEMA = Schema("notes", 7, ("CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT NOT NULL);",))


@dataclass
class Notes:
    """A writer on a small store that can be made to run out of pages, with its commits counted."""

    path: Path
    max_pages: int | None = None
    commits: int = 0
    unusable: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)

    def open(self) -> sqlite3.Connection:
        if self.unusable:
            raise StoreError("gone")
        connection = open_writer(self.path, SCHEMA)
        connection.set_trace_callback(self._traced)
        if self.max_pages:
            connection.execute(f"PRAGMA max_page_count={self.max_pages}")
        return connection

    def _traced(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def hold(self, connection: sqlite3.Connection) -> None:
        """Work that keeps the writer's thread until the gate opens, so that others gather behind it."""
        self.held.set()
        assert self.gate.wait(60)

    async def busy(self, writer: Writer) -> asyncio.Task[None]:
        """A task whose work holds the writer now."""
        task = asyncio.create_task(writer.run(self.hold))
        await asyncio.to_thread(self.held.wait, 60)
        return task

    def durable(self) -> list[int]:
        reader = open_reader(self.path)
        try:
            return [row[0] for row in reader.execute("SELECT number FROM notes ORDER BY number")]
        finally:
            reader.close()


def note(number: int, text: str = "x") -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes VALUES (?, ?)", (number, text))
        return number

    return work


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    made = Notes(tmp_path / "notes.db")
    yield made
    made.gate.set()


def play(notes: Notes, part: Callable[[Writer], Coroutine[Any, Any, None]], hold_s: float = 0.0) -> None:
    async def run() -> None:
        writer = Writer(notes.open, hold_s=hold_s)
        try:
            await part(writer)
        finally:
            notes.gate.set()
            await writer.close()

    asyncio.run(asyncio.wait_for(run(), 100))


def test_what_was_answered_is_durable(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        for number in range(3):
            assert await writer.run(note(number)) == number
            assert notes.durable() == list(range(number + 1))

    play(notes, part)


def test_many_producers_share_few_commits(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        holding = await notes.busy(writer)
        producers = [asyncio.create_task(writer.run(note(number))) for number in range(100)]
        await asyncio.sleep(0)
        assert notes.durable() == []
        assert not any(task.done() for task in producers)
        notes.gate.set()
        assert await asyncio.gather(*producers) == list(range(100))
        await holding
        assert notes.commits == 2
        assert notes.durable() == list(range(100))

    play(notes, part)


def test_batch_is_bounded(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        producers = [asyncio.create_task(writer.run(note(number))) for number in range(MAX_BATCH + 1)]
        await asyncio.sleep(0)
        notes.gate.set()
        await asyncio.gather(*producers)
        assert notes.commits == 3

    play(notes, part)


def refuse(error: Exception) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes VALUES (1000, 'to be rolled back')")
        raise error

    return work


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (note(1), sqlite3.IntegrityError),
        (note(2, None), sqlite3.IntegrityError),  # type: ignore[arg-type]  # NULL is what is tested
        (note(2**63), OverflowError),
        (note(2, "\ud800"), UnicodeEncodeError),
        (note(2, object()), (sqlite3.InterfaceError, sqlite3.ProgrammingError)),  # type: ignore[arg-type]  # no text
        (refuse(ValueError("no value")), ValueError),
        (refuse(KeyError("no key")), KeyError),
        (refuse(TypeError("no type")), TypeError),
        (refuse(MalformedValue("stored order", "$", "no value")), MalformedValue),
    ],
)
def test_bad_piece_harms_nobody_else(
    notes: Notes, bad: Callable[[sqlite3.Connection], int], error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    async def part(writer: Writer) -> None:
        await writer.run(note(1))
        await notes.busy(writer)
        works = [note(10), bad, note(11), bad, note(12)]
        producers = [asyncio.create_task(writer.run(work)) for work in works]
        await asyncio.sleep(0)
        notes.gate.set()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [outcomes[index] for index in (0, 2, 4)] == [10, 11, 12]
        for index in (1, 3):
            assert isinstance(outcomes[index], error)
        assert writer.broken is None
        assert notes.durable() == [1, 10, 11, 12]

    play(notes, part)


def test_good_ones_run_again_beside_a_bad_one_and_are_stored_once(notes: Notes) -> None:
    ran: list[int] = []

    def counted(number: int) -> Callable[[sqlite3.Connection], int]:
        def work(connection: sqlite3.Connection) -> int:
            ran.append(number)
            return note(number)(connection)

        return work

    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        works = [counted(1), counted(2), refuse(ValueError("no value")), counted(3)]
        producers = [asyncio.create_task(writer.run(work)) for work in works]
        await asyncio.sleep(0)
        notes.gate.set()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [*outcomes[:2], outcomes[3]] == [1, 2, 3]
        assert isinstance(outcomes[2], ValueError)
        assert ran == [1, 2, 1, 2, 3]
        assert notes.durable() == [1, 2, 3]
        ran.clear()
        assert await asyncio.gather(*(writer.run(counted(number)) for number in (5, 6))) == [5, 6]
        assert ran == [5, 6], "without a bad one they run once"

    play(notes, part)


def test_who_is_not_answered_when_the_store_is_ended_is_told(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        held = asyncio.create_task(writer.run(note(1)))
        await asyncio.sleep(0)
        writer.end()
        with pytest.raises(StoreUnavailable, match="closed"):
            await held

    play(notes, part)


def test_full_store_fails_everyone_in_the_batch_and_refuses_until_it_was_opened_anew(notes: Notes) -> None:
    notes.max_pages = 6

    async def part(writer: Writer) -> None:
        await writer.run(note(1))
        await notes.busy(writer)
        works = [note(2), note(3, "x" * 100_000), note(4)]
        producers = [asyncio.create_task(writer.run(work)) for work in works]
        await asyncio.sleep(0)
        notes.gate.set()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
        assert writer.broken is not None
        assert "full" in writer.broken
        assert notes.durable() == [1], "nothing of the batch"
        with pytest.raises(StoreUnavailable) as refused:
            await writer.run(note(5))
        assert "full" in str(refused.value), "the reason outlives its batch"
        notes.unusable = True
        with pytest.raises(StoreError):
            writer.reopen()
        with pytest.raises(StoreUnavailable):
            await writer.run(note(5))
        notes.unusable, notes.max_pages = False, None
        writer.reopen()
        assert writer.broken is None
        assert await writer.run(note(3, "x" * 100_000)) == 3
        assert notes.durable() == [1, 3]

    play(notes, part)


def test_work_that_waits_behind_a_failed_commit_fails_too(notes: Notes) -> None:
    notes.max_pages = 6

    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        works = [note(number, "x" * 100) for number in range(MAX_BATCH)]
        works[0] = note(0, "x" * 100_000)
        first = [asyncio.create_task(writer.run(work)) for work in works]
        behind = [asyncio.create_task(writer.run(note(1000 + number))) for number in range(5)]
        await asyncio.sleep(0)
        notes.gate.set()
        outcomes = await asyncio.gather(*first, *behind, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert notes.durable() == []

    play(notes, part)


def test_cancelled_producer_holds_nobody_up(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        producers = [asyncio.create_task(writer.run(note(number))) for number in range(3)]
        await asyncio.sleep(0)
        producers[1].cancel()
        notes.gate.set()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [outcomes[0], outcomes[2]] == [0, 2]
        assert isinstance(outcomes[1], asyncio.CancelledError)
        assert {0, 2} <= set(notes.durable())
        assert await writer.run(note(7)) == 7

    play(notes, part)


def test_close_commits_what_waits_and_takes_nothing_more(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        producers = [asyncio.create_task(writer.run(note(number))) for number in range(5)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await writer.run(note(9))
        notes.gate.set()
        await closing
        assert await asyncio.gather(*producers) == list(range(5))
        assert notes.durable() == list(range(5))
        await writer.close()
        with pytest.raises(StoreUnavailable):
            await writer.run(note(10))

    play(notes, part)


def test_work_that_may_wait_waits_for_company(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        waiting = [asyncio.create_task(writer.run(note(number), may_wait=True)) for number in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert notes.commits == 0
        assert await writer.run(note(10)) == 10
        assert all(task.done() for task in waiting), "other work takes it along"
        assert notes.commits == 1
        assert notes.durable() == [0, 1, 2, 10]

    play(notes, part, hold_s=1000.0)


def test_it_waits_no_longer_than_it_may(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await asyncio.gather(*(writer.run(note(number), may_wait=True) for number in range(3))) == [0, 1, 2]
        assert loop.time() - begun >= 0.05
        assert notes.commits == 1

    play(notes, part, hold_s=0.05)


def test_without_a_hold_nothing_waits(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        assert await writer.run(note(1), may_wait=True) == 1

    play(notes, part)


def test_close_commits_what_is_held(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        held = asyncio.create_task(writer.run(note(1), may_wait=True))
        await asyncio.sleep(0)
        await writer.close()
        assert await held == 1
        assert notes.durable() == [1]

    play(notes, part, hold_s=1000.0)


def test_work_apart_runs_between_commits_and_outside_of_any(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        first = asyncio.create_task(writer.run(note(1)))
        await asyncio.sleep(0)
        apart = asyncio.create_task(writer.apart(lambda connection: connection.in_transaction))
        await asyncio.sleep(0)
        notes.gate.set()
        assert await apart is False
        assert await first == 1
        (busy, *_) = await writer.apart(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        assert busy == 0
        assert (notes.path.parent / "notes.db-wal").stat().st_size == 0

    play(notes, part)


def test_what_goes_wrong_apart_is_told_to_its_caller_alone(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        with pytest.raises(sqlite3.OperationalError):
            await writer.apart(lambda connection: connection.execute("no SQL"))
        assert writer.broken is None
        assert await writer.run(note(1)) == 1

    play(notes, part)


def test_error_nobody_foresaw_reaches_everyone_of_the_batch(notes: Notes) -> None:
    async def part(writer: Writer) -> None:
        await notes.busy(writer)
        works = [note(1), refuse(AssertionError("a bug")), note(2)]
        producers = [asyncio.create_task(writer.run(work)) for work in works]
        await asyncio.sleep(0)
        notes.gate.set()
        outcomes = await asyncio.gather(*producers, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
        assert writer.broken is not None
        assert not writer.full
        assert notes.durable() == []
        writer.reopen()
        assert await writer.run(note(3)) == 3

    play(notes, part)


def test_writer_goes_on_in_another_loop(notes: Notes) -> None:
    writer = Writer(notes.open)
    try:
        assert asyncio.run(writer.run(note(1))) == 1
        held = asyncio.new_event_loop()
        task = held.create_task(writer.run(notes.hold))
        held.run_until_complete(asyncio.sleep(0))
        held.run_until_complete(asyncio.sleep(0))
        task.cancel()
        held.run_until_complete(asyncio.wait({task}))
        held.close()
        notes.gate.set()
        assert asyncio.run(writer.run(note(2))) == 2
    finally:
        notes.gate.set()
        writer.end()
    assert notes.durable() == [1, 2]


def test_writer_whose_loop_was_closed_in_the_middle_of_a_commit_closes_in_another(notes: Notes) -> None:
    writer = Writer(notes.open)

    async def cut_off() -> None:
        task = await notes.busy(writer)
        task.cancel()
        await asyncio.wait({task})

    async def closed() -> None:
        async with asyncio.timeout(60):
            await writer.close()

    asyncio.run(cut_off())
    notes.gate.set()
    asyncio.run(closed())
    assert notes.durable() == []
