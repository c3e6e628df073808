"""OCPP 1.6, Improved security for OCPP 1.6-J, edition 3."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    Instant,
    Message,
    String40,
    String50,
    String128,
    String255,
    String512,
    String800,
    String5500,
    String10000,
)

CertificateSignedStatusEnum = Literal["Accepted", "Rejected"]


HashAlgorithmEnum = Literal["SHA256", "SHA384", "SHA512"]


DeleteCertificateStatusEnum = Literal["Accepted", "Failed", "NotFound"]


MessageTriggerEnum = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargePointCertificate",
    "StatusNotification",
]


TriggerMessageStatusEnum = Literal["Accepted", "Rejected", "NotImplemented"]


CertificateUseEnum = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]


GetInstalledCertificateStatusEnum = Literal["Accepted", "NotFound"]


LogEnum = Literal["DiagnosticsLog", "SecurityLog"]


LogStatusEnum = Literal["Accepted", "Rejected", "AcceptedCanceled"]


InstallCertificateStatusEnum = Literal["Accepted", "Failed", "Rejected"]


UploadLogStatusEnum = Literal[
    "BadMessage", "Idle", "NotSupportedOperation", "PermissionDenied", "Uploaded", "UploadFailure", "Uploading"
]


GenericStatusEnum = Literal["Accepted", "Rejected"]


FirmwareStatusEnum = Literal[
    "Downloaded",
    "DownloadFailed",
    "Downloading",
    "DownloadScheduled",
    "DownloadPaused",
    "Idle",
    "InstallationFailed",
    "Installing",
    "Installed",
    "InstallRebooting",
    "InstallScheduled",
    "InstallVerificationFailed",
    "InvalidSignature",
    "SignatureVerified",
]


UpdateFirmwareStatusEnum = Literal[
    "Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"
]


class CertificateSigned(Message, frozen=True, kw_only=True):
    """CertificateSigned.req."""

    certificate_chain: String10000


class CertificateSignedAnswer(Message, frozen=True, kw_only=True):
    """CertificateSigned.conf."""

    status: CertificateSignedStatusEnum


class CertificateHashData(Message, frozen=True, kw_only=True):
    """CertificateHashDataType."""

    hash_algorithm: HashAlgorithmEnum
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40


class DeleteCertificate(Message, frozen=True, kw_only=True):
    """DeleteCertificate.req."""

    certificate_hash_data: CertificateHashData


class DeleteCertificateAnswer(Message, frozen=True, kw_only=True):
    """DeleteCertificate.conf."""

    status: DeleteCertificateStatusEnum


class ExtendedTriggerMessage(Message, frozen=True, kw_only=True):
    """ExtendedTriggerMessage.req."""

    requested_message: MessageTriggerEnum
    connector_id: int | None = None


class ExtendedTriggerMessageAnswer(Message, frozen=True, kw_only=True):
    """ExtendedTriggerMessage.conf."""

    status: TriggerMessageStatusEnum


class GetInstalledCertificateIds(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIds.req."""

    certificate_type: CertificateUseEnum


class GetInstalledCertificateIdsAnswer(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIds.conf."""

    status: GetInstalledCertificateStatusEnum
    certificate_hash_data: Annotated[tuple[CertificateHashData, ...], msgspec.Meta(min_length=1)] = ()


class LogParameters(Message, frozen=True, kw_only=True):
    """LogParametersType."""

    remote_location: String512
    oldest_timestamp: Instant | None = None
    latest_timestamp: Instant | None = None


class GetLog(Message, frozen=True, kw_only=True):
    """GetLog.req."""

    log: LogParameters
    log_type: LogEnum
    request_id: int
    retries: int | None = None
    retry_interval: int | None = None


class GetLogAnswer(Message, frozen=True, kw_only=True):
    """GetLog.conf."""

    status: LogStatusEnum
    filename: String255 | None = None


class InstallCertificate(Message, frozen=True, kw_only=True):
    """InstallCertificate.req."""

    certificate_type: CertificateUseEnum
    certificate: String5500


class InstallCertificateAnswer(Message, frozen=True, kw_only=True):
    """InstallCertificate.conf."""

    status: InstallCertificateStatusEnum


class LogStatusNotification(Message, frozen=True, kw_only=True):
    """LogStatusNotification.req."""

    status: UploadLogStatusEnum
    request_id: int | None = None


class LogStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """LogStatusNotification.conf."""


class SecurityEventNotification(Message, frozen=True, kw_only=True):
    """SecurityEventNotification.req."""

    type: String50
    timestamp: Instant
    tech_info: String255 | None = None


class SecurityEventNotificationAnswer(Message, frozen=True, kw_only=True):
    """SecurityEventNotification.conf."""


class SignCertificate(Message, frozen=True, kw_only=True):
    """SignCertificate.req."""

    csr: String5500


class SignCertificateAnswer(Message, frozen=True, kw_only=True):
    """SignCertificate.conf."""

    status: GenericStatusEnum


class SignedFirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """SignedFirmwareStatusNotification.req."""

    status: FirmwareStatusEnum
    request_id: int | None = None


class SignedFirmwareStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """SignedFirmwareStatusNotification.conf."""


class Firmware(Message, frozen=True, kw_only=True):
    """FirmwareType."""

    location: String512
    retrieve_date_time: Instant
    signing_certificate: String5500
    signature: String800
    install_date_time: Instant | None = None


class SignedUpdateFirmware(Message, frozen=True, kw_only=True):
    """SignedUpdateFirmware.req."""

    request_id: int
    firmware: Firmware
    retries: int | None = None
    retry_interval: int | None = None


class SignedUpdateFirmwareAnswer(Message, frozen=True, kw_only=True):
    """SignedUpdateFirmware.conf."""

    status: UpdateFirmwareStatusEnum
