"""The end of a server that a test ran in its own event loop."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def end_server(runner: web.AppRunner) -> None:
    """Cut what is connected still, then clean up: a peer that does not say goodbye (a gateway that is being stopped, a
    machine with other things to do) would leave a connection half closed behind the loop's end, and Python warns of
    it in whichever test comes next."""
    for connection in () if runner.server is None else runner.server.connections:
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0)
    await runner.cleanup()
