"""How connections arrive: deadlines, bounds, identities and headers with tricks in them, and who takes whose place."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import WSCloseCode

from gateway.chargers.crowd import address_of
from gateway.chargers.port import Bounds
from tests.gateway.conftest import Bench
from tests.gateway.house import House, said, tls_port
from tests.gateway.ports import PLAIN, Ports, ask, ended, entrance, handshake, masked, play, raw
from tests.gateway.rough_pki import Papers
from tests.processes import free_port


@pytest.fixture
def house(tmp_path: Path, papers: Papers) -> House:
    return House(tmp_path, papers)


async def answered(ports: Ports, request: bytes) -> bytes:
    """What a raw request hears, to the end of the head."""
    async with raw(ports) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(20):
            return (await reader.read(4096)).partition(b"\r\n\r\n")[0]


def status(head: bytes) -> int:
    return int(head.split()[1])


# --- identities and headers


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ocpp/CP-1", 101),
        ("/ocpp/cp-1", 101),
        ("/ocpp/CP%2D1", 101),
        ("/ocpp/%43P-1", 101),
        ("/ocpp/1.6/CP-1", 101),
        ("/ocpp/2.0.1/CP-1", 101),
        ("/ocpp/ocpp2.1/CP-1", 101),
        ("/ocpp/1.6J/CP-1", 101),
        ("/ocpp/CP-1?x=1", 101),
        ("/ocpp/CP-1%00", 404),
        ("/ocpp/CP-1%0a", 404),
        ("/ocpp/CP-1%0d%0aX:%201", 404),
        ("/ocpp/x%2FCP-1", 404),
        ("/ocpp/..%2f..%2fCP-1", 404),
        ("/ocpp/%2e%2e", 404),
        ("/ocpp/CP%252D1", 404),
        ("/ocpp/CP-1%E2%80%AE", 404),
        ("/ocpp/CP-1%FF", 404),
        ("/ocpp/CP-1:CP-1", 404),
        ("/ocpp/" + "C" * 49, 404),
        ("/ocpp/" + "C" * 3000, 400),
        ("/ocpp/", 404),
        ("/ocpp", 404),
        ("/OCPP/CP-1", 404),
        ("/ocpp/nonsense/CP-1", 404),
        ("/ocpp//CP-1", 404),
        ("//ocpp/CP-1", 404),
        ("/ocpp/CP-1/", 404),
        ("/ocpp/../CP-1", 404),
        ("/ocpp/..", 404),
        ("/ocpp/.%2e/CP-1", 404),
        ("http://elsewhere.example/ocpp/CP-1", 101),
        ("*", 400),
    ],
)
def test_identity_is_the_last_of_the_path_and_nothing_else(bench: Bench, path: str, expected: int) -> None:
    async def part(ports: Ports) -> None:
        head = await answered(ports, handshake("CP-1", ports.address, path=path))
        assert status(head) == expected, head
        if expected == 101:
            assert b"ocpp1.6" in head, "the path does not select the version"
        else:
            assert b"\xff" not in head

    play(bench, part)


def test_password_of_one_identity_does_not_open_another_spelling_of_it(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        for name in ("CP-2", "CP-1 ", " CP-1", "CP-10"):
            path = f"/ocpp/{name.replace(' ', '%20')}"
            head = await answered(ports, handshake("CP-1", ports.address, path=path))
            assert status(head) == (401 if name == "CP-2" else 404)

    play(bench, part)


GOOD = base64.b64encode(b"CP-1:CP-1").decode()
BAD = base64.b64encode(b"CP-1:wrong").decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((f"Authorization: Basic {GOOD}",), 400),
        ((f"Authorization: Basic {BAD}",), 400),
        (("authorization: Bearer x",), 400),
        (("X: é",), 101),
        (("X: \udcff\udcfe",), 101),
        (("Origin: http://elsewhere.example",), 101),
        (("X-Forwarded-For: 1.2.3.4",), 101),
        (("Content-Length: 5",), 101),
        (("Transfer-Encoding: chunked", "Content-Length: 5"), 400),
        (("X: " + "y" * 5000,), 400),
        (tuple(f"X{n}: y" for n in range(100)), 400),
    ],
)
def test_headers_with_tricks_in_them(bench: Bench, headers: tuple[str, ...], expected: int) -> None:
    async def part(ports: Ports) -> None:
        assert status(await answered(ports, handshake("CP-1", ports.address, *headers))) == expected
        assert (await ask(await ports.connect("CP-2")))[0] == 3

    play(bench, part)


@pytest.mark.parametrize(
    "authorization",
    ["Basic é", "Basic \udcff\udcfe", "Basic", "", "Basic " + "A" * 3000, f"Basic\t{GOOD}", f"basic  {BAD}"],
)
def test_odd_authorization_is_401_or_400(bench: Bench, authorization: str) -> None:
    async def part(ports: Ports) -> None:
        text = handshake("CP-1", ports.address).decode().replace(f"Basic {GOOD}", authorization, 1)
        assert status(await answered(ports, text.encode(errors="surrogateescape"))) in (400, 401)

    play(bench, part)


def test_what_asks_for_no_websocket_is_told_and_not_let_in(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        good = handshake("CP-1", ports.address)
        for old, new in (
            (b"Upgrade: websocket\r\n", b""),
            (b"Version: 13", b"Version: 9"),
            (b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"),
            (b"GET", b"POST"),
            (b"GET", b"HEAD"),
        ):
            assert status(await answered(ports, good.replace(old, new, 1))) in (400, 404), new
        assert ports.server.connected == 0

    play(bench, part)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("ocpp1.6",), "1.6"),
        (("ocpp1.6", "ocpp2.0.1"), "1.6"),
        (("ocpp2.0.1", "ocpp1.6"), "2.0.1"),
        (("ocpp9", "ocpp2.1", "ocpp1.6"), "2.1"),
        (("ocpp1.5", "ocpp2.0"), None),
        (("OCPP1.6",), None),
        ((), None),
    ],
)
def test_first_version_of_the_station_that_we_speak(
    bench: Bench, offered: tuple[str, ...], chosen: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    async def part(ports: Ports) -> None:
        station = await ports.connect(protocols=offered)
        if chosen is None:
            assert station.protocol is None
            assert await ended(station) == WSCloseCode.PROTOCOL_ERROR
        else:
            assert station.protocol == f"ocpp{chosen}"

    play(bench, part)
    lines = said(capfd, "charger-connected")
    assert [line["ocpp"] for line in lines] == ([] if chosen is None else [chosen])


def test_who_asks_for_something_else_is_not_kept(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        async with raw(ports) as (reader, writer), asyncio.timeout(10):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
            assert (await reader.read()).count(b"HTTP/1.1 404") == 1

    play(bench, part)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_nothing_a_stranger_sends_gets_into_the_log(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    async def part(ports: Ports) -> None:
        for path in ("/ocpp/%0a%7b%22event%22:%22forged%22%7d", "/ocpp/%1b[31m", "/ocpp/secret%00"):
            await answered(ports, handshake("CP-1", ports.address, path=path))
        await answered(ports, handshake("secret-user", ports.address, path="/ocpp/CP-1"))

    play(bench, part)
    out = capfd.readouterr().out
    assert {json.loads(line)["event"] for line in out.splitlines()} == {"charger-refused"}
    assert "forged" not in out
    assert "secret" not in out
    assert "\x1b" not in out


# --- time


SHORT = Bounds(handshake_timeout_s=0.5)


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send one byte after the other until the other end has had enough."""
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "sent", [b"", b"GET /ocpp/CP-1 HTTP/1.1\r\n" + b"X: y\r\n" * 500, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
)
def test_who_does_not_prove_itself_in_time_is_cut_off(bench: Bench, house: House, number: int, sent: bytes) -> None:
    async def part(ports: Ports) -> None:
        async with raw(ports, number) as (reader, writer), asyncio.timeout(10):
            dripping = asyncio.create_task(drip(writer, sent))
            try:
                while await reader.read(4096):
                    continue
            except ConnectionError:
                pass
            dripping.cancel()
        assert (await ask(await ports.connect("CP-2")))[0] == 3

    play(bench, part, entrance(PLAIN, tls_port(house, 2), bounds=SHORT))


def test_one_that_has_proven_itself_has_all_the_time(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        station, other = await ports.connect("CP-1"), await ports.connect("CP-2")
        async with raw(ports) as (reader, _), asyncio.timeout(10):
            assert await reader.read() == b""
        for each in (station, other):
            assert (await ask(each))[2]["status"] == "Accepted"

    play(bench, part, entrance(bounds=SHORT))


def test_refused_connection_does_not_stay_open(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        async with raw(ports) as (reader, writer), asyncio.timeout(10):
            writer.write(handshake("CP-2", ports.address, path="/ocpp/CP-1"))
            assert b" 401 " in await reader.read()

    play(bench, part)


# --- silence


def test_station_that_answers_no_ping_is_cut_off(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        alive = await ports.connect("CP-2")
        listening = asyncio.create_task(alive.receive())
        async with raw(ports) as (reader, writer), asyncio.timeout(20):
            writer.write(handshake("CP-1", ports.address))
            # An unfinished frame that drips on is no sign of life.
            dripping = asyncio.create_task(drip(writer, masked(b"x" * 60_000)))
            try:
                while await reader.read(4096):
                    continue
            except ConnectionError:
                pass
            dripping.cancel()
        assert not listening.done(), "who answers pings stays"
        listening.cancel()

    play(bench, part, entrance(bounds=Bounds(ping_interval_s=0.2)), watch_every_s=0.02)


# --- numbers


def test_connections_are_bounded_for_each_address(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        one, two = await ports.connect("CP-1"), await ports.connect("CP-2")
        async with raw(ports) as (reader, _), asyncio.timeout(10):
            assert await reader.read() == b"", "the third of two"
        assert (await ask(two))[0] == 3
        await one.close()
        await ports.doorman.until(lambda: ports.server.connected == 1)
        assert (await ask(await ports.connect("CP-3")))[0] == 3

    play(bench, part, entrance(bounds=Bounds(connections=3, connections_each=2)))


def test_crowd_of_silent_ones_keeps_nobody_out_for_long(bench: Bench) -> None:
    """More than there are places, from one address; the next waits for one of them and gets it."""
    bounds = Bounds(handshakes=8, handshakes_each=4, handshake_timeout_s=1.0)

    async def part(ports: Ports) -> None:
        silent = [await asyncio.open_connection(*ports.place()) for _ in range(30)]
        async with asyncio.timeout(20):
            while await reconnected(ports) != 101:
                continue
        for _, writer in silent:
            writer.close()

    async def reconnected(ports: Ports) -> int:
        try:
            return await ports.status("CP-1")
        except OSError:
            return 0

    play(bench, part, entrance(bounds=bounds))


def test_flood_from_one_address_pushes_out_itself(bench: Bench) -> None:
    """All places are taken by one address; another address gets in at once."""
    bounds = Bounds(handshakes=8, handshakes_each=8, handshake_timeout_s=60.0)
    loop_address = replace(PLAIN, host="0.0.0.0")

    async def part(ports: Ports) -> None:
        port = ports.place()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        with socket.socket() as other:
            other.setblocking(False)
            other.bind(("127.0.0.2", 0))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                await loop.sock_connect(other, ("127.0.0.1", port))
                await loop.sock_sendall(other, handshake("CP-1", ports.address))
                assert b"101" in await loop.sock_recv(other, 4096)
        for _, writer in silent:
            writer.close()

    play(bench, part, entrance(loop_address, bounds=bounds))


def test_name_with_two_addresses_is_served_at_both(bench: Bench) -> None:
    async def run(ports: Ports) -> None:
        for host in ("127.0.0.1", "localhost"):
            reader, writer = await asyncio.open_connection(host, ports.place()[1])
            writer.write(handshake("CP-1", ports.address))
            assert b"101" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

    play(bench, run, entrance(replace(PLAIN, host="localhost", port=free_port())))
