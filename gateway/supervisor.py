"""Keeps the gateway's long-running tasks alive: the one place where any error is caught, said, and survived."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from gateway.errors import StoreError, StoreUnavailable
from gateway.log import say

RESTART_AFTER_S = 1.0
WELL_AFTER_S = 60.0


async def supervise(name: str, run: Callable[[], Awaitable[None]], restart_after_s: float = RESTART_AFTER_S) -> None:
    """Run `run` for ever: when it fails, say so and start it again. Returns when `run` returns. Cancelled, it ends even
    when `run` fails on the way out: started again, it would keep waiting whoever waits for its end.

    That a store takes nothing now, as on a full disk, is no fault of the task: it is said once, in a line, until the
    task has gone well for WELL_AFTER_S or another thing is wrong. Anything else is said with its traceback.
    """
    loop = asyncio.get_running_loop()
    said = ""
    while True:
        began = loop.time()
        try:
            await run()
            return
        except (StoreError, StoreUnavailable) as error:
            if str(error) != said or loop.time() - began >= WELL_AFTER_S:
                said = str(error)
                say("task-waits", level="warning", task=name, reason=said)
        except Exception as error:  # noqa: BLE001  the one supervisor: a bug in one task must not end the site
            said = ""
            say("task-failed", level="error", task=name, reason=str(error), trace=traceback.format_exc())
        if _called_off():
            raise asyncio.CancelledError
        await asyncio.sleep(restart_after_s)


def _called_off() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
