"""Looks through the whole ledger for damage, in slices beside the stations (`gateway.store.soundness`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

from gateway.errors import StoreError
from gateway.log import say
from gateway.store.soundness import Fault, inspect

EVERY_S = 24 * 3600.0
AGAIN_S = 60.0
SHARE = 20
"""A slice takes at most one part in so many of the time."""


class Inspection:
    """Inspects the ledger at `path` again and again. `damaged` is called, once, for what ends the epoch; `audit` with
    event and message for what is only told."""

    def __init__(
        self,
        path: Path,
        damaged: Callable[[str], None],
        audit: Callable[[str, str], Awaitable[None]],
        again_s: float = AGAIN_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._path, self._damaged, self._audit = path, damaged, audit
        self._again_s, self._every_s = again_s, every_s
        self._told: set[str] = set()
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Somebody could not read the ledger: look again soon."""
        self._doubted.set()

    async def run(self) -> None:
        """Inspect until cancelled, or until the epoch has to end; at the most once in `again_s`."""
        while True:
            self._doubted.clear()
            try:
                if await self.round():
                    return
            except StoreError as error:
                say("inspection-failed", level="warning", reason=str(error))
                self._doubted.set()
            await asyncio.sleep(self._again_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._doubted.wait()

    async def round(self, share: int = SHARE) -> bool:
        """Look through all of it; says whether the epoch has to end. Raises StoreError."""
        with closing(inspect(self._path)) as slices:
            while True:
                begun = monotonic()
                fault = await _next(slices)
                if fault is _END:
                    return False
                if isinstance(fault, Fault):
                    if fault.ends_epoch:
                        self._damaged(fault.message)
                        return True
                    await self._tell(fault)
                await asyncio.sleep((monotonic() - begun) * (share - 1))

    async def _tell(self, fault: Fault) -> None:
        if fault.message not in self._told:
            self._told.add(fault.message)
            message = f"{fault.message}; the hub has acknowledged it; `pnc-gateway ledger verify` says more"
            say("ledger-altered", level="error", reason=message)
            await self._audit("ledger-altered", message)


async def _next(slices: Iterator[Fault | None]) -> object:
    """The next item, _END behind the last. Cancelled, it ends when the slice is done: closed while a thread is at work
    in it, a generator raises ValueError, and its connection stays open."""
    slice_ = asyncio.ensure_future(asyncio.to_thread(next, slices, _END))
    try:
        return await asyncio.shield(slice_)
    finally:
        await asyncio.wait({slice_})


_END = object()
