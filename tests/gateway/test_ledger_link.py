"""What the hub signs for: receipts that hold; all else is said, audited once, and never in the way of evidence."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from gateway.ledger.verify import verify_ledger
from gateway.store.ledger import acked_seq, append
from gateway.store.receipts import LogTrouble, all_receipts, newest_receipt, pinned_hub_key, troubles
from gateway.store.release import release_step
from tests.gateway.conftest import Bench, Bond, RoughHub, link_against, said
from wire.chain import Record, RecordKind
from wire.records import AuditEntry, decode
from wire.sync_messages import PATH_BATCHES, Ack, Refusal, RefusalCode, parse_answer
from wire.tree_head import SigningKey, verify_countersignature, verify_tree_head

HUB, OTHER = SigningKey(b"h" * 32), SigningKey(b"o" * 32)


def events(records: list[Record]) -> list[str]:
    """The audit events among records, but for those that the tests themselves store."""
    bodies = [decode(AuditEntry, each.body, "entry") for each in records if each.kind is RecordKind.AUDIT]
    return [each.event for each in bodies if each.event != "test"]


def wrong(bench: Bench) -> list[LogTrouble]:
    return [each.kind for each in troubles(bench.reader)]


def spoken(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The events of a ledger's troubles in the log."""
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    found = [line for line in lines if line["event"] in set(LogTrouble)]
    assert all(line["reason"] and "docs/operations.md" in line["remedy"] for line in found)
    return [line["event"] for line in found]


def test_receipts_stand_for_everything_that_was_acknowledged(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        for _ in range(4):
            await bond.store(3)
            await bond.settled()
            await bond.settled()

    link_against(bench, lab, part, signs=HUB)
    newest = newest_receipt(bench.reader)
    assert newest is not None
    assert newest.signed.head.size == acked_seq(bench.reader) > 15
    verify_tree_head(newest.signed, newest.signed.public_key)
    verify_countersignature(newest.signed, newest.countersignature, HUB.public_key)
    assert pinned_hub_key(bench.reader) == HUB.public_key
    assert events(bench.records()) == ["hub-log-key-pinned"]
    assert len(all_receipts(bench.reader)) <= 2, "of each hour the last one"
    report = verify_ledger(bench.reader, None, lambda done, total: None)
    assert (report.findings, report.countersigned) == ((), newest.signed.head.size)
    assert wrong(bench) == []


def test_another_key_is_audited_once_and_its_word_is_no_receipt(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        bond.hub.key = OTHER
        for _ in range(5):
            await bond.settled()
        newest = newest_receipt(bench.reader)
        assert newest is not None
        assert newest.signed.head.size < acked_seq(bench.reader)
        verify_countersignature(newest.signed, newest.countersignature, HUB.public_key)
        assert pinned_hub_key(bench.reader) == HUB.public_key
        assert wrong(bench) == [LogTrouble.OTHER_KEY]
        assert spoken(capfd) == ["hub-log-key-changed"]
        bond.hub.key = HUB
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == [], "over with the first good receipt"
        bond.hub.key = OTHER
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == [LogTrouble.OTHER_KEY]
        assert bond.hub.held == bench.records(), "evidence leaves the box all the while"

    link_against(bench, lab, part, signs=HUB)
    assert events(bench.records()) == ["hub-log-key-pinned", "hub-log-key-changed"], "not with every batch"


def test_same_trouble_an_hour_later_is_audited_again(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        await bond.settled()
        bench.clock.move(3700)
        await bond.settled()
        await bond.settled()

    link_against(bench, lab, part, signs=OTHER, hub_log_key=HUB.public_key)
    assert events(bench.records()) == ["hub-log-key-changed"] * 2
    assert newest_receipt(bench.reader) is None, "the configured key decides, not the first that is shown"


async def forging(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
    """Countersigns with the right key and a signature of something else."""
    if request.path != PATH_BATCHES:
        return None
    answer = parse_answer(hub.behave(request, body).body)
    assert isinstance(answer, Ack)
    assert answer.countersignature is not None
    other = msgspec.structs.replace(answer.countersignature, signature="ab" * 64)
    return said(msgspec.structs.replace(answer, countersignature=other))


def test_signature_that_does_not_hold_is_no_receipt(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == [LogTrouble.BAD_SIGNATURE]
        assert newest_receipt(bench.reader) is None
        assert pinned_hub_key(bench.reader) is None, "what signs nothing is not pinned either"
        assert bond.hub.held == bench.records()

    link_against(bench, lab, part, mood=forging, signs=HUB)
    assert events(bench.records()) == ["countersignature-invalid"]


def test_hub_that_stops_to_countersign_is_noticed(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        bond.hub.key = None
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == [LogTrouble.MISSING]

    link_against(bench, lab, part, signs=HUB)
    assert events(bench.records()) == ["hub-log-key-pinned", "countersignature-missing"]


def test_hub_of_an_earlier_version_is_no_trouble(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        await bond.settled()

    link_against(bench, lab, part)
    assert (wrong(bench), events(bench.records())) == ([], [])


def test_configured_key_takes_the_place_of_the_pinned_one(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.settled()
        await bond.settled()

    link_against(bench, lab, part, signs=HUB)
    link_against(bench, lab, part, signs=OTHER, hub_log_key=OTHER.public_key)
    assert pinned_hub_key(bench.reader) == OTHER.public_key
    assert events(bench.records()) == ["hub-log-key-pinned"] * 2
    assert wrong(bench) == []


async def refusing_tree(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
    refusal = Refusal(code=RefusalCode.TREE, message="another root", acked_seq=0, acked_hash="00" * 32, seq=2)
    return said(refusal, 409) if request.path == PATH_BATCHES else None


def test_refused_head_is_said_with_what_to_do_and_sending_is_tried_again(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part(bond: Bond) -> None:
        await bond.hub.until(lambda: bond.hub.asked.count(PATH_BATCHES) >= 4)
        (trouble,) = troubles(bench.reader)
        assert trouble.kind is LogTrouble.REFUSED
        assert "another root" in trouble.message
        assert spoken(capfd) == ["tree-head-refused"]
        bond.hub.mood = None
        await bond.hub.until(lambda: len(bond.hub.held) >= 3)
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == []

    link_against(bench, lab, part, mood=refusing_tree, signs=HUB)
    assert events(bench.records()).count("tree-head-refused") == 1


def test_damaged_tree_is_said_and_its_records_are_sent_all_the_same(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        entry, now = AuditEntry(event="test", subject="site-1", message="x"), bench.clock.now()

        def many(connection: sqlite3.Connection) -> None:
            for _ in range(300):
                append(connection, bench.site.owner, RecordKind.AUDIT, entry, now)

        await bench.writer.run(many)
        await bond.settled()
        await bench.writer.run(lambda c: c.execute("DELETE FROM tiles").rowcount)
        await bond.settled()
        await bond.settled()
        assert wrong(bench) == [LogTrouble.DAMAGED]
        assert bond.hub.held == bench.records()

    link_against(bench, lab, part, signs=HUB)
    assert "tree-damaged" in events(bench.records())


def test_hub_restored_from_a_backup_gets_what_was_let_go_by_its_commitment(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.store(4)
        await bond.settled()
        await bond.settled()
        before = bench.clock.at
        bench.clock.move(86400)
        looked_at = await bench.writer.run(lambda c: release_step(c, max(before, bench.clock.at)))
        assert looked_at >= 5
        bond.hub.held = bond.hub.held[:1]
        bond.running.cancel()

    link_against(bench, lab, part, signs=HUB)
    released = [each for each in bench.records() if each.is_released]
    assert len(released) >= 5

    async def again(bond: Bond) -> None:
        await bond.hub.until(lambda: len(bond.hub.held) >= len(bench.records()))
        await bond.settled()
        await bond.settled()
        assert bond.hub.held == bench.records()
        assert bond.hub.held[: len(released)] == released

    link_against(bench, lab, again, signs=HUB)
    assert (wrong(bench), verify_ledger(bench.reader, None, lambda done, total: None).findings) == ([], ())
