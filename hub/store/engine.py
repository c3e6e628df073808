"""What statements run on: one connection of either engine, SQLite or PostgreSQL, inside a transaction.

Rules
1. A function of this room takes a `Connection` and never asks which engine is behind it.
2. Statements are written once, in what both engines read: `?` for a value (`?1` in a statement that says one more than
   once), `ON CONFLICT DO NOTHING`, `ON CONFLICT (columns) DO UPDATE`, `RETURNING`, `coalesce`, `CASE`; no `INSERT OR`,
   `ifnull`, `iif`, `json_*`, `rowid`, `PRAGMA`, no `IS ?`, and no scalar `max(a, b)`. Text is compared as it is stored:
   whoever compares without case stores a key for it.
3. Tables are made of TEXT, INTEGER (64 bits), BLOB and `INTEGER PRIMARY KEY` (numbered by the engine, rising). Instants
   are RFC 3339 text with microseconds in UTC, so that their order is that of the text; money and energy are decimal
   text.
4. `BEGIN IMMEDIATE` begins a transaction that may write and sees the database as if it were alone in it; `BEGIN` one
   that reads one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from hub.errors import StoreError

if TYPE_CHECKING:
    from hub.store.intake import Intake

Value: TypeAlias = str | int | bytes | None
"""What a statement may be given, and what a row holds."""


class Collision(StoreError):
    """Raised when a transaction met another one that wrote what it had read: undone, to be run again from its start."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "store-collision")


class Away(StoreError):
    """Raised when the database cannot be reached: nothing is known to be stored; ask again later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "store-away")


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


class OpenConnection(Connection, Protocol):
    """A connection for whoever opened it, one thread at a time."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and has not ended, be it that it failed."""

    def close(self) -> None:
        """Undo what is not committed and end the connection."""


class Engine(Protocol):
    """A database: where it is, and how it is opened."""

    @property
    def writers(self) -> int:
        """How many connections of one process may write at the same time."""

    @property
    def readers(self) -> int:
        """How many connections of one process read at the same time."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it meanwhile."""

    def open_writer(self) -> OpenConnection:
        """A connection that may write, the tables brought to the newest version. Raises StoreError."""

    def open_reader(self) -> OpenConnection:
        """A connection that only reads. Raises StoreError."""

    def open_intake(self) -> Intake | None:
        """What takes batches in for the running loop, evidence first; None where the writer does."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with what other processes' transactions did (`command GATEWAY`, `report COMMAND`, `erased`), and
        with "" when some of that may have been missed; for ever. Comes back at once where there are no others."""

    def empty_log(self) -> bool:
        """Cut what the engine keeps of deleted content in its log to nothing, as far as it can; False when a reader
        keeps it from that. Raises StoreError."""
