"""The reservations of a charger with one plug: for whom it is kept, and until when.

Source: OCPP 1.6 5.13 (ReserveNow), 5.2; OCPP 2.0.1 Part 2 H01, H03, H04.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from firmware_sim.local_auth import same_group
from firmware_sim.local_list import token_key


@dataclass(frozen=True, slots=True)
class Reservation:
    """The plug is kept for the token `uid`, or one of its group, until `until`."""

    id: int
    uid: str
    until: datetime
    group_id: str | None = None


class Reservations:
    """At most one, for there is one plug. `clock` gives aware instants."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._held: Reservation | None = None

    @property
    def held(self) -> Reservation | None:
        """The reservation that counts now."""
        return None if self._held is None or self._held.until <= self._clock() else self._held

    def take(self, reservation: Reservation) -> bool:
        """Whether the plug is kept for it now: it was free, or the reservation has the number of the one that was."""
        known = self.held
        if (known is not None and known.id != reservation.id) or reservation.until <= self._clock():
            return False
        self._held = reservation
        return True

    def cancel(self, number: int) -> bool:
        """Whether there was such a reservation."""
        known = self.held
        if known is None or known.id != number:
            return False
        self._held = None
        return True

    def expire(self, number: int) -> bool:
        """Whether that reservation stood to its end unused; it is forgotten then."""
        found = self._held is not None and self._held.id == number and self.held is None
        if found:
            self._held = None
        return found

    def lets(self, uid: str, group_id: str | None) -> bool:
        """Whether a token may take the plug now."""
        known = self.held
        return known is None or token_key(known.uid) == token_key(uid) or same_group(known.group_id, group_id)

    def use(self) -> int | None:
        """The number of the reservation that a charge uses up."""
        known, self._held = self.held, None
        return None if known is None else known.id
