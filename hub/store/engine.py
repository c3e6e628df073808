"""What statements run on: one connection of either engine, SQLite or PostgreSQL, inside a transaction.

Rules
1. A function of this room takes a `Connection` and never asks which engine is behind it.
2. Statements are written once, in what both engines read: `?` for a value, `ON CONFLICT (columns) DO ...` with its
   columns named, `RETURNING`, `coalesce`, `CASE`; no `INSERT OR`, `ifnull`, `iif`, `json_*`, `rowid`, `PRAGMA`, and no
   scalar `max(a, b)`. Text is compared as it is stored: whoever compares without case stores a key for it.
3. Tables are made of TEXT, INTEGER (64 bits), BLOB and `INTEGER PRIMARY KEY` (numbered by the engine, rising). Instants
   are RFC 3339 text with microseconds in UTC, so that their order is that of the text; money and energy are decimal
   text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = str | int | bytes | None
"""What a statement may be given, and what a row holds."""


class Rows(Protocol):
    """What a statement found, row by row in its order."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """The next row as a tuple, None after the last."""

    def fetchall(self) -> list[Any]:
        """The rows that are left, as tuples."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection, in a transaction that whoever lent it will commit. `sqlite3.Connection` is one as it is."""

    def execute(self, sql: str, parameters: Sequence[Value] = (), /) -> Rows:
        """What the statement finds. Raises the engine's error (hub.store.writer makes a StoreError of it)."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Value]], /) -> Rows:
        """Run the statement once for each sequence of values."""
