"""OCPP 2.0.1, block G. Availability."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message
from wire.ocpp.v201.types import EVSE, StatusInfo

ChangeAvailabilityStatusEnum = Literal["Accepted", "Rejected", "Scheduled"]


ConnectorStatusEnum = Literal["Available", "Occupied", "Reserved", "Unavailable", "Faulted"]


OperationalStatusEnum = Literal["Inoperative", "Operative"]


class ChangeAvailability(Message, frozen=True, kw_only=True):
    """ChangeAvailabilityRequest."""

    operational_status: OperationalStatusEnum
    custom_data: msgspec.Raw = ABSENT
    evse: EVSE | None = None


class ChangeAvailabilityAnswer(Message, frozen=True, kw_only=True):
    """ChangeAvailabilityResponse."""

    status: ChangeAvailabilityStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class Heartbeat(Message, frozen=True, kw_only=True):
    """HeartbeatRequest."""

    custom_data: msgspec.Raw = ABSENT


class HeartbeatAnswer(Message, frozen=True, kw_only=True):
    """HeartbeatResponse."""

    current_time: Instant
    custom_data: msgspec.Raw = ABSENT


class StatusNotification(Message, frozen=True, kw_only=True):
    """StatusNotificationRequest."""

    timestamp: Instant
    connector_status: ConnectorStatusEnum
    evse_id: int
    connector_id: int
    custom_data: msgspec.Raw = ABSENT


class StatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """StatusNotificationResponse."""

    custom_data: msgspec.Raw = ABSENT
