"""The stations' sockets: what a rough station may do to itself, and never to the others."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import zlib
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType

from gateway.chargers.large_frames import AT_ONCE, LARGE_FROM, LARGEST, LARGEST_PACKED, SMALL
from gateway.chargers.port import Account, Bounds, Entrance, Port, SecurityProfile
from gateway.store.lost_frames import lost_frames
from tests.gateway.conftest import Bench
from tests.gateway.house import events
from tests.gateway.ports import BOOT, NAMES, START, Ports, ask, ended, entrance, handshake, listening, masked, play
from wire.chain import RecordKind

FAST = Bounds(messages_per_s=1e6, burst=1e6, messages_per_s_in_all=1e6, burst_in_all=1e6, write_timeout_s=0.2)


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

    async def part(ports: Ports) -> None:
        station, other = await ports.connect("CP-1"), await ports.connect("CP-2")
        for number in range(1000):
            await station.send_str(bad[number % len(bad)])
        await station.send_str(BOOT)
        while True:
            answer = json.loads(await station.receive_str(timeout=60))
            if answer[0] == 3:
                break
            assert answer[0] == 4
        assert answer[1] == "b"
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert ports.server.connected == 2

    play(bench, part, entrance(bounds=FAST))


@pytest.mark.parametrize("compress", [0, 15])
def test_oversize_frame_ends_its_sender_alone(bench: Bench, compress: int) -> None:
    most = LARGEST_PACKED if compress else LARGEST

    async def part(ports: Ports) -> None:
        station, other = await ports.connect("CP-1", compress=compress), await ports.connect("CP-2")
        fitting = START % 1
        assert (await ask(station, fitting + " " * (most - len(fitting) - 1)))[0] == 3
        await station.send_str(" " * (most + 1) + START % 2)
        assert await ended(station) == WSCloseCode.MESSAGE_TOO_BIG
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert (await ask(await ports.connect("CP-1"), START % 3))[0] == 3

    play(bench, part, entrance(bounds=FAST))
    (lost,) = lost_frames(bench.reader)
    assert (lost.charger_id, lost.count) == ("CP-1", 1)
    assert f"exceeds limit {most}" in lost.size.replace("size limit", "limit")
    assert [entry.event for entry in events(bench)] == ["frame-too-big"]
    frames = [json.loads(record.body) for record in bench.records() if record.kind is RecordKind.TRANSACTION]
    assert [json.loads(frame["frame"])[3]["meterStart"] for frame in frames] == [1, 3]


def test_session_of_a_day_arrives_in_one_message(bench: Bench) -> None:
    """Of a station that was alone: what is not taken here it would send again for ever."""
    value = {"value": "12345.6", "context": "Sample.Periodic", "measurand": "Power.Active.Import", "unit": "W"}
    sampled = {"timestamp": "2026-11-23T12:00:00Z", "sampledValue": [value] * 5}

    async def part(ports: Ports) -> None:
        station = await ports.connect("CP-1")
        number = (await ask(station, START % 1))[2]["transactionId"]
        stop = {"transactionId": number, "meterStop": 2, "timestamp": "2026-11-23T13:00:00Z"}
        frame = json.dumps([2, "e", "StopTransaction", stop | {"transactionData": [sampled] * 1440}])
        assert len(frame) > LARGE_FROM
        assert (await ask(station, frame))[0] == 3

    play(bench, part)
    assert bench.reader.execute("SELECT count(*) FROM sessions WHERE ended_at IS NULL").fetchone() == (0,)
    assert bench.reader.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


def test_who_has_proven_nothing_sends_no_large_frame(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect("CP-1", password="")
        await station.send_str(START % 1 + " " * SMALL)
        assert await ended(station) == WSCloseCode.MESSAGE_TOO_BIG

    lab = Port("lab", "127.0.0.1", 0, SecurityProfile.UNAUTHENTICATED)
    bare = Account(charger_id="CP-1", password=None, client_name="CP-1")
    play(bench, part, Entrance(ports=(lab,), accounts={"cp-1": bare}))


def test_only_so_many_large_frames_are_on_their_way_at_once(bench: Bench) -> None:
    """Who begins one and does not end it is cut off, and then the one that waits has its turn."""
    names = [f"CP-{number}" for number in range(AT_ONCE + 2)]
    begun = masked(b" " * (LARGEST - 1000))[: LARGE_FROM + 300_000]
    bounds = replace(FAST, ping_interval_s=1.0)

    async def part(ports: Ports) -> None:
        async def begin(name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(*ports.place())
            writer.write(handshake(name, ports.address))
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            writer.write(begun)
            return reader, writer

        slow = [await begin(name) for name in names[:AT_ONCE]]
        for _, writer in slow:
            await writer.drain()
        last, other = await ports.connect(names[-2]), await ports.connect(names[-1])
        answer = asyncio.create_task(ask(last, START % 1 + " " * (LARGEST - 1000)))
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert (await answer)[0] == 3
        for reader, writer in slow:
            with suppress(ConnectionError):
                assert await reader.read() in (b"", b"\x89\x00")
            writer.close()

    play(bench, part, entrance(names=names, bounds=bounds))


@pytest.mark.parametrize("deflated", [False, True])
def test_oversize_message_in_fragments_ends_its_sender_alone(bench: Bench, deflated: bool) -> None:
    async def part(ports: Ports) -> None:
        other = await ports.connect("CP-2")
        extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"
        reader, writer = await asyncio.open_connection(*ports.place())
        writer.write(handshake("CP-1", ports.address, *([extension] if deflated else [])))
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = packer.compress(b" " * 300_000_000) + packer.flush() if deflated else b" " * 5_000_000
        pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
        async with asyncio.timeout(60):
            try:
                for number, piece in enumerate(pieces):
                    first = number == 0
                    writer.write(masked(piece, opcode=int(first), flags=0x40 if deflated and first else 0))
                    await writer.drain()
                writer.write(masked(b"", opcode=0))
                while await reader.read(4096):
                    continue
            except ConnectionError:
                pass
        writer.close()
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"
        assert ports.server.connected == 1

    play(bench, part)


def test_binary_frame_is_not_ocpp(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect()
        await station.send_bytes((START % 1).encode())
        assert await ended(station) == WSCloseCode.UNSUPPORTED_DATA

    play(bench, part)
    assert bench.records() == []


def test_text_that_is_not_utf8_ends_its_sender(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect()
        await station.send_frame(b'[2,"\xff","Heartbeat",{}]', WSMsgType.TEXT)
        assert await ended(station) == WSCloseCode.INVALID_TEXT
        assert (await ask(await ports.connect(), BOOT))[2]["status"] == "Accepted"

    play(bench, part)


def test_store_that_fails_ends_the_connection_without_an_answer(bench: Bench) -> None:
    """OCPP 2.0.1 E13: the station keeps its queue and does not count an attempt."""

    async def part(ports: Ports) -> None:
        station, other = await ports.connect("CP-1"), await ports.connect("CP-2")
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
        again = await ports.connect("CP-1")
        assert (await ask(again, grown))[0] == 3
        assert (await ask(again, START % 2))[0] == 3

    play(bench, part)
    assert [record.kind for record in bench.records()].count(RecordKind.TRANSACTION) == 3
    bench.check_chain()


def test_station_that_does_not_read_is_let_go(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        other = await ports.connect("CP-2")
        loop = asyncio.get_running_loop()
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            await loop.sock_connect(raw, ports.place())
            await loop.sock_sendall(raw, handshake("CP-1", ports.address))
            assert b"101" in await loop.sock_recv(raw, 4096)
            unread = masked(f'[2,"{"i" * 255}","{"F" * 200}",{{}}]'.encode()) * 100
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(pour(raw, unread, other), 60)
        assert (await ask(await ports.connect("CP-1"), BOOT))[2]["status"] == "Accepted"

    play(bench, part, entrance(bounds=FAST))


async def pour(raw: socket.socket, unread: bytes, other: aiohttp.ClientWebSocketResponse) -> None:
    """Send for ever and read nothing; another station is served meanwhile."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(raw, unread)
        assert (await ask(other, BOOT))[2]["status"] == "Accepted"


def test_stopping_does_not_wait_for_each_silent_station_in_turn(bench: Bench) -> None:
    """A dead station answers no close frame; a site of a hundred must not take minutes to stop."""

    async def run() -> float:
        loop = asyncio.get_running_loop()
        raws = []
        async with listening(bench) as ports:
            for name in NAMES:
                raw = socket.socket()
                raws.append(raw)
                raw.setblocking(False)
                await loop.sock_connect(raw, ports.place())
                await loop.sock_sendall(raw, handshake(name, ports.address))
                assert b"101" in await loop.sock_recv(raw, 4096)
            assert ports.server.connected == len(NAMES)
            begun = loop.time()
            await ports.server.stop()
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
    async def part(ports: Ports) -> None:
        reader, writer = await asyncio.open_connection(*ports.place())
        writer.write(request_line)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert (await ask(await ports.connect(), BOOT))[2]["status"] == "Accepted"

    play(bench, part)
