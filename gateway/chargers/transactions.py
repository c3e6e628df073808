"""Transaction messages: stored before they are answered, answered whatever they hold.

Rules
1. A transaction message is stored, and the store synced, before it is answered; it is answered with CALLRESULT whatever
   it holds. A payload that cannot be read is stored all the same, shown, and acknowledged (quarantine).
2. A message that came before gets the answer it got then.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.chargers.answers import transaction_answer
from gateway.chargers.connected import Connected
from gateway.store.transactions import Arrival, first_reply, store_message
from wire.errors import MalformedValue
from wire.ocpp.content import message_keys
from wire.ocpp.frames import Call, encode_result
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import Decision, TransactionEvent

_LARGEST = 2**63 - 1
"""OCPP integers have 32 bits (2.0.1 Part 2 2.1.3); what no database holds is not read as a number at all."""


class Transactions:
    """One station's transaction messages."""

    def __init__(self, connected: Connected) -> None:
        self._connected, self._site = connected, connected.site

    async def take(self, call: Call, text: str, unreadable: str | None) -> str:
        """The CALLRESULT for the frame `text`. `unreadable`: why no JSON could be made of it, None for what is JSON.

        Raises:
            StoreUnavailable: nothing may be answered.
        """
        connected = self._connected
        arrival = Arrival(
            charger_id=connected.charger_id,
            ocpp=connected.ocpp,
            action=call.action,
            message_id=call.message_id,
            payload=call.payload,
            keys=message_keys(call.action, call.payload),
            frame=text,
            now=self._site.clock.now(),
            quarantine=unreadable,
        )
        if unreadable is None:
            try:
                arrival = replace(arrival, message=_read(connected, call))
            except MalformedValue as error:
                arrival = replace(arrival, quarantine=str(error))
        first = first_reply(self._site.ledger, arrival)
        if first is not None and first.whole:
            return encode_result(call.message_id, first.text.encode())
        decision = None
        if first is None:
            arrival, decision = await self._decided(arrival)

        def reply_for(transaction_id: str | None) -> bytes:
            return transaction_answer(call.action, call.payload, arrival.message, decision, transaction_id)

        reply = await self._site.writer.run(lambda c: store_message(c, self._site.owner, arrival, reply_for))
        self._site.stored()
        return encode_result(call.message_id, reply.encode())

    async def _decided(self, arrival: Arrival) -> tuple[Arrival, Decision | None]:
        """The arrival with the decision that belongs to it, and the decision to answer with.

        An end is never refused and starts nothing, so its decision is answered, not recorded as the session's.
        """
        message = arrival.message
        if message is None:
            return arrival, None
        if message.token is None:
            granted = await self._site.authorizer.for_remote_start(self._connected.charger_id, message)
            return replace(arrival, decision=granted), None
        decision = await self._site.authorizer.for_transaction(self._connected.charger_id, message.token, message)
        if message.event is TransactionEvent.ENDED:
            return arrival, decision
        return replace(arrival, decision=decision), decision


def _read(connected: Connected, call: Call) -> TransactionMessage:
    """What the transaction message says. Raises MalformedValue, also for a number that no database holds."""
    message = read_transaction(connected.ocpp, call.action, call.payload, connected.noticed)
    for name, number in (("evse", message.evse_id), ("connector", message.connector_id), ("seqNo", message.seq_no)):
        if number is not None and abs(number) > _LARGEST:
            raise MalformedValue(call.action, "$", f"{name} is out of range")
    return message
