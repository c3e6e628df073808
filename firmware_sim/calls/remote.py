"""Remote control: start and stop, unlock, reset, availability, reservations, the state of a transaction.

Rules
1. A remote start is accepted when the plug is there, may be used, is free, and is not kept for somebody else; it then
   begins as if a car was plugged in.
2. A reset that has to wait for a charge is Scheduled (2.x OnIdle); any other ends the charge. The charger really goes
   away and boots again.

Source: OCPP 1.6 5.2, 5.11 to 5.18; OCPP 2.0.1 Part 2 B11, B12, E14, F01 to F05, G03, G04, H01, H02.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from firmware_sim.calls.parts import Parts
from firmware_sim.calls.reading import EVSE, IdToken, Read, Table, owed, status
from firmware_sim.connection import Reply
from firmware_sim.dialect import Medium, PlugState, Presented, Stop
from firmware_sim.reservations import Reservation


class _Start16(Read, frozen=True, kw_only=True):
    id_tag: str
    connector_id: int | None = None


class _Start(Read, frozen=True, kw_only=True):
    id_token: IdToken
    remote_start_id: int
    evse_id: int | None = None
    group_id_token: IdToken | None = None


class _Stop16(Read, frozen=True, kw_only=True):
    transaction_id: int


class _Stop(Read, frozen=True, kw_only=True):
    transaction_id: str


class _Unlock(Read, frozen=True, kw_only=True):
    connector_id: int
    evse_id: int | None = None


class _Reset(Read, frozen=True, kw_only=True):
    type: str
    evse_id: int | None = None


class _Availability16(Read, frozen=True, kw_only=True):
    connector_id: int
    type: str


class _Availability(Read, frozen=True, kw_only=True):
    operational_status: str
    evse: EVSE | None = None


class _Reserve16(Read, frozen=True, kw_only=True):
    reservation_id: int
    connector_id: int
    id_tag: str
    expiry_date: datetime
    parent_id_tag: str | None = None


class _Reserve(Read, frozen=True, kw_only=True):
    id: int
    id_token: IdToken
    expiry_date_time: datetime
    evse_id: int | None = None
    group_id_token: IdToken | None = None


class _Cancel(Read, frozen=True, kw_only=True):
    reservation_id: int


class _State(Read, frozen=True, kw_only=True):
    transaction_id: str | None = None


def tables(parts: Parts) -> tuple[Table, Table]:
    """The entries for 1.6 and for 2.x."""
    answers = _Remote(parts)
    both = {"CancelReservation": owed(_Cancel, answers.cancel)}
    in_16 = {
        "RemoteStartTransaction": owed(_Start16, answers.start16),
        "RemoteStopTransaction": owed(_Stop16, answers.stop16),
        "UnlockConnector": owed(_Unlock, answers.unlock16),
        "Reset": owed(_Reset, answers.reset16),
        "ChangeAvailability": owed(_Availability16, answers.availability16),
        "ReserveNow": owed(_Reserve16, answers.reserve16),
    }
    in_2x = {
        "RequestStartTransaction": owed(_Start, answers.start),
        "RequestStopTransaction": owed(_Stop, answers.stop),
        "UnlockConnector": owed(_Unlock, answers.unlock),
        "Reset": owed(_Reset, answers.reset),
        "ChangeAvailability": owed(_Availability, answers.availability),
        "ReserveNow": owed(_Reserve, answers.reserve),
        "GetTransactionStatus": owed(_State, answers.transaction_status),
    }
    return {**both, **in_16}, {**both, **in_2x}


class _Remote:
    def __init__(self, parts: Parts) -> None:
        self._parts, self._spec = parts, parts.spec
        self._sessions, self._reservations = parts.sessions, parts.holdings.reservations

    # --- start and stop

    def start16(self, request: _Start16) -> Reply:
        presented = Presented(Medium.REMOTE, request.id_tag, type="ISO14443")
        return self._started(presented, request.connector_id, None)

    def start(self, request: _Start) -> Reply:
        token = request.id_token
        presented = Presented(Medium.REMOTE, token.id_token, type=token.type, remote_start_id=request.remote_start_id)
        group = None if request.group_id_token is None else request.group_id_token.id_token
        return self._started(presented, request.evse_id, group)

    def _started(self, presented: Presented, evse_id: int | None, group_id: str | None) -> Reply:
        """Rule 1."""
        free = self._sessions.current is None and self._sessions.operative
        kept = not self._reservations.lets(presented.uid, group_id)
        if evse_id not in (None, self._spec.evse_id) or not free or kept:
            return Reply(status("Rejected"))
        return Reply(status("Accepted"), lambda: self._sessions.start_remotely(presented, group_id))

    def stop16(self, request: _Stop16) -> Reply:
        return self.stop(_Stop(transaction_id=str(request.transaction_id)))

    def stop(self, request: _Stop) -> Reply:
        tx = self._sessions.current
        if tx is None or tx.wire_id != request.transaction_id:
            return Reply(status("Rejected"))
        return Reply(status("Accepted"), lambda: self._end(Stop.REMOTE))

    def _end(self, how: Stop) -> None:
        self._sessions.stop(how)

    def transaction_status(self, request: _State) -> dict[str, object]:
        """Without an id only whether anything waits (E14.FR.06); an unknown id: nothing waits, nothing goes on."""
        if request.transaction_id is None:
            return {"messagesInQueue": self._parts.link.waiting > 0}
        tx = self._sessions.current
        ongoing = tx is not None and tx.wire_id == request.transaction_id
        return {
            "ongoingIndicator": ongoing,
            "messagesInQueue": self._parts.link.waits_for(request.transaction_id),
        }

    # --- the plug

    def unlock16(self, request: _Unlock) -> Reply:
        """Unlocking ends a charge (5.18); there is one connector."""
        if request.connector_id != self._spec.connector_id:
            return Reply(status("NotSupported"))
        return Reply(status("Unlocked"), lambda: self._end(Stop.UNLOCK))

    def unlock(self, request: _Unlock) -> dict[str, object]:
        """A charge that was authorized is not unlocked (F05.FR.02)."""
        if (request.evse_id, request.connector_id) != (self._spec.evse_id, self._spec.connector_id):
            return status("UnknownConnector")
        return status("OngoingAuthorizedTransaction" if self._sessions.current is not None else "Unlocked")

    def availability16(self, request: _Availability16) -> Reply:
        if request.connector_id not in (0, self._spec.connector_id):
            return Reply(status("Rejected"))
        return self._available(request.type)

    def availability(self, request: _Availability) -> Reply:
        if request.evse is not None and request.evse.id != self._spec.evse_id:
            return Reply(status("Rejected"))
        return self._available(request.operational_status)

    def _available(self, wanted: str) -> Reply:
        """During a charge it is Scheduled (1.6 5.2, 2.x G03.FR.05)."""
        changed = self._sessions.operative != (wanted == "Operative")
        self._sessions.operative = wanted == "Operative"
        if self._sessions.current is not None and changed:
            return Reply(status("Scheduled"))
        return Reply(status("Accepted"), self._sessions.tell_plug if changed else None)

    # --- reservations

    def reserve16(self, request: _Reserve16) -> Reply:
        reservation = Reservation(request.reservation_id, request.id_tag, request.expiry_date, request.parent_id_tag)
        return self._reserved(reservation, request.connector_id or None)

    def reserve(self, request: _Reserve) -> Reply:
        group = None if request.group_id_token is None else request.group_id_token.id_token
        reservation = Reservation(request.id, request.id_token.id_token, request.expiry_date_time, group)
        return self._reserved(reservation, request.evse_id)

    def _reserved(self, reservation: Reservation, evse_id: int | None) -> Reply:
        if evse_id not in (None, self._spec.evse_id) or not self._parts.holdings.settings.yes(
            "ReservationCtrlr.Enabled"
        ):
            return Reply(status("Rejected"))
        if not self._sessions.operative:
            return Reply(status("Unavailable"))
        if self._sessions.plug is PlugState.OCCUPIED or not self._reservations.take(reservation):
            return Reply(status("Occupied"))
        return Reply(status("Accepted"), lambda: self._keep(reservation))

    def _keep(self, reservation: Reservation) -> None:
        self._sessions.tell_plug()
        self._parts.spawn(self._expire(reservation))

    async def _expire(self, reservation: Reservation) -> None:
        """Tells when a reservation ends unused (H04.FR.01)."""
        await asyncio.sleep(min(86_400.0, (reservation.until - self._parts.clock()).total_seconds()))
        if self._reservations.expire(reservation.id):
            if self._spec.ocpp != "1.6":
                update = {"reservationId": reservation.id, "reservationUpdateStatus": "Expired"}
                self._parts.link.say("ReservationStatusUpdate", update)
            self._sessions.tell_plug()

    def cancel(self, request: _Cancel) -> Reply:
        if not self._reservations.cancel(request.reservation_id):
            return Reply(status("Rejected"))
        return Reply(status("Accepted"), self._sessions.tell_plug)

    # --- reset

    def reset16(self, request: _Reset) -> Reply:
        how = Stop.SOFT_RESET if request.type == "Soft" else Stop.HARD_RESET
        return Reply(status("Accepted"), lambda: self._parts.reboot(how, "RemoteReset"))

    def reset(self, request: _Reset) -> Reply:
        """Rule 2. One EVSE alone cannot be reset."""
        if request.evse_id is not None or request.type not in ("Immediate", "OnIdle"):
            return Reply(status("Rejected"))
        if request.type == "OnIdle" and self._sessions.current is not None:
            return Reply(status("Scheduled"), lambda: self._parts.spawn(self._reset_when_idle()))
        return Reply(status("Accepted"), lambda: self._parts.reboot(Stop.HARD_RESET, "RemoteReset"))

    async def _reset_when_idle(self) -> None:
        await self._sessions.idle()
        self._parts.reboot(Stop.SOFT_RESET, "ScheduledReset")
