"""The tree in the store: tiles come and go with their records, old stores get theirs, a crash leaves whole ones; and
whatever is changed in the file is found and named."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.clock import Moment
from gateway.errors import StoreError
from gateway.ledger.verify import Fault, Finding, LedgerReport, verify_ledger
from gateway.store.ledger import (
    SCHEMA,
    Head,
    Identity,
    all_records,
    append,
    head,
    identity,
    move_position,
    open_ledger,
    open_ledger_reader,
)
from gateway.store.receipts import Receipt, keep_receipt, pin_hub_key
from gateway.store.tree import KeptTree, log_key, sign_head
from gateway.store.writer import Writer
from tests.parts import NOON, SetClock
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.merkle import Frontier, TiledTree, leaf_hash, tree_root, verify_consistency
from wire.records import AuditEntry, ClockState
from wire.tree_head import SigningKey, verify_tree_head

HUB = SigningKey(b"h" * 32)
CHAIN = ("site-1", "epoch-1")


def entry(number: int) -> AuditEntry:
    return AuditEntry(event="test", subject="site-1", message=f"line {number}")


def now(number: int = 0) -> Moment:
    clock = SetClock()
    clock.move(number)
    return clock.now()


def add(ledger: sqlite3.Connection, count: int) -> None:
    ledger.execute("BEGIN")
    for number in range(count):
        append(ledger, Identity(*CHAIN), RecordKind.AUDIT, entry(number), now(number))
    ledger.execute("COMMIT")


def naive_root(ledger: sqlite3.Connection, size: int) -> bytes:
    frontier = Frontier()
    for record in list(all_records(ledger))[:size]:
        frontier.append(leaf_hash(bytes.fromhex(record.hash)))
    return frontier.root()


def receipt(ledger: sqlite3.Connection, size: int, hub: SigningKey = HUB) -> None:
    """Countersign the log up to record `size`."""
    signed = sign_head(ledger, log_key(ledger).key, *CHAIN, (0, size), NOON).signed
    ledger.execute("BEGIN")
    pin_hub_key(ledger, HUB.public_key, NOON)
    keep_receipt(ledger, Receipt(signed=signed, countersignature=hub.countersign(signed, NOON)))
    move_position(ledger, size)
    ledger.execute("COMMIT")


def report(path: Path) -> LedgerReport:
    reader = open_ledger_reader(path)
    try:
        return verify_ledger(reader, None, lambda done, total: None)
    finally:
        reader.close()


# --- tiles and records


def test_heads_of_a_growing_log_are_those_of_its_records_and_consistent(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", *CHAIN, NOON)
    key = log_key(ledger)
    sizes = [1, 2, 255, 256, 257, 511, 512, 513, 800]
    for before, size in zip([0, *sizes], sizes, strict=False):
        add(ledger, size - before)
        offered = sign_head(ledger, key.key, *CHAIN, (before, size), NOON)
        found = verify_tree_head(offered.signed, key.public_key)
        assert (found.size, found.root, found.at) == (size, naive_root(ledger, size).hex(), NOON)
        proof = [bytes.fromhex(node) for node in offered.consistency]
        verify_consistency(before, naive_root(ledger, before), size, bytes.fromhex(found.root), proof)
    assert ledger.execute("SELECT level, number FROM tiles").fetchall() == [(1, 0), (1, 1), (1, 2)]
    ledger.close()


def test_tile_of_tiles_is_written_with_its_last_record(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", *CHAIN, NOON)
    add(ledger, 65535)
    assert ledger.execute("SELECT count(*) FROM tiles WHERE level = 2").fetchone() == (0,)
    add(ledger, 1)
    assert ledger.execute("SELECT count(*) FROM tiles WHERE level = 1").fetchone() == (256,)
    tree = TiledTree(KeptTree(ledger))
    assert ledger.execute("SELECT number, root FROM tiles WHERE level = 2").fetchall() == [(0, tree.tile(2, 0))]
    assert tree_root(65536, tree.subtree) == tree.tile(2, 0)
    ledger.close()
    assert report(tmp_path / "ledger.db").findings == ()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pieces_that_are_rolled_back_leave_no_trace_in_chain_or_tree(tmp_path: Path, seed: int) -> None:
    chance, path = random.Random(seed), tmp_path / "ledger.db"
    writer = Writer(lambda: open_ledger(path, *CHAIN, NOON))

    def piece(count: int, bad: bool) -> Callable[[sqlite3.Connection], int]:
        def work(connection: sqlite3.Connection) -> int:
            for number in range(count):
                append(connection, Identity(*CHAIN), RecordKind.AUDIT, entry(number), now(number))
            if bad:
                raise ValueError("a bad piece")
            return count

        return work

    async def run() -> int:
        stored = 0
        for _ in range(20):
            pieces = [piece(chance.randint(1, 40), chance.random() < 0.4) for _ in range(chance.randint(1, 8))]
            outcomes = await asyncio.gather(*(writer.run(each) for each in pieces), return_exceptions=True)
            stored += sum(each for each in outcomes if isinstance(each, int))
        await writer.close()
        return stored

    stored = asyncio.run(run())
    assert stored > 600
    found = report(path)
    assert (found.findings, found.records) == ((), stored)


def test_whole_transaction_that_is_rolled_back_takes_its_tile_along(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db", *CHAIN, NOON)
    add(ledger, 250)
    ledger.execute("BEGIN")
    for number in range(10):
        append(ledger, Identity(*CHAIN), RecordKind.AUDIT, entry(number), now())
    assert ledger.execute("SELECT count(*) FROM tiles").fetchone() == (1,)
    ledger.execute("ROLLBACK")
    assert ledger.execute("SELECT count(*) FROM tiles").fetchone() == (0,)
    add(ledger, 6)
    ledger.close()
    assert report(tmp_path / "ledger.db").findings == ()


# --- stores of earlier versions


def old_store(path: Path, count: int) -> Head:
    """A store as it was before there was a tree, with records of the first form."""
    connection = sqlite3.connect(path, isolation_level=None)
    for script in SCHEMA.migrations[:2]:
        connection.executescript(script)
    connection.execute(f"PRAGMA application_id={SCHEMA.application_id}")
    connection.execute("PRAGMA user_version=2")
    connection.execute("INSERT INTO identity VALUES (1, ?, ?)", CHAIN)
    previous = GENESIS_HASH
    rows = []
    for seq in range(1, count + 1):
        record = Record(
            seq=seq,
            kind=RecordKind.AUDIT,
            at=NOON,
            boot_id="boot-1",
            mono_ns=seq,
            clock=ClockState.TRUSTED,
            body=f'{{"event":"test","subject":"site-1","message":"{seq}"}}',
            hash="",
        )
        previous = chain_hash(*CHAIN, previous, record)
        rows.append((seq, "audit", NOON.isoformat(), "boot-1", seq, "trusted", record.body, previous))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    return Head(count, previous)


def test_store_of_an_earlier_version_gets_key_and_tiles_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    last = old_store(path, 600)
    with pytest.raises(StoreError, match="earlier version"):
        open_ledger_reader(path)
    ledger = open_ledger(path, "site-1", "other", NOON)
    assert head(ledger) == last
    assert [row[0] for row in ledger.execute("SELECT number FROM tiles")] == [0, 1]
    key = log_key(ledger).public_key
    add(ledger, 200)
    ledger.close()
    again = open_ledger(path, "site-1", "other", NOON)
    assert log_key(again).public_key == key, "a key lives as long as its epoch"
    receipt(again, 800)
    again.close()
    found = report(path)
    assert (found.findings, found.records, found.unsalted, found.countersigned) == ((), 800, 600, 800)


def test_every_store_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = set()
    for name in ("a", "b"):
        ledger = open_ledger(tmp_path / name, *CHAIN, NOON)
        keys.add(log_key(ledger).public_key)
        ledger.close()
    assert len(keys) == 2


# --- crashes


def test_power_cut_at_any_moment_leaves_records_and_tiles_that_fit(tmp_path: Path) -> None:
    """What lies on the disk between two commits, and with any part of the log file's end missing."""
    chance, live = random.Random(7), tmp_path / "live"
    live.mkdir()
    ledger = open_ledger(live / "ledger.db", *CHAIN, NOON)
    kept = 0
    for number in range(12):
        add(ledger, 43)
        cut = tmp_path / f"cut-{number}"
        shutil.copytree(live, cut)
        (cut / "ledger.db-shm").unlink()
        log = cut / "ledger.db-wal"
        if number % 2:
            log.write_bytes(log.read_bytes()[: chance.randrange(log.stat().st_size)])
        again = open_ledger(cut / "ledger.db", *CHAIN, NOON)
        size = head(again).seq
        assert [row[0] for row in again.execute("SELECT number FROM tiles")] == list(range(size // 256))
        add(again, 3)
        again.close()
        assert report(cut / "ledger.db").findings == ()
        kept += size == (number + 1) * 43
    assert kept >= 6, "what was committed is there"
    ledger.close()


# --- whatever is changed is found


class Change(NamedTuple):
    """What somebody does to the file, and what is found: faults with first and last record."""

    script: str
    found: list[tuple[Fault, int, int]]


def flip(column: str, seq: int, table: str = "records", key: str = "seq") -> str:
    """SQL that alters one character in the middle."""
    return (
        f"UPDATE {table} SET {column} = substr({column}, 1, 9) || CASE substr({column}, 10, 1) WHEN '1' THEN '2'"
        f" ELSE '1' END || substr({column}, 11) WHERE {key} = {seq}"
    )


CHANGES = {
    "body": Change(flip("body", 300), [(Fault.ALTERED, 300, 300)]),
    "body that is no text": Change(
        "UPDATE records SET body = CAST(x'7bff7d' AS TEXT) WHERE seq = 300", [(Fault.ALTERED, 300, 300)]
    ),
    "body as octets": Change(
        "UPDATE records SET body = CAST(body AS BLOB) WHERE seq = 300", [(Fault.ALTERED, 300, 300)]
    ),
    "salt": Change(flip("salt", 1), [(Fault.ALTERED, 1, 1)]),
    "no salt": Change("UPDATE records SET salt = '' WHERE seq = 2", [(Fault.ALTERED, 2, 2)]),
    "time": Change(flip("at", 599), [(Fault.ALTERED, 599, 599)]),
    "no time": Change("UPDATE records SET at = 'noon' WHERE seq = 599", [(Fault.ALTERED, 599, 599)]),
    "boot": Change("UPDATE records SET boot_id = 'boot-2' WHERE seq = 5", [(Fault.ALTERED, 5, 5)]),
    "monotonic time": Change("UPDATE records SET mono_ns = 1 WHERE seq = 6", [(Fault.ALTERED, 6, 6)]),
    "clock": Change("UPDATE records SET clock = 'drifting' WHERE seq = 7", [(Fault.ALTERED, 7, 7)]),
    "kind": Change("UPDATE records SET kind = 'decision' WHERE seq = 8", [(Fault.ALTERED, 8, 8)]),
    "the last record": Change(flip("body", 700), [(Fault.ALTERED, 700, 700)]),
    "content let go without a commitment": Change(
        "UPDATE records SET body = '', salt = '' WHERE seq = 9", [(Fault.ALTERED, 9, 9)]
    ),
    "another commitment": Change(
        "UPDATE records SET body = '', salt = '', commitment = hash WHERE seq = 9", [(Fault.ALTERED, 9, 9)]
    ),
    "content beside a commitment": Change(
        "UPDATE records SET commitment = hash WHERE seq = 10", [(Fault.ALTERED, 10, 10)]
    ),
    "hash": Change(flip("hash", 400), [(Fault.HASH, 400, 400)]),
    "hash that is none": Change("UPDATE records SET hash = 'x' WHERE seq = 400", [(Fault.HASH, 400, 400)]),
    "neighbours": Change(f"{flip('body', 20)}; {flip('body', 21)}", [(Fault.ALTERED, 20, 21)]),
    "two apart": Change(f"{flip('body', 20)}; {flip('hash', 40)}", [(Fault.ALTERED, 20, 20), (Fault.HASH, 40, 40)]),
    "contents exchanged": Change(
        "CREATE TABLE other AS SELECT seq, body, salt FROM records WHERE seq IN (50, 60);"
        " UPDATE records SET (body, salt) = (SELECT body, salt FROM other WHERE other.seq = 110 - records.seq)"
        " WHERE seq IN (50, 60)",
        [(Fault.ALTERED, 50, 50), (Fault.ALTERED, 60, 60)],
    ),
    "records exchanged": Change(
        "UPDATE records SET seq = -1 WHERE seq = 50; UPDATE records SET seq = 50 WHERE seq = 60;"
        " UPDATE records SET seq = 60 WHERE seq = -1",
        [(Fault.ALTERED, 50, 51), (Fault.ALTERED, 60, 61), (Fault.TILE, 1, 256), (Fault.ROOT, 1, 600)],
    ),
    "one removed": Change("DELETE FROM records WHERE seq = 333", [(Fault.MISSING, 333, 333)]),
    "the first removed": Change("DELETE FROM records WHERE seq = 1", [(Fault.MISSING, 1, 1)]),
    "some removed": Change("DELETE FROM records WHERE seq BETWEEN 100 AND 200", [(Fault.MISSING, 100, 200)]),
    "the end removed": Change("DELETE FROM records WHERE seq > 590", [(Fault.MISSING, 591, 600)]),
    "a tile": Change("UPDATE tiles SET root = zeroblob(32) WHERE number = 1", [(Fault.TILE, 257, 512)]),
    "a tile removed": Change("DELETE FROM tiles WHERE number = 0", [(Fault.TILE, 1, 256)]),
    "the log's key": Change("UPDATE log_key SET secret = randomblob(32)", [(Fault.KEY, 0, 0)]),
    "no key": Change("UPDATE log_key SET secret = 'x'", [(Fault.KEY, 0, 0)]),
    "another key": Change(
        "UPDATE hub_log_key SET public_key = replace(public_key, '1', '2')", [(Fault.RECEIPT, 600, 600)]
    ),
    "a receipt": Change(
        "UPDATE receipts SET head = replace(head, '2026-11-23', '2026-11-24')", [(Fault.RECEIPT, 600, 600)]
    ),
    "a countersignature": Change(
        "UPDATE receipts SET countersignature = replace(countersignature, '2026-11-23', '2026-11-24')",
        [(Fault.RECEIPT, 600, 600)],
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of 700 records, 600 of them countersigned."""
    path = tmp_path_factory.mktemp("whole") / "ledger.db"
    ledger = open_ledger(path, *CHAIN, NOON)
    add(ledger, 700)
    receipt(ledger, 600)
    ledger.close()
    found = report(path)
    assert (found.findings, found.countersigned, found.receipts) == ((), 600, 1)
    return path


def changed(whole: Path, tmp_path: Path, script: str) -> Path:
    path = tmp_path / "ledger.db"
    shutil.copy(whole, path)
    connection = sqlite3.connect(path)
    before = connection.total_changes
    connection.executescript(script)
    assert connection.total_changes > before, "nothing was changed"
    connection.close()
    return path


def places(findings: tuple[Finding, ...]) -> list[tuple[Fault, int, int]]:
    return [(each.fault, each.first, each.last) for each in findings]


@pytest.mark.parametrize("name", CHANGES)
def test_change_in_the_file_is_found_and_named(whole: Path, tmp_path: Path, name: str) -> None:
    found = report(changed(whole, tmp_path, CHANGES[name].script))
    assert places(found.findings) == CHANGES[name].found
    assert all(each.message for each in found.findings)


def test_history_that_was_written_anew_is_betrayed_by_tiles_and_receipts(whole: Path, tmp_path: Path) -> None:
    """Somebody who knows the house computes all hashes anew from record 300 on, and even the tiles."""
    path = tmp_path / "ledger.db"
    shutil.copy(whole, path)
    connection = sqlite3.connect(path)
    connection.execute(flip("body", 300))
    connection.commit()
    records = list(all_records(connection))
    previous = records[298].hash
    for record in records[299:]:
        previous = chain_hash(*CHAIN, previous, record)
        connection.execute("UPDATE records SET hash = ? WHERE seq = ?", (previous, record.seq))
    connection.commit()
    found = report(path)
    assert places(found.findings) == [(Fault.TILE, 257, 512), (Fault.ROOT, 1, 600)]
    connection.execute("DELETE FROM tiles")
    connection.commit()
    connection.close()
    open_ledger(path, *CHAIN, NOON).close()  # Which makes the missing tiles.
    assert places(report(path).findings) == [(Fault.ROOT, 1, 600)], "what the hub countersigned cannot be made anew"


def test_file_that_is_damaged_below_the_records_is_said(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    data = bytearray(whole.read_bytes())
    for place in range(8 * 4096, len(data), 4096):
        data[place : place + 100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises((StoreError, sqlite3.DatabaseError)):
        report(path)


def test_damaged_end_of_the_chain_is_not_continued(whole: Path, tmp_path: Path) -> None:
    path = changed(whole, tmp_path, "UPDATE records SET hash = 'x' WHERE seq = 699")
    with pytest.raises(StoreError, match="pnc-gateway ledger verify"):
        open_ledger(path, *CHAIN, NOON)


def test_identity_is_what_it_was(whole: Path) -> None:
    reader = open_ledger_reader(whole)
    assert identity(reader) == Identity(*CHAIN)
    reader.close()
