"""Room: levels told and audited, what each does to a real store, and full disks that the store comes back from."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from gateway.errors import NoRoom, StoreError, StoreUnavailable
from gateway.presented import SITE_FULL, Presented, decide_presented
from gateway.retention import Retention
from gateway.room import RoomKeeper, measure, size_of
from gateway.store.ballast import Ballast
from gateway.store.budget import MB, PAGE, WAL_ROOM, Act, Level, RoomSettings
from gateway.store.ledger import (
    Identity,
    all_records,
    append,
    head,
    move_position,
    open_ledger,
    open_ledger_reader,
)
from gateway.store.tail import verify_tail
from gateway.store.writer import Writer
from tests.gateway.conftest import Bench, send
from tests.gateway.test_shedding import Shedder, tombstones
from tests.parts import NOON, SetClock, token
from wire.chain import Record, RecordKind
from wire.records import AuditEntry, ClockState, TokenRef, TokenType, Verdict, decode

OWNER = Identity("site-1", "epoch-1")


class House:
    """A store with a budget, its writer and who keeps its room."""

    def __init__(self, folder: Path, budget: int, keep_free: int = 0, ballast: int = 0) -> None:
        self.settings = RoomSettings(
            ledger=folder / "ledger.db", budget=WAL_ROOM + budget, keep_free=keep_free, ballast=ballast
        )
        self.clock = SetClock()
        self.writer = Writer(self.open, self.open_again)
        self.reader = open_ledger_reader(self.settings.ledger)
        retention = Retention(self.writer, self.clock.now, 30)
        self.keeper = RoomKeeper(self.settings, OWNER, self.writer, self.reader, self.clock.now, retention)

    def open(self) -> sqlite3.Connection:
        return open_ledger(self.settings.ledger, "site-1", "epoch-1", self.clock.at, self.settings.max_pages)

    def open_again(self) -> sqlite3.Connection:
        connection = self.open()
        verify_tail(connection)
        return connection

    async def store(self, octets: int = 1000) -> int:
        entry, now = AuditEntry(event="test", subject="site-1", message="x" * octets), self.clock.now()
        return await self.writer.run(lambda c: append(c, OWNER, RecordKind.AUDIT, entry, now))

    async def fill(self, octets: int = 1000) -> list[int]:
        """Store until that fails; the numbers of what was said to be stored."""
        stored: list[int] = []
        while True:
            try:
                stored.append(await self.store(octets))
            except StoreUnavailable:
                return stored

    def events(self) -> list[str]:
        records = [each for each in all_records(self.reader) if each.kind is RecordKind.AUDIT and each.body]
        return [event for event in (event_of(each) for each in records) if event != "test"]

    def numbers(self) -> list[int]:
        return [each.seq for each in all_records(self.reader)]


def event_of(record: Record) -> str:
    return decode(AuditEntry, record.body, "audit entry").event


@contextmanager
def house(folder: Path, budget: int = 4 * MB, **more: int) -> Iterator[House]:
    made = House(folder, budget, **more)
    try:
        yield made
    finally:
        made.writer.end()
        made.reader.close()


def play(made: House, part: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await part()
        await made.writer.drain()

    asyncio.run(asyncio.wait_for(run(), 100))


def test_changes_of_level_are_audited_once(tmp_path: Path) -> None:
    with house(tmp_path) as made:

        async def part() -> None:
            await made.keeper.look()
            assert made.events() == []
            while measure(made.settings, made.reader).used < 0.75 * made.settings.max_pages * PAGE:
                await made.store(50_000)
            await made.keeper.look()
            await made.keeper.look()
            assert made.keeper.level is Level.TIGHT
            assert made.events() == ["room-tight"]
            while measure(made.settings, made.reader).used < 0.96 * made.settings.max_pages * PAGE:
                await made.store(50_000)
            await made.keeper.look()
            assert made.keeper.does(Act.COUNT_VALUES)
            assert made.events() == ["room-tight", "room-spent"]

        play(made, part)


def test_budget_holds_and_what_it_refuses_is_not_acknowledged(tmp_path: Path) -> None:
    with house(tmp_path, 2 * MB) as made:

        async def part() -> None:
            stored = await made.fill(20_000)
            assert made.writer.full
            assert made.numbers() == stored
            assert made.settings.ledger.stat().st_size <= 2 * MB
            assert size_of(made.settings.wal) <= WAL_ROOM
            made.settings = replace(made.settings, budget=WAL_ROOM + 4 * MB)
            made.keeper._settings = made.settings
            await made.keeper.mend()
            assert made.writer.broken is None
            assert "store-mended" in made.events()
            assert await made.store() > stored[-1]

        play(made, part)


def test_a_budget_that_stations_have_spent_leaves_room_to_get_out_of_it(tmp_path: Path) -> None:
    """What stations cause is refused piece by piece; what the hub acknowledges can be noted, and room is made."""
    entry = AuditEntry(event="test", subject="site-1", message="x" * 3000)
    with house(tmp_path, 4 * MB) as made:

        async def charge() -> int:
            now = made.clock.now()
            return await made.writer.run(lambda c: append(c, OWNER, RecordKind.TRANSACTION, entry, now))

        async def charge_all() -> None:
            while True:
                await charge()

        async def part() -> None:
            with pytest.raises(NoRoom, match="max_mb"):
                await charge_all()
            stored = head(made.reader).seq
            assert made.writer.broken is None, "others are not concerned"
            await made.keeper.look()
            assert made.keeper.level is Level.SPENT
            made.writer.reopen()
            with pytest.raises(NoRoom):
                await charge()

            def arrived(connection: sqlite3.Connection) -> None:
                move_position(connection, stored)
                connection.execute("INSERT INTO receipts VALUES (?, '2020-01-01T00:00:00+00:00', '', '')", (stored,))

            await made.writer.run(arrived)
            await made.keeper.look()
            assert made.keeper.level < Level.SPENT
            assert await charge() > stored

        play(made, part)


class Handed:
    """A store of 4 MB that has given all it holds to the hub, at an instant."""

    def __init__(self, made: House) -> None:
        self.made = made

    async def fill(self, share: float) -> int:
        """Store until so much of the budget is used; the last number."""
        while measure(self.made.settings, self.made.reader).used < share * self.made.settings.max_pages * PAGE:
            await self.made.store(3000)
        return head(self.made.reader).seq

    async def countersign(self, at: datetime, last: int) -> None:
        def arrived(connection: sqlite3.Connection) -> None:
            move_position(connection, last)
            connection.execute("INSERT INTO receipts VALUES (?, ?, '', '')", (last, at.isoformat()))

        await self.made.writer.run(arrived)

    def without_content(self) -> int:
        return sum(not each.body for each in all_records(self.made.reader))


def test_what_was_countersigned_within_a_day_stays_while_room_is_tight(tmp_path: Path) -> None:
    """A hub that is put back to a backup of this day is brought all that came since, with what it said."""
    with house(tmp_path) as made:
        handed = Handed(made)

        async def part() -> None:
            half = await handed.fill(0.4)
            await handed.countersign(NOON - timedelta(hours=25), half)
            last = await handed.fill(0.75)
            await handed.countersign(NOON, last)
            await made.keeper.look()
            assert made.events()[:1] == ["room-tight"]
            assert handed.without_content() == half

        play(made, part)


@pytest.mark.parametrize(
    ("state", "at", "earliest"),
    [
        (ClockState.UNKNOWN, NOON + timedelta(days=400), None),
        (ClockState.UNKNOWN, NOON + timedelta(days=400), NOON),
        (ClockState.DRIFTING, NOON + timedelta(days=400), NOON + timedelta(hours=23)),
        (ClockState.TRUSTED, NOON - timedelta(days=400), None),
    ],
)
def test_no_clock_that_may_be_wrong_lets_go_of_the_last_day(
    tmp_path: Path, state: ClockState, at: datetime, earliest: datetime | None
) -> None:
    with house(tmp_path) as made:
        handed = Handed(made)

        async def part() -> None:
            await handed.countersign(NOON, await handed.fill(0.75))
            made.clock.state, made.clock.at, made.clock.earliest = state, at, earliest
            await made.keeper.look()
            assert made.keeper.level is Level.TIGHT
            assert handed.without_content() == 0
            made.clock.state, made.clock.earliest = ClockState.DRIFTING, NOON + timedelta(hours=25)
            await handed.countersign(NOON + timedelta(hours=25), await made.store())
            await made.keeper.look()
            assert made.keeper.level is Level.PLENTY
            assert handed.without_content() > 0

        play(made, part)


def test_the_day_does_not_go_by_while_the_hub_is_away(tmp_path: Path) -> None:
    """It may be that long in coming back, and then be one that was put back."""
    with house(tmp_path) as made:
        handed = Handed(made)

        async def part() -> None:
            await handed.countersign(NOON - timedelta(hours=23), await handed.fill(0.4))
            await handed.countersign(NOON, await handed.fill(0.75))
            made.clock.move(timedelta(days=10).total_seconds())
            await made.keeper.look()
            assert made.keeper.level is Level.TIGHT
            assert handed.without_content() == 0

        play(made, part)


def test_of_the_last_day_goes_no_more_than_it_takes_once_the_room_is_spent(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        handed = Handed(made)

        async def part() -> None:
            last = await handed.fill(0.96)
            await handed.countersign(NOON, last)
            await made.keeper.look()
            assert made.events()[-2:] == ["room-spent", "room-scarce"]
            gone = handed.without_content()
            assert 0 < gone < last
            assert all(each.is_released for each in list(all_records(made.reader))[:gone]), "the oldest first"
            await made.keeper.look()
            assert handed.without_content() == gone

        play(made, part)


def test_full_disk_that_has_room_again_lets_go_of_nothing(tmp_path: Path) -> None:
    """What a commit found full may be over when the store is opened anew: the figures of then count."""
    with house(tmp_path, 2 * MB) as made:
        handed = Handed(made)

        async def part() -> None:
            last = len(await made.fill(20_000))
            assert made.writer.full
            made.writer.reopen()
            with closing(sqlite3.connect(made.settings.ledger)) as other, other:
                other.execute("UPDATE position SET acked_seq = ?", (last,))
                other.execute("INSERT INTO receipts VALUES (?, ?, '', '')", (last, NOON.isoformat()))
            await made.fill(20_000)
            assert made.writer.full
            made.settings = made.keeper._settings = replace(made.settings, budget=WAL_ROOM + 16 * MB)
            await made.keeper.mend()
            assert "store-mended" in made.events()
            assert handed.without_content() == 0

        play(made, part)


def test_a_store_that_was_longer_than_its_budget_before_it_had_one_goes_on(tmp_path: Path) -> None:
    with house(tmp_path, 4 * MB) as made:
        play(made, partial(made.store, 3_000_000))
    with house(tmp_path, 2 * MB) as made:

        async def part() -> None:
            await made.store()
            await made.keeper.look()
            assert made.events() == ["room-spent"]
            assert made.settings.ledger.stat().st_size <= 4 * MB

        play(made, part)


def test_a_full_store_that_has_nothing_of_its_own_left_lets_go_before_it_speaks(tmp_path: Path) -> None:
    with house(tmp_path, 2 * MB) as made:

        async def part() -> None:
            stored = await made.fill(20_000)
            stored += await made.fill(20_000)
            with closing(sqlite3.connect(made.settings.ledger)) as other, other:
                other.execute("UPDATE position SET acked_seq = ?", (stored[-1],))
                other.execute("INSERT INTO receipts VALUES (?, '2020-01-01T00:00:00+00:00', '', '')", (stored[-1],))
            await made.keeper.mend()
            assert made.writer.broken is None
            assert "store-mended" in made.events()

        play(made, part)


def test_budget_is_set_on_every_open_and_read_back(tmp_path: Path) -> None:
    for pages in (300, 200):
        connection = open_ledger(tmp_path / "ledger.db", "site-1", "epoch-1", SetClock().at, pages)
        assert connection.execute("PRAGMA max_page_count").fetchone() == (pages,)
        connection.close()
    connection = open_ledger(tmp_path / "ledger.db", "site-1", "epoch-1", SetClock().at, 3)
    count = connection.execute("PRAGMA page_count").fetchone()
    assert connection.execute("PRAGMA max_page_count").fetchone() == count, "one that is longer may not grow"
    connection.close()


def test_ballast_is_of_real_blocks_and_made_again(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", MB)
    assert not ballast.held
    assert ballast.make()
    assert ballast.held
    assert ballast.path.stat().st_blocks * 512 >= MB
    os.truncate(ballast.path, 100)
    assert not ballast.held
    assert ballast.make()
    assert ballast.held
    ballast.release()
    ballast.release()
    assert not ballast.path.exists()
    assert not Ballast(tmp_path / "no" / "ballast", MB).make()
    assert Ballast(tmp_path / "none", 0).make()
    assert not (tmp_path / "none").exists()


def test_keeper_makes_the_ballast_when_there_is_room(tmp_path: Path) -> None:
    with house(tmp_path, ballast=MB) as made:
        play(made, made.keeper.look)
        assert (tmp_path / "ballast").stat().st_size == MB
    with house(tmp_path / "..", keep_free=2**60, ballast=MB) as made:
        play(made, made.keeper.look)
        assert made.keeper.level is Level.SPENT
        assert not (tmp_path / ".." / "ballast").exists()


def test_write_ahead_log_is_emptied_when_nothing_is_stored(tmp_path: Path) -> None:
    with house(tmp_path) as made:

        async def part() -> None:
            for _ in range(30):
                await made.store(20_000)
            assert size_of(made.settings.wal) > 100_000
            await made.keeper.look()
            await made.keeper.look()
            assert size_of(made.settings.wal) == 0
            assert made.numbers() == list(range(1, 31))

        play(made, part)


def test_long_write_ahead_log_is_alarmed_once(tmp_path: Path) -> None:
    with house(tmp_path, 64 * MB) as made:

        async def part() -> None:
            made.reader.execute("BEGIN")
            made.reader.execute("SELECT count(*) FROM records").fetchone()
            while size_of(made.settings.wal) <= WAL_ROOM:
                await made.store(1_000_000)
            made.reader.execute("COMMIT")
            made.reader.execute("BEGIN")
            made.reader.execute("SELECT count(*) FROM records").fetchone()
            await made.keeper.look()
            made.reader.execute("COMMIT")
            assert "write-ahead-log-long" in made.events()
            await made.keeper.look()
            await made.keeper.look()
            assert size_of(made.settings.wal) <= WAL_ROOM
            assert made.events().count("write-ahead-log-long") == 1

        play(made, part)


def test_damaged_end_is_not_written_behind(tmp_path: Path) -> None:
    with house(tmp_path) as made:

        async def part() -> None:
            await made.store()
            await made.store()
            await made.writer.run(lambda c: c.execute("UPDATE records SET body = 'x' WHERE seq = 2").rowcount)
            with pytest.raises(StoreError, match="record 2"):
                made.writer.reopen()

        play(made, part)


def test_damaged_end_that_shows_when_the_store_is_opened_again_is_told(tmp_path: Path) -> None:
    heard: list[str] = []
    with house(tmp_path, 64 * MB) as made:
        made.keeper.damaged = heard.append

        async def part() -> None:
            with file_size_limit(3 * MB):
                stored = await made.fill(100_000)
                await made.keeper.mend()
            assert heard == [], "no room is no damage"
            with pytest.raises(StoreUnavailable):
                await made.writer.run(lambda c: c.execute("INSERT INTO nowhere VALUES (1)").rowcount)
            with closing(sqlite3.connect(made.settings.ledger)) as other, other:
                other.execute("UPDATE records SET body = 'x' WHERE seq = ?", (stored[-1],))
            await made.keeper.mend()
            assert made.writer.broken is not None
            assert len(heard) == 1
            assert f"record {stored[-1]} " in heard[0]

        play(made, part)


def test_counted_values_become_a_tombstone(bench: Bench) -> None:
    shedder = Shedder(bench)
    shedder.begin()
    shedder.counting = True
    for _ in range(3):
        shedder.value()
    settings = RoomSettings(ledger=bench.folder / "ledger.db", budget=64 * MB, keep_free=0, ballast=0)
    retention = Retention(bench.writer, bench.clock.now, 30)
    keeper = RoomKeeper(settings, bench.site.owner, bench.writer, bench.reader, bench.clock.now, retention)
    grew: list[bool] = []
    keeper.stored = lambda: grew.append(True)
    asyncio.run(keeper.bury())
    asyncio.run(keeper.bury())
    (found,) = tombstones(bench.records())
    assert [each.count for each in found.not_kept] == [3]
    assert grew == [True]


def test_who_is_accepted_is_turned_away_where_the_room_is_spent(bench: Bench) -> None:
    bench.list_tokens(token(uid="A"), token(uid="B", valid=False))
    presented = Presented(token=TokenRef(uid="A", type=TokenType.RFID))
    blocked = Presented(token=TokenRef(uid="B", type=TokenType.RFID))
    full = replace(bench.site, turns_away=lambda charger_id: charger_id == "CP-1")
    decision = asyncio.run(decide_presented(full, "CP-1", presented))
    assert (decision.verdict, decision.reason) == (Verdict.NOT_AT_THIS_TIME, SITE_FULL)
    assert asyncio.run(decide_presented(full, "CP-1", blocked)).verdict is Verdict.BLOCKED
    assert asyncio.run(decide_presented(full, "CP-2", presented)).verdict is Verdict.ACCEPTED
    rows = bench.reader.execute("SELECT charger_id, token FROM decisions ORDER BY token").fetchall()
    assert rows == [("CP-2", "a"), ("CP-1", "b")], "being full says nothing of a token"
    assert asyncio.run(decide_presented(bench.site, "CP-1", presented)).verdict is Verdict.ACCEPTED


def test_session_that_begins_all_the_same_is_stored_and_said(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.site = replace(bench.site, is_full=lambda: True)
    fields = {
        "eventType": "Started",
        "timestamp": bench.clock.at.isoformat().replace("+00:00", "Z"),
        "triggerReason": "CablePluggedIn",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T-1"},
    }
    send(bench.station("2.0.1"), "TransactionEvent", fields)
    (record,) = bench.records()
    assert record.kind is RecordKind.TRANSACTION
    assert "session-begun-while-full" in capfd.readouterr().out


# --- disks that are full


@contextmanager
def file_size_limit(octets: int) -> Iterator[None]:
    """No file of this process may become longer; writing beyond is an I/O error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_error_fails_the_batch_and_the_store_comes_back(tmp_path: Path) -> None:
    with house(tmp_path, 64 * MB) as made:

        async def part() -> None:
            with file_size_limit(3 * MB):
                stored = await made.fill(100_000)
                assert made.writer.broken is not None
                assert not made.writer.full, "an I/O error, not a full disk"
                await made.keeper.mend()
            if made.writer.broken is not None:
                await made.keeper.mend()
            assert made.writer.broken is None
            more = await made.store()
            assert set(stored) <= set(made.numbers())
            assert made.numbers() == list(range(1, more + 1))
            verify_tail(made.reader)

        play(made, part)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("a small file system needs the right to mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_is_survived_by_the_ballast(small_disk: Path) -> None:
    with house(small_disk, 64 * MB, keep_free=MB, ballast=5 * MB) as made:
        others = small_disk / "others"

        async def part() -> None:
            await made.keeper.look()
            assert (small_disk / "ballast").exists()
            disk = os.statvfs(small_disk)
            others.write_bytes(bytes(disk.f_bavail * disk.f_frsize - 3 * MB))
            stored = await made.fill(30_000)
            assert made.writer.full
            assert set(stored) <= set(made.numbers())
            await made.keeper.mend()
            assert not (small_disk / "ballast").exists()
            assert made.writer.broken is None
            assert made.keeper.level >= Level.SCARCE
            assert "store-mended" in made.events()
            await made.store()
            others.unlink()
            for _ in range(3):
                await made.keeper.look()
            assert (small_disk / "ballast").exists(), "there is room again"
            assert made.keeper.level < Level.SCARCE
            assert set(stored) <= set(made.numbers())
            assert made.numbers() == list(range(1, head(made.reader).seq + 1))

        play(made, part)
