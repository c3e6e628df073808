"""What the provable ledger costs: `python -m bench.ledger`. Prints Markdown and leaves nothing behind; about three
minutes and 2 GB in the temporary folder. `python -m bench.ledger store` prints the first table alone, `million` the
other.

*plain* is the same insert of the same encoded body into the same table, with the same synchronous=FULL, and nothing of
the ledger: no salt, commitment, hash or tile; in the columns of salt and hash stand constants of the same length.
Either way writes into a file of its own on the same disk, commit by commit in turns. Compared are the medians of the
time on the wall, commits included: the ratio is ledger by plain, so 1.00 is the limit and more is worse.

1. *rows alone*: a transaction with so many inserts and nothing else, the least that storing can be.
2. *through the writer*: as the gateway stores, by `Writer.run`, each record in a savepoint of its own.
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
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from gateway.clock import Clock, Moment
from gateway.ledger.verify import verify_ledger
from gateway.store.database import open_writer
from gateway.store.ledger import SCHEMA, Identity, append, head, open_ledger, open_ledger_reader
from gateway.store.tree import KeptTree, log_key, prove_inclusion, sign_head
from gateway.store.writer import Writer
from wire.chain import RecordKind, instant_text
from wire.merkle import TiledTree, consistency_proof
from wire.records import TransactionEntry, TransactionEvent, encode

OWNER = Identity("site-1", "epoch-1")
COMMITS = {1: 1500, 100: 300}
"""By records in each: how many of either way."""
STORE_MUST, PROOF_MUST_S, HEAD_MUST_S = 1.15, 0.050, 0.002
MILLION, COMMIT = 1_000_000, 500
_BOOT = "11111111-2222-3333-4444-555555555555"
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
    ocmf = random.Random(6).randbytes(480).hex()
    return TransactionEntry(
        charger_id="CP-0001",
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id="0f6bd3e1-0001",
        frame=f'[2,"0f6bd3e1-0001","TransactionEvent",{{"signedMeterData":"{ocmf}"}}]',
        event=TransactionEvent.METER_VALUES,
        reply='[3,"0f6bd3e1-0001",{}]',
        session_id="site-1/CP-0001/7f6e5d4c",
        transaction_id="7f6e5d4c",
    )


def _plain(entry: TransactionEntry) -> Callable[[sqlite3.Connection, Moment], int]:
    def store(connection: sqlite3.Connection, now: Moment) -> int:
        body = encode(entry).decode()
        kind, clock = RecordKind.TRANSACTION.value, now.clock.value
        row = (kind, instant_text(now.at), now.boot_id, now.mono_ns, clock, body, _HASH, _SALT)
        return connection.execute(_PLAIN, row).lastrowid or 0

    return store


def _ledger(entry: TransactionEntry) -> Callable[[sqlite3.Connection, Moment], int]:
    return lambda connection, now: append(connection, OWNER, RecordKind.TRANSACTION, entry, now)


def _store(folder: Path) -> None:
    entry = _entry()
    size = len(encode(entry))
    print(f"\n| records of {size:,} octets | plain, us a record | ledger, us | ratio | CPU, us more | must |")
    print("|---|---|---|---|---|---|")
    for each in COMMITS:
        _row(f"rows alone, {each} a commit", _rows_alone(folder, entry, each), None)
        _row(f"through the writer, {each} a commit", asyncio.run(_through_writer(folder, entry, each)), STORE_MUST)


Spent = tuple[float, float]
"""Seconds a record: of the clock on the wall, of the processor."""


def _row(name: str, pairs: list[tuple[Spent, Spent]], must: float | None) -> None:
    plain, ledger = (median(pair[side][0] for pair in pairs) * 1e6 for side in (0, 1))
    cpu, cpu_ledger = (median(pair[side][1] for pair in pairs) * 1e6 for side in (0, 1))
    ratio, more = f"{ledger / plain:.2f}", f"{cpu_ledger - cpu:.1f} on {cpu:.1f}"
    print(f"| {name} | {plain:.1f} | {ledger:.1f} | {ratio} | {more} | {must or ''} |", flush=True)


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
                    store(connection, clock.now())
                connection.execute("COMMIT")
                return (perf_counter() - begun) / each, (process_time() - spent) / each

            return [(commit(0), commit(1)) for _ in range(COMMITS[each])]


async def _through_writer(folder: Path, entry: TransactionEntry, each: int) -> list[tuple[Spent, Spent]]:
    clock = Clock(_BOOT)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        one, other = Path(name) / "plain.db", Path(name) / "ledger.db"
        writers = Writer(lambda: open_writer(one, SCHEMA)), Writer(lambda: _opened(other))
        stores = _plain(entry), _ledger(entry)

        async def stored(way: int) -> None:
            now, store = clock.now(), stores[way]
            await writers[way].run(lambda connection: store(connection, now))

        async def commit(way: int) -> Spent:
            begun, spent = perf_counter(), process_time()
            await asyncio.gather(*(stored(way) for _ in range(each)))
            return (perf_counter() - begun) / each, (process_time() - spent) / each

        found = [(await commit(0), await commit(1)) for _ in range(COMMITS[each])]
        for writer in writers:
            await writer.close()
        return found


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


def _once(work: Callable[[], object]) -> float:
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _spread(name: str, took: list[float], must: float) -> str:
    took.sort()
    shown = f"{median(took) * 1e3:.2f} ms, 99 of 100 below {took[int(len(took) * 0.99)] * 1e3:.2f} ms"
    return f"| {name} | {shown} | {must * 1e3:.0f} ms |"


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


def _tell(what: str, done: int, total: int) -> None:
    if done % (total // 10) == 0:
        print(f"{what} {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
