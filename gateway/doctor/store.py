"""The ledger and the list of tokens: whole, with room, and known to the hub."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from gateway.config import Settings
from gateway.doctor.finding import Finding, fault, good, note, warning
from gateway.errors import StoreError
from gateway.room import Standing, standing
from gateway.status import read_running
from gateway.store.arrears import resting
from gateway.store.budget import MB, WAL_ROOM
from gateway.store.carrying import begun, owed
from gateway.store.ledger import SCHEMA, acked_seq, halted, head, open_ledger_reader
from gateway.store.receipts import troubles
from gateway.store.soundness import find_damage
from gateway.store.whitelist import read_list
from gateway.wording import counted, instant

_LONG_WAITING = timedelta(hours=24)
_LEVELS = {
    "tight": "what the hub has had for a day is let go early; bring the uplink back, or raise [ledger] max_mb",
    "scarce": "periodic values lose their content; bring the uplink back, or make room on the disk",
    "spent": "periodic values are only counted and new sessions refused; make room now",
}


def ledger(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The chain of records: its newest part sound, its room, what waits, and whether the hub agrees."""
    check, path = "ledger", settings.ledger_path
    if not path.exists():
        yield note(check, "there is none yet", "it is made when the gateway runs first")
        return
    damage = find_damage(path, SCHEMA.application_id)
    if damage is not None:
        yield fault(
            check,
            damage,
            "restart the gateway: it sets the file aside, and goes on with what is sound (docs/operations.md)",
        )
        return
    try:
        with closing(open_ledger_reader(path)) as connection:
            yield from _ledger(connection, settings, at)
    except StoreError as error:
        yield fault(check, str(error), "see docs/operations.md, *A damaged store, an old image: new epochs*")


def _ledger(connection: sqlite3.Connection, settings: Settings, at: datetime) -> Iterator[Finding]:
    last, acked = head(connection).seq, acked_seq(connection)
    yield good("ledger", f"{counted(last, 'record')}, the newest of them fit their hashes")
    yield from _new_epoch(connection, settings)
    stopped = halted(connection)
    if stopped is not None:
        yield fault("ledger", f"nothing is sent to the hub: {stopped}", "docs/operations.md, *A halted uplink*")
    for trouble in troubles(connection):
        yield fault("ledger", f"{trouble.kind.value}: {trouble.message}", "docs/operations.md, *The ledger*")
    yield from _waiting(connection, last - acked, acked, at)
    yield from _room(standing(settings.room(), connection), settings, at)


def _new_epoch(connection: sqlite3.Connection, settings: Settings) -> Iterator[Finding]:
    """That this epoch goes on from another one: while its file is there, or its records are owed."""
    new, debt = begun(connection), owed(connection)
    if new is None or (debt is None and not (settings.state_dir / new.kept_as).exists()):
        return
    told = f"a new epoch began {instant(new.at)} ({new.reason.value}): {new.message}"
    if debt is None:
        yield warning("ledger", told, f"look into {new.kept_as}, keep a copy of it, then remove it")
    elif settings.speaks_ocpi:
        told += f"; {resting(settings.ledger_path, debt)}"
        yield warning("ledger", told, f"leave {debt.kept_as} where it is until a hub of ours has its records")
    else:
        remedy = f"leave {debt.kept_as} where it is: records are still carried from it (`pnc-gateway status`)"
        yield warning("ledger", told, remedy)


def _waiting(connection: sqlite3.Connection, backlog: int, acked: int, at: datetime) -> Iterator[Finding]:
    if not backlog:
        yield good("backlog", "the hub has everything")
        return
    row = connection.execute("SELECT at FROM records WHERE seq = ?", (acked + 1,)).fetchone()
    oldest = None if row is None else datetime.fromisoformat(row[0])
    told = f"{counted(backlog, 'record')} for the hub" + (f", the oldest from {instant(oldest)}" if oldest else "")
    if oldest is not None and at - oldest > _LONG_WAITING:
        yield warning("backlog", told, "see *uplink* below")
    else:
        yield note("backlog", told)


def _room(room: Standing, settings: Settings, at: datetime) -> Iterator[Finding]:
    told = f"{room.level}: {room.used // MB} of {room.budget // MB} MB used, {room.free // MB} MB free on the disk"
    if room.level in _LEVELS and room.free < 3 * settings.room().keep_free:
        told += f", of which [ledger] keep_free_mb keeps {settings.room().keep_free // MB} MB for others"
    told += _wear(settings, at)
    if room.level in _LEVELS:
        yield (fault if room.level == "spent" else warning)("room", told, _LEVELS[room.level])
    else:
        yield good("room", told)
    if room.unkept:
        yield warning("room", f"{counted(room.unkept, 'message')} were acknowledged and not stored", _LEVELS["spent"])
    if not room.ballast and settings.room().ballast:
        yield warning("room", "the ballast is not there", "make room: it is made again by itself when there is some")
    if room.wal > WAL_ROOM:
        message = f"the write-ahead log has {room.wal // MB} MB: something reads the ledger without an end"
        yield warning("room", message, "stop that program, as a backup or a shell with the database open")


def _wear(settings: Settings, at: datetime) -> str:
    """What the running gateway writes a day, once it runs for an hour: flash wears out."""
    running = read_running(settings)
    if running is None or running.since is None or running.vitals is None or running.vitals.written is None:
        return ""
    ran = at - running.since
    if ran < timedelta(hours=1):
        return ""
    a_day = running.vitals.written / (ran / timedelta(days=1))
    return f"; {a_day / 1e6:,.0f} MB written a day, {a_day * 3652 / 1e12:.1f} TB in ten years"


def whitelist(settings: Settings, at: datetime) -> Iterator[Finding]:
    """The list of tokens that drivers without an uplink are decided by."""
    check = "whitelist"
    try:
        found = read_list(settings.whitelist_path)
    except StoreError as error:
        if settings.ledger_path.exists():
            yield fault(check, str(error), "restart the gateway: it sets the file aside and fetches the list anew")
        else:
            yield note(check, "there is none yet", "it comes from the hub")
        return
    running = read_running(settings)
    view = None if running is None or running.vitals is None else running.vitals.whitelist
    for code, count in sorted({} if view is None else view.refused.items()):
        yield warning(check, f"{code}: refused {counted(count, 'time')}", "docs/operations.md, *The token list*")
    if view is not None and view.progress is not None:
        there = f"{view.progress.parts_there} of {counted(view.progress.parts, 'part')}"
        yield note(check, f"a snapshot comes in: {there}, {view.progress.tokens_built:,} tokens built in")
    told = f"version {found.version}, {counted(found.tokens, 'token')}"
    if not found.version:
        yield warning(check, "empty: no driver is known while the uplink is away", "publish tokens at the hub")
    elif found.confirmed_at is None:
        yield note(check, f"{told}, not confirmed by the hub yet")
    elif at - found.confirmed_at > timedelta(hours=settings.table.policy.list_max_age_h):
        old = f"{told}, last confirmed {instant(found.confirmed_at)}: too old for [policy] list_max_age_h"
        yield warning(check, old, "bring the uplink back; [policy] stale_list_offline decides meanwhile")
    else:
        yield good(check, f"{told}, confirmed by the hub {instant(found.confirmed_at)}")
