"""The threads that write. A job is a function of the connection, and is answered after COMMIT.

Rules
1. A job that raises is undone and its caller gets the exception; its neighbours are committed.
2. Futures are resolved after COMMIT, with one call into the event loop per group.
3. Where the database is ours alone, one connection writes, and whoever waits is committed together, each job in a
   savepoint of its own (group commit).
4. Where others write as well, each job is a transaction of its own, on as many connections as the engine has for it.
   One that collides is run again, a little later each time, ATTEMPTS times in all: a job must change nothing but the
   database.
5. When COMMIT or the transaction itself fails, every job of the group fails with StoreError and the connection is
   opened anew: after a failed fsync the pages in memory prove nothing.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from hub.errors import StoreError
from hub.store.engine import Away, Collision, Connection, Engine, OpenConnection

T = TypeVar("T")
Work = Callable[[Connection], T]

MAX_GROUP = 64
ATTEMPTS = 25
_PAUSE_S, _MAX_PAUSE_S = 0.002, 0.2


@dataclass(slots=True)
class _Job:
    work: Work[None]
    future: asyncio.Future[None]
    error: BaseException | None = None


class _Part:
    """Runs one job inside a savepoint; what the job raises is handed to its caller, not to the group."""

    def __init__(self, connection: OpenConnection, job: _Job, *, alone: bool) -> None:
        """`alone` in its transaction, it needs no savepoint."""
        self._connection, self._job, self._alone = connection, job, alone

    def __enter__(self) -> None:
        if not self._alone:
            self._connection.execute("SAVEPOINT job")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            if not self._alone:
                self._connection.execute("RELEASE job")
            return False
        if isinstance(error, Collision | Away) or not self._connection.in_transaction:
            # SQLite has rolled everything back by itself (disk full, I/O error): the whole group is lost.
            return False
        if self._alone:
            self._connection.execute("ROLLBACK")
        else:
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
        self._job.error = StoreError(f"the database refused: {error}") if isinstance(error, sqlite3.Error) else error
        return True


class Writer:
    """What writes. `submit` may be called from one event loop only, the one that runs when it is made."""

    def __init__(self, engine: Engine, threads: int | None = None) -> None:
        """Opens the database. Raises StoreError."""
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._most = 1 if engine.is_shared else MAX_GROUP
        opened: Future[OpenConnection] = Future()
        self._threads = [
            threading.Thread(target=self._run, args=(given,), name="hub-writer", daemon=True)
            for given in (opened, *[None] * ((threads or engine.writers) - 1))
        ]
        started = 0
        try:
            for thread in self._threads:
                thread.start()
                started += 1
            opened.result()
        except (StoreError, RuntimeError):
            self._threads = self._threads[:started]
            self.close()
            raise

    async def submit(self, work: Work[T]) -> T:
        """The result of `work`, durable. A caller that is cancelled meanwhile knows nothing about the outcome.

        Raises:
            StoreError: the database failed; nothing of `work` was stored.
            Whatever `work` raises: its changes were undone.
        """
        if not any(thread.is_alive() for thread in self._threads):
            raise StoreError("the writer has ended")
        result: list[T] = []

        def once(connection: Connection) -> None:
            result[:] = [work(connection)]

        job = _Job(once, self._loop.create_future())
        self._queue.put(job)
        await job.future
        return result[0]

    def close(self) -> None:
        """Commit what waits, close the connections, end the threads; blocks until done."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, opened: Future[OpenConnection] | None) -> None:
        """Do what comes. The first thread opens the database for whoever made the writer."""
        connection: OpenConnection | None = None
        if opened is not None:
            try:
                connection = self._engine.open_writer()
            except StoreError as error:
                opened.set_exception(error)
                return
            opened.set_result(connection)
        try:
            open_ = True
            while open_:
                group, open_ = self._next_group()
                if group:
                    connection = self._commit_again(connection, group)
                    self._loop.call_soon_threadsafe(_resolve, group)
        finally:
            if connection is not None:
                connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Whoever waits, at least one, and whether to go on after them."""
        first = self._queue.get()
        if first is None:
            return [], False
        group = [first]
        while len(group) < self._most and not self._queue.empty():
            job = self._queue.get()
            if job is None:
                return group, False
            group.append(job)
        return group, True

    def _commit_again(self, connection: OpenConnection | None, group: Sequence[_Job]) -> OpenConnection | None:
        """Commit a group, rule 4; the connection to go on with."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                connection = connection or self._engine.open_writer()
                self._commit(connection, group)
                return connection
            except Collision as error:
                if connection is None or attempt == ATTEMPTS:
                    failure: StoreError = error
                    break
            except (sqlite3.Error, StoreError) as error:
                failure = Away(str(error)) if isinstance(error, Away) else StoreError(f"nothing was stored: {error}")
                break
            _undo(connection)
            time.sleep(random.uniform(0, min(_MAX_PAUSE_S, _PAUSE_S * 2**attempt)))
        for job in group:
            job.error = job.error or failure
        if connection is not None:
            connection.close()
        return None

    def _commit(self, connection: OpenConnection, group: Sequence[_Job]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for job in group:
            with _Part(connection, job, alone=self._most == 1):
                job.work(connection)
        if connection.in_transaction:
            connection.execute("COMMIT")


def _undo(connection: OpenConnection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _resolve(group: Sequence[_Job]) -> None:
    for job in group:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(None)
