"""Whether a command may be sent to its station now, and what stands for the ids in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime
from difflib import get_close_matches

from gateway.chargers.commands.asked import Facts
from gateway.chargers.commands.spoken import typed_name
from gateway.chargers.roster import Roster
from gateway.chargers.station import Station
from gateway.clock import Moment
from gateway.decide.dates import Dated, judged_at
from gateway.errors import CommandRefused
from gateway.store import commands as store
from gateway.store.commands import FoundSession, Kept
from gateway.wording import instant
from wire.commands import (
    CancelReservation,
    Command,
    CommandOrder,
    ReserveNow,
    ResultCode,
    StartSession,
    StopSession,
    UnlockConnector,
    WebPaymentStarted,
)

_NOT_WHILE_PENDING = (StartSession, StopSession)
"""OCPP 2.0.1 B02.FR.05: no remote start or stop before the station was accepted."""
_CHARGING = (StartSession, StopSession, ReserveNow, CancelReservation, UnlockConnector, WebPaymentStarted)
"""What a hub may want that may not want everything."""


class Judge:
    """Knows which stations there are and which sessions run. `configured`: as they are written."""

    def __init__(
        self, ledger: sqlite3.Connection, roster: Roster, configured: Collection[str], *, hub_may_all: bool = False
    ) -> None:
        self._ledger, self._roster = ledger, roster
        self._configured = {name.casefold(): name for name in configured}
        self._hub_may_all = hub_may_all

    def require_allowed(self, kept: Kept, now: Moment) -> None:
        """Return if whoever gave the command may give it, and it can be told whether it is still in time. An operator's
        orders expire by this very clock, whatever it shows.

        Raises:
            CommandRefused: REJECTED, FAILED.
        """
        if not kept.from_hub:
            return
        if not self._hub_may_all and not isinstance(kept.order.command, _CHARGING):
            message = (
                f"`{typed_name(kept.order.command)}`: this gateway lets its hub charge, and no more;"
                ' [commands] hub_may = "all" lets it do everything'
            )
            raise CommandRefused(ResultCode.REJECTED, message)
        if judged_at(Dated.COMMAND, now) is None:
            message = (
                f"the clock of the gateway is not set (it shows {now.at:%Y-%m-%d %H:%M}): whether the command is"
                " still in time cannot be told"
            )
            raise CommandRefused(ResultCode.FAILED, message)

    def station(self, order: CommandOrder, at: datetime, *, wait: bool) -> Station | None:
        """The station; None when it is worth waiting for it, and `wait` allows that.

        Raises:
            CommandRefused: EXPIRED, UNKNOWN_CHARGER, CHARGER_OFFLINE, CHARGER_PENDING.
        """
        charger_id = order.command.charger_id
        if at >= order.expires_at:
            message = f"it was to be begun before {instant(order.expires_at)}"
            raise CommandRefused(ResultCode.EXPIRED, message)
        station = self._roster.find(charger_id)
        if station is None:
            self._require_known(charger_id)
            if wait:
                return None
            raise CommandRefused(ResultCode.CHARGER_OFFLINE, f"{charger_id} is not connected")
        if isinstance(order.command, _NOT_WHILE_PENDING) and not station.registered:
            if wait:
                return None
            message = f"{charger_id} has not been accepted yet (no BootNotification came)"
            raise CommandRefused(ResultCode.CHARGER_PENDING, message)
        return station

    def _require_known(self, charger_id: str) -> None:
        if charger_id.casefold() not in self._configured:
            raise unknown_charger(charger_id, self._configured.values())

    def facts(self, kept: Kept, at: datetime) -> Facts:
        """What the translation needs of the ledger.

        Raises:
            CommandRefused: UNKNOWN_SESSION, UNKNOWN_RESERVATION.
        """
        command = kept.order.command
        return Facts(
            number=kept.number,
            at=at,
            transaction_id=self._transaction(command) if isinstance(command, StopSession) else None,
            reservation_number=self._reservation(command),
        )

    def _reservation(self, command: Command) -> int | None:
        if not isinstance(command, ReserveNow | CancelReservation):
            return None
        number = store.reservation_number(self._ledger, command.charger_id, command.reservation_id)
        if number is None and isinstance(command, CancelReservation):
            message = f"{command.charger_id} has no reservation {command.reservation_id!a} from here"
            raise CommandRefused(ResultCode.UNKNOWN_RESERVATION, message)
        return number

    def _transaction(self, command: StopSession) -> str:
        found = store.sessions_of(self._ledger, command.charger_id, command.session_id, command.transaction_id)
        named = command.session_id or command.transaction_id
        if named is None and len(found) > 1:
            running = ", ".join(f"{one.transaction_id} (EVSE {one.evse_id})" for one in found)
            message = f"{len(found)} transactions run at {command.charger_id}: {running}; name one"
            raise CommandRefused(ResultCode.UNKNOWN_SESSION, message)
        if not found:
            what = "no session runs" if named is None else f"no session {named!a} is known"
            raise CommandRefused(ResultCode.UNKNOWN_SESSION, f"{what} at {command.charger_id}")
        _require_running(found[0])
        return found[0].transaction_id


def _require_running(session: FoundSession) -> None:
    if session.ended_at is not None:
        message = f"session {session.session_id} ended at {instant(datetime.fromisoformat(session.ended_at))}"
        raise CommandRefused(ResultCode.UNKNOWN_SESSION, message)


def unknown_charger(charger_id: str, configured: Collection[str]) -> CommandRefused:
    """The refusal that names the station most like the one that was asked for."""
    names = {name.casefold(): name for name in configured}
    near = get_close_matches(charger_id.casefold(), names, 1, 0.6)
    meant = f"; did you mean {names[near[0]]}?" if near else ""
    return CommandRefused(ResultCode.UNKNOWN_CHARGER, f"{charger_id!a} is no charger of this gateway{meant}")


def tag_of(command: Command) -> str:
    """The command's name, as it is written."""
    return str(command.__struct_config__.tag)
