"""What this log says of itself to the hub with each batch, and what the hub's countersignature is worth.

Rules
1. A head is signed over the records of the batch and all before them, with the proof that leads to it from where the
   hub stands.
2. A countersignature counts once it is verified, by the key of `[uplink] hub_log_key`, or by the first key that this
   hub showed. Any other answer is said, audited and shown in the status, and the sending goes on: evidence has to leave
   the box.
3. Of a tree that is damaged no head can be signed; its batches go without one, and the hub decides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gateway.clock import Moment
from gateway.errors import StoreError
from gateway.log import say
from gateway.store.ledger import Identity, append, move_position
from gateway.store.receipts import (
    LogTrouble,
    Receipt,
    Trouble,
    keep_receipt,
    note_trouble,
    pin_hub_key,
    pinned_hub_key,
)
from gateway.store.tree import OfferedHead, log_key, sign_head
from gateway.store.writer import Writer
from wire.chain import RecordKind
from wire.merkle import ProofError
from wire.records import AuditEntry
from wire.sync_messages import Ack, Refusal
from wire.tree_head import SignedTreeHead, TreeHeadError, verify_countersignature

_REMEDY = "see docs/operations.md, The ledger"


class Witness:
    """Signs heads for the link, and judges what comes back."""

    def __init__(
        self,
        owner: Identity,
        ledger: sqlite3.Connection,
        writer: Writer,
        now: Callable[[], Moment],
        hub_key: str | None = None,
    ) -> None:
        """`hub_key`: the hub's (hex), None: the first that it shows."""
        self._owner, self._ledger, self._writer, self._now, self._hub_key = owner, ledger, writer, now, hub_key

    async def offer(self, acked_seq: int, size: int) -> OfferedHead | None:
        """The signed head of the log up to record `size`, with its proof from `acked_seq`; None when records or tiles
        do not give it, which is noted. About a millisecond."""
        try:
            key = log_key(self._ledger).key
            sizes = (acked_seq, size)
            return sign_head(self._ledger, key, self._owner.gateway_id, self._owner.epoch, sizes, self._now().at)
        except (StoreError, ProofError) as error:
            message = f"no head can be signed: {error}; `pnc-gateway ledger verify` says what is damaged"
            await self._tell(LogTrouble.DAMAGED, message)
            return None

    async def acknowledged(self, ack: Ack, signed: SignedTreeHead | None) -> None:
        """Note how far the hub is, and keep its receipt for `signed`, if it is one."""
        now, pinned = self._now(), pinned_hub_key(self._ledger)
        key = self._hub_key or pinned
        found = _judge(ack, signed, key, now)

        def keep(connection: sqlite3.Connection) -> None:
            move_position(connection, ack.acked_seq)
            if isinstance(found, Receipt):
                self._pin(connection, found.countersignature.public_key, pinned, now)
                keep_receipt(connection, found)

        await self._writer.run(keep)
        if isinstance(found, Trouble):
            await self._note(found, now)

    async def refused(self, refusal: Refusal) -> None:
        """Note that the hub does not take our heads: it holds another log, or this one was altered."""
        await self._tell(LogTrouble.REFUSED, f"the hub refuses this log from record {refusal.seq}: {refusal.message}")

    async def _tell(self, kind: LogTrouble, message: str) -> None:
        now = self._now()
        await self._note(Trouble(kind=kind, message=message, at=now.at), now)

    async def _note(self, trouble: Trouble, now: Moment) -> None:
        """Keep a trouble; say and audit it when it is new, or has lasted."""

        def keep(connection: sqlite3.Connection) -> bool:
            is_news = note_trouble(connection, trouble)
            if is_news:
                self._audit(connection, trouble.kind.value, trouble.message, now)
            return is_news

        if await self._writer.run(keep):
            say(trouble.kind.value, level="error", reason=trouble.message, remedy=_REMEDY)

    def _pin(self, connection: sqlite3.Connection, public_key: str, pinned: str | None, now: Moment) -> None:
        if public_key != pinned:
            pin_hub_key(connection, public_key, now.at)
            source = "configured" if self._hub_key else "as the hub showed it first"
            self._audit(connection, "hub-log-key-pinned", f"{public_key}, {source}", now)

    def _audit(self, connection: sqlite3.Connection, event: str, message: str, now: Moment) -> None:
        entry = AuditEntry(event=event, subject=self._owner.gateway_id, message=message)
        append(connection, self._owner, RecordKind.AUDIT, entry, now)


def _judge(ack: Ack, signed: SignedTreeHead | None, key: str | None, now: Moment) -> Receipt | Trouble | None:
    """What an Ack is worth for the head that was sent: a receipt, a trouble, or nothing where nothing was to be had."""
    counter = ack.countersignature
    if signed is None or (counter is None and key is None):
        return None
    if counter is None or ack.acked_seq != signed.head.size:
        message = f"the hub acknowledged record {ack.acked_seq} without countersigning it, which it did before"
        return Trouble(kind=LogTrouble.MISSING, message=message, at=now.at)
    try:
        verify_countersignature(signed, counter, key or counter.public_key)
    except TreeHeadError as error:
        kind = LogTrouble.OTHER_KEY if error.code == "tree-head-key" else LogTrouble.BAD_SIGNATURE
        return Trouble(kind=kind, message=f"record {ack.acked_seq}: {error}", at=now.at)
    return Receipt(signed=signed, countersignature=counter)
