"""OCPP 2.1, block F. Remote control."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String36, String50
from wire.ocpp.v21.types import EVSE, ChargingProfile, IdToken, StatusInfo
from wire.ocpp.v201.remote import RequestStartStopStatusEnum, TriggerMessageStatusEnum, UnlockStatusEnum

MessageTriggerEnum = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargingStationCertificate",
    "SignV2GCertificate",
    "SignV2G20Certificate",
    "StatusNotification",
    "TransactionEvent",
    "SignCombinedCertificate",
    "PublishFirmwareStatusNotification",
    "CustomTrigger",
]


class RequestStartTransaction(Message, frozen=True, kw_only=True):
    """RequestStartTransactionRequest."""

    id_token: IdToken
    remote_start_id: int
    evse_id: Annotated[int, msgspec.Meta(ge=1)] | None = None
    group_id_token: IdToken | None = None
    charging_profile: ChargingProfile | None = None
    custom_data: msgspec.Raw = ABSENT


class RequestStartTransactionAnswer(Message, frozen=True, kw_only=True):
    """RequestStartTransactionResponse."""

    status: RequestStartStopStatusEnum
    status_info: StatusInfo | None = None
    transaction_id: String36 | None = None
    custom_data: msgspec.Raw = ABSENT


class RequestStopTransactionAnswer(Message, frozen=True, kw_only=True):
    """RequestStopTransactionResponse."""

    status: RequestStartStopStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class TriggerMessage(Message, frozen=True, kw_only=True):
    """TriggerMessageRequest."""

    requested_message: MessageTriggerEnum
    evse: EVSE | None = None
    custom_trigger: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class TriggerMessageAnswer(Message, frozen=True, kw_only=True):
    """TriggerMessageResponse."""

    status: TriggerMessageStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class UnlockConnector(Message, frozen=True, kw_only=True):
    """UnlockConnectorRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    connector_id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class UnlockConnectorAnswer(Message, frozen=True, kw_only=True):
    """UnlockConnectorResponse."""

    status: UnlockStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
