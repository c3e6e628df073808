"""A list from a snapshot: the same as by changes, whole or not at all, and what is left where it is cut off."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreError
from gateway.store.database import StoreBusy
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist, open_whitelist, read_list
from gateway.store.whitelist_file import LATEST
from gateway.store.whitelist_mark import highest_version, note_version, put_back
from gateway.store.whitelist_rows import kind_of
from tests.gateway.conftest import Bench
from tests.parts import NOON, token
from wire.errors import MalformedValue
from wire.records import Token, TokenRef, TokenType, WhitelistChange, WhitelistType, encode
from wire.tokens import found_by, token_key
from wire.whitelist import (
    GENESIS_CHAIN,
    DeltaContent,
    ListDelta,
    ListError,
    ListHead,
    Manifest,
    PartRef,
    TokenName,
    encode_part,
    make_delta,
    next_chain,
)

EMAID, RFID = TokenType.EMAID, TokenType.RFID
CHAIN = "ab" * 32
CARD = token("04A1B2C3")
THEIRS = msgspec.structs.replace(CARD, party_id="XYZ", contract_id="DEXYZCRD000009", group_id="G1")
CONTRACT = token("DE-ABC-C00000001-V", type_=EMAID, contract_id="DEABCC00000001V")
FLEET = [token(f"fleet-{number}", type_=EMAID, contract_id="DE-XYZ-C00000099-4") for number in range(5)]
GOOD = kind_of(RFID, WhitelistType.ALLOWED, valid=True)


def aged(card: Token, seconds: int) -> Token:
    return msgspec.structs.replace(card, last_updated=NOON - timedelta(seconds=seconds))


MANY = [aged(token(f"{number:08X}", valid=number % 7 != 0), number) for number in range(LATEST + 2000)]
MIXED = [CARD, THEIRS, CONTRACT, *FLEET]


def quiet(done: int, of: int) -> None:
    assert 0 <= done <= of


def head_of(version: int, chain: str, tokens: int, seconds: int = 0) -> ListHead:
    at = NOON + timedelta(seconds=seconds)
    not_after = at + timedelta(days=7)
    return ListHead(gateway_id="site-1", version=version, chain=chain, tokens=tokens, issued_at=at, not_after=not_after)


def snapshot(folder: PartFolder, tokens: Sequence[Token], version: int = 7, size: int = 3000) -> Manifest:
    refs = []
    for start in range(0, len(tokens), size):
        ref, octets = encode_part(tokens[start : start + size])
        folder.put(ref, octets)
        refs.append(ref)
    return Manifest(version=version, chain=CHAIN, parts=tuple(refs))


def build(whitelist: Whitelist, folder: PartFolder, tokens: Sequence[Token], version: int = 7) -> bool:
    manifest = snapshot(folder, tokens, version)
    return whitelist.build(manifest, folder, head_of(version, CHAIN, len(tokens)), quiet)


@pytest.fixture
def folder(tmp_path: Path) -> PartFolder:
    return PartFolder(tmp_path / "parts")


@pytest.fixture
def whitelist(tmp_path: Path) -> Iterator[Whitelist]:
    with closing(Whitelist(tmp_path / "state.db")) as opened:
        yield opened


def everything(whitelist: Whitelist) -> list[bytes]:
    return sorted(encode(each) for each in whitelist.walk())


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# --- what is built


def test_a_built_list_is_the_list_by_changes(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    tokens = [*MIXED, *MANY]
    assert build(whitelist, folder, tokens)
    with closing(Whitelist(tmp_path / "other.db")) as other:
        other.take(WhitelistChange(version=7, since=0, full=True, tokens=tuple(tokens)))
        assert everything(whitelist) == everything(other) == sorted(encode(each) for each in tokens)
        assert len(whitelist) == len(other) == len(tokens)
        kinds = [kind_of(t, w, valid=v) for t in TokenType for w in WhitelistType for v in (True, False)]
        for kind in kinds:
            assert whitelist.count(kind) == other.count(kind)
            assert whitelist.newest(kind, 5000) == other.newest(kind, 5000), kind
        for uid, type_ in [(each.uid.lower(), each.type) for each in [*MIXED, *MANY[::50]]] + [("none", RFID)]:
            assert whitelist.find(TokenRef(uid=uid, type=type_)) == other.find(TokenRef(uid=uid, type=type_)), uid
    assert (whitelist.version, whitelist.chain, whitelist.confirmed_at) == (7, CHAIN, NOON)
    assert whitelist.examine() is None


def test_all_tokens_under_one_name_lie_side_by_side(whitelist: Whitelist, folder: PartFolder) -> None:
    assert build(whitelist, folder, MIXED)
    assert whitelist.find(TokenRef(uid="DEXYZC00000099", type=EMAID)) in FLEET
    for each in FLEET:
        assert whitelist.find(TokenRef(uid=each.uid, type=EMAID)) == each
    assert whitelist.find(TokenRef(uid="04a1b2c3", type=RFID)) == max(CARD, THEIRS, key=token_key)


def test_an_empty_list_can_be_built(whitelist: Whitelist, folder: PartFolder) -> None:
    build(whitelist, folder, MIXED)
    assert build(whitelist, folder, [], version=8)
    assert (len(whitelist), whitelist.version, whitelist.find(TokenRef(uid=CARD.uid, type=RFID))) == (0, 8, None)


def test_a_list_that_has_a_token_twice_is_refused(whitelist: Whitelist, folder: PartFolder) -> None:
    build(whitelist, folder, MIXED)
    twice = [CARD, *MANY[:10], msgspec.structs.replace(CARD, uid="04a1b2c3", valid=False)]
    with pytest.raises(ListError) as refused:
        build(whitelist, folder, twice, version=8)
    assert refused.value.code == "list-part"
    assert (whitelist.version, len(whitelist)) == (7, len(MIXED))


def test_a_snapshot_that_is_not_the_list_of_the_head_is_refused(whitelist: Whitelist, folder: PartFolder) -> None:
    manifest = snapshot(folder, MIXED)
    for wrong in (head_of(7, "cd" * 32, len(MIXED)), head_of(7, CHAIN, len(MIXED) + 1)):
        with pytest.raises(ListError):
            whitelist.build(manifest, folder, wrong, quiet)
    assert whitelist.version == 0


def test_an_older_snapshot_is_left_alone(whitelist: Whitelist, folder: PartFolder) -> None:
    assert build(whitelist, folder, MIXED)
    assert not build(whitelist, folder, MIXED)
    assert not build(whitelist, folder, [CARD], version=6)
    assert whitelist.version == 7


def test_a_snapshot_of_before_the_head_is_confirmed_by_its_deltas(whitelist: Whitelist, folder: PartFolder) -> None:
    manifest = snapshot(folder, MIXED)
    delta = make_delta(7, 9, DeltaContent(removed=(named(CARD),)))
    head = head_of(9, next_chain(CHAIN, delta), len(MIXED) - 1)
    assert whitelist.build(manifest, folder, head, quiet)
    assert (whitelist.version, whitelist.confirmed_at) == (7, None)
    assert whitelist.apply([delta], head) == (DeltaContent(removed=(named(CARD),)),)
    assert (whitelist.version, whitelist.chain, whitelist.confirmed_at, len(whitelist)) == (
        9,
        head.chain,
        NOON,
        len(MIXED) - 1,
    )


# --- deltas


def named(each: Token) -> TokenName:
    return TokenName(country_code=each.country_code, party_id=each.party_id, type=each.type, uid=each.uid.lower())


def test_deltas_in_a_row(whitelist: Whitelist) -> None:
    first = make_delta(0, 3, DeltaContent(tokens=(CARD, CONTRACT)))
    second = make_delta(3, 4, DeltaContent(tokens=(THEIRS,), removed=(named(CONTRACT), named(FLEET[0]))))
    chain = next_chain(next_chain(GENESIS_CHAIN, first), second)
    whitelist.apply([first, second], head_of(4, chain, 2))
    assert (whitelist.version, whitelist.chain, len(whitelist)) == (4, chain, 2)
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) is None
    assert whitelist.count(GOOD) == 2


def test_a_token_that_moves_among_others_under_one_name(whitelist: Whitelist, folder: PartFolder) -> None:
    """One of a fleet changes in place, gets another contract, and comes back; the others stay what they are."""
    build(whitelist, folder, MIXED)
    held, version, chain = list(MIXED), 7, CHAIN
    other = msgspec.structs.replace(FLEET[2], contract_id=CONTRACT.contract_id, valid=False)
    for changed in (msgspec.structs.replace(FLEET[2], language="de"), other, FLEET[2]):
        delta = make_delta(version, version + 1, DeltaContent(tokens=(changed,)))
        version, chain = version + 1, next_chain(chain, delta)
        held = [each for each in held if each.uid != changed.uid] + [changed]
        whitelist.apply([delta], head_of(version, chain, len(held)))
        assert everything(whitelist) == sorted(encode(each) for each in held)
        for each in (*FLEET[:2], *FLEET[3:], changed):
            assert whitelist.find(TokenRef(uid=each.uid, type=EMAID)) == each
        assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) == CONTRACT
    rows = whitelist._file._writer.execute("SELECT count(*) FROM tokens").fetchone()[0]
    assert rows == sum(len(found_by(each)) for each in MIXED)


def _two(*, wrong: str) -> tuple[list[ListDelta], ListHead]:
    first = make_delta(0, 3, DeltaContent(tokens=(CARD,)))
    second = make_delta(3, 4, DeltaContent(tokens=(CONTRACT,)))
    if wrong == "not a delta":
        second = ListDelta(since=3, version=4, content='{"tokens": 1}')
    chain = next_chain(next_chain(GENESIS_CHAIN, first), second)
    deltas = {"reordered": [second, first], "one is missing": [second], "cut off": [first], "none": []}
    if wrong == "changed":
        second = msgspec.structs.replace(second, content=second.content.replace("true", "false"))
    return deltas.get(wrong, [first, second]), head_of(4, chain, 2)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("reordered", ListError),
        ("one is missing", ListError),
        ("cut off", ListError),
        ("none", ListError),
        ("changed", ListError),
        ("not a delta", MalformedValue),
    ],
)
def test_of_deltas_that_do_not_fit_nothing_is_taken(
    whitelist: Whitelist, wrong: str, error: type[ListError | MalformedValue]
) -> None:
    with pytest.raises(error):
        whitelist.apply(*_two(wrong=wrong))
    assert (whitelist.version, whitelist.chain, len(whitelist), whitelist.confirmed_at) == (0, GENESIS_CHAIN, 0, None)
    whitelist.apply(*_two(wrong=""))
    assert whitelist.version == 4


def test_no_delta_continues_a_list_whose_chain_is_not_known(whitelist: Whitelist, folder: PartFolder) -> None:
    whitelist.take(WhitelistChange(version=7, since=0, full=True, tokens=(CARD,)))
    assert whitelist.chain is None
    delta = make_delta(7, 8, DeltaContent())
    with pytest.raises(ListError):
        whitelist.apply([delta], head_of(8, next_chain(CHAIN, delta), 1))
    assert not whitelist.confirm(head_of(7, CHAIN, 1))
    assert build(whitelist, folder, MIXED), "a snapshot of the same version makes it known"
    assert (whitelist.chain, len(whitelist)) == (CHAIN, len(MIXED))


def test_confirming_never_goes_back(tmp_path: Path) -> None:
    with closing(Whitelist(tmp_path / "state.db")) as whitelist:
        assert whitelist.confirmed_at is None
        for seconds, expected in ((10, 10), (5, 10), (11, 11)):
            assert whitelist.confirm(head_of(0, GENESIS_CHAIN, 0, seconds))
            assert whitelist.confirmed_at == NOON + timedelta(seconds=expected)
        assert not whitelist.confirm(head_of(1, GENESIS_CHAIN, 0, 99))
        assert not whitelist.confirm(head_of(0, CHAIN, 0, 99))
    with closing(Whitelist(tmp_path / "state.db")) as again:
        assert again.confirmed_at == NOON + timedelta(seconds=11)


def test_the_latest_stay_exact_while_tokens_come_and_go(whitelist: Whitelist, folder: PartFolder) -> None:
    """After a build some are below the floor; what is given as the newest is the newest all the same."""
    held = {each.uid: each for each in MANY}
    build(whitelist, folder, MANY)
    version, chain = 7, CHAIN
    steps = [
        [aged(MANY[1], -5), aged(MANY[-1], -6), aged(MANY[0], -7)],
        [msgspec.structs.replace(each, valid=not each.valid) for each in MANY[10:40]],
        [aged(token(f"N{number}"), -100 - number) for number in range(LATEST)],
        [aged(token(f"OLD{number}"), 10**6) for number in range(3)],
    ]
    for tokens in steps:
        delta = make_delta(version, version + 1, DeltaContent(tokens=tuple(tokens)))
        version, chain = version + 1, next_chain(chain, delta)
        held |= {each.uid: each for each in tokens}
        whitelist.apply([delta], head_of(version, chain, len(held)))
        for valid in (True, False):
            kind = kind_of(RFID, WhitelistType.ALLOWED, valid=valid)
            of_kind = sorted((e for e in held.values() if e.valid is valid), key=lambda e: e.last_updated, reverse=True)
            assert whitelist.count(kind) == len(of_kind)
            newest = whitelist.newest(kind, 5000)
            assert [each.uid for each in newest] == [each.uid for each in of_kind[: len(newest)]]
            assert len(newest) >= min(len(of_kind), 5000)
    assert len(whitelist) == len(held)


def test_nothing_is_left_of_a_token_that_is_gone(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    """Not even where the latest end, and not after it had moved on from there."""
    build(whitelist, folder, MANY)
    good = [each for each in MANY if each.valid]
    last, before = good[LATEST - 1], good[LATEST - 2]
    version, chain = 7, CHAIN
    for content in (
        DeltaContent(tokens=(aged(last, -1),)),
        DeltaContent(removed=(named(last), named(before))),
        DeltaContent(tokens=(aged(token("OLD"), 10**6), aged(token("NEW"), LATEST))),
    ):
        delta = make_delta(version, version + 1, content)
        version, chain = version + 1, next_chain(chain, delta)
        whitelist.apply([delta], head_of(version, chain, len(MANY)))
    ages = sorted([each.last_updated for each in good[: LATEST - 2]] + [aged(CARD, LATEST).last_updated], reverse=True)
    assert [each.last_updated for each in whitelist.newest(GOOD, 2 * LATEST)] == ages
    assert whitelist.count(GOOD) == len(good)
    held = {file.name: file.read_bytes() for file in tmp_path.glob("state*")}
    gone = [each.uid.encode() for each in (last, before)]
    assert [name for name, octets in held.items() if any(uid in octets for uid in gone)] == []


# --- files


def test_what_is_in_force_and_what_is_left(tmp_path: Path, folder: PartFolder) -> None:
    path = tmp_path / "whitelist.db"
    whitelist = Whitelist(path)
    assert build(whitelist, folder, MIXED)
    assert names(tmp_path / "parts") == []
    assert read_list(path).version == 7
    whitelist.close()
    assert names(tmp_path) == ["parts", "whitelist-7.db", "whitelist.current"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("whitelist*")} == {0o600}
    for left in ("whitelist-9.db", "whitelist-9.db-wal", "whitelist-building.db", "whitelist-building.db.spill"):
        (tmp_path / left).write_bytes(b"left over")
    (tmp_path / "whitelist-of-mine.txt").write_bytes(b"not ours")
    again, remark = open_whitelist(path)
    assert (again.version, again.chain, len(again), remark) == (7, CHAIN, len(MIXED), None)
    again.close()
    assert names(tmp_path) == ["parts", "whitelist-7.db", "whitelist-of-mine.txt", "whitelist.current"]


@pytest.mark.parametrize("text", ["whitelist-99.db", "../whitelist-0.db", "", "\xff"])
def test_a_pointer_to_nothing_begins_a_list_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "whitelist.db"
    Whitelist(path).close()
    (tmp_path / "whitelist.current").write_text(text, "latin-1")
    anew, remark = open_whitelist(path)
    assert (anew.version, len(anew)) == (0, 0)
    assert "whitelist.current names" in str(remark)
    anew.close()


def test_answers_while_a_list_is_built_and_swapped(whitelist: Whitelist, folder: PartFolder) -> None:
    build(whitelist, folder, MANY[:3000])
    better = [msgspec.structs.replace(each, valid=True, language="de") for each in MANY[:3000]]
    presented, during = TokenRef(uid=MANY[0].uid, type=RFID), []
    taking = threading.Thread(target=build, args=(whitelist, folder, better, 8))
    taking.start()
    while taking.is_alive():
        during.append(whitelist.find(presented))
        whitelist.newest(GOOD, 3)
    taking.join()
    assert set(during) <= {MANY[0], better[0]}
    assert during[0] == MANY[0]
    assert whitelist.find(presented) == better[0]


def test_closing_gives_up_a_build(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest, begun, ended = snapshot(folder, MANY), threading.Event(), []

    def progress(done: int, of: int) -> None:
        begun.set()
        closing_.wait(60)

    def work() -> None:
        with pytest.raises(StoreError) as refused:
            whitelist.build(manifest, folder, head_of(7, CHAIN, len(MANY)), progress)
        ended.append(str(refused.value))

    closing_ = threading.Event()
    working = threading.Thread(target=work)
    working.start()
    assert begun.wait(60)
    shutting = threading.Thread(target=whitelist.close)
    shutting.start()
    closing_.set()
    shutting.join(60)
    working.join(60)
    assert "closed" in ended[0]
    assert names(tmp_path) == ["parts", "state-0.db", "state.current"]
    assert len(names(tmp_path / "parts")) == len(manifest.parts), "what was fetched is kept"


def test_a_list_that_cannot_be_written_leaves_the_old_one(
    whitelist: Whitelist, folder: PartFolder, tmp_path: Path
) -> None:
    build(whitelist, folder, MIXED)
    (tmp_path / "state-building.db.spill").mkdir()
    with pytest.raises(StoreError) as refused:
        build(whitelist, folder, MANY, version=8)
    assert "state-building.db" in str(refused.value)
    assert (whitelist.version, whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID))) == (7, CONTRACT)
    (tmp_path / "state-building.db.spill").rmdir()
    assert build(whitelist, folder, MANY, version=8)


def _build_and_say(folder: Path, steps: int) -> None:
    """In a process of its own: build, and be killed at a step of the progress, or just after."""
    whitelist, parts, seen = Whitelist(folder / "state.db"), PartFolder(folder / "parts"), [0]

    def progress(done: int, of: int) -> None:
        seen[0] += 1
        if seen[0] == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    whitelist.build(snapshot(parts, MANY[:600], size=200), parts, head_of(7, CHAIN, 600), progress)
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_anywhere_the_list_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    found = set()
    for step in (1, 2, 3, 4, 100, 259, 999):
        for file in tmp_path.glob("state*"):
            file.unlink()
        with closing(Whitelist(tmp_path / "state.db")) as whitelist:
            whitelist.take(WhitelistChange(version=1, since=0, full=True, tokens=tuple(MIXED)))
        process = multiprocessing.get_context("fork").Process(target=_build_and_say, args=(tmp_path, step))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        again, remark = open_whitelist(tmp_path / "state.db")
        with closing(again):
            assert remark is None
            assert (again.version, len(again)) in {(1, len(MIXED)), (7, 600)}
            assert again.examine() is None
            found.add(again.version)
        assert len(names(tmp_path)) == 3, "parts, pointer, list"
    assert found == {1, 7}


# --- the list of a version before

_OLD = """
    CREATE TABLE list (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, key BLOB NOT NULL);
    INSERT INTO list VALUES (1, 5, x'00');
    CREATE TABLE tokens (key BLOB PRIMARY KEY, name BLOB NOT NULL, other_name BLOB, body TEXT NOT NULL) WITHOUT ROWID;
    PRAGMA application_id=1347306327;
"""
"""What version 1 of the old schema had; version 2 added columns and indexes that are not read."""


def _old_list(path: Path, tokens: Sequence[Token], *, version: int = 2) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.executescript(_OLD)
        rows = [(number.to_bytes(4, "big"), b"", None, encode(each).decode()) for number, each in enumerate(tokens)]
        old.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", rows)
        old.execute(f"PRAGMA user_version={version}")
        old.commit()


@pytest.mark.parametrize("schema", [1, 2])
def test_the_list_of_a_version_before_is_taken_over(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "whitelist.db"
    _old_list(path, [*MIXED, *MANY], version=schema)
    assert (read_list(path).version, read_list(path).tokens) == (5, len(MIXED) + len(MANY))
    whitelist, remark = open_whitelist(path)
    assert remark is None
    assert (whitelist.version, whitelist.chain, whitelist.confirmed_at) == (5, None, None)
    assert everything(whitelist) == sorted(encode(each) for each in [*MIXED, *MANY])
    assert whitelist.find(TokenRef(uid="DEABCC00000001", type=EMAID)) == CONTRACT
    whitelist.close()
    assert names(tmp_path) == ["whitelist-5.db", "whitelist.current"]


def _no_token(path: Path) -> None:
    _old_list(path, [CARD])
    with closing(sqlite3.connect(path)) as old:
        old.execute("UPDATE tokens SET body = '{}'")
        old.commit()


def _later(path: Path) -> None:
    _old_list(path, [CARD], version=3)


def _no_version(path: Path) -> None:
    _old_list(path, [CARD])
    with closing(sqlite3.connect(path)) as old:
        old.execute("DELETE FROM list")
        old.commit()


@pytest.mark.parametrize(
    ("spoilt", "why"), [(_no_token, "whitelist token"), (_later, "not a gateway's"), (_no_version, "lost its version")]
)
def test_a_list_of_before_that_cannot_be_read_is_set_aside(
    tmp_path: Path, spoilt: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "whitelist.db"
    spoilt(path)
    whitelist, remark = open_whitelist(path)
    assert (whitelist.version, len(whitelist)) == (0, 0)
    assert "set aside as whitelist.db.damaged" in str(remark)
    assert why in str(remark)
    whitelist.close()
    assert names(tmp_path) == ["whitelist-0.db", "whitelist.current", "whitelist.db.damaged"]


# --- damage, and what is none


@contextmanager
def no_room() -> Iterator[None]:
    """A disk that takes nothing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_at_the_start_costs_no_list(tmp_path: Path, folder: PartFolder) -> None:
    path = tmp_path / "whitelist.db"
    with closing(Whitelist(path)) as whitelist:
        build(whitelist, folder, MIXED)
    with no_room(), pytest.raises(StoreError) as refused:
        open_whitelist(path)
    assert "whitelist-7.db: " in str(refused.value)
    again, remark = open_whitelist(path)
    assert (again.version, len(again), remark) == (7, len(MIXED), None)
    again.close()


def test_a_disk_too_full_to_take_over_the_list_of_before_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "whitelist.db"
    _old_list(path, MIXED)
    with no_room(), pytest.raises(StoreError):
        open_whitelist(path)
    again, remark = open_whitelist(path)
    assert (len(again), remark) == (len(MIXED), None)
    again.close()


def test_a_list_that_another_program_holds_is_not_damaged(tmp_path: Path, folder: PartFolder) -> None:
    path = tmp_path / "whitelist.db"
    with closing(Whitelist(path)) as whitelist:
        build(whitelist, folder, MIXED)
        with closing(sqlite3.connect(tmp_path / "whitelist-7.db")) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM tokens").fetchone()
            whitelist.confirm(head_of(7, CHAIN, len(MIXED), 1))
            with pytest.raises(StoreBusy, match="end that one first"):
                open_whitelist(path)
    again, remark = open_whitelist(path)
    assert (again.version, remark) == (7, None)
    again.close()


def test_a_list_that_another_program_reads_all_the_time_is_not_damaged(tmp_path: Path, folder: PartFolder) -> None:
    path, file = tmp_path / "whitelist.db", tmp_path / "whitelist-7.db"
    with closing(Whitelist(path)) as whitelist:
        build(whitelist, folder, MIXED)
    with closing(sqlite3.connect(file)) as reader, closing(sqlite3.connect(file)) as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT version FROM list").fetchone()
        with writer:
            writer.execute("UPDATE list SET confirmed_at = NULL")
        with pytest.raises(StoreBusy, match="another program reads it"):
            open_whitelist(path)
    again, remark = open_whitelist(path)
    assert (again.version, remark) == (7, None)
    again.close()


def test_a_damaged_token_is_an_error_and_no_token(whitelist: Whitelist, folder: PartFolder) -> None:
    build(whitelist, folder, MIXED)
    whitelist._file._writer.execute("UPDATE tokens SET body = x'93' || substr(body, 2)")
    for presented in (CARD, CONTRACT):
        with pytest.raises(sqlite3.DatabaseError):
            whitelist.find(TokenRef(uid=presented.uid, type=presented.type))
    assert whitelist.find(TokenRef(uid="none", type=RFID)) is None


def test_a_missing_form_is_an_error(whitelist: Whitelist, folder: PartFolder) -> None:
    build(whitelist, folder, MIXED)
    whitelist._file._writer.execute("DELETE FROM forms")
    with pytest.raises(sqlite3.DatabaseError):
        whitelist.find(TokenRef(uid=CARD.uid, type=RFID))


def test_damage_found_while_running_begins_anew_and_goes_on(tmp_path: Path, folder: PartFolder) -> None:
    path = tmp_path / "whitelist.db"
    whitelist, _ = open_whitelist(path)
    build(whitelist, folder, MANY)
    file = tmp_path / "whitelist-7.db"
    whitelist.close()
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    whitelist, remark = open_whitelist(path)
    remark = remark or whitelist.examine()
    assert "set aside" in str(remark)
    assert (whitelist.version, whitelist.chain, whitelist.find(TokenRef(uid=MANY[1].uid, type=RFID))) == (
        0,
        GENESIS_CHAIN,
        None,
    )
    assert build(whitelist, folder, MANY), "the same snapshot is taken again"
    assert whitelist.examine() is None
    whitelist.close()


def test_closing_gives_up_an_examination(tmp_path: Path) -> None:
    """However it falls together, whoever examines a list that is being closed hears of no damage."""
    found = []
    for _ in range(20):
        whitelist = Whitelist(tmp_path / "state.db")
        if not len(whitelist):
            whitelist.take(WhitelistChange(version=1, since=0, full=True, tokens=tuple(MANY)))
        working = threading.Thread(target=lambda each: found.append(each.examine()), args=(whitelist,))
        working.start()
        whitelist.close()
        working.join(60)
    assert found == [None] * 20
    with closing(Whitelist(tmp_path / "state.db")) as again:
        assert len(again) == len(MANY)


# --- parts


def test_parts_are_kept_until_they_are_used(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "parts")
    manifest = snapshot(PartFolder(tmp_path / "elsewhere"), MANY[:900], size=300)
    made = [encode_part(MANY[start : start + 300]) for start in (0, 300, 600)]
    assert folder.missing(manifest) == manifest.parts
    folder.put(*made[1])
    (tmp_path / "parts" / "half.new").write_bytes(b"cut off")
    again = PartFolder(tmp_path / "parts")
    assert again.missing(manifest) == (made[0][0], made[2][0])
    assert names(tmp_path / "parts") == [f"{made[1][0].sha256}.part"]
    again.put(*made[0])
    again.put(*made[2])
    assert again.missing(manifest) == ()
    assert [row.uid for part in again.parts(manifest) for row in part.rows] == [each.uid for each in MANY[:900]]
    again.keep_only(Manifest(version=8, chain=CHAIN, parts=(made[2][0],)))
    assert names(tmp_path / "parts") == [f"{made[2][0].sha256}.part"]
    again.clear()
    assert names(tmp_path / "parts") == []


def test_a_part_that_is_not_what_it_must_be_is_not_kept(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path / "parts")
    ref, octets = encode_part(MANY[:300])
    wrong: list[tuple[PartRef, bytes]] = [
        (ref, octets[:-1]),
        (ref, octets[:-1] + b"\0"),
        (msgspec.structs.replace(ref, tokens=299), octets),
    ]
    for each in wrong:
        with pytest.raises(ListError):
            folder.put(*each)
    assert not (tmp_path / "parts").exists()


def test_a_part_damaged_on_the_disk_is_fetched_again(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest = snapshot(folder, MANY[:900], size=300)
    spoilt = tmp_path / "parts" / f"{manifest.parts[1].sha256}.part"
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"\0")
    assert folder.missing(manifest) == (), "the length is right"
    with pytest.raises(ListError):
        whitelist.build(manifest, folder, head_of(7, CHAIN, 900), quiet)
    assert (whitelist.version, folder.missing(manifest)) == (0, (manifest.parts[1],))
    folder.put(*encode_part(MANY[300:600]))
    assert whitelist.build(manifest, folder, head_of(7, CHAIN, 900), quiet)


def test_a_part_that_is_not_there_is_an_error(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest = snapshot(folder, MANY[:300])
    folder.clear()
    with pytest.raises(StoreError):
        whitelist.build(manifest, folder, head_of(7, CHAIN, 300), quiet)
    assert "state-building.db" not in names(tmp_path)


# --- the mark


def test_the_highest_version_is_remembered(bench: Bench) -> None:
    async def part() -> list[int]:
        highest = [highest_version(bench.reader)]
        for version in (5, 3, 12):
            await bench.writer.run(partial(note_version, version=version))
            highest.append(highest_version(bench.reader))
        return highest

    assert asyncio.run(part()) == [0, 5, 5, 12]
    assert put_back(bench.reader, 12) is None
    assert "version 12 was held" in str(put_back(bench.reader, 11))
