"""The token list at the hub: its history, snapshots, what an erasure does to both, and the routes that give it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hub.clock import now
from hub.errors import ListTooLong, StoreError
from hub.lists import KEPT, ListDesk
from hub.store import snapshots, whitelist
from hub.store.connection import open_writer
from hub.store.database import Database
from hub.store.engine import Connection, Engine
from hub.store.schema import MIGRATIONS
from hub.store.snapshots import Stopped, part_path, write_parts
from hub.store.whitelist import (
    HISTORY_TIME,
    HISTORY_TOKENS,
    ListStanding,
    change_since,
    deltas_since,
    drop_tokens,
    list_standing,
    named_since,
    put_tokens,
)
from hub.web.whitelist import MAX_PARTS_OF_ONE
from tests.hub.conftest import T0, HubProcess
from tests.parts import token
from wire.records import Token, decode, encode
from wire.settling.terms import EnergyPrice, Terms
from wire.tokens import token_key
from wire.tree_head import SigningKey
from wire.whitelist import (
    GENESIS_CHAIN,
    MAX_DELTA_TOKENS,
    ListDeltas,
    ListHead,
    Manifest,
    SignedListHead,
    SignedManifest,
    parse_delta,
    parse_part,
    require_chain,
    verify_list_head,
    verify_manifest,
)

TERMS = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))
KEY = SigningKey(b"\1" * 32)
PART = 60
"""Tokens a part, here."""


def cards(first: int, last: int) -> list[Token]:
    return [token(f"{number:08X}") for number in range(first, last)]


def put(connection: sqlite3.Connection, tokens: list[Token], at: datetime = T0) -> None:
    """As the writer does it: in a transaction."""
    connection.execute("BEGIN IMMEDIATE")
    put_tokens(connection, tokens, at)
    connection.execute("COMMIT")


def as_head(standing: ListStanding) -> ListHead:
    facts = {"version": standing.version, "chain": standing.chain, "tokens": standing.tokens}
    return ListHead(gateway_id="site-1", issued_at=T0, not_after=T0 + timedelta(days=7), **facts)


def with_desk(
    folder: Path, engine: Engine, part: Callable[[ListDesk, Database], Awaitable[None]], key: SigningKey = KEY
) -> None:
    async def run() -> None:
        database = Database(folder, TERMS, engine)
        desk = ListDesk(database, key, PART)
        try:
            await desk.start(now())
            await part(desk, database)
        finally:
            await desk.close()
            await database.close()

    asyncio.run(asyncio.wait_for(run(), 100))


def in_it(folder: Path, manifest: Manifest) -> list[Token]:
    """The tokens of a snapshot, read off the disk."""
    parts = [parse_part(ref, part_path(folder, ref.sha256).read_bytes()) for ref in manifest.parts]
    return [one for part in parts for one in part.tokens()]


# --- the history


@pytest.fixture
def books(engine: Engine):
    with closing(engine.open_writer()) as connection:
        yield connection


def test_every_change_has_a_delta_that_leads_to_the_chain_value(books: Connection) -> None:
    standings = [list_standing(books)]
    assert standings == [ListStanding(0, GENESIS_CHAIN, 0)]
    for put in (cards(0, 3), cards(2, 5), cards(0, 5), [token("00000001", valid=False)]):
        put_tokens(books, put, T0)
        standings.append(list_standing(books))
    assert standings[3] == standings[2], "nothing new, no version"
    assert [one.tokens for one in standings] == [0, 3, 5, 5, 5]
    for standing in standings:
        deltas = deltas_since(books, standing.version, standing.chain, {})
        assert deltas is not None
        require_chain(standing.version, standing.chain, deltas, as_head(standings[-1]))
    newest = deltas_since(books, standings[2].version, standings[2].chain, {})
    assert newest is not None
    assert [one.tokens for one in map(parse_delta, newest)] == [(token("00000001", valid=False),)]
    assert deltas_since(books, standings[1].version, standings[2].chain, {}) is None, "not with that chain value"
    assert deltas_since(books, 1, GENESIS_CHAIN, {}) is None


def test_long_change_makes_several_versions_and_an_answer_is_bounded(books: Connection) -> None:
    put(books, [token(f"{number:08X}", group_id="x" * 300) for number in range(2 * MAX_DELTA_TOKENS + 1)])
    first = deltas_since(books, 0, GENESIS_CHAIN, {})
    assert first is not None
    assert [len(parse_delta(one).tokens) for one in first] == [MAX_DELTA_TOKENS], "more would not fit into an answer"
    rows = books.execute("SELECT version, named FROM list_versions ORDER BY version").fetchall()
    assert [named for _, named in rows] == [0, MAX_DELTA_TOKENS, 2 * MAX_DELTA_TOKENS, 2 * MAX_DELTA_TOKENS + 1]
    assert named_since(books, 0, GENESIS_CHAIN, {}) == 2 * MAX_DELTA_TOKENS + 1
    assert list_standing(books).tokens == 2 * MAX_DELTA_TOKENS + 1


def test_history_is_bounded_in_time(books: Connection) -> None:
    put_tokens(books, cards(0, 1), T0)
    old = list_standing(books)
    put_tokens(books, cards(1, 2), T0 + HISTORY_TIME)
    assert named_since(books, 0, GENESIS_CHAIN, {}) == 2
    put_tokens(books, cards(2, 3), T0 + HISTORY_TIME + timedelta(seconds=1))
    assert named_since(books, 0, GENESIS_CHAIN, {}) is None
    assert named_since(books, old.version, old.chain, {}) == 2
    assert books.execute("SELECT count(*) FROM list_versions WHERE content IS NULL").fetchone() == (1,)


def test_history_is_bounded_in_tokens(books: Connection) -> None:
    """As if a delta before had named as many as are kept."""
    put_tokens(books, cards(0, 1), T0)
    before = list_standing(books)
    books.execute("UPDATE list_versions SET named = named + ? WHERE version > 0", (HISTORY_TOKENS,))
    put_tokens(books, cards(1, 2), T0)
    assert named_since(books, 0, GENESIS_CHAIN, {}) is None
    assert named_since(books, before.version, before.chain, {}) == 1


def test_list_of_a_version_before_begins_a_chain_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    chains = set()
    for _ in range(2):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            old.executescript("".join(MIGRATIONS[:6]) + "PRAGMA user_version = 6; UPDATE whitelist SET version = 7;")
            text = encode(token()).decode()
            old.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, '', 7, ?)", (*token_key(token()), text))
        with closing(open_writer(path)) as migrated:
            standing = list_standing(migrated)
            assert (standing.version, standing.tokens) == (7, 1)
            assert named_since(migrated, 7, standing.chain, {}) == 0
            assert named_since(migrated, 0, GENESIS_CHAIN, {}) is None
            put_tokens(migrated, cards(0, 1), T0)
            deltas = deltas_since(migrated, 7, standing.chain, {})
            assert deltas is not None
            require_chain(7, standing.chain, deltas, as_head(list_standing(migrated)))
            chains.add(standing.chain)
    assert len(chains) == 2, "two hubs' lists are never taken for one"


def test_erased_token_leaves_the_list_and_its_history(books: Connection) -> None:
    put_tokens(books, cards(0, 3), T0)
    named = list_standing(books)
    put_tokens(books, cards(3, 4), T0)
    after = list_standing(books)
    (delta,) = drop_tokens(books, [token_key(cards(1, 2)[0])] * 2, T0)
    standing = list_standing(books)
    assert standing.tokens == 3
    assert [name.uid for name in parse_delta(delta).removed] == ["00000001"]
    unstored = {delta.version: delta}
    for version, chain in ((named.version, named.chain), (after.version, after.chain)):
        assert deltas_since(books, version, chain, {}) is None
        deltas = deltas_since(books, version, chain, unstored)
        assert deltas is not None
        require_chain(version, chain, deltas, as_head(standing))
    assert deltas_since(books, 0, GENESIS_CHAIN, unstored) is None, "the delta that put it there is gone"
    stored = str(books.execute("SELECT content FROM list_versions").fetchall())
    assert "00000003" in stored
    assert "00000001" not in stored
    assert "00000001" not in str(books.execute("SELECT token FROM tokens").fetchall())
    assert drop_tokens(books, [token_key(cards(1, 2)[0])], T0) == ()


def test_chain_value_tells_nobody_what_was_in_a_delta(tmp_path: Path) -> None:
    """Two hubs that do the same at the same instant come to other values: one has to know the salt to try tokens."""
    values = set()
    for name in "ab":
        with closing(open_writer(tmp_path / f"{name}.sqlite")) as connection:
            put_tokens(connection, cards(0, 1), T0)
            values.add(list_standing(connection).chain)
    assert len(values) == 2


def test_whole_list_in_one_answer_is_bounded(books: Connection) -> None:
    text = encode(token()).decode()
    rows = (("DE", "ABC", "RFID", f"{n}", "", 5, text) for n in range(whitelist.MAX_WHOLE_LIST + 1))
    books.execute("BEGIN IMMEDIATE")
    books.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    books.execute("COMMIT")
    with pytest.raises(ListTooLong, match="update the gateway"):
        change_since(books, 0)
    books.execute("DELETE FROM tokens WHERE uid_key = '0'")
    assert len(change_since(books, 0).tokens) == whitelist.MAX_WHOLE_LIST


# --- snapshots


def test_snapshot_is_made_when_it_is_asked_for_and_made_once(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 100), now())
        first = await desk.manifest(0, now(), 30)
        assert first is not None
        manifest = verify_manifest(first, KEY.public_key)
        standing = await desk.standing()
        assert (manifest.version, manifest.chain, len(manifest.parts)) == (standing.version, standing.chain, 2)
        assert {one.uid for one in in_it(desk.folder, manifest)} == {one.uid for one in cards(0, 100)}
        await database.put_tokens(cards(100, 110), now())
        assert await desk.manifest(0, now(), 30) == first, "deltas lead on from it"
        newer = await desk.manifest(standing.version + 1, now(), 30)
        assert newer is not None
        assert newer.manifest.version == (await desk.standing()).version
        assert await desk.manifest(2**60, now(), 0) == newer, "a version that nobody has is not waited for"

    with_desk(tmp_path, engine, part)

    async def again(desk: ListDesk, database: Database) -> None:
        before = sorted(path.stat().st_mtime_ns for path in desk.folder.iterdir())
        assert await desk.manifest(0, now(), 0) is not None, "taken up after the restart"
        assert sorted(path.stat().st_mtime_ns for path in desk.folder.iterdir()) == before

    with_desk(tmp_path, engine, again)

    async def other_key(desk: ListDesk, database: Database) -> None:
        signed = await desk.manifest(0, now(), 30)
        assert signed is not None
        verify_manifest(signed, desk_key.public_key)

    desk_key = SigningKey(b"\2" * 32)
    with_desk(tmp_path, engine, other_key, desk_key)


def test_snapshot_is_renewed_beside_when_much_has_changed_and_old_parts_stay_a_while(
    tmp_path: Path, engine: Engine
) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 5), now())
        first = await desk.manifest(0, now(), 30)
        await database.put_tokens(cards(5, 10_100), now())
        assert await desk.manifest(0, now(), 30) == first
        newest = (await desk.standing()).version
        second = await desk.manifest(newest, now(), 30)
        assert first is not None
        assert second is not None
        assert second.manifest.version == newest
        assert len(in_it(desk.folder, first.manifest)) == 5
        assert len(in_it(desk.folder, second.manifest)) == 10_100
        await database.put_tokens(cards(20_000, 20_001), now())
        later = now() + KEPT + timedelta(hours=1)
        third = await desk.manifest(newest + 1, later, 30)
        assert third is not None
        assert not part_path(desk.folder, first.manifest.parts[0].sha256).exists()
        assert in_it(desk.folder, second.manifest), "it was given until now"

    with_desk(tmp_path, engine, part)


def test_snapshots_asked_for_in_a_loop_are_made_now_and_then(tmp_path: Path, engine: Engine) -> None:
    """One of ten million tokens takes minutes, and its parts lie there for a day."""

    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 2000), now())
        at = now()
        given = [await desk.manifest(2**62, at, 30)]
        for number in range(2000, 2010):
            await database.put_tokens(cards(number, number + 1), now())
            given.append(await desk.manifest(2**62, at, 30))
        assert given[2:] == [None] * 9, "two in a row, and no more"
        assert await desk.manifest(0, at, 30) == given[1], "who can do with it gets it"
        renewed = await desk.manifest(2**62, at + timedelta(days=1), 30)
        assert renewed is not None
        assert renewed.manifest.version == (await desk.standing()).version

    with_desk(tmp_path, engine, part)


def test_what_is_being_made_is_waited_for_only_so_long(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 6000), now())
        assert await desk.manifest(0, now(), 0) is None
        assert await desk.manifest(0, now(), 30) is not None

    with_desk(tmp_path, engine, part)


def test_stopped_snapshot_leaves_parts_that_serve_the_next(tmp_path: Path, engine: Engine) -> None:
    with closing(engine.open_writer()) as connection:
        put(connection, cards(0, 100))
    folder = tmp_path / snapshots.FOLDER_NAME
    with pytest.raises(Stopped):
        write_parts(engine, folder, lambda written, tokens: False, PART)
    (left,) = folder.iterdir()
    inode = left.stat().st_ino
    told = []
    manifest = write_parts(engine, folder, lambda *numbers: told.append(numbers) is None, PART)
    assert told == [(60, 100), (100, 100)]
    assert left.stat().st_ino == inode
    assert snapshots.load_manifest(folder) is None, "no manifest, no snapshot"
    assert len(in_it(folder, manifest)) == 100


def test_part_that_the_disk_has_spoilt_is_written_again(tmp_path: Path, engine: Engine) -> None:
    with closing(engine.open_writer()) as connection:
        put(connection, cards(0, 3))
    folder = tmp_path / snapshots.FOLDER_NAME
    (part,) = write_parts(engine, folder, lambda *numbers: True, PART).parts
    part_path(folder, part.sha256).write_bytes(bytes(part.octets))
    assert len(in_it(folder, write_parts(engine, folder, lambda *numbers: True, PART))) == 3


def test_beginning_of_a_snapshot_does_not_outlive_the_hub(tmp_path: Path, engine: Engine) -> None:
    """It may hold whom an erasure named while no hub ran, and nobody may ever ask for the next one."""
    (tmp_path / snapshots.FOLDER_NAME).mkdir()
    part_path(tmp_path / snapshots.FOLDER_NAME, "ab" * 32).write_bytes(b"x")

    async def part(desk: ListDesk, database: Database) -> None:
        assert list(desk.folder.iterdir()) == []

    with_desk(tmp_path, engine, part)


def test_tokens_that_are_unusually_long_get_more_parts(tmp_path: Path, engine: Engine) -> None:
    long = [token(f"{n:08X}", group_id=f"{n}" + "x" * 1_000_000) for n in range(40)]
    with closing(engine.open_writer()) as connection:
        put(connection, long)
    manifest = write_parts(engine, tmp_path / "parts", lambda *numbers: True)
    assert len(manifest.parts) == 2
    assert in_it(tmp_path / "parts", manifest) == long


def test_disk_that_refuses_is_said(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 2), now())
        desk.folder.write_text("no folder")
        with pytest.raises(StoreError, match="whitelist"):
            await desk.manifest(0, now(), 30)
        desk.folder.unlink()
        assert await desk.manifest(0, now(), 30) is not None

    with_desk(tmp_path, engine, part)


def test_erasure_leaves_no_snapshot_and_is_held_for_a_day(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 3), now())
        before = await desk.standing()
        assert await desk.manifest(0, now(), 30) is not None
        key, at = token_key(cards(0, 1)[0]), now()
        deltas = await database.write(lambda connection: drop_tokens(connection, [key], at))
        assert await desk.forget(deltas, at)
        assert list(desk.folder.iterdir()) == []
        assert await desk.deltas(before.version, before.chain, at + KEPT) == deltas
        assert await desk.deltas(before.version, before.chain, at + KEPT + timedelta(seconds=1)) is None
        fresh = await desk.manifest(0, now(), 30)
        assert fresh is not None
        assert [one.uid for one in in_it(desk.folder, fresh.manifest)] == ["00000001", "00000002"]

    with_desk(tmp_path, engine, part)


def test_snapshot_that_was_being_made_during_an_erasure_is_not_given(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 6000), now())
        assert await desk.manifest(0, now(), 0) is None
        key = token_key(cards(0, 1)[0])
        deltas = await database.write(lambda connection: drop_tokens(connection, [key], now()))
        assert await desk.forget(deltas, now())
        fresh = await desk.manifest(0, now(), 30)
        assert fresh is not None
        assert fresh.manifest.tokens == 5999
        kept = {part_path(desk.folder, one.sha256).name for one in fresh.manifest.parts}
        assert {path.name for path in desk.folder.glob("*.part")} == kept

    with_desk(tmp_path, engine, part)


def test_erasure_while_no_hub_ran_is_noticed_at_the_next_start(tmp_path: Path, engine: Engine) -> None:
    """The program that erases deletes snapshots itself; one that was put back, from a backup, is of no use."""

    async def made(desk: ListDesk, database: Database) -> None:
        await database.put_tokens(cards(0, 3), now())
        assert await desk.manifest(0, now(), 30) is not None

    with_desk(tmp_path, engine, made)
    with closing(engine.open_writer()) as connection:
        drop_tokens(connection, [token_key(cards(0, 1)[0])], now())

    async def after(desk: ListDesk, database: Database) -> None:
        assert list(desk.folder.iterdir()) == []

    with_desk(tmp_path, engine, after)


# --- over HTTP


def _put(hub: HubProcess, tokens: list[Token]) -> int:
    status, answer = hub.api("PUT", "/api/v1/tokens", b"[" + b",".join(map(encode, tokens)) + b"]")
    assert status == 200, answer
    version: int = answer["version"]
    return version


def test_gateways_are_given_head_manifest_parts_and_deltas(hub: HubProcess) -> None:
    link = hub.link()
    version = _put(hub, cards(0, 500))

    def get(path: str, **headers: str) -> tuple[int, bytes]:
        return link.request("GET", f"/sync/v1/whitelist{path}", None, headers)

    signed = decode(SignedListHead, get("/head")[1], "head")
    head = verify_list_head(signed, signed.public_key, "site-1", now())
    assert (head.version, head.tokens, head.not_after - head.issued_at) == (version, 500, timedelta(days=7))
    manifest = verify_manifest(decode(SignedManifest, get("/manifest")[1], "manifest"), signed.public_key)
    (ref,) = manifest.parts
    status, octets = get(f"/parts/{ref.sha256}")
    assert (status, sorted(one.uid for one in parse_part(ref, octets).tokens())) == (
        200,
        [one.uid for one in cards(0, 500)],
    )
    assert get(f"/parts/{ref.sha256}", Range=f"bytes=100-{ref.octets - 1}") == (206, octets[100:])
    assert get(f"/parts/{ref.sha256}", Range="bytes=100-")[1] == octets[100:]
    assert get(f"/parts/{ref.sha256}", Range=f"bytes={ref.octets}-")[0] == 416
    deltas = decode(ListDeltas, get(f"/deltas?since=0&chain={GENESIS_CHAIN}")[1], "deltas").deltas
    assert deltas is not None
    require_chain(0, GENESIS_CHAIN, deltas, head)
    assert decode(ListDeltas, get(f"/deltas?since=1&chain={GENESIS_CHAIN}")[1], "deltas").deltas is None
    assert decode(ListDeltas, get(f"/deltas?since={head.version}&chain={head.chain}")[1], "deltas").deltas == ()


def test_what_is_asked_for_is_taken_literally(hub: HubProcess) -> None:
    for path, status in (
        (f"/parts/{'ab' * 32}", 404),
        ("/parts/manifest.json", 404),
        ("/parts/..%2Fhub.sqlite", 404),
        (f"/parts/{'AB' * 32}", 404),
        (f"/parts/{'ab' * 32}.part", 404),
        ("/deltas?since=0", 400),
        (f"/deltas?since=-1&chain={'ab' * 32}", 400),
        (f"/deltas?since={2**63}&chain={'ab' * 32}", 400),
        (f"/deltas?since=0&chain={'zz' * 32}", 400),
        ("/manifest?least=x", 400),
    ):
        found, body = hub.link().request("GET", f"/sync/v1/whitelist{path}")
        assert (found, json.loads(body)["status"]) == (status, status), path


def test_gateway_that_reads_slowly_takes_no_turn_of_others(hub: HubProcess) -> None:
    """Parts that nobody takes stay in the hub's hands for minutes."""
    name = "cd" * 32
    folder = hub.folder / "state" / "whitelist"
    folder.mkdir(exist_ok=True)
    with part_path(folder, name).open("wb") as long:
        long.truncate(48 * 1024 * 1024)
    path = f"/sync/v1/whitelist/parts/{name}"
    slow = [hub.link() for _ in range(MAX_PARTS_OF_ONE + 2)]
    answers = [link.begin("GET", path) for link in slow]
    assert sorted(set(answers)) == [200, 429]
    assert answers.count(200) == MAX_PARTS_OF_ONE
    assert hub.link("site-2").request("GET", path, None, {"Range": "bytes=0-9"}) == (206, bytes(10))
    for link in slow:
        link.close()
    deadline = time.monotonic() + 20
    while hub.link().begin("GET", path) != 200:
        assert time.monotonic() < deadline, "whoever is gone must not be counted"


def test_only_gateways_of_this_hub_are_given_the_list(hub: HubProcess) -> None:
    for path in ("/head", "/manifest", f"/parts/{'ab' * 32}", f"/deltas?since=0&chain={GENESIS_CHAIN}", "?since=0"):
        status, body = hub.link("site-9").request("GET", f"/sync/v1/whitelist{path}")
        assert (status, json.loads(body)["type"]) == (403, "urn:pncgate:problem:unknown-gateway"), path


def test_erasing_through_the_api_leaves_nothing_on_the_disk(hub: HubProcess) -> None:
    _put(hub, cards(0, 3))
    assert hub.link().request("GET", "/sync/v1/whitelist/manifest")[0] == 200
    before = decode(SignedListHead, hub.link().request("GET", "/sync/v1/whitelist/head")[1], "head").head
    order = json.dumps({"token": "00000001", "apply": True}).encode()
    status, answer = hub.api("POST", "/api/v1/erasures", order)
    assert (status, answer["counts"]["tokens"], answer["remains"]) == (200, 1, [])
    folder = hub.folder / "state"
    assert [path for path in folder.rglob("*") if path.is_file() and b"00000001" in path.read_bytes()] == []
    assert list((folder / "whitelist").iterdir()) == []
    path = f"/sync/v1/whitelist/deltas?since={before.version}&chain={before.chain}"
    deltas = decode(ListDeltas, hub.link().request("GET", path)[1], "deltas").deltas
    assert deltas is not None
    assert [name.uid for one in deltas for name in parse_delta(one).removed] == ["00000001"]


def test_list_is_read_while_it_is_written(tmp_path: Path, engine: Engine) -> None:
    """A snapshot made beside a stream of puts is one of the versions there were, whole."""
    with closing(engine.open_writer()) as connection:
        put(connection, cards(0, 100))
        standings = {(one := list_standing(connection)).version: one}
        going_on = threading.Event()

        def told(written: int, tokens: int) -> bool:
            put(connection, [*cards(written, written + 1), token("FFFF", group_id=str(written))])
            standings[list_standing(connection).version] = list_standing(connection)
            going_on.set()
            return True

        manifest = write_parts(engine, tmp_path / "parts", told, PART)
    assert going_on.is_set()
    assert len(standings) > 1
    assert (manifest.chain, manifest.tokens) == (standings[manifest.version].chain, 100)
    assert len(in_it(tmp_path / "parts", manifest)) == 100
    with closing(engine.open_reader()) as reader:
        assert named_since(reader, manifest.version, manifest.chain, {}) is not None
