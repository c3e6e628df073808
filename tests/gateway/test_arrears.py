"""Records that a new epoch owes: carried in pieces that may end at any moment, through damage of any file there is."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.__main__ import main
from gateway.arrears import ArrearsKeeper
from gateway.config import load_settings
from gateway.doctor.store import ledger as look_at_ledger
from gateway.errors import StoreError
from gateway.ledger.verify import verify_ledger
from gateway.opening import OpenLedger, open_books
from gateway.store.arrears import OWE_FROM, PIECE, arrears_path, progress
from gateway.store.carrying import EpochOrder, begun, owed
from gateway.store.epochs import order_epoch
from gateway.store.ledger import all_records, append, head, identity, move_position, open_ledger, open_ledger_reader
from gateway.store.whitelist import Whitelist
from tests.parts import SetClock
from wire.carried import mark_of
from wire.chain import Record, RecordKind
from wire.records import AuditEntry, decode
from wire.tombstone import Tombstone, TombstoneReason

ACKED, COUNT = 100, OWE_FROM + 1200


class House:
    """A gateway's state without the gateway: opened, worked on, killed and damaged as a test wants."""

    def __init__(self, folder: Path) -> None:
        (folder / "trust").mkdir()
        file = folder / "gateway.toml"
        file.write_text(
            f'[gateway]\nid = "site-1"\nstate_dir = "{folder}"\n[chargers]\nlisten = "127.0.0.1:0"\n'
            '[uplink]\nhub = "https://127.0.0.1:1"\nca = "ca.pem"\ncertificate = "c.pem"\nkey = "k.pem"\n'
            '[trust]\nanchors = "trust"\n',
            encoding="utf-8",
        )
        self.settings, self.clock = load_settings(file), SetClock()
        self.path = self.settings.ledger_path
        self.over, self.remarks = 0, list[str]()
        with closing(open_ledger(self.path, "site-1", "epoch-1", self.clock.at)) as connection:
            connection.execute("BEGIN")
            for number in range(COUNT):
                entry = AuditEntry(event="test", subject="site-1", message=f"number {number + 1}.")
                append(connection, identity(connection), RecordKind.AUDIT, entry, self.clock.now())
                connection.execute(
                    "INSERT INTO seen VALUES (?, ?, ?, '{}')", (number % 7, f"{number}".encode(), number + 1)
                )
            move_position(connection, ACKED)
            connection.execute("COMMIT")
            self.records = list(all_records(connection))

    def change(self, path: Path, sql: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(sql)

    def damage(self, *seqs: int) -> None:
        for seq in seqs:
            self.change(self.path, f"UPDATE records SET body = '{{}}' WHERE seq = {seq}")

    def overwrite(self, path: Path, page: int) -> None:
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)

    async def work(self, books: OpenLedger, pieces: int, *, acks: bool) -> None:
        """Carry until so many pieces are done, and die there; a hub acknowledges what is carried, if it is there."""
        assert books.arrears is not None
        debt, book = books.arrears
        done, grown = 0, asyncio.Event()

        def stored() -> None:
            nonlocal done
            done += 1
            grown.set()
            if done == pieces:
                working.cancel()

        def over() -> None:
            self.over += 1

        async def hub() -> None:
            while acks:
                grown.clear()
                await book.writer.run(partial(move_position, acked=head(book.reader).seq))
                await grown.wait()

        keeper = ArrearsKeeper(books.ledger, debt, book, self.clock.now, stored, over)
        working, acknowledging = asyncio.create_task(keeper.run()), asyncio.create_task(hub())
        try:
            async with asyncio.timeout(60):
                with suppress(asyncio.CancelledError):
                    await working
        finally:
            acknowledging.cancel()
            await asyncio.wait({acknowledging})

    def run(self, pieces: int = 10**6, *, acks: bool = True) -> None:
        """A start that does so many pieces."""
        with ExitStack() as opened:
            books = open_books(self.settings, self.clock, opened)  # type: ignore[arg-type]  # a clock that is set
            self.remarks += [message for _, message in books.prepared.remarks]
            asyncio.run(self.work(books, pieces, acks=acks))

    def settled(self) -> tuple[list[Record], list[Record]]:
        """What the arrears had and what the ledger has, once it owes nothing; both are sound chains."""
        with ExitStack() as opened:
            books = open_books(self.settings, self.clock, opened)  # type: ignore[arg-type]
            assert books.arrears is None
        with closing(open_ledger_reader(self.path)) as connection:
            note = begun(connection)
            assert note is not None
            mine = list(all_records(connection))
            assert verify_ledger(connection, None, lambda done, total: None).findings == ()
        with closing(open_ledger_reader(self.path.with_name(note.kept_as))) as connection:
            carried = list(all_records(connection))
            assert verify_ledger(connection, None, lambda done, total: None).findings == ()
        assert note.continues is not None
        assert (note.continues.seq, note.continues.hash) == (carried[-1].seq, carried[-1].hash)
        assert decode(Tombstone, mine[-1].body, "tombstone").continues == note.continues
        return carried, mine

    def check(self, carried: list[Record], *lost: int) -> None:
        """Each once, in order, and the lost are named."""
        expected = [record for record in self.records[ACKED:] if record.seq not in lost]
        assert [mark_of(each) for each in carried if each.kind is RecordKind.AUDIT] == [mark_of(e) for e in expected]
        named = [each for record in carried if record.kind is RecordKind.TOMBSTONE for each in said(record).lost]
        assert {seq for each in named for seq in range(each.first_seq, each.last_seq + 1)} == set(lost)


def said(record: Record) -> Tombstone:
    return decode(Tombstone, record.body, "tombstone")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def seen(path: Path) -> int:
    with closing(open_ledger_reader(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM seen").fetchone()[0])


def test_pieces_that_end_at_any_moment_are_gone_on_from(house: House) -> None:
    house.damage(1000, COUNT)
    house.run(pieces=1)
    assert seen(house.path) == COUNT - 2, "a repetition of what is lost is stored"
    with closing(open_ledger_reader(house.path)) as connection:
        debt = owed(connection)
        assert debt is not None
        assert [record.kind for record in all_records(connection)] == [RecordKind.TOMBSTONE]
    found = progress(house.path, debt)
    assert (found.total, found.carried) == (COUNT - ACKED - 2, PIECE)
    for _ in range(3):
        house.run(pieces=2)
    assert progress(house.path, debt).carried == 6 * PIECE + 399, "a hole makes a piece shorter"
    house.run()
    assert house.over == 1
    (remark,) = house.remarks
    assert f"{COUNT - ACKED} records are carried while the site is served" in remark
    carried, _ = house.settled()
    house.check(carried, 1000, COUNT)


def test_few_records_are_carried_at_once(house: House) -> None:
    house.change(house.path, f"UPDATE position SET acked_seq = {COUNT - OWE_FROM}")
    house.damage(COUNT)
    with ExitStack() as opened:
        assert open_books(house.settings, house.clock, opened).arrears is None  # type: ignore[arg-type]


def test_without_its_first_page_the_old_file_gives_what_is_owed(house: House) -> None:
    house.overwrite(house.path, 0)
    house.run(pieces=3)
    house.run()
    carried, _ = house.settled()
    house.check(carried)


def test_arrears_that_are_damaged_go_on_in_an_epoch_of_their_own(house: House) -> None:
    house.damage(COUNT)
    house.run(pieces=4, acks=False)
    arrears = arrears_path(house.path)
    with closing(open_ledger_reader(arrears)) as connection:
        epoch = identity(connection).epoch
    house.change(arrears, "UPDATE records SET body = '{}' WHERE seq = 1200")
    house.run(pieces=2)
    with closing(open_ledger_reader(arrears)) as connection:
        assert identity(connection).epoch != epoch
    house.run()
    carried, _ = house.settled()
    marks = [mark_of(each) for each in carried if each.kind is RecordKind.AUDIT]
    assert marks == [mark_of(each) for each in house.records[ACKED:-1] if each.seq != ACKED + 1199]
    first, second = (said(record) for record in carried if record.kind is RecordKind.TOMBSTONE)
    assert [(each.first_seq, each.count) for each in first.lost] == [(1200, 1)], "of the arrears that were damaged"
    assert [(each.first_seq, each.count) for each in second.lost] == [(COUNT, 1)], "which are carried with all else"


def test_a_ledger_that_is_damaged_while_it_owes_goes_on_owing(house: House) -> None:
    house.damage(1000, COUNT)
    house.run(pieces=2)
    house.change(house.path, "INSERT INTO notes VALUES ('0', CAST(x'ff00fe' AS TEXT))")
    with closing(open_ledger_reader(house.path)) as connection:
        epoch = identity(connection).epoch
    order_epoch(house.path, EpochOrder(epoch=epoch, reason=TombstoneReason.DAMAGE, message="for the test"))
    house.run(pieces=2)
    with closing(open_ledger_reader(house.path)) as connection:
        assert identity(connection).epoch != epoch
        assert owed(connection) is not None
    house.run()
    carried, mine = house.settled()
    house.check(carried, 1000, COUNT)
    assert [record.kind for record in mine] == [RecordKind.TOMBSTONE] * 3


def test_a_file_of_arrears_that_was_not_put_away_is_put_away(house: House) -> None:
    house.damage(1000, COUNT)
    house.run()
    assert arrears_path(house.path).exists(), "it is open until the gateway ends"
    carried, _ = house.settled()
    house.check(carried, 1000, COUNT)
    assert not arrears_path(house.path).exists()


def test_an_old_file_that_is_gone_is_said_and_waited_for(house: House) -> None:
    house.damage(1000, COUNT)
    house.run(pieces=1)
    with closing(open_ledger_reader(house.path)) as connection:
        debt = owed(connection)
    assert debt is not None
    kept = house.path.with_name(debt.kept_as)
    kept.rename(kept.with_suffix(".away"))
    with pytest.raises(StoreError, match="no such store"):
        house.run()
    kept.with_suffix(".away").rename(kept)
    house.run()
    carried, _ = house.settled()
    house.check(carried, 1000, COUNT)


def test_the_status_and_the_doctor_tell_how_far_it_is(house: House) -> None:
    Whitelist(house.path.with_name("whitelist.db")).close()
    house.damage(COUNT)
    house.run(pieces=2)
    shown = CliRunner().invoke(main, ["status", "--config", str(house.settings.path)])
    assert shown.exit_code == 0, shown.output
    kept = next(path.name for path in house.path.parent.glob("ledger-damaged-*.db"))
    total = COUNT - ACKED - 1
    assert f"{2 * PIECE} of {total} records carried, " in shown.output
    assert f"which gets them first; {kept} must stay" in shown.output
    found = [each.remedy for each in look_at_ledger(house.settings, house.clock.at)]
    assert f"leave {kept} where it is: records are still carried from it (`pnc-gateway status`)" in found
