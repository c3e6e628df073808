"""A real gateway whose store loses what it knew, while a station charges that never boots again: it is served, and its
session is billed."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from gateway.store.chargers import registered
from gateway.store.ledger import open_ledger_reader
from tests.parts import token
from tests.processes import SiteFolder
from wire.records import encode

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
PAGE = 4096


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    made.hub.start()
    made.gateway.start()
    yield made
    made.gateway.stop()
    made.hub.stop()


def api(site: SiteFolder, method: str, path: str, body: bytes | None = None) -> Any:
    """What the hub's API answers."""
    context = ssl.create_default_context(cafile=str(site.lab / "backend" / "ca.pem"))
    context.check_hostname = False
    with closing(http.client.HTTPSConnection("127.0.0.1", site.api_port, timeout=40, context=context)) as connection:
        connection.request(method, path, body, {"Authorization": f"Bearer {site.api_token}"})
        response = connection.getresponse()
        found = json.loads(response.read())
        assert response.status == 200, found
        return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Station:
    """CP-1 on a socket. It says to a CALL what a station says that does not know TriggerMessage."""

    def __init__(self, socket: ClientWebSocketResponse, numbers: Iterator[int]) -> None:
        self._socket, self._numbers = socket, numbers
        self.asked: list[list[Any]] = []

    async def call(self, action: str, payload: object) -> Any:
        """The payload of the CALLRESULT; a CALLERROR fails the test."""
        name = f"m{next(self._numbers)}"
        await self._socket.send_str(json.dumps([2, name, action, payload]))
        while True:
            frame = await self.read()
            if frame[0] != 2:
                assert frame[:2] == [3, name], frame
                return frame[2]

    async def read(self) -> list[Any]:
        """The next frame, answered if it is a CALL."""
        message = await self._socket.receive()
        assert message.type is WSMsgType.TEXT, message
        frame: list[Any] = json.loads(message.data)
        if frame[0] == 2:
            self.asked.append(frame[2:])
            await self._socket.send_str(json.dumps([4, frame[1], "NotImplemented", "", {}]))
        return frame

    async def until_asked(self, action: str) -> None:
        while all(asked[0] != action for asked in self.asked):
            await self.read()


def event(kind: str, number: int, **more: object) -> dict[str, Any]:
    told = {"eventType": kind, "timestamp": now(), "triggerReason": "Authorized", "seqNo": number}
    return told | {"transactionInfo": {"transactionId": "tx-1"}} | more


async def authorize(station: Station, ocpp: str) -> None:
    asked, answer = ({"idTag": CARD["idToken"]}, "idTagInfo") if ocpp == "1.6" else ({"idToken": CARD}, "idTokenInfo")
    assert (await station.call("Authorize", asked))[answer]["status"] == "Accepted"


async def begin(station: Station, ocpp: str) -> int:
    """The transaction, as 1.6 numbers it."""
    if ocpp == "1.6":
        started = {"connectorId": 1, "idTag": CARD["idToken"], "meterStart": 0, "timestamp": now()}
        return int((await station.call("StartTransaction", started))["transactionId"])
    await station.call("TransactionEvent", event("Started", 0, idToken=CARD, evse={"id": 1, "connectorId": 1}))
    return 0


async def end(station: Station, ocpp: str, number: int) -> None:
    value = [{"timestamp": now(), "sampledValue": [{"value": "7000" if ocpp == "1.6" else 7000.0}]}]
    if ocpp == "1.6":
        await station.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": value})
        await station.call("StopTransaction", {"transactionId": number, "meterStop": 9000, "timestamp": now()})
        return
    await station.call("TransactionEvent", event("Updated", 1, meterValue=value))
    await station.call("TransactionEvent", event("Ended", 2))


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
    numbers = itertools.count()
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    maker = {"vendorName": "Rough", "model": "One"}
    boot = {"chargePointVendor": "Rough", "chargePointModel": "One"}

    async def known(path: str) -> Any:
        """The first of what the API gives, once it gives one: there is nothing to wait for but its answers."""
        while not (found := await asyncio.to_thread(api, site, "GET", f"/api/v1/{path}"))[path]:
            pass
        return found[path][0]

    async def part() -> None:
        await asyncio.to_thread(api, site, "PUT", "/api/v1/tokens", encode((token(),)))
        await asyncio.to_thread(site.gateway.wait_for, "whitelist-updated")
        async with ClientSession() as session:

            async def connect() -> Station:
                url = site.charger_url("CP-1")
                return Station(await session.ws_connect(url, protocols=[f"ocpp{ocpp}"], headers=headers), numbers)

            station = await connect()
            booted = boot if ocpp == "1.6" else {"reason": "PowerUp", "chargingStation": maker}
            assert (await station.call("BootNotification", booted))["status"] == "Accepted"
            await authorize(station, ocpp)
            number = await begin(station, ocpp)
            begun = await known("sessions")
            site.gateway.kill()
            (path,) = site.folder.glob("*/ledger.db")
            ruin(path, octets)
            site.gateway.start()
            station = await connect()
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
