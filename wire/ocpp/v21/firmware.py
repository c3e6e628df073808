"""OCPP 2.1, block L. Firmware."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String32, String800, String2000, String5500
from wire.ocpp.v21.types import StatusInfo
from wire.ocpp.v201.firmware import FirmwareStatusEnum, PublishFirmwareStatusEnum, UpdateFirmwareStatusEnum
from wire.ocpp.v201.types import GenericStatusEnum


class Firmware(Message, frozen=True, kw_only=True):
    """FirmwareType."""

    location: String2000
    retrieve_date_time: Instant
    install_date_time: Instant | None = None
    signing_certificate: String5500 | None = None
    signature: String800 | None = None
    custom_data: msgspec.Raw = ABSENT


class FirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """FirmwareStatusNotificationRequest."""

    status: FirmwareStatusEnum
    request_id: int | None = None
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class PublishFirmware(Message, frozen=True, kw_only=True):
    """PublishFirmwareRequest."""

    location: String2000
    checksum: String32
    request_id: Annotated[int, msgspec.Meta(ge=0)]
    retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    retry_interval: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class PublishFirmwareAnswer(Message, frozen=True, kw_only=True):
    """PublishFirmwareResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class PublishFirmwareStatusNotification(Message, frozen=True, kw_only=True):
    """PublishFirmwareStatusNotificationRequest."""

    status: PublishFirmwareStatusEnum
    location: Annotated[tuple[String2000, ...], msgspec.Meta(min_length=1)] = ()
    request_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class UpdateFirmware(Message, frozen=True, kw_only=True):
    """UpdateFirmwareRequest."""

    request_id: int
    firmware: Firmware
    retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    retry_interval: int | None = None
    custom_data: msgspec.Raw = ABSENT


class UpdateFirmwareAnswer(Message, frozen=True, kw_only=True):
    """UpdateFirmwareResponse."""

    status: UpdateFirmwareStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
