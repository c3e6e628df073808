"""Several processes that are one hub: what starts them, starts those again that end, and ends them all.

Rules
1. Workers accept at the same sockets, which are bound once, here; a connection is taken by whoever is free. When a
   worker ends, no connection that waits to be accepted is lost with it.
2. A worker that ends is started again: at once, and after a pause that doubles where it did not last LASTED_S.
3. A worker's standard input is a pipe that we hold: when we are gone, however, so are they.
4. Making sessions and bills of what is stored takes more time than storing it: processes of their own do that, so that
   no gateway waits for it. They are told by a socket who was stored of.
5. The database is PostgreSQL: SQLite is written by one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hub.clock import now
from hub.config import HubConfig
from hub.config_store import StoreKind
from hub.errors import ConfigError
from hub.lists import ListDesk
from hub.serving import log_key, told_to_stop
from hub.store.database import Database, state_locked
from hub.web.server import bind, told_address

_log = logging.getLogger("hub")

MOST_WORKERS = 64
LASTED_S = 10.0
MAX_PAUSE_S = 30.0
END_TIMEOUT_S = 30.0


async def supervise(config_path: Path, config: HubConfig, workers: int, derivers: int | None) -> None:
    """Run workers, and beside them those that derive (one, unless it is said), until SIGTERM or SIGINT.

    Raises:
        HubError: they cannot be started.
    """
    derivers = 1 if derivers is None else derivers
    if config.store.kind is StoreKind.SQLITE:
        message = "one process writes to SQLite: run one worker, or give [store] kind = 'postgresql'"
        raise ConfigError(f"{config_path}: --workers {workers}: {message}")
    stop = told_to_stop(with_parent=False)
    with state_locked(config.state_dir), closing_all() as sockets:
        await _make_ready(config)
        sockets["sync"], sockets["api"] = bind("sync", config.sync), bind("api", config.api)
        if config.roaming is not None:
            sockets["ocpi"] = bind("ocpi", config.roaming.listen)
        if config.pages is not None:
            sockets["pages"] = bind("pages", config.pages.listen)
        listen = {name: told_address(sock) for name, sock in sockets.items()}
        sockets["derived"], heard = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        fields = {"listen": listen, "pid": os.getpid(), "workers": workers, "derivers": derivers}
        _log.info("supervising", extra={"fields": fields})
        deriving = {"derived": heard}
        kinds = [("worker", sockets)] * workers + [("deriver", deriving)] * derivers
        with heard:
            await asyncio.gather(
                *(_keep_running(kind, _command(config_path, kind, given), given, stop) for kind, given in kinds)
            )
    _log.info("stopped")


@contextmanager
def closing_all() -> Iterator[dict[str, socket.socket]]:
    """Sockets that are closed in the end."""
    sockets: dict[str, socket.socket] = {}
    try:
        yield sockets
    finally:
        for sock in sockets.values():
            sock.close()


async def _make_ready(config: HubConfig) -> None:
    """Bring the tables to the newest version, make the hub's key, and delete a snapshot of the token list that does not
    serve any more, before there are several to do it. Raises HubError."""
    database = Database(config.state_dir, config.terms, config.engine())
    try:
        lists = ListDesk(database, await log_key(config.state_dir, database))
        await lists.start(now())
        await lists.close()
    finally:
        await database.close()


def _command(config_path: Path, kind: str, given: Mapping[str, socket.socket]) -> list[str]:
    descriptors = ",".join(f"{name}={sock.fileno()}" for name, sock in given.items())
    command = [sys.executable, "-m", "hub", "run", "--config", str(config_path), "--sockets", descriptors]
    return command if kind == "worker" else [*command, "--deriving"]


async def _keep_running(kind: str, command: list[str], given: Mapping[str, socket.socket], stop: asyncio.Event) -> None:
    """Run one process, and another one in its place when it ends, until `stop`. Rule 2."""
    loop, pause_s = asyncio.get_running_loop(), 0.0
    while not stop.is_set():
        began = loop.time()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, pass_fds=[sock.fileno() for sock in given.values()]
        )
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if stop.is_set():
            await _end(process, ended)
            return
        fields = {"process": kind, "pid": process.pid, "status": process.returncode}
        _log.error("worker-ended", extra={"fields": fields})
        pause_s = 0.0 if loop.time() - began >= LASTED_S else min(MAX_PAUSE_S, max(0.5, 2 * pause_s))
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            continue


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if process.returncode is None:
        process.terminate()
    done, _ = await asyncio.wait({ended}, timeout=END_TIMEOUT_S)
    if not done:
        process.kill()
        await ended
