"""The sockets of the charging stations: who may connect, how much they may send, and when a connection ends.

Knows nothing of what messages mean; that is `station`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from gateway.chargers.calls import Calls
from gateway.chargers.connected import Site
from gateway.chargers.credentials import PasswordHash, check_basic
from gateway.chargers.roster import Roster
from gateway.chargers.station import Station
from gateway.errors import StoreUnavailable
from gateway.log import log_server_errors, say
from wire.ids import is_charger_id
from wire.ocpp import v16, v21, v201

MAX_FRAME_BYTES = 256 * 1024
PING_INTERVAL_S = 30.0
SILENCE_TIMEOUT_S = 3 * PING_INTERVAL_S
"""A station that drips an unfinished frame answers no ping, and defeats the heartbeat alone."""
SEND_TIMEOUT_S = 10.0
_VERSIONS = {module.SUBPROTOCOL: module.VERSION for module in (v21, v201, v16)}


class ChargerServer:
    """Accepts stations at /ocpp/{charger_id} with HTTP Basic authentication. One live connection per station: a new one
    that has proven itself replaces the old."""

    def __init__(self, site: Site, passwords: Mapping[str, PasswordHash], host: str, port: int) -> None:
        self._site, self._passwords = site, dict(passwords)
        self._host, self._port = host, port
        self._live: dict[str, web.WebSocketResponse] = {}
        self.roster = Roster()
        app = web.Application()
        app.router.add_get("/ocpp/{charger_id}", self._connect)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=15, shutdown_timeout=5)

    @property
    def connected(self) -> int:
        """How many stations are connected now."""
        return len(self.roster)

    async def start(self) -> str:
        """Listen; the address that is served. Raises OSError when it is taken."""
        await self._runner.setup()
        log_server_errors()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=512)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Say goodbye to every station (1001) and stop listening."""
        for socket in tuple(self._live.values()):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"gateway stops")
        await self._runner.cleanup()

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        charger_id = request.match_info["charger_id"]
        if not is_charger_id(charger_id):
            say("charger-refused", level="warning", peer=request.remote, reason="not a charging station identity")
            raise web.HTTPNotFound
        if not check_basic(request.headers.get(hdrs.AUTHORIZATION), charger_id, self._passwords):
            say("charger-refused", level="warning", charger=charger_id, peer=request.remote, reason="credentials")
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="ocpp"'})
        socket = web.WebSocketResponse(
            protocols=tuple(_VERSIONS),
            max_msg_size=MAX_FRAME_BYTES,
            heartbeat=PING_INTERVAL_S,
            receive_timeout=SILENCE_TIMEOUT_S,
            timeout=5.0,
        )
        await socket.prepare(request)
        ocpp = _VERSIONS.get(socket.ws_protocol or "")
        if ocpp is None:
            # No common version: finish the handshake without one, then close (OCPP 2.0.1 Part 4 3.2).
            offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "none")
            say("charger-refused", level="warning", charger=charger_id, reason=f"no common OCPP version in {offered}")
            await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=b"offer ocpp2.1, ocpp2.0.1 or ocpp1.6")
            return socket
        await self._replace(charger_id, socket)
        say("charger-connected", charger=charger_id, ocpp=ocpp)
        line = _Line(socket)
        station = Station(self._site, charger_id, ocpp, Calls(charger_id, line.send), self.roster.tell)
        try:
            await self.roster.join(station)
            await self._converse(socket, station, line)
        except (TimeoutError, ConnectionError):
            say("charger-stuck", level="warning", charger=charger_id)
            if request.transport is not None:
                request.transport.abort()  # A close would wait behind what the station neither reads nor sends.
        finally:
            # A late end of an old connection must not unregister the one that replaced it.
            if self._live.get(charger_id.casefold()) is socket:
                del self._live[charger_id.casefold()]
            self.roster.leave(station)
            say("charger-disconnected", charger=charger_id, code=socket.close_code)
        return socket

    async def _replace(self, charger_id: str, socket: web.WebSocketResponse) -> None:
        old = self._live.get(charger_id.casefold())
        self._live[charger_id.casefold()] = socket
        if old is not None:
            say("charger-replaced", level="warning", charger=charger_id)
            await old.close(code=WSCloseCode.POLICY_VIOLATION, message=b"replaced by a newer connection")

    async def _converse(self, socket: web.WebSocketResponse, station: Station, line: _Line) -> None:
        """Answer frames in their order until the socket ends or the store fails.

        Raises:
            TimeoutError, ConnectionError: the station does not read, or sends nothing whole.
        """
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"OCPP-J is text")
                return
            try:
                reply = await station.receive(message.data)
            except StoreUnavailable as error:
                say("store-unavailable", level="error", charger=station.charger_id, reason=str(error))
                await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=b"cannot store")
                return
            if reply is not None:
                await line.send(reply)


class _Line:
    """The sending side of a socket: answers and CALLs of our own, one frame at a time."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket, self._turn = socket, asyncio.Lock()

    async def send(self, frame: str) -> None:
        """Send one frame.

        Raises:
            TimeoutError, ConnectionError: the station does not read, or is gone.
        """
        async with asyncio.timeout(SEND_TIMEOUT_S), self._turn:
            await self._socket.send_str(frame)
