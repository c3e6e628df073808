"""OCPP 2.1, block N. Diagnostics."""

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
    String2000,
    String2500,
)
from wire.ocpp.v21.types import Component, ComponentVariable, IdToken, StatusInfo, Variable
from wire.ocpp.v201.diagnostics import (
    ClearMonitoringStatusEnum,
    CustomerInformationStatusEnum,
    EventNotificationEnum,
    EventTriggerEnum,
    LogStatusEnum,
    MonitoringCriterionEnum,
    SetMonitoringStatusEnum,
    UploadLogStatusEnum,
)
from wire.ocpp.v201.types import CertificateHashData, GenericDeviceModelStatusEnum, GenericStatusEnum

LogEnum = Literal["DiagnosticsLog", "SecurityLog", "DataCollectorLog"]


MonitorEnum = Literal[
    "UpperThreshold",
    "LowerThreshold",
    "Delta",
    "Periodic",
    "PeriodicClockAligned",
    "TargetDelta",
    "TargetDeltaRelative",
]


class ClearMonitoringResult(Message, frozen=True, kw_only=True):
    """ClearMonitoringResultType."""

    status: ClearMonitoringStatusEnum
    id: Annotated[int, msgspec.Meta(ge=0)]
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class LogParameters(Message, frozen=True, kw_only=True):
    """LogParametersType."""

    remote_location: String2000
    oldest_timestamp: Instant | None = None
    latest_timestamp: Instant | None = None
    custom_data: msgspec.Raw = ABSENT


class EventData(Message, frozen=True, kw_only=True):
    """EventDataType."""

    event_id: Annotated[int, msgspec.Meta(ge=0)]
    timestamp: Instant
    trigger: EventTriggerEnum
    actual_value: String2500
    component: Component
    event_notification_type: EventNotificationEnum
    variable: Variable
    cause: Annotated[int, msgspec.Meta(ge=0)] | None = None
    tech_code: String50 | None = None
    tech_info: String500 | None = None
    cleared: bool | None = None
    transaction_id: String36 | None = None
    variable_monitoring_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    severity: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class VariableMonitoring(Message, frozen=True, kw_only=True):
    """VariableMonitoringType."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    transaction: bool
    value: Decimal
    type: MonitorEnum
    severity: Annotated[int, msgspec.Meta(ge=0)]
    event_notification_type: EventNotificationEnum
    custom_data: msgspec.Raw = ABSENT


class MonitoringData(Message, frozen=True, kw_only=True):
    """MonitoringDataType."""

    component: Component
    variable: Variable
    variable_monitoring: Annotated[tuple[VariableMonitoring, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class PeriodicEventStreamParams(Message, frozen=True, kw_only=True):
    """PeriodicEventStreamParamsType."""

    interval: Annotated[int, msgspec.Meta(ge=0)] | None = None
    values: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringData(Message, frozen=True, kw_only=True):
    """SetMonitoringDataType."""

    value: Decimal
    type: MonitorEnum
    severity: Annotated[int, msgspec.Meta(ge=0)]
    component: Component
    variable: Variable
    id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    periodic_event_stream: PeriodicEventStreamParams | None = None
    transaction: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringResult(Message, frozen=True, kw_only=True):
    """SetMonitoringResultType."""

    status: SetMonitoringStatusEnum
    type: MonitorEnum
    component: Component
    variable: Variable
    severity: Annotated[int, msgspec.Meta(ge=0)]
    id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class ConstantStreamData(Message, frozen=True, kw_only=True):
    """ConstantStreamDataType."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    params: PeriodicEventStreamParams
    variable_monitoring_id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class StreamDataElement(Message, frozen=True, kw_only=True):
    """StreamDataElementType."""

    t: Decimal
    v: String2500
    custom_data: msgspec.Raw = ABSENT


class ClearVariableMonitoring(Message, frozen=True, kw_only=True):
    """ClearVariableMonitoringRequest."""

    id: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class ClearVariableMonitoringAnswer(Message, frozen=True, kw_only=True):
    """ClearVariableMonitoringResponse."""

    clear_monitoring_result: Annotated[tuple[ClearMonitoringResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class CustomerInformation(Message, frozen=True, kw_only=True):
    """CustomerInformationRequest."""

    request_id: Annotated[int, msgspec.Meta(ge=0)]
    report: bool
    clear: bool
    customer_certificate: CertificateHashData | None = None
    id_token: IdToken | None = None
    customer_identifier: String64 | None = None
    custom_data: msgspec.Raw = ABSENT


class CustomerInformationAnswer(Message, frozen=True, kw_only=True):
    """CustomerInformationResponse."""

    status: CustomerInformationStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetLog(Message, frozen=True, kw_only=True):
    """GetLogRequest."""

    log: LogParameters
    log_type: LogEnum
    request_id: int
    retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    retry_interval: int | None = None
    custom_data: msgspec.Raw = ABSENT


class GetLogAnswer(Message, frozen=True, kw_only=True):
    """GetLogResponse."""

    status: LogStatusEnum
    status_info: StatusInfo | None = None
    filename: String255 | None = None
    custom_data: msgspec.Raw = ABSENT


class GetMonitoringReport(Message, frozen=True, kw_only=True):
    """GetMonitoringReportRequest."""

    request_id: int
    component_variable: Annotated[tuple[ComponentVariable, ...], msgspec.Meta(min_length=1)] = ()
    monitoring_criteria: Annotated[tuple[MonitoringCriterionEnum, ...], msgspec.Meta(min_length=1, max_length=3)] = ()
    custom_data: msgspec.Raw = ABSENT


class GetMonitoringReportAnswer(Message, frozen=True, kw_only=True):
    """GetMonitoringReportResponse."""

    status: GenericDeviceModelStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class LogStatusNotification(Message, frozen=True, kw_only=True):
    """LogStatusNotificationRequest."""

    status: UploadLogStatusEnum
    request_id: int | None = None
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyCustomerInformation(Message, frozen=True, kw_only=True):
    """NotifyCustomerInformationRequest."""

    data: String512
    seq_no: Annotated[int, msgspec.Meta(ge=0)]
    generated_at: Instant
    request_id: Annotated[int, msgspec.Meta(ge=0)]
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyEvent(Message, frozen=True, kw_only=True):
    """NotifyEventRequest."""

    generated_at: Instant
    seq_no: Annotated[int, msgspec.Meta(ge=0)]
    event_data: Annotated[tuple[EventData, ...], msgspec.Meta(min_length=1)]
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyMonitoringReport(Message, frozen=True, kw_only=True):
    """NotifyMonitoringReportRequest."""

    request_id: int
    seq_no: Annotated[int, msgspec.Meta(ge=0)]
    generated_at: Instant
    monitor: Annotated[tuple[MonitoringData, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringBaseAnswer(Message, frozen=True, kw_only=True):
    """SetMonitoringBaseResponse."""

    status: GenericDeviceModelStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringLevel(Message, frozen=True, kw_only=True):
    """SetMonitoringLevelRequest."""

    severity: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class SetMonitoringLevelAnswer(Message, frozen=True, kw_only=True):
    """SetMonitoringLevelResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SetVariableMonitoring(Message, frozen=True, kw_only=True):
    """SetVariableMonitoringRequest."""

    set_monitoring_data: Annotated[tuple[SetMonitoringData, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class SetVariableMonitoringAnswer(Message, frozen=True, kw_only=True):
    """SetVariableMonitoringResponse."""

    set_monitoring_result: Annotated[tuple[SetMonitoringResult, ...], msgspec.Meta(min_length=1)]
    custom_data: msgspec.Raw = ABSENT


class OpenPeriodicEventStream(Message, frozen=True, kw_only=True):
    """OpenPeriodicEventStreamRequest."""

    constant_stream_data: ConstantStreamData
    custom_data: msgspec.Raw = ABSENT


class OpenPeriodicEventStreamAnswer(Message, frozen=True, kw_only=True):
    """OpenPeriodicEventStreamResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class ClosePeriodicEventStream(Message, frozen=True, kw_only=True):
    """ClosePeriodicEventStreamRequest."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class ClosePeriodicEventStreamAnswer(Message, frozen=True, kw_only=True):
    """ClosePeriodicEventStreamResponse."""

    custom_data: msgspec.Raw = ABSENT


class AdjustPeriodicEventStream(Message, frozen=True, kw_only=True):
    """AdjustPeriodicEventStreamRequest."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    params: PeriodicEventStreamParams
    custom_data: msgspec.Raw = ABSENT


class AdjustPeriodicEventStreamAnswer(Message, frozen=True, kw_only=True):
    """AdjustPeriodicEventStreamResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetPeriodicEventStream(Message, frozen=True, kw_only=True):
    """GetPeriodicEventStreamRequest."""

    custom_data: msgspec.Raw = ABSENT


class GetPeriodicEventStreamAnswer(Message, frozen=True, kw_only=True):
    """GetPeriodicEventStreamResponse."""

    constant_stream_data: Annotated[tuple[ConstantStreamData, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class NotifyPeriodicEventStream(Message, frozen=True, kw_only=True):
    """NotifyPeriodicEventStream."""

    data: Annotated[tuple[StreamDataElement, ...], msgspec.Meta(min_length=1)]
    id: Annotated[int, msgspec.Meta(ge=0)]
    pending: Annotated[int, msgspec.Meta(ge=0)]
    basetime: Instant
    custom_data: msgspec.Raw = ABSENT
