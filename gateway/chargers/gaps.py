"""Gaps in the sequence of a transaction that has ended: entered into the audit log, and the station asked about them.

Source: OCPP 2.0.1 Part 2 E 1.3.2 and E14.
"""

from __future__ import annotations

import asyncio

from gateway.chargers.calls import Rank
from gateway.chargers.connected import MODULES, Connected
from gateway.errors import CallFailed, StoreUnavailable
from gateway.log import say
from gateway.store.sequences import sequence_of
from wire.ocpp import v21, v201
from wire.ocpp.quirks import Quirk
from wire.ocpp.transaction import TransactionMessage


class Gaps:
    """One connection's."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected
        self._asking: set[asyncio.Task[None]] = set()

    async def ended(self, message: TransactionMessage) -> None:
        """The transaction of `message` has ended. Raises StoreUnavailable: a gap could not be noted."""
        if message.transaction_id is None or message.seq_no is None:
            return
        connected, name = self._connected, message.transaction_id
        numbers = sequence_of(connected.site.ledger, connected.charger_id, name)
        if numbers is None:
            return
        if numbers.repeated:
            connected.noticed(Quirk.REPEATED_SEQUENCE, "TransactionEvent $.seqNo")
        if not numbers.missing:
            return
        between = f"{numbers.missing} between {numbers.lowest} and {numbers.highest}"
        await self._note(
            "transaction-gap", f"transaction {name!a} has ended, and of its sequence numbers are missing {between}"
        )
        # Not awaited: the answer comes through the reader that waits for this.
        asking = asyncio.create_task(self._ask(name), name=f"gap-{connected.charger_id}")
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _ask(self, name: str) -> None:
        connected = self._connected
        request = MODULES[connected.ocpp].GetTransactionStatus(transaction_id=name)
        try:
            answer = await connected.ask(request, rank=Rank.SESSION)
        except CallFailed as error:
            say("gap-not-explained", level="warning", charger=connected.charger_id, reason=str(error))
            return
        assert isinstance(answer, v201.GetTransactionStatusAnswer | v21.GetTransactionStatusAnswer)
        queued = "messages of it are still queued" if answer.messages_in_queue else "no message of it is queued"
        try:
            await self._note("transaction-status", f"transaction {name!a}: {queued} at the station")
        except StoreUnavailable as error:
            say("gap-not-explained", level="warning", charger=connected.charger_id, reason=str(error))

    async def _note(self, event: str, message: str) -> None:
        await self._connected.site.audit(event, self._connected.charger_id, message)
