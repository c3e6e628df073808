"""A request to a station before it is sent: an action and a payload that the version's types allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches

from gateway.errors import CommandRefused
from wire.commands import Command, CommandToken, ResultCode, VariableName
from wire.errors import MalformedValue
from wire.ocpp import v16, v21, v201
from wire.ocpp.payload import Message
from wire.records import decode, encode

Payload = dict[str, object]
_TYPES = {v16.VERSION: v16, v201.VERSION: v201, v21.VERSION: v21}
# fmt: off
FROM_STATIONS = frozenset({
    "Authorize", "BatterySwap", "BootNotification", "ClearedChargingLimit", "ClosePeriodicEventStream",
    "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Get15118EVCertificate",
    "GetCertificateChainStatus", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues",
    "NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDERAlarm", "NotifyDERStartStop",
    "NotifyDisplayMessages", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule", "NotifyEvent",
    "NotifyMonitoringReport", "NotifyPeriodicEventStream", "NotifyPriorityCharging", "NotifyReport",
    "NotifySettlement", "OpenPeriodicEventStream", "PublishFirmwareStatusNotification", "PullDynamicScheduleUpdate",
    "ReportChargingProfiles", "ReportDERControl", "ReservationStatusUpdate", "SecurityEventNotification",
    "SignCertificate", "SignedFirmwareStatusNotification", "StartTransaction", "StatusNotification",
    "StopTransaction", "TransactionEvent", "VatNumberValidation",
})
# fmt: on
"""Actions that only a station sends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: what is sent, as JSON text."""

    action: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Facts:
    """What a translation needs beyond the command: the numbers that stand for ids a station cannot carry.

    `number` is the command's own, never given twice at this gateway: remoteStartId, requestId, reservation id.
    """

    number: int
    at: datetime
    transaction_id: str | None = None
    reservation_number: int | None = None


def checked(ocpp: str, action: str, payload: Payload | bytes) -> Asked:
    """The request, when the version has such a message from a CSMS and its type allows the payload.

    Raises:
        CommandRefused: NOT_SUPPORTED without such a message, MALFORMED naming the JSON path.
    """
    type_: type[Message] | None = getattr(_TYPES[ocpp], action, None)
    if type_ is None or not hasattr(_TYPES[ocpp], f"{action}Answer"):
        near = get_close_matches(action, actions_of(ocpp), 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise CommandRefused(ResultCode.NOT_SUPPORTED, f"{action} is not a message of OCPP {ocpp}{meant}")
    if action in FROM_STATIONS:
        raise CommandRefused(ResultCode.NOT_SUPPORTED, f"{action} is sent by stations, not to them")
    text = payload if isinstance(payload, bytes) else encode(without_none(payload))
    try:
        return Asked(action, encode(decode(type_, text, f"{action} for OCPP {ocpp}")))
    except MalformedValue as error:
        raise CommandRefused(ResultCode.MALFORMED, str(error)) from error


def without_none(payload: Payload) -> Payload:
    """The payload without fields that are not set: null is not allowed (2.0.1 Part 4 4.1.5)."""
    return {
        key: without_none(value) if isinstance(value, dict) else value
        for key, value in payload.items()
        if value is not None
    }


def actions_of(ocpp: str) -> list[str]:
    """The actions that may be sent to a station of this version."""
    types = _TYPES[ocpp]
    return sorted(name[: -len("Answer")] for name in vars(types) if name.endswith("Answer") and _sent(name))


def _sent(answer: str) -> bool:
    return answer[: -len("Answer")] not in FROM_STATIONS


def refuse(command: Command, ocpp: str, why: str = "") -> CommandRefused:
    """The error that says that a version has no such command."""
    tag = command.__struct_config__.tag
    return CommandRefused(ResultCode.NOT_SUPPORTED, f"{tag} cannot be said in OCPP {ocpp}{why and f': {why}'}")


def shown(name: VariableName) -> str:
    """A variable's name as people write it: Component[instance]@evse:connector.Variable[instance]#attribute."""
    head = ""
    if name.component is not None:
        place = f"@{name.evse_id}" if name.evse_id is not None else ""
        place += f":{name.connector_id}" if name.connector_id is not None else ""
        head = f"{name.component}{_index(name.component_instance)}{place}."
    attribute = f"#{name.attribute}" if name.attribute is not None else ""
    return f"{head}{name.variable}{_index(name.variable_instance)}{attribute}"


def _index(text: str | None) -> str:
    return "" if text is None else f"[{text}]"


def decimal(value: Decimal) -> Decimal:
    """A number towards a station, with at most six decimal places (2.0.1 Part 2 2.1.4)."""
    return round(value, 6).normalize() + 0 if value.as_tuple().exponent not in range(-6, 1) else value


def token_name(token: CommandToken) -> str:
    """A token as messages name it."""
    return f"{token.type.value} {token.uid!a}"
