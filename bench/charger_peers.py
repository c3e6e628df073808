"""What the gateway is compared with, each a process of its own: `python -m bench.charger_peers raw|package`.

`raw` is aiohttp and json and nothing else: every CALL is read, and its payload is sent back as the CALLRESULT.
`package` is the `ocpp` package on the same aiohttp, as its documentation uses it: a charge point class whose handlers
answer at once, requests and answers validated against the schemas. Neither stores anything.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

from aiohttp import WSMsgType, web
from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16, call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201, call_result as result201

_PROTOCOLS = ("ocpp2.0.1", "ocpp1.6")


class _Socket:
    """What the package expects of a connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def recv(self) -> str:
        message = await self._socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError("the station has gone")
        return str(message.data)

    async def send(self, text: str) -> None:
        await self._socket.send_str(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Station16(ChargePoint16):  # type: ignore[misc]  # the package is not typed
    @on("BootNotification")  # type: ignore[untyped-decorator]
    def on_boot(self, **_said: Any) -> Any:
        return result16.BootNotification(current_time=_now(), interval=300, status="Accepted")

    @on("Authorize")  # type: ignore[untyped-decorator]
    def on_authorize(self, **_said: Any) -> Any:
        return result16.Authorize(id_tag_info={"status": "Accepted"})

    @on("StartTransaction")  # type: ignore[untyped-decorator]
    def on_start(self, **_said: Any) -> Any:
        return result16.StartTransaction(transaction_id=1, id_tag_info={"status": "Accepted"})

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def on_values(self, **_said: Any) -> Any:
        return result16.MeterValues()


class _Station201(ChargePoint201):  # type: ignore[misc]
    @on("BootNotification")  # type: ignore[untyped-decorator]
    def on_boot(self, **_said: Any) -> Any:
        return result201.BootNotification(current_time=_now(), interval=300, status="Accepted")

    @on("Authorize")  # type: ignore[untyped-decorator]
    def on_authorize(self, **_said: Any) -> Any:
        return result201.Authorize(id_token_info={"status": "Accepted"})

    @on("TransactionEvent")  # type: ignore[untyped-decorator]
    def on_event(self, **_said: Any) -> Any:
        return result201.TransactionEvent()

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def on_values(self, **_said: Any) -> Any:
        return result201.MeterValues()


async def _raw(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=_PROTOCOLS)
    await socket.prepare(request)
    async for message in socket:
        _, message_id, _, payload = json.loads(message.data)
        await socket.send_str(json.dumps([3, message_id, payload]))
    return socket


async def _package(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=_PROTOCOLS)
    await socket.prepare(request)
    kind = _Station16 if socket.ws_protocol == "ocpp1.6" else _Station201
    try:
        await kind(request.match_info["charger_id"], _Socket(socket)).start()
    except ConnectionError:
        pass
    return socket


async def _serve(answer: str) -> None:
    app = web.Application()
    app.router.add_get("/ocpp/{charger_id}", _raw if answer == "raw" else _package)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    address = f"127.0.0.1:{runner.addresses[0][1]}"
    print(json.dumps({"event": "ready", "listen": {"chargers": address}}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
