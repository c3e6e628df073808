"""The registry of gateways: when each was heard last, what it has that the hub has not, what it says of itself, and
what somebody has to look at.

Rules
1. A gateway is what its newest epoch is: the one that spoke last. One that may connect and never did is there as well.
2. What a gateway says of itself comes with its greeting; the end of its certificate is read from the one it showed.
3. Alarms are made when they are asked for, of one moment, by the limits below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from hub.store.chains import Chain
from hub.store.engine import Connection
from wire.records import ClockState, Value

SILENT_AFTER = timedelta(minutes=10)
"""A gateway that is well keeps a poll for commands, of half a minute at most."""
CERTIFICATE_LEFT = timedelta(days=14)
LEAST_BACKLOG = 100
"""Records; less than that comes and goes with every session."""


class Alarm(StrEnum):
    """What somebody has to look at."""

    NEVER_SEEN = "never-seen"
    SILENT = "silent"
    CERTIFICATE_ENDS = "certificate-ends"
    BACKLOG_GROWS = "backlog-grows"
    CLOCK_UNKNOWN = "clock-unknown"
    CONFLICT = "conflict"


class RegisteredGateway(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A gateway at one moment. `backlog` counts records that it has and the hub has not, by its last greeting. `clock`
    is how far it trusted its clock when it wrote its newest record here."""

    gateway_id: str
    alarms: tuple[Alarm, ...]
    epoch: str | None = None
    epochs: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    acked_seq: int = 0
    backlog: int = 0
    software: str | None = None
    list_version: int | None = None
    certificate_not_after: datetime | None = None
    clock: ClockState | None = None
    conflicts: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a gateway says of itself with a greeting, and when the certificate that it showed ends."""

    head_seq: int
    software: str | None
    list_version: int | None
    certificate_not_after: datetime | None


def note_report(connection: Connection, chain: Chain, report: Report, at: datetime) -> None:
    """Keep what a gateway that greets says of itself."""
    row = connection.execute(
        "SELECT acked_seq FROM gateways WHERE gateway_id = ? AND epoch = ?", (chain.gateway_id, chain.epoch)
    ).fetchone()
    backlog = report.head_seq if row is None else report.head_seq - row[0]
    ends = report.certificate_not_after
    connection.execute(
        "INSERT INTO gateway_reports VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (gateway_id) DO UPDATE SET"
        " epoch = excluded.epoch, at = excluded.at, software = excluded.software,"
        " list_version = excluded.list_version, certificate_not_after = excluded.certificate_not_after,"
        " backlog = excluded.backlog, backlog_before = gateway_reports.backlog",
        (
            chain.gateway_id,
            chain.epoch,
            _text(at),
            report.software,
            report.list_version,
            None if ends is None else _text(ends),
            backlog if backlog > 0 else 0,
        ),
    )


def registry(connection: Connection, admitted: Collection[str], at: datetime) -> tuple[RegisteredGateway, ...]:
    """Every gateway that is admitted or has a chain here, by name."""
    newest: dict[str, Any] = {}
    for row in connection.execute(f"{_SELECT} ORDER BY g.last_seen, g.epoch").fetchall():
        newest[row[0]] = row
    known = {gateway_id: _gateway(row, at) for gateway_id, row in newest.items()}
    names = sorted({*known, *admitted})
    return tuple(known.get(name) or RegisteredGateway(gateway_id=name, alarms=(Alarm.NEVER_SEEN,)) for name in names)


_SELECT = (
    "SELECT g.gateway_id, g.epoch, g.last_seen, g.acked_seq, g.told_seq, r.software, r.list_version,"
    " r.certificate_not_after, r.backlog, r.backlog_before,"
    " (SELECT clock FROM records e WHERE e.gateway_id = g.gateway_id AND e.epoch = g.epoch AND e.seq = g.acked_seq),"
    " (SELECT count(*) FROM gateways o WHERE o.gateway_id = g.gateway_id),"
    " (SELECT min(first_seen) FROM gateways o WHERE o.gateway_id = g.gateway_id),"
    " (SELECT count(*) FROM conflicts c WHERE c.gateway_id = g.gateway_id),"
    " (SELECT count(*) FROM quarantine q WHERE q.gateway_id = g.gateway_id)"
    " FROM gateways g LEFT JOIN gateway_reports r ON r.gateway_id = g.gateway_id"
)


def _gateway(row: Any, at: datetime) -> RegisteredGateway:
    behind = max(0, row[4] - row[3])
    made = RegisteredGateway(
        gateway_id=row[0],
        alarms=(),
        epoch=row[1],
        last_seen=datetime.fromisoformat(row[2]),
        acked_seq=row[3],
        backlog=behind,
        software=row[5],
        list_version=row[6],
        certificate_not_after=None if row[7] is None else datetime.fromisoformat(row[7]),
        clock=None if row[10] is None else ClockState(row[10]),
        epochs=row[11],
        first_seen=datetime.fromisoformat(row[12]),
        conflicts=row[13],
        quarantined=row[14],
    )
    grows = behind >= LEAST_BACKLOG and row[8] is not None and row[8] > row[9]
    return replace(made, alarms=tuple(_alarms(made, grows, at)))


def _alarms(gateway: RegisteredGateway, backlog_grows: bool, at: datetime) -> Iterator[Alarm]:
    if gateway.last_seen is not None and at - gateway.last_seen > SILENT_AFTER:
        yield Alarm.SILENT
    if gateway.certificate_not_after is not None and gateway.certificate_not_after - at < CERTIFICATE_LEFT:
        yield Alarm.CERTIFICATE_ENDS
    if backlog_grows:
        yield Alarm.BACKLOG_GROWS
    if gateway.clock is ClockState.UNKNOWN:
        yield Alarm.CLOCK_UNKNOWN
    if gateway.conflicts:
        yield Alarm.CONFLICT


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
