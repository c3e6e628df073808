"""Serves, and serves again when a new epoch of the ledger begins with a start.

A start that was asked for by nobody must not end the site: what keeps it from succeeding, as a full disk does, is said
and waited for. Nothing listens meanwhile, so that stations keep what they have to tell.

An end has a bound. What is not over by then is over all the same, as by kill -9, which loses nothing; where each thread
stood is written to standard error, for whoever is to mend it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError
from gateway.log import say

AGAIN_IN_S = 2.0
END_WITHIN_S = 60.0
"""Less than the 90 s after which systemd kills, and nobody learns why."""
_STDERR = 2


def keep_serving(serve: Callable[[asyncio.Event], Awaitable[bool]], again_in_s: float = AGAIN_IN_S) -> None:
    """Return once `serve` was told to stop; it says whether to start again at once. It is given the event by which it
    is told, and that it sets on a signal: one that comes when it has looked its last ends the serving, too.

    Raises:
        GatewayError: the first start failed. Who started it may do so again.
    """

    wanted = _once(serve)
    said = ""
    while wanted:
        try:
            wanted, said = _once(serve), ""
        except GatewayError as error:
            news, said = str(error) if str(error) != said else None, str(error)
            wanted = asyncio.run(_still_wanted_after(again_in_s, news))


def must_end(within_s: float = END_WITHIN_S) -> None:
    """To be called when a run is to end: after so long the process ends with status 1, whatever it is at."""
    faulthandler.dump_traceback_later(within_s, exit=True, file=_STDERR)


def _once(serve: Callable[[asyncio.Event], Awaitable[bool]]) -> bool:
    """Whether to serve again. Raises GatewayError."""
    stop = asyncio.Event()

    async def run() -> bool:
        return await serve(stop)

    try:
        return asyncio.run(run()) and not stop.is_set()
    finally:
        faulthandler.cancel_dump_traceback_later()


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
