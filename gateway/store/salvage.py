"""What still reads of a damaged ledger. The file is only read; nothing of it is changed.

Rules
1. Records are read by ranges of their numbers; a range that raises is halved, down to the one record that cannot be
   read.
2. A record is sound when its hash covers it and the hash before. Which of a record and its hash was altered is told by
   the record behind it: that one stands on the true hash. Of the record behind a hole only that it can be one is known.
3. What is neither read nor sound is named by its numbers, at most MAX_LOST_RANGES of them; what is more is one range.
4. Of the other tables every row that can be reached from either end is taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from gateway.store.rows import KeptRow, RowHash, as_hash, rows_between
from gateway.store.soundness import SLICE, is_damage
from wire.chain import GENESIS_HASH, RecordKind
from wire.records import ClockState
from wire.tombstone import SeqRange

MAX_LOST_RANGES = 1000
MAX_LOST_END = 100_000
"""Records that may be gone from the end; a number beyond that is noise."""
_GALLOP = 40
"""Empty slices behind the last record that reads, after which there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """The records behind a number: ranges (first, last) of those that are sound, and those that are lost; `last` is the
    highest number that there was, as far as it can be told."""

    sound: tuple[tuple[int, int], ...]
    lost: tuple[SeqRange, ...]
    last: int


def read_what_reads(connection: sqlite3.Connection, first: int, last: int) -> Iterator[KeptRow]:
    """The rows from `first` to `last` that can be read. Raises sqlite3.Error for what is no damage."""
    for low in range(first, last + 1, SLICE):
        yield from _halved(connection, low, min(low + SLICE - 1, last))


def _halved(connection: sqlite3.Connection, first: int, last: int) -> list[KeptRow]:
    try:
        rows = rows_between(connection, first - 1, last, last - first + 1)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    else:
        # A page of noise can be read as rows of any number, in any order.
        numbers = [first - 1, *(row.seq for row in rows), last + 1]
        if all(before < after for before, after in pairwise(numbers)):
            return rows
    if first == last:
        return []
    middle = (first + last) // 2
    return _halved(connection, first, middle) + _halved(connection, middle + 1, last)


def last_number(connection: sqlite3.Connection, known: int) -> int:
    """The highest number of a record that reads, or `known`, which is told from elsewhere; noise tells of numbers that
    are too high, and is not believed."""
    found = 0
    try:
        (found,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
    if found and any(can_be_record(row) for row in _halved(connection, found, found)):
        return max(found, known) if known - found <= MAX_LOST_END else found
    last, after, empty = known, known, 0
    while empty < _GALLOP:
        rows = _halved(connection, after + 1, after + SLICE)
        empty = 0 if rows else empty + 1
        last, after = (rows[-1].seq if rows else last), after + SLICE
    return last


def survey(connection: sqlite3.Connection, hashes: RowHash | None, after: int, known: int) -> Found:
    """Which records behind number `after` are sound, and which are lost. About 10 us a record. `hashes` None: the name
    of the epoch was lost, so that no hash can be checked. `known`: the highest number that is told from elsewhere.
    Raises sqlite3.Error for what is no damage."""
    last = last_number(connection, known)
    before = read_what_reads(connection, after, after) if after else iter(())
    anchor = bytes.fromhex(GENESIS_HASH) if after == 0 else next((as_hash(row.hash) for row in before), b"")
    judge = _Judge(hashes, after, anchor)
    for row in read_what_reads(connection, after + 1, last):
        judge.take(row)
    judge.end(last)
    return Found(_ranges(judge.sound), _lost(judge.lost), last)


class _Judge:
    """Goes over the rows in order; each is decided when the one behind it is seen (rule 2)."""

    def __init__(self, hashes: RowHash | None, after: int, anchor: bytes) -> None:
        self.sound: list[int] = []
        self.lost: list[tuple[int, int]] = []
        self._hashes, self._next = hashes, after + 1
        self._stands_on: tuple[bytes, ...] = (anchor,) if anchor else ()
        self._doubtful: int | None = None

    def take(self, row: KeptRow) -> None:
        """Look at the next row that reads."""
        if row.seq > self._next:
            self._settle(hash_altered=False)
            self.lost.append((self._next, row.seq - 1))
            self._stands_on = ()
        self._next = row.seq + 1
        if self._hashes is None:
            self._decide(row.seq, is_sound=can_be_record(row))
            return
        kept = as_hash(row.hash)
        fitting = [before for before in self._stands_on if before and self._hashes.of(row, before) == kept]
        if kept and (fitting or not self._stands_on):
            self._settle(hash_altered=bool(fitting) and fitting[0] != self._stands_on[0])
            self._decide(row.seq, is_sound=bool(fitting) or can_be_record(row))
            self._stands_on = (kept,)
            return
        self._settle(hash_altered=False)
        self._doubtful = row.seq
        computed = self._hashes.of(row, self._stands_on[0]) if self._stands_on else b""
        self._stands_on = (kept, computed)

    def _settle(self, *, hash_altered: bool) -> None:
        """Decide the doubtful record: of it only the hash was altered, or the record itself."""
        if self._doubtful is not None:
            self._decide(self._doubtful, is_sound=hash_altered)
            self._doubtful = None

    def _decide(self, seq: int, *, is_sound: bool) -> None:
        if is_sound:
            self.sound.append(seq)
        else:
            self.lost.append((seq, seq))

    def end(self, last: int) -> None:
        """There is no further row up to `last`."""
        self._settle(hash_altered=False)
        if self._next <= last:
            self.lost.append((self._next, last))


def can_be_record(row: KeptRow) -> bool:
    """Whether a row of which the hash before is not known can be a record: all its parts are of their kinds."""
    try:
        RecordKind(row.kind), ClockState(row.clock)
        if row.body:
            msgspec.json.decode(row.body)
        return bool(row.body) or row.commitment is not None
    except (ValueError, msgspec.DecodeError):
        return False


def _ranges(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)


def _lost(pieces: list[tuple[int, int]]) -> tuple[SeqRange, ...]:
    """The ranges, what touches made one (rule 3)."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(pieces):
        if joined and joined[-1][1] >= first - 1:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    shown, rest = joined[: MAX_LOST_RANGES - 1], joined[MAX_LOST_RANGES - 1 :]
    ranges = [SeqRange(first_seq=first, last_seq=last, count=last - first + 1) for first, last in shown]
    if rest:
        count = sum(last - first + 1 for first, last in rest)
        ranges.append(SeqRange(first_seq=rest[0][0], last_seq=rest[-1][1], count=count))
    return tuple(ranges)


def rows_of(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    """The rows of a table that can be reached from either end, each once. Raises sqlite3.Error for what is no
    damage."""
    key = _key_of(connection, table)
    reached: tuple[object, ...] = ()
    for descending in (False, True):
        place = () if descending else reached
        limit = SLICE
        while True:
            try:
                rows = _page(connection, table, columns, key, (reached, place), descending=descending, limit=limit)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                if limit == 1:
                    break
                limit = 1
                continue
            if not rows:
                if not descending:
                    return
                break
            yield from (row[len(key) :] for row in rows)
            place = rows[-1][: len(key)]
            if not descending:
                reached = place


def _page(
    connection: sqlite3.Connection,
    table: str,
    columns: str,
    key: tuple[str, ...],
    places: tuple[tuple[object, ...], tuple[object, ...]],
    *,
    descending: bool,
    limit: int,
) -> list[tuple[object, ...]]:
    """The next rows behind what was reached from the front; going back, before the last ones as well."""
    names, marks = ", ".join(key), ", ".join("?" * len(key))
    reached, place = places
    conditions, values = [], list[object]()
    if reached:
        conditions.append(f"({names}) > ({marks})")
        values += reached
    if descending and place:
        conditions.append(f"({names}) < ({marks})")
        values += place
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    order = ", ".join(f"{name} {'DESC' if descending else 'ASC'}" for name in key)
    query = f'SELECT {names}, {columns} FROM "{table}" {where} ORDER BY {order} LIMIT ?'
    return connection.execute(query, (*values, limit)).fetchall()


def _key_of(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """The columns that a table is kept by."""
    try:
        connection.execute(f'SELECT rowid FROM "{table}" LIMIT 0')
    except sqlite3.OperationalError as error:
        if is_damage(error):
            raise
        columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        return tuple(row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5])
    return ("rowid",)
