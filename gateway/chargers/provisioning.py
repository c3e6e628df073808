"""BootNotification and Heartbeat: the station is accepted, and told the time.

Rules
1. Acceptance is durable before it is answered, and survives restarts, because stations do not boot again on a reconnect
   (OCPP 2.0.1 Part 4 5.3; OCPP-J 1.6 5.4).
2. A station that was never accepted is refused with SecurityError until it boots (2.0.1 B02.FR.09), and is asked to
   boot (`gateway.chargers.booting`).
3. Where the acceptance may have been lost here, because the store is not in its first epoch any more, rule 2 would
   strand drivers until somebody switches the station off and on: in 2.x it even has to refuse to boot again
   (F06.FR.17). So a station that speaks without a boot is taken as accepted there. Nothing is given away: it is
   configured, it has proven who it is, and its boot would be accepted. Only what it would have said in it is missing,
   so it is asked all the same; a serial number that its certificate names is compared when the boot comes.

Source: OCPP 1.6 4.2, 4.6, 5.17; OCPP 2.0.1 and 2.1 Part 2 B01, B02, F06, G02.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.chargers.actions import Actions, action
from gateway.chargers.connected import MODULES, Connected
from gateway.errors import AdmissionRefused
from gateway.log import say
from gateway.store.carrying import begun
from gateway.store.chargers import register, take_as_accepted
from wire.ocpp import v16, v21, v201
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Message


class Provisioning:
    """One station's way in. `heard` is called with its BootNotification, once it is accepted."""

    def __init__(self, connected: Connected, heard: Callable[[Message], None]) -> None:
        self._connected, self._site, self._heard = connected, connected.site, heard

    def actions(self) -> Actions:
        """Boot and heartbeat of the station's version."""
        messages = MODULES[self._connected.ocpp]
        boot = (
            action("BootNotification", v16.BootNotification, self._boot16)
            if self._connected.ocpp == v16.VERSION
            else action("BootNotification", messages.BootNotification, self._boot2)
        )
        return {"BootNotification": boot, "Heartbeat": action("Heartbeat", messages.Heartbeat, self._heartbeat)}

    async def _boot16(self, request: v16.BootNotification) -> object:
        self._require_certified(request.charge_point_serial_number, request.charge_box_serial_number)
        told = request.firmware_version, request.charge_point_serial_number
        await self._register(request.charge_point_vendor, request.charge_point_model, *told)
        self._heard(request)
        return v16.BootNotificationAnswer(
            current_time=self._current_time(), interval=self._site.heartbeat_interval_s, status="Accepted"
        )

    async def _boot2(self, request: v201.BootNotification | v21.BootNotification) -> object:
        told = request.charging_station
        self._require_certified(told.serial_number)
        await self._register(told.vendor_name, told.model, told.firmware_version, told.serial_number)
        self._heard(request)
        return v201.BootNotificationAnswer(
            current_time=self._current_time(), interval=self._site.heartbeat_interval_s, status="Accepted"
        )

    async def require_accepted(self) -> None:
        """Return if the station was accepted, or is taken as accepted now (rule 3). Raises CallRejected,
        StoreUnavailable."""
        if self._connected.registered:
            return
        if begun(self._site.ledger) is None:
            raise CallRejected(OCPPErrorCode.SECURITY_ERROR, "send BootNotification first")
        await self.take_as_accepted("its acceptance may have been lost with an earlier epoch of the store")

    async def take_as_accepted(self, reason: str) -> None:
        """Accept the station without a boot, durably. Raises StoreUnavailable."""
        charger_id, ocpp = self._connected.charger_id, self._connected.ocpp
        await self._site.writer.run(lambda connection: take_as_accepted(connection, charger_id, ocpp))
        self._connected.registered = True
        say("charger-taken-as-accepted", level="warning", charger=charger_id, reason=reason)
        await self._site.audit("charger-taken-as-accepted", charger_id, reason)

    def _require_certified(self, *serial_numbers: str | None) -> None:
        """Return if the station calls itself what its certificate names (2.0.1 B01.FR.12; 1.6 has two fields for that,
        the older one out of use). Raises AdmissionRefused."""
        named, charger_id = self._connected.serial_number, self._connected.charger_id
        told = [each for each in serial_numbers if each is not None]
        if named is not None and told and named not in told:
            message = f"{charger_id}: boots as {told[0]!a}, its certificate names {named!a}"
            raise AdmissionRefused("wrong-serial", message, 403, charger_id)

    async def _register(self, vendor: str, model: str, firmware: str | None, serial_number: str | None) -> None:
        at, connected = self._site.clock.now().at, self._connected
        charger_id, ocpp = connected.charger_id, connected.ocpp
        await self._site.writer.run(lambda c: register(c, charger_id, ocpp, vendor, model, at, firmware, serial_number))
        connected.registered = True

    async def _heartbeat(self, _request: Message) -> object:
        return v201.HeartbeatAnswer(current_time=self._current_time())

    def _current_time(self) -> datetime:
        """Now in whole seconds: OCPP allows at most three decimal places (2.0.1 Part 2 2.1.4)."""
        return self._site.clock.now().at.replace(microsecond=0)
