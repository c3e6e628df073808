"""OCPP 2.0.1, block H. Reservation."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message
from wire.ocpp.v201.types import IdToken, StatusInfo

CancelReservationStatusEnum = Literal["Accepted", "Rejected"]


ConnectorEnum = Literal[
    "cCCS1",
    "cCCS2",
    "cG105",
    "cTesla",
    "cType1",
    "cType2",
    "s309-1P-16A",
    "s309-1P-32A",
    "s309-3P-16A",
    "s309-3P-32A",
    "sBS1361",
    "sCEE-7-7",
    "sType2",
    "sType3",
    "Other1PhMax16A",
    "Other1PhOver16A",
    "Other3Ph",
    "Pan",
    "wInductive",
    "wResonant",
    "Undetermined",
    "Unknown",
]


ReservationUpdateStatusEnum = Literal["Expired", "Removed"]


ReserveNowStatusEnum = Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]


class CancelReservation(Message, frozen=True, kw_only=True):
    """CancelReservationRequest."""

    reservation_id: int
    custom_data: msgspec.Raw = ABSENT


class CancelReservationAnswer(Message, frozen=True, kw_only=True):
    """CancelReservationResponse."""

    status: CancelReservationStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class ReservationStatusUpdate(Message, frozen=True, kw_only=True):
    """ReservationStatusUpdateRequest."""

    reservation_id: int
    reservation_update_status: ReservationUpdateStatusEnum
    custom_data: msgspec.Raw = ABSENT


class ReservationStatusUpdateAnswer(Message, frozen=True, kw_only=True):
    """ReservationStatusUpdateResponse."""

    custom_data: msgspec.Raw = ABSENT


class ReserveNow(Message, frozen=True, kw_only=True):
    """ReserveNowRequest."""

    id: int
    expiry_date_time: Instant
    id_token: IdToken
    custom_data: msgspec.Raw = ABSENT
    connector_type: ConnectorEnum | None = None
    evse_id: int | None = None
    group_id_token: IdToken | None = None


class ReserveNowAnswer(Message, frozen=True, kw_only=True):
    """ReserveNowResponse."""

    status: ReserveNowStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
