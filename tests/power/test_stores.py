"""The stores of gateway and hub at a power cut: what was acknowledged is there, also after a flush that failed once."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.power.box import Mode, PowerBox

ROOT = Path(__file__).parents[2]
WRITER = """
import os, sqlite3, sys
from pathlib import Path
program, path = sys.argv[1], Path(sys.argv[2])
if program == "gateway":
    from gateway.store.database import Schema, open_reader, open_writer as opened
    open_writer = lambda path: opened(path, Schema("store", 4711, ("CREATE TABLE t (n INTEGER);",)))
else:
    from hub.store.connection import open_reader, open_writer
store = open_writer(path)
store.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
reader = open_reader(path)
print("open", flush=True)
for line in sys.stdin:
    try:
        store.execute("INSERT INTO t VALUES (?)", (int(line),))
        print("stored", flush=True)
    except sqlite3.Error as error:
        if "ends" in sys.argv:
            os._exit(1)
        store.close()
        store = open_writer(path)
        print("failed", flush=True)
"""
"""Says when its store is open. Stores each number it is told, and says so; after a failure it opens its store anew, or
ends as if it were killed."""


@contextmanager
def writer(box: PowerBox, program: str, path: Path, *how: str) -> Iterator[subprocess.Popen[str]]:
    """A program with its store and a reader of it; killed in the end."""
    command = [sys.executable, "-c", WRITER, program, str(path), *how]
    environment = os.environ | box.environment | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "open"
            yield process
        finally:
            process.kill()


def store(process: subprocess.Popen[str], number: int) -> str:
    """What it says of a number."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def held(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("program", ["gateway", "hub"])
def test_what_is_acknowledged_after_a_failed_flush_is_durable(
    box: PowerBox, tmp_path: Path, program: str, mode: Mode
) -> None:
    path = tmp_path / "disk" / "store.db"
    with writer(box, program, path) as process:
        assert [store(process, number) for number in (1, 2)] == ["stored"] * 2
        box.fail_flushes(1, errno.EIO)
        assert store(process, 3) == "failed"
        assert [store(process, number) for number in (4, 5)] == ["stored"] * 2
    box.cut(random.Random(1), mode)
    assert {1, 2, 4, 5} <= set(held(path))


@pytest.mark.parametrize("program", ["gateway", "hub"])
def test_a_long_log_that_was_emptied_before_a_flush_failed_does_not_come_back(
    box: PowerBox, tmp_path: Path, program: str
) -> None:
    path = tmp_path / "disk" / "store.db"
    with writer(box, program, path) as process:
        assert {store(process, number) for number in range(1, 200)} == {"stored"}
    box.settle()
    with writer(box, program, path) as process:
        box.fail_flushes(1, errno.EIO)
        assert store(process, 200) == "failed"
        assert [store(process, number) for number in range(201, 205)] == ["stored"] * 4
    box.cut(random.Random(1), Mode.NOTHING)
    assert {*range(1, 200), *range(201, 205)} <= set(held(path))


@pytest.mark.parametrize("program", ["gateway", "hub"])
def test_a_cut_right_after_a_start_that_emptied_the_log_loses_nothing(
    box: PowerBox, tmp_path: Path, program: str
) -> None:
    path, last = tmp_path / "disk" / "store.db", 0
    for seed in range(6):
        with writer(box, program, path) as process:
            assert {store(process, number) for number in range(last + 1, last + 601)} == {"stored"}
        last += 600
        box.settle()
        with writer(box, program, path):
            pass
        box.cut(random.Random(seed), Mode.TORN)
        assert held(path) == list(range(1, last + 1))


@pytest.mark.parametrize("program", ["gateway", "hub"])
def test_a_program_that_is_started_after_a_failed_flush_loses_nothing(
    box: PowerBox, tmp_path: Path, program: str
) -> None:
    path = tmp_path / "disk" / "store.db"
    with writer(box, program, path, "ends") as process:
        assert store(process, 1) == "stored"
        box.fail_flushes(1, errno.EIO)
        assert store(process, 2) == ""
    box.settle()
    with writer(box, program, path) as process:
        assert [store(process, number) for number in (3, 4)] == ["stored"] * 2
    box.cut(random.Random(1), Mode.NOTHING)
    assert {1, 3, 4} <= set(held(path))
