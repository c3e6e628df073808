"""OCPP 2.1, block E. Transactions."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String3, String36, String60, String500
from wire.ocpp.v21.types import EVSE, IdToken, IdTokenInfo, MessageContent, MeterValue, OperationModeEnum, Price
from wire.ocpp.v201.transactions import TransactionEventEnum

ChargingStateEnum = Literal["EVConnected", "Charging", "SuspendedEV", "SuspendedEVSE", "Idle"]


CostDimensionEnum = Literal["Energy", "MaxCurrent", "MinCurrent", "MaxPower", "MinPower", "IdleTIme", "ChargingTime"]


PreconditioningStatusEnum = Literal["Unknown", "Ready", "NotReady", "Preconditioning"]


ReasonEnum = Literal[
    "DeAuthorized",
    "EmergencyStop",
    "EnergyLimitReached",
    "EVDisconnected",
    "GroundFault",
    "ImmediateReset",
    "MasterPass",
    "Local",
    "LocalOutOfCredit",
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
    "ReqEnergyTransferRejected",
]


TariffCostEnum = Literal["NormalCost", "MinCost", "MaxCost"]


TriggerReasonEnum = Literal[
    "AbnormalCondition",
    "Authorized",
    "CablePluggedIn",
    "ChargingRateChanged",
    "ChargingStateChanged",
    "CostLimitReached",
    "Deauthorized",
    "EnergyLimitReached",
    "EVCommunicationLost",
    "EVConnectTimeout",
    "EVDeparted",
    "EVDetected",
    "LimitSet",
    "MeterValueClock",
    "MeterValuePeriodic",
    "OperationModeChanged",
    "RemoteStart",
    "RemoteStop",
    "ResetCommand",
    "RunningCost",
    "SignedDataReceived",
    "SoCLimitReached",
    "StopAuthorized",
    "TariffChanged",
    "TariffNotAccepted",
    "TimeLimitReached",
    "Trigger",
    "TxResumed",
    "UnlockCommand",
]


class CostDimension(Message, frozen=True, kw_only=True):
    """CostDimensionType."""

    type: CostDimensionEnum
    volume: Decimal
    custom_data: msgspec.Raw = ABSENT


class ChargingPeriod(Message, frozen=True, kw_only=True):
    """ChargingPeriodType."""

    start_period: Instant
    dimensions: Annotated[tuple[CostDimension, ...], msgspec.Meta(min_length=1)] = ()
    tariff_id: String60 | None = None
    custom_data: msgspec.Raw = ABSENT


class TotalPrice(Message, frozen=True, kw_only=True):
    """TotalPriceType."""

    excl_tax: Decimal | None = None
    incl_tax: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class TotalCost(Message, frozen=True, kw_only=True):
    """TotalCostType."""

    currency: String3
    type_of_cost: TariffCostEnum
    total: TotalPrice
    fixed: Price | None = None
    energy: Price | None = None
    charging_time: Price | None = None
    idle_time: Price | None = None
    reservation_time: Price | None = None
    reservation_fixed: Price | None = None
    custom_data: msgspec.Raw = ABSENT


class TotalUsage(Message, frozen=True, kw_only=True):
    """TotalUsageType."""

    energy: Decimal
    charging_time: int
    idle_time: int
    reservation_time: int | None = None
    custom_data: msgspec.Raw = ABSENT


class CostDetails(Message, frozen=True, kw_only=True):
    """CostDetailsType."""

    total_cost: TotalCost
    total_usage: TotalUsage
    charging_periods: Annotated[tuple[ChargingPeriod, ...], msgspec.Meta(min_length=1)] = ()
    failure_to_calculate: bool | None = None
    failure_reason: String500 | None = None
    custom_data: msgspec.Raw = ABSENT


class TransactionLimit(Message, frozen=True, kw_only=True):
    """TransactionLimitType."""

    max_cost: Decimal | None = None
    max_energy: Decimal | None = None
    max_time: int | None = None
    max_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    custom_data: msgspec.Raw = ABSENT


class Transaction(Message, frozen=True, kw_only=True):
    """TransactionType."""

    transaction_id: String36
    charging_state: ChargingStateEnum | None = None
    time_spent_charging: int | None = None
    stopped_reason: ReasonEnum | None = None
    remote_start_id: int | None = None
    operation_mode: OperationModeEnum | None = None
    tariff_id: String60 | None = None
    transaction_limit: TransactionLimit | None = None
    custom_data: msgspec.Raw = ABSENT


class GetTransactionStatus(Message, frozen=True, kw_only=True):
    """GetTransactionStatusRequest."""

    transaction_id: String36 | None = None
    custom_data: msgspec.Raw = ABSENT


class GetTransactionStatusAnswer(Message, frozen=True, kw_only=True):
    """GetTransactionStatusResponse."""

    messages_in_queue: bool
    ongoing_indicator: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class TransactionEvent(Message, frozen=True, kw_only=True):
    """TransactionEventRequest."""

    event_type: TransactionEventEnum
    timestamp: Instant
    trigger_reason: TriggerReasonEnum
    seq_no: Annotated[int, msgspec.Meta(ge=0)]
    transaction_info: Transaction
    cost_details: CostDetails | None = None
    meter_value: Annotated[tuple[MeterValue, ...], msgspec.Meta(min_length=1)] = ()
    offline: bool | None = None
    number_of_phases_used: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    cable_max_current: int | None = None
    reservation_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    preconditioning_status: PreconditioningStatusEnum | None = None
    evse_sleep: bool | None = None
    evse: EVSE | None = None
    id_token: IdToken | None = None
    custom_data: msgspec.Raw = ABSENT


class TransactionEventAnswer(Message, frozen=True, kw_only=True):
    """TransactionEventResponse."""

    total_cost: Decimal | None = None
    charging_priority: int | None = None
    id_token_info: IdTokenInfo | None = None
    transaction_limit: TransactionLimit | None = None
    updated_personal_message: MessageContent | None = None
    updated_personal_message_extra: Annotated[tuple[MessageContent, ...], msgspec.Meta(min_length=1, max_length=4)] = ()
    custom_data: msgspec.Raw = ABSENT
