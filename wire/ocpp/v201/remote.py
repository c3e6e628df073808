"""OCPP 2.0.1, block F. Remote control."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String36
from wire.ocpp.v201.types import EVSE, ChargingProfile, IdToken, StatusInfo

MessageTriggerEnum = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargingStationCertificate",
    "SignV2GCertificate",
    "StatusNotification",
    "TransactionEvent",
    "SignCombinedCertificate",
    "PublishFirmwareStatusNotification",
]


RequestStartStopStatusEnum = Literal["Accepted", "Rejected"]


TriggerMessageStatusEnum = Literal["Accepted", "Rejected", "NotImplemented"]


UnlockStatusEnum = Literal["Unlocked", "UnlockFailed", "OngoingAuthorizedTransaction", "UnknownConnector"]


class RequestStartTransaction(Message, frozen=True, kw_only=True):
    """RequestStartTransactionRequest."""

    id_token: IdToken
    remote_start_id: int
    custom_data: msgspec.Raw = ABSENT
    evse_id: int | None = None
    group_id_token: IdToken | None = None
    charging_profile: ChargingProfile | None = None


class RequestStartTransactionAnswer(Message, frozen=True, kw_only=True):
    """RequestStartTransactionResponse."""

    status: RequestStartStopStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
    transaction_id: String36 | None = None


class RequestStopTransaction(Message, frozen=True, kw_only=True):
    """RequestStopTransactionRequest."""

    transaction_id: String36
    custom_data: msgspec.Raw = ABSENT


class RequestStopTransactionAnswer(Message, frozen=True, kw_only=True):
    """RequestStopTransactionResponse."""

    status: RequestStartStopStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class TriggerMessage(Message, frozen=True, kw_only=True):
    """TriggerMessageRequest."""

    requested_message: MessageTriggerEnum
    custom_data: msgspec.Raw = ABSENT
    evse: EVSE | None = None


class TriggerMessageAnswer(Message, frozen=True, kw_only=True):
    """TriggerMessageResponse."""

    status: TriggerMessageStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class UnlockConnector(Message, frozen=True, kw_only=True):
    """UnlockConnectorRequest."""

    evse_id: int
    connector_id: int
    custom_data: msgspec.Raw = ABSENT


class UnlockConnectorAnswer(Message, frozen=True, kw_only=True):
    """UnlockConnectorResponse."""

    status: UnlockStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
