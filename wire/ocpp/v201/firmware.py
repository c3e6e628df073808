"""OCPP 2.0.1, block L. Firmware."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String32, String512, String800, String5500
from wire.ocpp.v201.types import GenericStatusEnum, StatusInfo

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


PublishFirmwareStatusEnum = Literal[
    "Idle",
    "DownloadScheduled",
    "Downloading",
    "Downloaded",
    "Published",
    "DownloadFailed",
    "DownloadPaused",
    "InvalidChecksum",
    "ChecksumVerified",
    "PublishFailed",
]


UnpublishFirmwareStatusEnum = Literal["DownloadOngoing", "NoFirmware", "Unpublished"]


UpdateFirmwareStatusEnum = Literal[
    "Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"
]


class Firmware(Message, frozen=True, kw_only=True):
    """FirmwareType."""

    location: String512
    retrieve_date_time: Instant
    custom_data: msgspec.Raw = ABSENT
    install_date_time: Instant | None = None
    signing_certificate: String5500 | None = None
    signature: String800 | None = None


class FirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """FirmwareStatusNotificationRequest."""

    status: FirmwareStatusEnum
    custom_data: msgspec.Raw = ABSENT
    request_id: int | None = None


class FirmwareStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """FirmwareStatusNotificationResponse."""

    custom_data: msgspec.Raw = ABSENT


class PublishFirmware(Message, frozen=True, kw_only=True):
    """PublishFirmwareRequest."""

    location: String512
    checksum: String32
    request_id: int
    custom_data: msgspec.Raw = ABSENT
    retries: int | None = None
    retry_interval: int | None = None


class PublishFirmwareAnswer(Message, frozen=True, kw_only=True):
    """PublishFirmwareResponse."""

    status: GenericStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class PublishFirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """PublishFirmwareStatusNotificationRequest."""

    status: PublishFirmwareStatusEnum
    custom_data: msgspec.Raw = ABSENT
    location: Annotated[tuple[String512, ...], msgspec.Meta(min_length=1)] = ()
    request_id: int | None = None


class PublishFirmwareStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """PublishFirmwareStatusNotificationResponse."""

    custom_data: msgspec.Raw = ABSENT


class UnpublishFirmware(Message, frozen=True, kw_only=True):
    """UnpublishFirmwareRequest."""

    checksum: String32
    custom_data: msgspec.Raw = ABSENT


class UnpublishFirmwareAnswer(Message, frozen=True, kw_only=True):
    """UnpublishFirmwareResponse."""

    status: UnpublishFirmwareStatusEnum
    custom_data: msgspec.Raw = ABSENT


class UpdateFirmware(Message, frozen=True, kw_only=True):
    """UpdateFirmwareRequest."""

    request_id: int
    firmware: Firmware
    custom_data: msgspec.Raw = ABSENT
    retries: int | None = None
    retry_interval: int | None = None


class UpdateFirmwareAnswer(Message, frozen=True, kw_only=True):
    """UpdateFirmwareResponse."""

    status: UpdateFirmwareStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
