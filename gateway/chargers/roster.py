"""The stations that are connected now, and those who want to know when one comes, goes or says something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wire.ocpp.payload import Message

if TYPE_CHECKING:
    from gateway.chargers.station import Station


class Companion:
    """Somebody with business of its own at stations: certificates, lists, settings. Does nothing unless told what.

    None of these may await a CALL to the station: the answer would come through the reader that waits for them. Long
    work goes into a task of one's own, which `detached` ends.
    """

    async def attached(self, station: Station) -> None:
        """The station has connected."""

    def detached(self, station: Station) -> None:
        """The connection has ended, maybe because a newer one replaced it."""

    def heard(self, station: Station, request: Message) -> None:
        """The station has told something that needs no decision; it is answered right after."""

    def commanded(self, station: Station, action: str) -> None:
        """The station was asked for something that was commanded, so it may not be as it was told to be."""


class Roster:
    """One live connection for each station; identities ignore case."""

    def __init__(self) -> None:
        self._live: dict[str, Station] = {}
        self._companions: list[Companion] = []

    def accompany(self, companion: Companion) -> None:
        """Tell `companion` from now on."""
        self._companions.append(companion)

    def find(self, charger_id: str) -> Station | None:
        """The station, None while it is not connected."""
        return self._live.get(charger_id.casefold())

    def __iter__(self) -> Iterator[Station]:
        return iter(tuple(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    async def join(self, station: Station) -> None:
        """The station is here; in place of one of its name, whose connection is being closed."""
        self._live[station.charger_id.casefold()] = station
        for companion in self._companions:
            await companion.attached(station)

    def leave(self, station: Station) -> None:
        """Its connection has ended. A late end of an old connection does not unregister the one that replaced it."""
        if self._live.get(station.charger_id.casefold()) is station:
            del self._live[station.charger_id.casefold()]
        station.calls.lost("the connection has ended")
        for companion in self._companions:
            companion.detached(station)

    def tell(self, station: Station, request: Message) -> None:
        """Pass on what the station has told."""
        for companion in self._companions:
            companion.heard(station, request)

    def commanded(self, station: Station, action: str) -> None:
        """Pass on what the station was asked by command."""
        for companion in self._companions:
            companion.commanded(station, action)
