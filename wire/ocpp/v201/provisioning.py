"""OCPP 2.0.1, block B. Provisioning: booting, device model, reset."""

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
    String50,
    String255,
    String512,
    String1000,
    String2500,
)
from wire.ocpp.v201.types import Component, ComponentVariable, GenericDeviceModelStatusEnum, StatusInfo, Variable

APNAuthenticationEnum = Literal["CHAP", "NONE", "PAP", "AUTO"]


AttributeEnum = Literal["Actual", "Target", "MinSet", "MaxSet"]


BootReasonEnum = Literal[
    "ApplicationReset",
    "FirmwareUpdate",
    "LocalReset",
    "PowerUp",
    "RemoteReset",
    "ScheduledReset",
    "Triggered",
    "Unknown",
    "Watchdog",
]


ComponentCriterionEnum = Literal["Active", "Available", "Enabled", "Problem"]


DataEnum = Literal["string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList"]


GetVariableStatusEnum = Literal[
    "Accepted", "Rejected", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType"
]


MutabilityEnum = Literal["ReadOnly", "WriteOnly", "ReadWrite"]


OCPPInterfaceEnum = Literal["Wired0", "Wired1", "Wired2", "Wired3", "Wireless0", "Wireless1", "Wireless2", "Wireless3"]


OCPPTransportEnum = Literal["JSON", "SOAP"]


OCPPVersionEnum = Literal["OCPP12", "OCPP15", "OCPP16", "OCPP20"]


RegistrationStatusEnum = Literal["Accepted", "Pending", "Rejected"]


ReportBaseEnum = Literal["ConfigurationInventory", "FullInventory", "SummaryInventory"]


ResetEnum = Literal["Immediate", "OnIdle"]


ResetStatusEnum = Literal["Accepted", "Rejected", "Scheduled"]


SetNetworkProfileStatusEnum = Literal["Accepted", "Rejected", "Failed"]


SetVariableStatusEnum = Literal[
    "Accepted", "Rejected", "UnknownComponent", "UnknownVariable", "NotSupportedAttributeType", "RebootRequired"
]


VPNEnum = Literal["IKEv2", "IPSec", "L2TP", "PPTP"]


class Modem(Message, frozen=True, kw_only=True):
    """ModemType."""

    custom_data: msgspec.Raw = ABSENT
    iccid: String20 | None = None
    imsi: String20 | None = None


class ChargingStation(Message, frozen=True, kw_only=True):
    """ChargingStationType."""

    model: String20
    vendor_name: String50
    custom_data: msgspec.Raw = ABSENT
    serial_number: String25 | None = None
    modem: Modem | None = None
    firmware_version: String50 | None = None


class GetVariableData(Message, frozen=True, kw_only=True):
    """GetVariableDataType."""

    component: Component
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    attribute_type: AttributeEnum | None = None


class GetVariableResult(Message, frozen=True, kw_only=True):
    """GetVariableResultType."""

    attribute_status: GetVariableStatusEnum
    component: Component
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    attribute_status_info: StatusInfo | None = None
    attribute_type: AttributeEnum | None = None
    attribute_value: String2500 | None = None


class VariableAttribute(Message, frozen=True, kw_only=True):
    """VariableAttributeType."""

    custom_data: msgspec.Raw = ABSENT
    type: AttributeEnum | None = None
    value: String2500 | None = None
    mutability: MutabilityEnum | None = None
    persistent: bool | None = None
    constant: bool | None = None


class VariableCharacteristics(Message, frozen=True, kw_only=True):
    """VariableCharacteristicsType."""

    data_type: DataEnum
    supports_monitoring: bool
    custom_data: msgspec.Raw = ABSENT
    unit: String16 | None = None
    min_limit: Decimal | None = None
    max_limit: Decimal | None = None
    values_list: String1000 | None = None


class ReportData(Message, frozen=True, kw_only=True):
    """ReportDataType."""

    component: Component
    variable: Variable
    variable_attribute: Annotated[tuple[VariableAttribute, ...], msgspec.Meta(min_length=1, max_length=4)]
    custom_data: msgspec.Raw = ABSENT
    variable_characteristics: VariableCharacteristics | None = None


class APN(Message, frozen=True, kw_only=True):
    """APNType."""

    apn: String512
    apn_authentication: APNAuthenticationEnum
    custom_data: msgspec.Raw = ABSENT
    apn_user_name: String20 | None = None
    apn_password: String20 | None = None
    sim_pin: int | None = None
    preferred_network: String6 | None = None
    use_only_preferred_network: bool | None = None


class VPN(Message, frozen=True, kw_only=True):
    """VPNType."""

    server: String512
    user: String20
    password: String20
    key: String255
    type: VPNEnum
    custom_data: msgspec.Raw = ABSENT
    group: String20 | None = None


class NetworkConnectionProfile(Message, frozen=True, kw_only=True):
    """NetworkConnectionProfileType."""

    ocpp_version: OCPPVersionEnum
    ocpp_transport: OCPPTransportEnum
    ocpp_csms_url: String512
    message_timeout: int
    security_profile: int
    ocpp_interface: OCPPInterfaceEnum
    custom_data: msgspec.Raw = ABSENT
    apn: APN | None = None
    vpn: VPN | None = None


class SetVariableData(Message, frozen=True, kw_only=True):
    """SetVariableDataType."""

    attribute_value: String1000
    component: Component
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    attribute_type: AttributeEnum | None = None


class SetVariableResult(Message, frozen=True, kw_only=True):
    """SetVariableResultType."""

    attribute_status: SetVariableStatusEnum
    component: Component
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    attribute_type: AttributeEnum | None = None
    attribute_status_info: StatusInfo | None = None


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
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class GetBaseReport(Message, frozen=True, kw_only=True):
    """GetBaseReportRequest."""

    request_id: int
    report_base: ReportBaseEnum
    custom_data: msgspec.Raw = ABSENT


class GetBaseReportAnswer(Message, frozen=True, kw_only=True):
    """GetBaseReportResponse."""

    status: GenericDeviceModelStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class GetReport(Message, frozen=True, kw_only=True):
    """GetReportRequest."""

    request_id: int
    custom_data: msgspec.Raw = ABSENT
    component_variable: Annotated[tuple[ComponentVariable, ...], msgspec.Meta(min_length=1)] = ()
    component_criteria: Annotated[tuple[ComponentCriterionEnum, ...], msgspec.Meta(min_length=1, max_length=4)] = ()


class GetReportAnswer(Message, frozen=True, kw_only=True):
    """GetReportResponse."""

    status: GenericDeviceModelStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


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
    seq_no: int
    custom_data: msgspec.Raw = ABSENT
    report_data: Annotated[tuple[ReportData, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None


class NotifyReportAnswer(Message, frozen=True, kw_only=True):
    """NotifyReportResponse."""

    custom_data: msgspec.Raw = ABSENT


class Reset(Message, frozen=True, kw_only=True):
    """ResetRequest."""

    type: ResetEnum
    custom_data: msgspec.Raw = ABSENT
    evse_id: int | None = None


class ResetAnswer(Message, frozen=True, kw_only=True):
    """ResetResponse."""

    status: ResetStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class SetNetworkProfile(Message, frozen=True, kw_only=True):
    """SetNetworkProfileRequest."""

    configuration_slot: int
    connection_data: NetworkConnectionProfile
    custom_data: msgspec.Raw = ABSENT


class SetNetworkProfileAnswer(Message, frozen=True, kw_only=True):
    """SetNetworkProfileResponse."""

    status: SetNetworkProfileStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class SetVariables(Message, frozen=True, kw_only=True):
    """SetVariablesRequest."""

    set_variable_data: Annotated[tuple[SetVariableData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class SetVariablesAnswer(Message, frozen=True, kw_only=True):
    """SetVariablesResponse."""

    set_variable_result: Annotated[tuple[SetVariableResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT
