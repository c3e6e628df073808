"""Real daemons as child processes: started, waited for, killed without warning, and always ended in the end.

A daemon is ended by its process id and by nobody else's. Its output goes to a log file that outlives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

from firmware_sim.errors import DaemonError, SiteError

READY_TIMEOUT_S = 20.0
END_TIMEOUT_S = 10.0
LOWEST_PORT, PORTS = 20_000, 12_000
"""Below the range the system takes from for outgoing connections: a restarted daemon finds its port free again."""


class Daemon:
    """One run of one program. `pid` names the process; it is running until `kill` or `end` returned."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.log = name, log
        self._process = process
        self._ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there, as far as is known."""
        return self._process.returncode is None

    async def _read(self) -> None:
        """Copies the output into the log and notices the `ready` line."""
        output = self._process.stdout
        if output is None:
            raise DaemonError("no-output", f"{self.name}: was started without a pipe")
        with self.log.open("ab") as log:
            while line := await output.readline():
                log.write(line)
                log.flush()
                if _event(line) == "ready":
                    self._ready.set()

    async def ready(self, timeout_s: float) -> None:
        """Returns when the daemon says it listens.

        Raises:
            DaemonError: it ended first, or `timeout_s` went by; with the end of its log.
        """
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({waiting, self._reading}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._ready.is_set():
            return
        if self._reading.done():
            code = await self._process.wait()
            raise DaemonError(
                "daemon-ended", f"{self.name} ended with exit code {code} before it was ready:{self._tail()}"
            )
        raise DaemonError("daemon-slow", f"{self.name} was not ready within {timeout_s:g} s:{self._tail()}")

    def _tail(self) -> str:
        try:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-8:]
        except OSError:
            return f" (no log at {self.log})"
        return "".join(f"\n    {line}" for line in lines) or " (it said nothing)"

    async def kill(self) -> None:
        """kill -9, and the wait until the system has cleared the process away."""
        await self._signal(signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def end(self) -> int:
        """SIGTERM; SIGKILL when that does not help. Gives the exit code, negative for a signal."""
        await self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_TIMEOUT_S):
                code = await self._process.wait()
        except TimeoutError:
            await self._signal(signal.SIGKILL)
            code = await self._process.wait()
        await self._reading
        return code

    async def _signal(self, number: signal.Signals) -> None:
        if self.running:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # It ended by itself a moment ago; the wait that follows collects it.


class Daemons:
    """Starts daemons and ends every one that still runs when the block is left, however it is left."""

    def __init__(self, logs: Path, *, ready_timeout_s: float = READY_TIMEOUT_S) -> None:
        self._logs, self._ready_timeout_s = logs, ready_timeout_s
        self._started: list[Daemon] = []

    async def __aenter__(self) -> Daemons:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(daemon.end() for daemon in self._started if daemon.running))

    async def start(self, name: str, module: str, *arguments: str) -> Daemon:
        """`python -m module arguments`, ready. Raises DaemonError."""
        process = await asyncio.create_subprocess_exec(
            *_python(module, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process only, which then ends its daemons in order.
        )
        daemon = Daemon(name, process, self._logs / f"{name}.log")
        self._started.append(daemon)
        await daemon.ready(self._ready_timeout_s)
        return daemon


def _python(module: str, arguments: Sequence[str]) -> tuple[str, ...]:
    # -P: a folder named like one of our modules in the working directory must not stand in for it.
    return (sys.executable, "-P", "-m", module, *arguments)


async def run_command(
    module: str, *arguments: str, timeout_s: float = 120.0, alone_in: Path | None = None, good: Collection[int] = (0,)
) -> bytes:
    """What `python -m module arguments` writes to standard output. `alone_in`: it runs in that folder and without any
    variable of the environment.

    Raises:
        SiteError: an exit code that is not among `good` (with what it wrote to standard error), or no end within
            `timeout_s`.
    """
    process = await asyncio.create_subprocess_exec(
        *_python(module, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=alone_in,
        env=None if alone_in is None else {},
    )
    said = f"{module} {' '.join(arguments)}"
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError:
        raise SiteError("command-slow", f"`{said}` did not end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode not in good:
        what = errors.decode("utf-8", "replace").strip()
        raise SiteError("command-failed", f"`{said}` ended with exit code {process.returncode}: {what}")
    return output


def free_ports(count: int) -> tuple[int, ...]:
    """Different loopback TCP ports that are free now and that outgoing connections do not take.

    Raises:
        SiteError: not enough of them.
    """
    found: list[int] = []
    for port in random.sample(range(LOWEST_PORT, LOWEST_PORT + PORTS), PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return tuple(found)
    raise SiteError("no-port", f"no {count} free TCP ports from {LOWEST_PORT} to {LOWEST_PORT + PORTS - 1}")


def _event(line: bytes) -> object:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said.get("event") if isinstance(said, dict) else None
