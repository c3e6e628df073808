"""OCPP 2.1, block B. Provisioning: booting, device model, reset."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String6,
    String16,
    String20,
    String25,
    String48,
    String50,
    String64,
    String255,
    String1000,
    String2000,
    String2500,
)
from wire.ocpp.v21.types import Component, ComponentVariable, StatusInfo, Variable
from wire.ocpp.v201.provisioning import (
    AttributeEnum,
    BootReasonEnum,
    ComponentCriterionEnum,
    DataEnum,
    GetVariableStatusEnum,
    MutabilityEnum,
    RegistrationStatusEnum,
    ResetStatusEnum,
    SetNetworkProfileStatusEnum,
    SetVariableStatusEnum,
    VPNEnum,
)
from wire.ocpp.v201.types import GenericDeviceModelStatusEnum

APNAuthenticationEnum = Literal["PAP", "CHAP", "NONE", "AUTO"]


OCPPInterfaceEnum = Literal[
    "Wired0", "Wired1", "Wired2", "Wired3", "Wireless0", "Wireless1", "Wireless2", "Wireless3", "Any"
]


OCPPTransportEnum = Literal["SOAP", "JSON"]


OCPPVersionEnum = Literal["OCPP12", "OCPP15", "OCPP16", "OCPP20", "OCPP201", "OCPP21"]


ResetEnum = Literal["Immediate", "OnIdle", "ImmediateAndResume"]


class Modem(Message, frozen=True, kw_only=True):
    """ModemType."""

    iccid: String20 | None = None
    imsi: String20 | None = None
    custom_data: msgspec.Raw = ABSENT


class ChargingStation(Message, frozen=True, kw_only=True):
    """ChargingStationType."""

    model: String20
    vendor_name: String50
    serial_number: String25 | None = None
    modem: Modem | None = None
    firmware_version: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class GetVariableData(Message, frozen=True, kw_only=True):
    """GetVariableDataType."""

    component: Component
    variable: Variable
    attribute_type: AttributeEnum | None = None
    custom_data: msgspec.Raw = ABSENT


class GetVariableResult(Message, frozen=True, kw_only=True):
    """GetVariableResultType."""

    attribute_status: GetVariableStatusEnum
    component: Component
    variable: Variable
    attribute_status_info: StatusInfo | None = None
    attribute_type: AttributeEnum | None = None
    attribute_value: String2500 | None = None
    custom_data: msgspec.Raw = ABSENT


class VariableAttribute(Message, frozen=True, kw_only=True):
    """VariableAttributeType."""

    type: AttributeEnum | None = None
    value: String2500 | None = None
    mutability: MutabilityEnum | None = None
    persistent: bool | None = None
    constant: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class VariableCharacteristics(Message, frozen=True, kw_only=True):
    """VariableCharacteristicsType."""

    data_type: DataEnum
    supports_monitoring: bool
    unit: String16 | None = None
    min_limit: Decimal | None = None
    max_limit: Decimal | None = None
    max_elements: Annotated[int, msgspec.Meta(ge=1)] | None = None
    values_list: String1000 | None = None
    custom_data: msgspec.Raw = ABSENT


class ReportData(Message, frozen=True, kw_only=True):
    """ReportDataType."""

    component: Component
    variable: Variable
    variable_attribute: Annotated[tuple[VariableAttribute, ...], msgspec.Meta(min_length=1, max_length=4)]
    variable_characteristics: VariableCharacteristics | None = None
    custom_data: msgspec.Raw = ABSENT


class APN(Message, frozen=True, kw_only=True):
    """APNType."""

    apn: String2000
    apn_authentication: APNAuthenticationEnum
    apn_user_name: String50 | None = None
    apn_password: String64 | None = None
    sim_pin: int | None = None
    preferred_network: String6 | None = None
    use_only_preferred_network: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class VPN(Message, frozen=True, kw_only=True):
    """VPNType."""

    server: String2000
    user: String50
    password: String64
    key: String255
    type: VPNEnum
    group: String50 | None = None
    custom_data: msgspec.Raw = ABSENT


class NetworkConnectionProfile(Message, frozen=True, kw_only=True):
    """NetworkConnectionProfileType."""

    ocpp_interface: OCPPInterfaceEnum
    ocpp_transport: OCPPTransportEnum
    message_timeout: int
    ocpp_csms_url: String2000
    security_profile: Annotated[int, msgspec.Meta(ge=0)]
    apn: APN | None = None
    ocpp_version: OCPPVersionEnum | None = None
    identity: String48 | None = None
    basic_auth_password: String64 | None = None
    vpn: VPN | None = None
    custom_data: msgspec.Raw = ABSENT


class SetVariableData(Message, frozen=True, kw_only=True):
    """SetVariableDataType."""

    attribute_value: String2500
    component: Component
    variable: Variable
    attribute_type: AttributeEnum | None = None
    custom_data: msgspec.Raw = ABSENT


class SetVariableResult(Message, frozen=True, kw_only=True):
    """SetVariableResultType."""

    attribute_status: SetVariableStatusEnum
    component: Component
    variable: Variable
    attribute_type: AttributeEnum | None = None
    attribute_status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class BootNotification(Message, frozen=True, kw_only=True):
    """BootNotificationRequest."""

    charging_station: ChargingStation
    reason: BootReasonEnum
    custom_data: msgspec.Raw = ABSENT


class BootNotificationAnswer(Message, frozen=True, kw_only=True):
    """BootNotificationResponse."""

    current_time: Instant
    interval: int
    status: RegistrationStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetBaseReportAnswer(Message, frozen=True, kw_only=True):
    """GetBaseReportResponse."""

    status: GenericDeviceModelStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetReport(Message, frozen=True, kw_only=True):
    """GetReportRequest."""

    request_id: int
    component_variable: Annotated[tuple[ComponentVariable, ...], msgspec.Meta(min_length=1)] = ()
    component_criteria: Annotated[tuple[ComponentCriterionEnum, ...], msgspec.Meta(min_length=1, max_length=4)] = ()
    custom_data: msgspec.Raw = ABSENT


class GetReportAnswer(Message, frozen=True, kw_only=True):
    """GetReportResponse."""

    status: GenericDeviceModelStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetVariables(Message, frozen=True, kw_only=True):
    """GetVariablesRequest."""

    get_variable_data: Annotated[tuple[GetVariableData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class GetVariablesAnswer(Message, frozen=True, kw_only=True):
    """GetVariablesResponse."""

    get_variable_result: Annotated[tuple[GetVariableResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class NotifyReport(Message, frozen=True, kw_only=True):
    """NotifyReportRequest."""

    request_id: int
    generated_at: Instant
    seq_no: Annotated[int, msgspec.Meta(ge=0)]
    report_data: Annotated[tuple[ReportData, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class Reset(Message, frozen=True, kw_only=True):
    """ResetRequest."""

    type: ResetEnum
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class ResetAnswer(Message, frozen=True, kw_only=True):
    """ResetResponse."""

    status: ResetStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SetNetworkProfile(Message, frozen=True, kw_only=True):
    """SetNetworkProfileRequest."""

    configuration_slot: int
    connection_data: NetworkConnectionProfile
    custom_data: msgspec.Raw = ABSENT


class SetNetworkProfileAnswer(Message, frozen=True, kw_only=True):
    """SetNetworkProfileResponse."""

    status: SetNetworkProfileStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SetVariables(Message, frozen=True, kw_only=True):
    """SetVariablesRequest."""

    set_variable_data: Annotated[tuple[SetVariableData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class SetVariablesAnswer(Message, frozen=True, kw_only=True):
    """SetVariablesResponse."""

    set_variable_result: Annotated[tuple[SetVariableResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT
