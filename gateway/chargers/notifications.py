"""What stations tell that needs no decision: kept as the newest of its kind, or entered into the audit log.

One table for each version says what is done. A security event and a settlement go into the chain of evidence; the
state of connectors, firmware, logs and reservations is kept and shown; the rest is acknowledged. Companions hear all.

Source: OCPP 1.6 4, 6 and its security white paper; OCPP 2.0.1 and 2.1 Part 2, blocks A, B, G to S.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial

from gateway.chargers.actions import Action, Actions
from gateway.chargers.connected import MODULES, Connected
from gateway.log import say
from gateway.store.notices import Notice, keep_notice
from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message, read_message
from wire.ocpp.quirks import Noticed


class Care(StrEnum):
    """What is done with what was told."""

    KEPT = "kept"
    AUDITED = "audited"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Told:
    """`subject`: fields that tell one notice of its kind from another. `answer`: fields the answer needs, and why is
    said where it stands in the table."""

    care: Care
    subject: tuple[str, ...] = ()
    answer: Mapping[str, str] | None = None
    event: str = ""


_KEPT = Told(Care.KEPT)
_ACKNOWLEDGED = Told(Care.ACKNOWLEDGED)
_SECURITY = Told(Care.AUDITED, event="security-event")

TOLD16: Mapping[str, Told] = {
    "StatusNotification": Told(Care.KEPT, ("connector_id",)),
    "DiagnosticsStatusNotification": _KEPT,
    "FirmwareStatusNotification": _KEPT,
    "LogStatusNotification": _KEPT,
    "SignedFirmwareStatusNotification": _KEPT,
    "SecurityEventNotification": _SECURITY,
}
TOLD201: Mapping[str, Told] = {
    "StatusNotification": Told(Care.KEPT, ("evse_id", "connector_id")),
    "FirmwareStatusNotification": _KEPT,
    "LogStatusNotification": _KEPT,
    "PublishFirmwareStatusNotification": _KEPT,
    "ReservationStatusUpdate": Told(Care.KEPT, ("reservation_id",)),
    "SecurityEventNotification": _SECURITY,
    "NotifyEvent": _KEPT,
    "NotifyReport": _ACKNOWLEDGED,
    "NotifyMonitoringReport": _ACKNOWLEDGED,
    "NotifyCustomerInformation": _ACKNOWLEDGED,
    "NotifyDisplayMessages": _ACKNOWLEDGED,
    "NotifyChargingLimit": Told(Care.KEPT, ("evse_id",)),
    "ClearedChargingLimit": Told(Care.KEPT, ("evse_id",)),
    "ReportChargingProfiles": _ACKNOWLEDGED,
    # There is no smart charging here, so no charging profile follows (K15.FR.03); a schedule that the car told is fine.
    "NotifyEVChargingNeeds": Told(Care.ACKNOWLEDGED, answer={"status": "Rejected"}),
    "NotifyEVChargingSchedule": Told(Care.ACKNOWLEDGED, answer={"status": "Accepted"}),
}
TOLD21: Mapping[str, Told] = {
    **TOLD201,
    "NotifyEVChargingNeeds": Told(Care.ACKNOWLEDGED, answer={"status": "NoChargingProfile"}),
    "NotifyPriorityCharging": _KEPT,
    "NotifySettlement": Told(Care.AUDITED, event="settlement"),
    "NotifyDERAlarm": _KEPT,
    "NotifyDERStartStop": _KEPT,
    "ReportDERControl": _ACKNOWLEDGED,
    "BatterySwap": _KEPT,
    # No dynamic schedule was ever sent.
    "PullDynamicScheduleUpdate": Told(Care.ACKNOWLEDGED, answer={"status": "Rejected"}),
    "OpenPeriodicEventStream": Told(Care.KEPT, answer={"status": "Accepted"}),
    "ClosePeriodicEventStream": _KEPT,
}
BY_VERSION: Mapping[str, Mapping[str, Told]] = {v16.VERSION: TOLD16, v201.VERSION: TOLD201, v21.VERSION: TOLD21}


@dataclass(frozen=True, slots=True)
class _Kind:
    """One message of a version, with its answer, which is the same for every station."""

    name: str
    told: Told
    request: type[Message]
    answer: Message


@cache
def _kinds(ocpp: str) -> Mapping[str, _Kind]:
    messages = MODULES[ocpp]
    return {
        name: _Kind(name, told, getattr(messages, name), getattr(messages, f"{name}Answer")(**(told.answer or {})))
        for name, told in BY_VERSION[ocpp].items()
    }


class Notifications:
    """One station's notices. `heard` is called with each."""

    def __init__(self, connected: Connected, heard: Callable[[Message], None]) -> None:
        self._connected, self._heard = connected, heard

    def actions(self) -> Actions:
        """The table of the station's version."""
        kinds = _kinds(self._connected.ocpp)
        return {name: Action(kind.request, partial(self._take, kind)) for name, kind in kinds.items()}

    async def _take(self, kind: _Kind, payload: bytes, noticed: Noticed) -> object:
        request = read_message(kind.request, payload, kind.name, noticed)
        await self._care(kind.name, kind.told, request, payload)
        self._heard(request)
        return kind.answer

    async def _care(self, name: str, told: Told, request: Message, payload: bytes) -> None:
        site, charger_id = self._connected.site, self._connected.charger_id
        if told.care is Care.AUDITED:
            say(told.event, level="warning", charger=charger_id, told=payload.decode()[:500])
            await site.audit(told.event, charger_id, payload.decode())
        elif told.care is Care.KEPT:
            subject = "/".join(str(getattr(request, field)) for field in told.subject)
            notice = Notice(charger_id, name, subject, site.clock.now().at, payload.decode())
            await site.writer.run(lambda connection: keep_notice(connection, notice))
