"""The records that a new epoch owes of the one before: carried while the site is served, in an epoch of their own.

Rules
1. Many records take minutes to be carried, and a site must not wait for that. So the new epoch begins without them, and
   they go into another one, in a file of its own, that stands between: it continues the epoch that ended, and is
   continued by the new one. The hub gets the arrears first and whole, then the new epoch: every record once, in the
   order in which it was made.
2. What is sound of them is found out once, and kept (`Plan`) with the tombstone that the arrears begin with. A message
   whose record turns out to be lost is forgotten in the new epoch, so that a repetition is stored.
3. They are carried in pieces. A piece and how far it reaches are one transaction: killed at any moment, the next start
   goes on behind the last one.
4. Once the hub has all of them, a record of the new epoch says which point it continues; the file is set aside like
   that of any epoch that is over. Until then nothing of the new epoch is sent.
5. The arrears are a ledger like any other: when they are damaged, or the hub has another history of them, they go on in
   an epoch of their own (`gateway.store.epochs`), and what was carried stays carried.

Source: design of this project.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.clock import Moment
from gateway.errors import StoreError
from gateway.store.carrier import RowCarrier
from gateway.store.carrying import BEGUN, OWED, Owed, begun, owed
from gateway.store.database import open_reader
from gateway.store.ledger import Identity, acked_seq, append, head, identity
from gateway.store.mending import open_what_reads
from gateway.store.rows import KeptRow, RowHash
from gateway.store.salvage import survey
from wire.chain import RecordKind
from wire.errors import MalformedValue
from wire.records import Value, decode, encode
from wire.tombstone import Seq, SeqRange, Superseded, Tombstone

OWE_FROM = 5000
"""So many records are carried before the site is served, in some half a second; more are owed."""
PIECE = 500
"""Records that are carried in one transaction: some 30 ms."""
_PLAN, _REACHED = "records-owed-plan", "records-owed-reached"


class Plan(Value, frozen=True, kw_only=True):
    """Which of the records that are owed are sound, by ranges of their old numbers, and which are lost."""

    sound: tuple[tuple[Seq, Seq], ...]
    lost: tuple[SeqRange, ...]

    @property
    def total(self) -> int:
        """How many are to be carried."""
        return sum(last - first + 1 for first, last in self.sound)

    def next_piece(self, reached: int) -> tuple[int, int] | None:
        """The first and last number of the next piece behind `reached`; None when all are carried."""
        for first, last in self.sound:
            if last > reached:
                low = max(first, reached + 1)
                return low, min(low + PIECE - 1, last)
        return None

    def carried(self, reached: int) -> int:
        """How many are carried."""
        return sum(min(last, reached) - first + 1 for first, last in self.sound if first <= reached)


class Progress(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How far it is: records to be carried, None before that is known, that were carried, and that the hub has; and the
    file that they come from, which must stay until they are carried."""

    total: int | None
    carried: int
    acked: int
    kept_as: str


@dataclass(frozen=True, slots=True)
class Settled:
    """Arrears that the hub has: where they end, what they were, and the name that their file gets."""

    point: Superseded
    carried: int
    lost: tuple[SeqRange, ...]
    kept_as: str


def arrears_path(path: Path) -> Path:
    """The file of the arrears of the ledger at `path`."""
    return path.with_name(f"{path.stem}-arrears.db")


def open_owed(path: Path, debt: Owed) -> sqlite3.Connection:
    """The file that the records come from, for reading. Raises StoreError when it is gone, OSError."""
    arrears = arrears_path(path)
    return open_what_reads(path.with_name(debt.kept_as), arrears.with_name(f"{arrears.stem}-mended.db"))


def _keep(connection: sqlite3.Connection, name: str, text: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text.decode()))


def _note(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT text FROM notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def make_plan(source: sqlite3.Connection, gateway_id: str, debt: Owed) -> Plan:
    """What is sound of what is owed. About 10 us a record. Raises sqlite3.Error for what is no damage."""
    hashes = RowHash(gateway_id, debt.ended) if debt.ended else None
    found = survey(source, hashes, debt.after, debt.last)
    return Plan(sound=found.sound, lost=(*debt.lost, *found.lost))


def plan_of(connection: sqlite3.Connection) -> Plan | None:
    """The plan of these arrears; None before there is one. Raises StoreError when it does not read."""
    text = _note(connection, _PLAN)
    try:
        return None if text is None else decode(Plan, text, "plan")
    except MalformedValue as error:
        raise StoreError(f"the plan of the arrears does not read: {error}") from error


def reached_of(connection: sqlite3.Connection) -> int:
    """The old number up to which they are carried."""
    return int(_note(connection, _REACHED) or 0)


def begin_arrears(connection: sqlite3.Connection, owner: Identity, debt: Owed, plan: Plan, now: Moment) -> None:
    """Append the tombstone of the arrears and keep the plan; harmless when it was done. To be called inside a
    transaction."""
    note = begun(connection)
    if note is None or plan_of(connection) is not None:
        return
    tombstone = Tombstone(reason=debt.reason, lost=plan.lost, continues=debt.continues)
    append(connection, owner, RecordKind.TOMBSTONE, tombstone, now)
    _keep(connection, _PLAN, encode(plan))
    _keep(connection, BEGUN, encode(msgspec.structs.replace(note, carried=plan.total, lost=plan.lost)))


def carry_piece(connection: sqlite3.Connection, owner: Identity, rows: Sequence[KeptRow], last: int) -> None:
    """Carry the records of a piece, that ends with old number `last`; harmless when it was done. To be called inside a
    transaction (rule 3)."""
    if reached_of(connection) < last:
        RowCarrier(connection, owner).append(rows)
        _keep(connection, _REACHED, str(last).encode())


def forget_lost(connection: sqlite3.Connection, debt: Owed, plan: Plan) -> None:
    """Forget, in the new epoch, the messages of records that are lost (rule 2): a look at each that is remembered. Not
    in an epoch that went on from it, where they have other numbers. To be called inside a transaction."""
    if not plan.lost or identity(connection).epoch != debt.owed_by:
        return
    behind = debt.last + 1  # What stayed behind has that much less (`gateway.store.remembered`).
    ranges = [(each.first_seq - behind, each.last_seq - behind) for each in plan.lost]
    connection.create_function("is_lost", 1, lambda seq: any(low <= seq <= high for low, high in ranges))
    connection.execute("DELETE FROM seen WHERE seq < 0 AND is_lost(seq)")
    connection.create_function("is_lost", 1, None)


def all_acked(connection: sqlite3.Connection, plan: Plan) -> bool:
    """Whether all are carried, and the hub has them."""
    return plan.next_piece(reached_of(connection)) is None and acked_seq(connection) == head(connection).seq


def settle(connection: sqlite3.Connection, owner: Identity, arrears: Settled, now: Moment) -> None:
    """Let the new epoch go on from the arrears, that the hub has (rule 4); from then on its own records are sent. To be
    called inside a transaction of the ledger."""
    note = begun(connection)
    if note is None or owed(connection) is None:
        return
    append(connection, owner, RecordKind.TOMBSTONE, Tombstone(reason=note.reason, continues=arrears.point), now)
    note = msgspec.structs.replace(
        note, carried=arrears.carried, lost=arrears.lost, kept_as=arrears.kept_as, continues=arrears.point
    )
    _keep(connection, BEGUN, encode(note))
    connection.execute("DELETE FROM notes WHERE name = ?", (OWED,))


def settled(connection: sqlite3.Connection, plan: Plan, kept_as: str) -> Settled:
    """The arrears of which `all_acked` is true, as what their ledger keeps of them."""
    end = head(connection)
    point = Superseded(epoch=identity(connection).epoch, seq=end.seq, hash=end.hash)
    return Settled(point, plan.total, plan.lost, kept_as)


def progress(path: Path, debt: Owed) -> Progress:
    """How far the arrears of the ledger at `path` are; a gateway may be at work on them. Raises StoreError when their
    file does not read."""
    if not arrears_path(path).exists():
        return Progress(total=None, carried=0, acked=0, kept_as=debt.kept_as)
    try:
        with closing(open_reader(arrears_path(path))) as connection:
            plan = plan_of(connection)
            if plan is None:
                return Progress(total=None, carried=0, acked=0, kept_as=debt.kept_as)
            carried = plan.carried(reached_of(connection))
            # In front of them is a tombstone.
            acked = min(carried, max(0, acked_seq(connection) - 1))
            return Progress(total=plan.total, carried=carried, acked=acked, kept_as=debt.kept_as)
    except sqlite3.Error as error:
        raise StoreError(f"{arrears_path(path)}: {error}") from error
