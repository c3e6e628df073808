"""OCPP 2.1, block G. Availability."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message
from wire.ocpp.v21.types import EVSE, StatusInfo
from wire.ocpp.v201.availability import ChangeAvailabilityStatusEnum, ConnectorStatusEnum, OperationalStatusEnum


class ChangeAvailability(Message, frozen=True, kw_only=True):
    """ChangeAvailabilityRequest."""

    operational_status: OperationalStatusEnum
    evse: EVSE | None = None
    custom_data: msgspec.Raw = ABSENT


class ChangeAvailabilityAnswer(Message, frozen=True, kw_only=True):
    """ChangeAvailabilityResponse."""

    status: ChangeAvailabilityStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class StatusNotification(Message, frozen=True, kw_only=True):
    """StatusNotificationRequest."""

    timestamp: Instant
    connector_status: ConnectorStatusEnum
    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    connector_id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT
