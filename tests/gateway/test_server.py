"""The stations' sockets: what a rough station may do to itself, and never to the others."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType

import gateway.chargers.server as server_module
from gateway.chargers.credentials import PasswordHash
from gateway.chargers.server import MAX_FRAME_BYTES, ChargerServer
from tests.gateway.conftest import Bench

NAMES = ("CP-1", "CP-2", "CP-3")
BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
START = '[2,"s","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":%d,"timestamp":"2026-11-23T12:00:00Z"}]'

Connect = Callable[..., Awaitable[ClientWebSocketResponse]]


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[tuple[ChargerServer, Connect, str]]:
    """A listening server, a way to connect as a station, and its address."""
    passwords = {name.casefold(): PasswordHash.of(name.encode(), b"s" * 16) for name in NAMES}
    server = ChargerServer(bench.site, passwords, "127.0.0.1", 0)
    address = await server.start()
    try:
        async with ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:

            async def connect(name: str = "CP-1", **more: Any) -> ClientWebSocketResponse:
                headers = {"Authorization": aiohttp.encode_basic_auth(name, name)}
                url = f"http://{address}/ocpp/{name}"
                return await session.ws_connect(url, protocols=["ocpp1.6"], headers=headers, **more)

            yield server, connect, address
    finally:
        await server.stop()


def play(bench: Bench, part: Callable[[ChargerServer, Connect, str], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(bench) as (server, connect, address):
            await part(server, connect, address)
        await bench.writer.run(lambda connection: None)

    asyncio.run(asyncio.wait_for(run(), 40))


async def ask(station: ClientWebSocketResponse, frame: str) -> list[Any]:
    await station.send_str(frame)
    answer: list[Any] = json.loads(await station.receive_str(timeout=20))
    return answer


async def ended(station: ClientWebSocketResponse) -> int | None:
    message = await station.receive(timeout=20)
    assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), message
    return station.close_code


def test_a_thousand_bad_frames_end_nothing(bench: Bench) -> None:
    bad = [
        "",
        "x",
        "[]",
        "{}",
        "[2]",
        '[2,"a"]',
        '[9,"a","b",{}]',
        '[2,"a","Fly",{}]',
        "[" * 5000,
        '[2,"a","Boot',
        "\0",
    ]

    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        station, other = await connect("CP-1"), await connect("CP-2")
        for number in range(1000):
            await station.send_str(bad[number % len(bad)])
        await station.send_str(BOOT)
        while True:
            answer = json.loads(await station.receive_str(timeout=20))
            if answer[0] == 3:
                break
            assert answer[0] == 4
        assert answer[1] == "b"
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert server.connected == 2

    play(bench, part)


@pytest.mark.parametrize("compress", [0, 15])
def test_oversize_frame_ends_its_sender_alone(bench: Bench, compress: int) -> None:
    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        station, other = await connect("CP-1", compress=compress), await connect("CP-2")
        fitting = START % 1
        assert (await ask(station, fitting + " " * (MAX_FRAME_BYTES - len(fitting) - 1)))[0] == 3
        await station.send_str(" " * (MAX_FRAME_BYTES + 1) + START % 2)
        assert await ended(station) == WSCloseCode.MESSAGE_TOO_BIG
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert (await ask(await connect("CP-1"), START % 3))[0] == 3

    play(bench, part)
    assert [json.loads(json.loads(record.body)["frame"])[3]["meterStart"] for record in bench.records()] == [1, 3]


def test_binary_frame_is_not_ocpp(bench: Bench) -> None:
    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        station = await connect()
        await station.send_bytes((START % 1).encode())
        assert await ended(station) == WSCloseCode.UNSUPPORTED_DATA

    play(bench, part)
    assert bench.records() == []


def test_text_that_is_not_utf8_ends_its_sender(bench: Bench) -> None:
    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        station = await connect()
        await station.send_frame(b'[2,"\xff","Heartbeat",{}]', WSMsgType.TEXT)
        assert await ended(station) == WSCloseCode.INVALID_TEXT
        assert (await ask(await connect(), BOOT))[2]["status"] == "Accepted"

    play(bench, part)


def test_store_that_fails_ends_the_connection_without_an_answer(bench: Bench) -> None:
    """OCPP 2.0.1 E13: the station keeps its queue and does not count an attempt."""

    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        station, other = await connect("CP-1"), await connect("CP-2")
        assert (await ask(station, START % 1))[0] == 3

        def fill(connection: sqlite3.Connection) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages}")

        await bench.writer.run(fill)
        grown = (START % 2).replace('"A"', '"' + "A" * 100_000 + '"')
        await station.send_str(grown)
        assert await ended(station) == WSCloseCode.INTERNAL_ERROR
        await other.send_str(START % 3)
        assert await ended(other) == WSCloseCode.INTERNAL_ERROR
        assert bench.writer.broken is not None
        bench.writer.reopen()
        again = await connect("CP-1")
        assert (await ask(again, grown))[0] == 3
        assert (await ask(again, START % 2))[0] == 3

    play(bench, part)
    assert len(bench.records()) == 3
    bench.check_chain()


def test_station_that_does_not_read_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SEND_TIMEOUT_S", 0.2)

    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        other = await connect("CP-2")
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            await loop.sock_connect(raw, (host, int(port)))
            await loop.sock_sendall(raw, handshake("CP-1", address))
            assert b"101" in await loop.sock_recv(raw, 4096)
            unread = masked(f'[2,"{"i" * 255}","{"F" * 200}",{{}}]') * 100
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(pour(raw, unread, other), 30)
        assert (await ask(await connect("CP-1"), BOOT))[2]["status"] == "Accepted"

    play(bench, part)


async def pour(raw: socket.socket, unread: bytes, other: ClientWebSocketResponse) -> None:
    """Send for ever and read nothing; another station is served meanwhile."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(raw, unread)
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"


def handshake(name: str, address: str) -> bytes:
    credentials = base64.b64encode(f"{name}:{name}".encode()).decode()
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ocpp/{name} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n"
        f"Authorization: Basic {credentials}\r\n\r\n"
    ).encode()


def masked(text: str) -> bytes:
    """A WebSocket text frame from a client whose mask is zero."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data


def test_stopping_does_not_wait_for_each_silent_station_in_turn(bench: Bench) -> None:
    """A dead station answers no close frame; a site of a hundred must not take minutes to stop."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        raws = []
        async with serving(bench) as (server, _, address):
            host, _, port = address.rpartition(":")
            for name in NAMES:
                raw = socket.socket()
                raws.append(raw)
                raw.setblocking(False)
                await loop.sock_connect(raw, (host, int(port)))
                await loop.sock_sendall(raw, handshake(name, address))
                assert b"101" in await loop.sock_recv(raw, 4096)
            assert server.connected == len(NAMES)
            begun = loop.time()
            await server.stop()
            took = loop.time() - begun
        for raw in raws:
            raw.close()
        return took

    assert asyncio.run(run()) < len(NAMES)


@pytest.mark.parametrize(
    "request_line",
    [
        b"nonsense\r\n\r\n",
        b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 500 + b"\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_request_ends_nothing(bench: Bench, request_line: bytes) -> None:
    async def part(server: ChargerServer, connect: Connect, address: str) -> None:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_line)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert (await ask(await connect(), BOOT))[2]["status"] == "Accepted"

    play(bench, part)
