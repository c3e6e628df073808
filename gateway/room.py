"""Sees to it that there is room for evidence: looks at budget and disk, does what the level asks for
(`gateway.store.budget`), and gets the store going again when a commit has failed.

Rules
1. Every change of level is said and audited. A level that counts values instead of storing them is in force once its
   audit entry is durable: so what is missing is explained before it is missing.
2. What was counted is written down as a tombstone each minute, and at the end.
3. What the hub countersigned within the last day that it was there goes last, and only as far as it takes. The day
   ends at the earliest that it can be now, so that no wrong clock lets go of more.
4. After a failed commit: where the file system has less than is to stay free, the ballast is given up; then the store
   is opened anew and the end of its chain verified, the write-ahead log is brought into the file, and what the level
   asks for is done. The ballast is made again when there is room for it. A store that cannot be opened because it is
   damaged is told of: its epoch ends.
5. The write-ahead log is emptied at the start, and when nothing was stored for a while.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.clock import Moment
from gateway.errors import StoreError, StoreUnavailable
from gateway.log import say
from gateway.retention import Retention, in_steps
from gateway.store.ballast import Ballast
from gateway.store.budget import (
    ACTS,
    BELOW_TIMES_KEPT_FREE,
    MB,
    PAGE,
    WAL_ROOM,
    WAL_USUAL,
    Act,
    Level,
    Room,
    RoomSettings,
    level_of,
)
from gateway.store.ledger import SCHEMA, Identity, append, head
from gateway.store.receipts import last_countersigned_at
from gateway.store.segments import drop_segment, dropped, forget_traces
from gateway.store.shedding import Thinning, bury_unkept
from gateway.store.soundness import find_damage
from gateway.store.unkept import unkept
from gateway.store.writer import Work, Writer
from wire.chain import RecordKind
from wire.records import AuditEntry, ClockState, Value

LOOK_EVERY_S, BURY_EVERY_S = 5.0, 60.0
_WORTH_EMPTYING = 64 * 1024


def measure(settings: RoomSettings, ledger: sqlite3.Connection) -> Room:
    """How much room there is now; what the write-ahead log will take again is not free. Raises sqlite3.Error and
    OSError."""
    pages, spare = (ledger.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    disk = os.statvfs(settings.ledger.parent)
    to_come = max(0, WAL_USUAL - size_of(settings.wal))
    free = disk.f_bavail * disk.f_frsize + spare * PAGE - to_come
    return Room(budget=settings.max_pages * PAGE, used=(pages - spare) * PAGE, free=free, keep_free=settings.keep_free)


def to_spare(settings: RoomSettings) -> int:
    """How many octets others may take of the disk, so that nothing need be done for room. Raises OSError."""
    disk = os.statvfs(settings.ledger.parent)
    kept = BELOW_TIMES_KEPT_FREE[Level.TIGHT] * settings.keep_free
    return disk.f_bavail * disk.f_frsize - kept - kept // 4


class Standing(Value, frozen=True, kw_only=True):
    """How it stands with the room: the level that these figures come to, whatever was before. In octets `used` of the
    `budget`, `free` for it on the disk where `keep_free` are to stay free, and the write-ahead log. `dropped`: up to
    which record the rows are gone; `unkept`: messages that were counted and that no tombstone has yet; `ballast`:
    whether it is there."""

    level: str
    used: int
    budget: int
    free: int
    keep_free: int
    wal: int
    dropped: int
    unkept: int
    ballast: bool


def standing(settings: RoomSettings, ledger: sqlite3.Connection) -> Standing:
    """How it stands with the room now. Raises sqlite3.Error and OSError."""
    room = measure(settings, ledger)
    return Standing(
        level=level_of(room, Level.PLENTY).name.lower(),
        used=room.used,
        budget=room.budget,
        free=max(0, room.free),
        keep_free=room.keep_free,
        wal=size_of(settings.wal),
        dropped=dropped(ledger).seq,
        unkept=unkept(ledger),
        ballast=ballast_of(settings).held,
    )


def ballast_of(settings: RoomSettings) -> Ballast:
    """The ballast beside a ledger."""
    return Ballast(settings.ledger.with_name("ballast"), settings.ballast)


def size_of(path: Path) -> int:
    """The size of a file in octets, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class RoomKeeper:
    """Keeps room in the store of `writer`. Belongs to the event loop."""

    def __init__(
        self,
        settings: RoomSettings,
        owner: Identity,
        writer: Writer,
        ledger: sqlite3.Connection,
        now: Callable[[], Moment],
        retention: Retention,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        """`stored`: called when the ledger has grown."""
        self._settings, self._owner, self._writer, self._ledger = settings, owner, writer, ledger
        self._now, self._retention = now, retention
        self._ballast = ballast_of(settings)
        self._thinning = Thinning()
        self._wal_alarmed, self._seen_head = False, -1
        self.level = Level.PLENTY
        """The level in force."""
        self.stored = stored
        self.damaged: Callable[[str], None] = lambda message: None
        """Called when the store cannot be opened anew because it is damaged."""

    def does(self, act: Act) -> bool:
        """Whether the level in force asks for something."""
        return act in ACTS[self.level]

    async def run(self) -> None:
        """Look, and do what is asked for, until cancelled."""
        loop = asyncio.get_running_loop()
        bury_at = loop.time() + BURY_EVERY_S
        while True:
            if self._writer.broken is None:
                with suppress(StoreUnavailable):  # Which is said by whoever mends the store.
                    await self.look()
                    if loop.time() >= bury_at:
                        bury_at = loop.time() + BURY_EVERY_S
                        await self.bury()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Measure, note a change of level, and do what the level asks for. Raises StoreUnavailable."""
        await self._note(level_of(self._measured(), self.level))
        await self._watch_wal()
        await self._let_go(self.level)
        if self.does(Act.THIN):
            await self._thin()
        room = self._measured()
        await self._note(level_of(room, self.level))
        if not self._ballast.held and room.free > room.keep_free + room.keep_free // 4 + self._ballast.size:
            await asyncio.to_thread(self._ballast.make)

    async def bury(self) -> None:
        """Write down what was counted and not stored. Raises StoreUnavailable."""
        now = self._now()
        count = await self._writer.run(lambda connection: bury_unkept(connection, self._owner, now))
        if count:
            say("values-not-kept", level="warning", messages=count)
            self.stored()

    async def mend(self) -> None:
        """Get a broken store going again; while that fails, say so. Returns when it was tried."""
        is_full = self._writer.full
        if is_full or self._free() < self._settings.keep_free:
            self._give_up_ballast()
        try:
            self._writer.reopen()
        except StoreError as error:
            say("store-unavailable", level="error", reason=str(error))
            await self._look_for_damage()
            return
        say("store-mended")
        try:
            await self._writer.apart(_empty_wal)
            if is_full:  # There may be no room to say so before what the hub has is let go.
                await self._let_go(level_of(self._measured(), self.level))
            await self._audit("store-mended", "a commit had failed; the store was opened anew")
            await self.look()
        except (StoreUnavailable, sqlite3.Error) as error:
            say("store-unavailable", level="error", reason=str(error))

    async def _look_for_damage(self) -> None:
        with suppress(StoreError):  # It cannot be read either: there is nothing to be known yet.
            found = await asyncio.to_thread(find_damage, self._settings.ledger, SCHEMA.application_id)
            if found is not None:
                self.damaged(found)

    def _measured(self) -> Room:
        try:
            return measure(self._settings, self._ledger)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the room cannot be measured: {error}") from error

    def _free(self) -> int:
        try:
            disk = os.statvfs(self._settings.ledger.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def _give_up_ballast(self) -> None:
        if self._ballast.held and self._ballast.size and self._free() < self._settings.keep_free + WAL_ROOM:
            self._ballast.release()
            say("ballast-released", level="error", octets=self._ballast.size)

    async def _note(self, level: Level) -> None:
        if level == self.level:
            return
        room = self._measured()
        told = f"{room.used // MB} of {room.budget // MB} MB used, {room.free // MB} MB free on the disk: " + (
            ", ".join(sorted(act.value for act in ACTS[level])) or "nothing is done for room"
        )
        await self._audit(f"room-{level.name.lower()}", told)
        grew, self.level = level > self.level, level
        say("room", level="warning" if grew else "info", room=level.name.lower(), told=told)

    async def _audit(self, event: str, message: str) -> None:
        entry, now = AuditEntry(event=event, subject=self._owner.gateway_id, message=message), self._now()
        await self._writer.run(lambda c: append(c, self._owner, RecordKind.AUDIT, entry, now))
        self.stored()

    async def _let_go(self, level: Level) -> None:
        """Of what the hub has, what `level` asks for. Rule 3."""
        acts, before = ACTS[level], self._retention.spared_since(last_countersigned_at(self._ledger))
        if before is not None and Act.RELEASE_EARLY in acts:
            await self._retention.release(before)
        if before is not None and Act.DROP_SEGMENTS in acts:
            await self._drop(lambda connection: drop_segment(connection, before))
        if Act.RELEASE_LATEST in acts:
            await self._retention.release(None, self._is_spent)
            await self._drop(lambda connection: drop_segment(connection, None) if self._is_spent(connection) else 0)

    def _is_spent(self, connection: sqlite3.Connection) -> bool:
        return level_of(measure(self._settings, connection), Level.SPENT) is Level.SPENT

    async def _drop(self, step: Work[int]) -> None:
        rows = await in_steps(self._writer, step)
        now = self._now()
        if now.clock is not ClockState.UNKNOWN:
            await in_steps(self._writer, lambda connection: forget_traces(connection, now.at))
        if rows:
            say("segments-dropped", records=rows)

    async def _thin(self) -> None:
        """Until there is room again, or nothing is left that may give way."""
        before = self._thinning.shed

        def step(connection: sqlite3.Connection) -> int:
            if level_of(measure(self._settings, connection), self.level) < Level.SCARCE:
                return 0
            return self._thinning.step(connection, self._owner, self._now())[0]

        await in_steps(self._writer, step)
        shed = self._thinning.shed - before
        if shed:
            say("values-thinned", level="warning", records=shed)
            self.stored()

    async def _watch_wal(self) -> None:
        size, last = size_of(self._settings.wal), head(self._ledger).seq
        is_idle, self._seen_head = last == self._seen_head, last
        if size > WAL_ROOM and not self._wal_alarmed:
            await self._audit("write-ahead-log-long", f"{size} octets: a reader stands in the way of checkpoints")
            say("write-ahead-log-long", level="error", octets=size)
        self._wal_alarmed = size > WAL_ROOM
        if size > WAL_ROOM or (is_idle and size > _WORTH_EMPTYING):
            try:
                await self._writer.apart(_empty_wal)
            except sqlite3.Error as error:  # Busy, or the disk is full: the next commit finds that out.
                say("checkpoint-failed", level="warning", reason=str(error))


def _empty_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
