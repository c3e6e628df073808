"""Work that is done again and again, and tasks that go on beside their caller: begun, woken and ended the same way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine

from hub.errors import HubError

_log = logging.getLogger(__name__)


class Repeated:
    """Does `work` every `every_s` seconds, and at once when it is woken. What fails is said and tried again later."""

    def __init__(self, name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._name, self._every_s, self._work = name, every_s, work
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Do it now."""
        self._woken.set()

    async def close(self) -> None:
        """Stop; what is under way is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._work()
            except HubError as error:
                _log.error(f"{self._name}-failed", extra={"fields": {"code": error.code, "reason": str(error)}})
            try:
                async with asyncio.timeout(self._every_s):
                    await self._woken.wait()
            except TimeoutError:
                continue


class Beside:
    """Tasks that nobody waits for, until `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[None, None, None]) -> None:
        """Begin some work. It says itself what goes wrong."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
