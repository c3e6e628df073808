"""What storing durably costs: `python -m bench.outbox`. Prints Markdown and leaves nothing behind; about a minute and
100 MB in the temporary folder, which must lie on a real disk: without one nothing here means anything.

*bare* is the least that a durable record can be: its octets appended to an open file, then fdatasync. Ours is the
record of a periodic value of the same octets as a station's is stored: by one writer for all (`gateway.store.writer`),
chained, salted and hashed, each producer answered after the COMMIT that holds its record.

Bare, one and 100 producers take turns of a tenth of a second. Others use machine and disk too, so what is compared is
the time that a tenth of the turns are faster than.

1. *one producer*: the next record is handed in when the last is durable. Bare time by ours: 1.00 is the limit and less
   is worse.
2. *100 producers*: so many tasks that do the same, by the rate of one.
3. *written*: what this process gave to the disk (`write_bytes` of /proc/self/io) for records of which 100 wait at a
   time, the checkpoints included; in units of 1,000 octets. *device*: the sectors of the whole disk meanwhile, others'
   too, so an upper bound.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import msgspec

from gateway.clock import Clock, Moment
from gateway.store.ledger import Identity, append, open_ledger
from gateway.store.writer import Writer
from wire.chain import RecordKind
from wire.records import TransactionEntry, TransactionEvent, encode

OWNER = Identity("site-1", "epoch-1")
SIZE = 1024
ROUNDS, EACH, MANY = 100, 20, 100
OF_MANY = 10
"""Records of each of the many in a turn."""
WRITTEN = 30_000
MUST_ONE, AIM_ONE, MUST_MANY, AIM_MANY, MUST_KB, AIM_KB = 0.6, 0.7, 10, 12, 3.5, 3.0
_BOOT = "11111111-2222-3333-4444-555555555555"
_SECTOR = 512


def main() -> None:
    """Print the table."""
    print(f"# {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(prefix="bench-outbox-") as folder:
        asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> None:
    entry = _entry()
    octets = encode(entry)
    bare_file = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writer = Writer(lambda: open_ledger(folder / "ledger.db", *_of(OWNER), datetime.now(UTC)))
    clock = Clock(_BOOT)

    async def produce(times: int) -> None:
        for _ in range(times):
            await writer.run(partial(_store, entry, clock.now()))

    bare, one, many = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        bare.append(_bare(bare_file, octets) / EACH)
        one.append(await _timed(produce(EACH)) / EACH)
        many.append(await _timed(_all(produce(OF_MANY) for _ in range(MANY))) / (MANY * OF_MANY))
    os.close(bare_file)
    print(f"\n| durable records of {len(octets):,} octets | measured | must | aim |\n|---|---|---|---|")
    print(f"| bare append and fdatasync | {_rate(bare)} a second | | |")
    print(f"| one producer | {_rate(one)} a second | | |")
    print(f"| {MANY} producers | {_rate(many)} a second | | |")
    print(f"| one producer over bare | {_tenth(bare) / _tenth(one):.2f} | {MUST_ONE} | {AIM_ONE} |")
    print(f"| {MANY} producers over one | {_tenth(one) / _tenth(many):.1f} | {MUST_MANY} | {AIM_MANY} |")
    written, device = _written(), _device_sectors(folder)
    await _all(produce(WRITTEN // MANY) for _ in range(MANY))
    await writer.close()
    per = (_written() - written) / WRITTEN / 1000
    print(f"| written a record, {MANY} a commit | {per:.2f} kB | {MUST_KB} kB | {AIM_KB:.1f} kB |")
    if device is not None:
        sectors = (_device_sectors(folder) or device) - device
        print(f"| device, the same | {sectors * _SECTOR / WRITTEN / 1000:.2f} kB | {MUST_KB} kB | {AIM_KB:.1f} kB |")


def _entry() -> TransactionEntry:
    """A periodic value without signature, of `SIZE` octets as it is recorded."""
    frame = '[2,"0f6bd3e1-0001","MeterValues",{"connectorId":1,"transactionId":4711,"meterValue":[]}]'
    entry = TransactionEntry(
        charger_id="CP-0001",
        ocpp="1.6",
        action="MeterValues",
        message_id="0f6bd3e1-0001",
        frame=frame,
        event=TransactionEvent.METER_VALUES,
        reply='[3,"0f6bd3e1-0001",{}]',
        session_id="site-1/CP-0001/4711",
        transaction_id="4711",
    )
    values = "0" * (SIZE - len(encode(entry)))
    return msgspec.structs.replace(entry, frame=frame.replace("[]", f"[{values}]"))


def _store(entry: TransactionEntry, now: Moment, connection: sqlite3.Connection) -> int:
    return append(connection, OWNER, RecordKind.TRANSACTION, entry, now)


def _of(owner: Identity) -> tuple[str, str]:
    return owner.gateway_id, owner.epoch


def _bare(descriptor: int, octets: bytes) -> float:
    begun = perf_counter()
    for _ in range(EACH):
        os.write(descriptor, octets)
        os.fdatasync(descriptor)
    return perf_counter() - begun


async def _all(producers: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*producers)


async def _timed(work: Awaitable[None]) -> float:
    begun = perf_counter()
    await work
    return perf_counter() - begun


def _rate(seconds: list[float]) -> str:
    return f"{1 / _tenth(seconds):,.0f}"


def _tenth(seconds: list[float]) -> float:
    """What a tenth of them are below."""
    return sorted(seconds)[len(seconds) // 10]


def _written() -> int:
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _device_sectors(folder: Path) -> int | None:
    """What the disk under a folder was given since the machine started; None where that cannot be told."""
    device = os.stat(folder).st_dev
    for line in Path("/proc/diskstats").read_text("ascii").splitlines():
        major, minor, _, *counts = line.split()
        if (int(major), int(minor)) == (os.major(device), os.minor(device)):
            return int(counts[6])
    print("no figures of this disk in /proc/diskstats", file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
