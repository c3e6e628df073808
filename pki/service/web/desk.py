"""The way from the event loop to the registry, which waits for disks and signs: one thread, a queue with a bound.

While the queue is full new work is turned away at once (503), so that a flood neither fills memory nor makes everybody
wait for minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from pki.errors import KeyStoreError, StateError
from pki.service.web.problems import Problem

MAX_WAITING = 64
"""Acts that may wait for their turn: at some 5 ms each (a signature, a commit), a third of a second."""
P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """Runs acts one after the other in a thread of its own. `close` it."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting, self._waiting = max_waiting, 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registry")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns. A caller that goes away does not stop an act that has begun: it is committed or refused.

        Raises:
            Problem: 503 "busy" when too many wait; 503 with the error's code when the store or a key cannot be used;
                and whatever else `work` raises.
        """
        if self._waiting >= self._max_waiting:
            raise Problem(503, "busy", f"{self._waiting} requests are waiting", retry_after_s=2)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))
        future.add_done_callback(self._done)
        try:
            return await asyncio.shield(future)
        except (StateError, KeyStoreError) as error:
            remedy = "Tell the operator of this PKI; nothing was issued."
            raise Problem(503, error.code, str(error), remedy=remedy, retry_after_s=30) from error

    def close(self) -> None:
        """Let the act in progress end, and drop what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # asked for, so that an act whose caller went away is not reported as forgotten
