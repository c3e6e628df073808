"""The way to the hub through bad networks: what stands in it is named as what it is, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import ConfigurationError, UplinkError
from gateway.uplink.exchange import COMPRESS_ABOVE, HubExchange
from gateway.uplink.proxy import proxy_for
from gateway.uplink.trouble import MAX_RETRY_AFTER_S, refused, retry_after_s
from tests.fault_proxy import HALF_OPEN, PASS, PORTAL, REFUSE, FaultProxy, Mood, cut, garbage, slow
from tests.gateway.conftest import link_settings, said
from tests.servers import end_server
from wire.sync_messages import HEADER_UNPACKED

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
HUB = "https://hub.example:8443"


@dataclass
class PlainHub:
    """A hub over mutual TLS that keeps what it was asked and answers as it is told."""

    answer: Answer
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    encodings: list[tuple[str | None, str | None]] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.StreamResponse:
        self.heard.append((request.path, await request.read()))
        self.encodings.append((request.headers.get("Content-Encoding"), request.headers.get(HEADER_UNPACKED)))
        return await self.answer(request)


async def fine(request: web.Request) -> web.StreamResponse:
    return said({"fine": True})


def through(
    lab: Path,
    part: Callable[[HubExchange, PlainHub, FaultProxy], Awaitable[None]],
    answer: Answer = fine,
    keepalive_s: float = 75.0,
    **more: Any,
) -> None:
    """Run `part` with an exchange, the fault proxy on its way, and a hub behind it."""

    async def run() -> None:
        hub = PlainHub(answer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(lab / "backend" / "hub.pem", lab / "backend" / "hub.key.pem")
        context.load_verify_locations(lab / "backend" / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", hub.hear)
        runner = web.AppRunner(app, shutdown_timeout=0.1, keepalive_timeout=keepalive_s)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        async with asyncio.timeout(60), FaultProxy(runner.addresses[0][1]) as way:
            settings = link_settings(lab, f"https://127.0.0.1:{way.port}")
            exchange = HubExchange(replace(settings, **({"request_timeout_s": 30.0} | more)))
            try:
                await part(exchange, hub, way)
            finally:
                await exchange.close()
                await end_server(runner)

    asyncio.run(run())


async def trouble(exchange: HubExchange, within_s: float = 0.6) -> str:
    """The code of what goes wrong when the hub is asked, and has so long for its answer. Whatever is to succeed has
    all the time that a slow machine takes."""
    patient = exchange.settings
    exchange.settings = replace(patient, request_timeout_s=within_s)
    with pytest.raises(UplinkError) as raised:
        await exchange.ask("POST", "/question", b"{}")
    exchange.settings = patient
    assert str(raised.value)
    return raised.value.code


@pytest.mark.parametrize(
    ("mood", "code"),
    [
        (REFUSE, "unreachable"),
        (PORTAL, "not-tls"),
        (garbage(1), "not-tls"),
        (HALF_OPEN, "timeout"),
        (cut(up=100), "unreachable"),
        (cut(down=1000), "unreachable"),
        (slow(delay_s=0.5), "timeout"),
    ],
    ids=["refused", "portal", "noise", "half open", "cut on the way up", "cut on the way back", "too slow"],
)
def test_what_stands_in_the_way_is_named_and_gone_when_it_is_gone(lab: Path, mood: Mood, code: str) -> None:
    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        way.mood = mood
        assert await trouble(exchange) == code
        way.mood = PASS
        assert (await exchange.ask("POST", "/question", b"{}")).status == 200

    through(lab, part)


def test_connection_that_went_silent_is_given_up_in_time_and_not_used_again(lab: Path) -> None:
    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        await exchange.ask("POST", "/question", b"{}")
        way.mood = HALF_OPEN
        assert await trouble(exchange, within_s=0.3) == "timeout"
        way.mood = PASS
        assert (await exchange.ask("POST", "/question", b"{}")).status == 200
        assert len(hub.heard) == 2

    through(lab, part)


def test_download_that_stands_still_is_given_up_although_it_may_take_long(lab: Path) -> None:
    silence = asyncio.Event()

    async def halfway(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream", "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x")
        await silence.wait()
        return response

    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        with pytest.raises(UplinkError) as raised:
            await exchange.fetch("/part", most=64 * 1024 * 1024)
        assert raised.value.code == "timeout"
        silence.set()

    through(lab, part, halfway, request_timeout_s=0.3)


def test_connection_that_the_hub_closed_meanwhile_costs_nothing(lab: Path) -> None:
    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        for _ in range(3):
            await exchange.ask("POST", "/question", b"{}")
        assert way.accepted == 1, "connections are kept"
        way.reset_all()
        assert (await exchange.ask("POST", "/question", b"{}")).status == 200
        assert way.accepted == 2

    through(lab, part)


def test_long_bodies_go_compressed_and_arrive_whole(lab: Path) -> None:
    long, short = b'{"x":"' + b"charging " * 20_000 + b'"}', b"x" * COMPRESS_ABOVE

    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        await exchange.ask("POST", "/long", long)
        assert way.passed[True] < len(long) // 10
        await exchange.ask("POST", "/short", short)
        assert hub.heard == [("/long", long), ("/short", short)]
        assert hub.encodings == [("gzip", str(len(long))), (None, None)]

    through(lab, part)


def test_answer_beyond_its_bound_is_not_read(lab: Path) -> None:
    async def long(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b"x" * 100_000, content_type="application/octet-stream")
        response.enable_compression()
        return response

    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        assert len(await exchange.fetch("/part", most=100_000)) == 100_000
        with pytest.raises(UplinkError) as raised:
            await exchange.fetch("/part?since=1", most=99_999)
        assert raised.value.code == "too-long"
        assert "since" not in str(raised.value)

    through(lab, part, long)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_hub_that_does_not_take_our_certificate_is_named_so(lab: Path, version: ssl.TLSVersion) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.maximum_version = version
    bare.load_verify_locations(lab / "backend" / "ca.pem")

    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        with pytest.raises(UplinkError, match="does not take this gateway's certificate") as raised:
            await exchange.ask("POST", "/question", b"{}")
        assert raised.value.code in {"own-certificate", "unreachable"}, "the alert may be lost"
        assert hub.heard == []

    through(lab, part, tls=bare)


def test_one_who_is_not_the_hub_is_named_so(lab: Path) -> None:
    """Its certificate is another's."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    other.load_verify_locations(next((lab / "trust" / "v2g").glob("*.pem")))

    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        assert await trouble(exchange) == "wrong-certificate"
        assert hub.heard == []

    through(lab, part, tls=other)


# --- what an answer is that was not wanted


@pytest.mark.parametrize(
    ("status", "media", "headers", "body", "code", "wait_s"),
    [
        (302, "text/html", {"Location": "http://10.0.0.1/login"}, b"", "captive-portal", None),
        (200, "text/html", {}, b"<html>", "captive-portal", None),
        (511, "text/html", {}, b"<html>", "captive-portal", None),
        (502, "text/html", {}, b"<html>", "not-a-hub", None),
        (503, "text/html", {"Retry-After": "7"}, b"<html>", "busy", 7.0),
        (429, "application/problem+json", {}, b'{"type":"urn:pncgate:problem:busy","detail":"x"}', "busy", None),
        (
            403,
            "application/problem+json",
            {},
            b'{"type":"urn:pncgate:problem:unknown-gateway"}',
            "unknown-gateway",
            None,
        ),
        (403, "application/problem+json", {}, b'{"type":"urn:else:x"}', "not-a-hub", None),
        (403, "application/problem+json", {}, b"[" * 10_000, "not-a-hub", None),
        (404, "application/json", {}, b"{}", "not-a-hub", None),
    ],
)
def test_answer_that_was_not_wanted_is_named(
    status: int, media: str, headers: dict[str, str], body: bytes, code: str, wait_s: float | None
) -> None:
    found = refused("/sync/v1/hello?x=1", status, media, headers, body)
    assert (found.code, found.status, found.retry_after_s) == (code, status, wait_s)
    assert "/sync/v1/hello " in str(found)


def test_text_of_a_problem_cannot_forge_a_line() -> None:
    body = b'{"type":"urn:pncgate:problem:busy","detail":"a\\n\\u001b[31mb"}'
    assert str(refused("/x", 403, "application/problem+json", {}, body)).isprintable()


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "999999999"}, MAX_RETRY_AFTER_S),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\u0661"}, None),
        ({"Retry-After": "Sun, 29 Nov 2026 12:01:00 GMT", "Date": "Sun, 29 Nov 2026 12:00:00 GMT"}, 60.0),
        ({"Retry-After": "Sun, 29 Nov 2026 11:01:00 GMT", "Date": "Sun, 29 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"Retry-After": "Sun, 29 Nov 2026 12:01:00 GMT"}, None),
        ({"Retry-After": "Sun, 29 Nov 2026 12:01:00", "Date": "Sun, 29 Nov 2026 12:00:00 GMT"}, None),
        ({"Retry-After": "Sun, 99 Nov 99999 12:01:00 GMT", "Date": "Sun, 29 Nov 2026 12:00:00 GMT"}, None),
    ],
)
def test_server_said_delay_is_read_without_our_clock(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers) == wait_s


# --- proxies


@dataclass
class ConnectProxy:
    """An HTTP proxy that knows CONNECT; `password` is asked for, if there is one."""

    password: str | None = None
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.partition("\r\n")[0].split(" ")
        assert method == "CONNECT"
        self.asked.append(target)
        if self.password is not None:
            wanted = base64.b64encode(f"box:{self.password}".encode()).decode()
            if f"Proxy-Authorization: Basic {wanted}" not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                writer.close()
                return
        host, _, port = target.partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while piece := await source.read(65536):
                    sink.write(piece)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


def test_proxy_passes_mutual_tls_through_and_keeps_its_password(lab: Path) -> None:
    async def part(exchange: HubExchange, hub: PlainHub, way: FaultProxy) -> None:
        proxy = ConnectProxy("s3cret")
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
            at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

            async def asked(credentials: str) -> int:
                found = proxy_for(exchange.settings.hub, f"http://{credentials}{at}", {})
                assert found is not None
                assert "s3cret" not in repr(found)
                other = HubExchange(replace(exchange.settings, proxy=found))
                try:
                    for _ in range(2):
                        status = (await other.ask("POST", "/question", b"{}")).status
                    return status
                finally:
                    await other.close()

            assert await asked("box:s3cret@") == 200
            assert proxy.asked == [f"127.0.0.1:{way.port}"], "the tunnel is kept"
            with pytest.raises(UplinkError, match="407") as raised:
                await asked("box:wr0ng@")
            assert raised.value.code == "proxy"
            assert "wr0ng" not in str(raised.value)
        with pytest.raises(UplinkError, match="cannot be reached") as raised:
            await asked("box:s3cret@")
        assert raised.value.code == "proxy"
        assert "s3cret" not in str(raised.value)
        assert len(hub.heard) == 2

    through(lab, part)


@pytest.mark.parametrize(
    ("chosen", "environment", "at", "source"),
    [
        (None, {}, None, ""),
        ("http://p:1", {"HTTPS_PROXY": "http://q:2"}, "http://p:1", "[uplink] proxy"),
        ("direct", {"HTTPS_PROXY": "http://q:2"}, None, ""),
        (None, {"HTTPS_PROXY": "http://q:2"}, "http://q:2", "HTTPS_PROXY"),
        (None, {"HTTPS_PROXY": "http://q:2", "https_proxy": "r:3"}, "http://r:3", "HTTPS_PROXY"),
        (None, {"HTTPS_PROXY": ""}, None, ""),
        (None, {"HTTP_PROXY": "http://q:2"}, None, ""),
        (None, {"HTTPS_PROXY": "q:2", "NO_PROXY": "other.example, .example"}, None, ""),
        (None, {"HTTPS_PROXY": "q:2", "no_proxy": "hub.example:8443"}, None, ""),
        (None, {"HTTPS_PROXY": "q:2", "NO_PROXY": "hub.example:443,b.example,xample"}, "http://q:2", "HTTPS_PROXY"),
        (None, {"HTTPS_PROXY": "q:2", "NO_PROXY": "*"}, None, ""),
        ("http://p:1", {"NO_PROXY": "*"}, "http://p:1", "[uplink] proxy"),
    ],
)
def test_proxy_is_the_configurations_or_the_environments(
    chosen: str | None, environment: dict[str, str], at: str | None, source: str
) -> None:
    found = proxy_for(HUB, chosen, environment)
    assert (None if found is None else (str(found.url).rstrip("/"), found.source)) == (at and (at, source))


@pytest.mark.parametrize(
    "text", ["https://p:1", "socks5://p:1", "http://", "http://p:port", "http://p:1/x", "http://s3cret@[::1"]
)
def test_proxy_that_cannot_be_used_is_refused_without_its_password(text: str) -> None:
    for chosen, environment in ((text, {}), (None, {"HTTPS_PROXY": text})):
        with pytest.raises(ConfigurationError) as raised:
            proxy_for(HUB, chosen, environment)
        assert "expected http://HOST:PORT" in str(raised.value)
        assert "s3cret" not in str(raised.value)
