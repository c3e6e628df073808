"""One simulated charger: it boots, asks whether a token may charge, charges in real time, and tells until it is heard.

Rules of this file
1. Energy is power times real time; the meter signs the begin, every n-th periodic value, and the end.
2. A charger that is refused does not charge. One that is told so only after the start stops.
3. BootNotification is sent after power-up only, not after a lost connection (OCPP 2.0.1 Part 4 5.3; OCPP-J 1.6 5.4).
4. A charge goes on without a connection; what it has to tell waits in the outbox.
5. A charger without power remembers: at the next power-up a charge that was interrupted is ended, and what was not
   acknowledged is sent again, by whichever process has the folder then.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from firmware_sim.connection import Address, BackOff, Connection, LinkNotices
from firmware_sim.credentials import Credentials
from firmware_sim.dialect import Answer, Dialect, Measurement, Medium, Presented, StationIdentity, Transaction
from firmware_sim.errors import ChargerError
from firmware_sim.memory import Memory
from firmware_sim.meter import SigningMeter
from firmware_sim.ocpp16 import OCPP16
from firmware_sim.ocpp201 import OCPP201
from firmware_sim.outbox import Answered, Delivered, Draft, Dropped, Outbox, Outcome, Pending, Retrying, Unanswered
from firmware_sim.resume import closing_drafts, measured
from wire.errors import MalformedValue
from wire.meter.keys import public_key_of
from wire.meter.record import CurrentType, ReadingReason
from wire.ocpp.v201 import BootNotificationAnswer
from wire.records import decode

DIALECTS: dict[str, Callable[[], Dialect]] = {"1.6": OCPP16, "2.0.1": OCPP201}
"""OCPP version -> its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSpec:
    """What kind of charger. `power_w` at the plug; a value every `sample_s`, every `signed_every`-th of them signed."""

    charger_id: str
    ocpp: str
    power_w: int
    current: CurrentType
    evse_id: int = 1
    connector_id: int = 1
    ramp_s: float = 1.0
    tick_s: float = 0.1
    sample_s: float = 0.5
    signed_every: int = 2
    message_timeout_s: float = 10.0
    retry_interval_s: float = 1.0
    max_failures: int | None = None


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


class Charger:
    """A charger at `address`, its meter and journals in `folder`; one at a time there. `clock` gives aware instants.

    `tell` hears in plain words what happens on the link (connected, lost, resent). Whoever waits for this charger gets
    a StateError as soon as `folder` cannot be written any more.

    Raises:
        StateError: no access to `folder`, or what is in it belongs to another charger. MalformedValue: it is broken.
    """

    def __init__(
        self,
        spec: ChargerSpec,
        address: Address,
        folder: Path,
        clock: Callable[[], datetime],
        *,
        back_off: BackOff | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.spec, self._clock, self._tell = spec, clock, tell
        self.meter = SigningMeter(folder, spec.charger_id, clock, current=spec.current)
        self._key = public_key_of(self.meter.public_key)
        self._dialect = DIALECTS[spec.ocpp]()
        self._memory = Memory(folder, spec.charger_id, spec.ocpp, self.meter)
        self._outbox = Outbox(
            lambda: str(uuid.uuid4()),
            self._memory.id_of,
            waiting=self._memory.waiting,
            last_number=self._memory.last_number,
            message_timeout_s=spec.message_timeout_s,
            retry_interval_s=spec.retry_interval_s,
            max_failures=spec.max_failures,
        )
        self.credentials = Credentials(spec.charger_id, folder, self._dialect, self._ask)
        notices = LinkNotices(
            up=self._on_up,
            down=self._on_down,
            sending=self._memory.messages.sending,
            outcome=self._on_outcome,
            called=self.credentials.called,
        )
        self._connection = Connection(address, self._outbox, notices, back_off=back_off or BackOff())
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._charging: str | None = None
        self._booted, self._quiet = asyncio.Event(), asyncio.Event()
        self._changed = asyncio.Event()
        if not self._outbox.waiting:
            self._quiet.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._why_down = "not connected yet"

    # --- the link -----------------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether a WebSocket to the gateway stands."""
        return self._connection.online

    @property
    def waiting(self) -> int:
        """How many transaction messages have no CALLRESULT yet."""
        return len(self._outbox.waiting)

    async def connect(self, timeout_s: float = 10.0) -> None:
        """Power-up: ends a charge that was interrupted, connects and boots; returns when the boot was accepted.

        Raises:
            ChargerError: not accepted within `timeout_s`; says what happened last.
        """
        if not self._tasks:
            self._resume()
            self._tasks = [asyncio.create_task(self._connection.run()), asyncio.create_task(self._boot())]
        await self._until(self._booted, timeout_s, "was not accepted by the gateway")

    async def disconnect(self) -> None:
        """Power-off: the connection ends; what was not delivered stays in the journal as such."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def delivered(self, timeout_s: float = 30.0) -> None:
        """Returns when every transaction message has its CALLRESULT.

        Raises:
            ChargerError: some still wait after `timeout_s`.
        """
        await self._until(self._quiet, timeout_s, "still has transaction messages without an answer")

    async def _until(self, event: asyncio.Event, timeout_s: float, failing: str) -> None:
        """Waits for `event`; the end of a task of ours is an error, which is raised."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting, *self._tasks}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        self._raise_failures()
        if not event.is_set():
            link = "connected" if self.online else self._why_down
            raise ChargerError("timeout", self.spec.charger_id, f"{failing} within {timeout_s:g} s ({link})")

    def _raise_failures(self) -> None:
        """What ended a task of ours: only trouble with the folder does."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _boot(self) -> None:
        """Boots until it is accepted, then sends a heartbeat at the interval the gateway gave."""
        identity = StationIdentity(self.spec.charger_id)
        interval = 1.0
        while True:
            await self.online_again()
            try:
                if self._booted.is_set():
                    await self._ask("Heartbeat", {})
                else:
                    answer = decode(
                        BootNotificationAnswer,
                        await self._ask(*self._dialect.boot(identity)),
                        "BootNotification answer",
                    )
                    interval = max(1.0, float(answer.interval))
                    self._why_down = f"the boot was answered with {answer.status}"
                    if answer.status == "Accepted":
                        self._booted.set()
                        self._state_plug(occupied=False)
            except (ChargerError, MalformedValue) as error:
                self._why_down = str(error)
                await asyncio.sleep(0.2)
                continue
            await asyncio.sleep(interval)

    async def online_again(self) -> None:
        """Returns when a WebSocket to the gateway stands."""
        while not self.online:
            self._changed.clear()
            await self._changed.wait()

    async def _ask(self, action: str, payload: object) -> bytes:
        """The payload of the answer. Raises ChargerError: offline, refused with a CALLERROR, or not answered."""
        if not self.online:
            raise ChargerError(
                "offline", self.spec.charger_id, f"{action}: no connection to the gateway ({self._why_down})"
            )
        ticket = self._outbox.ask(action, payload)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[ticket] = answer
        self._connection.wake()
        try:
            return await answer
        finally:
            self._asked.pop(ticket, None)

    def _state_plug(self, *, occupied: bool) -> None:
        """Tells the connector's state while online; the answer says nothing."""
        if self.online:
            self._outbox.ask(*self._dialect.status(self.spec.evse_id, self.spec.connector_id, occupied, self._clock()))
            self._connection.wake()

    def _put(self, drafts: tuple[Draft, ...]) -> None:
        self._memory.messages.put(*(self._outbox.put(draft) for draft in drafts))
        self._quiet.clear()
        self._connection.wake()

    def _on_up(self) -> None:
        waiting = f", messages to resend: {self.waiting}" if self.waiting else ""
        self._tell(f"{self.spec.charger_id} is connected{waiting}")
        self._changed.set()

    def _on_down(self, reason: str) -> None:
        if reason != self._why_down:
            self._tell(f"{self.spec.charger_id} has no connection: {reason}")
        self._why_down = reason

    def _on_outcome(self, outcome: Outcome) -> None:
        match outcome:
            case Answered(ticket, payload):
                if (future := self._asked.get(ticket)) is not None and not future.done():
                    future.set_result(payload)
            case Unanswered(ticket, code, why):
                if (future := self._asked.get(ticket)) is not None and not future.done():
                    future.set_exception(ChargerError(code or "no-answer", self.spec.charger_id, why))
            case Delivered(pending, payload):
                self._read_delivery(pending, payload)
                self._memory.messages.note(pending)
            case Dropped(pending, why):
                tx = self._memory.transaction_of(pending)
                self._dialect.note_dropped(tx, pending.draft.action)
                self._memory.note(tx)
                self._memory.messages.note(pending, dropped=True)
                self._tell(f"{self.spec.charger_id} throws {pending.draft.action} away: {why}")
            case Retrying(pending, why):
                self._memory.messages.note(pending)
                self._tell(f"{self.spec.charger_id} will send {pending.draft.action} again: {why}")
        if not self._outbox.waiting:
            self._quiet.set()

    def _read_delivery(self, pending: Pending, payload: bytes) -> None:
        tx = self._memory.transaction_of(pending)
        try:
            self._dialect.read_delivery(tx, pending.draft.action, payload)
        except MalformedValue as error:
            # It is delivered all the same; what the answer should have said is missing, as after a dropped message.
            self._dialect.note_dropped(tx, pending.draft.action)
            self._tell(f"{self.spec.charger_id} cannot read an answer: {error}")
        self._memory.note(tx)

    # --- sessions -----------------------------------------------------------------------------------------------

    async def authorize(self, presented: Presented) -> Answer:
        """What the gateway says of a token.

        Raises:
            ChargerError: offline, a CALLERROR, no answer, or one that cannot be read.
        """
        payload = await self._ask(*self._dialect.authorize(presented))
        try:
            return self._dialect.read_authorization(presented, payload)
        except MalformedValue as error:
            raise ChargerError("unreadable-answer", self.spec.charger_id, str(error)) from error

    async def charge(self, presented: Presented, seconds: float, progress: Callable[[Progress], None]) -> Charge:
        """Charges for `seconds` of real time (or until the gateway wants it stopped) and queues all that is to be told.

        The token must have been accepted before; `progress` is called about every `tick_s`.
        """
        tx = self._new_transaction(presented)
        begin = self._measure("Transaction.Begin", 0, ReadingReason.BEGIN, presented)
        self._charging = tx.reference
        try:
            self._put(self._dialect.started(tx, begin, self._key, not self.online))
            self._state_plug(occupied=True)
            signed = 2 + await self._deliver(tx, begin, seconds, progress)
            end = self._measure("Transaction.End", 0, _end_reason(tx), presented)
            self._put(self._dialect.ended(tx, begin, end, self._key, not self.online))
        finally:
            self._charging = None
        self._state_plug(occupied=False)
        return Charge(self.spec.charger_id, tx, begin, end, signed)

    def _new_transaction(self, presented: Presented) -> Transaction:
        reference = str(uuid.uuid4())
        wire_id = self._dialect.id_from_start(reference)
        tx = Transaction(reference, presented, self.spec.evse_id, self.spec.connector_id, wire_id)
        self._memory.begin(tx)
        return tx

    def _resume(self) -> None:
        """Ends what was going on when the power went; it is told like everything else."""
        for found in self._memory.interrupted():
            if found.reference == self._charging:
                continue
            tx = self._memory.transaction(found.reference)
            end = found.end or self.meter.sign(ReadingReason.POWER_FAILURE, tx.presented.identification())
            tx.power_lost = end.reason is ReadingReason.POWER_FAILURE
            self._put(tuple(closing_drafts(self._dialect, tx, found, end, self._key)))
            charge = Charge(self.spec.charger_id, tx, measured(found.readings[0]), measured(end), len(found.readings))
            self._tell(f"{self.spec.charger_id} ends a charge that was interrupted after {charge.energy_wh} Wh")

    async def _deliver(
        self, tx: Transaction, begin: Measurement, seconds: float, progress: Callable[[Progress], None]
    ) -> int:
        """Energy flows; gives how many periodic values were signed."""
        clock = asyncio.get_running_loop().time
        started = counted = clock()
        samples = signed = 0
        while (elapsed := counted - started) < seconds and tx.stop_asked is None:
            await asyncio.sleep(min(self.spec.tick_s, seconds - elapsed))
            self._raise_failures()
            now = clock()
            watts = self._watts(now - started)
            self.meter.count(watts, round((now - counted) * 1000))
            counted = now
            if int((now - started) / self.spec.sample_s) > samples and now - started < seconds:
                samples += 1
                sign = samples % self.spec.signed_every == 0
                signed += sign
                measured = self._measure(
                    "Sample.Periodic", watts, ReadingReason.CHARGING if sign else None, tx.presented
                )
                self._put((self._dialect.updated(tx, measured, self._key, not self.online),))
            delivered = self.meter.register_kwh.scaleb(3) - begin.register_wh
            progress(Progress(min(now - started, seconds), seconds, delivered, watts, signed + 1, self.online))
        return signed

    def _watts(self, elapsed_s: float) -> int:
        """Full power after a ramp, with half a percent of ripple, as a real rectifier shows."""
        share = min(1.0, 0.1 + 0.9 * elapsed_s / self.spec.ramp_s)
        ripple = 1 - 0.005 * ((int(elapsed_s * 10) * 7) % 10) / 10
        return int(self.spec.power_w * share * ripple)

    def _measure(self, context: str, watts: int, reason: ReadingReason | None, presented: Presented) -> Measurement:
        if reason is None:
            return Measurement(self._clock(), self.meter.register_kwh, watts, context)
        reading = self.meter.sign(reason, presented.identification())
        return Measurement(reading.at, reading.register_kwh, watts, context, reading)


def _end_reason(tx: Transaction) -> ReadingReason:
    if tx.stop_asked is not None:
        return ReadingReason.ABORT
    return ReadingReason.LOCAL if tx.presented.medium is Medium.RFID else ReadingReason.END
