"""What it costs to take in the records of many gateways on PostgreSQL: `python -m bench.ingest`. Prints Markdown and
leaves nothing behind; about two minutes. `python -m bench.ingest 20000` takes fewer records.

GATEWAYS gateways, played by one process that only sends what was made before, post batches of BATCH records of about
1 KB to the hub as it is (`pnc-hub run`), each over a connection of its own with mutual TLS, one batch after the other:
the hub checks every hash, the tree and the signed head, stores them and countersigns. Beside it the physical work:
plain COPY of the same rows into the same partitioned table, in the same batches, each its own transaction, by as many
connections as one worker has for it, in text that was made before. All in the same run, on the same server, which
flushes every commit to the disk; the gateways and the server have their part of the machine, too.

Sessions and bills are made of the records afterwards, by other processes. What that takes is told besides: the pace of
one that derives while nothing else is done.
"""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from hub.store.postgresql import PostgreSQL
from tests.hub.conftest import T0, ChainWriter, ChargerDouble, LittleCA, write_config
from tests.postgresql import Databases, a_server
from wire.records import encode
from wire.tree_head import SigningKey

if TYPE_CHECKING:
    from collections.abc import Iterator

GATEWAYS, BATCH, COUNT = 50, 100, 100_000
CONNECTIONS = 20
COPYING = 13
"""Of a worker's connections so many take batches in."""
MUST, AIM = 0.35, 0.5
DERIVING_S = 10.0


@dataclass(frozen=True)
class Gateway:
    """What one gateway sends, and the rows that come of it as COPY reads them."""

    name: str
    files: tuple[Path, Path]
    hello: bytes
    batches: tuple[bytes, ...]
    rows: tuple[bytes, ...]


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as name, a_server(*_SETTINGS, on_disk=True) as server:
        folder = Path(name)
        ca = LittleCA(folder)
        names = [f"site-{number}" for number in range(GATEWAYS)]
        write_config(folder, ca, names)
        gateways = [_made(ca, name, count // GATEWAYS) for name in names]
        octets = sum(len(batch) for each in gateways for batch in each.batches) // count
        databases = Databases(server.url())
        print(f"# {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {_load()}")
        print(f"\n| {count:,} records of {octets:,} octets | records/s | of COPY | CPU, us a record | the server's |")
        print("|---|---|---|---|---|")
        before_s = _with_children_s(server.pid)
        copied = max(asyncio.run(_copy(databases.fresh(), gateways)) for _ in range(2))
        served = (_with_children_s(server.pid) - before_s) * 1e6 / (2 * count)
        print(f"| plain COPY, {COPYING} connections | {copied:,.0f} | 1 | | {served:.0f} |", flush=True)
        rates = {}
        for workers in (1, 2):
            url = databases.fresh()
            before_s = _with_children_s(server.pid)
            rates[workers], cpu = _ingest(folder, url, gateways, workers, count)
            served = (_with_children_s(server.pid) - before_s) * 1e6 / count
            told = f"{rates[workers]:,.0f} | {rates[workers] / copied:.2f} (must {MUST}, aim {AIM}) | {cpu:.0f}"
            print(f"| hub, {workers} worker{'s' * (workers > 1)} | {told} | {served:.0f} |", flush=True)
        derived, cpu = _derive(folder, url)
        print(f"| derived afterwards by one process | {derived:,.0f} | | {cpu:.0f} | |")
        print(f"| room in the database, octets a record | {_room(url) / count:,.0f} | | | |")
        print(f"\ntwo workers: {rates[2] / rates[1]:.2f} of one (must 1.6 where the cores allow); load {_load()}")


_SETTINGS = ("shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=30min")


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _made(ca: LittleCA, name: str, count: int) -> Gateway:
    chain = ChainWriter(name, log_key=SigningKey(name.encode().ljust(32, b"-")))
    charger = ChargerDouble(chain)
    for number in range(count):
        charger.event("Updated", f"T{number // 100}", T0 + timedelta(seconds=10 * number), f"{number}.000")
    batches = tuple(
        _request("/sync/v1/batches", encode(chain.signed_batch(first, BATCH))) for first in range(1, count + 1, BATCH)
    )
    rows = tuple(
        b"".join(_copied(chain, seq) for seq in range(first, first + BATCH)) for first in range(1, count + 1, BATCH)
    )
    return Gateway(name, ca.issue(name), _request("/sync/v1/hello", encode(chain.hello())), batches, rows)


def _copied(chain: ChainWriter, seq: int) -> bytes:
    record = chain.records[seq - 1]
    at = record.at.isoformat(timespec="microseconds")
    values = [chain.gateway_id, chain.epoch, str(seq), record.hash, record.kind.value, at, record.boot_id]
    values += [str(record.mono_ns), record.clock.value, record.body, at, "\\N", record.salt, "\\N"]
    escaped = [value if value == "\\N" else value.replace("\\", "\\\\") for value in values]
    return "\t".join(escaped).encode() + b"\n"


def _request(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


async def _copy(url: str, gateways: Sequence[Gateway]) -> float:
    """Rows a second by plain COPY."""
    pool = await asyncpg.create_pool(url, min_size=COPYING, max_size=COPYING)
    left = [rows for each in gateways for rows in each.rows]
    total = len(left) * BATCH

    async def one() -> None:
        async with pool.acquire() as connection:
            while left:
                await connection.copy_to_table("records", source=io.BytesIO(left.pop()))

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(COPYING)))
    took = time.perf_counter() - began
    await pool.close()
    return total / took


def _ingest(folder: Path, url: str, gateways: Sequence[Gateway], workers: int, count: int) -> tuple[float, float]:
    """Records a second, and CPU of the hub's processes in us a record."""
    _configure(folder, url)
    with _running(folder / "hub.toml", workers, 0) as (address, pids):
        before = sum(map(_cpu_s, pids))
        context = multiprocessing.get_context("fork")
        answers: Any = context.Queue()
        client = context.Process(target=_play, args=(address, folder, gateways, answers))
        client.start()
        took = answers.get(timeout=300)
        client.join()
        cpu_s = sum(map(_cpu_s, pids)) - before
    return count / took, cpu_s * 1e6 / count


def _derive(folder: Path, url: str) -> tuple[float, float]:
    """Records a second that one process takes into the books, and its CPU in us a record."""
    connection = PostgreSQL(url).open_reader()

    def done() -> tuple[float, int]:
        row = connection.execute("SELECT coalesce(sum(seq), 0) FROM derived").fetchone()
        return time.perf_counter(), 0 if row is None else int(row[0])

    try:
        with _running(folder / "hub.toml", 1, 1) as (_, pids):
            while done()[1] == 0:
                time.sleep(0.1)
            (began, first), before_s = done(), _cpu_s(pids[-1])
            time.sleep(DERIVING_S)
            (ended, last), after_s = done(), _cpu_s(pids[-1])
        return (last - first) / (ended - began), (after_s - before_s) * 1e6 / max(1, last - first)
    finally:
        connection.close()


def _room(url: str) -> int:
    """Octets of the tables of records with their indexes."""
    connection = PostgreSQL(url).open_reader()
    try:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('records') WHERE isleaf"
        ).fetchone()
    finally:
        connection.close()
    assert row is not None
    return int(row[0])


def _configure(folder: Path, url: str) -> None:
    text = (folder / "hub.toml").read_text().partition("\n[store]")[0]
    store = f'\n[store]\nkind = "postgresql"\nurl = "{url}"\nmax_connections = {CONNECTIONS}\n'
    (folder / "hub.toml").write_text(text + store)
    shutil.rmtree(folder / "state", ignore_errors=True)


@contextmanager
def _running(config: Path, workers: int, derivers: int) -> Iterator[tuple[tuple[str, int], list[int]]]:
    command = [
        sys.executable,
        "-m",
        "hub",
        "run",
        "--config",
        str(config),
        "--workers",
        str(workers),
        "--derivers",
        str(derivers),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready, deriving = list[dict[str, Any]](), list[int]()
        while len(ready) < workers or len(deriving) < derivers:
            said = json.loads(process.stdout.readline())
            ready += [said] if said["event"] == "ready" else []
            deriving += [said["pid"]] if said["event"] == "deriving" else []
        drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
        host, _, port = ready[0]["listen"]["sync"].rpartition(":")
        yield (host, int(port)), [*(said["pid"] for said in ready), *deriving]
    finally:
        process.terminate()
        process.wait()
        with suppress(UnboundLocalError):
            drain.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _with_children_s(pid: int) -> float:
    """CPU of a process, of its children, and of those that have ended."""
    found = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) == pid:
                found += sum(map(int, fields[11:15]))
            elif int(fields[1]) == pid:
                found += int(fields[11]) + int(fields[12])
    return found / os.sysconf("SC_CLK_TCK")


def _play(address: tuple[str, int], folder: Path, gateways: Sequence[Gateway], answers: Any) -> None:
    """Send what the gateways have; how many seconds that took goes into `answers`."""

    async def all_of_them() -> None:
        links = [await _link(address, folder, each) for each in gateways]
        for each, link in zip(gateways, links, strict=True):
            assert (await _asked(link, each.hello)).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        await asyncio.gather(*(_drained(link, each) for each, link in zip(gateways, links, strict=True)))
        answers.put(time.monotonic() - began)

    asyncio.run(all_of_them())


async def _drained(link: tuple[asyncio.StreamReader, asyncio.StreamWriter], gateway: Gateway) -> None:
    for batch in gateway.batches:
        answer = await _asked(link, batch)
        assert answer.startswith(b"HTTP/1.1 200"), answer


async def _link(
    address: tuple[str, int], folder: Path, gateway: Gateway
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=str(folder / "test-root.pem"))
    context.check_hostname = False
    context.load_cert_chain(*gateway.files)
    return await asyncio.open_connection(*address, ssl=context)


async def _asked(link: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> bytes:
    reader, writer = link
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    return head + body


if __name__ == "__main__":
    main()
