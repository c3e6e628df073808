"""A charger's line to the gateway: boots, heartbeats, questions, and transaction messages until they are heard.

Rules of this file
1. BootNotification is sent after power-up only, not after a lost connection (OCPP 2.0.1 Part 4 5.3; OCPP-J 1.6 5.4).
2. What is to be told of transactions waits in the outbox for a connection; a question is asked now or not at all.
3. Power and network are two things: without power nothing goes on here, without network everything but the sending.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_sim.connection import Address, BackOff, Connection, LinkNotices, Reply
from firmware_sim.dialect import Dialect
from firmware_sim.errors import ChargerError
from firmware_sim.memory import Memory
from firmware_sim.misdeeds import PIPELINE, Misdeed, misspoken
from firmware_sim.outbox import Answered, Delivered, Draft, Dropped, Outbox, Outcome, Pending, Retrying, Unanswered
from firmware_sim.spec import ChargerSpec
from wire.errors import MalformedValue
from wire.ocpp.frames import Call


@dataclass(slots=True)
class Ears:
    """Who hears what comes over the line: the answer to a transaction message, one that was thrown away, a CALL of the
    gateway, an accepted boot."""

    delivered: Callable[[Pending, bytes], None]
    dropped: Callable[[Pending], None]
    called: Callable[[Call], Reply]
    accepted: Callable[[], None]


class Link:
    """The line of one charger. Whoever waits for it gets a StateError when the charger's folder cannot be written."""

    def __init__(
        self,
        spec: ChargerSpec,
        address: Address,
        dialect: Dialect,
        memory: Memory,
        ears: Ears,
        *,
        back_off: BackOff,
        tell: Callable[[str], None],
    ) -> None:
        self.spec, self._dialect, self._memory, self._ears, self._tell = spec, dialect, memory, ears, tell
        dumps = Misdeed.HISTORY_DUMPED in spec.faults
        self._outbox = Outbox(
            lambda: str(uuid.uuid4()),
            (lambda reference: -1) if Misdeed.TRANSACTION_ID_LOST in spec.faults else memory.id_of,
            waiting=(*memory.history(), *memory.waiting) if dumps else memory.waiting,
            last_number=memory.last_number,
            message_timeout_s=spec.message_timeout_s,
            retry_interval_s=spec.retry_interval_s,
            max_failures=spec.max_failures,
            window=PIPELINE if Misdeed.PIPELINED in spec.faults else 1,
            reuse_ids=Misdeed.SAME_IDS in spec.faults,
        )
        notices = LinkNotices(
            up=self._on_up,
            down=self._on_down,
            sending=memory.messages.sending,
            outcome=self._on_outcome,
            called=ears.called,
        )
        self._connection = Connection(address, self._outbox, notices, back_off=back_off, faults=spec.faults)
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._booted, self._quiet, self._changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        if not self._outbox.waiting:
            self._quiet.set()
        self._network: asyncio.Task[None] | None = None
        self._booting: asyncio.Task[None] | None = None
        self._connections = 0
        self._failures: list[BaseException] = []
        self._why_down = "not connected yet"
        self.interval_s = 1.0
        """Seconds between heartbeats, as the gateway gave them."""

    # --- power and network --------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether a WebSocket to the gateway stands."""
        return self._connection.online

    @property
    def powered(self) -> bool:
        """Whether the charger has power."""
        return self._booting is not None

    @property
    def waiting(self) -> int:
        """How many transaction messages have no CALLRESULT yet."""
        return len(self._outbox.waiting)

    def waits_for(self, wire_id: str) -> bool:
        """Whether a transaction message of the transaction with this id on the wire waits."""
        references = {pending.draft.transaction for pending in self._outbox.waiting}
        return any(self._memory.transaction(reference).wire_id == wire_id for reference in references)

    def power_up(self, why: str = "PowerUp") -> None:
        """Connects and boots, `why` being OCPP 2.x's BootReason."""
        if self._booting is None:
            self._booted.clear()
            self._network = asyncio.create_task(self._connection.run())
            self._booting = asyncio.create_task(self._boot(why))

    async def power_off(self) -> None:
        """The connection ends; what was not delivered stays in the journal as such."""
        tasks = [task for task in (self._network, self._booting) if task is not None]
        self._network = self._booting = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def cut(self) -> None:
        """The network is gone; the charger has power and goes on."""
        network, self._network = self._network, None
        if network is not None:
            network.cancel()
            await asyncio.gather(network, return_exceptions=True)
            self._on_down("the network is cut")

    def mend(self) -> None:
        """The network is there again."""
        if self._network is None and self.powered:
            self._network = asyncio.create_task(self._connection.run())

    def use_password(self, password: bytes) -> None:
        """The next connections authenticate with `password`."""
        self._connection.address = replace(self._connection.address, password=password)

    def use_certificate(self, path: Path) -> bool:
        """Whether the next connections prove themselves with key and certificate in `path`: only TLS can."""
        tls = self._connection.address.tls
        if tls is not None:
            tls.load_cert_chain(path)
        return tls is not None

    async def reconnect(self, why: str) -> None:
        """Ends the connection and makes another one; `why` is told."""
        await self._connection.reconnect(why)

    # --- waiting ------------------------------------------------------------------------------------------------

    async def accepted(self, timeout_s: float) -> None:
        """Returns when the boot was accepted. Raises ChargerError: not within `timeout_s`; says what happened last."""
        await self._until(self._booted, timeout_s, "was not accepted by the gateway")

    async def delivered(self, timeout_s: float) -> None:
        """Returns when every transaction message has its CALLRESULT. Raises ChargerError: not within `timeout_s`."""
        await self._until(self._quiet, timeout_s, "still has transaction messages without an answer")

    async def online_again(self) -> None:
        """Returns when a WebSocket to the gateway stands."""
        while not self.online:
            self._changed.clear()
            await self._changed.wait()

    async def _until(self, event: asyncio.Event, timeout_s: float, failing: str) -> None:
        """Waits for `event`; the end of a task of ours is an error, which is raised."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting, *self._tasks()}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reached = waiting.done()  # Not is_set(): it may have been cleared again since.
            waiting.cancel()
        self.raise_failures()
        if not reached:
            link = "connected" if self.online else self._why_down
            raise ChargerError("timeout", self.spec.charger_id, f"{failing} within {timeout_s:g} s ({link})")

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._network, self._booting) if task is not None]

    def raise_failures(self) -> None:
        """What ended a task of ours, or one that `failed` was told of: only trouble with the folder does."""
        if self._failures:
            raise self._failures[0]
        for task in self._tasks():
            if task.done():
                task.result()

    def failed(self, error: BaseException) -> None:
        """Something beside the link ended with `error`; whoever waits for the charger next gets it."""
        self._failures.append(error)

    # --- saying -------------------------------------------------------------------------------------------------

    async def ask(self, action: str, payload: object) -> bytes:
        """The payload of the answer. Raises ChargerError: offline, refused with a CALLERROR, or not answered."""
        if not self.online:
            message = f"{action}: no connection to the gateway ({self._why_down})"
            raise ChargerError("offline", self.spec.charger_id, message)
        ticket = self._outbox.ask(action, payload)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[ticket] = answer
        self._connection.wake()
        try:
            return await answer
        finally:
            self._asked.pop(ticket, None)

    def say(self, action: str, payload: object) -> None:
        """Tells something whose answer says nothing, while there is a connection."""
        if self.online:
            self._outbox.ask(action, payload)
            self._connection.wake()

    def put(self, *drafts: Draft) -> None:
        """Takes over transaction messages; they are told until they are heard."""
        self._memory.messages.put(*(self._outbox.put(draft) for draft in misspoken(drafts, self.spec.faults)))
        self._quiet.clear()
        self._connection.wake()

    # --- the boot -----------------------------------------------------------------------------------------------

    async def _boot(self, why: str) -> None:
        """Boots until it is accepted, then sends a heartbeat at the interval the gateway gave."""
        while True:
            await self.online_again()
            try:
                if self._booted.is_set():
                    await self.ask("Heartbeat", {})
                else:
                    await self.boot(why)
            except (ChargerError, MalformedValue) as error:
                self._why_down = str(error)
                await asyncio.sleep(0.2)
                continue
            await asyncio.sleep(self.interval_s)

    async def boot(self, why: str) -> None:
        """One BootNotification, and what its answer says. Raises ChargerError, MalformedValue."""
        question = self._dialect.boot(self.spec.identity, why)
        answer = self._dialect.read_boot(await self.ask(*question))
        self.interval_s = max(1.0, float(answer.interval_s))
        self._why_down = f"the boot was answered with {answer.status}"
        if answer.status == "Accepted" and not self._booted.is_set():
            self._booted.set()
            self._ears.accepted()

    # --- hearing ------------------------------------------------------------------------------------------------

    def _on_up(self) -> None:
        waiting = f", messages to resend: {self.waiting}" if self.waiting else ""
        self._tell(f"{self.spec.charger_id} is connected{waiting}")
        self._connections += 1
        self._changed.set()
        if self._connections > 1 and self._booted.is_set() and Misdeed.BOOT_ON_RECONNECT in self.spec.faults:
            self.say(*self._dialect.boot(self.spec.identity, "PowerUp"))

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
                self._ears.delivered(pending, payload)
                self._memory.messages.note(pending)
            case Dropped(pending, why):
                self._ears.dropped(pending)
                self._memory.messages.note(pending, dropped=True)
                self._tell(f"{self.spec.charger_id} throws {pending.draft.action} away: {why}")
            case Retrying(pending, why):
                self._memory.messages.note(pending)
                self._tell(f"{self.spec.charger_id} will send {pending.draft.action} again: {why}")
        if not self._outbox.waiting:
            self._quiet.set()
