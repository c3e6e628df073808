"""OCPP 2.0.1, block O. Display messages."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String36
from wire.ocpp.v201.types import Component, MessageContent, StatusInfo

ClearMessageStatusEnum = Literal["Accepted", "Unknown"]


DisplayMessageStatusEnum = Literal[
    "Accepted",
    "NotSupportedMessageFormat",
    "Rejected",
    "NotSupportedPriority",
    "NotSupportedState",
    "UnknownTransaction",
]


GetDisplayMessagesStatusEnum = Literal["Accepted", "Unknown"]


MessagePriorityEnum = Literal["AlwaysFront", "InFront", "NormalCycle"]


MessageStateEnum = Literal["Charging", "Faulted", "Idle", "Unavailable"]


class MessageInfo(Message, frozen=True, kw_only=True):
    """MessageInfoType."""

    id: int
    priority: MessagePriorityEnum
    message: MessageContent
    custom_data: msgspec.Raw = ABSENT
    display: Component | None = None
    state: MessageStateEnum | None = None
    start_date_time: Instant | None = None
    end_date_time: Instant | None = None
    transaction_id: String36 | None = None


class ClearDisplayMessage(Message, frozen=True, kw_only=True):
    """ClearDisplayMessageRequest."""

    id: int
    custom_data: msgspec.Raw = ABSENT


class ClearDisplayMessageAnswer(Message, frozen=True, kw_only=True):
    """ClearDisplayMessageResponse."""

    status: ClearMessageStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class GetDisplayMessages(Message, frozen=True, kw_only=True):
    """GetDisplayMessagesRequest."""

    request_id: int
    custom_data: msgspec.Raw = ABSENT
    id: Annotated[tuple[int, ...], msgspec.Meta(min_length=1)] = ()
    priority: MessagePriorityEnum | None = None
    state: MessageStateEnum | None = None


class GetDisplayMessagesAnswer(Message, frozen=True, kw_only=True):
    """GetDisplayMessagesResponse."""

    status: GetDisplayMessagesStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class NotifyDisplayMessages(Message, frozen=True, kw_only=True):
    """NotifyDisplayMessagesRequest."""

    request_id: int
    custom_data: msgspec.Raw = ABSENT
    message_info: Annotated[tuple[MessageInfo, ...], msgspec.Meta(min_length=1)] = ()
    tbc: bool | None = None


class NotifyDisplayMessagesAnswer(Message, frozen=True, kw_only=True):
    """NotifyDisplayMessagesResponse."""

    custom_data: msgspec.Raw = ABSENT


class SetDisplayMessage(Message, frozen=True, kw_only=True):
    """SetDisplayMessageRequest."""

    message: MessageInfo
    custom_data: msgspec.Raw = ABSENT


class SetDisplayMessageAnswer(Message, frozen=True, kw_only=True):
    """SetDisplayMessageResponse."""

    status: DisplayMessageStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
