"""OCPP 1.6, Core profile (chapters 4 and 5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import Instant, Message, String20, String25, String50, String255, String500
from wire.ocpp.v16.types import IdTagInfo

BootNotificationStatus = Literal["Accepted", "Pending", "Rejected"]


ChangeAvailabilityType = Literal["Inoperative", "Operative"]


ChangeAvailabilityStatus = Literal["Accepted", "Rejected", "Scheduled"]


ChangeConfigurationStatus = Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]


ClearCacheStatus = Literal["Accepted", "Rejected"]


DataTransferStatus = Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]


ReadingContext = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]


ValueFormat = Literal["Raw", "SignedData"]


Measurand = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]


Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]


Location = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]


UnitOfMeasure = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
]


ChargingProfileChargingProfilePurpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]


ChargingProfileChargingProfileKind = Literal["Absolute", "Recurring", "Relative"]


ChargingProfileRecurrencyKind = Literal["Daily", "Weekly"]


ChargingRateUnit = Literal["A", "W"]


RemoteStartTransactionStatus = Literal["Accepted", "Rejected"]


RemoteStopTransactionStatus = Literal["Accepted", "Rejected"]


ResetType = Literal["Hard", "Soft"]


ResetStatus = Literal["Accepted", "Rejected"]


ChargePointErrorCode = Literal[
    "ConnectorLockFailure",
    "EVCommunicationError",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "LocalListConflict",
    "NoError",
    "OtherError",
    "OverCurrentFailure",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "UnderVoltage",
    "OverVoltage",
    "WeakSignal",
]


ChargePointStatus = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]


Reason = Literal[
    "EmergencyStop",
    "EVDisconnected",
    "HardReset",
    "Local",
    "Other",
    "PowerLoss",
    "Reboot",
    "Remote",
    "SoftReset",
    "UnlockCommand",
    "DeAuthorized",
]


UnlockConnectorStatus = Literal["Unlocked", "UnlockFailed", "NotSupported"]


class Authorize(Message, frozen=True, kw_only=True):
    """Authorize.req."""

    id_tag: String20


class AuthorizeAnswer(Message, frozen=True, kw_only=True):
    """Authorize.conf."""

    id_tag_info: IdTagInfo


class BootNotification(Message, frozen=True, kw_only=True):
    """BootNotification.req."""

    charge_point_vendor: String20
    charge_point_model: String20
    charge_point_serial_number: String25 | None = None
    charge_box_serial_number: String25 | None = None
    firmware_version: String50 | None = None
    iccid: String20 | None = None
    imsi: String20 | None = None
    meter_type: String25 | None = None
    meter_serial_number: String25 | None = None


class BootNotificationAnswer(Message, frozen=True, kw_only=True):
    """BootNotification.conf."""

    status: BootNotificationStatus
    current_time: Instant
    interval: int


class ChangeAvailability(Message, frozen=True, kw_only=True):
    """ChangeAvailability.req."""

    connector_id: int
    type: ChangeAvailabilityType


class ChangeAvailabilityAnswer(Message, frozen=True, kw_only=True):
    """ChangeAvailability.conf."""

    status: ChangeAvailabilityStatus


class ChangeConfiguration(Message, frozen=True, kw_only=True):
    """ChangeConfiguration.req."""

    key: String50
    value: String500


class ChangeConfigurationAnswer(Message, frozen=True, kw_only=True):
    """ChangeConfiguration.conf."""

    status: ChangeConfigurationStatus


class ClearCache(Message, frozen=True, kw_only=True):
    """ClearCache.req."""


class ClearCacheAnswer(Message, frozen=True, kw_only=True):
    """ClearCache.conf."""

    status: ClearCacheStatus


class DataTransfer(Message, frozen=True, kw_only=True):
    """DataTransfer.req."""

    vendor_id: String255
    message_id: String50 | None = None
    data: str | None = None


class DataTransferAnswer(Message, frozen=True, kw_only=True):
    """DataTransfer.conf."""

    status: DataTransferStatus
    data: str | None = None


class GetConfiguration(Message, frozen=True, kw_only=True):
    """GetConfiguration.req."""

    key: tuple[String50, ...] = ()


class KeyValue(Message, frozen=True, kw_only=True):
    """KeyValue."""

    key: String50
    readonly: bool
    value: String500 | None = None


class GetConfigurationAnswer(Message, frozen=True, kw_only=True):
    """GetConfiguration.conf."""

    configuration_key: tuple[KeyValue, ...] = ()
    unknown_key: tuple[String50, ...] = ()


class Heartbeat(Message, frozen=True, kw_only=True):
    """Heartbeat.req."""


class HeartbeatAnswer(Message, frozen=True, kw_only=True):
    """Heartbeat.conf."""

    current_time: Instant


class SampledValue(Message, frozen=True, kw_only=True):
    """SampledValue."""

    value: str
    context: ReadingContext | None = None
    format: ValueFormat | None = None
    measurand: Measurand | None = None
    phase: Phase | None = None
    location: Location | None = None
    unit: UnitOfMeasure | None = None


class MeterValue(Message, frozen=True, kw_only=True):
    """MeterValue."""

    timestamp: Instant
    sampled_value: Annotated[tuple[SampledValue, ...], msgspec.Meta(min_length=1)]


class MeterValues(Message, frozen=True, kw_only=True):
    """MeterValues.req."""

    connector_id: int
    meter_value: Annotated[tuple[MeterValue, ...], msgspec.Meta(min_length=1)]
    transaction_id: int | None = None


class MeterValuesAnswer(Message, frozen=True, kw_only=True):
    """MeterValues.conf."""


class ChargingSchedulePeriod(Message, frozen=True, kw_only=True):
    """ChargingSchedulePeriod."""

    start_period: int
    limit: Decimal
    number_phases: int | None = None


class ChargingSchedule(Message, frozen=True, kw_only=True):
    """ChargingSchedule."""

    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: tuple[ChargingSchedulePeriod, ...]
    duration: int | None = None
    start_schedule: Instant | None = None
    min_charging_rate: Decimal | None = None


class ChargingProfile(Message, frozen=True, kw_only=True):
    """ChargingProfile."""

    charging_profile_id: int
    stack_level: int
    charging_profile_purpose: ChargingProfileChargingProfilePurpose
    charging_profile_kind: ChargingProfileChargingProfileKind
    charging_schedule: ChargingSchedule
    transaction_id: int | None = None
    recurrency_kind: ChargingProfileRecurrencyKind | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class RemoteStartTransaction(Message, frozen=True, kw_only=True):
    """RemoteStartTransaction.req."""

    id_tag: String20
    connector_id: int | None = None
    charging_profile: ChargingProfile | None = None


class RemoteStartTransactionAnswer(Message, frozen=True, kw_only=True):
    """RemoteStartTransaction.conf."""

    status: RemoteStartTransactionStatus


class RemoteStopTransaction(Message, frozen=True, kw_only=True):
    """RemoteStopTransaction.req."""

    transaction_id: int


class RemoteStopTransactionAnswer(Message, frozen=True, kw_only=True):
    """RemoteStopTransaction.conf."""

    status: RemoteStopTransactionStatus


class Reset(Message, frozen=True, kw_only=True):
    """Reset.req."""

    type: ResetType


class ResetAnswer(Message, frozen=True, kw_only=True):
    """Reset.conf."""

    status: ResetStatus


class StartTransaction(Message, frozen=True, kw_only=True):
    """StartTransaction.req."""

    connector_id: int
    id_tag: String20
    meter_start: int
    timestamp: Instant
    reservation_id: int | None = None


class StartTransactionAnswer(Message, frozen=True, kw_only=True):
    """StartTransaction.conf."""

    id_tag_info: IdTagInfo
    transaction_id: int


class StatusNotification(Message, frozen=True, kw_only=True):
    """StatusNotification.req."""

    connector_id: int
    error_code: ChargePointErrorCode
    status: ChargePointStatus
    info: String50 | None = None
    timestamp: Instant | None = None
    vendor_id: String255 | None = None
    vendor_error_code: String50 | None = None


class StatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """StatusNotification.conf."""


class StopTransaction(Message, frozen=True, kw_only=True):
    """StopTransaction.req."""

    meter_stop: int
    timestamp: Instant
    transaction_id: int
    id_tag: String20 | None = None
    reason: Reason | None = None
    transaction_data: tuple[MeterValue, ...] = ()


class StopTransactionAnswer(Message, frozen=True, kw_only=True):
    """StopTransaction.conf."""

    id_tag_info: IdTagInfo | None = None


class UnlockConnector(Message, frozen=True, kw_only=True):
    """UnlockConnector.req."""

    connector_id: int


class UnlockConnectorAnswer(Message, frozen=True, kw_only=True):
    """UnlockConnector.conf."""

    status: UnlockConnectorStatus
