"""What a station does on one connection that no schema shows: counted as quirks, an id used twice also as an alarm.

None of it changes how a message is taken: messages are known by what they say, not by their ids, numbers or times.

Source: OCPP-J 1.6 errata 3.1; OCPP 1.6 errata 3.18, 3.54; OCPP 2.0.1 Part 2 2.1.4 and its errata 4.6.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from gateway.chargers.connected import Connected
from gateway.store.arrivals import Arrival
from gateway.store.sessions import ended_at
from wire.ocpp import v16
from wire.ocpp.quirks import Quirk
from wire.records import TransactionEvent

AHEAD = timedelta(minutes=5)
"""A clock that is further ahead than this is wrong."""
_NEVER_SET = datetime(2020, 1, 1, tzinfo=UTC)
_REMEMBERED = 256
"""Message ids that are kept for one connection."""


class Conduct:
    """One connection's."""

    def __init__(self, connected: Connected) -> None:
        self._connected = connected
        self._keys: OrderedDict[str, bytes] = OrderedDict()
        self._alarmed = False

    async def watch(self, arrival: Arrival) -> None:
        """Look at a transaction message that has come. Raises StoreUnavailable: the alarm could not be written."""
        await self._id_of(arrival)
        message = arrival.message
        if message is None:
            return
        told, where = message.at, f"{arrival.action} timestamp"
        if told < _NEVER_SET or told > arrival.now.at + AHEAD:
            self._connected.noticed(Quirk.WRONG_CLOCK, where)
        named = message.transaction_id
        if self._connected.ocpp == v16.VERSION and named is not None and (named == "0" or named.startswith("-")):
            self._connected.noticed(Quirk.NO_TRANSACTION_NUMBER, f"{arrival.action} $.transactionId")
        if message.event is TransactionEvent.STARTED and named is not None:
            await self._start_of(named, message.at)

    async def _start_of(self, named: str, at: datetime) -> None:
        charger_id = self._connected.charger_id
        over = ended_at(self._connected.site.ledger, charger_id, named)
        if over is None or at <= over:
            return
        self._connected.noticed(Quirk.REUSED_TRANSACTION_ID, "TransactionEvent $.transactionInfo.transactionId")
        message = f"transaction {named!a} starts at {at.isoformat()}, and one of that name ended at {over.isoformat()}"
        await self._connected.site.audit("transaction-id-reused", charger_id, message)

    async def _id_of(self, arrival: Arrival) -> None:
        known = self._keys.setdefault(arrival.message_id, arrival.keys.whole)
        if len(self._keys) > _REMEMBERED:
            self._keys.popitem(last=False)
        if known == arrival.keys.whole:
            return
        self._connected.noticed(Quirk.REUSED_MESSAGE_ID, f"{arrival.action} {arrival.message_id}")
        if self._alarmed:
            return
        self._alarmed = True
        message = (
            f"{arrival.action} came under message id {arrival.message_id[:50]!a}, which named another message before"
        )
        await self._connected.site.audit("message-id-reused", self._connected.charger_id, message)
