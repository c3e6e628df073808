"""OCPP 2.0.1, block K. Smart charging: what stations report."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message
from wire.ocpp.v201.types import ChargingProfile, ChargingSchedule, GenericStatusEnum, StatusInfo

ChargingLimitSourceEnum = Literal["EMS", "Other", "SO", "CSO"]


EnergyTransferModeEnum = Literal["DC", "AC_single_phase", "AC_two_phase", "AC_three_phase"]


NotifyEVChargingNeedsStatusEnum = Literal["Accepted", "Rejected", "Processing"]


class ChargingLimit(Message, frozen=True, kw_only=True):
    """ChargingLimitType."""

    charging_limit_source: ChargingLimitSourceEnum
    custom_data: msgspec.Raw = ABSENT
    is_grid_critical: bool | None = None


class ACChargingParameters(Message, frozen=True, kw_only=True):
    """ACChargingParametersType."""

    energy_amount: int
    ev_min_current: int
    ev_max_current: int
    ev_max_voltage: int
    custom_data: msgspec.Raw = ABSENT


class DCChargingParameters(Message, frozen=True, kw_only=True):
    """DCChargingParametersType."""

    ev_max_current: int
    ev_max_voltage: int
    custom_data: msgspec.Raw = ABSENT
    energy_amount: int | None = None
    ev_max_power: int | None = None
    state_of_charge: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    ev_energy_capacity: int | None = None
    full_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    bulk_so_c: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


class ChargingNeeds(Message, frozen=True, kw_only=True):
    """ChargingNeedsType."""

    requested_energy_transfer: EnergyTransferModeEnum
    custom_data: msgspec.Raw = ABSENT
    ac_charging_parameters: ACChargingParameters | None = None
    dc_charging_parameters: DCChargingParameters | None = None
    departure_time: Instant | None = None


class ClearedChargingLimit(Message, frozen=True, kw_only=True):
    """ClearedChargingLimitRequest."""

    charging_limit_source: ChargingLimitSourceEnum
    custom_data: msgspec.Raw = ABSENT
    evse_id: int | None = None


class ClearedChargingLimitAnswer(Message, frozen=True, kw_only=True):
    """ClearedChargingLimitResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyChargingLimit(Message, frozen=True, kw_only=True):
    """NotifyChargingLimitRequest."""

    charging_limit: ChargingLimit
    custom_data: msgspec.Raw = ABSENT
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], msgspec.Meta(min_length=1)] = ()
    evse_id: int | None = None


class NotifyChargingLimitAnswer(Message, frozen=True, kw_only=True):
    """NotifyChargingLimitResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingNeeds(Message, frozen=True, kw_only=True):
    """NotifyEVChargingNeedsRequest."""

    charging_needs: ChargingNeeds
    evse_id: int
    custom_data: msgspec.Raw = ABSENT
    max_schedule_tuples: int | None = None


class NotifyEVChargingNeedsAnswer(Message, frozen=True, kw_only=True):
    """NotifyEVChargingNeedsResponse."""

    status: NotifyEVChargingNeedsStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class NotifyEVChargingSchedule(Message, frozen=True, kw_only=True):
    """NotifyEVChargingScheduleRequest."""

    time_base: Instant
    charging_schedule: ChargingSchedule
    evse_id: int
    custom_data: msgspec.Raw = ABSENT


class NotifyEVChargingScheduleAnswer(Message, frozen=True, kw_only=True):
    """NotifyEVChargingScheduleResponse."""

    status: GenericStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class ReportChargingProfiles(Message, frozen=True, kw_only=True):
    """ReportChargingProfilesRequest."""

    request_id: int
    charging_limit_source: ChargingLimitSourceEnum
    charging_profile: Annotated[tuple[ChargingProfile, ...], msgspec.Meta(min_length=1)]
    evse_id: int
    custom_data: msgspec.Raw = ABSENT
    tbc: bool | None = None


class ReportChargingProfilesAnswer(Message, frozen=True, kw_only=True):
    """ReportChargingProfilesResponse."""

    custom_data: msgspec.Raw = ABSENT
