"""The ports of the stations on loopback, and rough stations at them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from gateway.chargers.credentials import PasswordHash
from gateway.chargers.port import Account, Bounds, Entrance, Port, SecurityProfile
from gateway.chargers.roster import Companion, Roster
from gateway.chargers.server import WATCH_EVERY_S, ChargerServer
from gateway.chargers.station import Station
from tests.gateway.conftest import Bench

NAMES = ("CP-1", "CP-2", "CP-3")
BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
START = '[2,"s","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":%d,"timestamp":"2026-11-23T12:00:00Z"}]'
PLAIN = Port("[chargers]", "127.0.0.1", 0, SecurityProfile.BASIC)

Connect = Callable[..., Awaitable[ClientWebSocketResponse]]


def account(name: str, **more: Any) -> Account:
    """A station whose password is its name."""
    return Account(charger_id=name, password=PasswordHash.of(name.encode(), b"s" * 16), client_name=name, **more)


def entrance(*ports: Port, names: Sequence[str] = NAMES, bounds: Bounds | None = None, **more: Any) -> Entrance:
    """These ports, and stations of these names."""
    accounts = {name.casefold(): account(name) for name in names}
    return Entrance(ports=ports or (PLAIN,), accounts=accounts, bounds=bounds or Bounds(), **more)


class Doorman(Companion):
    """Notes who comes and goes."""

    def __init__(self, roster: Roster) -> None:
        self._roster, self._moved = roster, asyncio.Event()
        roster.accompany(self)

    async def attached(self, station: Station) -> None:
        self._moved.set()

    def detached(self, station: Station) -> None:
        self._moved.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; looked at whenever somebody has come or gone."""
        async with asyncio.timeout(60):
            while not condition():
                self._moved.clear()
                await self._moved.wait()


@dataclass
class Ports:
    """A server that listens, and a client session."""

    server: ChargerServer
    addresses: list[str]
    session: ClientSession
    doorman: Doorman
    sockets: list[ClientWebSocketResponse] = field(default_factory=list)

    async def station(self, name: str = "CP-1") -> Station:
        """The station, once it is connected."""
        await self.doorman.until(lambda: self.server.roster.find(name) is not None)
        found = self.server.roster.find(name)
        assert found is not None
        return found

    async def empty(self) -> None:
        """Return once nobody is connected."""
        await self.doorman.until(lambda: not self.server.connected)

    @property
    def address(self) -> str:
        """Of the first port."""
        return self.addresses[0]

    def place(self, number: int = 0) -> tuple[str, int]:
        """Host and port of a port."""
        host, _, port = self.addresses[number].rpartition(":")
        return host, int(port)

    async def connect(
        self,
        name: str = "CP-1",
        *,
        password: str | None = None,
        port: int = 0,
        scheme: str = "ws",
        protocols: Sequence[str] = ("ocpp1.6",),
        **more: Any,
    ) -> ClientWebSocketResponse:
        """A station that is let in."""
        headers = {} if password == "" else {"Authorization": aiohttp.encode_basic_auth(name, password or name)}
        url = f"{scheme}://{self.addresses[port]}/ocpp/{name}"
        socket = await self.session.ws_connect(url, protocols=protocols, headers=headers, **more)
        self.sockets.append(socket)
        return socket

    async def status(self, *arguments: Any, **more: Any) -> int:
        """The HTTP status with which a station is refused; 101 for one that is not."""
        try:
            socket = await self.connect(*arguments, **more)
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        await socket.close()
        return 101


@asynccontextmanager
async def listening(
    bench: Bench, found: Entrance | None = None, watch_every_s: float = WATCH_EVERY_S
) -> AsyncIterator[Ports]:
    """A server, from start to stop."""
    server = ChargerServer(bench.site, found or entrance(), watch_every_s)
    addresses = await server.start()
    try:
        async with ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            ports = Ports(server, addresses, session, Doorman(server.roster))
            yield ports
            await asyncio.gather(*(socket.close() for socket in ports.sockets))
    finally:
        await server.stop()


def play(
    bench: Bench,
    part: Callable[[Ports], Awaitable[None]],
    found: Entrance | None = None,
    within_s: float = 60,
    watch_every_s: float = WATCH_EVERY_S,
) -> None:
    """Run `part` against a server."""

    async def run() -> None:
        async with listening(bench, found, watch_every_s) as ports:
            await part(ports)
        await bench.writer.run(lambda connection: None)

    asyncio.run(asyncio.wait_for(run(), within_s))


async def ask(station: ClientWebSocketResponse, frame: str = BOOT) -> list[Any]:
    """What the station hears back."""
    await station.send_str(frame)
    answer: list[Any] = json.loads(await station.receive_str(timeout=60))
    return answer


async def ended(station: ClientWebSocketResponse) -> int | None:
    """The code with which its connection ends."""
    message = await station.receive(timeout=60)
    assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), message
    return message.data if message.type is WSMsgType.CLOSE else station.close_code


def handshake(name: str, address: str, *headers: str, path: str | None = None) -> bytes:
    """The request of a station."""
    credentials = base64.b64encode(f"{name}:{name}".encode()).decode()
    key = base64.b64encode(os.urandom(16)).decode()
    more = "".join(f"{header}\r\n" for header in headers)
    return (
        f"GET {path or f'/ocpp/{name}'} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
        f"Authorization: Basic {credentials}\r\n{more}\r\n"
    ).encode(errors="surrogateescape")


def masked(data: bytes, opcode: int = 1, flags: int = 0x80) -> bytes:
    """A WebSocket frame from a client whose mask is zero; `flags` are FIN and RSV1."""
    head = bytes([flags | opcode])
    if len(data) < 126:
        return head + bytes([0x80 | len(data)]) + b"\0\0\0\0" + data
    if len(data) < 65536:
        return head + b"\xfe" + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data
    return head + b"\xff" + len(data).to_bytes(8, "big") + b"\0\0\0\0" + data


@asynccontextmanager
async def raw(ports: Ports, number: int = 0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*ports.place(number))
    try:
        yield reader, writer
    finally:
        writer.close()
