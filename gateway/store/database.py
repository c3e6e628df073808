"""Opening a SQLite file so that an acknowledged record survives a power cut, and refusing to run when it would not.

Rules
1. WAL with synchronous=FULL, set on every open and read back: NORMAL loses the last commits at a power cut.
2. One connection writes; readers open the file read-only. No second process may open a live store read-write.
3. Where a file has a budget, it is set on every open and read back. It does not bound the write-ahead log.
4. The schema has a version. A newer one than this program knows is refused, an older one is brought up step by step.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreError

_BUSY_TIMEOUT_S = 5.0


class StoreBusy(StoreError):
    """Raised when another program reads the file for too long; it is as it was."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a store holds: its name for messages, the number that marks its file as ours (SQLite application_id), and
    the steps from an empty file to the present tables."""

    name: str
    application_id: int
    migrations: tuple[str, ...]


def open_writer(
    path: Path,
    schema: Schema,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
    max_pages: int | None = None,
    own_pages: int = 0,
) -> sqlite3.Connection:
    """The one read-write connection to `path`, its tables brought up to the schema's last step. `max_pages`: how long
    the file may become, in pages; one that is longer already may only grow as far as `own_pages` of it are free.

    Raises:
        StoreError: the file is another program's or another store, its schema is newer, or the durability settings do
            not hold; the file is left as it was.
    """
    existed = path.exists()
    try:
        connection = sqlite3.connect(
            path,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=factory,
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        if not existed:
            path.chmod(0o600)
        _require_own(connection, path, schema)
        _make_durable(connection, path)
        _settle(connection, path)
        _migrate(connection, path, schema)
        if max_pages is not None:
            _bound(connection, path, max_pages, own_pages)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}; if the file is damaged, move it aside and keep it") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _make_durable(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous=FULL")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    connection.execute("PRAGMA journal_size_limit=8388608")
    connection.execute("PRAGMA foreign_keys=ON")
    # What records said is let go for good: otherwise the free pages of the file keep it, unless SQLite was built so.
    connection.execute("PRAGMA secure_delete=ON")
    if mode != "wal" or synchronous != 2:
        message = f"{path}: journal_mode is {mode}, synchronous is {synchronous}; durability needs wal and 2 (FULL)"
        raise StoreError(message)


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    """Rule 4."""
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise StoreBusy(f"{path}: another program reads it for longer than {_BUSY_TIMEOUT_S:g} s; end that one first")


def _bound(connection: sqlite3.Connection, path: Path, max_pages: int, own_pages: int) -> None:
    """SQLite does not keep the bound in the file, so it is set on every open, and read back."""
    count, spare = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    wanted = max(max_pages, count, count - spare + own_pages)
    bound = connection.execute(f"PRAGMA max_page_count={wanted:d}").fetchone()[0]
    if bound != wanted:
        raise StoreError(f"{path}: max_page_count is {bound}, not {wanted}; the file could outgrow its budget")


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing store; the daemon may be running.

    Raises:
        StoreError: there is no such database, or it cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such store; has the gateway ever run with this configuration?")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}") from error
    return connection


def _require_own(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Return if the file is empty or this very store. Nothing has been written yet."""
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = mark == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if mark != schema.application_id and not empty:
        raise StoreError(f"{path}: not a gateway's {schema.name}")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version, newest = connection.execute("PRAGMA user_version").fetchone()[0], len(schema.migrations)
    if version > newest:
        message = f"{path}: schema version {version} is newer than this program's {newest}; update the gateway"
        raise StoreError(message)
    for number in range(version, newest):
        marks = f"PRAGMA user_version={number + 1}; PRAGMA application_id={schema.application_id};"
        script = f"BEGIN IMMEDIATE; {schema.migrations[number]} {marks} COMMIT;"
        connection.executescript(script)
