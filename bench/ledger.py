"""What the provable ledger costs: `python -m bench.ledger`. Prints Markdown and leaves nothing behind; about three
minutes and 2 GB in the temporary folder. `python -m bench.ledger store` prints the first table alone, `million` the
other.

*plain* is the same insert of the same encoded body into the same table, with the same synchronous=FULL, and nothing of
the ledger: no salt, commitment, hash or tile; in the columns of salt and hash stand constants of the same length.
Either way writes into a file of its own on the same disk, commit by commit in turns. Compared is the time on the wall,
commits included, of the commit that a tenth of all are faster than, because others use machine and disk too; CPU is of
the process, taken alike. The ratio is ledger by plain, so 1.00 is the limit and more is worse.

1. *rows alone*: a transaction with so many inserts and nothing else, the least that storing can be.
2. *through the writer*: as the gateway stores, by `Writer.run`, each record a piece of work of its own.
3. *a station's message*: a TransactionEvent with a signed value, through the writer by `store_message`: looked for,
   given to its session, recorded, remembered for its repetition. Reading and answering it are not in it.
"""

from __future__ import annotations

import asyncio
import platform
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from gateway.clock import Clock, Moment
from gateway.ledger.verify import verify_ledger
from gateway.store.arrivals import Arrival
from gateway.store.database import open_writer
from gateway.store.ledger import SCHEMA, Identity, append, head, open_ledger, open_ledger_reader
from gateway.store.tip import LedgerConnection, Tip
from gateway.store.transactions import store_message
from gateway.store.tree import KeptTree, log_key, prove_inclusion, sign_head
from gateway.store.writer import Work, Writer
from wire.chain import RecordKind, Stamp, instant_text
from wire.merkle import TiledTree, consistency_proof
from wire.ocpp.content import message_keys
from wire.ocpp.transaction import read_transaction
from wire.records import TransactionEntry, TransactionEvent, encode

OWNER = Identity("site-1", "epoch-1")
COMMITS = {1: 1500, 100: 300}
"""By records in each: how many of either way."""
STORE_MUST, PROOF_MUST_S, HEAD_MUST_S = 1.15, 0.050, 0.002
MILLION, COMMIT = 1_000_000, 500
_BOOT = "11111111-2222-3333-4444-555555555555"
_OCMF = random.Random(6).randbytes(480).hex()
_HASH, _SALT = "a" * 64, "b" * 32
_PLAIN = "INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"


def main() -> None:
    """Print the tables that are asked for."""
    wanted = sys.argv[1:] or ["store", "million"]
    print(f"# {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as held:
        if "store" in wanted:
            _store(Path(held))
        if "million" in wanted:
            _million(Path(held))


def _entry() -> TransactionEntry:
    """A message with a signed value, as it is recorded: some 1.2 KB."""
    return TransactionEntry(
        charger_id="CP-0001",
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id="0f6bd3e1-0001",
        frame=f'[2,"0f6bd3e1-0001","TransactionEvent",{{"signedMeterData":"{_OCMF}"}}]',
        event=TransactionEvent.METER_VALUES,
        reply='[3,"0f6bd3e1-0001",{}]',
        session_id="site-1/CP-0001/7f6e5d4c",
        transaction_id="7f6e5d4c",
    )


def _plain(entry: TransactionEntry) -> Store:
    def store(now: Moment, connection: sqlite3.Connection) -> int:
        body = encode(entry).decode()
        kind, clock = RecordKind.TRANSACTION.value, now.clock.value
        row = (kind, instant_text(now.at), now.boot_id, now.mono_ns, clock, body, _HASH, _SALT)
        return connection.execute(_PLAIN, row).lastrowid or 0

    return store


def _ledger(entry: TransactionEntry) -> Store:
    return lambda now, connection: append(connection, OWNER, RecordKind.TRANSACTION, entry, now)


Store = Callable[[Moment, sqlite3.Connection], int]
Prepared = Callable[[Moment], Work[object]]
"""Makes a piece of work, for the moment in which it is stored."""


def _arrival(event: str, number: int, now: Moment) -> Arrival:
    sampled = {"value": number, "signedMeterValue": {"signedMeterData": _OCMF, "encodingMethod": "OCMF"}}
    sampled["signedMeterValue"] |= {"signingMethod": "", "publicKey": ""}
    payload = {
        "eventType": event,
        "timestamp": instant_text(now.at).replace("+00:00", "Z"),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": "7f6e5d4c"},
        "evse": {"id": 1},
        "meterValue": [{"timestamp": "2026-11-23T12:00:00Z", "sampledValue": [sampled]}],
    }
    data = encode(payload)
    return Arrival(
        charger_id="CP-0001",
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id=f"0f6bd3e1-{number}",
        payload=data,
        keys=message_keys("TransactionEvent", data),
        frame=f'[2,"0f6bd3e1-{number}","TransactionEvent",{data.decode()}]',
        now=now,
        message=read_transaction("2.0.1", "TransactionEvent", data),
    )


_numbers = count(1)


def _message(now: Moment) -> Work[object]:
    arrival = _arrival("Updated", next(_numbers), now)
    return lambda connection: store_message(connection, OWNER, arrival, lambda number: b"{}")


def _store(folder: Path) -> None:
    entry = _entry()
    size = len(encode(entry))
    print(f"\n| records of {size:,} octets | plain, us | ledger, us | ratio | must | plain, CPU us | ledger, CPU us |")
    print("|---|---|---|---|---|---|---|")
    for each in COMMITS:
        _row(f"rows alone, {each} a commit", _rows_alone(folder, entry, each), None)
        stores = _plain(entry), _ledger(entry)
        records = _through_writer(folder, tuple(partial(partial, store) for store in stores), each)
        _row(f"through the writer, {each} a commit", records, STORE_MUST)
        _row(f"a station's message, {each} a commit", _through_writer(folder, (_message, _message), each), STORE_MUST)


Spent = tuple[float, float]
"""Seconds a record: of the clock on the wall, of the processor."""


def _row(name: str, pairs: list[tuple[Spent, Spent]], must: float | None) -> None:
    plain, ledger = (_tenth([pair[side][0] for pair in pairs]) for side in (0, 1))
    cpu, cpu_ledger = (_tenth([pair[side][1] for pair in pairs]) for side in (0, 1))
    ratio, of_cpu = f"{ledger / plain:.2f}", f"{cpu:.1f} | {cpu_ledger:.1f}"
    print(f"| {name} | {plain:.1f} | {ledger:.1f} | {ratio} | {must or ''} | {of_cpu} |", flush=True)


def _tenth(seconds: list[float]) -> float:
    """Microseconds that a tenth of them are below."""
    return sorted(seconds)[len(seconds) // 10] * 1e6


def _rows_alone(folder: Path, entry: TransactionEntry, each: int) -> list[tuple[Spent, Spent]]:
    clock = Clock(_BOOT)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        one, other = Path(name) / "plain.db", Path(name) / "ledger.db"
        with closing(open_writer(one, SCHEMA)) as plain, closing(_opened(other)) as ledger:
            ways = (plain, _plain(entry)), (ledger, _ledger(entry))

            def commit(way: int) -> Spent:
                connection, store = ways[way]
                begun, spent = perf_counter(), process_time()
                connection.execute("BEGIN IMMEDIATE")
                for _ in range(each):
                    store(clock.now(), connection)
                connection.execute("COMMIT")
                return (perf_counter() - begun) / each, (process_time() - spent) / each

            return [(commit(0), commit(1)) for _ in range(COMMITS[each])]


def _through_writer(folder: Path, works: tuple[Prepared, Prepared], each: int) -> list[tuple[Spent, Spent]]:
    async def run() -> list[tuple[Spent, Spent]]:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            one, other = Path(name) / "plain.db", Path(name) / "ledger.db"
            writers = Writer(lambda: _without_ledger(one)), Writer(lambda: _opened(other))
            first = _arrival("Started", 0, clock.now())
            for writer in writers:
                await writer.run(lambda connection: store_message(connection, OWNER, first, lambda number: b"{}"))

            async def commit(way: int) -> Spent:
                writer, given = writers[way], [works[way](clock.now()) for _ in range(each)]
                begun, spent = perf_counter(), process_time()
                await asyncio.gather(*(writer.run(work) for work in given))
                return (perf_counter() - begun) / each, (process_time() - spent) / each

            found = [(await commit(0), await commit(1)) for _ in range(COMMITS[each])]
            for writer in writers:
                await writer.close()
            return found

    clock = Clock(_BOOT)
    return asyncio.run(run())


class _Plain(Tip):
    """Stands in the place of the end of a chain, and appends plainly."""

    def append(self, connection: sqlite3.Connection, stamp: Stamp, body: bytes) -> int:
        """The number of the row."""
        return self._insert(_PLAIN, (*stamp, body.decode(), _HASH, _SALT)).lastrowid or 0


def _without_ledger(path: Path) -> sqlite3.Connection:
    connection = _opened(path)
    assert isinstance(connection, LedgerConnection)
    connection.tip = _Plain(connection, (OWNER.gateway_id, OWNER.epoch))
    return connection


def _opened(path: Path) -> sqlite3.Connection:
    return open_ledger(path, OWNER.gateway_id, OWNER.epoch, datetime.now(UTC))


def _million(folder: Path) -> None:
    path = folder / "million.db"
    with closing(_opened(path)) as ledger:
        residents, spent = _fill(ledger)
        size = path.stat().st_size
        print(f"\n| {MILLION:,} records, {size / 1e9:.2f} GB | measured | must |\n|---|---|---|")
        print(f"| appending, {COMMIT} a commit, of the processor | {spent * 1e6:.1f} us a record | |")
        first, *rest = residents
        print(f"| memory, after each tenth | {first:.1f} MB, then {min(rest):.1f} to {max(rest):.1f} MB | flat |")
        for row in _proofs(ledger):
            print(row, flush=True)
        ledger.execute("DELETE FROM tiles")
    begun, spent = perf_counter(), process_time()
    _opened(path).close()
    print(f"| opening a store that has no tiles yet | {_since(begun, spent)} | |", flush=True)
    with closing(open_ledger_reader(path)) as reader:
        begun, spent = perf_counter(), process_time()
        report = verify_ledger(reader, None, lambda done, total: _tell("verified", done, total))
        assert not report.findings
        print(f"| verifying all of it | {_since(begun, spent)} | |")


def _since(begun: float, spent: float) -> str:
    return f"{perf_counter() - begun:.1f} s, of the processor {process_time() - spent:.1f} s"


def _fill(ledger: sqlite3.Connection) -> tuple[list[float], float]:
    """The resident memory in MB after each tenth, and CPU seconds a record."""
    clock, entry, residents = Clock(_BOOT), _entry(), []
    begun = process_time()
    for done in range(0, MILLION, COMMIT):
        ledger.execute("BEGIN IMMEDIATE")
        for _ in range(COMMIT):
            append(ledger, OWNER, RecordKind.TRANSACTION, entry, clock.now())
        ledger.execute("COMMIT")
        if (done + COMMIT) % (MILLION // 10) == 0:
            residents.append(_resident_mb())
            _tell("appended", done + COMMIT, MILLION)
    return residents, (process_time() - begun) / MILLION


def _proofs(ledger: sqlite3.Connection) -> Iterator[str]:
    chance, size, key = random.Random(6), head(ledger).seq, log_key(ledger).key
    pairs = [sorted(chance.sample(range(1, size + 1), 2)) for _ in range(1000)]
    subtree = TiledTree(KeptTree(ledger)).subtree
    took = [_once(partial(consistency_proof, old, new, subtree)) for old, new in pairs]
    yield _spread("consistency proof, any two sizes", took, PROOF_MUST_S)
    took = [_once(partial(prove_inclusion, ledger, seq, size)) for seq, _ in pairs]
    yield _spread("inclusion proof, any record", took, PROOF_MUST_S)
    now = datetime.now(UTC)
    for batch in (1, 500):
        sizes = [(end - batch, end) for _, end in pairs if end > batch]
        took = [_once(partial(sign_head, ledger, key, OWNER.gateway_id, OWNER.epoch, each, now)) for each in sizes]
        yield _spread(f"signed head and proof of a batch of {batch}", took, HEAD_MUST_S)


def _once(work: Callable[[], object]) -> Spent:
    begun, spent = perf_counter(), process_time()
    work()
    return perf_counter() - begun, process_time() - spent


def _spread(name: str, took: list[Spent], must: float) -> str:
    wall, cpu = ([one[side] * 1e3 for one in took] for side in (0, 1))
    most = sorted(cpu)[int(len(cpu) * 0.99)]
    shown = f"{median(wall):.2f} ms; of the processor {median(cpu):.2f}, 99 of 100 below {most:.2f} ms"
    return f"| {name} | {shown} | {must * 1e3:.0f} ms |"


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def _tell(what: str, done: int, total: int) -> None:
    if done % (total // 10) == 0:
        print(f"{what} {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
