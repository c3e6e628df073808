"""The hub's database for its servers: writes go to the one writer, reads to read-only connections in two threads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hub.errors import StoreError
from hub.store import ledger, readings, whitelist
from hub.store.connection import FILE_NAME, open_reader
from hub.store.ledger import Chain, Conflict, Position
from hub.store.writer import Writer
from hub.terms import Terms
from wire.chain import Record
from wire.records import Token

T = TypeVar("T")
_READERS = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment of the hub, for one chain: its position, the hashes held from the record before the asked one up to
    there (of at most one batch more than a batch can name), and the version of the token list."""

    position: Position
    held: dict[int, str]
    whitelist_version: int


class Database:
    """Everything the hub remembers. Made inside the event loop that uses it; `close` ends it."""

    def __init__(self, state_dir: Path, terms: Terms) -> None:
        """Open or create the database in `state_dir` (mode 0700) and take its lock.

        Raises:
            StoreError: another hub runs on this folder, or the database cannot be used.
        """
        self.terms = terms
        self._path = state_dir / FILE_NAME
        self._lock = lock_state(state_dir)
        try:
            self._writer = Writer(self._path)
        except (StoreError, RuntimeError):  # RuntimeError: no further thread can be started
            os.close(self._lock)
            raise
        self._readers = ThreadPoolExecutor(_READERS, "hub-reader")
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []

    async def close(self) -> None:
        """Commit what waits and close everything."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        for connection in self._open:
            connection.close()
        self._writer.close()
        os.close(self._lock)

    async def read(self, reading: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `reading`, which sees one moment of the database.

        Raises:
            StoreError: the database cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, reading)

    def _read(self, reading: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = open_reader(self._path)
                self._open.append(connection)
                self._local.connection = connection
            connection.execute("BEGIN")
            try:
                return reading(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read: {error}") from error

    async def standing(self, chain: Chain, first_seq: int) -> Standing:
        """Where the hub stands, as far as it matters to a gateway that speaks of its record `first_seq`."""

        def all_of_it(connection: sqlite3.Connection) -> Standing:
            position = ledger.position_of(connection, chain)
            last = min(position.seq, first_seq + readings.MAX_PAGE)
            held = readings.hashes(connection, chain, first_seq - 1, last)
            return Standing(position, held, whitelist.list_version(connection))

        return await self.read(all_of_it)

    async def append(self, chain: Chain, judged_at: Position, records: Sequence[Record], at: datetime) -> None:
        """Store judged records and what follows from them; returns after COMMIT.

        Raises:
            StalePosition: the chain has moved since; judge again.
            StoreError: nothing was stored.
        """
        await self._writer.submit(
            lambda connection: ledger.append(connection, chain, judged_at, records, at, self.terms)
        )

    async def note_seen(self, chain: Chain, at: datetime, conflict: Conflict | None = None) -> None:
        """Note that a gateway spoke, and what it said that contradicts the books. Raises StoreError."""

        def both(connection: sqlite3.Connection) -> None:
            ledger.note_seen(connection, chain, at)
            if conflict is not None:
                ledger.note_conflict(connection, chain, conflict, at)

        await self._writer.submit(both)

    async def put_tokens(self, tokens: Sequence[Token], at: datetime) -> int:
        """Insert or replace tokens; the version of the list after it. Raises StoreError."""
        return await self._writer.submit(lambda connection: whitelist.put_tokens(connection, tokens, at))

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, once it is durable. Raises StoreError; whatever `work` raises, undone."""
        return await self._writer.submit(work)

    async def probe(self) -> None:
        """Return when the writer has committed an empty transaction. Raises StoreError."""
        await self._writer.submit(lambda connection: None)


def lock_state(state_dir: Path) -> int:
    """A lock on the folder, held until closed: two writers in one WAL database may corrupt it.

    Raises:
        StoreError: `already-running` when another process holds it; or the folder cannot be used.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{state_dir}: cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{state_dir}: another hub runs on this folder", "already-running") from error
    return descriptor
