"""Damage and new epochs: what is sound is carried, what is gone is named, and any moment of it may be the last."""

from __future__ import annotations

import asyncio
import copy
import os
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.__main__ import main
from gateway.errors import StoreError
from gateway.inspection import Inspection
from gateway.ledger.verify import verify_ledger
from gateway.store.carrying import EpochOrder, begun
from gateway.store.chargers import has_booted
from gateway.store.earlier import body_of
from gateway.store.epochs import jump_numbers, open_writer, order_epoch, prepare_ledger
from gateway.store.fates import FATE
from gateway.store.ledger import (
    SCHEMA,
    all_records,
    append,
    head,
    identity,
    move_position,
    number_at,
    open_ledger,
    open_ledger_reader,
)
from gateway.store.pieces import Piece
from gateway.store.release import release_held_back, release_step
from gateway.store.rows import RowHash
from gateway.store.salvage import survey
from gateway.store.soundness import find_damage, inspect, says_damage, tables_of
from gateway.store.whitelist import Whitelist
from gateway.store.writer import Writer
from tests.gateway.conftest import Bench, send
from tests.parts import SetClock
from wire.carried import mark_of
from wire.chain import RecordKind
from wire.records import AuditEntry, ClockState, decode
from wire.tombstone import SeqRange, Superseded, Tombstone, TombstoneReason

COUNT, ACKED = 700, 300


class Store:
    """A ledger of audit records, the first of them acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.clock = folder, folder / "ledger.db", SetClock()
        with closing(self.open()) as connection:
            owner = identity(connection)
            connection.execute("BEGIN")
            for number in range(COUNT):
                entry = entry_of(f"{number} " + "x" * 900)
                append(connection, owner, RecordKind.AUDIT, entry, self.clock.now())
                self.clock.move(1)
            move_position(connection, ACKED)
            connection.execute("COMMIT")
            self.records = list(all_records(connection))

    def open(self) -> sqlite3.Connection:
        return open_ledger(self.path, "site-1", "epoch-1", self.clock.now().at)

    def prepare(self) -> list[tuple[str, str]]:
        return prepare_ledger(self.path, "site-1", self.clock.now()).remarks

    def overwrite(self, page: int) -> None:
        """Noise in place of a page, counted from 0; of the last one with -1."""
        with self.path.open("r+b") as file:
            file.seek(page * 4096, os.SEEK_SET if page >= 0 else os.SEEK_END)
            file.write(b"\xa5" * 4096)

    def page_of(self, seq: int) -> int:
        """A page that holds a piece of what a record says."""
        text = f'"message":"{seq - 1} '.encode()
        return self.path.read_bytes().index(text) // 4096

    def change(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(sql, values)

    def order(self, after: int = ACKED) -> None:
        point = Superseded(epoch="epoch-1", seq=after, hash=self.records[after - 1].hash)
        reason, message = TombstoneReason.OLD_IMAGE, "for the test"
        order_epoch(
            self.path, EpochOrder(epoch="epoch-1", reason=reason, message=message, continues=point, carry_after=after)
        )

    def check(self, lost: set[int], after: int = ACKED) -> Tombstone:
        """The new epoch is whole, its first record says what is lost, and all the rest was carried as it was."""
        with closing(self.open()) as connection:
            assert verify_ledger(connection, None, lambda done, total: None).findings == ()
            first, *carried = all_records(connection)
            assert identity(connection).epoch != "epoch-1"
        expected = [record for record in self.records[after:] if record.seq not in lost]
        assert [mark_of(record) for record in carried] == [mark_of(record) for record in expected]
        assert [(record.body, record.salt, record.at) for record in carried] == [
            (record.body, record.salt, record.at) for record in expected
        ]
        assert first.kind is RecordKind.TOMBSTONE
        said = decode(Tombstone, first.body, "tombstone")
        assert {seq for each in said.lost for seq in range(each.first_seq, each.last_seq + 1)} == lost
        return said


def entry_of(message: str) -> AuditEntry:
    return AuditEntry(event="test", subject="site-1", message=message)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def kept(store: Store) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.name.startswith("ledger-"))


def test_a_sound_ledger_is_left_alone(store: Store) -> None:
    before = store.path.read_bytes()
    assert store.prepare() == []
    assert store.path.read_bytes() == before
    assert kept(store) == []


def test_a_record_that_was_altered_is_named_and_the_others_are_carried(store: Store) -> None:
    store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = 500")
    ((event, message),) = store.prepare()
    assert (event, "record 500 does not fit" in message) == ("epoch-begun", True)
    said = store.check({500})
    assert (said.reason, said.continues) == (
        TombstoneReason.DAMAGE,
        Superseded(epoch="epoch-1", seq=ACKED, hash=store.records[ACKED - 1].hash),
    )
    assert store.prepare() == []


def test_a_record_whose_hash_alone_was_altered_is_carried(store: Store) -> None:
    store.change("UPDATE records SET hash = ? WHERE seq = 500", "ab" * 32)
    store.prepare()
    store.check(set())


def test_a_hash_that_is_none_and_text_that_is_none(store: Store) -> None:
    store.change("UPDATE records SET hash = 'no hash' WHERE seq = 400")
    store.change("UPDATE records SET body = CAST(x'ff00fe' AS TEXT) WHERE seq = 500")
    store.prepare()
    store.check({500})


def test_a_page_that_cannot_be_read_costs_what_is_on_it(store: Store) -> None:
    store.overwrite(store.page_of(450))
    store.prepare()
    with closing(store.open()) as connection:
        lost = begun(connection).lost  # type: ignore[union-attr]  # it is there, or the test fails
    numbers = {seq for each in lost for seq in range(each.first_seq, each.last_seq + 1)}
    assert 450 in numbers
    assert len(numbers) < 20
    store.check(numbers)
    (name,) = [name for name in kept(store) if name.endswith(".db")]
    assert name.startswith("ledger-damaged-")
    assert b"\xa5" * 4096 in (store.folder / name).read_bytes()


def test_a_file_of_which_nothing_reads_is_set_aside_and_the_site_goes_on(store: Store) -> None:
    store.path.write_bytes(b"\xa5" * store.path.stat().st_size)
    ((_, message),) = store.prepare()
    assert "file is not a database" in message
    with closing(store.open()) as connection:
        (only,) = all_records(connection)
        assert connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'").fetchone()[0] >= number_at(
            store.clock.at
        )
    assert decode(Tombstone, only.body, "tombstone").continues is None


# --- the first page


@pytest.mark.parametrize("octets", [b"\xa5" * 4096, b"\0" * 4096, b"SQLite format 3\0" + b"\xa5" * 4080])
def test_without_its_first_page_a_file_gives_all_the_same(store: Store, octets: bytes) -> None:
    store.change("INSERT INTO notes VALUES ('1', 'kept')")
    store.change("INSERT INTO chargers VALUES ('CP-1', '1.6', 'Rough', 'One', '2026-11-01T00:00:00+00:00', NULL, NULL)")
    with store.path.open("r+b") as file:
        file.write(octets)
    ((_, message),) = store.prepare()
    assert f"{COUNT - ACKED} records carried, 0 lost" in message
    said = store.check(set())
    assert said.continues == Superseded(epoch="epoch-1", seq=ACKED, hash=store.records[ACKED - 1].hash)
    with closing(store.open()) as connection:
        assert connection.execute("SELECT text FROM notes WHERE name = '1'").fetchall() == [("kept",)]
        assert has_booted(connection, "cp-1")
    assert not [name for name in kept(store) if "mended" in name]


def test_without_its_first_page_and_another_one_only_that_ones_records_are_lost(store: Store) -> None:
    hole = store.page_of(450)
    store.overwrite(0)
    store.overwrite(hole)
    store.prepare()
    with closing(store.open()) as connection:
        lost = begun(connection).lost  # type: ignore[union-attr]  # it is there, or the test fails
    numbers = {seq for each in lost for seq in range(each.first_seq, each.last_seq + 1)}
    assert 450 in numbers
    assert len(numbers) < 20
    store.check(numbers)


def test_without_its_first_page_what_the_log_has_is_carried_too(tmp_path: Path, store: Store) -> None:
    with closing(store.open()) as connection:
        connection.execute("BEGIN")
        append(connection, identity(connection), RecordKind.AUDIT, entry_of("in the log"), store.clock.now())
        connection.execute("COMMIT")
        store.records = list(all_records(connection))
        killed = copy.copy(store)
        killed.folder = tmp_path / "killed"
        killed.folder.mkdir()
        killed.path = Path(shutil.copy(store.path, killed.folder))
        shutil.copy(f"{store.path}-wal", killed.folder)
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT max(seq) FROM records").fetchone() == (COUNT + 1,)
    killed.overwrite(0)
    ((_, message),) = killed.prepare()
    assert f"{COUNT + 1 - ACKED} records carried, 0 lost" in message
    killed.check(set())


@pytest.mark.parametrize("table", ["records", '"sessions"', "tiles"])
def test_a_page_of_the_schema_that_is_gone_with_the_first_one_costs_no_record(store: Store, table: str) -> None:
    page = store.path.read_bytes().index(f"CREATE TABLE {table} (".encode()) // 4096
    store.overwrite(0)
    store.overwrite(page)
    ((_, message),) = store.prepare()
    assert f"{COUNT - ACKED} records carried, 0 lost" in message
    store.check(set())


def test_a_page_that_contradicts_the_schema_is_not_believed(store: Store) -> None:
    octets = store.path.read_bytes()
    page = octets.index(b"CREATE TABLE records (") // 4096
    other = bytearray(octets[page * 4096 : (page + 1) * 4096])
    at = other.index(b"CREATE TABLE records (") - 1
    assert other[at] == 3, "where the table begins"
    other[at] = 7
    store.overwrite(0)
    with store.path.open("ab") as file:
        file.write(other)
    ((_, message),) = store.prepare()
    assert f"{COUNT - ACKED} records carried, 0 lost" in message, "it begins where it does in every store"


@pytest.mark.parametrize("more", [0, 13])
def test_a_file_that_was_cut_short_gives_what_is_in_front(store: Store, more: int) -> None:
    os.truncate(store.path, store.path.stat().st_size * 3 // 4 // 4096 * 4096 + more)
    store.prepare()
    with closing(store.open()) as connection:
        note = begun(connection)
    assert note is not None
    assert 100 < note.carried < COUNT - ACKED
    assert [name for name in kept(store) if name.endswith(".db")] == [note.kept_as]


def test_a_foreign_file_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (x)")
    assert find_damage(path, SCHEMA.application_id) is None
    assert prepare_ledger(path, "site-1", SetClock().now()).remarks == []
    with pytest.raises(StoreError, match="not a gateway's ledger"):
        open_ledger(path, "site-1", "epoch-1", SetClock().at)


def test_a_damaged_ledger_of_another_gateway_is_not_taken(store: Store) -> None:
    store.change("UPDATE records SET body = '{}' WHERE seq = 500")
    with pytest.raises(StoreError, match="belongs to gateway 'site-1', the configuration says 'site-2'"):
        prepare_ledger(store.path, "site-2", store.clock.now())
    assert kept(store) == []


def test_the_end_that_other_tables_speak_of_is_lost_when_it_is_gone(store: Store) -> None:
    store.change("DELETE FROM records WHERE seq > 690")
    store.change("INSERT INTO seen VALUES (1, x'00', 695, '{}')")
    store.change("UPDATE records SET body = '{}' WHERE seq = 500")
    store.prepare()
    with closing(store.open()) as connection:
        note = begun(connection)
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (0,), "a repetition is stored anew"
    assert note is not None
    assert note.lost == (
        SeqRange(first_seq=500, last_seq=500, count=1),
        SeqRange(first_seq=691, last_seq=695, count=5),
    )


@pytest.mark.parametrize("others", [0, 3])
def test_a_row_of_another_table_that_is_no_text_ends_the_epoch(store: Store, others: int) -> None:
    for number in range(others):
        store.change(f"INSERT INTO notes VALUES ('0-{number}', 'kept')")
    store.change("INSERT INTO notes VALUES ('1', CAST(x'ff00fe' AS TEXT)), ('2', 'kept')")
    heard: list[str] = []

    async def audit(event: str, message: str) -> None:
        pytest.fail(event)

    assert asyncio.run(Inspection(store.path, heard.append, audit).round(share=1))
    assert says_damage(heard[0])
    if not others:
        assert [event for event, _ in store.prepare()] == ["epoch-begun"]
    else:
        order_epoch(store.path, EpochOrder(epoch="epoch-1", reason=TombstoneReason.DAMAGE, message=heard[0]))
        store.prepare()
    store.check(set())
    with closing(store.open()) as connection:
        (kept_notes,) = connection.execute("SELECT count(*) FROM notes WHERE text = 'kept'").fetchone()
    assert kept_notes == others + 1


def test_an_order_carries_what_comes_behind_its_point(store: Store) -> None:
    store.order(after=350)
    ((_, message),) = store.prepare()
    assert "350 records carried, 0 lost" in message
    said = store.check(set(), after=350)
    assert said.reason is TombstoneReason.OLD_IMAGE
    assert [name[:18] for name in kept(store) if name.endswith(".db")] == ["ledger-superseded-"]


def test_what_the_hub_lacks_of_an_earlier_epoch_is_carried_in_front(store: Store) -> None:
    store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq IN (120, 500)")
    store.prepare()
    with closing(store.open()) as connection:
        note, present = begun(connection), list(all_records(connection))
    assert note is not None
    assert note.continues is not None
    piece = Piece(kept_as=note.kept_as, epoch="epoch-1", first_seq=101, last_seq=ACKED)
    point = Superseded(epoch="epoch-1", seq=100, hash=store.records[99].hash)
    order = EpochOrder(
        epoch=begun_epoch(store),
        reason=TombstoneReason.HUB_RESTORED,
        message="for the test",
        continues=point,
        carry_after=1,
        before=(piece,),
    )
    order_epoch(store.path, order)
    store.prepare()
    with closing(store.open()) as connection:
        assert verify_ledger(connection, None, lambda done, total: None).findings == ()
        first, *carried = all_records(connection)
        again = begun(connection)
    said = decode(Tombstone, first.body, "tombstone")
    assert said.continues == point
    assert said.lost == (SeqRange(first_seq=120, last_seq=120, count=1),)
    expected = [*(record for record in store.records[100:ACKED] if record.seq != 120), *present[1:]]
    assert [mark_of(record) for record in carried] == [mark_of(record) for record in expected]
    assert again is not None
    assert (again.carried, again.earlier) == (len(expected), (note.at,))
    assert not [name for name in kept(store) if "mended" in name]


def test_a_piece_whose_file_was_removed_is_lost(store: Store) -> None:
    piece = Piece(kept_as="ledger-damaged-gone.db", epoch="epoch-0", first_seq=5, last_seq=9)
    point = Superseded(epoch="epoch-0", seq=4, hash="ab" * 32)
    reason = TombstoneReason.HUB_RESTORED
    order = EpochOrder(epoch="epoch-1", reason=reason, message="m", continues=point, carry_after=0, before=(piece,))
    order_epoch(store.path, order)
    store.prepare()
    with closing(store.open()) as connection:
        first, *carried = all_records(connection)
    assert len(carried) == COUNT
    assert decode(Tombstone, first.body, "tombstone").lost == (SeqRange(first_seq=5, last_seq=9, count=5),)


def test_an_order_of_an_epoch_that_is_over_is_dropped(store: Store) -> None:
    store.order()
    store.prepare()
    epoch = begun_epoch(store)
    store.order()
    assert store.prepare() == []
    assert begun_epoch(store) == epoch
    (store.folder / "ledger-order.json").write_text("no order")
    assert store.prepare() == []


def begun_epoch(store: Store) -> str:
    with closing(open_ledger_reader(store.path)) as connection:
        return identity(connection).epoch


def in_child(work: Callable[[], object]) -> int:
    """The exit code of a forked process that does `work`."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001  whatever it is, it must not run on in a second pytest
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(step: int, store: Store) -> None:
    """Prepare the store, and be killed at the n-th change of a name in its folder."""
    left = step

    def count(event: str, _arguments: Any) -> None:
        nonlocal left
        if event in ("os.rename", "os.remove"):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(count)
    store.prepare()


def test_killed_at_any_step_the_next_start_ends_in_the_same_account(tmp_path: Path, store: Store) -> None:
    step, code = 0, 9
    while code == 9:
        step += 1
        killed, damaged = copy.copy(store), step % 2 == 0
        killed.folder = tmp_path / str(step)
        killed.folder.mkdir()
        killed.path = Path(shutil.copy(store.path, killed.folder))
        if damaged:
            killed.change("UPDATE records SET body = '{}' WHERE seq = 500")
        else:
            killed.order()
        code = in_child(partial(die_at, step, killed))
        killed.prepare()
        killed.check({500} if damaged else set())
        assert len([name for name in kept(killed) if name.endswith(".db")]) == 1
        assert not (killed.folder / "ledger-order.json").exists()
    assert (code, step > 5) == (0, True)


def test_without_room_an_ordered_epoch_waits_and_a_damaged_store_says_so(store: Store) -> None:
    def cramped() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        found = prepare_ledger(store.path, "site-1", store.clock.now())
        assert found.remarks == []
        assert found.blocked is not None
        assert "a new epoch cannot be begun" in found.blocked

    def cramped_and_damaged() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        with pytest.raises(StoreError, match=r"is damaged .* and no new one can be built"):
            prepare_ledger(store.path, "site-1", store.clock.now())

    store.order()
    assert in_child(cramped) == 0
    assert begun_epoch(store) == "epoch-1"
    store.change("UPDATE records SET body = '{}' WHERE seq = 500")
    assert in_child(cramped_and_damaged) == 0
    assert [name for name in kept(store) if name.endswith(".db")] == []
    store.prepare()
    store.check({500})


def test_damage_that_only_shows_when_the_store_is_opened_ends_its_epoch(store: Store) -> None:
    (root,) = sqlite3.connect(store.path).execute("SELECT rootpage FROM sqlite_master WHERE name = 'tiles'").fetchone()
    writer, prepared = open_writer(store.path, "site-1", lambda: Writer(store.open), store.clock.now())
    writer.end()
    assert prepared.remarks == []
    store.overwrite(root - 1)
    writer, prepared = open_writer(store.path, "site-1", lambda: Writer(store.open), store.clock.now())
    writer.end()
    assert [event for event, _ in prepared.remarks] == ["epoch-begun"]
    store.check(set())


def test_the_slow_look_finds_what_the_short_one_does_not(store: Store) -> None:
    heard: list[str] = []
    told: list[str] = []

    async def audit(event: str, message: str) -> None:
        told.append(event)

    def looked() -> bool:
        return asyncio.run(Inspection(store.path, heard.append, audit).round(share=1))

    assert not looked()
    store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = 100")
    assert not looked()
    assert (heard, told) == ([], ["ledger-altered"]), "the hub has the true one"
    store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = 400")
    assert looked()
    assert "record 400" in heard[0]
    store.change("UPDATE records SET body = replace(body, 'y', 'x')")
    (root,) = (
        sqlite3.connect(store.path).execute("SELECT rootpage FROM sqlite_master WHERE name = 'chargers'").fetchone()
    )
    store.overwrite(root - 1)
    assert looked()
    assert "malformed" in heard[1] or "chargers" in heard[1]


@pytest.mark.parametrize("gone", [0, 256, ACKED])
def test_the_first_record_that_the_hub_lacks_is_looked_at_like_any_other(store: Store, gone: int) -> None:
    """It is the one that is sent next: altered, and not noticed, it would keep the uplink waiting for ever."""
    if gone:
        store.change("DELETE FROM records WHERE seq <= ?", gone)
        store.change("INSERT INTO dropped VALUES (1, ?, ?)", gone, store.records[gone - 1].hash)
    assert list(filter(None, inspect(store.path))) == []
    store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = ?", ACKED + 1)
    (fault,) = filter(None, inspect(store.path))
    assert (f"record {ACKED + 1} " in fault.message, fault.ends_epoch) == (True, True)


def test_whoever_cannot_read_the_ledger_has_it_looked_at_again(store: Store) -> None:
    heard: list[str] = []

    async def run() -> None:
        told = asyncio.Event()

        async def audit(event: str, message: str) -> None:
            told.set()

        inspection = Inspection(store.path, heard.append, audit, again_s=0.0, every_s=3600.0)
        store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = 100")
        running = asyncio.create_task(inspection.run())
        await asyncio.wait_for(told.wait(), 60)
        store.change("UPDATE records SET body = replace(body, 'x', 'y') WHERE seq = 400")
        inspection.doubt()
        await asyncio.wait_for(running, 60)

    asyncio.run(run())
    assert len(heard) == 1


def test_an_inspection_that_is_called_off_in_the_middle_of_a_slice_ends(store: Store) -> None:
    """It is closed by whoever calls it off, and a generator that a thread is at work in cannot be."""

    async def audit(event: str, message: str) -> None:
        raise AssertionError(message)

    def opened() -> int:
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum(link.is_symlink() and link.samefile(store.path) for link in links if link.exists())

    async def run() -> None:
        with closing(store.open()) as holder:
            holder.execute("PRAGMA locking_mode=EXCLUSIVE")
            holder.execute("BEGIN IMMEDIATE")
            before = opened()
            inspecting = asyncio.create_task(Inspection(store.path, print, audit).round())
            async with asyncio.timeout(60):
                while opened() == before:  # noqa: ASYNC110  nothing tells that a thread waits for a lock
                    await asyncio.sleep(0)
            inspecting.cancel()
            await asyncio.sleep(0)
            holder.execute("ROLLBACK")
        async with asyncio.timeout(60):
            await asyncio.wait({inspecting})
        assert inspecting.cancelled()
        assert opened() == 0

    asyncio.run(run())


def test_records_of_an_epoch_whose_name_is_lost_are_carried_all_the_same(store: Store) -> None:
    store.change("UPDATE records SET kind = 'nonsense' WHERE seq = 500")
    with closing(open_ledger_reader(store.path)) as connection:
        found = survey(connection, None, ACKED, 0)
        assert (found.sound, found.last) == (((301, 499), (501, 700)), 700)
        assert survey(connection, RowHash("site-1", "epoch-1"), ACKED, 0).lost == found.lost


def test_every_table_has_its_fate(store: Store) -> None:
    with closing(store.open()) as connection:
        assert set(tables_of(connection)) == set(FATE), "say in gateway/store/fates.py what becomes of the table"


def test_numbers_of_commands_jump_at_every_start(store: Store) -> None:
    def given(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'commands'").fetchone()[0])

    with closing(store.open()) as connection:
        before = given(connection)
        store.clock.move(3600)
        store.clock.state = ClockState.UNKNOWN
        jump_numbers(connection, store.clock.now(), lambda below: below - 1)
        far = given(connection)
        assert before + 10_000 < far < before + 40_000, "by chance, where nothing tells the time"
        store.clock.move(400 * 86_400)
        store.clock.state = ClockState.DRIFTING
        jump_numbers(connection, store.clock.now(), lambda below: 0)
        assert given(connection) == number_at(store.clock.at) > far
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'commands'", (2**31 - 50_000,))
        for _ in range(1000):
            jump_numbers(connection, store.clock.now())
        assert given(connection) < 2**31, "they do not run out by starts"
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'commands'", (number_at(store.clock.at),))
        before = given(connection)
    store.clock.at -= timedelta(days=400)
    store.order()
    store.prepare()
    with closing(store.open()) as connection:
        assert given(connection) > before + 9000, "a clock that went back does not take them back"


# --- what a site remembers


class Site:
    """A 1.6 station on a bench, through a change of epoch."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def at(self, minutes: int) -> str:
        return (self.bench.clock.at + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")

    def send(self, action: str, payload: dict[str, object]) -> Any:
        return send(self.bench.station("1.6"), action, payload)[2]

    def start(self, connector: int) -> int:
        begun = {"connectorId": connector, "idTag": "A", "meterStart": 0, "timestamp": self.at(connector)}
        return int(self.send("StartTransaction", begun)["transactionId"])

    def stop(self, number: int, **more: object) -> Any:
        return self.send("StopTransaction", {"transactionId": number, "meterStop": 5, "timestamp": self.at(9)} | more)

    def new_epoch(self, after: int) -> None:
        self.bench.close()
        path = self.bench.folder / "ledger.db"
        order = EpochOrder(epoch="epoch-1", reason=TombstoneReason.OLD_IMAGE, message="for the test", carry_after=after)
        order_epoch(path, order)
        assert len(prepare_ledger(path, "site-1", self.bench.clock.now()).remarks) == 1
        self.bench.open()


@pytest.mark.parametrize("after", [0, 2, 4])
def test_what_stations_repeat_is_known_across_the_epochs(bench: Bench, after: int) -> None:
    site = Site(bench)
    first, second = site.start(1), site.start(2)
    site.stop(first)
    site.send(
        "MeterValues",
        {
            "connectorId": 2,
            "transactionId": second,
            "meterValue": [{"timestamp": site.at(3), "sampledValue": [{"value": "7"}]}],
        },
    )
    site.new_epoch(after)
    count = head(bench.reader).seq
    assert count == 1 + 4 - after
    assert (site.start(1), site.start(2)) == (first, second)
    site.stop(first)
    assert head(bench.reader).seq == count, "nothing of it was new"
    third = site.start(3)
    assert third not in (first, second)
    site.stop(-1, meterStop=9, timestamp=site.at(5))
    assert bench.records()[-1].kind is not RecordKind.TOMBSTONE


def test_what_stays_behind_is_let_go_with_its_session(bench: Bench) -> None:
    site = Site(bench)
    site.stop(site.start(1))
    number = site.start(2)
    site.new_epoch(after=3)
    (seq,) = bench.reader.execute("SELECT seq FROM seen ORDER BY seq DESC").fetchone()
    assert seq < 0
    assert '"StartTransaction"' in body_of(bench.reader, seq)
    assert asyncio.run(bench.writer.run(lambda c: release_held_back(c, None))) == 1
    assert bench.reader.execute("SELECT id_tag FROM sessions").fetchall() == [(None,), ("A",)]
    site.stop(number)
    bench.close()
    bench.open()
    last = head(bench.reader).seq

    def let_go(connection: sqlite3.Connection) -> None:
        move_position(connection, last)
        connection.execute("INSERT INTO receipts VALUES (?, '2020-01-01', '', '')", (last,))
        release_step(connection, bench.clock.at)
        release_held_back(connection, bench.clock.at)

    asyncio.run(bench.writer.run(let_go))
    assert body_of(bench.reader, seq) == ""
    assert bench.reader.execute("SELECT id_tag FROM sessions").fetchall() == [(None,), (None,)]


def test_the_status_tells_how_the_epoch_began_while_the_old_file_is_there(tmp_path: Path, store: Store) -> None:
    settings_file = tmp_path / "gateway.toml"
    (tmp_path / "trust").mkdir()
    settings_file.write_text(
        f'[gateway]\nid = "site-1"\nstate_dir = "{store.folder}"\n[chargers]\nlisten = "127.0.0.1:0"\n'
        '[uplink]\nhub = "https://127.0.0.1:1"\nca = "ca.pem"\ncertificate = "c.pem"\nkey = "k.pem"\n'
        '[trust]\nanchors = "trust"\n',
        encoding="utf-8",
    )
    Whitelist(tmp_path / "whitelist.db").close()
    store.change("UPDATE records SET body = '{}' WHERE seq = 500")
    store.prepare()
    shown = CliRunner().invoke(main, ["status", "--config", str(settings_file)])
    assert shown.exit_code == 0, shown.output
    assert "NEW EPOCH    damage at 2026-11-23" in shown.output
    assert "399 records carried, 1 lost; the old file is ledger-damaged-2026" in shown.output
    for name in kept(store):
        (store.folder / name).unlink()
    assert "NEW EPOCH" not in CliRunner().invoke(main, ["status", "--config", str(settings_file)]).output
