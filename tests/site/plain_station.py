"""A station that says on a plain socket what a test wants, in all versions, and the hub's API beside it."""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.processes import SiteFolder

CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
_NUMBERS = itertools.count()


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

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self.asked: list[list[Any]] = []

    async def call(self, action: str, payload: object) -> Any:
        """The payload of the CALLRESULT; a CALLERROR fails the test."""
        name = f"m{next(_NUMBERS)}"
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


async def connect(session: ClientSession, site: SiteFolder, ocpp: str) -> Station:
    """CP-1, connected."""
    headers = {"Authorization": aiohttp.encode_basic_auth("CP-1", site.passwords["CP-1"])}
    return Station(await session.ws_connect(site.charger_url("CP-1"), protocols=[f"ocpp{ocpp}"], headers=headers))


async def boot(station: Station, ocpp: str) -> None:
    first = {"chargePointVendor": "Rough", "chargePointModel": "One"}
    other = {"reason": "PowerUp", "chargingStation": {"vendorName": "Rough", "model": "One"}}
    assert (await station.call("BootNotification", first if ocpp == "1.6" else other))["status"] == "Accepted"


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
