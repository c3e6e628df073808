"""The pools on a loopback port, and calls to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from pki.service.pool.routes import add_pool_routes
from pki.service.web.server import LINGERING_TIME_S
from tests.pki.pool.material import Shop

T = TypeVar("T")


@dataclass
class Answered:
    """What came back; `body` is read JSON, None when there was none."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    def refused(self, status: int, code: str) -> None:
        """It was refused with OPCP's body, which names the rule."""
        assert (self.status, set(self.body)) == (status, {"errorMessages", "traceId"}), (self.status, self.raw)
        (message,) = self.body["errorMessages"]
        assert message.startswith(f"{code}: "), message


@dataclass
class Caller:
    """Calls the pools as a registered client."""

    session: aiohttp.ClientSession
    base: str
    shop: Shop

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answered:
        """One call; `by` names the client."""
        sent = {**(self.shop.bearer(by) if by else {}), **(headers or {})}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.base + path, data=data, headers=sent) as answer:
            return Answered(answer.status, dict(answer.headers), await answer.read())


@asynccontextmanager
async def serving(shop: Shop) -> AsyncIterator[Caller]:
    """The pools, listening."""
    app = web.Application()
    add_pool_routes(app, shop.pools)
    runner = web.AppRunner(app, access_log=None, lingering_time=LINGERING_TIME_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as session:
            yield Caller(session, f"http://{host}:{port}", shop)
    finally:
        await runner.cleanup()


def calling(shop: Shop, script: Callable[[Caller], Awaitable[T]]) -> T:
    """Run a script of calls."""

    async def run() -> T:
        async with serving(shop) as call:
            return await script(call)

    return asyncio.run(run())
