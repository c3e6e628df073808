"""Keeps the gateway's long-running tasks alive: the one place where any error is caught, said, and survived."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from gateway.log import say

RESTART_AFTER_S = 1.0


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run `run` for ever: when it fails, say so with its traceback and start it again. Returns when `run` returns."""
    while True:
        try:
            await run()
            return
        except Exception as error:  # noqa: BLE001  the one supervisor: a bug in one task must not end the site
            say("task-failed", level="error", task=name, reason=str(error), trace=traceback.format_exc())
        await asyncio.sleep(RESTART_AFTER_S)
