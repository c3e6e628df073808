"""OCPP 2.1, block D. Local authorization list."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import ABSENT, Message
from wire.ocpp.v21.types import IdToken, IdTokenInfo, StatusInfo
from wire.ocpp.v201.local_list import SendLocalListStatusEnum, UpdateEnum


class AuthorizationData(Message, frozen=True, kw_only=True):
    """AuthorizationDataType."""

    id_token: IdToken
    id_token_info: IdTokenInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SendLocalList(Message, frozen=True, kw_only=True):
    """SendLocalListRequest."""

    version_number: int
    update_type: UpdateEnum
    local_authorization_list: Annotated[tuple[AuthorizationData, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class SendLocalListAnswer(Message, frozen=True, kw_only=True):
    """SendLocalListResponse."""

    status: SendLocalListStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
