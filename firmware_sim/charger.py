"""One simulated charger: its meter, its line to the gateway, what it holds, and what goes on at its plug.

A charger without power remembers: at the next power-up a charge that was interrupted is ended, and what was not
acknowledged is sent again, by whichever process has the folder then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path

from firmware_sim.calls.parts import Parts
from firmware_sim.calls.table import answering
from firmware_sim.connection import Address, BackOff, Reply
from firmware_sim.credentials import CHARGING_STATION, Credentials
from firmware_sim.dialect import Answer, Dialect, Presented, Stop
from firmware_sim.errors import ChargerError
from firmware_sim.holdings import Holdings
from firmware_sim.link import Ears, Link
from firmware_sim.memory import Memory
from firmware_sim.meter import SigningMeter
from firmware_sim.meter_telling import spelled_key
from firmware_sim.misdeeds import misled
from firmware_sim.ocpp16 import OCPP16
from firmware_sim.ocpp21 import OCPP21
from firmware_sim.ocpp201 import OCPP201
from firmware_sim.permits import Permit, Permits
from firmware_sim.secrets import load_password, save_password
from firmware_sim.sessions import Charge, Progress, Sessions
from firmware_sim.spec import ChargerSpec
from wire.ocpp.frames import Call

DIALECTS: dict[str, Callable[[], Dialect]] = {"1.6": OCPP16, "2.0.1": OCPP201, "2.1": OCPP21}
"""OCPP version -> its words."""

DELIVERY_BEFORE_RESET_S = 2.0
"""How long a charger that is told to reset still tries to tell how its charge ended."""


class Charger:
    """A charger at `address`, its meter and journals in `folder`; one at a time there. `clock` gives aware instants.

    `tell` hears in plain words what happens (connected, lost, resent, shown on the screen). Whoever waits for this
    charger gets a StateError as soon as `folder` cannot be written any more.

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
        clock = misled(clock, spec.faults)
        self.spec, self._folder, self._tell = spec, folder, tell
        self.meter = SigningMeter(
            folder, spec.charger_id, clock, current=spec.current, kind=spec.meter, faults=spec.meter_faults
        )
        dialect, memory = DIALECTS[spec.ocpp](), Memory(folder, spec.charger_id, spec.ocpp, self.meter)
        ears = Ears(
            delivered=lambda pending, payload: self.sessions.delivered(pending, payload),
            dropped=lambda pending: self.sessions.dropped(pending),
            called=self._called,
            accepted=lambda: self.sessions.tell_plug(),
        )
        self.link = Link(spec, address, dialect, memory, ears, back_off=back_off or BackOff(), tell=tell)
        known = load_password(folder)
        if known is not None and address.password is not None:
            self.link.use_password(known)
        self.holdings = Holdings(
            spec, folder, clock, lambda text: tell(f"{spec.charger_id} shows: {text}"), self._meter_key
        )
        self.credentials = Credentials(spec.charger_id, folder, dialect, self.link.ask)
        self.permits = Permits(self.link, dialect, self.holdings, clock)
        self.sessions = Sessions(spec, self.meter, dialect, memory, self.link, self.permits, self.holdings, clock, tell)
        self._going_on: set[asyncio.Task[None]] = set()
        self.reboots = 0
        """How often the charger has booted again because it was told to."""
        self._answering = answering(
            Parts(
                spec=spec,
                sessions=self.sessions,
                link=self.link,
                holdings=self.holdings,
                credentials=self.credentials,
                clock=clock,
                reboot=lambda how, why: self._spawn(self._reboot(how, why)),
                spawn=self._spawn,
                new_password=self._new_password,
            )
        )

    # --- power and network --------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Whether a WebSocket to the gateway stands."""
        return self.link.online

    @property
    def answers(self) -> frozenset[str]:
        """The actions of the gateway that it answers."""
        return frozenset(self._answering.table)

    @property
    def waiting(self) -> int:
        """How many transaction messages have no CALLRESULT yet."""
        return self.link.waiting

    async def connect(self, timeout_s: float = 10.0) -> None:
        """Power-up: ends a charge that was interrupted, connects and boots; returns when the boot was accepted.

        Raises:
            ChargerError: not accepted within `timeout_s`; says what happened last.
        """
        if not self.link.powered:
            self.sessions.resume()
            self.link.power_up()
        await self.link.accepted(timeout_s)

    async def disconnect(self) -> None:
        """Power-off: the connection ends; what was not delivered stays in the journal as such."""
        for task in self._going_on:
            task.cancel()
        await asyncio.gather(*self._going_on, return_exceptions=True)
        await self.sessions.give_up()
        await self.link.power_off()

    async def cut(self) -> None:
        """The network between charger and gateway is gone; `mend` brings it back."""
        await self.link.cut()

    def mend(self) -> None:
        """The network is there again."""
        self.link.mend()

    async def delivered(self, timeout_s: float = 30.0) -> None:
        """Returns when every transaction message has its CALLRESULT.

        Raises:
            ChargerError: some still wait after `timeout_s`.
        """
        await self.link.delivered(timeout_s)

    async def online_again(self) -> None:
        """Returns when a WebSocket to the gateway stands."""
        await self.link.online_again()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._going_on.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.link.failed(error)

    async def _reboot(self, how: Stop, why: str) -> None:
        """Ends what goes on, goes away, and boots again."""
        self._tell(f"{self.spec.charger_id} reboots ({why})")
        self.sessions.stop(how)
        await self.sessions.idle()
        try:
            await self.link.delivered(DELIVERY_BEFORE_RESET_S)
        except ChargerError:
            pass  # It is told after the reboot.
        await self.link.power_off()
        await asyncio.sleep(self.spec.reboot_s)
        self.reboots += 1
        self.link.power_up(why)

    def _new_password(self, password: bytes) -> Callable[[], None]:
        """Keeps a password; gives what follows the answer: a new connection with it."""
        save_password(self._folder, password)
        self.link.use_password(password)
        return lambda: self._spawn(self.link.reconnect("it comes again with its new password"))

    def _called(self, call: Call) -> Reply:
        """The answer to a CALL of the gateway. Raises CallRejected."""
        before = len(self.credentials.taken)
        answer = self.credentials.called(call)
        if answer is None:
            return self._answering.called(call)
        if self.credentials.taken[before:] == [CHARGING_STATION]:
            return Reply(answer, self._use_certificate)
        return Reply(answer)

    def _use_certificate(self) -> None:
        """The next connection, made at once, proves itself with the new certificate (A02.FR.08)."""
        if self.link.use_certificate(self.credentials.path(CHARGING_STATION)):
            self._spawn(self.link.reconnect("it comes again with its new certificate"))

    def _meter_key(self) -> str:
        return spelled_key(self.meter.public_key, self.spec.meter.key_spelling)

    def swap_meter(self) -> None:
        """A technician puts another meter in.

        Raises:
            ChargerError: it is charging.
        """
        if self.sessions.current is not None:
            raise ChargerError("busy", self.spec.charger_id, "its meter cannot be swapped while it charges")
        self.meter.swap()
        self._tell(f"{self.spec.charger_id} has the new meter {self.meter.serial}")

    # --- drivers ------------------------------------------------------------------------------------------------

    async def authorize(self, presented: Presented) -> Answer:
        """What the gateway says of a token.

        Raises:
            ChargerError: offline, a CALLERROR, no answer, or one that cannot be read.
        """
        return await self.permits.authorize(presented)

    async def permit(self, presented: Presented) -> Permit:
        """Whether the charger lets a token charge: by itself where its rules let it, else as the gateway says."""
        return await self.permits.permit(presented)

    async def charge(
        self,
        presented: Presented,
        seconds: float,
        progress: Callable[[Progress], None],
        *,
        group_id: str | None = None,
    ) -> Charge:
        """As `Sessions.charge`: the token must have been accepted before."""
        return await self.sessions.charge(presented, seconds, progress, group_id=group_id)
