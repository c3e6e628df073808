"""OCPP 2.0.1, block N. Diagnostics."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String36,
    String50,
    String64,
    String255,
    String500,
    String512,
    String2500,
)
from wire.ocpp.v201.types import (
    CertificateHashData,
    Component,
    ComponentVariable,
    GenericDeviceModelStatusEnum,
    GenericStatusEnum,
    IdToken,
    StatusInfo,
    Variable,
)

ClearMonitoringStatusEnum = Literal["Accepted", "Rejected", "NotFound"]


CustomerInformationStatusEnum = Literal["Accepted", "Rejected", "Invalid"]


EventNotificationEnum = Literal["HardWiredNotification", "HardWiredMonitor", "PreconfiguredMonitor", "CustomMonitor"]


EventTriggerEnum = Literal["Alerting", "Delta", "Periodic"]


LogEnum = Literal["DiagnosticsLog", "SecurityLog"]


LogStatusEnum = Literal["Accepted", "Rejected", "AcceptedCanceled"]


MonitorEnum = Literal["UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned"]


MonitoringBaseEnum = Literal["All", "FactoryDefault", "HardWiredOnly"]


MonitoringCriterionEnum = Literal["ThresholdMonitoring", "DeltaMonitoring", "PeriodicMonitoring"]


SetMonitoringStatusEnum = Literal[
    "Accepted", "UnknownComponent", "UnknownVariable", "UnsupportedMonitorType", "Rejected", "Duplicate"
]


UploadLogStatusEnum = Literal[
    "BadMessage",
    "Idle",
    "NotSupportedOperation",
    "PermissionDenied",
    "Uploaded",
    "UploadFailure",
    "Uploading",
    "AcceptedCanceled",
]


class ClearMonitoringResult(Message, frozen=True, kw_only=True):
    """ClearMonitoringResultType."""

    status: ClearMonitoringStatusEnum
    id: int
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class LogParameters(Message, frozen=True, kw_only=True):
    """LogParametersType."""

    remote_location: String512
    custom_data: msgspec.Raw = ABSENT
    oldest_timestamp: Instant | None = None
    latest_timestamp: Instant | None = None


class EventData(Message, frozen=True, kw_only=True):
    """EventDataType."""

    event_id: int
    timestamp: Instant
    trigger: EventTriggerEnum
    actual_value: String2500
    component: Component
    event_notification_type: EventNotificationEnum
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    cause: int | None = None
    tech_code: String50 | None = None
    tech_info: String500 | None = None
    cleared: bool | None = None
    transaction_id: String36 | None = None
    variable_monitoring_id: int | None = None


class VariableMonitoring(Message, frozen=True, kw_only=True):
    """VariableMonitoringType."""

    id: int
    transaction: bool
    value: Decimal
    type: MonitorEnum
    severity: int
    custom_data: msgspec.Raw = ABSENT


class MonitoringData(Message, frozen=True, kw_only=True):
    """MonitoringDataType."""

    component: Component
    variable: Variable
    variable_monitoring: Annotated[tuple[VariableMonitoring, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringData(Message, frozen=True, kw_only=True):
    """SetMonitoringDataType."""

    value: Decimal
    type: MonitorEnum
    severity: int
    component: Component
    variable: Variable
    custom_data: msgspec.Raw = ABSENT
    id: int | None = None
    transaction: bool | None = None


class SetMonitoringResult(Message, frozen=True, kw_only=True):
    """SetMonitoringResultType."""

    status: SetMonitoringStatusEnum
    type: MonitorEnum
    component: Component
    variable: Variable
    severity: int
    custom_data: msgspec.Raw = ABSENT
    id: int | None = None
    status_info: StatusInfo | None = None


class ClearVariableMonitoring(Message, frozen=True, kw_only=True):
    """ClearVariableMonitoringRequest."""

    id: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class ClearVariableMonitoringAnswer(Message, frozen=True, kw_only=True):
    """ClearVariableMonitoringResponse."""

    clear_monitoring_result: Annotated[tuple[ClearMonitoringResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class CustomerInformation(Message, frozen=True, kw_only=True):
    """CustomerInformationRequest."""

    request_id: int
    report: bool
    clear: bool
    custom_data: msgspec.Raw = ABSENT
    customer_certificate: CertificateHashData | None = None
    id_token: IdToken | None = None
    customer_identifier: String64 | None = None


class CustomerInformationAnswer(Message, frozen=True, kw_only=True):
    """CustomerInformationResponse."""

    status: CustomerInformationStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class GetLog(Message, frozen=True, kw_only=True):
    """GetLogRequest."""

    log: LogParameters
    log_type: LogEnum
    request_id: int
    custom_data: msgspec.Raw = ABSENT
    retries: int | None = None
    retry_interval: int | None = None


class GetLogAnswer(Message, frozen=True, kw_only=True):
    """GetLogResponse."""

    status: LogStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
    filename: String255 | None = None


class GetMonitoringReport(Message, frozen=True, kw_only=True):
    """GetMonitoringReportRequest."""

    request_id: int
    custom_data: msgspec.Raw = ABSENT
    component_variable: Annotated[tuple[ComponentVariable, ...], msgspec.Meta(min_length=1)] = ()
    monitoring_criteria: Annotated[tuple[MonitoringCriterionEnum, ...], msgspec.Meta(min_length=1, max_length=3)] = ()


class GetMonitoringReportAnswer(Message, frozen=True, kw_only=True):
    """GetMonitoringReportResponse."""

    status: GenericDeviceModelStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class LogStatusNotification(Message, frozen=True, kw_only=True):
    """LogStatusNotificationRequest."""

    status: UploadLogStatusEnum
    custom_data: msgspec.Raw = ABSENT
    request_id: int | None = None


class LogStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """LogStatusNotificationResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyCustomerInformation(Message, frozen=True, kw_only=True):
    """NotifyCustomerInformationRequest."""

    data: String512
    seq_no: int
    generated_at: Instant
    request_id: int
    custom_data: msgspec.Raw = ABSENT
    tbc: bool | None = None


class NotifyCustomerInformationAnswer(Message, frozen=True, kw_only=True):
    """NotifyCustomerInformationResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyEvent(Message, frozen=True, kw_only=True):
    """NotifyEventRequest."""

    generated_at: Instant
    seq_no: int
    event_data: Annotated[tuple[EventData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT
    tbc: bool | None = None


class NotifyEventAnswer(Message, frozen=True, kw_only=True):
    """NotifyEventResponse."""

    custom_data: msgspec.Raw = ABSENT


class NotifyMonitoringReport(Message, frozen=True, kw_only=True):
    """NotifyMonitoringReportRequest."""

    request_id: int
    seq_no: int
    generated_at: Instant
    custom_data: msgspec.Raw = ABSENT
    monitor: Annotated[tuple[MonitoringData, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None


class NotifyMonitoringReportAnswer(Message, frozen=True, kw_only=True):
    """NotifyMonitoringReportResponse."""

    custom_data: msgspec.Raw = ABSENT


class SetMonitoringBase(Message, frozen=True, kw_only=True):
    """SetMonitoringBaseRequest."""

    monitoring_base: MonitoringBaseEnum
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringBaseAnswer(Message, frozen=True, kw_only=True):
    """SetMonitoringBaseResponse."""

    status: GenericDeviceModelStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class SetMonitoringLevel(Message, frozen=True, kw_only=True):
    """SetMonitoringLevelRequest."""

    severity: int
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringLevelAnswer(Message, frozen=True, kw_only=True):
    """SetMonitoringLevelResponse."""

    status: GenericStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class SetVariableMonitoring(Message, frozen=True, kw_only=True):
    """SetVariableMonitoringRequest."""

    set_monitoring_data: Annotated[tuple[SetMonitoringData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class SetVariableMonitoringAnswer(Message, frozen=True, kw_only=True):
    """SetVariableMonitoringResponse."""

    set_monitoring_result: Annotated[tuple[SetMonitoringResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT
