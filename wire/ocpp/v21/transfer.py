"""OCPP 2.1, block P. Data transfer."""

from __future__ import annotations

import msgspec

from wire.ocpp.payload import ABSENT, Message, String50, String255
from wire.ocpp.v21.types import StatusInfo
from wire.ocpp.v201.transfer import DataTransferStatusEnum


class DataTransfer(Message, frozen=True, kw_only=True):
    """DataTransferRequest."""

    vendor_id: String255
    message_id: String50 | None = None
    data: msgspec.Raw = ABSENT
    custom_data: msgspec.Raw = ABSENT


class DataTransferAnswer(Message, frozen=True, kw_only=True):
    """DataTransferResponse."""

    status: DataTransferStatusEnum
    status_info: StatusInfo | None = None
    data: msgspec.Raw = ABSENT
    custom_data: msgspec.Raw = ABSENT
