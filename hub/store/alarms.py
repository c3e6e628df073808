"""What partners did that somebody has to look at: another CDR under an id that is held, a session that changed after
its end. What was offered stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hub.store.engine import Connection
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.types import Module, PartyKey

MAX_ALARMS = 10_000
"""Of one partner; what comes beyond is counted by the log only."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm: `code` is kebab-case, `document` what was offered."""

    partner: str
    module: Module
    party: PartyKey
    object_id: str
    code: str
    message: str
    correlation_id: str
    document: Document | None = None


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """An alarm with its number and when it came."""

    number: int
    at: datetime
    alarm: Alarm


def note_alarm(connection: Connection, alarm: Alarm, at: datetime) -> None:
    """Keep an alarm."""
    held = connection.execute("SELECT count(*) FROM ocpi_alarms WHERE partner = ?", (alarm.partner,)).fetchone()[0]
    if held >= MAX_ALARMS:
        return
    connection.execute(
        "INSERT INTO ocpi_alarms (at, partner, module, party, object_id, code, message, document, correlation_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            at.astimezone(UTC).isoformat(timespec="microseconds"),
            alarm.partner,
            alarm.module.value,
            str(alarm.party),
            alarm.object_id,
            alarm.code,
            alarm.message,
            None if alarm.document is None else encode_document(alarm.document).decode(),
            alarm.correlation_id,
        ),
    )


def alarms(connection: Connection, after: int, limit: int) -> tuple[KeptAlarm, ...]:
    """The alarms beyond number `after`, oldest first."""
    rows = connection.execute(
        "SELECT number, at, partner, module, party, object_id, code, message, correlation_id, document"
        " FROM ocpi_alarms WHERE number > ? ORDER BY number LIMIT ?",
        (after, limit),
    ).fetchall()
    return tuple(
        KeptAlarm(
            row[0],
            datetime.fromisoformat(row[1]),
            Alarm(
                row[2],
                Module(row[3]),
                PartyKey.of(*row[4].split("*")),
                row[5],
                row[6],
                row[7],
                row[8] or "",
                None if row[9] is None else parse_document(row[9], "stored object"),
            ),
        )
        for row in rows
    )
