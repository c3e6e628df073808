"""Carries what a new epoch owes of the one before, beside the stations (`gateway.store.arrears`).

Rules
1. The files are read and written by threads of their own, and the gateway rests as long as each piece took: stations go
   first.
2. The link sends the arrears as they are carried. Once the hub has all of them the gateway starts again by itself, and
   sends its own records from then on.
3. What keeps it from going on is said, and tried again. Arrears that are damaged go on in an epoch of their own, with a
   start that comes at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from time import monotonic

from gateway.clock import Moment
from gateway.errors import StoreUnavailable
from gateway.log import say
from gateway.opening import Book
from gateway.store.arrears import (
    Plan,
    all_acked,
    begin_arrears,
    carry_piece,
    forget_lost,
    make_plan,
    open_owed,
    plan_of,
    reached_of,
    settle,
    settled,
)
from gateway.store.carrying import EpochOrder, Owed
from gateway.store.epochs import free_name, order_epoch
from gateway.store.salvage import read_what_reads
from gateway.store.soundness import says_damage
from wire.tombstone import TombstoneReason

LOOK_EVERY_S = 1.0
SAY_EVERY_S = 30.0


class ArrearsKeeper:
    """Carries `debt` of `ledger` into `arrears`. `stored` is called for each piece, `over` when the gateway is to start
    again."""

    def __init__(
        self,
        ledger: Book,
        debt: Owed,
        arrears: Book,
        now: Callable[[], Moment],
        stored: Callable[[], None],
        over: Callable[[], None],
    ) -> None:
        self._ledger, self._debt, self._arrears, self._now = ledger, debt, arrears, now
        self._stored, self._over = stored, over

    async def run(self) -> None:
        """Carry, and wait until the hub has all of it. Raises StoreError, StoreUnavailable, to be called again then."""
        writer = self._arrears.writer
        if writer.broken is not None:
            if says_damage(writer.broken):
                self._damaged(writer.broken)
                return
            writer.reopen()
        plan = plan_of(self._arrears.reader)
        if plan is None or plan.next_piece(reached_of(self._arrears.reader)) is not None:
            plan = await self._carry()
        while not all_acked(self._arrears.reader, plan):
            await asyncio.sleep(LOOK_EVERY_S)
            if writer.broken is not None:
                raise StoreUnavailable(writer.broken)
        now = self._now()
        end = settled(self._arrears.reader, plan, free_name(self._ledger.path, TombstoneReason.OLD_IMAGE, now))
        await self._ledger.writer.run(lambda connection: settle(connection, self._ledger.owner, end, now))
        say("arrears-settled", records=plan.total, kept_as=end.kept_as)
        self._over()

    async def _carry(self) -> Plan:
        with closing(await asyncio.to_thread(open_owed, self._ledger.path, self._debt)) as source:
            plan = plan_of(self._arrears.reader) or await self._begin(source)
            await self._ledger.writer.run(lambda connection: forget_lost(connection, self._debt, plan))
            said_at = monotonic()
            while (piece := plan.next_piece(reached_of(self._arrears.reader))) is not None:
                begun = monotonic()
                rows = await asyncio.to_thread(lambda: list(read_what_reads(source, *piece)))
                await self._arrears.writer.run(
                    partial(carry_piece, owner=self._arrears.owner, rows=rows, last=piece[1])
                )
                self._stored()
                if monotonic() - said_at >= SAY_EVERY_S:
                    said_at = monotonic()
                    say("arrears-progress", carried=plan.carried(piece[1]), total=plan.total)
                await asyncio.sleep(monotonic() - begun)
        say("arrears-carried", records=plan.total)
        return plan

    async def _begin(self, source: sqlite3.Connection) -> Plan:
        plan = await asyncio.to_thread(make_plan, source, self._ledger.owner.gateway_id, self._debt)
        now, lost = self._now(), sum(each.count for each in plan.lost)
        await self._arrears.writer.run(
            lambda connection: begin_arrears(connection, self._arrears.owner, self._debt, plan, now)
        )
        say("arrears-begun", records=plan.total, lost=lost, source=self._debt.kept_as)
        return plan

    def _damaged(self, message: str) -> None:
        say("arrears-damaged", level="error", reason=message)
        order = EpochOrder(epoch=self._arrears.owner.epoch, reason=TombstoneReason.DAMAGE, message=message)
        order_epoch(self._arrears.path, order)
        self._over()
