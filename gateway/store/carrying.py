"""Builds the store of a new epoch from the one that it continues: what is carried, and under which numbers.

Rules
1. The first record is a Tombstone: which epoch is continued, up to where, and what is lost.
2. Behind it come, in their order, the sound records that the hub does not have, each with its own stamp, salt and
   content, so that the hub can tell one that it has (`wire.carried`). Numbers and hashes are new.
3. What the store remembers beside the records is carried too, row by row, as FATE says for each table.
4. Of records that stay behind the numbers become negative, in their order; what is still needed of them is kept
   (`gateway.store.earlier`). A message whose record is lost is forgotten, so that a repetition is stored.
5. Numbers of sessions and commands jump: none that the continued epoch may have given comes again.
6. The old file is only read, the new one is not in use before it is whole (`gateway.store.epochs`).
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import msgspec

from gateway.clock import Moment
from gateway.store.earlier import keep_earlier
from gateway.store.fates import FATE, Fate
from gateway.store.ledger import Identity, append, number_at
from gateway.store.pieces import Piece, survey_piece
from gateway.store.rows import KeptRow, RowHash, as_hash
from gateway.store.salvage import Found, read_what_reads, rows_of, survey
from gateway.store.soundness import is_damage, tables_of
from gateway.store.tree import keep_tiles
from wire.chain import GENESIS_HASH, RecordKind
from wire.errors import MalformedValue
from wire.merkle import TILE_WIDTH
from wire.records import Value, decode, encode
from wire.tombstone import SeqRange, Superseded, Tombstone, TombstoneReason

BEGUN = "epoch-begun"
_HALTED = "uplink-halted"
_JUMP = 10_000
"""Session numbers that are passed over at least, where the clock cannot tell how many were given."""
_AT_ONCE = 5000
_EARLIER = 8
_LOOK_BACK = 1000


class EpochOrder(Value, frozen=True, kw_only=True):
    """That `epoch` ends and a new one begins, and why, in words. `continues` None: up to what the hub acknowledged;
    `carry_after`: the records behind it are carried; `lost`: numbers that are known to be gone; `before`: what is
    carried in front of them, of earlier epochs."""

    epoch: str
    reason: TombstoneReason
    message: str
    continues: Superseded | None = None
    carry_after: int | None = None
    lost: tuple[SeqRange, ...] = ()
    before: tuple[Piece, ...] = ()


class EpochBegun(Value, frozen=True, kw_only=True):
    """How this epoch began. `carried` records came from the file that is kept as `kept_as`; `lost` are the numbers
    there that are gone. `earlier`: when the last epochs before it were begun."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: TombstoneReason
    message: str
    carried: int
    lost: tuple[SeqRange, ...]
    kept_as: str
    continues: Superseded | None = None
    earlier: tuple[Annotated[datetime, msgspec.Meta(tz=True)], ...] = ()


def begun(connection: sqlite3.Connection) -> EpochBegun | None:
    """How this epoch began; None for the first of a store."""
    row = _one(connection, "SELECT text FROM notes WHERE name = ?", (BEGUN,))
    try:
        return None if row is None else decode(EpochBegun, str(row[0]), "note")
    except MalformedValue:
        return None


def epoch_of(connection: sqlite3.Connection) -> str | None:
    """The epoch of a store that may be damaged, from its identity or a receipt; None when neither reads."""
    for query in ("SELECT epoch FROM identity", "SELECT json_extract(head, '$.head.epoch') FROM receipts LIMIT 1"):
        row = _one(connection, query)
        if row is not None and isinstance(row[0], str):
            return row[0]
    return None


def carry(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    owner: Identity,
    order: EpochOrder,
    kept_as: str,
    now: Moment,
    earlier: Sequence[sqlite3.Connection] = (),
) -> EpochBegun:
    """Fill the fresh store `target` of `owner` with what `source` gives, and the pieces of `order` in `earlier`; says
    what came of it. About 60 us a record. Raises sqlite3.Error for what is no damage."""
    epoch, before = order.epoch or epoch_of(source), begun(source)
    ended = Identity(owner.gateway_id, epoch) if epoch else None
    hashes = None if ended is None else RowHash(ended.gateway_id, ended.epoch)
    reached = _reached(source)
    after = reached if order.carry_after is None else order.carry_after
    continues = order.continues
    if continues is None and ended is not None:
        continues = _last_sound(source, hashes, ended.epoch, reached)
    found = survey(source, hashes, after, max(reached, *_told(source)))
    pieces = [
        (kept, survey_piece(kept, owner.gateway_id, piece)) for kept, piece in zip(earlier, order.before, strict=True)
    ]
    lost = [each for _, piece in pieces for each in piece.lost]
    tombstone = Tombstone(reason=order.reason, lost=(*order.lost, *lost, *found.lost), continues=continues)
    with _transaction(target):
        append(target, owner, RecordKind.TOMBSTONE, tombstone, now)
    records = _Records(target, owner)
    in_front = sum(records.take(kept, piece) for kept, piece in pieces)
    numbers = _Numbers(found, in_front)
    carried = in_front + records.take(source, found)
    _copy_tables(source, target)
    _copy_numbered(source, target, numbers)
    note = EpochBegun(
        at=now.at,
        reason=order.reason,
        message=order.message,
        carried=carried,
        lost=tombstone.lost,
        kept_as=kept_as,
        continues=continues,
        earlier=() if before is None else (*before.earlier, before.at)[-_EARLIER:],
    )
    with _transaction(target):
        target.execute("DELETE FROM notes WHERE name = ?", (_HALTED,))
        target.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (BEGUN, encode(note).decode()))
        _jump(source, target, now.at)
    return note


def _reached(source: sqlite3.Connection) -> int:
    """Up to which record the hub has acknowledged or countersigned, as far as it reads."""
    return max(_numbers(source, "SELECT acked_seq FROM position", "SELECT coalesce(max(size), 0) FROM receipts"))


def _told(source: sqlite3.Connection) -> list[int]:
    """Numbers of records that other tables speak of."""
    return _numbers(source, "SELECT max(seq) FROM seen", "SELECT max(seq) FROM quarantine")


def _numbers(source: sqlite3.Connection, *queries: str) -> list[int]:
    rows = [_one(source, query) for query in queries]
    return [0, *(row[0] for row in rows if row is not None and isinstance(row[0], int))]


def _one(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> tuple[object, ...] | None:
    """The first row; None without one, and when damage keeps it from being read."""
    try:
        row: tuple[object, ...] | None = connection.execute(query, values).fetchone()
    except sqlite3.Error as error:
        if not is_damage(error) and not isinstance(error, sqlite3.OperationalError):
            raise
        return None
    return row


def _last_sound(source: sqlite3.Connection, hashes: RowHash | None, epoch: str, reached: int) -> Superseded:
    """The last record up to `reached` whose hash holds; number 0 when none of the last ones does."""
    before: KeptRow | None = None
    best = Superseded(epoch=epoch, seq=0, hash=GENESIS_HASH)
    for row in read_what_reads(source, max(1, reached - _LOOK_BACK), reached):
        previous = b""
        if row.seq == 1:
            previous = bytes.fromhex(GENESIS_HASH)
        elif before is not None and before.seq == row.seq - 1:
            previous = as_hash(before.hash)
        if hashes is not None and previous and hashes.of(row, previous) == as_hash(row.hash):
            best = Superseded(epoch=epoch, seq=row.seq, hash=row.hash)
        before = row
    return best


class _Numbers:
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


class _Records:
    """Appends rows to a fresh store as they are, under new numbers."""

    def __init__(self, target: sqlite3.Connection, owner: Identity) -> None:
        self._target, self._hashes = target, RowHash(owner.gateway_id, owner.epoch)
        rows = target.execute("SELECT hash FROM records ORDER BY seq").fetchall()
        self._entries = [bytes.fromhex(row[0]) for row in rows]
        self._seq, self._released = len(self._entries), 0

    def take(self, source: sqlite3.Connection, found: Found) -> int:
        """Append the sound rows; says how many."""
        before = self._seq
        for first, last in found.sound:
            for low in range(first, last + 1, _AT_ONCE):
                with _transaction(self._target):
                    for row in read_what_reads(source, low, min(low + _AT_ONCE - 1, last)):
                        self._append(row)
        with _transaction(self._target):
            self._target.execute("UPDATE released SET records = ?", (self._released,))
        return self._seq - before

    def _append(self, row: KeptRow) -> None:
        seq = self._seq + 1
        row = row._replace(seq=seq)
        hash_ = self._hashes.of(row, self._entries[-1])
        self._target.execute(
            "INSERT INTO records (seq, kind, at, boot_id, mono_ns, clock, body, hash, salt, commitment)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row._replace(hash=hash_.hex()),
        )
        self._seq, self._released = seq, self._released + (row.commitment is not None)
        self._entries.append(hash_)
        if seq % TILE_WIDTH == 0:
            keep_tiles(self._target, seq, self._entries[-TILE_WIDTH:])
            self._entries = self._entries[-1:]


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]


def _copy_tables(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
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
    with _transaction(target):
        for row in rows:
            try:
                target.execute(insert, row)
            except (sqlite3.IntegrityError, sqlite3.InterfaceError):
                continue  # A row of a damaged page: it is in the file that is kept.


def _copy_numbered(source: sqlite3.Connection, target: sqlite3.Connection, numbers: _Numbers) -> None:
    """The tables whose rows name records (rule 4)."""
    _insert(target, "seen", "bucket, key, seq, reply", 4, _seen(source, numbers))
    _insert(target, "quarantine", "seq, charger_id, reason", 3, _quarantined(source, numbers))
    if "earlier" in tables_of(source):
        rows = rows_of(source, "earlier", "seq, at, body")
        moved = ((numbers.of(seq), *rest) for seq, *rest in rows if isinstance(seq, int))
        _insert(target, "earlier", "seq, at, body", 3, moved)
    with _transaction(target):
        _keep_needed(source, target, numbers)


def _seen(source: sqlite3.Connection, numbers: _Numbers) -> Iterator[tuple[object, ...]]:
    for bucket, key, seq, reply in rows_of(source, "seen", "bucket, key, seq, reply"):
        if isinstance(seq, int) and not numbers.is_lost(seq):
            yield bucket, key, numbers.of(seq), reply


def _quarantined(source: sqlite3.Connection, numbers: _Numbers) -> Iterator[tuple[object, ...]]:
    """Of the records that are carried; the others are at the hub, or lost."""
    for seq, charger_id, reason in rows_of(source, "quarantine", "seq, charger_id, reason"):
        number = numbers.carried(seq) if isinstance(seq, int) else None
        if number is not None:
            yield number, charger_id, reason


def _keep_needed(source: sqlite3.Connection, target: sqlite3.Connection, numbers: _Numbers) -> None:
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


def _jump(source: sqlite3.Connection, target: sqlite3.Connection, at: datetime) -> None:
    """Let the numbers of sessions and commands go on far behind those that were given (rule 5)."""
    for table, key in (("sessions", "session_no"), ("commands", "number")):
        given = [
            _one(source, f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'"),
            _one(target, f"SELECT max({key}) FROM {table}"),
        ]
        highest = max((row[0] for row in given if row is not None and isinstance(row[0], int)), default=0)
        target.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?, ?) WHERE name = ?", (highest + _JUMP, number_at(at), table)
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
