"""The hub's database for its servers: writes go to the one writer, reads to read-only connections in two threads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from hub.errors import StoreError
from hub.store import announced, epochs, heads, ledger, readings, tree, whitelist
from hub.store.connection import FILE_NAME, SQLite
from hub.store.derivation import Derivation, Told
from hub.store.deriving import Appended
from hub.store.engine import Away, Connection, Engine, OpenConnection
from hub.store.heads import KeptHead
from hub.store.ledger import Chain, Conflict, Position
from hub.store.registry import Report, note_report
from hub.store.writer import Writer
from hub.tree import Growth, LogStanding
from wire.chain import Record
from wire.merkle import ProofError
from wire.records import Token
from wire.settling.terms import Terms
from wire.sync_messages import Welcome
from wire.tombstone import Superseded

T = TypeVar("T")
Tell = Callable[[Chain, Appended], None]
NOTED_EVERY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment of the hub, for one chain: its position, the hashes held from the record before the asked one up to
    there (of at most one batch more than a batch can name), the version of the token list, the log, and the head kept
    of the chain as it ended with the asked records."""

    position: Position
    held: dict[int, str]
    whitelist_version: int
    log: LogStanding
    head: KeptHead | None
    closed_by: str | None = None
    """The epoch that continues this one, so that nothing is taken for it any more."""


class Database:
    """Everything the hub remembers. Made inside the event loop that uses it; `close` ends it."""

    def __init__(
        self,
        state_dir: Path,
        terms: Terms,
        engine: Engine | None = None,
        tell: Tell | None = None,
        told: Told | None = None,
    ) -> None:
        """Open or create the database: without an engine the file in `state_dir` (mode 0700), whose lock is taken.
        Where records are taken into the books after they were acknowledged, this process does it, and `tell` hears what
        is news about them; or whoever is at the end of `told` does.

        Raises:
            StoreError: another hub runs on this folder, or the database cannot be used.
        """
        self.terms, self.state_dir = terms, state_dir
        self.engine = engine = SQLite(state_dir / FILE_NAME) if engine is None else engine
        self._lock = None if engine.is_shared else lock_state(state_dir)
        self._intake = engine.open_intake()
        with ExitStack() as undone:
            if self._lock is not None:
                undone.callback(os.close, self._lock)
            self._writer = Writer(engine)
            undone.callback(self._writer.close)
            self._derivation = None if self._intake is None else told or Derivation(engine, terms, tell)
            undone.pop_all()
        self._readers = ThreadPoolExecutor(engine.readers, "hub-reader")
        self._local = threading.local()
        self._open: list[OpenConnection] = []

    async def close(self) -> None:
        """Commit what waits and close everything."""
        if self._derivation is not None:
            await self._derivation.close()
        if self._intake is not None:
            await self._intake.close()
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        for connection in self._open:
            connection.close()
        self._writer.close()
        if self._lock is not None:
            os.close(self._lock)

    async def read(self, reading: Callable[[Connection], T]) -> T:
        """The result of `reading`, which sees one moment of the database.

        Raises:
            StoreError: the database cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, reading)

    def _read(self, reading: Callable[[Connection], T]) -> T:
        connection: OpenConnection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self.engine.open_reader()
                self._open.append(connection)
                self._local.connection = connection
            connection.execute("BEGIN")
            try:
                return reading(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except Away:
            # A connection that is lost is not asked again.
            if connection is not None:
                self._open.remove(connection)
                self._local.connection = None
                connection.close()
            raise
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot be read: {error}") from error

    async def standing(self, chain: Chain, first_seq: int, count: int = 0) -> Standing:
        """Where the hub stands, as far as it matters to a gateway that speaks of `count` records from `first_seq` on.

        Raises:
            StoreError: the database cannot be read, or records or tiles are missing in it.
        """

        if self._intake is not None and count:
            following = await self._intake.standing(chain, first_seq)
            if following is not None:
                position = following.position
                held = {position.seq: position.hash} if position.seq else {}
                return Standing(position, held, following.whitelist_version, following.log, None)

        def all_of_it(connection: Connection) -> Standing:
            position = ledger.position_of(connection, chain)
            last = min(position.seq, first_seq + readings.MAX_PAGE)
            held = readings.hashes(connection, chain, first_seq - 1, last)
            last_seq = first_seq + count - 1 if count else 0
            log = tree.log_standing(connection, chain, first_seq if count else 0, last_seq)
            head = heads.head_of_size(connection, chain, last_seq) if 0 < last_seq <= position.seq else None
            closed_by = epochs.closer_of(connection, chain)
            return Standing(position, held, whitelist.list_version(connection), log, head, closed_by)

        try:
            return await self.read(all_of_it)
        except ProofError as error:
            raise StoreError(f"gateway {chain.gateway_id}, epoch {chain.epoch}: {error}") from error

    async def append(
        self,
        chain: Chain,
        judged_at: Position,
        records: Sequence[Record],
        growth: Growth,
        head: KeptHead | None,
        at: datetime,
    ) -> Appended:
        """Store judged records and what follows from them, the log as they make it grow, and the head that came with
        them; returns after COMMIT. Where batches are taken in evidence first, what follows is derived afterwards.

        Raises:
            StalePosition: the chain has moved since, or got another log key; judge again.
            StoreError: nothing was stored.
        """

        if self._intake is not None and self._derivation is not None and records:
            if judged_at.seq == 0:
                await self.note_seen(chain, at)  # The row of a chain that never greeted.
            await self._intake.append(chain, judged_at, records, growth, head, at)
            self._derivation.wake(chain.gateway_id)
            return Appended()

        def all_of_it(connection: Connection) -> Appended:
            quarantined = ledger.append(connection, chain, judged_at, records, at, self.terms)
            differing = announced.settle(connection, chain, records, at)
            if records:
                tree.save_growth(connection, chain, growth)
            if head is not None:
                tree.pin_log_key(connection, chain, head.signed.public_key)
                heads.save_head(connection, head)
            return Appended(quarantined, differing)

        return await self._writer.submit(all_of_it)

    async def note_seen(
        self, chain: Chain, at: datetime, conflict: Conflict | None = None, report: Report | None = None
    ) -> None:
        """Note that a gateway spoke, what it said that contradicts the books, and with a greeting what it says of
        itself. Raises StoreError."""

        def both(connection: Connection) -> None:
            ledger.note_seen(connection, chain, at, 0 if report is None else report.head_seq)
            if conflict is not None:
                ledger.note_conflict(connection, chain, conflict, at)
            if report is not None:
                note_report(connection, chain, report, at)

        await self._writer.submit(both)

    async def note_alive(self, chain: Chain, at: datetime) -> bool:
        """Note that a gateway spoke, if that is not known of the last NOTED_EVERY: two boxes with one identity end each
        other's polls at the pace of the network. False, and nothing noted, for a chain that never greeted or is closed.

        Raises:
            StoreError: the database cannot be read or written.
        """

        def seen(connection: Connection) -> datetime | None:
            return None if epochs.closer_of(connection, chain) is not None else ledger.last_seen(connection, chain)

        last = await self.read(seen)
        if last is not None and abs(at - last) >= NOTED_EVERY:
            await self.note_seen(chain, at)
        return last is not None

    async def welcome(self, chain: Chain) -> Welcome | None:
        """Where the hub stands, as a greeting is told; None for a chain that is closed. Raises StoreError."""

        def all_of_it(connection: Connection) -> Welcome | None:
            if epochs.closer_of(connection, chain) is not None:
                return None
            position, version = ledger.position_of(connection, chain), whitelist.list_version(connection)
            return Welcome(acked_seq=position.seq, acked_hash=position.hash, whitelist_version=version)

        return await self.read(all_of_it)

    async def supersede(self, chain: Chain, earlier: Superseded, at: datetime) -> Conflict | None:
        """Close the epoch that `chain` continues; what is in doubt about it. Raises StoreError."""

        def all_of_it(connection: Connection) -> Conflict | None:
            ledger.note_seen(connection, chain, at)
            return epochs.supersede(connection, chain, earlier, at)

        return await self._writer.submit(all_of_it)

    async def put_tokens(self, tokens: Sequence[Token], at: datetime) -> int:
        """Insert or replace tokens; the version of the list after it. Raises StoreError."""
        return await self._writer.submit(lambda connection: whitelist.put_tokens(connection, tokens, at))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, once it is durable. Raises StoreError; whatever `work` raises, undone."""
        return await self._writer.submit(work)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with what other processes did; for ever, where there are any (hub.store.engine)."""
        await self.engine.listen(heard)

    async def empty_log(self) -> bool:
        """Cut the write-ahead log to nothing, in which what was let go still stands; False when a reader keeps it from
        that. Raises StoreError."""
        return await asyncio.get_running_loop().run_in_executor(None, self.engine.empty_log)

    async def probe(self) -> None:
        """Return when the writer has committed an empty transaction. Raises StoreError."""
        await self._writer.submit(lambda connection: None)


@contextmanager
def state_locked(state_dir: Path) -> Iterator[None]:
    """The hub's lock for a command that works while no hub runs. Raises StoreError (`already-running`)."""
    descriptor = lock_state(state_dir)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_state(state_dir: Path) -> int:
    """A lock on the folder, held until closed: two writers in one WAL database may corrupt it.

    Raises:
        StoreError: `already-running`, or the folder cannot be used.
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
        raise StoreError(f"{state_dir}: another hub runs on this folder; stop it first", "already-running") from error
    return descriptor
