"""OCPP 2.1, block O. Display messages."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String36
from wire.ocpp.v21.types import Component, MessageContent, StatusInfo
from wire.ocpp.v201.display import GetDisplayMessagesStatusEnum, MessagePriorityEnum

ClearMessageStatusEnum = Literal["Accepted", "Unknown", "Rejected"]


DisplayMessageStatusEnum = Literal[
    "Accepted",
    "NotSupportedMessageFormat",
    "Rejected",
    "NotSupportedPriority",
    "NotSupportedState",
    "UnknownTransaction",
    "LanguageNotSupported",
]


MessageStateEnum = Literal["Charging", "Faulted", "Idle", "Unavailable", "Suspended", "Discharging"]


class MessageInfo(Message, frozen=True, kw_only=True):
    """MessageInfoType."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    priority: MessagePriorityEnum
    message: MessageContent
    display: Component | None = None
    state: MessageStateEnum | None = None
    start_date_time: Instant | None = None
    end_date_time: Instant | None = None
    transaction_id: String36 | None = None
    message_extra: Annotated[tuple[MessageContent, ...], msgspec.Meta(min_length=1, max_length=4)] = ()
    custom_data: msgspec.Raw = ABSENT


class ClearDisplayMessage(Message, frozen=True, kw_only=True):
    """ClearDisplayMessageRequest."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class ClearDisplayMessageAnswer(Message, frozen=True, kw_only=True):
    """ClearDisplayMessageResponse."""

    status: ClearMessageStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetDisplayMessages(Message, frozen=True, kw_only=True):
    """GetDisplayMessagesRequest."""

    request_id: int
    id: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(min_length=1)] = ()
    priority: MessagePriorityEnum | None = None
    state: MessageStateEnum | None = None
    custom_data: msgspec.Raw = ABSENT


class GetDisplayMessagesAnswer(Message, frozen=True, kw_only=True):
    """GetDisplayMessagesResponse."""

    status: GetDisplayMessagesStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class NotifyDisplayMessages(Message, frozen=True, kw_only=True):
    """NotifyDisplayMessagesRequest."""

    request_id: int
    message_info: Annotated[tuple[MessageInfo, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None
    custom_data: msgspec.Raw = ABSENT


class SetDisplayMessage(Message, frozen=True, kw_only=True):
    """SetDisplayMessageRequest."""

    message: MessageInfo
    custom_data: msgspec.Raw = ABSENT


class SetDisplayMessageAnswer(Message, frozen=True, kw_only=True):
    """SetDisplayMessageResponse."""

    status: DisplayMessageStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
