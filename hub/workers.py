"""Several processes that are one hub: what starts them, starts those again that end, and ends them all.

Rules
1. Workers accept at the same sockets, which are bound once, here; a connection is taken by whoever is free. When a
   worker ends, no connection that waits to be accepted is lost with it.
2. A worker that ends is started again: at once, and after a pause that doubles where it did not last LASTED_S.
3. A worker's standard input is a pipe that we hold: when we are gone, however, so are they.
4. The database is PostgreSQL: SQLite is written by one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from hub.config import HubConfig
from hub.config_store import StoreKind
from hub.errors import ConfigError
from hub.serving import NAMES, log_key
from hub.store.database import Database, state_locked
from hub.web.server import bind, told_address

_log = logging.getLogger("hub")

MOST_WORKERS = 64
LASTED_S = 10.0
MAX_PAUSE_S = 30.0
END_TIMEOUT_S = 30.0


async def supervise(config_path: Path, config: HubConfig, count: int) -> None:
    """Run `count` workers until SIGTERM or SIGINT.

    Raises:
        HubError: they cannot be started.
    """
    if config.store.kind is StoreKind.SQLITE:
        message = "one process writes to SQLite: run one worker, or give [store] kind = 'postgresql'"
        raise ConfigError(f"{config_path}: --workers {count}: {message}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    with state_locked(config.state_dir):
        await _make_ready(config)
        sockets = {name: bind(name, address) for name, address in zip(NAMES, (config.sync, config.api), strict=True)}
        try:
            listen = {name: told_address(sock) for name, sock in sockets.items()}
            _log.info("supervising", extra={"fields": {"listen": listen, "pid": os.getpid(), "workers": count}})
            command = _command(config_path, sockets)
            workers = [asyncio.create_task(_keep_running(command, sockets, number, stop)) for number in range(count)]
            await asyncio.gather(*workers)
        finally:
            for sock in sockets.values():
                sock.close()
    _log.info("stopped")


async def _make_ready(config: HubConfig) -> None:
    """Bring the tables to the newest version, and make the hub's key, before there are several to do it. Raises
    HubError."""
    database = Database(config.state_dir, config.terms, config.engine())
    try:
        await log_key(config.state_dir, database)
    finally:
        await database.close()


def _command(config_path: Path, sockets: dict[str, socket.socket]) -> list[str]:
    descriptors = ",".join(str(sockets[name].fileno()) for name in NAMES)
    return [sys.executable, "-m", "hub", "run", "--config", str(config_path), "--sockets", descriptors]


async def _keep_running(
    command: list[str], sockets: dict[str, socket.socket], number: int, stop: asyncio.Event
) -> None:
    """Run one worker, and another one in its place when it ends, until `stop`. Rule 2."""
    loop, pause_s = asyncio.get_running_loop(), 0.0
    while not stop.is_set():
        began = loop.time()
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, pass_fds=[sock.fileno() for sock in sockets.values()]
        )
        ended, told = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if stop.is_set():
            await _end(process, ended)
            return
        fields = {"worker": number, "pid": process.pid, "status": process.returncode}
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
