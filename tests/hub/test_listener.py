"""Listeners: who connects and asks nothing is not kept."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from hub.config_source import Address, TLSFiles
from hub.web.server import Listener, server_context
from tests.hub.conftest import LittleCA


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_who_does_not_come_to_the_end_of_a_request_is_cut_off(tmp_path: Path, sent: bytes) -> None:
    ca = LittleCA(tmp_path)
    certificate, key = ca.issue("server")

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def tried() -> tuple[bytes, bytes]:
        application = web.Application()
        application.router.add_get("/", hello)
        context = server_context(TLSFiles(certificate, key))
        listener = Listener("test", application, Address("127.0.0.1", 0), context, first_request_s=0.5)
        host, _, port = (await listener.start()).rpartition(":")
        trusted = ssl.create_default_context(cafile=str(ca.path))
        try:
            slow = await asyncio.open_connection(host, int(port), ssl=trusted, server_hostname="localhost")
            quick = await asyncio.open_connection(host, int(port), ssl=trusted, server_hostname="localhost")
            slow[1].write(sent)
            answers = list[bytes]()
            for _ in range(2):
                quick[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answers.append(await quick[0].readuntil(b"hello"))
                async with asyncio.timeout(20):
                    ended = await slow[0].read()
            slow[1].close()
            quick[1].close()
            return ended, answers[1]
        finally:
            await listener.close()

    ended, answer = asyncio.run(tried())
    assert ended == b""
    assert answer.startswith(b"HTTP/1.1 200"), "who has asked once is kept for more"
