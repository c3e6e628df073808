"""Ends an epoch of the store and begins the next: after damage, and when two histories claim one number.

Rules
1. An epoch is begun at a start, before anything is served. While the gateway runs it is only ordered: a file beside the
   store says so, and the gateway starts again by itself.
2. The new store is built beside the old one (`gateway.store.carrying`), made durable, and then takes its place by
   renames. Killed at any moment, the next start finds the old store whole and builds again, or the new one whole and
   finishes.
3. The old file is set aside with its log and never deleted: it is evidence. Its name says when and why.
4. Records that are too many to be waited for are left to be carried while the site is served (`gateway.store.arrears`).
5. When there is no room for the new one, a store that is only superseded goes on being written, and nothing is sent; a
   damaged one is not opened, and the gateway does not start.

Source: design of this project.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.clock import Moment
from gateway.errors import StoreError
from gateway.store.arrears import OWE_FROM, arrears_path
from gateway.store.carrying import (
    BEGUN,
    EpochBegun,
    EpochOrder,
    Owed,
    begun,
    carry,
    carry_without_records,
    count_due,
    epoch_of,
    owed,
)
from gateway.store.database import open_reader
from gateway.store.ledger import SCHEMA, Identity, identity, number_at, open_ledger
from gateway.store.mending import nothing, open_what_reads
from gateway.store.soundness import find_damage, is_damage
from gateway.store.writer import Writer
from wire.errors import MalformedValue
from wire.records import ClockState, decode, encode
from wire.tombstone import TombstoneReason

_LOGS = ("-wal", "-shm")
_NUMBERS, _STARTS = 2**31 - 1, 2**16
"""Of what is left of the numbers, each start passes over one part in so many at the most: they do not run out."""


@dataclass(slots=True)
class Prepared:
    """What was found at a start. `remarks`: audit events and messages; `blocked`: why an ordered epoch was not begun,
    so that nothing can be sent."""

    remarks: list[tuple[str, str]] = field(default_factory=list)
    blocked: str | None = None


def _order_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-order.json")


def _next_path(path: Path) -> Path:
    """The new store, whole."""
    return path.with_name(f"{path.stem}-next.db")


def _building_path(path: Path) -> Path:
    """The new store while it is built."""
    return path.with_name(f"{path.stem}-building.db")


def _copy_path(path: Path) -> Path:
    """The old store as far as it can be mended for reading."""
    return path.with_name(f"{path.stem}-mended.db")


def order_epoch(path: Path, order: EpochOrder) -> None:
    """Have a new epoch begun at the next start of the ledger at `path`; durable on return. Raises StoreError."""
    target = _order_path(path)
    temporary = target.with_suffix(".new")
    try:
        with temporary.open("wb") as file:
            file.write(encode(order))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(path)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}; a new epoch is due and cannot be noted") from error


def prepare_ledger(path: Path, gateway_id: str, now: Moment, owe_from: int | None = OWE_FROM) -> Prepared:
    """See that the ledger at `path` can be opened and gone on with; a sound one takes some 50 ms. More than `owe_from`
    records that a new epoch has to carry are left for later; None: they never are.

    Raises:
        StoreError: it is damaged and there is no room for a new one, or it cannot be read.
    """
    prepared = Prepared()
    _finish(path)
    if not path.exists():
        _order_path(path).unlink(missing_ok=True)
        return prepared
    ordered = _read_order(path)
    found = find_damage(path, SCHEMA.application_id)
    if found is not None:
        # Damage outweighs what was ordered: what the hub has is then told by the file's own memory.
        ordered = EpochOrder(epoch=_epoch_in(path), reason=TombstoneReason.DAMAGE, message=found)
    if ordered is not None:
        try:
            note = _begin(path, gateway_id, ordered, now, owe_from)
        except (StoreError, OSError, sqlite3.Error) as error:
            if ordered.reason is TombstoneReason.DAMAGE:
                raise StoreError(
                    f"{path} is damaged ({ordered.message}), and no new one can be built: {error}"
                ) from error
            prepared.blocked = f"{ordered.message}; a new epoch cannot be begun: {error}"
        else:
            prepared.remarks.append(("epoch-begun", _sentence(path, note)))
    return prepared


def open_writer(
    path: Path, gateway_id: str, make: Callable[[], Writer], now: Moment, owe_from: int | None = OWE_FROM
) -> tuple[Writer, Prepared]:
    """The writer of the ledger at `path`, once that is sound, and what was found. Damage that only shows when it is
    opened ends its epoch too. Raises StoreError, as `prepare_ledger` and `make` do."""
    prepared = prepare_ledger(path, gateway_id, now, owe_from)
    try:
        return make(), prepared
    except StoreError as error:
        if not is_damage(error.__cause__):
            raise
        order = EpochOrder(epoch=_epoch_in(path), reason=TombstoneReason.DAMAGE, message=str(error.__cause__))
    order_epoch(path, order)
    prepared = prepare_ledger(path, gateway_id, now, owe_from)
    return make(), prepared


def jump_numbers(connection: sqlite3.Connection, now: Moment, draw: Callable[[int], int] = secrets.randbelow) -> None:
    """Let the numbers of commands go on from the figure of the time, where there is one, and by chance a bit further:
    what was given by a history that this store has forgotten does not come again. To be called inside a transaction.
    `draw(n)`: one of 0 to n - 1."""
    (given,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'commands'").fetchone()
    if now.clock is not ClockState.UNKNOWN:
        given = max(given, number_at(now.at))
    given += draw(max((_NUMBERS - given) // _STARTS, 1))
    connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'commands'", (given,))


def _sentence(path: Path, note: EpochBegun) -> str:
    with closing(open_reader(path)) as connection:
        debt = owed(connection)
    continues, lost = note.continues, sum(each.count for each in note.lost)
    became = f"{note.carried} records carried, {lost} lost"
    if debt is not None and debt.kept_as == note.kept_as:
        continues, became = debt.continues, f"{debt.last - debt.after} records are carried while the site is served"
    where = "" if continues is None else f"; continues epoch {continues.epoch} from record {continues.seq}"
    return f"{note.reason.value}: {note.message}{where}; {became}; the old file is kept as {note.kept_as}"


def _read_order(path: Path) -> EpochOrder | None:
    """What was ordered of the epoch that the store is in; an order of another one is over."""
    target = _order_path(path)
    try:
        order = decode(EpochOrder, target.read_bytes(), "order")
    except FileNotFoundError:
        return None
    except (OSError, MalformedValue):
        target.unlink(missing_ok=True)
        return None
    present = _epoch_in(path)
    if present == order.epoch or (not present and order.reason is TombstoneReason.DAMAGE):
        return order
    target.unlink(missing_ok=True)
    return None


def _epoch_in(path: Path) -> str:
    """The epoch of a store, as far as it reads; empty when it does not."""
    try:
        with closing(open_reader(path)) as connection:
            return epoch_of(connection) or ""
    except StoreError as error:
        if is_damage(error.__cause__):
            return ""
        raise


def _begin(path: Path, gateway_id: str, order: EpochOrder, now: Moment, owe_from: int | None) -> EpochBegun:
    """Build, and put in place. Raises StoreError, sqlite3.Error, OSError; the old store is where it was then."""
    building = _building_path(path)
    _remove(building)
    kept_as = free_name(path, order.reason, now)
    try:
        note = _build(path, building, Identity(gateway_id, os.urandom(8).hex()), order, kept_as, now, owe_from)
    except (StoreError, OSError, sqlite3.Error):
        _remove(building)
        _remove(_copy_path(path))
        raise
    _sync_file(building)
    building.replace(_next_path(path))
    _sync_folder(path)
    path.replace(path.with_name(kept_as))
    _sync_folder(path)
    _finish(path)
    return note


def _build(
    path: Path, building: Path, owner: Identity, order: EpochOrder, kept_as: str, now: Moment, owe_from: int | None
) -> EpochBegun:
    with closing(open_ledger(building, owner.gateway_id, owner.epoch, now.at)) as target:
        target.execute("PRAGMA synchronous=OFF")  # It is not in use before all of it was synced.
        with ExitStack() as opened:
            source = opened.enter_context(closing(open_what_reads(path, _copy_path(path))))
            _require_same_gateway(source, path, owner)
            if _leaves_records(source, owner, order, owe_from):
                note = carry_without_records(source, target, owner, order, kept_as, now)
            else:
                earlier = [_piece(path.with_name(piece.kept_as), opened) for piece in order.before]
                note = carry(source, target, owner, order, kept_as, now, earlier)
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return note


def _leaves_records(source: sqlite3.Connection, owner: Identity, order: EpochOrder, owe_from: int | None) -> bool:
    """Whether the records are left for later (rule 4). Not where some are owed already, or others come in front: that
    is too seldom to be worth a third epoch."""
    if owe_from is None or order.before or owed(source) is not None:
        return False
    return count_due(source, owner, order) > owe_from


def _piece(kept: Path, opened: ExitStack) -> sqlite3.Connection:
    """A file that was set aside, for reading; nothing, where it is gone."""
    if not kept.exists():
        return opened.enter_context(closing(nothing()))
    opened.callback(_remove, _copy_path(kept))
    return opened.enter_context(closing(open_what_reads(kept, _copy_path(kept))))


def _require_same_gateway(source: sqlite3.Connection, path: Path, owner: Identity) -> None:
    try:
        found = identity(source).gateway_id
    except (sqlite3.Error, TypeError):
        return
    if found != owner.gateway_id:
        raise StoreError(f"{path} belongs to gateway {found!r}, the configuration says {owner.gateway_id!r}")


def _finish(path: Path) -> None:
    """Put a new store in place whose old one was set aside already, and clear away what a kill left. Rule 2."""
    _remove(_building_path(path))
    _remove(_copy_path(path))
    upcoming = _next_path(path)
    if not upcoming.exists():
        return
    if path.exists():
        _remove(upcoming)  # Killed before the old one was set aside: it may have been written to since.
        return
    with closing(sqlite3.connect(upcoming, isolation_level=None)) as connection:
        note = begun(connection)
    if note is None:
        raise StoreError(f"{upcoming} does not say what it continues; move it aside and keep it")
    for suffix in _LOGS:
        log = path.with_name(path.name + suffix)
        if log.exists():
            log.replace(path.with_name(note.kept_as + suffix))
    _sync_folder(path)
    for suffix in _LOGS:
        upcoming.with_name(upcoming.name + suffix).unlink(missing_ok=True)
    upcoming.replace(path)
    _order_path(path).unlink(missing_ok=True)
    _sync_folder(path)


def found_arrears(path: Path, debt: Owed, gateway_id: str, now: Moment) -> None:
    """Make the file of the arrears of the ledger at `path`, if it is not there. Raises StoreError, sqlite3.Error,
    OSError."""
    arrears = arrears_path(path)
    if arrears.exists():
        return
    building = _building_path(arrears)
    with closing(open_reader(path)) as connection:
        note = begun(connection)
    with closing(open_ledger(building, gateway_id, os.urandom(8).hex(), now.at)) as connection:
        if note is not None:
            note = msgspec.structs.replace(note, continues=debt.continues)
            connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (BEGUN, encode(note).decode()))
    building.replace(arrears)
    _sync_folder(path)


def put_away_arrears(path: Path, now: Moment) -> None:
    """Set the file of arrears aside that the ledger at `path` does not owe any more, as that ledger calls it. It must
    not be open. Raises OSError."""
    arrears = arrears_path(path)
    if not arrears.exists():
        return
    with closing(open_reader(path)) as connection:
        note = begun(connection)
    taken = note is None or path.with_name(note.kept_as).exists()
    kept = path.with_name(free_name(path, TombstoneReason.OLD_IMAGE, now) if note is None or taken else note.kept_as)
    arrears.with_name(f"{arrears.name}-shm").unlink(missing_ok=True)
    for suffix in ("-wal", ""):
        if (part := arrears.with_name(arrears.name + suffix)).exists():
            part.replace(kept.with_name(kept.name + suffix))
    _sync_folder(path)


def free_name(path: Path, reason: TombstoneReason, now: Moment) -> str:
    """A name, for a file that is set aside, that none beside the ledger at `path` has yet."""
    what = "damaged" if reason is TombstoneReason.DAMAGE else "superseded"
    stem = f"{path.stem}-{what}-{now.at:%Y%m%dT%H%M%SZ}"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    return next(f"{name}.db" for name in names if not path.with_name(f"{name}.db").exists())


def _remove(path: Path) -> None:
    for suffix in ("", *_LOGS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Make the names in the folder of `path` durable."""
    _sync_file(path.parent)
