"""Opening a SQLite file so that an acknowledged record survives a power cut, and refusing to run when it would not.

Rules
1. WAL with synchronous=FULL, set on every open and read back: NORMAL loses the last commits at a power cut.
2. One connection writes; readers open the file read-only. No second process may open a live store read-write.
3. The schema has a version. A newer one than this program knows is refused, an older one is brought up step by step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import StoreError

_BUSY_TIMEOUT_S = 5.0


def open_writer(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    """The one read-write connection to `path`, its schema brought to `len(migrations)`.

    Raises:
        StoreError: the file is no SQLite database, its schema is newer, or the durability settings do not hold.
    """
    existed = path.exists()
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        if not existed:
            path.chmod(0o600)
        _make_durable(connection, path)
        _migrate(connection, path, migrations)
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
    if mode != "wal" or synchronous != 2:
        message = f"{path}: journal_mode is {mode}, synchronous is {synchronous}; durability needs wal and 2 (FULL)"
        raise StoreError(message)


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


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        message = f"{path}: schema version {version} is newer than this program's {len(migrations)}; update the gateway"
        raise StoreError(message)
    for number in range(version, len(migrations)):
        script = f"BEGIN IMMEDIATE; {migrations[number]} PRAGMA user_version={number + 1}; COMMIT;"
        connection.executescript(script)
