"""The writer: durable before answered, neighbours independent, a failed group told to everybody."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from hub.errors import StalePosition, StoreError
from hub.store import ledger
from hub.store.connection import SQLite, open_reader, open_writer
from hub.store.database import Database
from hub.store.ledger import Chain, Conflict, Position
from hub.store.schema import MIGRATIONS
from hub.store.writer import Writer
from hub.tree import LogStanding, grow
from wire.chain import GENESIS_HASH, RecordKind
from wire.records import Session, SessionStatus, decode, encode


def with_writer(path: Path, use: Callable[[Writer], Awaitable[None]]) -> None:
    async def run() -> None:
        writer = Writer(SQLite(path))
        try:
            await use(writer)
        finally:
            await asyncio.to_thread(writer.close)

    asyncio.run(run())


def _note(name: str) -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        columns = "gateway_id, epoch, acked_seq, acked_hash, first_seen, last_seen"
        connection.execute(f"INSERT INTO gateways ({columns}) VALUES (?, 'e', 0, 'h', 't', 't')", (name,))
        return len(name)

    return work


def test_a_job_that_fails_is_undone_alone(tmp_path):
    path = tmp_path / "hub.sqlite"

    def bad(connection: sqlite3.Connection) -> None:
        _note("half")(connection)
        raise ValueError("no")

    async def use(writer: Writer) -> None:
        results = await asyncio.gather(
            writer.submit(_note("a")),
            writer.submit(bad),
            writer.submit(_note("a")),
            writer.submit(_note("bb")),
            return_exceptions=True,
        )
        assert [results[0], results[3]] == [1, 2]
        assert [type(result) for result in results[1:3]] == [ValueError, StoreError]
        reader = open_reader(path)
        assert reader.execute("SELECT gateway_id FROM gateways ORDER BY 1").fetchall() == [("a",), ("bb",)]
        reader.close()

    with_writer(path, use)


def test_a_full_disk_fails_the_group_and_the_writer_goes_on(tmp_path):
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        for number in range(1000):
            _note(f"{number}" * 200)(connection)

    async def use(writer: Writer) -> None:
        await writer.submit(_note("before"))
        lost = await asyncio.gather(writer.submit(_note("x")), writer.submit(fill), return_exceptions=True)
        assert all(isinstance(error, StoreError) and "full" in str(error) for error in lost[1:])
        assert await writer.submit(_note("after")) == 5

    with_writer(tmp_path / "hub.sqlite", use)
    reader = open_reader(tmp_path / "hub.sqlite")
    assert {"before", "after"} <= {name for (name,) in reader.execute("SELECT gateway_id FROM gateways")}
    assert reader.execute("SELECT count(*) FROM gateways").fetchone()[0] <= 3
    reader.close()


def test_a_batch_judged_at_another_position_is_not_stored(tmp_path, terms, chain, t0):
    chain.add(RecordKind.AUDIT, "{}")
    where, start = Chain("site-1", "e1"), Position(0, GENESIS_HASH)
    grown = grow(LogStanding(roots={}), chain.records)

    async def run() -> None:
        database = Database(tmp_path / "state", terms)
        try:
            await database.append(where, start, chain.records, grown, None, t0)
            with pytest.raises(StalePosition, match="judged at position 0, the store stands at 1"):
                await database.append(where, start, chain.records, grown, None, t0)
            standing = await database.standing(where, 2)
            assert (standing.position.seq, standing.held) == (1, {1: chain.records[0].hash})
            with pytest.raises(StoreError, match="another hub"):
                Database(tmp_path / "state", terms)
        finally:
            await database.close()

    asyncio.run(run())


def test_a_clone_that_keeps_writing_cannot_fill_the_conflicts(tmp_path, t0):
    where = Chain("site-1", "e1")

    async def use(writer: Writer) -> None:
        for number in range(ledger.MAX_CONFLICTS + 5):
            conflict = Conflict("fork", 1, "held", f"offered {number // 2}")
            await writer.submit(lambda connection, what=conflict: ledger.note_conflict(connection, where, what, t0))
        count = await writer.submit(lambda connection: connection.execute("SELECT count(*) FROM conflicts").fetchone())
        assert count == ((ledger.MAX_CONFLICTS + 5) // 2 + 1,)
        for number in range(ledger.MAX_CONFLICTS):
            conflict = Conflict("fork", 2, "held", f"offered {number}")
            await writer.submit(lambda connection, what=conflict: ledger.note_conflict(connection, where, what, t0))
        count = await writer.submit(lambda connection: connection.execute("SELECT count(*) FROM conflicts").fetchone())
        assert count == (ledger.MAX_CONFLICTS,)

    with_writer(tmp_path / "hub.sqlite", use)


def test_versions_issued_by_an_older_program_are_remembered(tmp_path):
    path = tmp_path / "hub.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1; UPDATE whitelist SET version = 3;")
    for uid, version in (("a", 1), ("b", 3)):
        old.execute("INSERT INTO tokens VALUES ('DE', 'EMP', 'RFID', ?, '', ?, '{}')", (uid, version))
    old.close()
    connection = open_writer(path)
    assert connection.execute("SELECT version FROM issued_versions ORDER BY 1").fetchall() == [(1,), (3,)]
    connection.close()


def test_a_session_that_only_ended_does_not_run_any_more_after_the_upgrade(tmp_path, t0):
    path = tmp_path / "hub.sqlite"
    running = Session(
        id="s1",
        gateway_id="site-1",
        charger_id="CP-1",
        evse_id=1,
        transaction_id="T1",
        status=SessionStatus.ACTIVE,
        start_date_time=t0,
        last_updated=t0,
        kwh=Decimal("1.50"),
    )
    ended = msgspec.structs.replace(running, id="s2", end_date_time=t0, findings=("settlement-held: x",))
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript("".join(MIGRATIONS[:3]) + "PRAGMA user_version = 3;")
    for session in (running, ended):
        row = (session.id, encode(session).decode())
        old.execute("INSERT INTO sessions VALUES (NULL, ?, 'site-1', 'cp-1', 'ACTIVE', ?, '{}')", row)
    old.close()
    connection = open_writer(path)
    rows = connection.execute("SELECT status, session FROM sessions ORDER BY id").fetchall()
    connection.close()
    found = [(status, decode(Session, text, "session")) for status, text in rows]
    invalid = msgspec.structs.replace(ended, status=SessionStatus.INVALID)
    assert found == [("ACTIVE", running), ("INVALID", invalid)]


def test_instants_keep_their_offset(t0):
    at = t0.astimezone(timezone(timedelta(hours=2)))
    assert datetime.fromisoformat(ledger.instant(at)).isoformat() == at.isoformat()


def test_a_sign_of_life_is_noted_now_and_then_and_of_a_chain_that_is_known(tmp_path, terms, t0):
    async def use() -> list[datetime | None]:
        chain, seen = Chain("site-1", "e1"), []
        database = Database(tmp_path / "state", terms)
        try:
            assert not await database.note_alive(chain, t0)
            seen.append(await database.read(lambda c: ledger.last_seen(c, chain)))
            await database.note_seen(chain, t0)
            for seconds in (4, 5, 9, -1):
                assert await database.note_alive(chain, t0 + timedelta(seconds=seconds))
                seen.append(await database.read(lambda c: ledger.last_seen(c, chain)))
        finally:
            await database.close()
        return seen

    at = [t0 + timedelta(seconds=seconds) for seconds in (0, 5, 5, -1)]
    assert asyncio.run(use()) == [None, *at], "the last after the hub's clock was put back"
