"""The charges of one charger: begun, measured, told, stopped.

Rules of this file
1. Energy is power times real time; the meter takes down the begin, every n-th periodic value, and the end, and signs
   what its kind wants signed.
2. A charger that is refused does not charge. One that is told so only after the start stops if StopTxOnInvalidId says
   so; else it gives MaxEnergyOnInvalidId Wh more, and then nothing.
3. A charge goes on without a connection; what it has to tell waits in the outbox.
4. A charge that was interrupted is ended at the next power-up, by whichever process has the folder then.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from firmware_sim.dialect import Answer, Dialect, Measurement, Medium, PlugState, Presented, Stop, Transaction
from firmware_sim.errors import ChargerError
from firmware_sim.holdings import Holdings
from firmware_sim.link import Link
from firmware_sim.memory import Memory
from firmware_sim.meter import SigningMeter
from firmware_sim.meter_telling import Teller, rearranged
from firmware_sim.outbox import Pending
from firmware_sim.permits import Permits
from firmware_sim.resume import closing_drafts
from firmware_sim.spec import ChargerSpec
from wire.errors import MalformedValue
from wire.meter.record import ReadingReason


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a charge is: seconds of the seconds asked for, and what was delivered so far."""

    elapsed_s: float
    of_s: float
    energy_wh: Decimal
    power_w: int
    signed_records: int
    online: bool


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that took place. `energy_wh` is the difference of the signed registers; `tx.wire_id` its id."""

    charger_id: str
    tx: Transaction
    begin: Measurement
    end: Measurement
    signed_records: int

    @property
    def energy_wh(self) -> Decimal:
        """End minus begin of the signed register, exact."""
        return self.end.register_wh - self.begin.register_wh


class Sessions:
    """One plug of one charger."""

    def __init__(
        self,
        spec: ChargerSpec,
        meter: SigningMeter,
        dialect: Dialect,
        memory: Memory,
        link: Link,
        permits: Permits,
        holdings: Holdings,
        clock: Callable[[], datetime],
        tell: Callable[[str], None],
    ) -> None:
        self._spec, self._meter, self._dialect, self._memory = spec, meter, dialect, memory
        self._link, self._permits, self._holdings, self._clock, self._tell = link, permits, holdings, clock, tell
        self._told_as = Teller(meter, spec.ocpp, spec.meter_faults)
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._refused_at_wh: Decimal | None = None
        self._remote: set[asyncio.Task[None]] = set()
        self.operative = True
        """Whether the plug may be used (ChangeAvailability)."""
        self.current: Transaction | None = None
        """What is charging now."""
        self.charges: list[Charge] = []
        """All that took place since power-up."""
        self.changed = asyncio.Event()
        """Set whenever a charge begins or ends; whoever waits for it clears it."""

    # --- a charge -----------------------------------------------------------------------------------------------

    @property
    def plug(self) -> PlugState:
        """What the plug is at."""
        if self.current is not None:
            return PlugState.OCCUPIED
        if not self.operative:
            return PlugState.UNAVAILABLE
        return PlugState.AVAILABLE if self._holdings.reservations.held is None else PlugState.RESERVED

    async def charge(
        self,
        presented: Presented,
        seconds: float,
        progress: Callable[[Progress], None],
        *,
        group_id: str | None = None,
    ) -> Charge:
        """Charges for `seconds` of real time, until it is stopped, or until the gateway wants it stopped; queues all
        that is to be told.

        The token must have been accepted before, as one of the group `group_id`; `progress` is called about every
        `tick_s`.

        Raises:
            ChargerError: the plug is taken.
        """
        if self.current is not None:
            raise ChargerError("busy", self._spec.charger_id, "the plug is taken")
        tx = self._new_transaction(presented, group_id)
        begin = self._measure("Transaction.Begin", 0, ReadingReason.BEGIN, presented)
        self._take_plug(tx)
        try:
            self._link.put(*self._dialect.started(tx, begin, self._told_as, not self._link.online))
            self.tell_plug()
            between = await self._deliver(tx, begin, seconds, progress)
            end = self._measure("Transaction.End", 0, _end_reason(tx), presented)
            told = self._rearranged(begin, end)
            self._link.put(*self._dialect.ended(tx, *told, self._told_as, not self._link.online))
        finally:
            self._free_plug()
        self.tell_plug()
        signed = sum(one.signed is not None for one in (begin, end))
        charge = Charge(self._spec.charger_id, tx, begin, end, between + signed)
        self.charges.append(charge)
        self.changed.set()
        return charge

    def _new_transaction(self, presented: Presented, group_id: str | None) -> Transaction:
        reference = str(uuid.uuid4())
        wire_id = self._dialect.id_from_start(reference)
        tx = Transaction(
            reference,
            presented,
            self._spec.evse_id,
            self._spec.connector_id,
            wire_id,
            group_id=group_id,
            reservation_id=self._holdings.reservations.use(),
        )
        self._memory.begin(tx)
        return tx

    def _take_plug(self, tx: Transaction) -> None:
        self.current, self._refused_at_wh = tx, None
        self._stopping.clear()
        self._idle.clear()
        self.changed.set()

    def _free_plug(self) -> None:
        self.current = None
        self._idle.set()

    async def _deliver(
        self, tx: Transaction, begin: Measurement, seconds: float, progress: Callable[[Progress], None]
    ) -> int:
        """Energy flows; gives how many periodic values were signed."""
        clock = asyncio.get_running_loop().time
        started = counted = clock()
        samples = signed = 0
        while (elapsed := counted - started) < seconds and not self._is_over(tx):
            await self._tick(min(self._spec.tick_s, seconds - elapsed))
            self._link.raise_failures()
            now = clock()
            watts = 0 if tx.suspended else self._watts(now - started)
            self._meter.count(watts, round((now - counted) * 1000))
            counted = now
            if int((now - started) / self._spec.sample_s) > samples and now - started < seconds:
                samples += 1
                signed += self._sample(tx, watts, sign=samples % self._spec.signed_every == 0)
            delivered = self._meter.register_kwh.scaleb(3) - begin.register_wh
            progress(Progress(min(now - started, seconds), seconds, delivered, watts, signed + 1, self._link.online))
        return signed

    async def _tick(self, seconds: float) -> None:
        """A part of the time; less when somebody stops the charge."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _sample(self, tx: Transaction, watts: int, *, sign: bool) -> bool:
        now = self._measure("Sample.Periodic", watts, ReadingReason.CHARGING if sign else None, tx.presented)
        self._link.put(self._dialect.updated(tx, now, self._told_as, not self._link.online))
        return now.signed is not None

    def _is_over(self, tx: Transaction) -> bool:
        """Whether somebody stopped it; a refused token ends it or, in the end, the energy only (rule 2)."""
        if tx.stop is not None:
            return True
        if tx.stop_asked is None:
            return False
        if self._holdings.settings.yes("TxCtrlr.StopTxOnInvalidId"):
            return True
        register_wh = self._meter.register_kwh.scaleb(3)
        if self._refused_at_wh is None:
            self._refused_at_wh = register_wh
        allowed = self._holdings.settings.whole("TxCtrlr.MaxEnergyOnInvalidId")
        tx.suspended = register_wh - self._refused_at_wh >= allowed
        return False

    def _watts(self, elapsed_s: float) -> int:
        """Full power after a ramp, with half a percent of ripple, as a real rectifier shows."""
        share = min(1.0, 0.1 + 0.9 * elapsed_s / self._spec.ramp_s)
        ripple = 1 - 0.005 * ((int(elapsed_s * 10) * 7) % 10) / 10
        return int(self._spec.power_w * share * ripple)

    def _measure(self, context: str, watts: int, reason: ReadingReason | None, presented: Presented) -> Measurement:
        if reason is None:
            return Measurement(self._clock(), self._meter.register_kwh, watts, context)
        taken = self._meter.take(reason, presented.identification())
        return Measurement(taken.at, taken.register_kwh, watts, context, taken.signed)

    def _rearranged(self, begin: Measurement, end: Measurement) -> tuple[Measurement, Measurement]:
        """Begin and end with the signed records that are told as theirs."""
        if begin.signed is None or end.signed is None:
            return begin, end
        first, last = rearranged(begin.signed, end.signed, self._spec.meter_faults)
        return replace(begin, signed=first), replace(end, signed=last)

    # --- who may begin and end it -------------------------------------------------------------------------------

    def stop(self, how: Stop, by: Presented | None = None) -> bool:
        """Whether there was something to stop; it ends in a moment."""
        if self.current is None:
            return False
        if self.current.stop is None:
            self.current.stop, self.current.stopped_by = how, by
        self._stopping.set()
        return True

    async def stop_with(self, presented: Presented) -> bool:
        """Whether the driver who shows this token may end the charge that goes on; if so it ends in a moment."""
        tx = self.current
        if tx is None or not await self._permits.may_stop(tx, presented):
            return False
        own = presented.uid.casefold() == tx.presented.uid.casefold()
        how = Stop.MASTER_PASS if not own and self._permits.is_master(presented) else Stop.LOCAL
        return self.stop(how, presented)

    async def idle(self) -> None:
        """Returns when nothing is charging."""
        await self._idle.wait()

    def start_remotely(self, presented: Presented, group_id: str | None = None) -> None:
        """Charges as the gateway asked, as if a car was plugged in, for a token of the group `group_id`; asks about the
        token first if the settings say so (C05, F01.FR.01; not about one of type Central in 2.x)."""
        task = asyncio.create_task(self._start_remotely(presented, group_id))
        self._remote.add(task)
        task.add_done_callback(self._remote_ended)

    def _remote_ended(self, task: asyncio.Task[None]) -> None:
        self._remote.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._link.failed(error)

    async def _start_remotely(self, presented: Presented, group_id: str | None) -> None:
        asks = self._holdings.settings.yes("AuthCtrlr.AuthorizeRemoteStart")
        if asks and not (presented.token_type == "Central" and self._spec.ocpp != "1.6"):
            permit = await self._permits.permit(presented)
            if not permit.answer.accepted:
                self._tell(f"{self._spec.charger_id} does not start for {presented.uid}: {permit}")
                return
            group_id = permit.answer.group_id or group_id
        self._tell(f"{self._spec.charger_id} starts for {presented.uid}, as the gateway asked")
        try:
            await self.charge(presented, self._spec.remote_s, lambda now: None, group_id=group_id)
        except ChargerError as error:
            self._tell(f"{error}: it does not start for {presented.uid}")

    async def give_up(self) -> None:
        """The power goes: remote charges are left as they are."""
        for task in self._remote:
            task.cancel()
        await asyncio.gather(*self._remote, return_exceptions=True)

    # --- what is told and heard ---------------------------------------------------------------------------------

    def tell_plug(self) -> None:
        """Tells the connector's state while online."""
        status = self._dialect.status(self._spec.evse_id, self._spec.connector_id, self.plug, self._clock())
        self._link.say(*status)

    def tell_meter(self) -> None:
        """Tells the meter's register (MeterValues), not as part of a transaction."""
        now = Measurement(self._clock(), self._meter.register_kwh, 0, "Trigger")
        self._link.say(*self._dialect.meter_values(self._spec.evse_id, now))

    def tell_transaction(self) -> None:
        """Tells where the transaction stands (2.x TransactionEvent, triggered)."""
        if self.current is not None:
            now = Measurement(self._clock(), self._meter.register_kwh, None, "Trigger")
            self._link.put(self._dialect.updated(self.current, now, self._told_as, False))

    def delivered(self, pending: Pending, payload: bytes) -> None:
        """The answer to a transaction message: an id, and what is thought of the token (rule 2)."""
        tx = self._memory.transaction_of(pending)
        try:
            answer = self._dialect.read_delivery(tx, pending.draft.action, payload)
        except MalformedValue as error:
            # It is delivered all the same; what the answer should have said is missing, as after a dropped message.
            self._dialect.note_dropped(tx, pending.draft.action)
            self._tell(f"{self._spec.charger_id} cannot read an answer: {error}")
            answer = None
        if answer is not None:
            self._heard(tx, answer, last=pending.draft.last)
        self._memory.note(tx)

    def _heard(self, tx: Transaction, answer: Answer, *, last: bool) -> None:
        self._permits.learn((tx.stopped_by if last else None) or tx.presented, answer)
        if last:
            return
        tx.group_id = answer.group_id or tx.group_id
        if not answer.accepted and tx.stop_asked is None:
            tx.stop_asked = answer

    def dropped(self, pending: Pending) -> None:
        """A transaction message was thrown away."""
        tx = self._memory.transaction_of(pending)
        self._dialect.note_dropped(tx, pending.draft.action)
        self._memory.note(tx)

    def resume(self) -> None:
        """Rule 4; it is told like everything else."""
        for found in self._memory.interrupted():
            if self.current is not None and found.reference == self.current.reference:
                continue
            tx = self._memory.transaction(found.reference)
            end = found.end or self._measure("Transaction.End", 0, ReadingReason.POWER_FAILURE, tx.presented)
            tx.power_lost = end.signed is not None and end.signed.reason is ReadingReason.POWER_FAILURE
            self._link.put(*closing_drafts(self._dialect, tx, found, end, self._told_as))
            charge = Charge(self._spec.charger_id, tx, found.begin, end, len(found.readings))
            self._tell(f"{self._spec.charger_id} ends a charge that was interrupted after {charge.energy_wh} Wh")


def _end_reason(tx: Transaction) -> ReadingReason:
    if tx.stop_asked is not None:
        return ReadingReason.ABORT
    if tx.stop is Stop.REMOTE:
        return ReadingReason.REMOTE
    if tx.stop in (Stop.SOFT_RESET, Stop.HARD_RESET, Stop.UNLOCK):
        return ReadingReason.END
    return ReadingReason.LOCAL if tx.presented.medium is Medium.RFID else ReadingReason.END
