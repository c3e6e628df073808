"""One writer with group commit: many tasks hand in work, one thread commits what waits, and each is answered only after
the COMMIT that made its work durable.

Rules
1. Work runs inside a transaction. Where a piece raises over its own data, its batch is rolled back and run again, each
   piece in its own savepoint: a bad one does not poison its neighbours, and good ones do not pay for savepoints. So
   work may run twice, the first time for nothing: it changes the store alone, and returns what it found there.
2. While a commit is under way, new work gathers; the batch size finds itself.
3. If COMMIT fails, every piece of the batch fails with StoreUnavailable: nobody may be told that it was durable.
4. Once a commit has failed the writer refuses all further work until `reopen`: after a failed flush the kernel may have
   dropped pages, so the state on disk must be read anew.
5. Work that may wait is held for a time that the site chooses, none if it does not; other work takes it along.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Self, TypeVar

from gateway.errors import NoRoom, StoreUnavailable
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
    NoRoom,
)
"""What a piece of work raises over its own data; anything else casts doubt on the store, and fails the whole batch."""


_Piece = tuple[Work[object], "asyncio.Future[object]"]
"""Work, and who waits for what it returns."""


class _Batch:
    """Work for the writer's thread, and what came of it: `outcomes` in order, or the `error`."""

    __slots__ = ("apart", "connection", "error", "loop", "outcomes", "pieces")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: sqlite3.Connection, pieces: list[_Piece], *, apart: bool
    ) -> None:
        self.loop, self.connection, self.pieces, self.apart = loop, connection, pieces, apart
        self.outcomes: list[object] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        """In the writer's thread. What is raised is told to those who wait, in the event loop."""
        with _Keeping(self):
            self.outcomes = (_apart if self.apart else _commit)(self.connection, [work for work, _ in self.pieces])


class _Keeping:
    """Keeps what is raised with the batch that raised it."""

    __slots__ = ("_batch",)

    def __init__(self, batch: _Batch) -> None:
        self._batch = batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._batch.error = error
        return True


class _Desk:
    """Where batches are handed to the writer's thread and come back.

    Two counters of the kernel instead of a queue and the event loop's own call from other threads: those cost some 30
    us more for each hand-over and back, a tenth of what a lone record does.
    """

    __slots__ = ("_asked", "_done", "_ready", "_thread", "_to_do")

    def __init__(self) -> None:
        self._to_do, self._done = deque[_Batch | None](), deque[_Batch]()
        self._asked, self._ready = os.eventfd(0, os.EFD_CLOEXEC), os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def hand_in(self, batch: _Batch | None) -> None:
        """Give the thread its next batch; None is the last."""
        self._to_do.append(batch)
        os.eventfd_write(self._asked, 1)

    def take_back(self) -> list[_Batch]:
        """What is done since this was asked last."""
        os.eventfd_read(self._ready)
        return [self._done.popleft() for _ in range(len(self._done))]

    def attend(self, loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
        """Have `told` called in `loop` whenever something is done."""
        loop.add_reader(self._ready, told)

    def leave(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Attend no more."""
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._ready)

    def close(self) -> None:
        """Return once the thread has done what it was given, and ended."""
        self.hand_in(None)
        self._thread.join()
        os.close(self._asked)
        os.close(self._ready)

    def _work(self) -> None:
        asked, ready, to_do, done = self._asked, self._ready, self._to_do, self._done
        while True:
            os.eventfd_read(asked)  # However many were handed in: with one that is still under way, there may be two.
            while to_do:
                batch = to_do.popleft()
                if batch is None:
                    return
                batch.run()
                done.append(batch)
                os.eventfd_write(ready, 1)


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
        self._desk: _Desk | None = None
        self._waiting: list[_Piece] = []
        self._apart: list[_Piece] = []
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
        answer: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, answer))  # type: ignore[arg-type]  # pieces of many result types
        if not may_wait or not self._hold_s:
            self._ask(loop)
        elif self._held_until is None:
            self._held_until = loop.call_later(self._hold_s, self._ask, loop)
        return await answer

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
        answer: asyncio.Future[T] = loop.create_future()
        self._apart.append((work, answer))  # type: ignore[arg-type]  # pieces of many result types
        self._ask(loop)
        return await answer

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
        if self._desk is not None:
            self._desk.leave(self._loop)
            self._desk.close()
            self._desk = self._loop = None
        self._connection.close()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that what waits is committed, behind whatever the loop runs already: that may bring more."""
        if self._held_until is not None:
            self._held_until.cancel()
            self._held_until = None
        self._asked = True
        if loop is not self._loop:
            self._move_to(loop)
        if not self._committing:
            self._committing = True
            loop.call_soon(self._go_on, loop)

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop before was closed, perhaps in the middle of a commit, or there was none."""
        if self._desk is None:
            self._desk = _Desk()
        self._desk.leave(self._loop)
        self._desk.attend(loop, self._told)
        self._loop, self._committing, self._quiet = loop, False, None

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit what waits, if any of it is due; all of it is then taken along."""
        if self._desk is None:  # Closed without waiting for anybody.
            self._fail([], StoreUnavailable("the store is closed"))
        if not self._asked or self._desk is None:
            self._committing = False
            if self._quiet is not None and not self._waiting and not self._apart:
                self._quiet.set_result(None)
                self._quiet = None
            return
        if self._apart:
            apart, pieces = True, [self._apart.pop(0)]
        else:
            apart, pieces, self._waiting = False, self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        self._asked = bool(self._waiting or self._apart)
        self._desk.hand_in(_Batch(loop, self._connection, pieces, apart=apart))

    def _told(self) -> None:
        """In the event loop: answer those whose batch is done."""
        for batch in self._desk.take_back() if self._desk is not None else ():
            if batch.loop is not self._loop:  # It was closed meanwhile: there is nobody to be told.
                continue
            if batch.error is not None:
                self._fail(batch.pieces, batch.error)
            else:
                for (_, answer), outcome in zip(batch.pieces, batch.outcomes, strict=True):
                    _answer(answer, outcome)
            # Behind those who were answered just now: what they hand in next is to be taken along.
            batch.loop.call_soon(self._go_on, batch.loop)

    def _fail(self, batch: list[_Piece], error: BaseException) -> None:
        self._full = isinstance(error, sqlite3.OperationalError) and _code(error) == sqlite3.SQLITE_FULL
        self._broken = f"the commit failed: {error}"
        batch, self._waiting, self._asked = batch + self._apart + self._waiting, [], False
        self._apart = []
        if self._held_until is not None:
            self._held_until.cancel()
            self._held_until = None
        for _, answer in batch:
            _answer(answer, _Failed(StoreUnavailable(self._broken)))


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class _Failed:
    """What a piece of work came to that raised: it was rolled back alone, or all of its batch was."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _answer(answer: asyncio.Future[object], outcome: object) -> None:
    if answer.done():  # The caller was cancelled meanwhile.
        return
    if type(outcome) is _Failed:
        answer.set_exception(outcome.error)
    else:
        answer.set_result(outcome)


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
        outcomes = _together(connection, works) or _one_by_one(connection, works)
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


def _together(connection: sqlite3.Connection, works: list[Work[object]]) -> list[object]:
    """The outcomes; none when one of `works` has raised over its own data."""
    try:
        return [work(connection) for work in works]
    except _OWN_FAULTS:
        return []


def _one_by_one(connection: sqlite3.Connection, works: list[Work[object]]) -> list[object]:
    """The outcomes, in a transaction anew."""
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    return [_savepoint(connection, work) for work in works]


def _savepoint(connection: sqlite3.Connection, work: Work[object]) -> object:
    connection.execute("SAVEPOINT piece")
    try:
        outcome = work(connection)
    except _OWN_FAULTS as error:
        connection.execute("ROLLBACK TO piece")
        outcome = _Failed(error)
    connection.execute("RELEASE piece")
    return outcome
