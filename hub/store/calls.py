"""Commands that our eMSP parties gave to others: what was asked, what was answered at once, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hub.store.engine import Connection
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.types import PartyKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command or profile that was sent. `uid` is the last part of its response_url; `command` is a CommandType, or
    the method of a charging profile. `response` and `result` are None until they come."""

    uid: str
    partner: str
    command: str
    sender: PartyKey
    receiver: PartyKey
    request: Document
    sent_at: datetime
    correlation_id: str
    response: Document | None = None
    result: Document | None = None
    result_at: datetime | None = None


def note_call(connection: Connection, call: Call) -> None:
    """Keep what is going to be sent."""
    connection.execute(
        "INSERT INTO ocpi_calls (uid, partner, command, sender, receiver, request, sent_at, correlation_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            call.uid,
            call.partner,
            call.command,
            str(call.sender),
            str(call.receiver),
            _json(call.request),
            _text(call.sent_at),
            call.correlation_id,
        ),
    )


def note_response(connection: Connection, uid: str, response: Document) -> None:
    """Keep what was answered at once."""
    connection.execute("UPDATE ocpi_calls SET response = ? WHERE uid = ?", (_json(response), uid))


def note_result(connection: Connection, uid: str, partner: str, result: Document, at: datetime) -> bool:
    """Whether a partner was asked under this uid; its first result is kept."""
    connection.execute(
        "UPDATE ocpi_calls SET result = ?, result_at = ? WHERE uid = ? AND partner = ? AND result IS NULL",
        (_json(result), _text(at), uid, partner),
    )
    row = connection.execute("SELECT 1 FROM ocpi_calls WHERE uid = ? AND partner = ?", (uid, partner)).fetchone()
    return row is not None


def call_of(connection: Connection, uid: str) -> Call | None:
    """What was sent under this uid."""
    row = connection.execute(
        "SELECT uid, partner, command, sender, receiver, request, sent_at, correlation_id, response, result, result_at"
        " FROM ocpi_calls WHERE uid = ?",
        (uid,),
    ).fetchone()
    if row is None:
        return None
    return Call(
        uid=row[0],
        partner=row[1],
        command=row[2],
        sender=PartyKey.of(*row[3].split("*")),
        receiver=PartyKey.of(*row[4].split("*")),
        request=parse_document(row[5], "stored call"),
        sent_at=datetime.fromisoformat(row[6]),
        correlation_id=row[7],
        response=None if row[8] is None else parse_document(row[8], "stored call"),
        result=None if row[9] is None else parse_document(row[9], "stored call"),
        result_at=None if row[10] is None else datetime.fromisoformat(row[10]),
    )


def _json(document: Document) -> str:
    return encode_document(document).decode()


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
