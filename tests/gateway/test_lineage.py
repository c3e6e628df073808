"""Two histories of one store: where they part is found, a new epoch is ordered from there, and only what no gateway can
decide is left to a person."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from gateway.errors import StoreUnavailable, UplinkError
from gateway.store.carrying import EpochOrder, begun
from gateway.store.epochs import order_epoch, prepare_ledger
from gateway.store.ledger import halted, head
from gateway.store.segments import dropped
from gateway.uplink.lineage import Behind, CutOff, Lineage, Obstacle
from tests.gateway.conftest import Bench, Bond, RoughHub, link_against, said
from wire.chain import GENESIS_HASH
from wire.records import decode, encode
from wire.sync_messages import PATH_HASHES, PATH_HELLO, HashAt, Hashes, Refusal, RefusalCode, parse_hello
from wire.tombstone import SeqRange, Superseded, TombstoneReason


class Past:
    """A hub that holds `common` records of the gateway, and behind them others up to `length`."""

    def __init__(self, common: int, length: int, down: int = 0) -> None:
        self.common, self.length, self.down = common, length, down
        self.asked: list[list[int]] = []
        self.superseded: list[object] = []
        self.epochs: list[str] = []
        self.first: dict[int, str] = {}

    async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path == PATH_HELLO:
            hello = parse_hello(body)
            self.superseded.append(hello.supersedes)
            self.epochs.append(hello.epoch)
            if hello.epoch != "epoch-1":
                return None
            return self.welcome(hub)
        if request.path != PATH_HASHES:
            return None
        if self.down:
            self.down -= 1
            return web.Response(status=503)
        seqs = [int(text) for text in request.query.getall("seq")]
        self.asked.append(seqs)
        known = self.known()
        hashes = tuple(
            HashAt(seq=seq, hash=known.get(seq, "ab" * 32)) for seq in sorted(seqs) if 0 < seq <= self.length
        )
        return said(Hashes(epoch=request.query["epoch"], acked_seq=self.length, hashes=hashes))

    def known(self) -> dict[int, str]:
        """What it holds of the epoch that it was asked about first."""
        self.first = self.first or {record.seq: record.hash for record in self.bench.records()[: self.common]}
        return self.first

    def welcome(self, hub: RoughHub) -> web.Response:
        body = {"type": "welcome", "acked_seq": self.length, "acked_hash": "ab" * 32}
        return web.Response(body=encode(body), content_type="application/json")

    bench: Bench


def meet(
    bench: Bench,
    lab: Path,
    past: Past,
    part: Callable[[Bond, asyncio.Event], Awaitable[None]],
    before: str = "DELETE FROM records WHERE 0",
    *,
    wait_s: float = 60.0,
    fill: bool = False,
    chance: Callable[[], float] = random.random,
) -> None:
    """A link with a lineage against a hub with this past, and `part` beside it; `before`: what is done to the store.
    `fill`: its disk is full then."""
    past.bench = bench

    async def whole(bond: Bond) -> None:
        ordered = asyncio.Event()
        path = bench.folder / "ledger.db"
        bond.link.lineage = Lineage(bench.site.owner, bench.reader, path, bench.clock.now, ordered.set, wait_s=wait_s)
        await bond.store(200)
        await bench.writer.run(lambda connection: connection.execute(before))
        if fill:
            with pytest.raises(StoreUnavailable):
                await bench.writer.run(full)
        bond.hub.mood = past.mood
        await part(bond, ordered)

    async def silent(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return web.Response(status=503)

    link_against(bench, lab, whole, mood=silent, chance=chance)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  # what is in a store tells nobody when it changes
            await asyncio.sleep(0.01)


def full(_connection: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def answering(held: dict[int, str], acked: int) -> Callable[[str], Awaitable[bytes]]:
    """A hub that stands there in epoch-1, and holds that of it."""

    async def fetch(path: str) -> bytes:
        hashes = tuple(HashAt(seq=seq, hash=hash_) for seq, hash_ in held.items() if f"seq={seq}" in path.split("&"))
        return encode(Hashes(epoch="epoch-1", acked_seq=acked, hashes=hashes))

    return fetch


async def ended(bond: Bond, ordered: asyncio.Event) -> None:
    await asyncio.wait_for(bond.running, 60)
    assert ordered.is_set()


def order_of(bench: Bench) -> EpochOrder:
    return decode(EpochOrder, (bench.folder / "ledger-order.json").read_bytes(), "order")


@pytest.mark.parametrize(("common", "length"), [(0, 500), (1, 2), (77, 203), (120, 121), (203, 500), (202, 9000)])
def test_the_point_is_found_and_a_new_epoch_ordered(bench: Bench, lab: Path, common: int, length: int) -> None:
    past = Past(common, length, down=2)
    meet(bench, lab, past, ended)
    order = order_of(bench)
    records = bench.records()
    assert order.continues is not None
    assert (order.reason, order.epoch, order.carry_after) == (TombstoneReason.OLD_IMAGE, "epoch-1", common)
    expected = records[common - 1].hash if common else GENESIS_HASH
    assert (order.continues.seq, order.continues.hash) == (common, expected)
    assert len(past.asked) <= 3


@pytest.mark.parametrize(("common", "point"), [(100, 100), (50, 50), (49, 0)])
def test_what_was_dropped_can_be_compared_by_its_last_hash(bench: Bench, lab: Path, common: int, point: int) -> None:
    class Dropping(Past):
        """Knows the records from before some of them were dropped here."""

        def known(self) -> dict[int, str]:
            held = {record.seq: record.hash for record in self.bench.records() if record.seq <= self.common}
            gone = dropped(self.bench.reader)
            return held | ({gone.seq: gone.hash} if gone.seq <= self.common else {})

    keep = "INSERT INTO dropped SELECT 1, seq, hash FROM records WHERE seq = 50"
    meet(bench, lab, Dropping(common, 500), ended, keep)
    order = order_of(bench)
    assert order.continues is not None
    assert (order.continues.seq, order.carry_after) == (point, point)


def test_the_new_epoch_says_what_it_continues_and_brings_the_rest(bench: Bench, lab: Path) -> None:
    past = Past(100, 150)
    meet(bench, lab, past, ended)
    bench.close()
    ((event, message),) = prepare_ledger(bench.folder / "ledger.db", "site-1", bench.clock.now()).remarks
    assert (event, "103 records carried, 0 lost" in message) == ("epoch-begun", True)
    bench.open()
    assert halted(bench.reader) is None

    async def arrived(bond: Bond, _ordered: asyncio.Event) -> None:
        await bond.hub.until(lambda: len(bond.hub.held) == head(bench.reader).seq)

    meet(bench, lab, past, arrived)
    note = begun(bench.reader)
    assert note is not None
    assert past.superseded[-1] == note.continues
    assert past.epochs[-1] == bench.site.owner.epoch != "epoch-1"


def test_what_the_hub_lacks_of_an_earlier_epoch_is_carried_to_it(bench: Bench, lab: Path) -> None:
    """It was put back to a time before that epoch ended, and another has begun since."""

    async def wait(bond: Bond, _ordered: asyncio.Event) -> None:
        await bond.hub.until(lambda: len(bond.hub.held) == head(bench.reader).seq)

    class Sound(Past):
        """Takes all there is."""

        async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
            return None

    meet(bench, lab, Sound(0, 0), wait)
    records = bench.records()
    gone = SeqRange(first_seq=160, last_seq=160, count=1)
    bench.close()
    path, point = bench.folder / "ledger.db", Superseded(epoch="epoch-1", seq=150, hash=records[149].hash)
    order_epoch(
        path,
        EpochOrder(
            epoch="epoch-1", reason=TombstoneReason.DAMAGE, message="m", continues=point, carry_after=150, lost=(gone,)
        ),
    )
    prepare_ledger(path, "site-1", bench.clock.now())
    bench.open()
    lineage = Lineage(bench.site.owner, bench.reader, path, bench.clock.now, lambda: None)
    asyncio.run(lineage.require_continued(answering({150: records[149].hash}, 150)))
    with pytest.raises(Behind, match=r"lacks 110 records of earlier epochs, which are in ledger-damaged-.*\.db"):
        asyncio.run(lineage.require_continued(answering({40: records[39].hash}, 40)))
    with pytest.raises(Behind, match="lacks 150 records"):
        asyncio.run(lineage.require_continued(answering({40: "ab" * 32}, 40)))

    async def earlier(path: str) -> bytes:
        raise UplinkError("not-a-hub", path, status=404)

    asyncio.run(lineage.require_continued(earlier))
    past = Past(0, 40)
    past.first = {record.seq: record.hash for record in records[:40]}
    meet(bench, lab, past, ended)
    order = order_of(bench)
    assert (order.reason, order.carry_after) == (TombstoneReason.HUB_RESTORED, 1)
    assert order.continues == Superseded(epoch="epoch-1", seq=40, hash=records[39].hash)
    (piece,) = order.before
    assert (piece.epoch, piece.first_seq, piece.last_seq) == ("epoch-1", 41, 150)
    assert order.lost == (gone,), "which was gone before"
    (bench.folder / piece.kept_as).unlink()
    (bench.folder / "ledger-order.json").unlink()

    async def arrived(bond: Bond, ordered: asyncio.Event) -> None:
        await bond.hub.until(lambda: len(bond.hub.held) == head(bench.reader).seq)
        assert not ordered.is_set()

    meet(bench, lab, past, arrived)


class Rival(Past):
    """Holds another history of every epoch."""

    async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return self.welcome(hub) if request.path == PATH_HELLO else await super().mood(hub, request, body)


def begin(bench: Bench, times: int = 1) -> None:
    """New epochs, one at once after the other."""
    path = bench.folder / "ledger.db"
    for _ in range(times):
        epoch = bench.site.owner.epoch
        bench.close()
        order_epoch(path, EpochOrder(epoch=epoch, reason=TombstoneReason.OLD_IMAGE, message="m", carry_after=0))
        prepare_ledger(path, "site-1", bench.clock.now())
        bench.open()


def test_a_third_new_epoch_within_an_hour_waits_and_a_person_is_called(bench: Bench, lab: Path) -> None:
    begin(bench, 2)

    async def waits(bond: Bond, ordered: asyncio.Event) -> None:
        await until(lambda: "may have this gateway's identity" in (halted(bench.reader) or ""))
        assert bond.link.halted
        assert not ordered.is_set()

    meet(bench, lab, Rival(5, 10), waits)
    bench.clock.move(61)
    meet(bench, lab, Rival(5, 10), ended)


def test_a_link_that_waited_greets_again(bench: Bench, lab: Path) -> None:
    begin(bench, 2)

    async def mended(bond: Bond, ordered: asyncio.Event) -> None:
        await until(lambda: bond.link.halted)
        bond.hub.mood = None
        await bond.hub.until(lambda: len(bond.hub.held) == head(bench.reader).seq)
        await until(lambda: halted(bench.reader) is None)
        assert not ordered.is_set()

    meet(bench, lab, Rival(5, 10), mended, wait_s=0.5)


def test_each_further_epoch_waits_longer(bench: Bench) -> None:
    waits: list[float] = []
    for _ in range(7):
        lineage = Lineage(bench.site.owner, bench.reader, bench.folder, bench.clock.now, lambda: None)
        obstacle = lineage.obstacle()
        waits.append(0.0 if obstacle is None else obstacle.wait_s)
        begin(bench)
    assert waits == [0, 0, 60, 300, 900, 3600, 3600]
    bench.clock.move(3600)
    lineage = Lineage(bench.site.owner, bench.reader, bench.folder, bench.clock.now, lambda: None)
    assert lineage.obstacle() is None


def test_what_cannot_be_noted_now_is_noted_when_the_store_is_mended(bench: Bench, lab: Path) -> None:
    """A full disk while the hub says that it holds another history."""
    past, failures = Past(5, 10), list[float]()

    def chance() -> float:
        """Asked for after each failure."""
        failures.append(0.0)
        return failures[-1]

    async def mended(bond: Bond, ordered: asyncio.Event) -> None:
        await until(lambda: bond.link.halted)
        before = len(failures)
        await until(lambda: len(failures) >= before + 3)
        assert not bond.running.done()
        assert not ordered.is_set()
        bench.writer.reopen()
        await ended(bond, ordered)

    meet(bench, lab, past, mended, fill=True, chance=chance)
    assert order_of(bench).carry_after == 5


def test_an_epoch_that_could_not_be_begun_is_said_and_tried_again_after_a_while(bench: Bench) -> None:
    lineage = Lineage(bench.site.owner, bench.reader, bench.folder, bench.clock.now, lambda: None, "no room", 60.0)
    assert lineage.obstacle() == Obstacle("no room", 300.0)
    bench.clock.move(299)
    assert lineage.obstacle() == Obstacle("no room", 1.0)
    bench.clock.move(1)
    assert lineage.obstacle() is None


def test_a_clock_that_went_back_is_no_hour(bench: Bench) -> None:
    begin(bench, 2)
    lineage = Lineage(bench.site.owner, bench.reader, bench.folder, bench.clock.now, lambda: None, None, 1800.0)
    for hours, free in ((-0.4, False), (0.4, False), (1.0, True), (-1.0, True)):
        bench.clock.move(hours * 3600)
        assert (lineage.obstacle() is None) == free, hours
        bench.clock.move(-hours * 3600)


def test_a_rival_is_waited_for_and_never_outrun_by_one_epoch_more(bench: Bench, lab: Path) -> None:
    begin(bench)
    told = Refusal(code=RefusalCode.RIVAL, message="two boxes", acked_seq=0, acked_hash=GENESIS_HASH, retry_after_s=1)

    async def mood(hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
        if request.path != PATH_HELLO:
            return None
        return web.Response(body=encode(told), content_type="application/json", status=409)

    async def waits(bond: Bond, ordered: asyncio.Event) -> None:
        bond.hub.mood = mood
        await until(lambda: "two boxes" in (halted(bench.reader) or ""))
        assert bond.link.trouble == "rival-epoch"
        bond.hub.mood = None
        await bond.hub.until(lambda: len(bond.hub.held) == head(bench.reader).seq)
        assert not ordered.is_set()

    meet(bench, lab, Past(0, 0), waits)


@pytest.mark.parametrize("stands_at", [0, 20])
def test_a_hub_that_went_back_behind_what_is_here_gets_the_rest_in_a_new_epoch(
    bench: Bench, lab: Path, stands_at: int
) -> None:
    past = Past(0, stands_at)
    if not stands_at:
        past.welcome = lambda hub: web.Response(  # type: ignore[method-assign]  # this hub holds nothing
            body=encode({"type": "welcome", "acked_seq": 0, "acked_hash": GENESIS_HASH}),
            content_type="application/json",
        )
    meet(bench, lab, past, ended, "DELETE FROM records WHERE seq <= 50")
    order = order_of(bench)
    assert (order.reason, order.carry_after) == (TombstoneReason.HUB_RESTORED, 50)
    assert order.lost == (SeqRange(first_seq=stands_at + 1, last_seq=50, count=50 - stands_at),)
    assert order.continues is not None
    assert order.continues.seq == stands_at
    bench.close()
    prepare_ledger(bench.folder / "ledger.db", "site-1", bench.clock.now())
    bench.open()
    assert len(bench.records()) == 1 + 203 - 50


def test_cut_off_says_where_both_stand(bench: Bench) -> None:
    lineage = Lineage(bench.site.owner, bench.reader, bench.folder, bench.clock.now, lambda: None)
    lineage.require_held(0, GENESIS_HASH)
    bench.clock.at += timedelta(seconds=1)

    async def fill() -> None:
        await bench.writer.run(
            lambda c: c.execute("INSERT INTO records VALUES (7, 'audit', '', '', 0, '', '', 'ab', '', NULL)")
        )

    asyncio.run(fill())
    lineage.require_held(6, "ab" * 32)
    with pytest.raises(CutOff, match="stands at record 5, and what is here begins with record 7"):
        lineage.require_held(5, "ab" * 32)


def test_a_record_that_the_hub_finds_altered_has_the_ledger_looked_at(bench: Bench, lab: Path) -> None:
    class Sound(Past):
        async def mood(self, hub: RoughHub, request: web.Request, body: bytes) -> web.StreamResponse | None:
            return None

    async def doubts(bond: Bond, ordered: asyncio.Event) -> None:
        doubted = asyncio.Event()
        assert bond.link.lineage is not None
        bond.link.lineage.doubted = doubted.set
        await asyncio.wait_for(doubted.wait(), 60)
        assert not ordered.is_set()

    meet(bench, lab, Sound(0, 0), doubts, "UPDATE records SET body = '{}' WHERE seq = 5")
