"""OCPP 2.1, blocks Q, R, S. DER control and battery swap: what stations report."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String36, String50, String200, String500
from wire.ocpp.v21.types import DERControlEnum, IdToken

BatterySwapEventEnum = Literal["BatteryIn", "BatteryOut", "BatteryOutTimeout"]


DERUnitEnum = Literal["Not_Applicable", "PctMaxW", "PctMaxVar", "PctWAvail", "PctVarAvail", "PctEffectiveV"]


GridEventFaultEnum = Literal[
    "CurrentImbalance",
    "LocalEmergency",
    "LowInputPower",
    "OverCurrent",
    "OverFrequency",
    "OverVoltage",
    "PhaseRotation",
    "RemoteEmergency",
    "UnderFrequency",
    "UnderVoltage",
    "VoltageImbalance",
]


PowerDuringCessationEnum = Literal["Active", "Reactive"]


class DERCurvePoints(Message, frozen=True, kw_only=True):
    """DERCurvePointsType."""

    x: Decimal
    y: Decimal
    custom_data: msgspec.Raw = ABSENT


class Hysteresis(Message, frozen=True, kw_only=True):
    """HysteresisType."""

    hysteresis_high: Decimal | None = None
    hysteresis_low: Decimal | None = None
    hysteresis_delay: Decimal | None = None
    hysteresis_gradient: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class ReactivePowerParams(Message, frozen=True, kw_only=True):
    """ReactivePowerParamsType."""

    v_ref: Decimal | None = None
    autonomous_v_ref_enable: bool | None = None
    autonomous_v_ref_time_constant: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class VoltageParams(Message, frozen=True, kw_only=True):
    """VoltageParamsType."""

    hv10_min_mean_value: Decimal | None = None
    hv10_min_mean_trip_delay: Decimal | None = None
    power_during_cessation: PowerDuringCessationEnum | None = None
    custom_data: msgspec.Raw = ABSENT


class DERCurve(Message, frozen=True, kw_only=True):
    """DERCurveType."""

    curve_data: Annotated[tuple[DERCurvePoints, ...], msgspec.Meta(min_length=1, max_length=10)]
    priority: Annotated[int, msgspec.Meta(ge=0)]
    y_unit: DERUnitEnum
    hysteresis: Hysteresis | None = None
    reactive_power_params: ReactivePowerParams | None = None
    voltage_params: VoltageParams | None = None
    response_time: Decimal | None = None
    start_time: Instant | None = None
    duration: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class DERCurveGet(Message, frozen=True, kw_only=True):
    """DERCurveGetType."""

    curve: DERCurve
    id: String36
    curve_type: DERControlEnum
    is_default: bool
    is_superseded: bool
    custom_data: msgspec.Raw = ABSENT


class EnterService(Message, frozen=True, kw_only=True):
    """EnterServiceType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    high_voltage: Decimal
    low_voltage: Decimal
    high_freq: Decimal
    low_freq: Decimal
    delay: Decimal | None = None
    random_delay: Decimal | None = None
    ramp_rate: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class EnterServiceGet(Message, frozen=True, kw_only=True):
    """EnterServiceGetType."""

    enter_service: EnterService
    id: String36
    custom_data: msgspec.Raw = ABSENT


class FixedPF(Message, frozen=True, kw_only=True):
    """FixedPFType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    displacement: Decimal
    excitation: bool
    start_time: Instant | None = None
    duration: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class FixedPFGet(Message, frozen=True, kw_only=True):
    """FixedPFGetType."""

    fixed_pf: FixedPF = msgspec.field(name="fixedPF")
    id: String36
    is_default: bool
    is_superseded: bool
    custom_data: msgspec.Raw = ABSENT


class FixedVar(Message, frozen=True, kw_only=True):
    """FixedVarType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    setpoint: Decimal
    unit: DERUnitEnum
    start_time: Instant | None = None
    duration: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class FixedVarGet(Message, frozen=True, kw_only=True):
    """FixedVarGetType."""

    fixed_var: FixedVar
    id: String36
    is_default: bool
    is_superseded: bool
    custom_data: msgspec.Raw = ABSENT


class FreqDroop(Message, frozen=True, kw_only=True):
    """FreqDroopType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    over_freq: Decimal
    under_freq: Decimal
    over_droop: Decimal
    under_droop: Decimal
    response_time: Decimal
    start_time: Instant | None = None
    duration: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class FreqDroopGet(Message, frozen=True, kw_only=True):
    """FreqDroopGetType."""

    freq_droop: FreqDroop
    id: String36
    is_default: bool
    is_superseded: bool
    custom_data: msgspec.Raw = ABSENT


class Gradient(Message, frozen=True, kw_only=True):
    """GradientType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    gradient: Decimal
    soft_gradient: Decimal
    custom_data: msgspec.Raw = ABSENT


class GradientGet(Message, frozen=True, kw_only=True):
    """GradientGetType."""

    gradient: Gradient
    id: String36
    custom_data: msgspec.Raw = ABSENT


class LimitMaxDischarge(Message, frozen=True, kw_only=True):
    """LimitMaxDischargeType."""

    priority: Annotated[int, msgspec.Meta(ge=0)]
    pct_max_discharge_power: Decimal | None = None
    power_monitoring_must_trip: DERCurve | None = None
    start_time: Instant | None = None
    duration: Decimal | None = None
    custom_data: msgspec.Raw = ABSENT


class LimitMaxDischargeGet(Message, frozen=True, kw_only=True):
    """LimitMaxDischargeGetType."""

    id: String36
    is_default: bool
    is_superseded: bool
    limit_max_discharge: LimitMaxDischarge
    custom_data: msgspec.Raw = ABSENT


class BatteryData(Message, frozen=True, kw_only=True):
    """BatteryDataType."""

    evse_id: Annotated[int, msgspec.Meta(ge=0)]
    serial_number: String50
    so_c: Decimal
    so_h: Decimal
    production_date: Instant | None = None
    vendor_info: String500 | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyDERAlarm(Message, frozen=True, kw_only=True):
    """NotifyDERAlarmRequest."""

    control_type: DERControlEnum
    timestamp: Instant
    grid_event_fault: GridEventFaultEnum | None = None
    alarm_ended: bool | None = None
    extra_info: String200 | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyDERAlarmAnswer(Message, frozen=True, kw_only=True):
    """NotifyDERAlarmResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyDERStartStop(Message, frozen=True, kw_only=True):
    """NotifyDERStartStopRequest."""

    control_id: String36
    started: bool
    timestamp: Instant
    superseded_ids: Annotated[tuple[String36, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    custom_data: msgspec.Raw = ABSENT


class NotifyDERStartStopAnswer(Message, frozen=True, kw_only=True):
    """NotifyDERStartStopResponse."""

    custom_data: msgspec.Raw = ABSENT


class ReportDERControl(Message, frozen=True, kw_only=True):
    """ReportDERControlRequest."""

    request_id: int
    curve: Annotated[tuple[DERCurveGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    enter_service: Annotated[tuple[EnterServiceGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    fixed_pf_absorb: Annotated[tuple[FixedPFGet, ...], msgspec.Meta(min_length=1, max_length=24)] = msgspec.field(
        default=(), name="fixedPFAbsorb"
    )
    fixed_pf_inject: Annotated[tuple[FixedPFGet, ...], msgspec.Meta(min_length=1, max_length=24)] = msgspec.field(
        default=(), name="fixedPFInject"
    )
    fixed_var: Annotated[tuple[FixedVarGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    freq_droop: Annotated[tuple[FreqDroopGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    gradient: Annotated[tuple[GradientGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    limit_max_discharge: Annotated[tuple[LimitMaxDischargeGet, ...], msgspec.Meta(min_length=1, max_length=24)] = ()
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class ReportDERControlAnswer(Message, frozen=True, kw_only=True):
    """ReportDERControlResponse."""

    custom_data: msgspec.Raw = ABSENT


class BatterySwap(Message, frozen=True, kw_only=True):
    """BatterySwapRequest."""

    battery_data: Annotated[tuple[BatteryData, ...], msgspec.Meta(min_length=1)]
    event_type: BatterySwapEventEnum
    id_token: IdToken
    request_id: int
    custom_data: msgspec.Raw = ABSENT


class BatterySwapAnswer(Message, frozen=True, kw_only=True):
    """BatterySwapResponse."""

    custom_data: msgspec.Raw = ABSENT
