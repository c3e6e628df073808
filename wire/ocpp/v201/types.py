"""OCPP 2.0.1: types and enumerations that messages of more than one functional block use."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String8,
    String20,
    String32,
    String36,
    String40,
    String50,
    String128,
    String512,
    String2500,
)

AuthorizationStatusEnum = Literal[
    "Accepted",
    "Blocked",
    "ConcurrentTx",
    "Expired",
    "Invalid",
    "NoCredit",
    "NotAllowedTypeEVSE",
    "NotAtThisLocation",
    "NotAtThisTime",
    "Unknown",
]


ChargingProfileKindEnum = Literal["Absolute", "Recurring", "Relative"]


ChargingProfilePurposeEnum = Literal[
    "ChargingStationExternalConstraints", "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
]


ChargingRateUnitEnum = Literal["W", "A"]


CostKindEnum = Literal["CarbonDioxideEmission", "RelativePricePercentage", "RenewableGenerationPercentage"]


GenericDeviceModelStatusEnum = Literal["Accepted", "Rejected", "NotSupported", "EmptyResultSet"]


GenericStatusEnum = Literal["Accepted", "Rejected"]


HashAlgorithmEnum = Literal["SHA256", "SHA384", "SHA512"]


IdTokenEnum = Literal["Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"]


LocationEnum = Literal["Body", "Cable", "EV", "Inlet", "Outlet"]


MeasurandEnum = Literal[
    "Current.Export",
    "Current.Import",
    "Current.Offered",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Active.Net",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Net",
    "Energy.Apparent.Net",
    "Energy.Apparent.Import",
    "Energy.Apparent.Export",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "SoC",
    "Voltage",
]


MessageFormatEnum = Literal["ASCII", "HTML", "URI", "UTF8"]


PhaseEnum = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]


ReadingContextEnum = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Other",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
]


RecurrencyKindEnum = Literal["Daily", "Weekly"]


class StatusInfo(Message, frozen=True, kw_only=True):
    """StatusInfoType."""

    reason_code: String20
    custom_data: msgspec.Raw = ABSENT
    additional_info: String512 | None = None


class EVSE(Message, frozen=True, kw_only=True):
    """EVSEType."""

    id: int
    custom_data: msgspec.Raw = ABSENT
    connector_id: int | None = None


class Component(Message, frozen=True, kw_only=True):
    """ComponentType."""

    name: String50
    custom_data: msgspec.Raw = ABSENT
    evse: EVSE | None = None
    instance: String50 | None = None


class Variable(Message, frozen=True, kw_only=True):
    """VariableType."""

    name: String50
    custom_data: msgspec.Raw = ABSENT
    instance: String50 | None = None


class ComponentVariable(Message, frozen=True, kw_only=True):
    """ComponentVariableType."""

    component: Component
    custom_data: msgspec.Raw = ABSENT
    variable: Variable | None = None


class AdditionalInfo(Message, frozen=True, kw_only=True):
    """AdditionalInfoType."""

    additional_id_token: String36
    type: String50
    custom_data: msgspec.Raw = ABSENT


class IdToken(Message, frozen=True, kw_only=True):
    """IdTokenType."""

    id_token: String36
    type: IdTokenEnum
    custom_data: msgspec.Raw = ABSENT
    additional_info: Annotated[tuple[AdditionalInfo, ...], msgspec.Meta(min_length=1)] = ()


class OCSPRequestData(Message, frozen=True, kw_only=True):
    """OCSPRequestDataType."""

    hash_algorithm: HashAlgorithmEnum
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40
    responder_url: String512 = msgspec.field(name="responderURL")
    custom_data: msgspec.Raw = ABSENT


class MessageContent(Message, frozen=True, kw_only=True):
    """MessageContentType."""

    format: MessageFormatEnum
    content: String512
    custom_data: msgspec.Raw = ABSENT
    language: String8 | None = None


class IdTokenInfo(Message, frozen=True, kw_only=True):
    """IdTokenInfoType."""

    status: AuthorizationStatusEnum
    custom_data: msgspec.Raw = ABSENT
    cache_expiry_date_time: Instant | None = None
    charging_priority: int | None = None
    language1: String8 | None = None
    evse_id: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = ()
    group_id_token: IdToken | None = None
    language2: String8 | None = None
    personal_message: MessageContent | None = None


class SignedMeterValue(Message, frozen=True, kw_only=True):
    """SignedMeterValueType."""

    signed_meter_data: String2500
    signing_method: String50
    encoding_method: String50
    public_key: String2500
    custom_data: msgspec.Raw = ABSENT


class UnitOfMeasure(Message, frozen=True, kw_only=True):
    """UnitOfMeasureType."""

    custom_data: msgspec.Raw = ABSENT
    unit: String20 | None = None
    multiplier: int | None = None


class SampledValue(Message, frozen=True, kw_only=True):
    """SampledValueType."""

    value: Decimal
    custom_data: msgspec.Raw = ABSENT
    context: ReadingContextEnum | None = None
    measurand: MeasurandEnum | None = None
    phase: PhaseEnum | None = None
    location: LocationEnum | None = None
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Message, frozen=True, kw_only=True):
    """MeterValueType."""

    sampled_value: Annotated[tuple[SampledValue, ...], msgspec.Meta(min_length=1)]
    timestamp: Instant
    custom_data: msgspec.Raw = ABSENT


class ChargingSchedulePeriod(Message, frozen=True, kw_only=True):
    """ChargingSchedulePeriodType."""

    start_period: int
    limit: Decimal
    custom_data: msgspec.Raw = ABSENT
    number_phases: int | None = None
    phase_to_use: int | None = None


class Cost(Message, frozen=True, kw_only=True):
    """CostType."""

    cost_kind: CostKindEnum
    amount: int
    custom_data: msgspec.Raw = ABSENT
    amount_multiplier: int | None = None


class ConsumptionCost(Message, frozen=True, kw_only=True):
    """ConsumptionCostType."""

    start_value: Decimal
    cost: Annotated[tuple[Cost, ...], msgspec.Meta(min_length=1, max_length=3)]
    custom_data: msgspec.Raw = ABSENT


class RelativeTimeInterval(Message, frozen=True, kw_only=True):
    """RelativeTimeIntervalType."""

    start: int
    custom_data: msgspec.Raw = ABSENT
    duration: int | None = None


class SalesTariffEntry(Message, frozen=True, kw_only=True):
    """SalesTariffEntryType."""

    relative_time_interval: RelativeTimeInterval
    custom_data: msgspec.Raw = ABSENT
    e_price_level: Annotated[int, msgspec.Meta(ge=0)] | None = None
    consumption_cost: Annotated[tuple[ConsumptionCost, ...], msgspec.Meta(min_length=1, max_length=3)] = ()


class SalesTariff(Message, frozen=True, kw_only=True):
    """SalesTariffType."""

    id: int
    sales_tariff_entry: Annotated[tuple[SalesTariffEntry, ...], msgspec.Meta(min_length=1, max_length=1024)]
    custom_data: msgspec.Raw = ABSENT
    sales_tariff_description: String32 | None = None
    num_e_price_levels: int | None = None


class ChargingSchedule(Message, frozen=True, kw_only=True):
    """ChargingScheduleType."""

    id: int
    charging_rate_unit: ChargingRateUnitEnum
    charging_schedule_period: Annotated[tuple[ChargingSchedulePeriod, ...], msgspec.Meta(min_length=1, max_length=1024)]
    custom_data: msgspec.Raw = ABSENT
    start_schedule: Instant | None = None
    duration: int | None = None
    min_charging_rate: Decimal | None = None
    sales_tariff: SalesTariff | None = None


class ChargingProfile(Message, frozen=True, kw_only=True):
    """ChargingProfileType."""

    id: int
    stack_level: int
    charging_profile_purpose: ChargingProfilePurposeEnum
    charging_profile_kind: ChargingProfileKindEnum
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], msgspec.Meta(min_length=1, max_length=3)]
    custom_data: msgspec.Raw = ABSENT
    recurrency_kind: RecurrencyKindEnum | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    transaction_id: String36 | None = None


class CertificateHashData(Message, frozen=True, kw_only=True):
    """CertificateHashDataType."""

    hash_algorithm: HashAlgorithmEnum
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40
    custom_data: msgspec.Raw = ABSENT
