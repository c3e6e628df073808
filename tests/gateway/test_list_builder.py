"""A snapshot that a process of its own builds: the same list, and no harm whoever is ended on the way."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StoreError
from gateway.store.list_builder import Work, build_apart
from gateway.store.list_parts import PartFolder
from gateway.store.whitelist import Whitelist
from gateway.store.whitelist_build import BUCKETS, ROWS_TOGETHER, build_file
from gateway.store.whitelist_file import ListState
from gateway.store.whitelist_rows import decode_row
from tests.parts import NOON, token
from wire.records import Token, TokenRef, TokenType, encode
from wire.whitelist import PART_TOKENS, ListError, ListHead, Manifest, encode_part

CHAIN = "ab" * 32
OLD = [token("04A1B2C3")]
NEW = [token(f"{number:08X}", valid=number % 7 != 0) for number in range(600)]
COMMAND = (sys.executable, "-P", "-m", "gateway.store.list_builder")


def quiet(done: int, of: int) -> None:
    assert 0 <= done <= of


def snapshot(folder: PartFolder, tokens: Sequence[Token], version: int, size: int = 200) -> Manifest:
    refs = []
    for start in range(0, len(tokens), size):
        ref, octets = encode_part(tokens[start : start + size])
        folder.put(ref, octets)
        refs.append(ref)
    return Manifest(version=version, chain=CHAIN, parts=tuple(refs))


def head_of(version: int, tokens: int) -> ListHead:
    not_after = NOON + timedelta(days=7)
    return ListHead(
        gateway_id="site-1", version=version, chain=CHAIN, tokens=tokens, issued_at=NOON, not_after=not_after
    )


@pytest.fixture
def folder(tmp_path: Path) -> PartFolder:
    return PartFolder(tmp_path / "parts")


@pytest.fixture
def whitelist(tmp_path: Path, folder: PartFolder) -> Iterator[Whitelist]:
    """With a list in force; the next one is built apart."""
    with closing(Whitelist(tmp_path / "state.db")) as whitelist:
        whitelist.build(snapshot(folder, OLD, 1), folder, head_of(1, 1), quiet)
    with closing(Whitelist(tmp_path / "state.db", apart_above=0)) as opened:
        yield opened


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm")))


def still_the_old_one(whitelist: Whitelist, tmp_path: Path) -> bool:
    assert names(tmp_path) == ["parts", "state-1.db", "state.current"]
    return [*whitelist.walk()] == OLD and whitelist.version == 1


def builder() -> int:
    """The process that this thread has started to build a list."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    if not children.exists():
        pytest.skip("this kernel does not say which processes a thread has started")
    (found,) = (int(child) for child in children.read_text("ascii").split() if _builds(child))
    return found


def _builds(process: str) -> bool:
    """Whether a child of this thread, which may have others, is one that builds."""
    return COMMAND[-1].encode() in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")


def ended(process: int) -> bool:
    """Whether a process ends within half a minute."""
    with suppress(ProcessLookupError):
        watched = os.pidfd_open(process)
        try:
            return bool(select.select([watched], [], [], 30)[0])
        finally:
            os.close(watched)
    return True


def test_it_builds_the_same_list(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    manifest = snapshot(folder, NEW, 7)
    assert whitelist.build(manifest, folder, head_of(7, len(NEW)), lambda *each: told.append(each))
    assert sorted(map(encode, whitelist.walk())) == sorted(map(encode, NEW))
    assert (whitelist.version, whitelist.chain, whitelist.confirmed_at, len(whitelist)) == (7, CHAIN, NOON, len(NEW))
    assert whitelist.find(TokenRef(uid=NEW[1].uid, type=TokenType.RFID)) == NEW[1]
    assert told == sorted(told)
    assert told[-1] == (len(NEW), len(NEW))
    assert names(tmp_path) == ["parts", "state-7.db", "state.current"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("state*")} == {0o600}
    assert whitelist.examine() is None


def test_what_it_refuses_is_refused_here(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest = snapshot(folder, [*NEW, NEW[0]], 7)
    with pytest.raises(ListError) as refused:
        whitelist.build(manifest, folder, head_of(7, len(NEW) + 1), quiet)
    assert (refused.value.code, "twice" in str(refused.value)) == ("list-part", True)
    assert still_the_old_one(whitelist, tmp_path)


def test_what_it_cannot_write_is_told_here(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    (tmp_path / "state-building.db.spill").mkdir()
    with pytest.raises(StoreError, match="state-building"):
        whitelist.build(snapshot(folder, NEW, 7), folder, head_of(7, len(NEW)), quiet)
    (tmp_path / "state-building.db.spill").rmdir()
    assert still_the_old_one(whitelist, tmp_path)


def test_ended_on_the_way_it_leaves_the_old_list(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest, killed = snapshot(folder, NEW, 7), []

    def progress(done: int, of: int) -> None:
        if not killed:
            killed.append(builder())
            os.kill(killed[0], signal.SIGKILL)

    # It may have said its last by then; what was not built all the same is what this is about.
    with suppress(StoreError):
        whitelist.build(manifest, folder, head_of(7, len(NEW)), progress)
        assert whitelist.version == 7
        return
    assert still_the_old_one(whitelist, tmp_path)
    assert folder.missing(manifest) == ()
    assert whitelist.build(manifest, folder, head_of(7, len(NEW)), quiet)


def test_a_build_that_is_given_up_ends_it(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    process = []

    def progress(done: int, of: int) -> None:
        process.append(builder())
        raise StoreError("given up")

    with pytest.raises(StoreError, match="given up"):
        whitelist.build(snapshot(folder, NEW, 7), folder, head_of(7, len(NEW)), progress)
    assert len(process) == 1
    assert not Path(f"/proc/{process[0]}").exists()
    assert still_the_old_one(whitelist, tmp_path)


def _build_and_end(folder: Path, manifest: Manifest, tell: Connection) -> None:
    """Start to build apart, tell who does, and be killed."""

    def progress(rows: int) -> None:
        tell.send(builder())
        os.kill(os.getpid(), signal.SIGKILL)

    state = ListState(7, CHAIN, None, 0)
    build_apart(folder / "state-building.db", PartFolder(folder / "parts"), manifest, state, progress)


def test_it_ends_with_whoever_started_it(whitelist: Whitelist, folder: PartFolder, tmp_path: Path) -> None:
    manifest = snapshot(folder, NEW, 7)
    told, tell = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_build_and_end, args=(tmp_path, manifest, tell))
    process.start()
    assert told.poll(60)
    assert ended(told.recv())
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    whitelist.close()
    with closing(Whitelist(tmp_path / "state.db")) as again:
        assert still_the_old_one(again, tmp_path)


def test_unheard_it_leaves_the_names_alone(folder: PartFolder, tmp_path: Path) -> None:
    """They may be those of the next one by then."""
    path = tmp_path / "state-building.db"
    work = Work(str(path), str(folder.path), snapshot(folder, NEW, 7), ListState(7, CHAIN, None, 0))
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(msgspec.json.encode(work))
        process.stdin.close()
        assert process.wait(60) == 1
    assert names(tmp_path) == ["parts", "state-building.db", "state-building.db.spill"]


def test_rows_that_are_put_in_together_are_all_there(folder: PartFolder, tmp_path: Path) -> None:
    """So many that each bucket holds more than one INSERT, and is no multiple of it."""
    uids = [f"{number:08X}" for number in range(BUCKETS * ROWS_TOGETHER * 3 // 2)]
    manifest = snapshot(folder, [token(uid) for uid in uids], 7, size=PART_TOKENS)
    path = tmp_path / "list.db"
    build_file(path, folder.parts(manifest), ListState(7, CHAIN, None, 0), lambda rows: None)
    with closing(sqlite3.connect(path)) as built:
        bodies = [row[0] for row in built.execute("SELECT body FROM tokens")]
        assert built.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(decode_row(body).uid for body in bodies) == uids
