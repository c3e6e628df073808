"""OCPP 1.6, Local Auth List Management profile."""

from __future__ import annotations

from typing import Literal

from wire.ocpp.payload import Message, String20
from wire.ocpp.v16.types import IdTagInfo

SendLocalListUpdateType = Literal["Differential", "Full"]


SendLocalListStatus = Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]


class GetLocalListVersion(Message, frozen=True, kw_only=True):
    """GetLocalListVersion.req."""


class GetLocalListVersionAnswer(Message, frozen=True, kw_only=True):
    """GetLocalListVersion.conf."""

    list_version: int


class AuthorizationData(Message, frozen=True, kw_only=True):
    """AuthorizationData."""

    id_tag: String20
    id_tag_info: IdTagInfo | None = None


class SendLocalList(Message, frozen=True, kw_only=True):
    """SendLocalList.req."""

    list_version: int
    update_type: SendLocalListUpdateType
    local_authorization_list: tuple[AuthorizationData, ...] = ()


class SendLocalListAnswer(Message, frozen=True, kw_only=True):
    """SendLocalList.conf."""

    status: SendLocalListStatus
