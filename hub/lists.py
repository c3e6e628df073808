"""What gateways are given of the token list: deltas, and snapshots that are made when they are asked for.

Rules
1. A snapshot is made in a thread when none is there that leads to the newest version. One that does is given, and made
   again beside it once deltas name a share of the list, or it is old.
   A newer one is made for a gateway that asks for it, but not one after the other.
2. What an erasure says (hub.store.whitelist, rule 5) is held in memory, for a day: gateways that ask meanwhile forget
   the token by it, all others by a snapshot.
3. An erasure deletes every snapshot. One that is being made is given up, and made again.
4. Processes that share a database and a folder (hub.workers) give the snapshot that was made last, by whichever. Each
   hears of the others' erasures.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from hub.errors import StoreError
from hub.store import snapshots
from hub.store.database import Database
from hub.store.snapshots import Stopped
from hub.store.whitelist import HISTORY_TOKENS, ListStanding, deltas_since, list_standing, named_since
from wire.tree_head import SigningKey, TreeHeadError
from wire.whitelist import PART_TOKENS, ListDelta, SignedManifest, sign_manifest, verify_manifest

_log = logging.getLogger(__name__)

KEPT = timedelta(days=1)
"""How long parts of a superseded snapshot stay, and what an erasure says."""
RENEWED_AFTER = timedelta(days=7)
PAUSE = 50
"""How many times as long as a snapshot took that followed another no newer one is made, if that one leads on."""
FEW_TOKENS = 10_000
TOLD_EVERY_S = 5.0
MAX_HELD = 64


class ListDesk:
    """One for each database. Without a key it gives nothing, and only forgets. Methods are for one event loop."""

    def __init__(self, database: Database, key: SigningKey | None = None, part_tokens: int = PART_TOKENS) -> None:
        self._database, self._key, self._part_tokens = database, key, part_tokens
        self.folder = database.state_dir / snapshots.FOLDER_NAME
        self._current: tuple[SignedManifest, datetime] | None = None
        self._making: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._not_before: datetime | None = None
        self._stop, self._closed = threading.Event(), False
        self._unstored: dict[int, tuple[ListDelta, datetime]] = {}
        self._shared = database.engine.is_shared

    async def start(self, at: datetime, *, beside_others: bool = False) -> None:
        """Take up the snapshot that lies there, if it is ours and leads to the list; delete what does not, unless it
        may be what a process `beside_others` is making."""
        try:
            signed = await asyncio.to_thread(snapshots.load_manifest, self.folder)
            if signed is not None and await self._leads_on(signed) is not None:
                self._current = (signed, at)
            elif not beside_others:
                # After an erasure while no hub ran, or a restored backup; or it is a beginning.
                await asyncio.to_thread(snapshots.delete_all, self.folder)
            await self._sweep(at)
        except StoreError as error:
            _log.error("list-snapshot-failed", extra={"fields": {"reason": str(error)}})

    async def close(self) -> None:
        """End the making of a snapshot."""
        self._closed = True
        self._stop.set()
        if self._making is not None:
            await asyncio.wait({self._making})

    async def standing(self) -> ListStanding:
        """The newest version of the list. Raises StoreError."""
        return await self._database.read(list_standing)

    async def deltas(self, since: int, chain: str, at: datetime) -> tuple[ListDelta, ...] | None:
        """The first deltas from a version with its chain value on; None when there is no way from it. Raises
        StoreError."""
        unstored = self._held(at)
        return await self._database.read(lambda connection: deltas_since(connection, since, chain, unstored))

    async def manifest(self, least: int, at: datetime, wait_s: float) -> SignedManifest | None:
        """A snapshot from which deltas lead to the newest version, itself of version `least` at least, if the list is;
        None when it is still being made after `wait_s`, or not to be made yet.

        Raises:
            StoreError: none can be made.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            signed = await self._fitting(least, at)
            if signed is not None:
                return signed
            if await self._is_too_soon(at):
                return None
            making = self._make(at)
            done, _ = await asyncio.wait({making}, timeout=deadline - asyncio.get_running_loop().time())
            if not done:
                return None
            try:
                making.result()
            except Stopped:
                if self._closed:
                    raise

    async def _fitting(self, least: int, at: datetime) -> SignedManifest | None:
        """The snapshot that is there, if it serves. Rules 1 and 4."""
        if self._shared:
            await self._adopt(at)
        current, standing = self._current, await self.standing()
        named = None if current is None else await self._leads_on(current[0])
        if current is None or named is None or current[0].manifest.version < min(least, standing.version):
            return None
        share = min(max(FEW_TOKENS, standing.tokens // 20), HISTORY_TOKENS // 2)
        if named > share or (named and at - current[1] > RENEWED_AFTER):
            self._make(at)
        return current[0]

    async def _adopt(self, at: datetime) -> None:
        """Take the snapshot that another process made since. Rule 4."""
        signed = await asyncio.to_thread(snapshots.load_manifest, self.folder)
        held = None if self._current is None else self._current[0]
        if signed is not None and signed != held and await self._leads_on(signed) is not None:
            self._current = (signed, at)

    async def _is_too_soon(self, at: datetime) -> bool:
        """Whether the snapshot that is there serves most, and followed another just now. Rule 1."""
        if self._current is None or self._not_before is None or at >= self._not_before:
            return False
        under_way = self._making is not None and not self._making.done()
        return not under_way and await self._leads_on(self._current[0]) is not None

    async def forget(self, deltas: Sequence[ListDelta], at: datetime) -> bool:
        """Hold what an erasure says, and delete every snapshot; False when that failed, which is logged. Rules 2, 3."""
        self._unstored.update({delta.version: (delta, at) for delta in deltas})
        for version in sorted(self._unstored)[:-MAX_HELD]:
            del self._unstored[version]
        self._stop.set()
        async with self._turn:
            self._current = None
            self._stop = self._stop if self._closed else threading.Event()
            try:
                await asyncio.to_thread(snapshots.delete_all, self.folder)
            except StoreError as error:
                _log.error("list-snapshot-failed", extra={"fields": {"reason": str(error)}})
                return False
        return True

    def _held(self, at: datetime) -> dict[int, ListDelta]:
        for version in [version for version, (_, since) in self._unstored.items() if at - since > KEPT]:
            del self._unstored[version]
        return {version: delta for version, (delta, _) in self._unstored.items()}

    async def _leads_on(self, signed: SignedManifest) -> int | None:
        """How many tokens the deltas name that lead from a snapshot to the newest version; None when it is no use."""
        if self._key is None:
            return None
        try:
            manifest = verify_manifest(signed, self._key.public_key)
        except TreeHeadError:
            return None
        unstored = {version: delta for version, (delta, _) in self._unstored.items()}
        return await self._database.read(
            lambda connection: named_since(connection, manifest.version, manifest.chain, unstored)
        )

    def _make(self, at: datetime) -> asyncio.Task[None]:
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._made(at))
            self._making.add_done_callback(_tell_failure)
        return self._making

    async def _made(self, at: datetime) -> None:
        """Make a snapshot and publish it. Raises StoreError."""
        if self._key is None:
            raise StoreError("snapshots are signed, and there is no key")
        async with self._turn:
            stop, engine = self._stop, self._database.engine
            progress = _Progress(stop)
            manifest = await asyncio.to_thread(snapshots.write_parts, engine, self.folder, progress, self._part_tokens)
            if stop.is_set():
                raise Stopped
            signed = sign_manifest(self._key, manifest)
            if self._current is not None:
                superseded = self._current[0].manifest.parts
                await asyncio.to_thread(snapshots.touch, self.folder, superseded, at.timestamp())
                self._not_before = at + timedelta(seconds=progress.seconds * (PAUSE + 1))
            await asyncio.to_thread(snapshots.save_manifest, self.folder, signed)
            self._current = (signed, at)
            await self._sweep(at)
        made = {"version": manifest.version, "tokens": manifest.tokens, "octets": manifest.octets}
        _log.info("list-snapshot", extra={"fields": {**made, "seconds": round(progress.seconds, 1)}})

    async def _sweep(self, at: datetime) -> None:
        kept = () if self._current is None else tuple(part.sha256 for part in self._current[0].manifest.parts)
        before = (at - KEPT).timestamp()
        await asyncio.to_thread(snapshots.sweep, self.folder, kept, before, shared=self._shared)


class _Progress:
    """Tells in the log how far a snapshot is. Called in its thread."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._began = stop, time.monotonic()
        self._told = self._began

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def __call__(self, written: int, tokens: int) -> bool:
        if time.monotonic() - self._told >= TOLD_EVERY_S:
            self._told = time.monotonic()
            _log.info("list-snapshot-progress", extra={"fields": {"written": written, "tokens": tokens}})
        return not self._stop.is_set()


def _tell_failure(making: asyncio.Task[None]) -> None:
    """Also when nobody waits for it any more."""
    error = None if making.cancelled() else making.exception()
    if error is not None and not isinstance(error, Stopped):
        _log.error("list-snapshot-failed", extra={"fields": {"reason": str(error)}})
