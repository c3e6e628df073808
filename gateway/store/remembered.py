"""Carries into a new epoch what a store remembers beside its records: `FATE` says what becomes of each table.

Rules
1. What does not read, or does not fit, stays behind: it is in the file that is kept.
2. Rows that name records name them by their new numbers; of those that stay behind the numbers are negative.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from gateway.store.carrier import transaction
from gateway.store.earlier import keep_earlier
from gateway.store.fates import FATE, Fate
from gateway.store.salvage import Found, read_what_reads, rows_of
from gateway.store.soundness import tables_of

_AT_ONCE = 500
_MISFITS = (sqlite3.IntegrityError, sqlite3.InterfaceError)


class Numbers:
    """The numbers that records of the old file have from now on."""

    def __init__(self, found: Found, in_front: int) -> None:
        self._firsts = [first for first, _ in found.sound]
        self._ranges, self._last = found.sound, found.last
        self._new: list[int] = []
        self._lost = [(each.first_seq, each.last_seq) for each in found.lost]
        self._lost_firsts = [first for first, _ in self._lost]
        number = 2 + in_front  # Behind the tombstone.
        for first, last in found.sound:
            self._new.append(number)
            number += last - first + 1

    def carried(self, seq: int) -> int | None:
        """The new number of a record that is carried."""
        place = bisect_right(self._firsts, seq) - 1
        if place < 0 or seq > self._ranges[place][1]:
            return None
        return self._new[place] + seq - self._firsts[place]

    def is_lost(self, seq: int) -> bool:
        """Whether the record is gone."""
        place = bisect_right(self._lost_firsts, seq) - 1
        return place >= 0 and seq <= self._lost[place][1] and self.carried(seq) is None

    def of(self, seq: int) -> int:
        """The new number of any record: negative for one that stays behind."""
        found = self.carried(seq)
        return seq - self._last - 1 if found is None else found

    def old(self, number: int) -> int:
        """The number that a record had which stays behind."""
        return number + self._last + 1


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]


def copy_tables(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """The tables that are kept as they are, one by one; what does not read, or does not fit, stays behind."""
    there = set(tables_of(source))
    for table in tables_of(target):
        if table not in there or FATE.get(table, Fate.KEPT) is not Fate.KEPT:
            continue
        present = set(_columns(source, table))
        columns = [name for name in _columns(target, table) if name in present]
        names = ", ".join(f'"{name}"' for name in columns)
        _insert(target, table, names, len(columns), rows_of(source, table, names))


def _insert(target: sqlite3.Connection, table: str, names: str, width: int, rows: Iterable[tuple[object, ...]]) -> None:
    insert = f'INSERT OR REPLACE INTO "{table}" ({names}) VALUES ({", ".join("?" * width)})'
    rows = iter(rows)
    with transaction(target):
        while chunk := list(islice(rows, _AT_ONCE)):
            target.execute("SAVEPOINT chunk")
            try:
                target.executemany(insert, chunk)
            except _MISFITS:
                target.execute("ROLLBACK TO chunk")
                _insert_what_fits(target, insert, chunk)
            target.execute("RELEASE chunk")


def _insert_what_fits(target: sqlite3.Connection, insert: str, rows: list[tuple[object, ...]]) -> None:
    for row in rows:
        with suppress(*_MISFITS):  # A row of a damaged page: it is in the file that is kept.
            target.execute(insert, row)


def copy_numbered(source: sqlite3.Connection, target: sqlite3.Connection, numbers: Numbers) -> None:
    """The tables whose rows name records (rule 2)."""
    _insert(target, "seen", "bucket, key, seq, reply", 4, _seen(source, numbers))
    _insert(target, "quarantine", "seq, charger_id, reason", 3, _quarantined(source, numbers))
    if "earlier" in tables_of(source):
        rows = rows_of(source, "earlier", "seq, at, body")
        moved = ((numbers.of(seq), *rest) for seq, *rest in rows if isinstance(seq, int))
        _insert(target, "earlier", "seq, at, body", 3, moved)
    with transaction(target):
        _keep_needed(source, target, numbers)


def _seen(source: sqlite3.Connection, numbers: Numbers) -> Iterator[tuple[object, ...]]:
    for bucket, key, seq, reply in rows_of(source, "seen", "bucket, key, seq, reply"):
        if isinstance(seq, int) and not numbers.is_lost(seq):
            yield bucket, key, numbers.of(seq), reply


def _quarantined(source: sqlite3.Connection, numbers: Numbers) -> Iterator[tuple[object, ...]]:
    """Of the records that are carried; the others are at the hub, or lost."""
    for seq, charger_id, reason in rows_of(source, "quarantine", "seq, charger_id, reason"):
        number = numbers.carried(seq) if isinstance(seq, int) else None
        if number is not None:
            yield number, charger_id, reason


def _keep_needed(source: sqlite3.Connection, target: sqlite3.Connection, numbers: Numbers) -> None:
    """Of the records that stay behind: when those came that began a session, and what those say whose session is not
    over. Sessions that they are of are looked at again when content is let go."""
    needed: dict[int, bool] = {}
    for session_no, session_id, start_key, ended_at in target.execute(
        "SELECT session_no, session_id, start_key, ended_at FROM sessions"
    ).fetchall():
        rows = target.execute(
            "SELECT seq, key = ? FROM seen WHERE bucket = ? AND seq < 0", (start_key, session_no)
        ).fetchall()
        for seq, is_start in rows:
            if ended_at is None or is_start:
                needed[seq] = ended_at is None
        if rows:
            lowest = max(seq for seq, _ in rows)
            target.execute("INSERT OR REPLACE INTO held_back VALUES (?, ?)", (lowest, session_id))
    for number, with_body in needed.items():
        seq = numbers.old(number)
        if seq < 1:
            continue  # Stayed behind before, and was copied.
        for row in read_what_reads(source, seq, seq):
            keep_earlier(target, number, row.at, row.body if with_body else "")
