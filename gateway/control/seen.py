"""The values in which an operator sees a station, on the control socket."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.chargers.abilities import StationAlone
from gateway.uplink.token_list import ListProgress


class ListView(msgspec.Struct, frozen=True, kw_only=True):
    """The whitelist: its version, when the hub last said that it is the newest, how far the snapshot is that is being
    fetched, and how often something of the hub's list was refused since the start, by code."""

    version: int
    tokens: int
    confirmed_at: datetime | None
    progress: ListProgress | None
    refused: dict[str, int]


class ClockView(msgspec.Struct, frozen=True, kw_only=True):
    """The time, what it is worth, by how many seconds it may be wrong and by whom it is known, as far as that is known;
    and whether the system's clock shows the same."""

    at: datetime
    state: str
    bound_s: float | None
    known_by: str | None
    system_clock_right: bool


class RoomView(msgspec.Struct, frozen=True, kw_only=True):
    """The room for evidence: the level in force, octets of budget, used, and free on the disk; of the write-ahead log;
    and what this process has written since it started. `ballast`: whether it is there, or none is wanted."""

    level: str
    budget: int
    used: int
    free: int
    log_octets: int
    written: int | None
    ballast: bool


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """How the running gateway is. `broken`: why nothing can be stored; `uplink_trouble`: what keeps the hub away, by
    code; each None while all is well."""

    online: bool
    uplink_trouble: str | None
    broken: str | None
    clock: ClockView
    room: RoomView
    whitelist: ListView


class GatewayView(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway itself: since when it runs, how many stations are connected, and how it is; None: not known."""

    since: datetime
    connected: int
    vitals: Vitals | None


class ConnectorView(msgspec.Struct, frozen=True, kw_only=True):
    """A connector's state as the station told it last. In 1.6 EVSE and connector are one number; 0 is the station."""

    evse_id: int
    connector_id: int
    status: str
    at: datetime
    error: str | None = None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session that runs."""

    session_id: str
    transaction_id: str
    evse_id: int
    started_at: str


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest notice of its kind, as the station sent it."""

    action: str
    subject: str
    at: datetime
    payload: msgspec.Raw


class QuirkView(msgspec.Struct, frozen=True, kw_only=True):
    """How often it did what is beyond its schema and was accepted (docs/quirks.md)."""

    quirk: str
    count: int
    example: str


class ChargerView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One station. `pending`: it never booted here. `disconnected_since`: as long as the gateway runs that saw it go.
    `security_profile`: on which it came last. `alone`, `quirks`, `notices` only when one station is asked for."""

    charger_id: str
    connected: bool
    pending: bool = False
    ocpp: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware: str | None = None
    booted_at: str | None = None
    connected_since: datetime | None = None
    disconnected_since: datetime | None = None
    last_heard: datetime | None = None
    security_profile: int | None = None
    sessions: tuple[SessionView, ...] = ()
    connectors: tuple[ConnectorView, ...] = ()
    alone: StationAlone | None = None
    quirks: tuple[QuirkView, ...] = ()
    notices: tuple[NoticeView, ...] = ()
