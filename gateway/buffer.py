"""`pnc-gateway buffer`: what waits for the hub, and for how long there is room."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import click

from gateway.clock import read_boot_id
from gateway.clock_watch import open_clock
from gateway.config import Settings
from gateway.errors import StoreError
from gateway.given import config_option, fail, settings_of
from gateway.outlook import EXIT_DEGRADED, ocpi_lines
from gateway.room import Standing, standing
from gateway.status import read_ocpi_standing
from gateway.store.budget import FROM_PERCENT, MB, Level
from gateway.store.ledger import acked_seq, halted, head, identity, open_ledger_reader
from gateway.store.ocpi_seen import OCPIStanding
from gateway.wording import counted, instant
from wire.records import Value, encode

_RATE_OVER = timedelta(hours=1)
_LONGEST = timedelta(days=3652)
_TELLING = 1000
"""Records of which the size of the file tells what one takes."""


class Buffer(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What waits. `records_per_hour`: stored in the last hour. `octets_per_record`: of the whole file, by its records;
    None while these are few. `room_for_s`: for how many seconds there is room at that rate until periodic values are
    not stored any more; None when that cannot be told, nothing is stored, or for longer than ten years."""

    gateway_id: str
    epoch: str
    head_seq: int
    acked_seq: int
    backlog: int
    oldest_unsent_at: datetime | None
    records_per_hour: int
    octets_per_record: int | None
    room_for_s: int | None
    room: Standing
    halted: str | None
    ocpi: OCPIStanding | None


def read_buffer(settings: Settings, at: datetime) -> Buffer:
    """What waits at the instant `at`; a few milliseconds, however much that is. Raises StoreError."""
    with closing(open_ledger_reader(settings.ledger_path)) as ledger:
        try:
            return _read(ledger, settings, at)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{settings.ledger_path}: {error}") from error


def _read(ledger: sqlite3.Connection, settings: Settings, at: datetime) -> Buffer:
    owner, last, acked, room = identity(ledger), head(ledger).seq, acked_seq(ledger), standing(settings.room(), ledger)
    lately = last - _last_before(ledger, room.dropped, last, at - _RATE_OVER)
    held = last - room.dropped
    octets = room.used // held if held >= _TELLING else None
    left = max(0, room.budget * FROM_PERCENT[Level.SPENT] // 100 - room.used)
    left = min(left, max(0, room.free - settings.room().keep_free))
    seconds = left / (lately * octets) * _RATE_OVER.total_seconds() if lately and octets else None
    return Buffer(
        gateway_id=owner.gateway_id,
        epoch=owner.epoch,
        head_seq=last,
        acked_seq=acked,
        backlog=last - acked,
        oldest_unsent_at=_at(ledger, acked + 1),
        records_per_hour=lately,
        octets_per_record=octets,
        room_for_s=None if seconds is None or seconds > _LONGEST.total_seconds() else int(seconds),
        room=room,
        halted=halted(ledger),
        ocpi=read_ocpi_standing(settings),
    )


def _at(ledger: sqlite3.Connection, seq: int) -> datetime | None:
    row = ledger.execute("SELECT at FROM records WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else datetime.fromisoformat(row[0])


def _last_before(ledger: sqlite3.Connection, first: int, last: int, at: datetime) -> int:
    """The number of the last record from before an instant, by halving: times rise with numbers, but for clocks that
    were set."""
    while first < last:
        middle = (first + last + 1) // 2
        found = _at(ledger, middle)
        if found is None or found < at:
            first = middle
        else:
            last = middle - 1
    return first


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def buffer(config: Path, as_json: bool) -> None:
    """Show what waits for the hub, and for how long there is room.

    Running or stopped. Ends with 1 when values give way for want of room, or when nothing is sent any more.
    """
    settings = settings_of(config)
    now = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID"))).now().at
    try:
        found = read_buffer(settings, now)
    except StoreError as error:
        fail(str(error))
    click.echo(encode(found) if as_json else "\n".join(_lines(found)))
    if found.halted is not None or Level[found.room.level.upper()] >= Level.SCARCE:
        sys.exit(EXIT_DEGRADED)


def _lines(found: Buffer) -> list[str]:
    room = found.room
    oldest = f", the oldest from {instant(found.oldest_unsent_at)}" if found.oldest_unsent_at else ""
    used = f"{room.used // MB} of {room.budget // MB} MB used, {room.free // MB} MB free on the disk"
    lines = [
        f"to send      {counted(found.backlog, 'record')}{oldest}",
        f"stored       {counted(found.records_per_hour, 'record')} in the last hour"
        + ("" if found.octets_per_record is None else f", {found.octets_per_record} octets each"),
        f"room         {room.level}, {used}; {_span(found)}",
        f"log          {room.wal // 1000} kB of write-ahead log",
        f"ballast      {'there' if room.ballast else 'NOT THERE'}",
    ]
    if room.dropped:
        lines.append(f"dropped      rows up to record {room.dropped}, which the hub has")
    if room.unkept:
        lines.append(f"NOT KEPT     {counted(room.unkept, 'message')}, acknowledged and counted")
    lines += [] if found.ocpi is None else ocpi_lines(found.ocpi)
    if found.halted is not None:
        lines.append(f"UPLINK HALTED: {found.halted}\n  what to do: docs/operations.md, A halted uplink")
    return lines


def _span(found: Buffer) -> str:
    if found.octets_per_record is None:
        return "too early to tell for how long"
    if found.room_for_s is None:
        return "for longer than ten years at this rate" if found.records_per_hour else "nothing was stored lately"
    if not found.room_for_s:
        return "for no more periodic values"
    hours = found.room_for_s / 3600
    return f"for {hours / 24:.1f} days at this rate" if hours >= 48 else f"for {hours:.1f} hours at this rate"
