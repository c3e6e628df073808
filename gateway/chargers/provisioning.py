"""BootNotification and Heartbeat: the station is accepted, and told the time.

Acceptance is durable before it is answered, and survives restarts, because stations do not boot again on a reconnect
(OCPP 2.0.1 Part 4 5.3; OCPP-J 1.6 5.4). Source: OCPP 1.6 4.2, 4.6; OCPP 2.0.1 and 2.1 Part 2 B01, G02.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.chargers.actions import Actions, action
from gateway.chargers.connected import MODULES, Connected
from gateway.errors import AdmissionRefused
from gateway.store.chargers import register
from wire.ocpp import v16, v21, v201
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
