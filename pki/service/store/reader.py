"""A look at a store from beside its writer: never blocked by it, never blocking it, always at the last commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pki.errors import StateError


class StoreReader:
    """A read-only connection of one thread. Each question sees all that was committed before it, by whichever process.
    `close` it."""

    def __init__(self, path: Path) -> None:
        """Raises StateError when the store cannot be opened."""
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise StateError("state-unusable", f"{path}: {error}") from error
        self._path = path

    def change(self) -> int:
        """A number that is another one after every commit. About 20 us: it asks the file system.

        Raises:
            StateError: "state-unusable".
        """
        with self.reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for questions.

        Raises:
            StateError: "state-unusable".
        """
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise StateError("state-unusable", f"{self._path}: cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
