"""A gateway as a real process, one attacker as another: what the other charger notices of it.

The bounds are generous, because tests share their machine; with FLOOD_TABLE=file in the environment the figures are
appended to that file.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import aiohttp
import pytest
from aiohttp import ClientSession

from tests.processes import SiteFolder, free_port
from tests.site.flood import KINDS

HEARTBEAT = '[2,"%d","Heartbeat",{}]'
BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
REPLIES, EVERY_S = 80, 0.02
P99_S, MEMORY_KB = 0.5, 300 * 1024


@dataclass
class Besieged:
    """A site with a TLS port too; each attacker is a station of its own, at an address of its own."""

    site: SiteFolder
    tls_port: int


@pytest.fixture(scope="module")
def besieged(lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    site, tls_port = SiteFolder(tmp_path_factory.mktemp("site"), lab, ["CP-1", *KINDS]), free_port()
    backend = lab / "backend"
    port = (
        f'[[chargers.port]]\nlisten = "127.0.0.1:{tls_port}"\nprofile = 2\n'
        f'certificates = ["{backend / "hub.pem"}"]\nkeys = ["{backend / "hub.key.pem"}"]\n'
    )
    site.gateway_toml.write_text(site.gateway_toml.read_text() + port)
    site.gateway.start()
    yield Besieged(site, tls_port)
    site.gateway.kill()


@contextmanager
def attacked(besieged: Besieged, kind: str) -> Iterator[None]:
    """An attacker beside; none for "nobody"."""
    if kind == "nobody":
        yield
        return
    site, source = besieged.site, f"127.0.1.{1 + list(KINDS).index(kind)}"
    arguments = [kind, source, str(site.charger_port), str(besieged.tls_port), kind, site.passwords[kind]]
    process = subprocess.Popen([sys.executable, "-m", "tests.site.flood", *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"attacking\n"
        yield
        assert process.poll() is None, "the attacker has given up"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def replies_of_the_other(site: SiteFolder) -> list[float]:
    """Seconds until each reply to a station that comes now."""
    # From another address: who shares one with an attacker waits behind it.
    here = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with ClientSession(connector=here, timeout=aiohttp.ClientTimeout(total=60)) as session:
        headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
        loop, found = asyncio.get_running_loop(), []
        async with session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=headers) as station:
            await station.send_str(BOOT)
            assert json.loads(await station.receive_str())[2]["status"] == "Accepted"
            for number in range(REPLIES):
                await asyncio.sleep(EVERY_S)  # The pace of the measurement.
                begun = loop.time()
                await station.send_str(HEARTBEAT % number)
                while (answer := json.loads(await station.receive_str(timeout=60)))[0] == 2:
                    pass  # What the gateway itself asks a station that has just booted.
                assert answer[:2] == [3, str(number)]
                found.append(loop.time() - begun)
        return found


@pytest.mark.parametrize("kind", ["nobody", *KINDS])
def test_flood_of_one_is_hardly_noticed_by_the_other(besieged: Besieged, kind: str) -> None:
    with attacked(besieged, kind):
        found = asyncio.run(replies_of_the_other(besieged.site))
    cuts, memory_kb = quantiles(found, n=100, method="inclusive"), peak_of(besieged.site)
    if "FLOOD_TABLE" in os.environ:
        row = f"{kind:15} p50 {cuts[49] * 1e3:6.1f} ms  p99 {cuts[98] * 1e3:6.1f} ms  max {max(found) * 1e3:6.1f} ms"
        with open(os.environ["FLOOD_TABLE"], "a", encoding="utf-8") as file:
            file.write(f"{row}  peak RSS {memory_kb // 1024} MB\n")
    assert cuts[98] < P99_S
    assert memory_kb < MEMORY_KB


def peak_of(site: SiteFolder) -> int:
    """The most memory that the gateway ever had, in KiB."""
    status = Path(f"/proc/{site.gateway.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
