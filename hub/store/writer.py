"""One thread, one connection, group commit: whoever waits is committed together, and is answered after COMMIT.

Rules
1. A job is a function of the connection. Each runs in its own savepoint: one that raises is undone and its caller gets
   the exception; its neighbours are committed.
2. Futures are resolved after COMMIT, with one call into the event loop per group.
3. When COMMIT or the transaction itself fails, every job of the group fails with StoreError and the connection is
   opened anew: after a failed fsync the pages in memory prove nothing.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from hub.errors import StoreError
from hub.store.connection import open_writer

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MAX_GROUP = 64


@dataclass(slots=True)
class _Job:
    work: Work[None]
    future: asyncio.Future[None]
    error: BaseException | None = None


class _Savepoint:
    """Runs one job inside the group's transaction; what the job raises is handed to its caller, not to the group."""

    def __init__(self, connection: sqlite3.Connection, job: _Job) -> None:
        self._connection, self._job = connection, job

    def __enter__(self) -> None:
        self._connection.execute("SAVEPOINT job")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._connection.execute("RELEASE job")
            return False
        if not self._connection.in_transaction:
            # SQLite has rolled everything back by itself (disk full, I/O error): the whole group is lost.
            return False
        self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")
        self._job.error = StoreError(f"the database refused: {error}") if isinstance(error, sqlite3.Error) else error
        return True


class Writer:
    """The thread that writes. `submit` may be called from one event loop only, the one that runs when it is made."""

    def __init__(self, path: Path) -> None:
        """Opens the database. Raises StoreError."""
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hub-writer", daemon=True)
        self._connection: sqlite3.Connection | None = open_writer(path)
        try:
            self._thread.start()
        except RuntimeError:
            self._connection.close()
            raise

    async def submit(self, work: Work[T]) -> T:
        """The result of `work`, durable. A caller that is cancelled meanwhile knows nothing about the outcome.

        Raises:
            StoreError: the database failed; nothing of `work` was stored.
            Whatever `work` raises: its changes were undone.
        """
        if not self._thread.is_alive():
            raise StoreError("the writer has ended")
        results: list[T] = []
        job = _Job(lambda connection: results.append(work(connection)), self._loop.create_future())
        self._queue.put(job)
        await job.future
        return results[0]

    def close(self) -> None:
        """Commit what waits, close the connection, end the thread; blocks until done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._commit_groups()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _commit_groups(self) -> None:
        open_ = True
        while open_:
            first = self._queue.get()
            group = [] if first is None else [first]
            open_ = first is not None
            while open_ and len(group) < MAX_GROUP and not self._queue.empty():
                job = self._queue.get()
                if job is None:
                    open_ = False
                else:
                    group.append(job)
            if group:
                self._commit(group)
                self._loop.call_soon_threadsafe(_resolve, group)

    def _commit(self, group: Sequence[_Job]) -> None:
        try:
            if self._connection is None:
                self._connection = open_writer(self._path)
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            for job in group:
                with _Savepoint(connection, job):
                    job.work(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            failure = StoreError(f"nothing was stored: {error}")
            for job in group:
                job.error = job.error or failure
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _resolve(group: Sequence[_Job]) -> None:
    for job in group:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(None)
