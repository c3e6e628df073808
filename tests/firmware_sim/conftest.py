"""A small OCPP server that can be told to be hostile, and the values the tests of this folder share."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pytest
from aiohttp import WSMsgType, web

from tests.servers import end_server
from wire.ocpp.frames import (
    Call,
    CallError,
    CallResult,
    FrameError,
    encode_call,
    encode_error,
    encode_result,
    parse_frame,
)

NOW = "2026-11-23T08:00:00.000Z"


class Trick(StrEnum):
    """What the server does to one CALL instead of answering it."""

    DROP_BEFORE = "close before anything is kept"
    DROP_AFTER = "keep it, close before the answer"
    ERROR = "answer with CALLERROR"
    SILENCE = "never answer"


@dataclass
class HostileServer:
    """Keeps every CALL it lets in; `tricks` are taken one per CALL of `on`, then it behaves."""

    answer: Callable[[Call], object]
    on: frozenset[str] = frozenset()
    tricks: list[Trick] = field(default_factory=list)
    kept: list[Call] = field(default_factory=list)
    connections: int = 0
    authorizations: list[str] = field(default_factory=list)
    refuse: int = 0
    url: str = ""
    transaction_kept: asyncio.Event = field(default_factory=asyncio.Event)
    sockets: set[web.WebSocketResponse] = field(default_factory=set)
    asked: dict[str, asyncio.Future[CallResult | CallError]] = field(default_factory=dict)
    peers: list[bytes | None] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        self.authorizations.append(request.headers.get("Authorization", ""))
        connection = request.transport.get_extra_info("ssl_object") if request.transport else None
        self.peers.append(connection.getpeercert(True) if connection is not None else None)
        ws = web.WebSocketResponse(protocols=("ocpp1.6", "ocpp2.0.1", "ocpp2.1"))
        await ws.prepare(request)
        self.connections += 1
        self.sockets.add(ws)
        async with self.news:
            self.news.notify_all()
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            try:
                frame = parse_frame(message.data)
            except FrameError as error:
                self.unreadable.append(message.data)
                await ws.send_str(encode_error(error.message_id, "RpcFrameworkError", str(error)))
                continue
            if isinstance(frame, CallResult | CallError):
                self.asked.pop(frame.message_id).set_result(frame)
                continue
            assert isinstance(frame, Call)
            going_on = await self._treat(ws, frame)
            async with self.news:
                self.news.notify_all()
            if not going_on:
                break
        self.sockets.discard(ws)
        return ws

    async def ask(self, action: str, payload: object) -> CallResult | CallError:
        """The answer of the charger that is connected to a CALL."""
        (ws,) = self.sockets
        message_id = f"ask-{self.connections}-{action}-{len(self.kept)}-{id(payload)}"[:36]
        answer = self.asked[message_id] = asyncio.get_running_loop().create_future()
        await ws.send_str(encode_call(message_id, action, payload))
        return await asyncio.wait_for(answer, 60)

    async def until(self, found: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Returns when `found` holds; looked at after each CALL and connection."""
        async with asyncio.timeout(timeout_s), self.news:
            await self.news.wait_for(found)

    async def _treat(self, ws: web.WebSocketResponse, call: Call) -> bool:
        trick = self.tricks.pop(0) if self.tricks and call.action in self.on else None
        if trick is Trick.DROP_BEFORE:
            await ws.close()
            return False
        if trick is Trick.ERROR:
            await ws.send_str(encode_error(call.message_id, "InternalError", "not now"))
            return True
        self.kept.append(call)
        if call.action in ("TransactionEvent", "StartTransaction"):
            self.transaction_kept.set()
        if trick is Trick.DROP_AFTER:
            await ws.close()
            return False
        if trick is not Trick.SILENCE:
            await ws.send_str(encode_result(call.message_id, self.answer(call)))
        return True

    def kept_of(self, *actions: str) -> list[Call]:
        return [call for call in self.kept if call.action in actions]


def friendly(call: Call) -> object:
    """What a gateway in a good mood answers, for all versions."""
    if call.action == "BootNotification":
        return {"currentTime": NOW, "interval": 300, "status": "Accepted"}
    if call.action == "StartTransaction":
        return {"transactionId": 77, "idTagInfo": {"status": "Accepted"}}
    if call.action == "DataTransfer":
        return {"status": "Accepted", "data": '{"idTokenInfo":{"status":"Accepted"},"certificateStatus":"Accepted"}'}
    if call.action == "Authorize":
        accepted = {"status": "Accepted"}
        return {"idTagInfo" if b'"idTag"' in call.payload else "idTokenInfo": accepted}
    if call.action == "Heartbeat":
        return {"currentTime": NOW}
    if call.action == "TransactionEvent" and b'"idToken"' in call.payload:
        return {"idTokenInfo": {"status": "Accepted"}}
    return {}


@asynccontextmanager
async def listening(
    server: HostileServer, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HostileServer]:
    """`server` on a loopback port (0: a free one); its `url` is set."""
    app = web.Application()
    app.router.add_get("/ocpp/{charger_id}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        server.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{runner.addresses[0][1]}/ocpp"
        yield server
    finally:
        for ws in tuple(server.sockets):
            await ws.close()
        await end_server(runner)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def clock() -> Callable[[], datetime]:
    """Instants a second apart, from a fixed day on."""
    instants = iter(datetime(2026, 11, 23, 8, tzinfo=UTC) + timedelta(seconds=n) for n in range(100_000))
    return lambda: next(instants)
