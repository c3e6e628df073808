"""Segments: which rows go and when, what stays of them, and everything that reads a log that begins later."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import TypeVar

import pytest

from gateway.errors import StoreError
from gateway.ledger.proof import prove, verify_record_proof
from gateway.ledger.verify import Fault, verify_ledger
from gateway.store.ledger import Identity, all_records, append, hash_at, head, move_position, open_ledger, read_records
from gateway.store.release import released
from gateway.store.segments import KEEP, LONG_OVER, Dropped, drop_segment, dropped, forget_traces
from gateway.store.tail import verify_tail
from gateway.store.tree import log_key, sign_head
from gateway.store.writer import Work
from tests.gateway.conftest import Bench, send
from tests.gateway.test_ledger_release import HUB, STATION, Site
from wire.chain import GENESIS_HASH, RecordKind, chain_hash
from wire.merkle import TILE_WIDTH, verify_consistency
from wire.records import AuditEntry

T = TypeVar("T")


class LongSite(Site):
    """A site whose log is long enough to lose its beginning."""

    def do(self, work: Work[T]) -> T:
        return asyncio.run(self.bench.writer.run(work))

    def sent(self, action: str, fields: object) -> list[object]:
        return send(self.bench.station("1.6", STATION), action, fields)

    def values(self, number: int) -> None:
        value = {"timestamp": self.at(), "sampledValue": [{"value": str(self.bench.clock.mono_ns // 10**9)}]}
        self.sent("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [value]})

    def traces(self) -> int:
        return int(self.bench.reader.execute("SELECT count(*) FROM seen WHERE bucket > 0").fetchone()[0])

    def grow(self, records: int) -> None:
        entry, now = AuditEntry(event="test", subject="site-1", message="x" * 20), self.bench.clock.now()

        def work(connection: sqlite3.Connection) -> None:
            for _ in range(records):
                append(connection, self.bench.site.owner, RecordKind.AUDIT, entry, now)

        self.do(work)

    def drop(self) -> int:
        dropped_rows = 0
        while rows := self.do(lambda connection: drop_segment(connection, None)):
            dropped_rows += rows
        return dropped_rows

    def empty(self) -> None:
        """Countersign all there is, and let go of it."""
        self.countersigned()
        asyncio.run(self.retention.release(None))


@pytest.fixture
def site(bench: Bench) -> LongSite:
    return LongSite(bench)


@pytest.fixture
def shortened(site: LongSite) -> LongSite:
    """A site that has lost two segments of its log."""
    site.stop(site.start())
    site.grow(2 * TILE_WIDTH + KEEP)
    site.empty()
    assert site.drop() == 2 * TILE_WIDTH
    return site


def test_whole_tiles_go_that_the_hub_has_countersigned_and_that_are_empty(site: LongSite) -> None:
    site.grow(TILE_WIDTH + KEEP)
    assert site.drop() == 0, "not acknowledged"
    site.countersigned()
    assert site.drop() == 0, "with content"
    asyncio.run(site.retention.release(None))
    site.do(lambda connection: move_position(connection, TILE_WIDTH - 1))
    assert site.drop() == 0, "the hub went back, and asks for it again"
    site.countersigned()
    expected = hash_at(site.bench.reader, TILE_WIDTH)
    assert site.drop() == TILE_WIDTH
    assert dropped(site.bench.reader) == Dropped(seq=TILE_WIDTH, hash=str(expected))
    assert [each.seq for each in all_records(site.bench.reader)] == list(range(TILE_WIDTH + 1, TILE_WIDTH + KEEP + 1))
    assert site.drop() == 0, "the latest records stay"


def test_what_waits_for_its_session_holds_its_segment_and_all_behind_it(site: LongSite) -> None:
    number = site.start()
    site.grow(3 * TILE_WIDTH + KEEP)
    site.empty()
    assert site.drop() == 0
    site.stop(number)
    site.empty()
    assert site.drop() == 3 * TILE_WIDTH


def test_altered_record_stays_and_all_behind_it(site: LongSite) -> None:
    site.grow(2 * TILE_WIDTH + KEEP)
    site.empty()
    site.do(lambda connection: connection.execute("UPDATE records SET at = '2020-01-01' WHERE seq = 300").rowcount)
    assert site.drop() == TILE_WIDTH
    assert Fault.ALTERED in site.faults()


def test_chain_goes_on_and_everything_is_found_whole(shortened: LongSite) -> None:
    site, gone = shortened, 2 * TILE_WIDTH
    assert site.faults() == []
    report = verify_ledger(site.bench.reader, None, lambda done, total: None)
    assert (report.dropped, report.records) == (gone, head(site.bench.reader).seq)
    assert report.root is not None
    previous = dropped(site.bench.reader).hash
    for record in all_records(site.bench.reader):
        assert record.hash == chain_hash("site-1", "epoch-1", previous, record)
        previous = record.hash
    site.bench.restart()
    verify_tail(site.bench.reader)
    site.retention = type(site.retention)(site.bench.writer, site.bench.clock.now, 30)
    site.stop(site.start(tag="B"))
    site.grow(TILE_WIDTH)
    site.empty()
    assert site.drop() == TILE_WIDTH, "and on, after a restart"
    assert site.faults() == []
    assert released(site.bench.reader).records == len(site.gone())


def test_proofs_hold_of_what_is_kept_and_say_so_of_what_is_not(shortened: LongSite) -> None:
    gone, reader = 2 * TILE_WIDTH, shortened.bench.reader
    last = head(reader).seq
    for seq in (gone + 1, gone + TILE_WIDTH, last):
        proof = prove(reader, seq, with_content=False)
        assert proof is not None
        assert verify_record_proof(proof, None, HUB.public_key).seq == seq
    for seq in (1, gone):
        with pytest.raises(StoreError, match="not kept here any more"):
            prove(reader, seq, with_content=False)
    key = log_key(reader).key
    old, new = (
        sign_head(reader, key, "site-1", "epoch-1", (0, size), shortened.bench.clock.at).signed.head
        for size in (gone, last)
    )
    between = sign_head(reader, key, "site-1", "epoch-1", (gone, last), shortened.bench.clock.at).consistency
    path = [bytes.fromhex(node) for node in between]
    verify_consistency(gone, bytes.fromhex(old.root), last, bytes.fromhex(new.root), path)


def test_nobody_is_given_what_does_not_continue(shortened: LongSite) -> None:
    gone, reader = 2 * TILE_WIDTH, shortened.bench.reader
    assert hash_at(reader, 0) == GENESIS_HASH
    assert hash_at(reader, gone - 1) is None
    assert hash_at(reader, gone) == dropped(reader).hash
    assert read_records(reader, gone, 1, 1)[0].seq == gone + 1
    with pytest.raises(StoreError, match=f"records 1 to {gone} "):
        read_records(reader, 0, 10, 1000)


def test_forged_beginning_is_found(shortened: LongSite) -> None:
    gone = 2 * TILE_WIDTH
    shortened.do(lambda c: c.execute("UPDATE dropped SET hash = ?", ("00" * 32,)).rowcount)
    assert shortened.faults() == [Fault.ALTERED]
    assert hash_at(shortened.bench.reader, gone) == "00" * 32


def test_rows_that_are_taken_out_by_hand_are_missed(site: LongSite) -> None:
    site.grow(2 * TILE_WIDTH + KEEP)
    hash_ = hash_at(site.bench.reader, TILE_WIDTH)
    site.do(lambda c: c.execute("DELETE FROM records WHERE seq <= ?", (TILE_WIDTH,)).rowcount)
    site.do(lambda c: c.execute("INSERT INTO dropped VALUES (1, ?, ?)", (TILE_WIDTH, hash_)).rowcount)
    assert Fault.MISSING in site.faults()


def test_tile_over_dropped_rows_is_guarded_by_the_receipt(shortened: LongSite) -> None:
    shortened.do(lambda c: c.execute("UPDATE tiles SET root = ? WHERE number = 0", (b"x" * 32,)).rowcount)
    assert Fault.ROOT in shortened.faults()


def test_resent_message_is_known_after_its_record_went(site: LongSite) -> None:
    number = site.start()
    stopped = site.stop(number)
    site.grow(2 * TILE_WIDTH + KEEP)
    site.empty()
    assert site.drop() > 0
    count = head(site.bench.reader).seq
    assert site.start() == number
    assert site.stop(number) == stopped
    assert head(site.bench.reader).seq == count


def test_traces_of_sessions_long_over_go_but_for_start_and_end(site: LongSite) -> None:
    number = site.start()
    started_at = site.bench.clock.at
    for _ in range(5):
        site.bench.clock.move(60)
        site.values(number)
    site.bench.clock.move(60)
    stopped = site.stop(number)
    ended_at = site.bench.clock.at
    site.grow(2 * TILE_WIDTH + KEEP)
    site.empty()
    assert site.drop() > 0
    assert site.traces() == 9, "two each of start and end"
    site.do(lambda connection: forget_traces(connection, site.bench.clock.at))
    assert site.traces() == 9, "not long over"
    later = ended_at + LONG_OVER + timedelta(days=1)
    while site.do(lambda connection: forget_traces(connection, later)):
        pass
    assert site.traces() == 4
    site.bench.clock.move((later - site.bench.clock.at).total_seconds())
    sessions = site.bench.reader.execute("SELECT count(*) FROM sessions").fetchone()
    now, site.bench.clock.at = site.bench.clock.at, started_at
    fields = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": site.at()}
    site.bench.clock.at = ended_at
    at = site.at()
    site.bench.clock.at = now
    answer = site.sent("StartTransaction", fields)[2]
    assert isinstance(answer, dict)
    assert answer["transactionId"] == number
    assert site.stop(number, timestamp=at) == stopped
    assert site.bench.reader.execute("SELECT count(*) FROM sessions").fetchone() == sessions


def test_nothing_goes_of_a_session_whose_records_are_kept(site: LongSite) -> None:
    number = site.start()
    site.values(number)
    site.values(number)
    site.stop(number)
    before = site.traces()
    site.do(lambda connection: forget_traces(connection, site.bench.clock.at + timedelta(days=400)))
    assert site.traces() == before


def test_freed_pages_are_used_again(site: LongSite) -> None:
    site.grow(4 * TILE_WIDTH + KEEP)
    site.empty()
    assert site.drop() == 4 * TILE_WIDTH
    (pages,) = site.bench.reader.execute("PRAGMA page_count").fetchone()
    assert site.bench.reader.execute("PRAGMA freelist_count").fetchone()[0] > 0
    site.grow(TILE_WIDTH)
    assert site.bench.reader.execute("PRAGMA page_count").fetchone() == (pages,)


def test_records_of_the_first_form_go_whole(site: LongSite) -> None:
    path = site.bench.folder / "other.db"
    connection = open_ledger(path, "site-2", "epoch-2", site.bench.clock.at)
    owner, entry, now = Identity("site-2", "epoch-2"), AuditEntry(event="e", subject="s", message="m"), None
    try:
        connection.execute("BEGIN")
        for _ in range(TILE_WIDTH + KEEP):
            now = site.bench.clock.now()
            append(connection, owner, RecordKind.AUDIT, entry, now)
        size = head(connection).seq
        assert drop_segment(connection, None) == 0
        first_form(connection, owner)
        signed = sign_head(connection, log_key(connection).key, "site-2", "epoch-2", (0, 0), site.bench.clock.at).signed
        assert signed.head.size == 0
        connection.execute("INSERT INTO receipts VALUES (?, '2026-01-01', '', '')", (size,))
        move_position(connection, size)
        assert drop_segment(connection, None) == TILE_WIDTH
        assert drop_segment(connection, None) == 0
    finally:
        connection.close()


def first_form(connection: sqlite3.Connection, owner: Identity) -> None:
    """Make the chain one of the first form, as a version wrote it that knew no salt."""
    previous = GENESIS_HASH
    for record in list(all_records(connection)):
        bare = type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | {"salt": ""})
        previous = chain_hash(owner.gateway_id, owner.epoch, previous, bare)
        connection.execute("UPDATE records SET salt = '', hash = ? WHERE seq = ?", (previous, record.seq))
