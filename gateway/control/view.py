"""What an operator sees of the stations: who is configured, who is connected, and what each last said of itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from gateway.alone import read_alone
from gateway.chargers.abilities import StationAlone
from gateway.chargers.roster import Companion, Roster
from gateway.chargers.station import Station
from gateway.clock import Clock
from gateway.control.seen import ChargerView, ConnectorView, NoticeView, QuirkView, SessionView
from gateway.decide.policy import OfflinePolicy
from gateway.store.chargers import Registered, registered
from gateway.store.commands import sessions_of
from gateway.store.credentials import highest_profile
from gateway.store.notices import Notice, notices
from gateway.store.quirks import quirk_counts


class Presence(Companion):
    """Since when each station is connected, or gone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Station, datetime] = {}
        self._gone: dict[str, tuple[datetime, datetime | None]] = {}

    async def attached(self, station: Station) -> None:
        """It is, from now on."""
        self._since[station] = self._clock.now().at

    def detached(self, station: Station) -> None:
        """It is no longer."""
        self._gone[station.charger_id.casefold()] = self._clock.now().at, self.last_heard(station)
        self._since.pop(station, None)

    def gone(self, charger_id: str) -> tuple[datetime | None, datetime | None]:
        """Since when a station that is not connected is not, and when it was heard last; as far as it was seen."""
        return self._gone.get(charger_id.casefold(), (None, None))

    def since(self, station: Station) -> datetime | None:
        """When it connected."""
        return self._since.get(station)

    def last_heard(self, station: Station) -> datetime | None:
        """When its last frame came, to about a second; its connection, when none did."""
        if not station.heard_s:
            return self.since(station)
        silent_s = asyncio.get_running_loop().time() - station.heard_s
        return self._clock.now().at - timedelta(seconds=max(0.0, silent_s))


class Views:
    """Makes the views. `configured`: the stations of the configuration, as they are written there; `policy`: what they
    should do alone."""

    def __init__(
        self,
        ledger: sqlite3.Connection,
        roster: Roster,
        presence: Presence,
        configured: Collection[str],
        policy: OfflinePolicy | None = None,
    ) -> None:
        self._ledger, self._roster, self._presence = ledger, roster, presence
        self._configured, self._policy = tuple(configured), policy or OfflinePolicy()

    def names(self) -> list[str]:
        """Every station that is configured or connected; as it is written in the configuration, if it is."""
        names = {name.casefold(): name for name in self._configured}
        for station in self._roster:
            names.setdefault(station.charger_id.casefold(), station.charger_id)
        return sorted(names.values(), key=str.casefold)

    def all(self) -> list[ChargerView]:
        """Every station."""
        return [self._view(name, whole=False) for name in self.names()]

    def one(self, charger_id: str) -> ChargerView | None:
        """One station with all it told; None when it is none of this gateway."""
        known = {name.casefold(): name for name in self.names()}
        name = known.get(charger_id.casefold())
        return None if name is None else self._view(name, whole=True)

    def _view(self, name: str, *, whole: bool) -> ChargerView:
        station, told = self._roster.find(name), notices(self._ledger, name)
        known = registered(self._ledger, name)
        booted = known or Registered(None, None, None, None, None, None)
        running = sessions_of(self._ledger, name, None, None)
        gone, heard = self._presence.gone(name) if station is None else (None, self._presence.last_heard(station))
        return ChargerView(
            charger_id=name,
            connected=station is not None,
            pending=known is None,
            ocpp=booted.ocpp if station is None else station.ocpp,
            vendor=booted.vendor,
            model=booted.model,
            serial_number=booted.serial_number,
            firmware=booted.firmware,
            booted_at=booted.booted_at,
            connected_since=None if station is None else self._presence.since(station),
            disconnected_since=gone,
            last_heard=heard or _latest(told, booted),
            security_profile=highest_profile(self._ledger, name),
            sessions=tuple(
                SessionView(
                    session_id=one.session_id,
                    transaction_id=one.transaction_id,
                    evse_id=one.evse_id,
                    started_at=one.started_at,
                )
                for one in running
            ),
            connectors=tuple(_connector(notice) for notice in told if notice.action == "StatusNotification"),
            alone=self._alone(name) if whole else None,
            quirks=self._quirks(name) if whole else (),
            notices=tuple(_notice(notice) for notice in told) if whole else (),
        )

    def _alone(self, name: str) -> StationAlone | None:
        rows = read_alone(self._ledger, self._policy)
        return next((row for row in rows if row.charger_id.casefold() == name.casefold()), None)

    def _quirks(self, name: str) -> tuple[QuirkView, ...]:
        return tuple(
            QuirkView(quirk=each.quirk, count=each.count, example=each.example)
            for each in quirk_counts(self._ledger)
            if each.charger_id.casefold() == name.casefold()
        )


def _latest(told: Collection[Notice], booted: Registered) -> datetime | None:
    """The newest that is stored of a station: what it told, or its boot."""
    times = [notice.at for notice in told]
    times += [] if booted.booted_at is None else [datetime.fromisoformat(booted.booted_at)]
    return max(times, default=None)


def _connector(notice: Notice) -> ConnectorView:
    fields = msgspec.json.decode(notice.payload)
    fields = fields if isinstance(fields, dict) else {}
    connector = int(fields.get("connectorId") or 0)
    error = fields.get("errorCode")
    return ConnectorView(
        evse_id=int(fields.get("evseId", connector) or 0),
        connector_id=connector,
        status=str(fields.get("connectorStatus") or fields.get("status") or "?"),
        at=notice.at,
        error=None if error in (None, "NoError") else str(error),
    )


def _notice(notice: Notice) -> NoticeView:
    return NoticeView(
        action=notice.action, subject=notice.subject, at=notice.at, payload=msgspec.Raw(notice.payload.encode())
    )
