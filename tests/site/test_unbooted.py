"""A real gateway whose store loses what it knew, while a station charges that never boots again: it is served, and its
session is billed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.store.chargers import registered
from gateway.store.ledger import open_ledger_reader
from tests.parts import token
from tests.processes import SiteFolder
from tests.site.plain_station import api, authorize, begin, boot, connect, end
from wire.records import encode

PAGE = 4096


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    made.hub.start()
    made.gateway.start()
    yield made
    made.gateway.stop()
    made.hub.stop()


def ruin(path: Path, octets: int | None) -> None:
    """Noise in place of the first octets of a file, and of all that its log holds, so that nothing mends it."""
    with path.open("r+b") as file:
        file.write(b"\xa5" * (octets or path.stat().st_size))
    log = path.with_name(f"{path.name}-wal")
    if octets is None and log.exists():
        log.write_bytes(b"\xa5" * log.stat().st_size)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
@pytest.mark.parametrize("octets", [PAGE, None], ids=["first page", "whole file"])
def test_a_station_that_never_boots_again_is_served_and_billed(site: SiteFolder, ocpp: str, octets: int | None) -> None:
    async def known(path: str) -> Any:
        """The first of what the API gives, once it gives one: there is nothing to wait for but its answers."""
        while not (found := await asyncio.to_thread(api, site, "GET", f"/api/v1/{path}"))[path]:
            pass
        return found[path][0]

    async def part() -> None:
        await asyncio.to_thread(api, site, "PUT", "/api/v1/tokens", encode((token(),)))
        await asyncio.to_thread(site.gateway.wait_for, "whitelist-updated")
        async with ClientSession() as session:
            station = await connect(session, site, ocpp)
            await boot(station, ocpp)
            await authorize(station, ocpp)
            number = await begin(station, ocpp)
            begun = await known("sessions")
            site.gateway.kill()
            (path,) = site.folder.glob("*/ledger.db")
            ruin(path, octets)
            site.gateway.start()
            station = await connect(session, site, ocpp)
            await authorize(station, ocpp)
            await end(station, ocpp, number)
            assert (await known("cdrs"))["session_id"] == begun["id"]
            with closing(open_ledger_reader(path)) as ledger:
                remembered = registered(ledger, "CP-1")
            assert remembered is not None
            taken = [line for line in site.gateway.said if line["event"] == "charger-taken-as-accepted"]
            if octets is None:
                assert (remembered.vendor, len(taken)) == (None, 1)
                await station.until_asked("TriggerMessage")
                await authorize(station, ocpp)
            else:
                assert (remembered.vendor, taken) == ("Rough", [])

    asyncio.run(asyncio.wait_for(part(), 100))
