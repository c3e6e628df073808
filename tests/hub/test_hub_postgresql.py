"""A hub on PostgreSQL: what is acknowledged outlives every kill -9, of workers and of the server, and nothing is
doubled; what one worker is told reaches a gateway at another."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import ssl
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from hub.clock import now
from hub.config import load_config
from hub.desk import CommandDesk
from hub.errors import ConfigError, StalePosition, StoreError
from hub.log_key import load_log_key
from hub.store.chains import Chain, Position
from hub.store.database import Database
from hub.store.deriving import behind
from hub.store.dialect import ESCAPE, SEPARATOR, escaped, migration, numbered, unescaped
from hub.store.engine import Away, Collision
from hub.store.heads import KeptHead, kept_heads
from hub.store.ledger import note_seen
from hub.store.postgresql import LEAST_CONNECTIONS, PostgreSQL
from hub.store.readings import Cut, records
from hub.store.schema import MIGRATIONS
from hub.store.verification import verify_chain
from hub.store.writer import Writer
from hub.tree import LogStanding, grow
from tests.hub.conftest import ChargerDouble, HubProcess, MeterDouble, in_the_books, write_config
from tests.postgresql import Databases, a_server
from wire.chain import GENESIS_HASH, RecordKind
from wire.commands import ClearCache, CommandOrder, CommandReport, ResultCode
from wire.sync_messages import Ack, Welcome
from wire.tombstone import Superseded
from wire.tree_head import SigningKey

WHERE = Chain("site-1", "e1")
HUB_KEY = SigningKey(b"h" * 32)
BROKEN = (ConnectionError, http.client.HTTPException, ssl.SSLError, TimeoutError)


@pytest.fixture
def url(postgresql: Databases):
    made = postgresql.fresh()
    yield made
    postgresql.drop(made)


def configure(folder: Path, ca, url: str, *gateways: str) -> Path:
    """A hub.toml on PostgreSQL."""
    config = write_config(folder, ca, gateways or ("site-1", "site-2"))
    with config.open("a") as file:
        file.write(f'[store]\nkind = "postgresql"\nurl = "{url}"\nmax_connections = 6\n')
    return config


@contextlib.contextmanager
def running(folder: Path, ca, config: Path, workers: int = 1):
    """A hub of some workers, and its processes."""
    hub = HubProcess(folder, ca, config)
    if workers > 1:
        hub.arguments = ("--workers", str(workers))
    hub.start()
    try:
        yield hub
    finally:
        if hub.process is not None:
            hub.stop()


class Books:
    """What a hub on PostgreSQL holds, looked at from outside."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, sql: str, *values):
        with closing(PostgreSQL(self._url).open_reader()) as connection:
            return connection.execute(sql, values).fetchall()

    def wait_derived(self) -> None:
        """Come back when all that is stored was taken into the books."""
        until = time.monotonic() + 60
        with closing(PostgreSQL(self._url).open_reader()) as connection:
            while behind(connection):
                assert time.monotonic() < until, "records are still not in the books"
                time.sleep(0.02)


def drain(hub: HubProcess, chain, receipts: dict, name: str = "site-1") -> int:
    """Send the chain from where the hub stands, until it is through or the link breaks; the last acknowledged seq."""
    acked = max(receipts, default=0)
    try:
        link = hub.link(name)
        welcome = link.send(chain.hello())
        assert isinstance(welcome, Welcome)
        assert welcome.acked_seq >= acked, "an acknowledged record is gone"
        acked = welcome.acked_seq
        while acked < len(chain.records):
            answer = link.send(chain.signed_batch(acked + 1, 7))
            assert isinstance(answer, Ack)
            acked = answer.acked_seq
            receipts[acked] = answer.countersignature
    except BROKEN:
        pass
    except AssertionError as error:
        if "503" not in str(error) and "store-away" not in str(error) and "stale-position" not in str(error):
            raise
    return acked


def drain_all(hub: HubProcess, chain, receipts: dict) -> None:
    until = time.monotonic() + 60
    while drain(hub, chain, receipts) < len(chain.records):
        assert time.monotonic() < until, "the chain does not come through"
        time.sleep(0.05)


def require_account(hub: HubProcess, url: str, chain, ids: list[str], receipts: dict) -> None:
    """Every record, once, under its hash; every countersignature that was given; one bill for each session."""
    books = Books(url)
    books.wait_derived()
    rows = books.ask("SELECT seq, hash FROM records WHERE gateway_id = 'site-1' AND epoch = 'e1' ORDER BY seq")
    assert rows == [(record.seq, record.hash) for record in chain.records]
    assert sorted(books.ask("SELECT session_id FROM cdrs")) == sorted((id_,) for id_ in ids)
    hub_key = load_log_key(hub.folder / "state").public_key
    with closing(PostgreSQL(url).open_reader()) as connection:
        heads = kept_heads(connection, WHERE, 0, len(chain.records))
        kept = {head.signed.head.size: head.countersignature for head in heads}
        assert {size: kept[size] for size in receipts} == receipts
        assert verify_chain(connection, WHERE, {hub_key}, lambda count: None).heads == len(heads)


def sessions(charger, t0, first: int, count: int) -> list[str]:
    return [
        charger.signed_session(f"T{number}", t0 + timedelta(hours=number), f"{number}.000", f"{number}.500")
        for number in range(first, first + count)
    ]


def test_kill_9_of_a_worker_loses_and_doubles_nothing(tmp_path, ca, url, chain, charger, t0):
    config, receipts, seed = configure(tmp_path, ca, url), {}, random.Random(8)
    ids: list[str] = []
    with running(tmp_path, ca, config, workers=2) as hub:
        pids = [hub.next_line("ready")["pid"]]
        for _ in range(4):
            ids += sessions(charger, t0, len(ids), 12)
            timer = threading.Timer(seed.uniform(0.0, 0.1), os.kill, (pids[-1], signal.SIGKILL))
            timer.start()
            drain(hub, chain, receipts)
            timer.join()
            pids.append(hub.next_line("ready")["pid"])
        drain_all(hub, chain, receipts)
        require_account(hub, url, chain, ids, receipts)
        assert hub.stop() == 0


def test_kill_9_of_the_server_loses_and_doubles_nothing(tmp_path, ca, chain, charger, t0):
    receipts, seed, ids = {}, random.Random(9), []
    with a_server() as server:
        url = Databases(server.url()).fresh()
        with running(tmp_path, ca, configure(tmp_path, ca, url)) as hub:
            for _ in range(3):
                ids += sessions(charger, t0, len(ids), 12)
                timer = threading.Timer(seed.uniform(0.0, 0.1), server.kill)
                timer.start()
                drain(hub, chain, receipts)
                timer.join()
                status, body = hub.api("GET", "/api/v1/cdrs")
                assert (status, body["type"]) in (
                    (503, "urn:pncgate:problem:store-away"),
                    (503, "urn:pncgate:problem:store-failed"),
                )
                server.start()
            drain_all(hub, chain, receipts)
            require_account(hub, url, chain, ids, receipts)
            assert hub.stop() == 0


def test_what_one_process_is_told_of_commands_reaches_another(url, terms, tmp_path):
    expires_at = now() + timedelta(minutes=5)
    order = CommandOrder(command_id="c1", expires_at=expires_at, command=ClearCache(charger_id="CP-1"))
    report = CommandReport(command_id="c1", number=1, at=now(), result=ResultCode.ACCEPTED, message="", final=True)

    async def run() -> None:
        databases = [Database(tmp_path / name, terms, PostgreSQL(url)) for name in ("one", "other")]
        one, other = (CommandDesk(database, ("site-1",)) for database in databases)
        listening = [
            asyncio.create_task(database.listen(desk.hear))
            for database, desk in zip(databases, (one, other), strict=True)
        ]
        try:
            poll = asyncio.create_task(other.poll("site-1", 0, 60))
            await asyncio.sleep(0)
            await one.submit("site-1", order)
            [queued] = (await asyncio.wait_for(poll, 20)).orders
            assert queued.order == order
            state = asyncio.create_task(one.state("c1", 0, 60))
            await asyncio.sleep(0)
            assert await other.report("site-1", report)
            found = await asyncio.wait_for(state, 20)
            assert found is not None
            assert found.reports == (report,)
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            for database in databases:
                await database.close()

    asyncio.run(run())


def test_two_processes_that_judged_the_same_batch_store_it_once(url, terms, chain, t0, tmp_path):
    chain.add(RecordKind.AUDIT, json.dumps({"text": f"\0 {SEPARATOR} {ESCAPE}0"}))
    odd = chain.add(RecordKind.AUDIT, f"\0{SEPARATOR}{ESCAPE}1 as it came")
    start, grown = Position(0, GENESIS_HASH), grow(LogStanding(roots={}), chain.records)

    async def run() -> None:
        one, other = (Database(tmp_path / name, terms, PostgreSQL(url)) for name in ("one", "other"))
        try:
            await one.note_seen(WHERE, t0)
            results = await asyncio.gather(
                *(each.append(WHERE, start, chain.records, grown, None, t0) for each in (one, other)),
                return_exceptions=True,
            )
            assert sorted(type(result).__name__ for result in results) == ["Appended", "StalePosition"]
            assert (await other.standing(WHERE, 3, 1)).position == Position(2, odd.hash)
            page = await other.read(lambda connection: records(connection, WHERE, Cut()))
            assert json.loads(page.objects[1])["body"] == odd.body
        finally:
            await one.close()
            await other.close()

    asyncio.run(run())


def test_no_more_connections_are_opened_than_are_allowed(url, terms, chain, t0, tmp_path):
    async def run() -> int:
        database = Database(tmp_path, terms, PostgreSQL(url, connections=LEAST_CONNECTIONS))
        listening = asyncio.create_task(database.listen(lambda what: None))
        try:
            await asyncio.gather(
                *(database.standing(WHERE, 1, 1) for _ in range(30)),
                *(database.note_seen(Chain("site-1", f"e{number}"), t0) for number in range(10)),
                *(database.welcome(WHERE) for _ in range(10)),
            )
            asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state IS NOT NULL"
            return int(await database.read(lambda connection: connection.execute(asked).fetchone()[0]))
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await database.close()

    assert asyncio.run(run()) <= LEAST_CONNECTIONS


def test_several_derive_side_by_side_and_every_session_is_billed_once(url, terms, new_chain, new_charger, t0, tmp_path):
    ids: list[str] = []
    chains = [new_chain(f"site-{number}") for number in range(4)]
    for number, chain in enumerate(chains):
        meter = MeterDouble(serial=f"MS-{number}")
        ids += sessions(ChargerDouble(chain, meter=meter), t0, 0, 6)

    async def run() -> list[tuple[str]]:
        databases = [Database(tmp_path / name, terms, PostgreSQL(url)) for name in ("one", "other")]
        try:
            for number, chain in enumerate(chains):
                grown = grow(LogStanding(roots={}), chain.records)
                where = Chain(chain.gateway_id, chain.epoch)
                await databases[number % 2].append(
                    where, Position(0, GENESIS_HASH), chain.records, grown, None, t0 + timedelta(days=1)
                )
            await in_the_books(databases[0])
            return await databases[0].read(
                lambda connection: connection.execute("SELECT session_id FROM cdrs").fetchall()
            )
        finally:
            for database in databases:
                await database.close()

    assert sorted(asyncio.run(run())) == sorted((id_,) for id_ in ids)
    held = Books(url).ask("SELECT count(*), count(DISTINCT (gateway_id, epoch, seq, part)) FROM verdicts")
    assert held == [(48, 48)]


@pytest.mark.parametrize("met_before", [True, False])
def test_nothing_is_taken_for_a_closed_epoch_whatever_was_remembered_of_it(url, terms, chain, t0, tmp_path, met_before):
    records = [chain.add(RecordKind.AUDIT, "{}") for _ in range(2)]
    start, closing_ = Position(0, GENESIS_HASH), Chain("site-1", "e2")

    async def run() -> None:
        one, other = (Database(tmp_path / name, terms, PostgreSQL(url)) for name in ("one", "other"))
        try:
            if met_before:
                grown = grow(LogStanding(roots={}), records[:1])
                signed = chain.head(1, t0)
                head = KeptHead(signed=signed, countersignature=HUB_KEY.countersign(signed, t0))
                await one.append(WHERE, start, records[:1], grown, head, t0)
            await other.supersede(closing_, Superseded(epoch="e1", seq=0, hash=GENESIS_HASH), t0)
            at = Position(1, records[0].hash) if met_before else start
            grown = grow((await one.standing(WHERE, at.seq + 1, 1)).log, records[at.seq :])
            with pytest.raises(StalePosition, match="the epoch was closed"):
                await one.append(WHERE, at, records[at.seq :], grown, None, t0)
            assert (await one.standing(WHERE, at.seq + 1, 1)).closed_by == "e2"
        finally:
            await one.close()
            await other.close()

    asyncio.run(run())


def test_jobs_that_collide_are_run_again_until_each_has_its_turn(url, t0):
    def count(connection) -> int:
        (seen,) = connection.execute("SELECT coalesce(max(told_seq), 0) FROM gateways").fetchone()
        note_seen(connection, WHERE, t0, seen + 1)
        return int(seen)

    async def run() -> list[int]:
        writers = [Writer(PostgreSQL(url)) for _ in range(2)]
        try:
            return await asyncio.gather(*(writers[number % 2].submit(count) for number in range(20)))
        finally:
            for writer in writers:
                await asyncio.to_thread(writer.close)

    assert sorted(asyncio.run(run())) == list(range(20))


def test_a_collision_is_told_apart_from_what_is_refused(url, t0):
    with closing(PostgreSQL(url).open_writer()) as one, closing(PostgreSQL(url).open_writer()) as other:
        for connection in (one, other):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT count(*) FROM gateways")
        note_seen(one, WHERE, t0)
        one.execute("COMMIT")
        with pytest.raises(Collision, match="met another transaction"):
            note_seen(other, WHERE, t0)
        other.execute("ROLLBACK")
        with pytest.raises(StoreError, match=r"refused: .*nowhere") as caught:
            other.execute("SELECT 1 FROM nowhere")
        assert type(caught.value) is StoreError


def test_evidence_is_not_changed_on_postgresql_either(url, terms, chain, t0, tmp_path):
    record = chain.add(RecordKind.AUDIT, "{}")

    async def store() -> None:
        database = Database(tmp_path, terms, PostgreSQL(url))
        try:
            await database.note_seen(WHERE, t0)
            grown = grow(LogStanding(roots={}), chain.records)
            await database.append(WHERE, Position(0, GENESIS_HASH), [record], grown, None, t0)
        finally:
            await database.close()

    asyncio.run(store())
    with closing(PostgreSQL(url).open_writer()) as connection:
        for change in ("UPDATE records SET body = 'x'", "UPDATE records SET hash = ''", "DELETE FROM records"):
            with pytest.raises(StoreError, match="is never"):
                connection.execute(change)
        connection.execute("UPDATE records SET session_id = 's'")
        with pytest.raises(StoreError, match="is never changed"):
            connection.execute("UPDATE records SET session_id = 't'")
        connection.execute("UPDATE records SET body = '', salt = '', commitment = ?", ("0" * 64,))


def test_migrations_run_once_whoever_comes_first(postgresql):
    url = postgresql.fresh(empty=True)
    opened, failed = [], []

    def open_() -> None:
        try:
            opened.append(PostgreSQL(url).open_writer())
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=open_) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(opened), failed) == (4, [])
    assert opened[0].execute("SELECT version FROM hub_schema").fetchall() == [(len(MIGRATIONS),)]
    opened[0].execute("UPDATE hub_schema SET version = version + 1")
    with pytest.raises(StoreError, match="this program knows up to"):
        PostgreSQL(url).open_writer()
    with pytest.raises(StoreError, match="this program reads"):
        PostgreSQL(url).open_reader()
    for connection in opened:
        connection.close()
    postgresql.drop(url)


def test_a_server_that_is_away_is_said_and_not_asked_all_the_time():
    engine = PostgreSQL("postgresql://hub:secret-word@/hub?host=/nowhere/at/all")
    with pytest.raises(Away, match="cannot be reached") as first:
        engine.open_writer()
    with pytest.raises(Away, match="it is asked again in"):
        engine.open_writer()
    assert "secret-word" not in str(first.value)


def test_a_server_that_does_not_flush_is_refused():
    with a_server("fsync=off") as server, pytest.raises(StoreError, match="fsync = 'off', it must be 'on'"):
        PostgreSQL(server.url()).open_writer()


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ('kind = "postgresql"', "expected one of url, url_file, url_variable"),
        ('kind = "postgresql"\nurl = "mysql://x"', "a URL that begins with postgresql://"),
        ('kind = "postgresql"\nurl_variable = "PNC_NOT_THERE"', "the environment has no PNC_NOT_THERE"),
        ('kind = "postgresql"\nurl_file = "nowhere"', "cannot be read"),
        ('kind = "postgresql"\nurl_file = "hub.toml"', "can be read by others"),
        ('kind = "postgresql"\nurl = "postgresql:///x"\nmax_connections = 5', "expected 6 to 100, found 5"),
        ('url = "postgresql:///x"', "is for kind = 'postgresql'"),
        ('kind = "mysql"', "mysql"),
    ],
)
def test_a_store_that_cannot_be_used_is_said(hub_config, store, message):
    hub_config.chmod(0o644)
    with hub_config.open("a") as file:
        file.write(f"[store]\n{store}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(hub_config)


def test_a_url_with_a_password_comes_from_a_file_and_is_not_shown(hub_config):
    secret = hub_config.parent / "store.url"
    secret.write_text("postgresql://hub:secret-word@db/hub\n")
    secret.chmod(0o600)
    with hub_config.open("a") as file:
        file.write('[store]\nkind = "postgresql"\nurl_file = "store.url"\n')
    config = load_config(hub_config)
    assert config.store.url == "postgresql://hub:secret-word@db/hub"
    assert "secret-word" not in repr(config)


def test_sqlite_has_one_worker(tmp_path, ca, hub_config):
    hub = HubProcess(tmp_path, ca, hub_config, arguments=("--workers", "2"))
    with pytest.raises(pytest.fail.Exception, match="one process writes to SQLite"):
        hub.start()


def test_a_statement_is_written_for_both():
    assert numbered("SELECT '?', \"?\" WHERE a = ? AND b = ?") == "SELECT '?', \"?\" WHERE a = $1 AND b = $2"
    assert numbered("x > ?1 AND (?2 IS NULL OR g.id = ?2)") == "x > $1 AND (g.id = $2 OR $2 IS NULL)"
    for text in ("plain", "\0", ESCAPE, f"{ESCAPE}0\0{SEPARATOR}{ESCAPE}", SEPARATOR):
        assert unescaped(escaped(text)) == text
    with pytest.raises(ValueError, match="no guard that PostgreSQL could have"):
        migration("CREATE TRIGGER t BEFORE UPDATE ON x BEGIN DELETE FROM y; END;", before_postgresql=False)
