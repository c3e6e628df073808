"""Serves, and serves again when a new epoch of the ledger begins with a start.

A start that was asked for by nobody must not end the site: what keeps it from succeeding, as a full disk does, is said
and waited for. Nothing listens meanwhile, so that stations keep what they have to tell.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError
from gateway.log import say

AGAIN_IN_S = 2.0


def keep_serving(serve: Callable[[], Awaitable[bool]], again_in_s: float = AGAIN_IN_S) -> None:
    """Return once `serve` was told to stop; it says whether to start again at once.

    Raises:
        GatewayError: the first start failed. Who started it may do so again.
    """

    async def run() -> bool:
        return await serve()

    wanted = asyncio.run(run())
    said = ""
    while wanted:
        try:
            wanted, said = asyncio.run(run()), ""
        except GatewayError as error:
            news, said = str(error) if str(error) != said else None, str(error)
            wanted = asyncio.run(_still_wanted_after(again_in_s, news))


async def _still_wanted_after(wait_s: float, news: str | None) -> bool:
    """Whether nobody asked for the end meanwhile. `news`: why it is waited for, if that was not said yet."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if news is not None:
        say("start-failed", level="error", reason=news, again_in_s=wait_s)
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return True
    say("stopped")
    return False
