"""SQLite connections with their settings set on every open and read back: a mismatch refuses to run.

WAL with synchronous=FULL: an acknowledged row survives a power loss (NORMAL loses the last commits). Both are asked
for again after setting, because `synchronous` is not stored in the file and `journal_mode` may silently be refused.
With secure_delete what is let go is overwritten with zeros in the file, and does not stay in its free pages.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hub.errors import StoreError
from hub.store.schema import MIGRATIONS
from hub.store.shape import reshape_records
from hub.store.tree import build_missing

FILE_NAME = "hub.sqlite"
_BUSY_MS = 10_000
_REQUIRED: dict[str, int | str] = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


@dataclass(frozen=True, slots=True)
class SQLite:
    """The database in one file: one process has it, one connection writes. `hub.store.engine.Engine`."""

    path: Path
    writers: ClassVar[int] = 1
    readers: ClassVar[int] = 2
    is_shared: ClassVar[bool] = False

    def open_writer(self) -> sqlite3.Connection:
        """See `open_writer`."""
        return open_writer(self.path)

    def open_reader(self) -> sqlite3.Connection:
        """See `open_reader`."""
        return open_reader(self.path)

    def open_intake(self) -> None:
        """None: the writer takes batches in."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Nobody else writes."""

    def empty_log(self) -> bool:
        """See `empty_log`."""
        return empty_log(self.path)


def open_writer(path: Path) -> sqlite3.Connection:
    """The one read-write connection, its tables brought to the newest version. A new file has mode 0600.

    Raises:
        StoreError: not a database, a version newer than this program, or a setting that does not hold.
    """
    try:
        # SQLite would make the file by the umask; its log files take their mode from it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA journal_size_limit=8388608")
        for name, required in _REQUIRED.items():
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != required:
                raise StoreError(f"{path}: PRAGMA {name} is {found!r}, it must be {required!r}")
        # A flush may have failed before: what the log still shows then is in the kernel's memory only, never to be
        # written. A power cut would take it, and with it all that is added behind; so the log is emptied first.
        if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise StoreError(f"{path}: is being read for longer than {_BUSY_MS // 1000} s; try again once that is over")
        _migrate(connection, path)
        reshape_records(connection)
        build_missing(connection)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: cannot be used: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection; it never checkpoints. May be used by one thread at a time.

    Raises:
        StoreError: there is no database at `path`, or it is of another version than this program's.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no database there yet; `pnc-hub run` makes it")
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_MS / 1000,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if version != len(MIGRATIONS):
        connection.close()
        raise StoreError(f"{path}: tables of version {version}, this program reads {len(MIGRATIONS)}")
    return connection


def empty_log(path: Path) -> bool:
    """Write what stands in the write-ahead log into the database and cut the log to nothing; False when a reader keeps
    it from that. Beside the writer, from any thread.

    Raises:
        StoreError: the database cannot be used.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000)) as connection:
            busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be used: {error}") from error
    return busy == 0


def compact(path: Path) -> None:
    """Write the database anew without its free pages, in which an earlier version may have left what was deleted, and
    its records in the shape of this one. Takes
    as much room again, and minutes for gigabytes; no hub may run.

    Raises:
        StoreError: the database cannot be used.
    """
    try:
        with closing(open_writer(path)) as connection:
            reshape_records(connection, None)
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be written anew: {error}") from error
    empty_log(path)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(f"{path}: tables of version {version}, this program knows up to {len(MIGRATIONS)}")
    for number in range(version, len(MIGRATIONS)):
        script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
