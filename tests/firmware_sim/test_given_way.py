"""The account of a site that ran out of room: what tombstones excuse is no loss, and nothing else is excused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from firmware_sim.journal import MessageLine
from tests.firmware_sim.test_account import AT, World, _chain, world as world
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash, released
from wire.merkle import TILE_WIDTH
from wire.records import TransactionEntry, decode, encode
from wire.tombstone import NotKept, SeqRange, Tombstone, TombstoneReason

SHED = Tombstone(reason=TombstoneReason.BUDGET)


def chained(records: Sequence[Record], *tombstones: Tombstone) -> tuple[Record, ...]:
    """The records with salts, and tombstones behind them, numbered and linked."""
    drafts = [*records]
    for said in tombstones:
        last = drafts[-1]
        body, at = encode(said).decode(), last.at + timedelta(seconds=1)
        drafts.append(msgspec.structs.replace(last, kind=RecordKind.TOMBSTONE, at=at, body=body))
    linked, previous = list[Record](), GENESIS_HASH
    for seq, draft in enumerate(drafts, 1):
        salted = msgspec.structs.replace(draft, seq=seq, salt="ab" * 16)
        linked.append(msgspec.structs.replace(salted, hash=chain_hash("site-1", "e1", previous, salted)))
        previous = linked[-1].hash
    return tuple(linked)


def periodic(world: World) -> list[int]:
    """The numbers of the records with plain values, by their journals: what neither begins, ends nor is signed."""
    plain = {
        message_id
        for book in world.chargers
        for line in book.messages
        if not line.carries and not line.last and ("Periodic" in line.payload or line.action == "MeterValues")
        for message_id in line.message_ids
    }
    return [
        each.seq for each in world.gateway.records if decode(TransactionEntry, each.body, "body").message_id in plain
    ]


def told(world: World, gateway: tuple[Record, ...], hub: tuple[Record, ...] | None = None) -> World:
    chain = replace(world.gateway, records=gateway)
    held = chain if hub is None else replace(chain, records=hub)
    return replace(world, gateway=chain, hub=replace(world.hub, chain=held))


def plainly(charger_id: str, number: int) -> tuple[MessageLine, str]:
    """What a charger wrote of a plain value, and its frame."""
    payload = json.dumps(
        {
            "connectorId": 1,
            "meterValue": [{"timestamp": f"2026-07-01T12:00:{number}Z", "sampledValue": [{"value": str(number)}]}],
        }
    )
    line = MessageLine(
        charger_id=charger_id,
        number=number,
        action="MeterValues",
        transaction="none",
        payload=payload,
        payload_sha256=hashlib.sha256(payload.encode()).hexdigest(),
        attempts=1,
        acked=True,
        message_ids=(f"{charger_id}-{number}",),
    )
    return line, f'[2,"{charger_id}-{number}","MeterValues",{payload}]'


@pytest.fixture
def plain(world: World) -> World:
    """The same story, with two plain values beside what is signed."""
    *_, book = world.chargers
    lines, frames = zip(*(plainly(book.charger_id, number) for number in (50, 51)), strict=True)
    entries = [decode(TransactionEntry, each.body, "body") for each in world.gateway.records]
    told_frames = [(each.charger_id, each.ocpp, each.frame) for each in entries]
    records = _chain([*told_frames[:3], *((book.charger_id, "1.6", frame) for frame in frames), *told_frames[3:]])
    chargers = (*world.chargers[:-1], replace(book, messages=(*book.messages, *lines)))
    chain = replace(world.gateway, records=records)
    return replace(world, chargers=chargers, gateway=chain, hub=replace(world.hub, chain=chain))


def test_the_story_balances(plain: World) -> None:
    assert plain.account().findings == ()
    assert periodic(plain) == [4, 5]


def test_shed_values_are_told_and_no_loss(plain: World) -> None:
    seqs = periodic(plain)
    range_ = SeqRange(first_seq=seqs[0], last_seq=seqs[-1], count=len(seqs))
    whole = chained(plain.gateway.records, msgspec.structs.replace(SHED, shed=(range_,)))
    thinned = tuple(released(each) if each.seq in seqs else each for each in whole)
    for gateway, hub in ((thinned, thinned), (thinned, whole)):
        account = told(plain, gateway, hub).account()
        assert account.findings == ()
        assert (account.shed, account.not_kept) == (len(seqs), 0)


def test_gateway_that_dropped_segments_still_holds_what_the_hub_has(plain: World) -> None:
    whole = chained(plain.gateway.records, *[SHED] * 2 * TILE_WIDTH)
    behind = tuple(released(each) for each in whole[TILE_WIDTH : TILE_WIDTH + 5]) + whole[TILE_WIDTH + 5 :]
    account = told(plain, behind, whole).account()
    assert account.findings == ()
    assert account.rows[-3].at_gateway == len(whole)
    assert {"chain-broken", "signed-lost"} <= told(plain, behind, behind).codes(), "nobody has it"
    assert "record-strange" in told(plain, whole[3:], whole).codes(), "no whole segment"
    other = chained(plain.gateway.records[:3], *[SHED] * 2 * TILE_WIDTH)
    assert "chain-broken" in told(plain, behind, other).codes(), "it does not stand on what the hub has"


def test_without_a_tombstone_it_is_a_loss(plain: World) -> None:
    seqs = periodic(plain)
    whole = chained(plain.gateway.records)
    thinned = tuple(released(each) if each.seq in seqs else each for each in whole)
    assert {"record-unreadable", "message-lost"} <= told(plain, thinned).codes()


def test_begin_end_and_signed_are_never_excused(plain: World) -> None:
    seqs = set(periodic(plain))
    count = len(plain.gateway.records)
    range_ = SeqRange(first_seq=1, last_seq=count, count=count)
    whole = chained(plain.gateway.records, msgspec.structs.replace(SHED, shed=(range_,)))
    for seq in set(range(1, count + 1)) - seqs:
        emptied = tuple(released(each) if each.seq == seq else each for each in whole)
        assert "message-lost" in told(plain, emptied).codes(), seq


def test_what_was_not_kept_is_counted_by_charger(plain: World) -> None:
    seqs = periodic(plain)
    entry = decode(TransactionEntry, plain.gateway.records[seqs[0] - 1].body, "body")
    rest = [each for each in plain.gateway.records if each.seq != seqs[0]]

    def said(charger_id: str, count: int) -> Tombstone:
        counted = NotKept(charger_id=charger_id, action=entry.action, count=count, first_at=AT, last_at=AT)
        return msgspec.structs.replace(SHED, not_kept=(counted,))

    account = told(plain, chained(rest, said(entry.charger_id, 1))).account()
    assert account.findings == ()
    assert account.not_kept == 1
    other = next(book.charger_id for book in plain.chargers if book.charger_id != entry.charger_id)
    assert "message-lost" in told(plain, chained(rest, said(other, 1))).codes()
    assert "message-lost" in told(plain, chained(rest)).codes()


def test_altered_content_is_found_though_the_other_side_let_it_go(plain: World) -> None:
    whole = chained(plain.gateway.records, SHED)
    thinned = tuple(released(each) for each in whole[:1]) + whole[1:]
    altered = (msgspec.structs.replace(whole[0], body="{}"), *whole[1:])
    assert "record-altered" in told(plain, thinned, altered).codes()
