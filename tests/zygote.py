"""Daemons that start at once: a process that has imported a program waits, and forks for every start.

A plan of hundreds of kills would otherwise spend its time on importing. The child is the program as its command runs
it, with its own session, its output in a pipe. `python -m tests.zygote PROGRAM` is the process that waits; `Zygote` is
what a test holds of it.

Rules
1. The process that waits has one thread, no event loop and no open store, so that a fork is as good as a start.
2. A run is killed by its process id, which stays its own until `Run` has asked for its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 300.0
"""Longer than a busy machine needs: it ends a hang."""
WARM = {
    "gateway": ("gateway.__main__", "gateway.site"),
    "hub": ("hub.__main__",),
}
"""What a program has imported once it runs; the first has its `main`."""


class Run:
    """One run of the program. It goes on until `kill` or `end`, or by itself."""

    def __init__(self, zygote: Zygote, pid: int, output: asyncio.StreamReader, log: Path) -> None:
        self.pid, self._zygote, self._log = pid, zygote, log
        self._ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(output))
        self.code: int | None = None
        self.events: list[dict[str, object]] = []
        """What it said, but for what comes all the time."""

    async def _read(self, output: asyncio.StreamReader) -> None:
        with self._log.open("ab") as log:
            while line := await output.readline():
                log.write(line)
                log.flush()
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    self.events.append(said)
                    if said.get("event") == "ready":
                        self._ready.set()

    async def ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Returns once it serves. Raises AssertionError when it ended before, or takes longer."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._reading}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._ready.is_set():
            raise AssertionError(f"{self._log.stem} was not ready within {within_s:g} s, or has ended: {self.tail()}")

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it serves."""
        return self._ready.is_set()

    @property
    def going_on(self) -> bool:
        """Whether it has not ended, as far as its output tells."""
        return not self._reading.done()

    def tail(self) -> str:
        """The last it said."""
        return "".join(f"\n    {line}" for line in self._log.read_text("utf-8", "replace").splitlines()[-20:])

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def end(self) -> int:
        """SIGTERM; the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        if self.code is None:
            os.kill(self.pid, number)
            self.code = await self._zygote.reap(self.pid)
            await self._reading
        return self.code


class Zygote:
    """The process that waits for `program`, "gateway" or "hub", with more in its environment."""

    def __init__(self, program: str, logs: Path, environment: Mapping[str, str]) -> None:
        self._program, self._log = program, logs / f"{program}.log"
        self._ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.zygote", program, str(theirs.fileno())]
        paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment | {"PYTHONPATH": paths.rstrip(os.pathsep)},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._turn, self.runs = asyncio.Lock(), list[Run]()

    async def __aenter__(self) -> Zygote:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self.runs:
            await run.kill()
        self._ours.close()  # It ends when nobody can ask any more.
        await asyncio.to_thread(self._process.wait)

    async def start(self, *arguments: str) -> Run:
        """`python -m program arguments`, begun; not ready yet."""
        reading, writing = os.pipe()
        try:
            pid = await self._ask({"start": arguments}, writing)
        finally:
            os.close(writing)
        output = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(reading, "rb")
        )
        run = Run(self, pid, output, self._log)
        self.runs.append(run)
        return run

    async def reap(self, pid: int) -> int:
        """The exit code of a run that has ended or is about to; negative for a signal."""
        return await self._ask({"reap": pid})

    async def _ask(self, wish: dict[str, object], *descriptors: int) -> int:
        async with self._turn:
            return await asyncio.to_thread(self._asked, wish, descriptors)

    def _asked(self, wish: dict[str, object], descriptors: tuple[int, ...]) -> int:
        socket.send_fds(self._ours, [json.dumps(wish).encode()], descriptors)
        answer = self._ours.recv(64)
        if not answer:
            raise AssertionError(f"the process that waits for {self._program} has ended")
        return int(answer)


def _run(program: str, arguments: list[str], output: int) -> None:
    """In the child: be the program, and never return."""
    code = 1
    try:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
        sys.argv = [program, *arguments]
        importlib.import_module(WARM[program][0]).main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(program: str, asked: socket.socket) -> None:
    """Starts and reaps until nobody is at the other end."""
    for module in WARM[program]:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    try:
        while True:
            octets, descriptors, _, _ = socket.recv_fds(asked, 65536, 1)
            if not octets:
                return
            wish = json.loads(octets)
            answer = _reaped(wish["reap"], children) if "reap" in wish else _started(program, wish, asked, *descriptors)
            children |= set() if "reap" in wish else {answer}
            asked.send(str(answer).encode())
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def _started(program: str, wish: dict[str, list[str]], asked: socket.socket, output: int) -> int:
    """The process id of a new run."""
    pid = os.fork()
    if not pid:
        asked.close()
        _run(program, wish["start"], output)
    os.close(output)
    return pid


def _reaped(pid: int, children: set[int]) -> int:
    """The exit code of a run, waited for."""
    _, status = os.waitpid(pid, 0)
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as _asked_by:
        _wait(sys.argv[1], _asked_by)
