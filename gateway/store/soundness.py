"""Whether a ledger is damaged: a short look before it is opened, and the whole of it in slices beside the stations.

Rules
1. Damage is what SQLite calls malformed, and a chain of records that does not hold. A file that cannot be reached, is
   full or busy is not damaged: it is opened again until it can be.
2. The look at the start is bounded: header, schema, an entry of each table, and the newest NEWEST records by their
   hashes. A flipped bit in a record is found by nothing but its hash: SQLite keeps no checksums.
3. The slow look reads every row of every table, a slice at a time, with no transaction open in between.
4. An altered record that the hub has acknowledged is told and left alone: the true one is at the hub. One that cannot
   be found is not: no head is signed over what is not there, and the hub takes no batch without one.

Source: design of this project.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreError
from gateway.store.database import open_reader
from gateway.store.rows import KeptRow, RowHash, as_hash, rows_between
from gateway.store.segments import dropped, hash_before
from wire.chain import GENESIS_HASH

NEWEST = 2000
"""Records that are looked at before the start; about 40 ms."""
SLICE = 256
_WITH_TREE = 3
"""The schema version since which records have commitments; an older store is brought up to date first."""
_NO_TEXT = "Could not decode to UTF-8"
"""What Python says of text that is none: it was written as text, so that it was altered since."""
_SIGNS = ("database disk image is malformed", "file is not a database", _NO_TEXT)


@dataclass(frozen=True, slots=True)
class Fault:
    """What was found. `ends_epoch`: the store cannot go on as it is."""

    message: str
    ends_epoch: bool


def is_damage(error: BaseException | None) -> bool:
    """Whether an error of SQLite means that the file is damaged."""
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(_NO_TEXT):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def says_damage(text: str | None) -> bool:
    """Whether the message of a commit that failed means that the file is damaged."""
    return text is not None and any(sign in text for sign in _SIGNS)


def find_damage(path: Path, application_id: int) -> str | None:
    """What is wrong with the ledger at `path`, None when the short look finds nothing, or no ledger at all.

    Reads at most NEWEST records: some 50 ms. Raises StoreError when the file cannot be read for another reason.
    """
    try:
        with closing(open_reader(path)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != application_id:
                return None
            return _short_look(connection)
    except StoreError as error:
        if is_damage(error.__cause__):
            return str(error.__cause__)
        raise
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise StoreError(f"{path}: {error}") from error


def _short_look(connection: sqlite3.Connection) -> str | None:
    for table in tables_of(connection):
        connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()
    if connection.execute("PRAGMA user_version").fetchone()[0] < _WITH_TREE:
        return None
    owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    if owner is None:
        return None
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    walk = ChainWalk(RowHash(*owner))
    rows = rows_between(connection, last - NEWEST - 1, last, NEWEST + 1)
    for row in rows:
        if not walk.fits(row):
            return f"record {row.seq} does not fit its hash, or the record before it"
    return None if not last or (rows and rows[-1].seq == last) else _not_found(rows[-1].seq if rows else 0, last)


def _not_found(after: int, last: int) -> str:
    return f"records {after + 1} to {last} cannot be found"


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """The names of the tables. Raises sqlite3.Error."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [row[0] for row in rows.fetchall()]


class ChainWalk:
    """Goes over rows in order and says of each whether it is the next one and its hash covers it and the hash before.
    `before`: the hash that the first one stands on, nothing where it is not known: of that row, unless it is record 1,
    only that it has a hash is looked at then."""

    def __init__(self, hashes: RowHash, before: bytes = b"") -> None:
        self._hashes, self._before = hashes, before
        self._seq: int | None = None

    def fits(self, row: KeptRow) -> bool:
        """Look at the next row; the one after is judged by what this one has as its hash."""
        before, kept, is_next = self._before, as_hash(row.hash), self._seq in (None, row.seq - 1)
        if row.seq == 1:
            before = bytes.fromhex(GENESIS_HASH)
        is_unknown = self._seq is None and not before
        self._before, self._seq = kept, row.seq
        return is_next and bool(kept) and (is_unknown or self._hashes.of(row, before) == kept)


def inspect(path: Path) -> Generator[Fault | None]:
    """The slow look: one item after each slice, a Fault for what was found and None where all is well. Each item costs
    a few milliseconds, about 10 us a record. Raises StoreError when the file cannot be read for another reason than
    damage."""
    try:
        with closing(open_reader(path)) as connection:
            yield from _chain(connection)
            for table in tables_of(connection):
                if table in _LARGE:
                    for _ in slices(connection, table, _LARGE[table], "1"):
                        yield None
                elif table != "records":
                    yield _checked(connection, table)
    except StoreError as error:
        if not is_damage(error.__cause__):
            raise
        yield Fault(str(error.__cause__), ends_epoch=True)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise StoreError(f"{path}: {error}") from error
        yield Fault(str(error), ends_epoch=True)


_LARGE = {"seen": ("bucket", "key"), "tiles": ("level", "number")}
"""Tables that grow with the records, read by their keys; the others are small enough for one statement."""


def _chain(connection: sqlite3.Connection) -> Iterator[Fault | None]:
    """The records that the hub does not have, then the others."""
    owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    (acked,) = connection.execute("SELECT acked_seq FROM position").fetchone()
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    for first, until in ((acked, last), (0, acked)):
        walk, after = ChainWalk(RowHash(*owner), hash_before(connection, first + 1)), first
        while rows := rows_between(connection, after, until, SLICE):
            bad = next((row for row in rows if not walk.fits(row)), None)
            if bad is not None:
                message = f"record {bad.seq} does not fit its hash, or the record before it"
                yield Fault(message, ends_epoch=bad.seq > acked)
                break
            yield None
            after = rows[-1].seq
        else:
            after = max(after, dropped(connection).seq)  # Which may be more than when this began.
            if after < until:
                yield Fault(_not_found(after, until), ends_epoch=True)


def _checked(connection: sqlite3.Connection, table: str) -> Fault | None:
    found = [row[0] for row in connection.execute(f'PRAGMA quick_check("{table}")').fetchall()]
    for _ in connection.execute(f'SELECT * FROM "{table}"'):
        pass  # Which raises for text that is none: that SQLite does not look at.
    return None if found == ["ok"] else Fault(f"table {table}: {'; '.join(found[:3])}", ends_epoch=True)


def slices(
    connection: sqlite3.Connection, table: str, key: tuple[str, ...], columns: str, limit: int = SLICE
) -> Iterator[list[tuple[object, ...]]]:
    """The rows of a table in the order of its key, `limit` at a time, each with its key in front. Raises sqlite3.Error
    at the first slice that cannot be read."""
    names, marks = ", ".join(key), ", ".join("?" * len(key))
    after: tuple[object, ...] = ()
    while True:
        where = f"WHERE ({names}) > ({marks})" if after else ""
        query = f'SELECT {names}, {columns} FROM "{table}" {where} ORDER BY {names} LIMIT ?'
        rows = connection.execute(query, (*after, limit)).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][: len(key)]
