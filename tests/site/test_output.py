"""What happens to a gateway whose standard output goes away: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.processes import SiteFolder


@pytest.mark.parametrize("output", ["closed", "/dev/full"])
def test_gateway_serves_on_when_nobody_can_read_what_it_says(tmp_path: Path, lab: Path, output: str) -> None:
    site = SiteFolder(folder=tmp_path, lab=lab)
    arguments = [sys.executable, "-m", "gateway", "run", "--config", str(site.gateway_toml)]
    if output == "closed":
        reader, writer = os.pipe()
        process = subprocess.Popen(arguments, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        os.close(reader)
    else:
        with open(output, "wb") as full:
            process = subprocess.Popen(arguments, stdout=full, stderr=subprocess.PIPE)
    try:
        asyncio.run(asyncio.wait_for(boot(site), 60))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, b"")
    finally:
        process.kill()
        process.wait()


async def boot(site: SiteFolder) -> None:
    """Connect and boot, trying until the gateway listens."""
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                socket = await session.ws_connect(site.charger_url("CP-1"), protocols=["ocpp1.6"], headers=headers)
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
        call = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
        for _ in range(3):
            await socket.send_str(call)
            assert '"Accepted"' in (await socket.receive_str())
        await socket.close()
