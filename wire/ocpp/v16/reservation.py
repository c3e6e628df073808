"""OCPP 1.6, Reservation profile."""

from __future__ import annotations

from typing import Literal

from wire.ocpp.payload import Instant, Message, String20

CancelReservationStatus = Literal["Accepted", "Rejected"]


ReserveNowStatus = Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]


class CancelReservation(Message, frozen=True, kw_only=True):
    """CancelReservation.req."""

    reservation_id: int


class CancelReservationAnswer(Message, frozen=True, kw_only=True):
    """CancelReservation.conf."""

    status: CancelReservationStatus


class ReserveNow(Message, frozen=True, kw_only=True):
    """ReserveNow.req."""

    connector_id: int
    expiry_date: Instant
    id_tag: String20
    reservation_id: int
    parent_id_tag: String20 | None = None


class ReserveNowAnswer(Message, frozen=True, kw_only=True):
    """ReserveNow.conf."""

    status: ReserveNowStatus
