"""OCPP 2.1, block H. Reservation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String20
from wire.ocpp.v21.types import IdToken, StatusInfo
from wire.ocpp.v201.reservation import CancelReservationStatusEnum, ReserveNowStatusEnum

ReservationUpdateStatusEnum = Literal["Expired", "Removed", "NoTransaction"]


class CancelReservation(Message, frozen=True, kw_only=True):
    """CancelReservationRequest."""

    reservation_id: Annotated[int, msgspec.Meta(ge=0)]
    custom_data: msgspec.Raw = ABSENT


class CancelReservationAnswer(Message, frozen=True, kw_only=True):
    """CancelReservationResponse."""

    status: CancelReservationStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class ReservationStatusUpdate(Message, frozen=True, kw_only=True):
    """ReservationStatusUpdateRequest."""

    reservation_id: Annotated[int, msgspec.Meta(ge=0)]
    reservation_update_status: ReservationUpdateStatusEnum
    custom_data: msgspec.Raw = ABSENT


class ReserveNow(Message, frozen=True, kw_only=True):
    """ReserveNowRequest."""

    id: Annotated[int, msgspec.Meta(ge=0)]
    expiry_date_time: Instant
    id_token: IdToken
    connector_type: String20 | None = None
    evse_id: Annotated[int, msgspec.Meta(ge=0)] | None = None
    group_id_token: IdToken | None = None
    custom_data: msgspec.Raw = ABSENT


class ReserveNowAnswer(Message, frozen=True, kw_only=True):
    """ReserveNowResponse."""

    status: ReserveNowStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
