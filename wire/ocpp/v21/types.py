"""OCPP 2.1: types and enumerations that messages of more than one functional block use."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String3,
    String8,
    String20,
    String32,
    String36,
    String40,
    String50,
    String60,
    String80,
    String88,
    String100,
    String128,
    String160,
    String255,
    String256,
    String1024,
    String2000,
    String2500,
    String32768,
)
from wire.ocpp.v201.types import (
    AuthorizationStatusEnum,
    ChargingRateUnitEnum,
    CostKindEnum,
    HashAlgorithmEnum,
    PhaseEnum,
    ReadingContextEnum,
    RecurrencyKindEnum,
)

ChargingProfileKindEnum = Literal["Absolute", "Recurring", "Relative", "Dynamic"]


ChargingProfilePurposeEnum = Literal[
    "ChargingStationExternalConstraints",
    "ChargingStationMaxProfile",
    "TxDefaultProfile",
    "TxProfile",
    "PriorityCharging",
    "LocalGeneration",
]


DERControlEnum = Literal[
    "EnterService",
    "FreqDroop",
    "FreqWatt",
    "FixedPFAbsorb",
    "FixedPFInject",
    "FixedVar",
    "Gradients",
    "HFMustTrip",
    "HFMayTrip",
    "HVMustTrip",
    "HVMomCess",
    "HVMayTrip",
    "LimitMaxDischarge",
    "LFMustTrip",
    "LVMustTrip",
    "LVMomCess",
    "LVMayTrip",
    "PowerMonitoringMustTrip",
    "VoltVar",
    "VoltWatt",
    "WattPF",
    "WattVar",
]


DayOfWeekEnum = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


EnergyTransferModeEnum = Literal[
    "AC_single_phase",
    "AC_two_phase",
    "AC_three_phase",
    "DC",
    "AC_BPT",
    "AC_BPT_DER",
    "AC_DER",
    "DC_BPT",
    "DC_ACDP",
    "DC_ACDP_BPT",
    "WPT",
]


EvseKindEnum = Literal["AC", "DC"]


LocationEnum = Literal["Body", "Cable", "EV", "Inlet", "Outlet", "Upstream"]


MeasurandEnum = Literal[
    "Current.Export",
    "Current.Export.Offered",
    "Current.Export.Minimum",
    "Current.Import",
    "Current.Import.Offered",
    "Current.Import.Minimum",
    "Current.Offered",
    "Display.PresentSOC",
    "Display.MinimumSOC",
    "Display.TargetSOC",
    "Display.MaximumSOC",
    "Display.RemainingTimeToMinimumSOC",
    "Display.RemainingTimeToTargetSOC",
    "Display.RemainingTimeToMaximumSOC",
    "Display.ChargingComplete",
    "Display.BatteryEnergyCapacity",
    "Display.InletHot",
    "Energy.Active.Export.Interval",
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Interval",
    "Energy.Active.Import.Register",
    "Energy.Active.Import.CableLoss",
    "Energy.Active.Import.LocalGeneration.Register",
    "Energy.Active.Net",
    "Energy.Active.Setpoint.Interval",
    "Energy.Apparent.Export",
    "Energy.Apparent.Import",
    "Energy.Apparent.Net",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Import.Register",
    "Energy.Reactive.Net",
    "EnergyRequest.Target",
    "EnergyRequest.Minimum",
    "EnergyRequest.Maximum",
    "EnergyRequest.Minimum.V2X",
    "EnergyRequest.Maximum.V2X",
    "EnergyRequest.Bulk",
    "Frequency",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Active.Setpoint",
    "Power.Active.Residual",
    "Power.Export.Minimum",
    "Power.Export.Offered",
    "Power.Factor",
    "Power.Import.Offered",
    "Power.Import.Minimum",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "SoC",
    "Voltage",
    "Voltage.Minimum",
    "Voltage.Maximum",
]


MessageFormatEnum = Literal["ASCII", "HTML", "URI", "UTF8", "QRCODE"]


OperationModeEnum = Literal[
    "Idle",
    "ChargingOnly",
    "CentralSetpoint",
    "ExternalSetpoint",
    "ExternalLimits",
    "CentralFrequency",
    "LocalFrequency",
    "LocalLoadBalancing",
]


class StatusInfo(Message, frozen=True, kw_only=True):
    """StatusInfoType."""

    reason_code: String20
    additional_info: String1024 | None = None
    custom_data: msgspec.Raw = ABSENT


class EVSE(Message, frozen=True, kw_only=True):
    """EVSEType."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    connector_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class Component(Message, frozen=True, kw_only=True):
    """ComponentType."""

    name: String50
    evse: EVSE | None = None
    instance: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class Variable(Message, frozen=True, kw_only=True):
    """VariableType."""

    name: String50
    instance: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class ComponentVariable(Message, frozen=True, kw_only=True):
    """ComponentVariableType."""

    component: Component
    variable: Variable | None = None
    custom_data: msgspec.Raw = ABSENT


class AdditionalInfo(Message, frozen=True, kw_only=True):
    """AdditionalInfoType."""

    additional_id_token: String255
    type: String50
    custom_data: msgspec.Raw = ABSENT


class IdToken(Message, frozen=True, kw_only=True):
    """IdTokenType."""

    id_token: String255
    type: String20
    additional_info: Annotated[tuple[AdditionalInfo, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class OCSPRequestData(Message, frozen=True, kw_only=True):
    """OCSPRequestDataType."""

    hash_algorithm: HashAlgorithmEnum
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40
    responder_url: String2000 = msgspec.field(name="responderURL")
    custom_data: msgspec.Raw = ABSENT


class MessageContent(Message, frozen=True, kw_only=True):
    """MessageContentType."""

    format: MessageFormatEnum
    content: String1024
    language: String8 | None = None
    custom_data: msgspec.Raw = ABSENT


class IdTokenInfo(Message, frozen=True, kw_only=True):
    """IdTokenInfoType."""

    status: AuthorizationStatusEnum
    cache_expiry_date_time: Instant | None = None
    charging_priority: int | None = None
    group_id_token: IdToken | None = None
    language1: String8 | None = None
    language2: String8 | None = None
    evse_id: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(min_length=1)] = ()
    personal_message: MessageContent | None = None
    custom_data: msgspec.Raw = ABSENT


class TaxRate(Message, frozen=True, kw_only=True):
    """TaxRateType."""

    type: String20
    tax: Decimal
    stack: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class Price(Message, frozen=True, kw_only=True):
    """PriceType."""

    excl_tax: Decimal | None = None
    incl_tax: Decimal | None = None
    tax_rates: Annotated[tuple[TaxRate, ...], msgspec.Meta(min_length=1, max_length=5)] = ()
    custom_data: msgspec.Raw = ABSENT


class TariffConditionsFixed(Message, frozen=True, kw_only=True):
    """TariffConditionsFixedType."""

    start_time_of_day: str | None = None
    end_time_of_day: str | None = None
    day_of_week: Annotated[tuple[DayOfWeekEnum, ...], msgspec.Meta(min_length=1, max_length=7)] = ()
    valid_from_date: str | None = None
    valid_to_date: str | None = None
    evse_kind: EvseKindEnum | None = None
    payment_brand: String20 | None = None
    payment_recognition: String20 | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffConditions(Message, frozen=True, kw_only=True):
    """TariffConditionsType."""

    start_time_of_day: str | None = None
    end_time_of_day: str | None = None
    day_of_week: Annotated[tuple[DayOfWeekEnum, ...], msgspec.Meta(min_length=1, max_length=7)] = ()
    valid_from_date: str | None = None
    valid_to_date: str | None = None
    evse_kind: EvseKindEnum | None = None
    min_energy: Decimal | None = None
    max_energy: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_time: int | None = None
    max_time: int | None = None
    min_charging_time: int | None = None
    max_charging_time: int | None = None
    min_idle_time: int | None = None
    max_idle_time: int | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffEnergyPrice(Message, frozen=True, kw_only=True):
    """TariffEnergyPriceType."""

    price_kwh: Decimal
    conditions: TariffConditions | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffEnergy(Message, frozen=True, kw_only=True):
    """TariffEnergyType."""

    prices: Annotated[tuple[TariffEnergyPrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: Annotated[tuple[TaxRate, ...], msgspec.Meta(min_length=1, max_length=5)] = ()
    custom_data: msgspec.Raw = ABSENT


class TariffFixedPrice(Message, frozen=True, kw_only=True):
    """TariffFixedPriceType."""

    price_fixed: Decimal
    conditions: TariffConditionsFixed | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffFixed(Message, frozen=True, kw_only=True):
    """TariffFixedType."""

    prices: Annotated[tuple[TariffFixedPrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: Annotated[tuple[TaxRate, ...], msgspec.Meta(min_length=1, max_length=5)] = ()
    custom_data: msgspec.Raw = ABSENT


class TariffTimePrice(Message, frozen=True, kw_only=True):
    """TariffTimePriceType."""

    price_minute: Decimal
    conditions: TariffConditions | None = None
    custom_data: msgspec.Raw = ABSENT


class TariffTime(Message, frozen=True, kw_only=True):
    """TariffTimeType."""

    prices: Annotated[tuple[TariffTimePrice, ...], msgspec.Meta(min_length=1)]
    tax_rates: Annotated[tuple[TaxRate, ...], msgspec.Meta(min_length=1, max_length=5)] = ()
    custom_data: msgspec.Raw = ABSENT


class Tariff(Message, frozen=True, kw_only=True):
    """TariffType."""

    tariff_id: String60
    currency: String3
    description: Annotated[tuple[MessageContent, ...], msgspec.Meta(min_length=1, max_length=10)] = ()
    energy: TariffEnergy | None = None
    valid_from: Instant | None = None
    charging_time: TariffTime | None = None
    idle_time: TariffTime | None = None
    fixed_fee: TariffFixed | None = None
    reservation_time: TariffTime | None = None
    reservation_fixed: TariffFixed | None = None
    min_cost: Price | None = None
    max_cost: Price | None = None
    custom_data: msgspec.Raw = ABSENT


class SignedMeterValue(Message, frozen=True, kw_only=True):
    """SignedMeterValueType."""

    signed_meter_data: String32768
    encoding_method: String50
    signing_method: String50 | None = None
    public_key: String2500 | None = None
    custom_data: msgspec.Raw = ABSENT


class UnitOfMeasure(Message, frozen=True, kw_only=True):
    """UnitOfMeasureType."""

    unit: String20 | None = None
    multiplier: int | None = None
    custom_data: msgspec.Raw = ABSENT


class SampledValue(Message, frozen=True, kw_only=True):
    """SampledValueType."""

    value: Decimal
    measurand: MeasurandEnum | None = None
    context: ReadingContextEnum | None = None
    phase: PhaseEnum | None = None
    location: LocationEnum | None = None
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None
    custom_data: msgspec.Raw = ABSENT


class MeterValue(Message, frozen=True, kw_only=True):
    """MeterValueType."""

    sampled_value: Annotated[tuple[SampledValue, ...], msgspec.Meta(min_length=1)]
    timestamp: Instant
    custom_data: msgspec.Raw = ABSENT


class RationalNumber(Message, frozen=True, kw_only=True):
    """RationalNumberType."""

    exponent: int
    value: int
    custom_data: msgspec.Raw = ABSENT


class AdditionalSelectedServices(Message, frozen=True, kw_only=True):
    """AdditionalSelectedServicesType."""

    service_fee: RationalNumber
    service_name: String80
    custom_data: msgspec.Raw = ABSENT


class OverstayRule(Message, frozen=True, kw_only=True):
    """OverstayRuleType."""

    overstay_fee: RationalNumber
    start_time: int
    overstay_fee_period: int
    overstay_rule_description: String32 | None = None
    custom_data: msgspec.Raw = ABSENT


class OverstayRuleList(Message, frozen=True, kw_only=True):
    """OverstayRuleListType."""

    overstay_rule: Annotated[tuple[OverstayRule, ...], msgspec.Meta(min_length=1, max_length=5)]
    overstay_power_threshold: RationalNumber | None = None
    overstay_time_threshold: int | None = None
    custom_data: msgspec.Raw = ABSENT


class PriceRule(Message, frozen=True, kw_only=True):
    """PriceRuleType."""

    energy_fee: RationalNumber
    power_range_start: RationalNumber
    parking_fee_period: int | None = None
    carbon_dioxide_emission: Annotated[int, msgspec.Meta(ge=0)] | None = None
    renewable_generation_percentage: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    parking_fee: RationalNumber | None = None
    custom_data: msgspec.Raw = ABSENT


class PriceRuleStack(Message, frozen=True, kw_only=True):
    """PriceRuleStackType."""

    duration: int
    price_rule: Annotated[tuple[PriceRule, ...], msgspec.Meta(min_length=1, max_length=8)]
    custom_data: msgspec.Raw = ABSENT


class TaxRule(Message, frozen=True, kw_only=True):
    """TaxRuleType."""

    tax_rule_id: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="taxRuleID")
    applies_to_energy_fee: bool
    applies_to_parking_fee: bool
    applies_to_overstay_fee: bool
    applies_to_minimum_maximum_cost: bool
    tax_rate: RationalNumber
    tax_rule_name: String100 | None = None
    tax_included_in_price: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class AbsolutePriceSchedule(Message, frozen=True, kw_only=True):
    """AbsolutePriceScheduleType."""

    time_anchor: Instant
    price_schedule_id: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="priceScheduleID")
    currency: String3
    language: String8
    price_algorithm: String2000
    price_rule_stacks: Annotated[tuple[PriceRuleStack, ...], msgspec.Meta(min_length=1, max_length=1024)]
    price_schedule_description: String160 | None = None
    minimum_cost: RationalNumber | None = None
    maximum_cost: RationalNumber | None = None
    tax_rules: Annotated[tuple[TaxRule, ...], msgspec.Meta(min_length=1, max_length=10)] = ()
    overstay_rule_list: OverstayRuleList | None = None
    additional_selected_services: Annotated[
        tuple[AdditionalSelectedServices, ...], msgspec.Meta(min_length=1, max_length=5)
    ] = ()
    custom_data: msgspec.Raw = ABSENT


class V2XFreqWattPoint(Message, frozen=True, kw_only=True):
    """V2XFreqWattPointType."""

    frequency: Decimal
    power: Decimal
    custom_data: msgspec.Raw = ABSENT


class V2XSignalWattPoint(Message, frozen=True, kw_only=True):
    """V2XSignalWattPointType."""

    signal: int
    power: Decimal
    custom_data: msgspec.Raw = ABSENT


class ChargingSchedulePeriod(Message, frozen=True, kw_only=True):
    """ChargingSchedulePeriodType."""

    start_period: int
    limit: Decimal | None = None
    limit_l2: Decimal | None = msgspec.field(default=None, name="limit_L2")
    limit_l3: Decimal | None = msgspec.field(default=None, name="limit_L3")
    number_phases: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    phase_to_use: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    discharge_limit: Decimal | None = None
    discharge_limit_l2: Decimal | None = msgspec.field(default=None, name="dischargeLimit_L2")
    discharge_limit_l3: Decimal | None = msgspec.field(default=None, name="dischargeLimit_L3")
    setpoint: Decimal | None = None
    setpoint_l2: Decimal | None = msgspec.field(default=None, name="setpoint_L2")
    setpoint_l3: Decimal | None = msgspec.field(default=None, name="setpoint_L3")
    setpoint_reactive: Decimal | None = None
    setpoint_reactive_l2: Decimal | None = msgspec.field(default=None, name="setpointReactive_L2")
    setpoint_reactive_l3: Decimal | None = msgspec.field(default=None, name="setpointReactive_L3")
    preconditioning_request: bool | None = None
    evse_sleep: bool | None = None
    v2x_baseline: Decimal | None = None
    operation_mode: OperationModeEnum | None = None
    v2x_freq_watt_curve: Annotated[tuple[V2XFreqWattPoint, ...], msgspec.Meta(min_length=1, max_length=20)] = ()
    v2x_signal_watt_curve: Annotated[tuple[V2XSignalWattPoint, ...], msgspec.Meta(min_length=1, max_length=20)] = ()
    custom_data: msgspec.Raw = ABSENT


class LimitAtSoC(Message, frozen=True, kw_only=True):
    """LimitAtSoCType."""

    soc: Annotated[int, msgspec.Meta(ge=0, le=100)]
    limit: Decimal
    custom_data: msgspec.Raw = ABSENT


class PriceLevelScheduleEntry(Message, frozen=True, kw_only=True):
    """PriceLevelScheduleEntryType."""

    duration: int
    price_level: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class PriceLevelSchedule(Message, frozen=True, kw_only=True):
    """PriceLevelScheduleType."""

    price_level_schedule_entries: Annotated[
        tuple[PriceLevelScheduleEntry, ...], msgspec.Meta(min_length=1, max_length=100)
    ]
    time_anchor: Instant
    price_schedule_id: Annotated[int, msgspec.Meta(ge=0)]
    number_of_price_levels: Annotated[int, msgspec.Meta(ge=0)]
    price_schedule_description: String32 | None = None
    custom_data: msgspec.Raw = ABSENT


class Cost(Message, frozen=True, kw_only=True):
    """CostType."""

    cost_kind: CostKindEnum
    amount: int
    amount_multiplier: int | None = None
    custom_data: msgspec.Raw = ABSENT


class ConsumptionCost(Message, frozen=True, kw_only=True):
    """ConsumptionCostType."""

    start_value: Decimal
    cost: Annotated[tuple[Cost, ...], msgspec.Meta(min_length=1, max_length=3)]
    custom_data: msgspec.Raw = ABSENT


class RelativeTimeInterval(Message, frozen=True, kw_only=True):
    """RelativeTimeIntervalType."""

    start: int
    duration: int | None = None
    custom_data: msgspec.Raw = ABSENT


class SalesTariffEntry(Message, frozen=True, kw_only=True):
    """SalesTariffEntryType."""

    relative_time_interval: RelativeTimeInterval
    e_price_level: Annotated[int, msgspec.Meta(ge=0)] | None = None
    consumption_cost: Annotated[tuple[ConsumptionCost, ...], msgspec.Meta(min_length=1, max_length=3)] = ()
    custom_data: msgspec.Raw = ABSENT


class SalesTariff(Message, frozen=True, kw_only=True):
    """SalesTariffType."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    sales_tariff_entry: Annotated[tuple[SalesTariffEntry, ...], msgspec.Meta(min_length=1, max_length=1024)]
    sales_tariff_description: String32 | None = None
    num_e_price_levels: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class ChargingSchedule(Message, frozen=True, kw_only=True):
    """ChargingScheduleType."""

    id: int
    charging_rate_unit: ChargingRateUnitEnum
    charging_schedule_period: Annotated[tuple[ChargingSchedulePeriod, ...], msgspec.Meta(min_length=1, max_length=1024)]
    limit_at_so_c: LimitAtSoC | None = None
    start_schedule: Instant | None = None
    duration: int | None = None
    min_charging_rate: Decimal | None = None
    power_tolerance: Decimal | None = None
    signature_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    digest_value: String88 | None = None
    use_local_time: bool | None = None
    randomized_delay: Annotated[int, msgspec.Meta(ge=0)] | None = None
    sales_tariff: SalesTariff | None = None
    absolute_price_schedule: AbsolutePriceSchedule | None = None
    price_level_schedule: PriceLevelSchedule | None = None
    custom_data: msgspec.Raw = ABSENT


class ChargingProfile(Message, frozen=True, kw_only=True):
    """ChargingProfileType."""

    id: int
    stack_level: Annotated[int, msgspec.Meta(ge=0)]
    charging_profile_purpose: ChargingProfilePurposeEnum
    charging_profile_kind: ChargingProfileKindEnum
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], msgspec.Meta(min_length=1, max_length=3)]
    recurrency_kind: RecurrencyKindEnum | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    transaction_id: String36 | None = None
    max_offline_duration: int | None = None
    invalid_after_offline_duration: bool | None = None
    dyn_update_interval: int | None = None
    dyn_update_time: Instant | None = None
    price_schedule_signature: String256 | None = None
    custom_data: msgspec.Raw = ABSENT
