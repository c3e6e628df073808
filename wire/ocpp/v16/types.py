"""OCPP 1.6: types that messages of more than one profile use."""

from __future__ import annotations

from typing import Literal

from wire.ocpp.payload import Instant, Message, String20

AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]


class IdTagInfo(Message, frozen=True, kw_only=True):
    """IdTagInfo."""

    status: AuthorizationStatus
    expiry_date: Instant | None = None
    parent_id_tag: String20 | None = None
