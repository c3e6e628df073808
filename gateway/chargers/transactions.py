"""Transaction messages: stored before they are answered, answered whatever they hold.

Rules
1. A transaction message is stored, and the store synced, before it is answered; it is answered with CALLRESULT whatever
   it holds. A payload that cannot be read is stored all the same, shown, and acknowledged (quarantine).
2. A message that came before gets the answer it got then.
3. When a transaction of 2.x has ended and numbers of its sequence are missing, that is entered into the audit log, and
   the station is asked whether it still has messages (E14).
4. Where the room for evidence is spent, a periodic value without signature is counted instead of stored, and
   acknowledged once its count is durable (`gateway.store.shedding`).
5. A session that begins all the same, because its station did not ask, is stored like any other, and said.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gateway.chargers.answers import transaction_answer
from gateway.chargers.conduct import Conduct
from gateway.chargers.connected import Connected
from gateway.chargers.gaps import Gaps
from gateway.log import say
from gateway.store.arrivals import Arrival
from gateway.store.shedding import count_unkept, may_go_unstored
from gateway.store.transactions import first_reply, store_message
from wire.errors import MalformedValue
from wire.ocpp import v21
from wire.ocpp.content import message_keys
from wire.ocpp.frames import Call, CallRejected, Send
from wire.ocpp.payload import read_message
from wire.ocpp.quirks import Quirk
from wire.ocpp.transaction import TransactionMessage, Unnamed, read_transaction
from wire.records import Decision, TransactionEvent

_PAUSE_S = 0.5
"""A station that sends again sooner after an answer is sending what it had stored up."""


class Transactions:
    """One station's transaction messages."""

    def __init__(self, connected: Connected) -> None:
        self._connected, self._site = connected, connected.site
        self._conduct, self._gaps = Conduct(connected), Gaps(connected)
        self._answered_at = -_PAUSE_S

    async def take(self, call: Call, text: str, unreadable: str | None) -> bytes:
        """The payload of the CALLRESULT for the frame `text`. `unreadable`: why no JSON could be made of it, None for
        what is JSON.

        Raises:
            StoreUnavailable: nothing may be answered.
        """
        connected = self._connected
        message, quarantine = None, unreadable
        if unreadable is None:
            try:
                message = read_transaction(connected.ocpp, call.action, call.payload, connected.noticed)
            except MalformedValue as error:
                quarantine = str(error)
        arrival = Arrival(
            charger_id=connected.charger_id,
            ocpp=connected.ocpp,
            action=call.action,
            message_id=call.message_id,
            payload=call.payload,
            keys=message_keys(call.action, call.payload),
            frame=text,
            now=self._site.clock.now(),
            message=message,
            quarantine=quarantine,
        )
        await self._conduct.watch(arrival)
        first = first_reply(self._site.ledger, arrival)
        if first is not None and first.whole:
            return first.text.encode()
        if first is not None:
            connected.noticed(Quirk.REWRITTEN_MESSAGE, call.action)
        if first is None and await self._counted(arrival):
            return transaction_answer(call.action, call.payload, message, None, None)
        decision = None
        if first is None:
            arrival, decision = await self._decided(arrival)

        def reply_for(transaction_id: str | None) -> bytes:
            return transaction_answer(call.action, call.payload, arrival.message, decision, transaction_id)

        reply = await self._site.writer.run(
            lambda c: store_message(c, self._site.owner, arrival, reply_for), may_wait=self._may_wait(arrival)
        )
        self._answered_at = asyncio.get_running_loop().time()
        self._site.stored()
        if arrival.message is not None and arrival.message.event is TransactionEvent.ENDED:
            await self._gaps.ended(arrival.message)
        elif arrival.message is not None and arrival.message.event is TransactionEvent.STARTED and self._site.is_full():
            # Rule 5.
            say("session-begun-while-full", level="warning", charger=arrival.charger_id, action=call.action)
        return reply.encode()

    async def _counted(self, arrival: Arrival) -> bool:
        """Whether a message was counted instead of stored (rule 4)."""
        if not self._site.counts_values() or not may_go_unstored(arrival):
            return False
        return await self._site.writer.run(lambda connection: count_unkept(connection, arrival))

    def _may_wait(self, arrival: Arrival) -> bool:
        """Whether a message may be held for company: a periodic value, but of no station that sends one thing after the
        other without a pause, for it waits for each answer."""
        paused = asyncio.get_running_loop().time() - self._answered_at > _PAUSE_S
        return paused and may_go_unstored(arrival)

    async def keep(self, stream: Send, text: str) -> None:
        """Record a SEND of 2.1, which is not answered: the values of a periodic event stream. Others are not known.

        Raises:
            StoreUnavailable: it could not be recorded.
        """
        if stream.action != "NotifyPeriodicEventStream":
            say("send-unknown", level="warning", charger=self._connected.charger_id, action=stream.action[:50])
            return
        arrival = Arrival(
            charger_id=self._connected.charger_id,
            ocpp=self._connected.ocpp,
            action=stream.action,
            message_id=stream.message_id,
            payload=stream.payload,
            keys=message_keys(stream.action, stream.payload),
            frame=text,
            now=self._site.clock.now(),
        )
        try:
            told = read_message(v21.NotifyPeriodicEventStream, stream.payload, stream.action, self._connected.noticed)
        except CallRejected as error:
            arrival = replace(arrival, quarantine=str(error))
        else:
            values = TransactionMessage(event=TransactionEvent.METER_VALUES, at=told.basetime, evse_id=0)
            arrival = replace(arrival, message=values)
        await self._site.writer.run(lambda c: store_message(c, self._site.owner, arrival, lambda number: b""))
        self._site.stored()

    async def _decided(self, arrival: Arrival) -> tuple[Arrival, Decision | None]:
        """The arrival with the decision that belongs to it, and the decision to answer with.

        An end is never refused and starts nothing, so its decision is answered, not recorded as the session's.
        """
        message = arrival.message
        if message is None:
            return arrival, None
        authorizer, charger_id = self._site.authorizer, self._connected.charger_id
        if message.token is not None:
            decision = await authorizer.for_transaction(charger_id, message.token, message)
        elif message.unnamed is Unnamed.EMPTY_TOKEN:
            decision = await authorizer.for_nobody(charger_id, message.unnamed)
        else:
            granted = await authorizer.for_remote_start(charger_id, message)
            if message.unnamed is None or granted is not None:
                told = None if message.unnamed is None else granted
                return (arrival if granted is None else replace(arrival, decision=granted)), told
            decision = await authorizer.for_nobody(charger_id, message.unnamed)
        if message.event is TransactionEvent.ENDED:
            return arrival, decision
        return replace(arrival, decision=decision), decision
