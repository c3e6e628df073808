"""The records on their way to the hub: batch by batch, each as long as its time allows, the next one read while one is
under way.

Rules
1. The position moves by the hub's acknowledgement only.
2. What was read ahead is used if the hub then stands where it begins, and forgotten otherwise. Trouble in reading ahead
   is met again, and told, when its turn comes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from gateway.errors import StoreError, UplinkError
from gateway.store.ledger import read_records
from gateway.uplink.announce import Announcer
from gateway.uplink.exchange import HubExchange, Reply
from gateway.uplink.pace import Pace
from gateway.uplink.witness import Witness
from wire.chain import Record
from wire.records import encode
from wire.sync import SyncPeer
from wire.sync_messages import MAX_BATCH_RECORDS, PATH_BATCHES, Ack, Batch, Refusal, RefusalCode, parse_answer
from wire.tree_head import SignedTreeHead


class Outgoing:
    """Sends what the hub lacks by `peer`; `heard` is told of each answer with the hub's time."""

    def __init__(
        self,
        exchange: HubExchange,
        peer: SyncPeer,
        ledger: sqlite3.Connection,
        witness: Witness,
        announcer: Announcer,
        heard: Callable[[Ack, Reply], None],
    ) -> None:
        self._exchange, self._peer, self._ledger = exchange, peer, ledger
        self._witness, self._announcer, self._heard = witness, announcer, heard
        self.pace = Pace()

    async def drain(self, arrived: Callable[[], None]) -> None:
        """Return once the hub holds everything, or gives no credit; `arrived` is called after each batch.

        Raises:
            UplinkError: the hub did not answer, or refused; with the delay that it asks for.
            StoreError, WireError: the ledger cannot be read; an answer is none.
        """
        ready: list[Record] = []
        while True:
            records = self._usable(ready) or self._read(self._peer.acked_seq)
            if not records:
                return
            await self._announcer.ahead_of(records[-1].seq)
            offered = await self._witness.offer(self._peer.acked_seq, records[-1].seq)
            signed, proof = (None, ()) if offered is None else (offered.signed, offered.consistency)
            ready = await self._bring(self._peer.offer(records, signed, proof), signed)
            arrived()

    def _usable(self, ready: list[Record]) -> list[Record]:
        fits = bool(ready) and ready[0].seq == self._peer.acked_seq + 1
        return ready[: max(0, self._peer.credit)] if fits else []

    def _read(self, after: int) -> list[Record]:
        limit = max(0, min(self._peer.credit, MAX_BATCH_RECORDS))
        return read_records(self._ledger, after, limit, self.pace.characters)

    async def _bring(self, batch: Batch, signed: SignedTreeHead | None) -> list[Record]:
        """Send one batch and take its answer; what was read meanwhile."""
        under_way = asyncio.Event()
        asked = asyncio.create_task(self._exchange.ask("POST", PATH_BATCHES, encode(batch), sent=under_way.set))
        asked.add_done_callback(lambda _: under_way.set())
        try:
            await under_way.wait()
            ready = [] if asked.done() else self._read_ahead(batch.records[-1].seq)
            reply = await asked
        except UplinkError:
            self.pace.failed()
            raise
        finally:
            asked.cancel()
        answer = parse_answer(reply.body)
        self._peer.answered(answer)
        if isinstance(answer, Refusal):
            await self._heed(answer)
        elif isinstance(answer, Ack):
            took_s = (reply.received_ns - reply.sent_ns) / 1e9
            self.pace.carried(sum(len(record.body) for record in batch.records), took_s)
            self._heard(answer, reply)
            await self._witness.acknowledged(answer, signed)
        return ready

    def _read_ahead(self, after: int) -> list[Record]:
        try:
            return self._read(after)
        except StoreError:
            return []

    async def _heed(self, refusal: Refusal) -> None:
        """Raises UplinkError with what the hub said, and how long it wants to be left alone."""
        if refusal.code is RefusalCode.TREE:
            await self._witness.refused(refusal)
        message = f"the hub refused a batch: {refusal.message}"
        raise UplinkError(refusal.code.value, message, retry_after_s=refusal.retry_after_s)
