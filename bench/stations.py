"""Charging stations that cost their own process as little as can be: a WebSocket client that counts frames and times,
and reads no more of an answer than a comparison asks for.

Source: RFC 6455 5.2 (frames), RFC 7692 7.2 (permessage-deflate, where it is offered).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import zlib
from collections.abc import Sequence

_MASK = b"\x5a\xc3\x11\x9e"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_DEFLATED = 0x40
_TAIL = b"\x00\x00\xff\xff"


class StationSocket(asyncio.Protocol):
    """One connection: one frame out, one answer back. Pings are answered and counted."""

    def __init__(self, *, deflate: bool) -> None:
        self._deflate, self._inflater = deflate, zlib.decompressobj(-15)
        self._transport: asyncio.Transport | None = None
        self._buffer, self._open = b"", False
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pings = 0
        self._pinged = asyncio.Event()

    async def ask(self, text: bytes) -> bytes:
        """The text of the next frame that comes, after `text` was sent."""
        self._answer = asyncio.get_running_loop().create_future()
        self._write(_TEXT, text)
        return await self._answer

    async def greet(self, head: bytes) -> bytes:
        """The head of the server's answer to an upgrade."""
        assert self._transport is not None
        self._transport.write(head)
        return await self._answer

    async def pinged(self, times: int) -> None:
        """Return once so many pings have come and were answered."""
        while self._pings < times:
            self._pinged.clear()
            await self._pinged.wait()

    def close(self) -> None:
        """Say goodbye and go."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(_CLOSE, b"\x03\xe8")
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server ended the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._open, self._buffer = True, rest
            self._answer.set_result(head)
        while (frame := _frame(self._buffer)) is not None:
            first, payload, self._buffer = frame
            self._received(first, payload)

    def _received(self, first: int, payload: bytes) -> None:
        if first & 0x0F == _PING:
            self._pings += 1
            self._pinged.set()
            self._write(_PONG, payload)
        elif first & 0x0F == _TEXT:
            text = self._inflater.decompress(payload + _TAIL) if first & _DEFLATED else payload
            if text.startswith(b"[2,"):
                # What the gateway asks of its own accord once a station has booted; these stations can nothing.
                self._write(_TEXT, json.dumps([4, json.loads(text)[1], "NotImplemented", "", {}]).encode())
            else:
                self._answer.set_result(text)

    def _write(self, opcode: int, payload: bytes) -> None:
        first = 0x80 | opcode
        if self._deflate and opcode == _TEXT:
            deflater = zlib.compressobj(1, wbits=-15)
            payload = (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
            first |= _DEFLATED
        size = len(payload)
        long = size > 125
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big") if long else bytes((first, 0x80 | size))
        mask = int.from_bytes((_MASK * (size // 4 + 1))[:size], "big")
        masked = (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")
        assert self._transport is not None
        self._transport.write(head + _MASK + masked)


def _frame(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """The first byte and payload of the next frame, and what follows it; None when it is not whole."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1], 2
    if size == 126:
        size, start = int.from_bytes(buffer[2:4], "big"), 4
    if len(buffer) < start + size:
        return None
    return buffer[0], buffer[start : start + size], buffer[start + size :]


async def connect(port: int, charger_id: str, password: str, ocpp: str, *, deflate: bool = False) -> StationSocket:
    """A connection as station `charger_id` that speaks version `ocpp`."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: StationSocket(deflate=deflate), "127.0.0.1", port)
    basic = base64.b64encode(f"{charger_id}:{password}".encode()).decode()
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    head = await socket.greet(
        f"GET /ocpp/{charger_id} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: ocpp{ocpp}\r\nAuthorization: Basic {basic}\r\n{extension}\r\n".encode()
    )
    assert b" 101 " in head, head
    assert deflate == (b"permessage-deflate" in head), head
    return socket


async def connect_all(
    port: int, passwords: dict[str, str], ocpp: str, *, deflate: bool = False
) -> Sequence[StationSocket]:
    """One connection for each station, made one after the other."""
    return [await connect(port, name, word, ocpp, deflate=deflate) for name, word in passwords.items()]
