"""OCPP 1.6, Remote Trigger profile."""

from __future__ import annotations

from typing import Literal

from wire.ocpp.payload import Message

TriggerMessageRequestedMessage = Literal[
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
]


TriggerMessageStatus = Literal["Accepted", "Rejected", "NotImplemented"]


class TriggerMessage(Message, frozen=True, kw_only=True):
    """TriggerMessage.req."""

    requested_message: TriggerMessageRequestedMessage
    connector_id: int | None = None


class TriggerMessageAnswer(Message, frozen=True, kw_only=True):
    """TriggerMessage.conf."""

    status: TriggerMessageStatus
