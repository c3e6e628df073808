"""Builds the store of a new epoch from the one that it continues: what is carried, and under which numbers.

Rules
1. The first record is a Tombstone: which epoch is continued, up to where, and what is lost.
2. Behind it come, in their order, the sound records that the hub does not have, each with its own stamp, salt and
   content, so that the hub can tell one that it has (`wire.carried`). Numbers and hashes are new.
3. What the store remembers beside the records is carried too, row by row, as FATE says for each table.
4. Of records that stay behind the numbers become negative, in their order; what is still needed of them is kept
   (`gateway.store.remembered`). A message whose record is lost is forgotten, so that a repetition is stored.
5. Numbers of sessions and commands jump: none that the continued epoch may have given comes again.
6. The old file is only read, the new one is not in use before it is whole (`gateway.store.epochs`).
7. Where many records are to be carried, all else is carried first, as if the hub had them: they are owed, and carried
   in an epoch of their own while the site is served (`gateway.store.arrears`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from gateway.clock import Moment
from gateway.store.carrier import RowCarrier, transaction
from gateway.store.ledger import Identity, append, number_at
from gateway.store.pieces import Piece, survey_piece
from gateway.store.remembered import Numbers, copy_numbered, copy_tables
from gateway.store.rows import KeptRow, RowHash, as_hash
from gateway.store.salvage import Found, last_number, read_what_reads, survey
from gateway.store.soundness import NEWEST, is_damage
from wire.chain import GENESIS_HASH, RecordKind
from wire.errors import MalformedValue
from wire.records import Value, decode, encode
from wire.tombstone import SeqRange, Superseded, Tombstone, TombstoneReason

BEGUN, OWED = "epoch-begun", "records-owed"
_HALTED = "uplink-halted"
_JUMP = 10_000
"""Session numbers that are passed over at least, where the clock cannot tell how many were given."""
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


class Owed(Value, frozen=True, kw_only=True):
    """Records `after` one number up to the `last` of epoch `ended` ("" when its name was lost), in the file `kept_as`,
    which are still to be carried; `lost`: what is known to be gone besides. `continues`: the point behind which the hub
    has none of them. `reason` and `message`: why that epoch ended. `owed_by`: the epoch that began then."""

    owed_by: str
    kept_as: str
    ended: str
    after: int
    last: int
    reason: TombstoneReason
    message: str
    continues: Superseded | None
    lost: tuple[SeqRange, ...] = ()


def owed(connection: sqlite3.Connection) -> Owed | None:
    """What this store owes of the epoch before; None when it has everything."""
    row = _one(connection, "SELECT text FROM notes WHERE name = ?", (OWED,))
    try:
        return None if row is None else decode(Owed, str(row[0]), "note")
    except MalformedValue:
        return None


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


@dataclass(frozen=True, slots=True)
class _Course:
    """What is continued: the epoch and its hashes, None where its name was lost; the number behind which records are
    carried; the point that the tombstone names; the highest number that anything tells of."""

    epoch: str | None
    hashes: RowHash | None
    after: int
    continues: Superseded | None
    known: int


def _course(source: sqlite3.Connection, owner: Identity, order: EpochOrder) -> _Course:
    epoch = order.epoch or epoch_of(source)
    hashes = RowHash(owner.gateway_id, epoch) if epoch else None
    reached = _reached(source)
    continues = order.continues
    if continues is None and epoch:
        continues = _last_sound(source, hashes, epoch, reached)
    after = reached if order.carry_after is None else order.carry_after
    return _Course(epoch or None, hashes, after, continues, max(reached, *_told(source)))


def count_due(source: sqlite3.Connection, owner: Identity, order: EpochOrder) -> int:
    """How many records there are to be carried, those that are lost among them. Raises sqlite3.Error for what is no
    damage."""
    course = _course(source, owner, order)
    return last_number(source, course.known) - course.after


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
    course = _course(source, owner, order)
    found = survey(source, course.hashes, course.after, course.known)
    pieces = [
        (kept, survey_piece(kept, owner.gateway_id, piece)) for kept, piece in zip(earlier, order.before, strict=True)
    ]
    gone = [each for _, piece in pieces for each in piece.lost]
    lost = (*order.lost, *gone, *found.lost)
    with transaction(target):
        tombstone = Tombstone(reason=order.reason, lost=lost, continues=course.continues)
        append(target, owner, RecordKind.TOMBSTONE, tombstone, now)
    records = RowCarrier(target, owner)
    in_front = sum(records.take(kept, piece) for kept, piece in pieces)
    numbers = Numbers(found, in_front)
    carried = in_front + records.take(source, found)
    copy_tables(source, target)
    copy_numbered(source, target, numbers)
    note = _note_begun(source, order, kept_as, now.at, course.continues, carried=carried, lost=lost)
    with transaction(target):
        _keep_notes(target, {BEGUN: note})
        _jump(source, target, now.at)
    return note


def carry_without_records(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    owner: Identity,
    order: EpochOrder,
    kept_as: str,
    now: Moment,
) -> EpochBegun:
    """Fill the fresh store `target` as `carry` does, but for the records: those are owed (rule 7). What is lost is not
    known yet, but for the newest records, whose messages are those that stations may repeat. About 10 us for each
    message that is remembered. Raises sqlite3.Error for what is no damage."""
    course = _course(source, owner, order)
    last = last_number(source, course.known)
    newest = survey(source, course.hashes, max(course.after, last - NEWEST), course.known)
    with transaction(target):
        append(target, owner, RecordKind.TOMBSTONE, Tombstone(reason=order.reason), now)
    copy_tables(source, target)
    copy_numbered(source, target, Numbers(Found((), newest.lost, newest.last), 0))
    note = _note_begun(source, order, kept_as, now.at, None)
    debt = Owed(
        owed_by=owner.epoch,
        kept_as=kept_as,
        ended=course.epoch or "",
        after=course.after,
        last=newest.last,
        reason=order.reason,
        message=order.message,
        continues=course.continues,
        lost=order.lost,
    )
    with transaction(target):
        _keep_notes(target, {BEGUN: note, OWED: debt})
        _jump(source, target, now.at)
    return note


def _note_begun(
    source: sqlite3.Connection,
    order: EpochOrder,
    kept_as: str,
    at: datetime,
    continues: Superseded | None,
    *,
    carried: int = 0,
    lost: tuple[SeqRange, ...] = (),
) -> EpochBegun:
    """How an epoch begins that goes on from the one in `source`."""
    before = begun(source)
    return EpochBegun(
        at=at,
        reason=order.reason,
        message=order.message,
        carried=carried,
        lost=lost,
        kept_as=kept_as,
        continues=continues,
        earlier=() if before is None else (*before.earlier, before.at)[-_EARLIER:],
    )


def _keep_notes(target: sqlite3.Connection, notes: dict[str, Value]) -> None:
    target.execute("DELETE FROM notes WHERE name = ?", (_HALTED,))
    for name, note in notes.items():
        target.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, encode(note).decode()))


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
