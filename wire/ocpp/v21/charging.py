"""OCPP 2.1, block K. Smart charging: what stations report."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String3, String20, String36, String50, String2000
from wire.ocpp.v21.types import ChargingProfile, ChargingSchedule, DERControlEnum, EnergyTransferModeEnum, StatusInfo
from wire.ocpp.v201.types import GenericStatusEnum

ChargingProfileStatusEnum = Literal["Accepted", "Rejected"]


ControlModeEnum = Literal["ScheduledControl", "DynamicControl"]


IslandingDetectionEnum = Literal[
    "NoAntiIslandingSupport",
    "RoCoF",
    "UVP_OVP",
    "UFP_OFP",
    "VoltageVectorShift",
    "ZeroCrossingDetection",
    "OtherPassive",
    "ImpedanceMeasurement",
    "ImpedanceAtFrequency",
    "SlipModeFrequencyShift",
    "SandiaFrequencyShift",
    "SandiaVoltageShift",
    "FrequencyJump",
    "RCLQFactor",
    "OtherActive",
]


MobilityNeedsModeEnum = Literal["EVCC", "EVCC_SECC"]


NotifyEVChargingNeedsStatusEnum = Literal["Accepted", "Rejected", "Processing", "NoChargingProfile"]


class ChargingLimit(Message, frozen=True, kw_only=True):
    """ChargingLimitType."""

    charging_limit_source: String20
    is_local_generation: bool | None = None
    is_grid_critical: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class ACChargingParameters(Message, frozen=True, kw_only=True):
    """ACChargingParametersType."""

    energy_amount: Decimal
    ev_min_current: Decimal
    ev_max_current: Decimal
    ev_max_voltage: Decimal
    custom_data: msgspec.Raw = ABSENT


class DCChargingParameters(Message, frozen=True, kw_only=True):
    """DCChargingParametersType."""

    ev_max_current: Decimal
    ev_max_voltage: Decimal
    ev_max_power: Decimal | None = None
    ev_energy_capacity: Decimal | None = None
    energy_amount: Decimal | None = None
    state_of_charge: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    full_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    bulk_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    custom_data: msgspec.Raw = ABSENT


class DERChargingParameters(Message, frozen=True, kw_only=True):
    """DERChargingParametersType."""

    ev_supported_der_control: Annotated[tuple[DERControlEnum, ...], msgspec.Meta(min_length=1)] = msgspec.field(
        default=(), name="evSupportedDERControl"
    )
    ev_over_excited_max_discharge_power: Decimal | None = None
    ev_over_excited_power_factor: Decimal | None = None
    ev_under_excited_max_discharge_power: Decimal | None = None
    ev_under_excited_power_factor: Decimal | None = None
    max_apparent_power: Decimal | None = None
    max_charge_apparent_power: Decimal | None = None
    max_charge_apparent_power_l2: Decimal | None = msgspec.field(default=None, name="maxChargeApparentPower_L2")
    max_charge_apparent_power_l3: Decimal | None = msgspec.field(default=None, name="maxChargeApparentPower_L3")
    max_discharge_apparent_power: Decimal | None = None
    max_discharge_apparent_power_l2: Decimal | None = msgspec.field(default=None, name="maxDischargeApparentPower_L2")
    max_discharge_apparent_power_l3: Decimal | None = msgspec.field(default=None, name="maxDischargeApparentPower_L3")
    max_charge_reactive_power: Decimal | None = None
    max_charge_reactive_power_l2: Decimal | None = msgspec.field(default=None, name="maxChargeReactivePower_L2")
    max_charge_reactive_power_l3: Decimal | None = msgspec.field(default=None, name="maxChargeReactivePower_L3")
    min_charge_reactive_power: Decimal | None = None
    min_charge_reactive_power_l2: Decimal | None = msgspec.field(default=None, name="minChargeReactivePower_L2")
    min_charge_reactive_power_l3: Decimal | None = msgspec.field(default=None, name="minChargeReactivePower_L3")
    max_discharge_reactive_power: Decimal | None = None
    max_discharge_reactive_power_l2: Decimal | None = msgspec.field(default=None, name="maxDischargeReactivePower_L2")
    max_discharge_reactive_power_l3: Decimal | None = msgspec.field(default=None, name="maxDischargeReactivePower_L3")
    min_discharge_reactive_power: Decimal | None = None
    min_discharge_reactive_power_l2: Decimal | None = msgspec.field(default=None, name="minDischargeReactivePower_L2")
    min_discharge_reactive_power_l3: Decimal | None = msgspec.field(default=None, name="minDischargeReactivePower_L3")
    nominal_voltage: Decimal | None = None
    nominal_voltage_offset: Decimal | None = None
    max_nominal_voltage: Decimal | None = None
    min_nominal_voltage: Decimal | None = None
    ev_inverter_manufacturer: String50 | None = None
    ev_inverter_model: String50 | None = None
    ev_inverter_serial_number: String50 | None = None
    ev_inverter_sw_version: String50 | None = None
    ev_inverter_hw_version: String50 | None = None
    ev_islanding_detection_method: Annotated[tuple[IslandingDetectionEnum, ...], msgspec.Meta(min_length=1)] = ()
    ev_islanding_trip_time: Decimal | None = None
    ev_maximum_level1_dc_injection: Decimal | None = msgspec.field(default=None, name="evMaximumLevel1DCInjection")
    ev_duration_level1_dc_injection: Decimal | None = msgspec.field(default=None, name="evDurationLevel1DCInjection")
    ev_maximum_level2_dc_injection: Decimal | None = msgspec.field(default=None, name="evMaximumLevel2DCInjection")
    ev_duration_level2_dc_injection: Decimal | None = msgspec.field(default=None, name="evDurationLevel2DCInjection")
    ev_reactive_susceptance: Decimal | None = None
    ev_session_total_discharge_energy_available: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class EVPriceRule(Message, frozen=True, kw_only=True):
    """EVPriceRuleType."""

    energy_fee: Decimal
    power_range_start: Decimal
    custom_data: msgspec.Raw = ABSENT


class EVAbsolutePriceScheduleEntry(Message, frozen=True, kw_only=True):
    """EVAbsolutePriceScheduleEntryType."""

    duration: int
    ev_price_rule: Annotated[tuple[EVPriceRule, ...], msgspec.Meta(min_length=1, max_length=8)]
    custom_data: msgspec.Raw = ABSENT


class EVAbsolutePriceSchedule(Message, frozen=True, kw_only=True):
    """EVAbsolutePriceScheduleType."""

    time_anchor: Instant
    currency: String3
    ev_absolute_price_schedule_entries: Annotated[
        tuple[EVAbsolutePriceScheduleEntry, ...], msgspec.Meta(min_length=1, max_length=1024)
    ]
    price_algorithm: String2000
    custom_data: msgspec.Raw = ABSENT


class EVPowerScheduleEntry(Message, frozen=True, kw_only=True):
    """EVPowerScheduleEntryType."""

    duration: int
    power: Decimal
    custom_data: msgspec.Raw = ABSENT


class EVPowerSchedule(Message, frozen=True, kw_only=True):
    """EVPowerScheduleType."""

    ev_power_schedule_entries: Annotated[tuple[EVPowerScheduleEntry, ...], msgspec.Meta(min_length=1, max_length=1024)]
    time_anchor: Instant
    custom_data: msgspec.Raw = ABSENT


class EVEnergyOffer(Message, frozen=True, kw_only=True):
    """EVEnergyOfferType."""

    ev_power_schedule: EVPowerSchedule
    ev_absolute_price_schedule: EVAbsolutePriceSchedule | None = None
    custom_data: msgspec.Raw = ABSENT


class V2XChargingParameters(Message, frozen=True, kw_only=True):
    """V2XChargingParametersType."""

    min_charge_power: Decimal | None = None
    min_charge_power_l2: Decimal | None = msgspec.field(default=None, name="minChargePower_L2")
    min_charge_power_l3: Decimal | None = msgspec.field(default=None, name="minChargePower_L3")
    max_charge_power: Decimal | None = None
    max_charge_power_l2: Decimal | None = msgspec.field(default=None, name="maxChargePower_L2")
    max_charge_power_l3: Decimal | None = msgspec.field(default=None, name="maxChargePower_L3")
    min_discharge_power: Decimal | None = None
    min_discharge_power_l2: Decimal | None = msgspec.field(default=None, name="minDischargePower_L2")
    min_discharge_power_l3: Decimal | None = msgspec.field(default=None, name="minDischargePower_L3")
    max_discharge_power: Decimal | None = None
    max_discharge_power_l2: Decimal | None = msgspec.field(default=None, name="maxDischargePower_L2")
    max_discharge_power_l3: Decimal | None = msgspec.field(default=None, name="maxDischargePower_L3")
    min_charge_current: Decimal | None = None
    max_charge_current: Decimal | None = None
    min_discharge_current: Decimal | None = None
    max_discharge_current: Decimal | None = None
    min_voltage: Decimal | None = None
    max_voltage: Decimal | None = None
    ev_target_energy_request: Decimal | None = None
    ev_min_energy_request: Decimal | None = None
    ev_max_energy_request: Decimal | None = None
    ev_min_v2_x_energy_request: Decimal | None = None
    ev_max_v2_x_energy_request: Decimal | None = None
    target_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    custom_data: msgspec.Raw = ABSENT


class ChargingNeeds(Message, frozen=True, kw_only=True):
    """ChargingNeedsType."""

    requested_energy_transfer: EnergyTransferModeEnum
    ac_charging_parameters: ACChargingParameters | None = None
    der_charging_parameters: DERChargingParameters | None = None
    ev_energy_offer: EVEnergyOffer | None = None
    dc_charging_parameters: DCChargingParameters | None = None
    v2x_charging_parameters: V2XChargingParameters | None = None
    available_energy_transfer: Annotated[tuple[EnergyTransferModeEnum, ...], msgspec.Meta(min_length=1)] = ()
    control_mode: ControlModeEnum | None = None
    mobility_needs_mode: MobilityNeedsModeEnum | None = None
    departure_time: Instant | None = None
    custom_data: msgspec.Raw = ABSENT


class ChargingScheduleUpdate(Message, frozen=True, kw_only=True):
    """ChargingScheduleUpdateType."""

    limit: Decimal | None = None
    limit_l2: Decimal | None = msgspec.field(default=None, name="limit_L2")
    limit_l3: Decimal | None = msgspec.field(default=None, name="limit_L3")
    discharge_limit: Decimal | None = None
    discharge_limit_l2: Decimal | None = msgspec.field(default=None, name="dischargeLimit_L2")
    discharge_limit_l3: Decimal | None = msgspec.field(default=None, name="dischargeLimit_L3")
    setpoint: Decimal | None = None
    setpoint_l2: Decimal | None = msgspec.field(default=None, name="setpoint_L2")
    setpoint_l3: Decimal | None = msgspec.field(default=None, name="setpoint_L3")
    setpoint_reactive: Decimal | None = None
    setpoint_reactive_l2: Decimal | None = msgspec.field(default=None, name="setpointReactive_L2")
    setpoint_reactive_l3: Decimal | None = msgspec.field(default=None, name="setpointReactive_L3")
    custom_data: msgspec.Raw = ABSENT


class ClearedChargingLimit(Message, frozen=True, kw_only=True):
    """ClearedChargingLimitRequest."""

    charging_limit_source: String20
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyChargingLimit(Message, frozen=True, kw_only=True):
    """NotifyChargingLimitRequest."""

    charging_limit: ChargingLimit
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], msgspec.Meta(min_length=1)] = ()
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingNeeds(Message, frozen=True, kw_only=True):
    """NotifyEVChargingNeedsRequest."""

    evse_id: Annotated[int, msgspec.Meta(ge=1)]
    charging_needs: ChargingNeeds
    max_schedule_tuples: Annotated[int, msgspec.Meta(ge=0)] | None = None
    timestamp: Instant | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingNeedsAnswer(Message, frozen=True, kw_only=True):
    """NotifyEVChargingNeedsResponse."""

    status: NotifyEVChargingNeedsStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingSchedule(Message, frozen=True, kw_only=True):
    """NotifyEVChargingScheduleRequest."""

    time_base: Instant
    charging_schedule: ChargingSchedule
    evse_id: Annotated[int, msgspec.Meta(ge=1)]
    selected_charging_schedule_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    power_tolerance_acceptance: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingScheduleAnswer(Message, frozen=True, kw_only=True):
    """NotifyEVChargingScheduleResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class ReportChargingProfiles(Message, frozen=True, kw_only=True):
    """ReportChargingProfilesRequest."""

    request_id: int
    charging_limit_source: String20
    charging_profile: Annotated[tuple[ChargingProfile, ...], msgspec.Meta(min_length=1)]
    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyPriorityCharging(Message, frozen=True, kw_only=True):
    """NotifyPriorityChargingRequest."""

    transaction_id: String36
    activated: bool
    custom_data: msgspec.Raw = ABSENT


class NotifyPriorityChargingAnswer(Message, frozen=True, kw_only=True):
    """NotifyPriorityChargingResponse."""

    custom_data: msgspec.Raw = ABSENT


class PullDynamicScheduleUpdate(Message, frozen=True, kw_only=True):
    """PullDynamicScheduleUpdateRequest."""

    charging_profile_id: int
    custom_data: msgspec.Raw = ABSENT


class PullDynamicScheduleUpdateAnswer(Message, frozen=True, kw_only=True):
    """PullDynamicScheduleUpdateResponse."""

    status: ChargingProfileStatusEnum
    schedule_update: ChargingScheduleUpdate | None = None
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
