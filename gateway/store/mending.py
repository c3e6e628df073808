"""Opens a damaged store for reading: as it is, else a copy that was mended as far as SQLite needs. The store itself is
only read.

Rules
1. A copy that is shorter than its header says is filled up to that length: SQLite reads none of it otherwise.
2. A copy whose first page is gone is given a new one. That page tells where each table begins, and where the other
   pages that tell it are. Those are found by their look: nothing but the schema has rows that name a table and say how
   it was made. Pages that contradict each other are not believed.
3. A table of which none of them tells begins where it does in every store, if it is one that no migration has moved and
   a page of its kind is there; else it is there, and empty.
4. What the tables say is judged by whoever reads them: records by their hashes (`gateway.store.salvage`).

Source: SQLite's file format, https://www.sqlite.org/fileformat2.html, 1.3, 1.6, 2.1, 2.6.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gateway.errors import StoreError
from gateway.store.database import open_reader
from gateway.store.ledger import SCHEMA
from gateway.store.rows import rows_between
from gateway.store.soundness import is_damage

_MAGIC = b"SQLite format 3\0"
_LARGEST = 2**40
"""Octets that a store may have; what its header says beyond that is noise."""
_PAGE = 4096
_AT_ONCE = 256
"""Pages that are read at a time."""
_TABLE_LEAF = 0x0D
_KINDS = {False: b"\x05\x0d", True: b"\x02\x0a"}
"""How the first page of a table may begin, by whether it is WITHOUT ROWID."""
_WAL = b"\x02\x02"
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Octets of an integer, by what a row says of its column."""


class _Made(NamedTuple):
    """A row of the schema. `sql` None: of an index that a table has by itself."""

    kind: str
    name: str
    table: str
    root: int
    sql: str | None


def open_what_reads(path: Path, copy: Path) -> sqlite3.Connection:
    """The store at `path` for reading, or the mended `copy` of it, or an empty one when nothing reads. A copy takes the
    room of the store. Raises StoreError for what is no damage, OSError when it cannot be copied."""
    try:
        return open_reader(path)
    except StoreError as error:
        if not is_damage(error.__cause__):
            raise
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    for suffix in ("", "-wal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copyfile(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
    for mend in (_fill_up, _give_first_page):
        if mend(copy) and (found := _opened(copy)) is not None:
            return found
    return nothing()


def nothing() -> sqlite3.Connection:
    """An empty store, in the place of one of which nothing reads."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in SCHEMA.migrations:
        connection.executescript(migration)
    return connection


def _opened(copy: Path) -> sqlite3.Connection | None:
    """The copy, if SQLite opens it and has records in it. Raises StoreError."""
    try:
        connection = open_reader(copy)
    except StoreError as error:
        if not is_damage(error.__cause__):
            raise
        return None
    try:
        rows_between(connection, 0, 0, 0)
    except sqlite3.Error as error:
        if is_damage(error):
            return connection  # There, and damaged: that is for whoever reads it.
        connection.close()
        return None
    return connection


def _fill_up(copy: Path) -> bool:
    """Rule 1; says whether there is a header."""
    with copy.open("rb") as file:
        header = file.read(32)
    if header[: len(_MAGIC)] != _MAGIC:
        return False
    octets = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
    if copy.stat().st_size < octets <= _LARGEST:
        os.truncate(copy, octets)
    return True


def _give_first_page(copy: Path) -> bool:
    """Rule 2; says whether the table of records was found."""
    made = _read_schema(copy)
    if "records" not in made:
        return False
    pages = copy.stat().st_size // _PAGE
    with copy.open("r+b") as file:
        file.write(_empty_first_page(pages))
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema=ON")
            connection.execute("BEGIN IMMEDIATE")
            # What SQLite needs room for beside the first page, it appends: the file says that no page is free.
            connection.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", made.values())
            connection.execute("COMMIT")
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection, closing(nothing()) as whole:
            there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master").fetchall()}
            for name, sql in whole.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
                if name not in there and not name.startswith("sqlite_"):
                    connection.execute(sql)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return False
    return True


def _empty_first_page(pages: int) -> bytes:
    """The first page of a store of so many pages, with an empty schema."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={_PAGE}")
        connection.execute(f"PRAGMA application_id={SCHEMA.application_id}")
        connection.execute(f"PRAGMA user_version={len(SCHEMA.migrations)}")
        page = bytearray(connection.serialize()[:_PAGE])
    page[18:20] = _WAL
    page[28:32] = pages.to_bytes(4)
    page[92:96] = page[24:28]  # So that the number of pages is believed.
    return bytes(page)


def _read_schema(copy: Path) -> dict[str, _Made]:
    """The tables, and the indexes that they have by themselves, by name (rules 2 and 3)."""
    found: dict[str, _Made | None] = {}
    for page in _pages(copy):
        for row in _schema_rows(page):
            found[row.name] = row if found.setdefault(row.name, row) == row else None
    made = {name: row for name, row in found.items() if row is not None}
    taken = {row.root for row in made.values()}
    missing = [row for row in _never_moved() if row.name not in made and row.root not in taken]
    with copy.open("rb") as file:
        for row in missing:
            file.seek((row.root - 1) * _PAGE)
            if file.read(1) in _KINDS["WITHOUT ROWID" in str(row.sql)]:
                made[row.name] = row
    with closing(nothing()) as whole:
        torn = {row.table for row in _schema_of(whole) if row.sql is None and row.name not in made}
    return {name: row for name, row in made.items() if row.table in made and row.table not in torn}


def _never_moved() -> list[_Made]:
    """The tables that begin where the first migration put them, in every store."""
    with closing(nothing()) as whole, closing(sqlite3.connect(":memory:", isolation_level=None)) as first:
        first.executescript(SCHEMA.migrations[0])
        places = {(row.name, row.root) for row in _schema_of(first)}
        return [row for row in _schema_of(whole) if row.kind == "table" and (row.name, row.root) in places]


def _schema_of(connection: sqlite3.Connection) -> list[_Made]:
    rows = connection.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master").fetchall()
    return [_Made._make(row) for row in rows]


def _pages(copy: Path) -> Iterator[bytes]:
    """The pages that may be of the schema."""
    with copy.open("rb") as file:
        while chunk := file.read(_AT_ONCE * _PAGE):
            if b"CREATE TABLE" in chunk:
                for start in range(0, len(chunk) - _PAGE + 1, _PAGE):
                    if chunk[start] == _TABLE_LEAF and chunk.find(b"CREATE TABLE", start, start + _PAGE) >= 0:
                        yield chunk[start : start + _PAGE]


def _schema_rows(page: bytes) -> list[_Made]:
    """The rows of a page of the schema that say where tables and their own indexes begin; none for any other page."""
    rows: list[_Made] = []
    try:
        for number in range(int.from_bytes(page[3:5])):
            at = int.from_bytes(page[8 + 2 * number : 10 + 2 * number])
            columns = _row(page, at)
            if not _is_schema(columns):
                return []
            made = _Made._make(columns)
            if made.kind == "table" or made.sql is None:
                rows.append(made)
    except (IndexError, ValueError):  # A page that only looks like one.
        return []
    return rows


def _is_schema(columns: list[object]) -> bool:
    if len(columns) != 5 or columns[0] not in ("table", "index"):
        return False
    _, name, table, root, sql = columns
    is_made = sql is None or (isinstance(sql, str) and sql.startswith("CREATE "))
    return isinstance(name, str) and isinstance(table, str) and isinstance(root, int) and root > 1 and is_made


def _row(page: bytes, at: int) -> list[object]:
    """The columns of a row that is whole in its page. Raises IndexError, ValueError."""
    size, at = _varint(page, at)
    _, at = _varint(page, at)
    if size > _PAGE - at:
        raise ValueError("goes on in another page")
    head, place = _varint(page, at)
    body, columns = at + head, list[object]()
    while place < at + head:
        kind, place = _varint(page, place)
        value, body = _column(page, kind, body)
        columns.append(value)
    return columns


def _column(page: bytes, kind: int, at: int) -> tuple[object, int]:
    """What a column holds, and where it ends."""
    if kind in _INTEGERS:
        end = at + _INTEGERS[kind]
        return int.from_bytes(page[at:end], signed=True), end
    if kind >= 13 and kind % 2:
        end = at + (kind - 13) // 2
        return page[at:end].decode(), end
    if kind in (0, 8, 9):
        return (None, 0, 1)[max(0, kind - 7)], at
    raise ValueError("no column of the schema")


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; of more than eight octets none is expected here."""
    number = 0
    for place in range(at, at + 8):
        number = number << 7 | page[place] & 0x7F
        if page[place] < 0x80:
            return number, place + 1
    raise ValueError("no number")
