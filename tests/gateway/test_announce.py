"""Begins, ends and decisions come before a long backlog, once, and never hold it up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.store.ledger import append, head
from gateway.store.urgent import urgent_seqs
from gateway.uplink.announce import Announcer
from tests.gateway.conftest import Bench, Bond, RoughHub, link_against, said
from wire.chain import GENESIS_HASH, RecordKind
from wire.records import AuditEntry, TransactionEntry, TransactionEvent, Value, decode
from wire.sync_messages import (
    MAX_ANNOUNCED_RECORDS,
    PATH_ANNOUNCEMENTS,
    PATH_BATCHES,
    PATH_HELLO,
    Announcement,
    Noted,
    Welcome,
    parse_batch,
)


def entry(event: TransactionEvent, frame: str = "[]") -> TransactionEntry:
    return TransactionEntry(
        charger_id="CP-1",
        ocpp="2.0.1",
        action="TransactionEvent",
        message_id="1",
        frame=frame,
        event=event,
        reply="{}",
    )


SNEAKY = json.dumps([2, "1", "X", {"event": "started"}], separators=(",", ":"))
PERIODIC = entry(TransactionEvent.UPDATED, SNEAKY)


async def store(bench: Bench, *bodies: Value) -> None:
    """Append them, each by its kind."""
    now = bench.clock.now()

    def all_of_them(connection: Any) -> None:
        for body in bodies:
            kind = RecordKind.TRANSACTION if isinstance(body, TransactionEntry) else RecordKind.AUDIT
            append(connection, bench.site.owner, kind, body, now)

    await bench.writer.run(all_of_them)


@dataclass
class Ears:
    """A hub that takes two records at a time, and hears announcements."""

    status: int = 200
    silent: int = 0
    """How many announcements get no answer."""
    heard: list[tuple[str, list[int]]] = field(default_factory=list)

    async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_ANNOUNCEMENTS:
            seqs = [record.seq for record in decode(Announcement, body, "announcement").records]
            self.heard.append(("announced", seqs))
            if self.silent:
                self.silent -= 1
                await asyncio.sleep(60)
            return said(Noted(seq=seqs[-1]), self.status)
        if request.path == PATH_BATCHES:
            self.heard.append(("batch", [record.seq for record in parse_batch(body).records]))
        if request.path == PATH_HELLO and not hub.held:
            return said(Welcome(acked_seq=0, acked_hash=GENESIS_HASH, credit=2))
        return None

    @property
    def announced(self) -> list[int]:
        return [seq for what, seqs in self.heard if what == "announced" for seq in seqs]


def against(bench: Bench, lab: Path, ears: Ears, bodies: list[Value], **settings: float) -> None:
    """Store `bodies` before the link's own three records, and wait until all have arrived."""

    async def part(bond: Bond) -> None:
        await bond.all_arrived()

    asyncio.run(store(bench, *bodies))
    link_against(bench, lab, part, mood=ears.mood, **settings)


def test_what_is_urgent_goes_ahead_of_a_backlog_once_and_in_order(bench: Bench, lab: Path) -> None:
    ears = Ears()
    started, ended = entry(TransactionEvent.STARTED), entry(TransactionEvent.ENDED)
    against(bench, lab, ears, [started, *[PERIODIC] * 5, started, PERIODIC, ended, PERIODIC])
    assert ears.heard[0] == ("announced", [7, 9]), "record 1 goes with the next batch anyway"
    assert ears.announced == [7, 9]
    batches = [seq for what, seqs in ears.heard if what == "batch" for seq in seqs]
    assert batches == list(range(1, head(bench.reader).seq + 1))


def test_nothing_is_announced_that_the_next_batch_brings(bench: Bench, lab: Path) -> None:
    ears = Ears()
    against(bench, lab, ears, [entry(TransactionEvent.STARTED)])
    assert ears.announced == []


def test_announcements_keep_within_their_bound_and_leave_nothing_out(bench: Bench, lab: Path) -> None:
    ears = Ears()
    count = MAX_ANNOUNCED_RECORDS + 50
    against(bench, lab, ears, [PERIODIC, PERIODIC, *[entry(TransactionEvent.ENDED)] * count])
    messages = [seqs for what, seqs in ears.heard if what == "announced"]
    assert [len(seqs) for seqs in messages] == [MAX_ANNOUNCED_RECORDS, 50]
    assert ears.announced == list(range(3, count + 3))


@pytest.mark.parametrize("status", [404, 429, 500])
def test_hub_that_wants_no_announcements_is_told_records_all_the_same(
    bench: Bench, lab: Path, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    ears = Ears(status)
    against(bench, lab, ears, [*[PERIODIC] * 4, *[entry(TransactionEvent.ENDED)] * 2, *[PERIODIC] * 4])
    assert len([what for what, _ in ears.heard if what == "announced"]) == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["level"] for line in lines if line["event"] == "announcements-unwanted"] == ["warning"]
    assert not [line for line in lines if line["event"] == "uplink-offline"]


def test_hub_that_does_not_answer_announcements_gets_its_records(bench: Bench, lab: Path) -> None:
    ears = Ears(silent=9)
    count = MAX_ANNOUNCED_RECORDS * 2
    against(bench, lab, ears, [PERIODIC, PERIODIC, *[entry(TransactionEvent.ENDED)] * count], request_timeout_s=2.0)
    assert len([what for what, _ in ears.heard if what == "announced"]) == 1


def test_what_was_not_taken_is_announced_again_later(bench: Bench, lab: Path) -> None:
    async def part(bond: Bond) -> None:
        await bond.all_arrived()
        announcer = Announcer(bond.link._exchange, bench.site.owner, bench.reader, lambda noted, reply: None)
        for ears.status in (429, 200, 200):
            announcer._silent_until = 0.0
            await announcer.ahead_of(1)

    ears = Ears()
    asyncio.run(store(bench, PERIODIC, *[entry(TransactionEvent.ENDED)] * 3))
    link_against(bench, lab, part, mood=ears.mood)
    told = [seqs for what, seqs in ears.heard if what == "announced"]
    assert told[-2:] == [[2, 3, 4]] * 2, told


def test_begins_ends_and_decisions_are_urgent_and_nothing_that_only_looks_like_them(bench: Bench) -> None:
    audit = AuditEntry(event="started", subject='"event":"started"', message='"event":"ended"')
    bodies = [entry(event) for event in TransactionEvent] + [audit, PERIODIC]
    asyncio.run(store(bench, *bodies))
    first = head(bench.reader).seq - len(bodies)
    events = list(TransactionEvent)
    wanted = [first + 1 + events.index(event) for event in (TransactionEvent.STARTED, TransactionEvent.ENDED)]
    assert urgent_seqs(bench.reader, first, first + len(bodies)) == wanted
    assert urgent_seqs(bench.reader, wanted[0], wanted[1] - 1) == []
