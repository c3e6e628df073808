"""The power cut itself: a store that does not flush loses what it acknowledged, one that flushes does not; files, names
and faults behave as on a disk."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.power.box import BLOCK, Mode, PowerBox

WRITER = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute(f"PRAGMA journal_mode={sys.argv[2]}")
store.execute(f"PRAGMA synchronous={sys.argv[3]}")
store.execute("CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, body TEXT)")
seq = store.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0]
while True:
    seq += 1
    store.execute("INSERT INTO records VALUES (?, ?)", (seq, "x" * 700))
    print(seq, flush=True)
"""
"""Says each number once its COMMIT has returned."""


def run(box: PowerBox, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program that runs to its end, on the box."""
    command = [sys.executable, "-I", "-c", program, *arguments]
    return subprocess.run(command, env=os.environ | box.environment, capture_output=True, text=True, timeout=60)


def acknowledged(box: PowerBox, path: Path, journal: str, synchronous: str, count: int) -> int:
    """The last record that a writer had durable by its own words, when it was killed."""
    command = [sys.executable, "-I", "-c", WRITER, str(path), journal, synchronous]
    with subprocess.Popen(command, env=os.environ | box.environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(count)]
        writer.kill()
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    return said[-1]


def held(path: Path) -> int:
    """How many records are there, one behind the other; 0 for a store that is none any more."""
    try:
        with closing(sqlite3.connect(path)) as store:
            seqs = [row[0] for row in store.execute("SELECT seq FROM records ORDER BY seq")]
            assert store.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        return 0
    return len(seqs) if seqs == list(range(1, len(seqs) + 1)) else 0


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_store_that_does_not_flush_loses_what_it_acknowledged(box: PowerBox, tmp_path: Path, synchronous: str) -> None:
    path = tmp_path / "disk" / "store.db"
    said = acknowledged(box, path, "WAL", synchronous, 150)
    cut = box.cut(random.Random(1), Mode.NOTHING)
    assert cut.changed > 0
    assert held(path) < said


def test_store_that_flushes_holds_what_it_acknowledged_after_every_cut(box: PowerBox, tmp_path: Path) -> None:
    path, chance, doubtful = tmp_path / "disk" / "store.db", random.Random(7), 0
    box.slow(0.002)  # Most kills come while something is being flushed.
    for turn, mode in enumerate([*Mode] * 30):
        if turn >= 6 * len(Mode) and doubtful:
            break  # On a slow machine few kills come while something is flushed: then it goes on until one has.
        said = acknowledged(box, path, "WAL", "FULL", chance.randint(1, 200))
        doubtful += box.cut(chance, mode).doubtful
        assert held(path) >= said
    assert box.flushes > 100
    assert doubtful > 0


def test_kill_without_a_cut_loses_nothing_and_a_later_cut_still_may(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "store.db"
    said = acknowledged(box, path, "WAL", "OFF", 50)
    box.settle()
    kept = tmp_path / "copy.db"
    for end in ("", "-wal"):
        kept.with_name(kept.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    assert held(kept) >= said
    box.cut(random.Random(1), Mode.NOTHING)
    assert held(path) == 0


SAVED = """
import os, sys
path, how = sys.argv[1:]
with open(path + ".new", "w") as file:
    file.write("new" * 5000)
    file.flush()
    if "file" in how:
        os.fsync(file.fileno())
os.replace(path + ".new", path)
if "folder" in how:
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
"""


def test_file_that_is_replaced_is_the_old_or_the_new_one_by_what_was_flushed(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "file"
    for how, found in (("", "old"), ("file", "old"), ("file+folder", "new" * 5000)):
        path.write_text("old")
        done = run(box, SAVED, str(path), how)
        assert done.returncode == 0, done.stderr
        assert path.read_text() == "new" * 5000
        box.cut(random.Random(1), Mode.NOTHING)
        assert path.read_text() == found, how
        assert (path.parent / "file.new").exists() is (how == "file")
        (path.parent / "file.new").unlink(missing_ok=True)


def test_folder_that_is_flushed_before_its_file_has_the_name_and_not_the_content(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "file"
    path.write_text("old")
    assert run(box, SAVED, str(path), "folder").returncode == 0
    box.cut(random.Random(1), Mode.NOTHING)
    assert path.read_text() == ""


REMOVED = """
import os, sys
os.unlink(sys.argv[1])
if len(sys.argv) > 2:
    os.fsync(os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY))
"""


def test_file_that_is_removed_comes_back_unless_its_folder_was_flushed(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "file"
    path.write_text("kept")
    assert run(box, REMOVED, str(path)).returncode == 0
    assert not path.exists()
    box.cut(random.Random(1), Mode.NOTHING)
    assert path.read_text() == "kept"
    assert run(box, REMOVED, str(path), "flush").returncode == 0
    box.cut(random.Random(1), Mode.NOTHING)
    assert not path.exists()


OVERWRITTEN = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR)
for letter in b"bcd":
    os.pwrite(file, bytes([letter]) * 4096 * 8, 0)
"""


def test_block_is_found_in_any_of_its_states_or_torn_between_two(box: PowerBox, tmp_path: Path) -> None:
    path, found, torn = tmp_path / "disk" / "file", set(), 0
    for seed in range(8):
        path.write_bytes(b"a" * BLOCK * 8)
        assert run(box, OVERWRITTEN, str(path)).returncode == 0
        assert box.cut(random.Random(seed), Mode.TORN).doubtful == 8
        octets = path.read_bytes()
        for place in range(0, len(octets), BLOCK):
            letters = set(octets[place : place + BLOCK])
            found |= letters
            torn += len(letters) > 1
    assert found == set(b"abcd")
    assert torn > 0


SHORTENED = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR)
os.ftruncate(file, 0)
os.pwrite(file, b"b" * 8192, 0)
"""


def test_what_is_cut_off_comes_back_whole_or_not_at_all(box: PowerBox, tmp_path: Path) -> None:
    """How long a file is and where its blocks are is one step of a file system, and what is written into it afterwards
    cannot be there before."""
    path, found = tmp_path / "disk" / "file", set()
    for seed in range(20):
        path.write_bytes(b"a" * BLOCK * 8)
        assert run(box, SHORTENED, str(path)).returncode == 0
        box.cut(random.Random(seed), Mode.TORN)
        octets = path.read_bytes()
        found |= set(octets)
        assert octets == b"a" * BLOCK * 8 or (b"a" not in octets and len(octets) <= 2 * BLOCK)
    assert found >= set(b"ab")


FLUSHED_TWICE = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(file, b"new" , 0)
for _ in range(2):
    try:
        os.fsync(file)
        print("flushed")
    except OSError as error:
        print(error.errno)
"""


def test_flush_after_one_that_failed_makes_nothing_durable(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "file"
    path.write_text("old")
    box.fail_flushes(1, errno.EIO)
    assert run(box, FLUSHED_TWICE, str(path)).stdout.split() == [str(errno.EIO), "flushed"]
    box.settle()
    assert path.read_text() == "new"
    box.cut(random.Random(1), Mode.NOTHING)
    assert path.read_text() == "old"
    assert run(box, FLUSHED_TWICE, str(path)).stdout.split() == ["flushed", "flushed"]
    box.cut(random.Random(1), Mode.NOTHING)
    assert path.read_text() == "new"


REWRITTEN = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR)
os.ftruncate(file, 0)
os.pwrite(file, b"1" * 8192, 0)
try:
    os.fsync(file)
except OSError as error:
    print(error.errno)
os.pwrite(file, b"2" * 4096, 0)
os.pwrite(file, b"3" * 4096, 8192)
os.fsync(file)
"""


def test_what_is_flushed_stays_beside_what_an_earlier_flush_failed_with(box: PowerBox, tmp_path: Path) -> None:
    """In doubt is the one block that was not written again, not how long the file is: that is the file system's own."""
    path = tmp_path / "disk" / "file"
    path.write_bytes(b"0" * BLOCK * 8)
    box.fail_flushes(1, errno.EIO)
    assert run(box, REWRITTEN, str(path)).stdout.split() == [str(errno.EIO)]
    box.settle()
    assert box.cut(random.Random(1), Mode.NOTHING).changed == 1
    assert path.read_bytes() == b"2" * BLOCK + bytes(BLOCK) + b"3" * BLOCK


GROWN = """
import os, sys
file = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(file, b"x" * 10, 0)
for _ in range(2):
    try:
        print(os.pwrite(file, b"x" * 100, 10))
    except OSError as error:
        print(error.errno)
    os.ftruncate(file, 10)
"""


def test_full_or_read_only_disk_refuses_what_it_would_refuse(box: PowerBox, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "file"
    path.write_text("x" * 10)
    box.room(50)
    assert run(box, GROWN, str(path)).stdout.split() == [str(errno.ENOSPC)] * 2
    box.room(100)
    assert run(box, GROWN, str(path)).stdout.split() == ["100", "100"]
    box.room(None)
    box.read_only(True)
    done = run(box, GROWN, str(path))
    assert f"Errno {errno.EROFS}" in done.stderr
    box.read_only(False)
    assert run(box, GROWN, str(path)).returncode == 0
    assert box.refused == 3
