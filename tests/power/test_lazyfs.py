"""The same power cuts by LazyFS, a file system that keeps what is not flushed to itself and forgets it on demand.

Needs `LAZYFS`, the path of its program, and the rights to mount (root, /dev/fuse); skipped without.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.power.test_power import WRITER, held

LAZYFS = os.environ.get("LAZYFS")
CONFIG = """
[faults]
fifo_path = "{folder}/wishes"
fifo_path_completed = "{folder}/done"
[cache]
apply_eviction = false
[cache.simple]
custom_size = "0.1gb"
blocks_per_page = 1
[filesystem]
log_all_operations = false
logfile = "{folder}/lazyfs.log"
"""
CUTS = 5

pytestmark = pytest.mark.skipif(LAZYFS is None, reason="LAZYFS does not name a program: no file system that forgets")


class LazyDisk:
    """A mounted folder whose page cache can be emptied."""

    def __init__(self, folder: Path) -> None:
        self.path, self._root, self._folder = folder / "disk", folder / "root", folder
        self.path.mkdir()
        self._root.mkdir()
        (folder / "lazyfs.toml").write_text(CONFIG.format(folder=folder), "utf-8")
        # By its bare name: LazyFS takes a path with "-o" in it for an option.
        told = [
            "--config-path",
            "lazyfs.toml",
            "-o",
            "allow_other",
            "-o",
            "modules=subdir",
            "-o",
            f"subdir={self._root}",
        ]
        for name in ("wishes", "done"):
            os.mkfifo(folder / name)
        self._done = os.open(folder / "done", os.O_RDONLY | os.O_NONBLOCK)
        command = [str(LAZYFS), str(self.path), *told, "-f"]
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=folder, stdout=silent, stderr=silent)
        self._wishes = (folder / "wishes").open("w")  # Returns once it listens, which is after it is mounted.

    def forget(self) -> None:
        """Drops what was not flushed."""
        os.set_blocking(self._done, True)
        self._wishes.write("lazyfs::clear-cache\n")
        self._wishes.flush()
        assert os.read(self._done, 4096)

    def close(self) -> None:
        subprocess.run(["fusermount3", "-u", str(self.path)], check=True)
        self._wishes.close()
        os.close(self._done)
        self._process.wait(60)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LazyDisk]:
    made = LazyDisk(tmp_path)
    yield made
    made.close()


def acknowledged(path: Path, synchronous: str, count: int) -> int:
    """The last record that a writer had durable by its own words, when it was killed."""
    command = [sys.executable, "-I", "-c", WRITER, str(path), "WAL", synchronous]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(count)]
        writer.kill()
        said += [int(line) for line in writer.stdout if line.endswith("\n")]
    return said[-1]


def test_store_that_does_not_flush_each_commit_loses_some(disk: LazyDisk) -> None:
    said = acknowledged(disk.path / "store.db", "NORMAL", 150)
    disk.forget()
    assert held(disk.path / "store.db") < said


def test_store_that_flushes_loses_nothing(disk: LazyDisk) -> None:
    chance = random.Random(1)
    for _ in range(CUTS):
        said = acknowledged(disk.path / "store.db", "FULL", chance.randint(1, 300))
        disk.forget()
        assert held(disk.path / "store.db") >= said
