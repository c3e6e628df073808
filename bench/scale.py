"""What a gateway costs its hub besides its records: `python -m bench.scale`. Prints Markdown, leaves nothing behind.

GATEWAYS gateways, played by one process, hold a connection each with mutual TLS and wait for commands, as gateways do.
Measured at the hub's process (`pnc-hub run`, SQLite): memory a waiting gateway, CPU of a greeting with its handshake,
of a kept connection's poll, and of an authorization that the list decides. CPU is user and system time of that process;
it does not depend much on what else the machine does, unlike the time on the wall, which is told beside it.

`bench.ingest` says what records cost, on PostgreSQL, and how much room they take; docs/scale.md adds it all up.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ingest import _cpu_s, _request
from tests.hub.conftest import ChainWriter, LittleCA, write_config
from wire.records import TokenRef, TokenType, encode

GATEWAYS, FIRST, AUTHORIZATIONS, AT_ONCE, POLLS = 400, 50, 2_000, 16, 2
_WAIT_S = 25
_POLL = "GET /sync/v1/commands?wait={wait}&after=0&epoch=e1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class Gateway:
    """A gateway: its certificate, its greeting, its connection while it has one."""

    files: tuple[Path, Path]
    hello: bytes
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def connect(self, address: tuple[str, int], root: Path) -> None:
        """A new connection with a full handshake, and the greeting."""
        context = ssl.create_default_context(cafile=str(root))
        context.check_hostname = False
        context.load_cert_chain(*self.files)
        self.reader, self.writer = await asyncio.open_connection(*address, ssl=context)
        await self.ask(self.hello)

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer, which has to be a good one."""
        self.say(request)
        assert self.reader is not None
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        (length,) = (
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        return await self.reader.readexactly(length)

    def say(self, request: bytes) -> None:
        """Send, and wait for nothing."""
        assert self.writer is not None
        self.writer.write(request)

    def close(self) -> None:
        """End the connection."""
        assert self.writer is not None
        self.writer.close()


@dataclass(frozen=True)
class Cost:
    """CPU of the hub and time on the wall, in us each."""

    cpu_us: float
    wall_us: float


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as name:
        folder = Path(name)
        ca = LittleCA(folder)
        names = [f"site-{number}" for number in range(GATEWAYS)]
        config = write_config(folder, ca, names)
        gateways = [
            Gateway(ca.issue(name), _request("/sync/v1/hello", encode(ChainWriter(name).hello()))) for name in names
        ]
        with _running(config) as (address, pid):
            print(f"# {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {_load()}")
            print(f"\n| of {GATEWAYS} gateways, one of them | measured |\n|---|---|", flush=True)
            for what, said in asyncio.run(_measured(gateways, address, ca.path, pid)):
                print(f"| {what} | {said} |")
            print(f"\nload {_load()}")


async def _measured(
    gateways: Sequence[Gateway], address: tuple[str, int], root: Path, pid: int
) -> list[tuple[str, str]]:
    for gateway in gateways[:FIRST]:
        await gateway.connect(address, root)
        gateway.say(_POLL.format(wait=_WAIT_S).encode())
    await _quiet(pid)
    warm = _memory_kb(pid)
    greeting = await _cost(pid, gateways[FIRST:], lambda one: one.connect(address, root))
    for gateway in gateways[FIRST:]:
        gateway.say(_POLL.format(wait=_WAIT_S).encode())
    await _quiet(pid)
    held_kb = (_memory_kb(pid) - warm) / (GATEWAYS - FIRST)
    for gateway in gateways:
        gateway.close()
    again = await _cost(pid, gateways, lambda one: one.connect(address, root))
    poll = await _cost(pid, [*gateways] * POLLS, lambda one: one.ask(_POLL.format(wait=0).encode()))
    presented = _request("/sync/v1/authorize", encode(TokenRef(uid="04A1", type=TokenType.RFID)))
    asking = [gateways[number % GATEWAYS] for number in range(AUTHORIZATIONS)]
    authorized = await _cost(pid, asking, lambda one: one.ask(presented))
    for gateway in gateways:
        gateway.close()
    return [
        ("memory of a connection that waits for commands", f"{held_kb:.0f} kB"),
        ("handshake and greeting, first", _told(greeting)),
        ("the same after all connections were lost at once", _told(again)),
        ("a poll for commands over a kept connection", _told(poll)),
        ("an authorization that the list decides", _told(authorized)),
    ]


async def _quiet(pid: int) -> None:
    """Come back when the hub has done what it was told."""
    before = -1.0
    while (now := _cpu_s(pid)) != before:
        before = now
        await asyncio.sleep(0.5)


def _told(cost: Cost) -> str:
    return f"{cost.cpu_us:,.0f} us of CPU; {1e6 / cost.wall_us:,.0f} a second"


async def _cost(pid: int, gateways: Sequence[Gateway], work: Callable[[Gateway], Awaitable[object]]) -> Cost:
    """What `work` costs for each gateway, AT_ONCE of them at a time; no gateway twice at a time."""
    cpu_s, began = _cpu_s(pid), time.perf_counter()
    for first in range(0, len(gateways), AT_ONCE):
        await asyncio.gather(*(work(gateway) for gateway in gateways[first : first + AT_ONCE]))
    wall_s = time.perf_counter() - began
    return Cost((_cpu_s(pid) - cpu_s) * 1e6 / len(gateways), wall_s * 1e6 / len(gateways))


@contextmanager
def _running(config: Path) -> Iterator[tuple[tuple[str, int], int]]:
    command = [sys.executable, "-m", "hub", "run", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        host, _, port = ready["listen"]["sync"].rpartition(":")
        yield (host, int(port)), process.pid
    finally:
        process.terminate()
        process.wait()
    drain.wait()


def _memory_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
