"""What a charging station's message costs the gateway: `python -m bench.chargers`. Prints Markdown, writes nothing that
stays, about four minutes. `python -m bench.chargers busy` prints the first table alone; `paced` and `idle` the others.

The gateway is `pnc-gateway run` as it is: its ledger is a file that is synced before every answer, its hub is away, its
whitelist holds the stations' cards. This process is the stations: 100 connections to each server. Compared are CPU
seconds of the server's process with all its threads, kernel time included, for one message, over those of `raw` (see
bench.charger_peers), which is asked in turns with it: the best of 15 rounds, and the median of their ratios.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from time import clock_gettime, perf_counter, sleep

import aiohttp

from bench.messages import Job, boot, call, contract, jobs, start16, started201, uid
from bench.stations import StationSocket, connect_all
from gateway.chargers.port import Bounds
from gateway.store.whitelist import open_whitelist
from pki.issue.lab import build_lab, parse_declaration
from pki.service.files import write_lab
from tests.processes import SiteFolder
from wire.records import Token, TokenType, WhitelistChange, WhitelistType

STATIONS, EACH, ROUNDS, PEER_ROUNDS = 100, 10, 15, 3
PAUSE_S = STATIONS * EACH / Bounds().messages_per_s_in_all
MUST, AIM = 6.0, 4.0
SETTLE_S = 8.0
PACE, PACED_S, DISK_S, P99_MUST_MS = 200, 20.0, 5.0, 20.0
IDLE, IDLE_MUST_MB, PINGS = 1000, 150, 2
_LAB = Path(__file__).parents[1] / "certs" / "lab.toml"


def main() -> None:
    """Print the tables that are asked for."""
    wanted = sys.argv[1:] or ["busy", "paced", "idle"]
    print(f"# {platform.machine()}, Python {platform.python_version()}, aiohttp {aiohttp.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        declaration = parse_declaration(_LAB.read_text("utf-8"))
        write_lab(build_lab(declaration, datetime.now(UTC)), folder / "lab")
        if "busy" in wanted:
            asyncio.run(_busy(folder))
        if "paced" in wanted:
            asyncio.run(_paced(folder))
        if "idle" in wanted:
            for deflate in (False, True):
                asyncio.run(_idle(folder, deflate=deflate))


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves stations."""

    pid: int
    port: int

    def cpu(self) -> float:
        """CPU seconds of the process so far, all threads, to the nanosecond (Linux: a process's own clock)."""
        return clock_gettime(~self.pid << 3 | 2)

    def resident_mb(self) -> float:
        """Its resident memory in MB."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


@contextmanager
def _server(*arguments: str) -> Iterator[Server]:
    """The server that a module of ours is, once it has told that it is ready."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = None
        try:
            for line in process.stdout:
                said = json.loads(line)
                if said["event"] == "ready":
                    break
            assert said is not None, f"{command} ended at once"
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield Server(process.pid, int(said["listen"]["chargers"].rpartition(":")[2]))
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _gateway(folder: Path, stations: int) -> Iterator[tuple[Server, dict[str, str]]]:
    """A gateway with its own fresh site, and the passwords of its stations."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        site = SiteFolder(Path(name), folder / "lab", [f"CP-{number:04}" for number in range(stations)])
        text = site.gateway_toml.read_text("utf-8")
        # A hub that is away is asked for now and then; here so seldom that it does not count.
        text = text.replace("retry_min_s = 0.05\nretry_max_s = 0.3\n", "retry_min_s = 600.0\nretry_max_s = 900.0\n")
        site.gateway_toml.write_text(text, "utf-8")
        state = Path(name) / "gateway-state"
        state.mkdir(mode=0o700)
        whitelist, _ = open_whitelist(state / "whitelist.db")
        cards = tuple(_card(number) for number in range(stations))
        whitelist.take(WhitelistChange(version=1, since=0, full=True, tokens=cards))
        whitelist.close()
        with _server("gateway", "run", "--config", str(site.gateway_toml)) as server:
            yield server, site.passwords


def _card(station: int) -> Token:
    return Token(
        country_code="DE",
        party_id="ABC",
        uid=uid(station),
        type=TokenType.RFID,
        contract_id=f"DE-ABC-C{station:08}",
        issuer="ABC Mobility",
        valid=True,
        whitelist=WhitelistType.ALLOWED,
        last_updated=datetime.now(UTC),
    )


# --- busy: every station sends its next message as soon as the last one is answered


async def _busy(folder: Path) -> None:
    print(f"\n| message, {STATIONS} stations | octets | gateway, us | raw, us | ratio | must | `ocpp`, us | ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with ExitStack() as opened:
        gateway, passwords = opened.enter_context(_gateway(folder, STATIONS))
        raw = opened.enter_context(_server("bench.charger_peers", "raw"))
        package = opened.enter_context(_server("bench.charger_peers", "package"))
        for ocpp in ("1.6", "2.0.1"):
            sockets = {server: await connect_all(server.port, passwords, ocpp) for server in (gateway, raw, package)}
            transactions = [await _begin(sockets[server], ocpp, folder / "lab") for server in (raw, package, gateway)]
            for job in jobs(folder / "lab", transactions[-1]):
                if job.ocpp == ocpp:
                    print(await _busy_row(job, sockets, (gateway, raw, package)), flush=True)
            for socket in (socket for each in sockets.values() for socket in each):
                socket.close()


async def _begin(sockets: Sequence[StationSocket], ocpp: str, lab: Path) -> list[int]:
    """Boot every station and start a transaction at each; for 1.6 the numbers that were given."""
    given = []
    for station, socket in enumerate(sockets):
        await socket.ask(call("boot", "BootNotification", boot(ocpp)))
        if ocpp == "1.6":
            answer = json.loads(await socket.ask(call("start", "StartTransaction", start16(station))))
            given.append(answer[2].get("transactionId", 0))
        else:
            await socket.ask(call("started", "TransactionEvent", started201(station)))
    if ocpp == "2.0.1":
        answer = await sockets[0].ask(call("chain", "Authorize", contract(lab)))
        assert b"Accepted" in answer or b"BEGIN" in answer, answer
    # Once a station has booted the gateway asks it what it can; measured is what comes after that.
    await asyncio.sleep(SETTLE_S)
    return given


async def _busy_row(
    job: Job, sockets: dict[Server, Sequence[StationSocket]], servers: tuple[Server, Server, Server]
) -> str:
    gateway, raw, _ = servers
    spent: dict[Server, list[float]] = {server: [] for server in servers}
    numbers = count(1, EACH)
    for turn in range(ROUNDS):
        # Longer than a round would go over the pace that the gateway allows all stations.
        await asyncio.sleep(PAUSE_S)
        for server in servers if turn < PEER_ROUNDS else servers[:2]:
            spent[server].append(await _round(server, sockets[server], job, next(numbers)))
        print(f"  {job.ocpp} {job.name}: round {turn + 1} of {ROUNDS}", end="\r", file=sys.stderr)
    ratios = [ours / theirs for ours, theirs in zip(spent[gateway], spent[raw], strict=True)]
    ours, theirs, peer = (min(spent[server]) * 1e6 for server in servers)
    octets = len(job.frame(0, 1))
    return (
        f"| {job.ocpp} {job.name} | {octets:,} | {ours:.0f} | {theirs:.0f} | {median(ratios):.2f} | {MUST:g}"
        f" | {peer:.0f} | {peer / theirs:.1f} |"
    )


async def _round(server: Server, sockets: Sequence[StationSocket], job: Job, first: int) -> float:
    """CPU seconds of the server for one message, when every station sends some, one after the other."""
    frames = [[job.frame(station, first + at) for at in range(EACH)] for station in range(len(sockets))]

    async def tell(socket: StationSocket, texts: list[bytes]) -> None:
        for text in texts:
            answer = await socket.ask(text)
            assert answer.startswith(b"[3,"), answer

    before = server.cpu()
    await asyncio.gather(*(tell(socket, texts) for socket, texts in zip(sockets, frames, strict=True)))
    return (server.cpu() - before) / (len(sockets) * EACH)


# --- paced: so many messages a second in all, whatever the answers do


async def _paced(folder: Path) -> None:
    print(f"\n| {PACE} messages a second, {STATIONS} stations | p50, ms | p99, ms | worst, ms | CPU, us | must, p99 |")
    print("|---|---|---|---|---|---|", flush=True)
    with ExitStack() as opened:
        gateway, passwords = opened.enter_context(_gateway(folder, STATIONS))
        raw = opened.enter_context(_server("bench.charger_peers", "raw"))
        for name, server in (("gateway", gateway), ("raw", raw)):
            sockets = await connect_all(server.port, passwords, "2.0.1")
            await _begin(sockets, "2.0.1", folder / "lab")
            kinds = [job for job in jobs(folder / "lab", []) if job.ocpp == "2.0.1"]
            before = server.cpu()
            waits = sorted(await _steady(sockets, kinds))
            cpu = (server.cpu() - before) / len(waits) * 1e6
            p50, p99 = (waits[int(len(waits) * part)] * 1e3 for part in (0.5, 0.99))
            must = f"{P99_MUST_MS:g}" if name == "gateway" else ""
            print(f"| {name} | {p50:.2f} | {p99:.2f} | {waits[-1] * 1e3:.2f} | {cpu:.0f} | {must} |", flush=True)
            for socket in sockets:
                socket.close()
    p50, p99, worst = _disk(folder)
    print(f"| *2 kB appended and synced, alone* | {p50:.2f} | {p99:.2f} | {worst:.2f} | | |", flush=True)


def _disk(folder: Path) -> tuple[float, float, float]:
    """Milliseconds (median, p99, worst) that the disk takes now, at this pace, for what no answer can do without."""
    waits = []
    with (folder / "appended").open("wb", buffering=0) as file:
        for _ in range(int(PACE * DISK_S)):
            begun = perf_counter()
            file.write(bytes(2000))
            os.fdatasync(file.fileno())
            waits.append((perf_counter() - begun) * 1e3)
            sleep(1 / PACE)
    waits.sort()
    return waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]


async def _steady(sockets: Sequence[StationSocket], kinds: Sequence[Job]) -> list[float]:
    """Seconds from when each message was due to its answer."""
    total = int(PACE * PACED_S)
    frames = [kinds[at % len(kinds)].frame(at % STATIONS, 1 + at // STATIONS) for at in range(total)]
    waits: list[float] = []
    tasks = []

    async def tell(socket: StationSocket, text: bytes, due: float) -> None:
        await socket.ask(text)
        waits.append(perf_counter() - due)

    gc.disable()
    begun = perf_counter()
    for at, text in enumerate(frames):
        due = begun + at / PACE
        if (early := due - perf_counter()) > 0:
            await asyncio.sleep(early)
        tasks.append(asyncio.create_task(tell(sockets[at % STATIONS], text, due)))
    await asyncio.gather(*tasks)
    gc.enable()
    return waits


# --- idle: many stations that only answer pings


async def _idle(folder: Path, *, deflate: bool) -> None:
    with _gateway(folder, IDLE) as (gateway, passwords):
        alone = gateway.resident_mb()
        sockets = await connect_all(gateway.port, passwords, "2.0.1", deflate=deflate)
        for socket in sockets:
            await socket.ask(call("boot", "BootNotification", boot("2.0.1")))
        await asyncio.gather(*(socket.pinged(PINGS) for socket in sockets))
        before, begun = gateway.cpu(), perf_counter()
        await asyncio.gather(*(socket.pinged(PINGS + 1) for socket in sockets))
        busy = (gateway.cpu() - before) / (perf_counter() - begun)
        if not deflate:
            print(f"\n| {IDLE:,} idle stations | resident, MB | with none, MB | CPU, % of a core | must, MB |")
            print("|---|---|---|---|---|")
        name = "permessage-deflate, booted" if deflate else "booted"
        print(f"| {name} | {gateway.resident_mb():.0f} | {alone:.0f} | {busy * 100:.1f} | {IDLE_MUST_MB} |", flush=True)
        for socket in sockets:
            socket.close()


if __name__ == "__main__":
    main()
