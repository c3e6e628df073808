"""One writer with group commit: many tasks hand in work, one thread commits what waits, and each is answered only after
the COMMIT that made its work durable.

Rules
1. Work runs inside a transaction, each piece in its own savepoint: one bad piece does not poison its neighbours.
2. While a commit is under way, new work gathers; the batch size finds itself.
3. If COMMIT fails, every piece of the batch fails with StoreUnavailable: nobody may be told that it was durable.
4. Once a commit has failed the writer refuses all further work until `reopen`: after a failed flush the kernel may have
   dropped pages, so the state on disk must be read anew.
5. Work that may wait is held for a time that the site chooses, none if it does not; other work takes it along.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

from gateway.errors import StoreUnavailable
from wire.errors import MalformedValue

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MAX_BATCH = 256
_OWN_FAULTS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    MalformedValue,
)
"""What a piece of work raises over its own data; anything else casts doubt on the store, and fails the whole batch."""


@dataclass(frozen=True, slots=True)
class _Piece(Generic[T]):
    work: Work[T]
    answer: asyncio.Future[T]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Work for the writer's thread, and who is to be told there what came of it: outcomes in order, or the error."""

    connection: sqlite3.Connection
    works: list[Work[object]]
    apart: bool
    tell: Callable[[list[object] | BaseException], None]


class Writer:
    """Runs work on the one read-write connection. Belongs to the event loop that first awaits `run`."""

    def __init__(
        self,
        open_connection: Callable[[], sqlite3.Connection],
        open_again: Callable[[], sqlite3.Connection] | None = None,
        hold_s: float = 0.0,
    ) -> None:
        """`open_again`: how it is opened after a failed commit, if otherwise. `hold_s`: how long work that may wait
        does wait for company, at most."""
        self._open, self._hold_s = open_again or open_connection, hold_s
        self._connection = open_connection()
        self._batches: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._waiting: list[_Piece[object]] = []
        self._apart: list[_Piece[object]] = []
        self._committing, self._asked = False, False
        self._held_until: asyncio.TimerHandle | None = None
        self._quiet: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._broken: str | None = None
        self._full = False
        self._closed = False

    async def run(self, work: Work[T], *, may_wait: bool = False) -> T:
        """What `work(connection)` returns, after the commit that holds it. What `may_wait` is not committed before its
        time is over or other work takes it along.

        A caller that is cancelled does not know whether its work became durable.

        Raises:
            StoreUnavailable: the commit failed, or an earlier one did.
            What `work` raises over its own data (IntegrityError, ValueError ...): this piece alone was rolled back.
        """
        if self._broken is not None or self._closed:
            raise StoreUnavailable(self._broken or "the store is closed")
        loop = asyncio.get_running_loop()
        piece: _Piece[T] = _Piece(work, loop.create_future())
        self._waiting.append(piece)  # type: ignore[arg-type]  # a list of pieces of many result types
        if not may_wait or not self._hold_s:
            self._ask(loop)
        elif self._held_until is None:
            self._held_until = loop.call_later(self._hold_s, self._ask, loop)
        return await piece.answer

    async def apart(self, work: Work[T]) -> T:
        """What `work(connection)` returns, run between two commits and outside of any transaction: for a checkpoint.
        What goes wrong in it is told to this caller alone.

        Raises:
            StoreUnavailable: an earlier commit failed.
            What `work` raises.
        """
        if self._broken is not None or self._closed:
            raise StoreUnavailable(self._broken or "the store is closed")
        loop = asyncio.get_running_loop()
        piece: _Piece[T] = _Piece(work, loop.create_future())
        self._apart.append(piece)  # type: ignore[arg-type]  # a list of pieces of many result types
        self._ask(loop)
        return await piece.answer

    async def idle(self) -> None:
        """Return once there is no work that is not committed yet."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop and (self._waiting or self._apart or self._committing):
            self._ask(loop)  # Behind the commit in whose middle the loop before was closed, which tells nobody.
        while self._waiting or self._apart or self._committing:
            if self._quiet is None:
                self._quiet = loop.create_future()
            await asyncio.shield(self._quiet)

    @property
    def broken(self) -> str | None:
        """Why no work is taken, None while all is well."""
        return self._broken

    @property
    def full(self) -> bool:
        """Whether it was for want of room that the store broke."""
        return self._full

    def reopen(self) -> None:
        """Open the store anew after a failed commit, in the calling thread. Raises StoreError when it is still
        unusable."""
        self._connection.close()
        self._connection = self._open()
        self._broken, self._full = None, False

    async def close(self) -> None:
        """Commit what waits, checkpoint, close. Idempotent."""
        await self.drain()
        self.end()

    async def drain(self) -> None:
        """Take no more work, and commit what waits."""
        self._closed = True
        if self._held_until is not None:
            self._ask(asyncio.get_running_loop())
        await self.idle()

    def end(self) -> None:
        """Close without waiting for anybody: nobody may be at work."""
        self._closed = True
        if self._thread is not None:
            self._batches.put(None)
            self._thread.join()
            self._thread = None
        self._connection.close()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that what waits is committed, behind whatever the loop runs already: that may bring more."""
        if self._held_until is not None:
            self._held_until.cancel()
            self._held_until = None
        self._asked = True
        if loop is not self._loop:  # The one before was closed, perhaps in the middle of a commit.
            self._loop, self._committing, self._quiet = loop, False, None
        if not self._committing:
            self._committing = True
            loop.call_soon(self._go_on, loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit what waits, if any of it is due; all of it is then taken along."""
        if not self._asked:
            self._committing = False
            if self._quiet is not None and not self._waiting and not self._apart:
                self._quiet.set_result(None)
                self._quiet = None
            return
        if self._apart:
            apart, batch = True, [self._apart.pop(0)]
        else:
            apart, batch, self._waiting = False, self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._asked = bool(self._waiting or self._apart)
        # No executor: handing work over and back by one costs 20 us more, a tenth of a small commit.
        if self._thread is None:
            self._thread = Thread(target=_commit_batches, args=(self._batches,), name="store-writer", daemon=True)
            self._thread.start()
        works = [piece.work for piece in batch]
        self._batches.put(_Batch(self._connection, works, apart, partial(self._tell, loop, batch)))

    def _tell(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Piece[object]], outcomes: list[object] | BaseException
    ) -> None:
        """In the writer's thread."""
        with suppress(RuntimeError):  # The loop was closed meanwhile: there is nobody to be told.
            loop.call_soon_threadsafe(self._committed, loop, batch, outcomes)

    def _committed(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Piece[object]], outcomes: list[object] | BaseException
    ) -> None:
        if isinstance(outcomes, BaseException):
            self._fail(batch, outcomes)
        else:
            for piece, outcome in zip(batch, outcomes, strict=True):
                _answer(piece, outcome)
        # Behind those who were answered just now: what they hand in next is to be taken along.
        loop.call_soon(self._go_on, loop)

    def _fail(self, batch: list[_Piece[object]], error: BaseException) -> None:
        self._full = isinstance(error, sqlite3.OperationalError) and _code(error) == sqlite3.SQLITE_FULL
        self._broken = f"the commit failed: {error}"
        batch, self._waiting, self._asked = batch + self._apart + self._waiting, [], False
        self._apart = []
        if self._held_until is not None:
            self._held_until.cancel()
            self._held_until = None
        for piece in batch:
            _answer(piece, StoreUnavailable(self._broken))


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class _Failed:
    """A piece of work that raised, and was rolled back alone."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _answer(piece: _Piece[object], outcome: object) -> None:
    if piece.answer.done():  # The caller was cancelled meanwhile.
        return
    if isinstance(outcome, StoreUnavailable):
        piece.answer.set_exception(outcome)
    elif isinstance(outcome, _Failed):
        piece.answer.set_exception(outcome.error)
    else:
        piece.answer.set_result(outcome)


class _Telling:
    """Tells those who wait what came of their batch, also when it raised: that is raised to them, in the event loop."""

    def __init__(self, tell: Callable[[list[object] | BaseException], None]) -> None:
        self._tell = tell
        self.outcomes: list[object] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._tell(self.outcomes if error is None else error)
        return True


def _commit_batches(batches: SimpleQueue[_Batch | None]) -> None:
    """The writer's thread, until it is given None."""
    while (batch := batches.get()) is not None:
        run = _apart if batch.apart else _commit
        with _Telling(batch.tell) as telling:
            telling.outcomes = run(batch.connection, batch.works)


def _apart(connection: sqlite3.Connection, works: list[Work[object]]) -> list[object]:
    """The outcome of what is run outside of any transaction."""
    (work,) = works
    try:
        return [work(connection)]
    except (sqlite3.Error, *_OWN_FAULTS) as error:
        return [_Failed(error)]


def _commit(connection: sqlite3.Connection, works: list[Work[object]]) -> list[object]:
    """The outcomes of `works`, in order, durable. Raises sqlite3.Error when the transaction as a whole failed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if len(works) == 1:
            return [_alone(connection, works[0])]
        outcomes = [_savepoint(connection, work) for work in works]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLITE_FULL and I/O errors may have rolled back by themselves.
            connection.execute("ROLLBACK")
    return outcomes


def _alone(connection: sqlite3.Connection, work: Work[object]) -> object:
    """The whole transaction is its savepoint: two statements less, a sixth of what a lone record costs."""
    try:
        outcome = work(connection)
    except _OWN_FAULTS as error:
        return _Failed(error)
    connection.execute("COMMIT")
    return outcome


def _savepoint(connection: sqlite3.Connection, work: Work[object]) -> object:
    connection.execute("SAVEPOINT piece")
    try:
        outcome = work(connection)
    except _OWN_FAULTS as error:
        connection.execute("ROLLBACK TO piece")
        outcome = _Failed(error)
    connection.execute("RELEASE piece")
    return outcome
