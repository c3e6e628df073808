"""OCPP 1.6, Firmware Management profile."""

from __future__ import annotations

from typing import Literal

from wire.ocpp.payload import Instant, Message, String255

DiagnosticsStatusNotificationStatus = Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]


FirmwareStatusNotificationStatus = Literal[
    "Downloaded", "DownloadFailed", "Downloading", "Idle", "InstallationFailed", "Installing", "Installed"
]


class DiagnosticsStatusNotification(Message, frozen=True, kw_only=True):
    """DiagnosticsStatusNotification.req."""

    status: DiagnosticsStatusNotificationStatus


class DiagnosticsStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """DiagnosticsStatusNotification.conf."""


class FirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """FirmwareStatusNotification.req."""

    status: FirmwareStatusNotificationStatus


class FirmwareStatusNotificationAnswer(Message, frozen=True, kw_only=True):
    """FirmwareStatusNotification.conf."""


class GetDiagnostics(Message, frozen=True, kw_only=True):
    """GetDiagnostics.req."""

    location: str
    retries: int | None = None
    retry_interval: int | None = None
    start_time: Instant | None = None
    stop_time: Instant | None = None


class GetDiagnosticsAnswer(Message, frozen=True, kw_only=True):
    """GetDiagnostics.conf."""

    file_name: String255 | None = None


class UpdateFirmware(Message, frozen=True, kw_only=True):
    """UpdateFirmware.req."""

    location: str
    retrieve_date: Instant
    retries: int | None = None
    retry_interval: int | None = None


class UpdateFirmwareAnswer(Message, frozen=True, kw_only=True):
    """UpdateFirmware.conf."""
