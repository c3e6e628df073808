"""OCPP 2.0.1, block P. Data transfer."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String50, String255
from wire.ocpp.v201.types import StatusInfo

DataTransferStatusEnum = Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]


class DataTransfer(Message, frozen=True, kw_only=True):
    """DataTransferRequest."""

    vendor_id: String255
    custom_data: msgspec.Raw = ABSENT
    message_id: String50 | None = None
    data: msgspec.Raw = ABSENT


class DataTransferAnswer(Message, frozen=True, kw_only=True):
    """DataTransferResponse."""

    status: DataTransferStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
    data: msgspec.Raw = ABSENT
