"""OCPP 2.0.1, block D. Local authorization list."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message
from wire.ocpp.v201.types import IdToken, IdTokenInfo, StatusInfo

SendLocalListStatusEnum = Literal["Accepted", "Failed", "VersionMismatch"]


UpdateEnum = Literal["Differential", "Full"]


class AuthorizationData(Message, frozen=True, kw_only=True):
    """AuthorizationDataType."""

    id_token: IdToken
    custom_data: msgspec.Raw = ABSENT
    id_token_info: IdTokenInfo | None = None


class GetLocalListVersion(Message, frozen=True, kw_only=True):
    """GetLocalListVersionRequest."""

    custom_data: msgspec.Raw = ABSENT


class GetLocalListVersionAnswer(Message, frozen=True, kw_only=True):
    """GetLocalListVersionResponse."""

    version_number: int
    custom_data: msgspec.Raw = ABSENT


class SendLocalList(Message, frozen=True, kw_only=True):
    """SendLocalListRequest."""

    version_number: int
    update_type: UpdateEnum
    custom_data: msgspec.Raw = ABSENT
    local_authorization_list: Annotated[tuple[AuthorizationData, ...], msgspec.Meta(min_length=1)] = ()


class SendLocalListAnswer(Message, frozen=True, kw_only=True):
    """SendLocalListResponse."""

    status: SendLocalListStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
