"""One writer with group commit: many tasks hand in work, one thread commits what waits, and each is answered only after
the COMMIT that made its work durable.

Rules
1. Work runs inside a transaction, each piece in its own savepoint: one bad piece does not poison its neighbours.
2. While a commit is under way, new work gathers; the batch size finds itself.
3. If COMMIT fails, every piece of the batch fails with StoreUnavailable: nobody may be told that it was durable.
4. Once a commit has failed the writer refuses all further work until `reopen`: after a failed flush the kernel may have
   dropped pages, so the state on disk must be read anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

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


class Writer:
    """Runs work on the one read-write connection. Belongs to the event loop that first awaits `run`."""

    def __init__(self, open_connection: Callable[[], sqlite3.Connection]) -> None:
        self._open = open_connection
        self._connection = open_connection()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-writer")
        self._waiting: list[_Piece[object]] = []
        self._pump: asyncio.Task[None] | None = None
        self._broken: str | None = None
        self._closed = False

    async def run(self, work: Work[T]) -> T:
        """What `work(connection)` returns, after the commit that holds it.

        A caller that is cancelled does not know whether its work became durable.

        Raises:
            StoreUnavailable: the commit failed, or an earlier one did.
            What `work` raises over its own data (IntegrityError, ValueError ...): this piece alone was rolled back.
        """
        if self._broken is not None or self._closed:
            raise StoreUnavailable(self._broken or "the store is closed")
        piece: _Piece[T] = _Piece(work, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)  # type: ignore[arg-type]  # a list of pieces of many result types
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._commit_waiting(), name="store-writer")
        return await piece.answer

    async def idle(self) -> None:
        """Return once there is no work that is not committed yet."""
        while self._pump is not None and not self._pump.done():
            await asyncio.wait({self._pump})

    @property
    def broken(self) -> str | None:
        """Why no work is taken, None while all is well."""
        return self._broken

    def reopen(self) -> None:
        """Open the store anew after a failed commit. Raises StoreError when it is still unusable."""
        self._connection.close()
        self._connection = self._open()
        self._broken = None

    async def close(self) -> None:
        """Commit what waits, checkpoint, close. Idempotent."""
        await self.drain()
        self.end()

    async def drain(self) -> None:
        """Take no more work, and commit what waits."""
        self._closed = True
        if self._pump is not None and not self._pump.done():
            await asyncio.wait({self._pump})

    def end(self) -> None:
        """Close without waiting for anybody: nobody may be at work."""
        self._closed = True
        self._thread.shutdown(wait=True)
        self._connection.close()

    async def _commit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            # Not run_in_executor: the futures that it chains cost a sixth of a small commit.
            committed: asyncio.Future[None] = loop.create_future()
            commit = self._thread.submit(_commit, self._connection, [piece.work for piece in batch])
            commit.add_done_callback(partial(_wake, loop, committed))
            await committed
            error = commit.exception()
            if error is not None:
                self._broken = f"the commit failed: {error}"
                batch, self._waiting = batch + self._waiting, []
                for piece in batch:
                    _answer(piece, StoreUnavailable(self._broken))
                return
            for piece, outcome in zip(batch, commit.result(), strict=True):
                _answer(piece, outcome)


def _wake(loop: asyncio.AbstractEventLoop, committed: asyncio.Future[None], _commit: Future[list[object]]) -> None:
    """In the writer's thread: let the pump go on."""
    loop.call_soon_threadsafe(_tell, committed)


def _tell(committed: asyncio.Future[None]) -> None:
    if not committed.done():  # The pump was cancelled meanwhile, with its loop.
        committed.set_result(None)


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


def _commit(connection: sqlite3.Connection, works: list[Work[object]]) -> list[object]:
    """The outcomes of `works`, in order, durable. Raises sqlite3.Error when the transaction as a whole failed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_savepoint(connection, work) for work in works]
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # SQLITE_FULL and I/O errors may have rolled back by themselves.
            connection.execute("ROLLBACK")
    return outcomes


def _savepoint(connection: sqlite3.Connection, work: Work[object]) -> object:
    connection.execute("SAVEPOINT piece")
    try:
        outcome = work(connection)
    except _OWN_FAULTS as error:
        connection.execute("ROLLBACK TO piece")
        outcome = _Failed(error)
    connection.execute("RELEASE piece")
    return outcome
