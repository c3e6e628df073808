"""OCPP 2.0.1, block E. Transactions."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String36
from wire.ocpp.v201.types import EVSE, IdToken, IdTokenInfo, MessageContent, MeterValue

ChargingStateEnum = Literal["Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle"]


ReasonEnum = Literal[
    "DeAuthorized",
    "EmergencyStop",
    "EnergyLimitReached",
    "EVDisconnected",
    "GroundFault",
    "ImmediateReset",
    "Local",
    "LocalOutOfCredit",
    "MasterPass",
    "Other",
    "OvercurrentFault",
    "PowerLoss",
    "PowerQuality",
    "Reboot",
    "Remote",
    "SOCLimitReached",
    "StoppedByEV",
    "TimeLimitReached",
    "Timeout",
]


TransactionEventEnum = Literal["Ended", "Started", "Updated"]


TriggerReasonEnum = Literal[
    "Authorized",
    "CablePluggedIn",
    "ChargingRateChanged",
    "ChargingStateChanged",
    "Deauthorized",
    "EnergyLimitReached",
    "EVCommunicationLost",
    "EVConnectTimeout",
    "MeterValueClock",
    "MeterValuePeriodic",
    "TimeLimitReached",
    "Trigger",
    "UnlockCommand",
    "StopAuthorized",
    "EVDeparted",
    "EVDetected",
    "RemoteStop",
    "RemoteStart",
    "AbnormalCondition",
    "SignedDataReceived",
    "ResetCommand",
]


class Transaction(Message, frozen=True, kw_only=True):
    """TransactionType."""

    transaction_id: String36
    custom_data: msgspec.Raw = ABSENT
    charging_state: ChargingStateEnum | None = None
    time_spent_charging: int | None = None
    stopped_reason: ReasonEnum | None = None
    remote_start_id: int | None = None


class GetTransactionStatus(Message, frozen=True, kw_only=True):
    """GetTransactionStatusRequest."""

    custom_data: msgspec.Raw = ABSENT
    transaction_id: String36 | None = None


class GetTransactionStatusAnswer(Message, frozen=True, kw_only=True):
    """GetTransactionStatusResponse."""

    messages_in_queue: bool
    custom_data: msgspec.Raw = ABSENT
    ongoing_indicator: bool | None = None


class TransactionEvent(Message, frozen=True, kw_only=True):
    """TransactionEventRequest."""

    event_type: TransactionEventEnum
    timestamp: Instant
    trigger_reason: TriggerReasonEnum
    seq_no: int
    transaction_info: Transaction
    custom_data: msgspec.Raw = ABSENT
    meter_value: Annotated[tuple[MeterValue, ...], msgspec.Meta(min_length=1)] = ()
    offline: bool | None = None
    number_of_phases_used: int | None = None
    cable_max_current: int | None = None
    reservation_id: int | None = None
    evse: EVSE | None = None
    id_token: IdToken | None = None


class TransactionEventAnswer(Message, frozen=True, kw_only=True):
    """TransactionEventResponse."""

    custom_data: msgspec.Raw = ABSENT
    total_cost: Decimal | None = None
    charging_priority: int | None = None
    id_token_info: IdTokenInfo | None = None
    updated_personal_message: MessageContent | None = None
