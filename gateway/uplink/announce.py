"""Begins, ends and decisions ahead of their turn, when a long backlog would keep them from the hub for hours.

Rules
1. Only what lies beyond the batch that goes next is announced, in order, and until the hub has taken it; then not again
   (until the program ends).
2. An announcement moves nothing and proves nothing: each record comes again in its batch. It must never hold those up:
   a hub that does not know announcements, does not want them now, or does not answer them, is left alone for a while.
3. Looking for them costs little: a few thousand records at a time, LOOK_AT_ONCE of them between two batches.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from gateway.errors import UplinkError
from gateway.log import say
from gateway.store.ledger import Identity, head, read_records
from gateway.store.urgent import urgent_seqs
from gateway.uplink.exchange import HubExchange, Reply
from wire.chain import Record
from wire.records import decode, encode
from wire.sync_messages import MAX_ANNOUNCED_RECORDS, PATH_ANNOUNCEMENTS, Announcement, Noted

MAX_CHARACTERS = 256 * 1024
SLICE = 2000
LOOK_AT_ONCE = 40_000
UNKNOWN_PAUSE_S = 3600.0
BUSY_PAUSE_S = 60.0


class Announcer:
    """Announces the records of `owner`; `heard` is told of each answer."""

    def __init__(
        self, exchange: HubExchange, owner: Identity, ledger: sqlite3.Connection, heard: Callable[[Noted, Reply], None]
    ) -> None:
        self._exchange, self._owner, self._ledger, self._heard = exchange, owner, ledger, heard
        self._looked_to = 0
        self._silent_until = 0.0

    async def ahead_of(self, batch_end: int) -> None:
        """Announce what is urgent beyond record `batch_end`, at most one message of it.

        Raises:
            UplinkError: the hub is not reached. StoreError, WireError: as elsewhere.
        """
        if asyncio.get_running_loop().time() < self._silent_until:
            return
        last = head(self._ledger).seq
        if last <= batch_end:
            return
        found = await self._look(max(self._looked_to, batch_end), last)
        if found:
            await self._announce(found)

    async def _look(self, after: int, last: int) -> list[Record]:
        found: list[Record] = []
        characters = 0
        for start in range(after, min(last, after + LOOK_AT_ONCE), SLICE):
            for seq in urgent_seqs(self._ledger, start, min(start + SLICE, last)):
                record = read_records(self._ledger, seq - 1, 1, 0)[0]
                characters += len(record.body)
                if len(found) == MAX_ANNOUNCED_RECORDS or (found and characters > MAX_CHARACTERS):
                    return found
                found.append(record)
                self._looked_to = seq
            self._looked_to = min(start + SLICE, last)
            await asyncio.sleep(0)  # Stations are answered in between.
        return found

    async def _announce(self, found: list[Record]) -> None:
        message = Announcement(gateway_id=self._owner.gateway_id, epoch=self._owner.epoch, records=tuple(found))
        try:
            reply = await self._exchange.ask("POST", PATH_ANNOUNCEMENTS, encode(message), statuses=(200,))
        except UplinkError as error:
            self._looked_to = found[0].seq - 1
            pause_s = UNKNOWN_PAUSE_S if error.status in (404, 405) else error.retry_after_s or BUSY_PAUSE_S
            self._silent_until = asyncio.get_running_loop().time() + pause_s
            if error.status is None:
                raise
            say("announcements-unwanted", level="warning", reason=str(error), code=error.code, again_in_s=pause_s)
            return
        self._heard(decode(Noted, reply.body, "announcement answer"), reply)
