"""Opening a SQLite file of the service.

Rules of this file
1. WAL with synchronous=FULL, set on every open and read back: a certificate that was handed out must be in the file.
2. The file is its owner's only (0600), and marked as ours, so that no other file is taken for it or overwritten.
3. The schema has a version. A newer one than this program knows is refused, an older one is brought up step by step.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pki.errors import StateError

_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file holds: its name for messages, the number that marks it (SQLite application_id), and the steps from an
    empty file to the present tables."""

    name: str
    application_id: int
    migrations: tuple[str, ...]


def open_database(path: Path, schema: Schema, *, create: bool = False) -> sqlite3.Connection:
    """A read-write connection to the store at `path`, brought up to the schema's last step; transactions are begun by
    the caller. Made when it is missing and `create` is given.

    Raises:
        StateError: "state-missing"; "state-unusable": another program's file, a newer schema, damaged, or the settings
            for durability do not hold; the file is left as it was.
    """
    if create:
        _create_private(path)
    elif not path.is_file():
        what = "restore a backup" if path.parent.is_dir() else "`pnc-pki init` makes the state folder"
        raise StateError("state-missing", f"{path}: no such file; {what}")
    elif path.stat().st_size == 0:
        raise StateError("state-unusable", f"{path}: empty; restore a backup, and keep this file")
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StateError("state-unusable", f"{path}: {error}") from error
    try:
        _require_own(connection, path, schema)
        _make_durable(connection, path)
        _migrate(connection, path, schema)
    except sqlite3.Error as error:
        connection.close()
        raise StateError("state-unusable", f"{path}: {error}; restore a backup, and keep this file") from error
    except StateError:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing: committed and on the disk when the block ends.

    Raises:
        StateError: "state-unusable": it could not be committed, and is rolled back.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StateError("state-unusable", f"the registry could not be written: {error}") from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """The same within a transaction: what is written inside is part of it, or gone when the block raises.

    Raises:
        StateError: "state-unusable": it could not be written.
    """
    done = False
    try:
        connection.execute("SAVEPOINT act")
        yield
        done = True
    except sqlite3.Error as error:
        raise StateError("state-unusable", f"the registry could not be written: {error}") from error
    finally:
        # A full disk may have ended the whole transaction already.
        if connection.in_transaction:
            if not done:
                connection.execute("ROLLBACK TO act")
            connection.execute("RELEASE act")


def copy_database(path: Path, into: Path) -> None:
    """Copy a store, which may be in use, in one consistent state to the new file `into`.

    Raises:
        StateError: "state-unusable".
    """
    _create_private(into)
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(into)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise StateError("state-unusable", f"{path}: {error}") from error


def _create_private(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError("state-unusable", f"{path}: {error.strerror}") from error
    os.close(descriptor)


def _require_own(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = mark == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if mark != schema.application_id and not empty:
        raise StateError("state-unusable", f"{path}: not a {schema.name}")


def _make_durable(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or synchronous != 2:
        raise StateError("state-unusable", f"{path}: durability needs WAL and FULL, found {mode} and {synchronous}")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version, newest = connection.execute("PRAGMA user_version").fetchone()[0], len(schema.migrations)
    if version > newest:
        found = f"{path}: schema version {version} is newer than this program's {newest}; update the program"
        raise StateError("state-unusable", found)
    for number in range(version, newest):
        marks = f"PRAGMA user_version={number + 1}; PRAGMA application_id={schema.application_id};"
        connection.executescript(f"BEGIN IMMEDIATE; {schema.migrations[number]} {marks} COMMIT;")
