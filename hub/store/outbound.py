"""What is to be pushed: for each change of an object of ours and each partner that it is for, one attempt.

Rules
1. A push is noted in the transaction that changed the object. It is tried once; whatever came of it, the partner gets
   the object by its next GET. Nothing is queued for a partner that is offline (OCPI transport_and_format).
2. Pushes of an object to a partner are tried in the order in which they were noted. One that a newer whole object
   overtook before it was tried is left out.
3. A push is claimed before it is tried, so that of several processes one tries it, and none twice whatever is killed.
   A partner's next pushes are claimed when its last ones are settled, or their claim is older than `CLAIM_LASTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.store.engine import Connection
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.types import Module

OVERTAKEN, TRYING, INTERRUPTED = "overtaken", "trying", "interrupted"
CLAIM_LASTS = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Push:
    """A push that waits. `document` is what is sent: the object as it is now, or the fields of a PATCH."""

    number: int
    object_number: int
    partner: str
    module: Module
    method: str
    document: Document
    correlation_id: str


def note_push(
    connection: Connection,
    object_number: int,
    partners: Sequence[str],
    method: str,
    correlation_id: str,
    at: datetime,
    patch: Document | None = None,
) -> None:
    """Note that the object is to be sent to these partners; `patch` are the fields of a PATCH, needed only where the
    whole does not wait to be sent."""
    noted = _text(at)
    body = None if patch is None else encode_document(patch).decode()
    for partner in partners:
        if patch is not None and _whole_waits(connection, object_number, partner):
            continue
        if patch is None:
            connection.execute(
                "UPDATE ocpi_pushes SET tried_at = ?, outcome = ?"
                " WHERE object = ? AND partner = ? AND tried_at IS NULL",
                (noted, OVERTAKEN, object_number, partner),
            )
        connection.execute(
            "INSERT INTO ocpi_pushes (object, partner, method, body, correlation_id, noted_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (object_number, partner, method, body, correlation_id, noted),
        )


def _whole_waits(connection: Connection, object_number: int, partner: str) -> bool:
    """Whether the whole object is to be sent anyway, as it is by then."""
    row = connection.execute(
        "SELECT 1 FROM ocpi_pushes WHERE object = ? AND partner = ? AND tried_at IS NULL AND body IS NULL",
        (object_number, partner),
    ).fetchone()
    return row is not None


def is_any_waiting(connection: Connection, at: datetime) -> bool:
    """Whether there is a push to claim."""
    return bool(_claimable(connection, at, 1))


def claim_pushes(connection: Connection, at: datetime, limit: int) -> tuple[Push, ...]:
    """The pushes that are to be tried now by whoever called, oldest first. Rule 3."""
    rows = _claimable(connection, at, limit)
    for row in rows:
        settle_push(connection, row[0], TRYING, at)
    return tuple(
        Push(row[0], row[1], row[2], Module(row[3]), row[4], parse_document(row[5], "stored object"), row[6])
        for row in rows
    )


def _claimable(connection: Connection, at: datetime, limit: int) -> list[Any]:
    return connection.execute(
        "SELECT p.number, p.object, p.partner, o.module, p.method, coalesce(p.body, o.document), p.correlation_id"
        " FROM ocpi_pushes p JOIN ocpi_objects o ON o.number = p.object WHERE p.tried_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM ocpi_pushes t WHERE t.partner = p.partner AND t.outcome = ? AND t.tried_at >= ?)"
        " ORDER BY p.number LIMIT ?",
        (TRYING, _text(at - CLAIM_LASTS), limit),
    ).fetchall()


def settle_push(connection: Connection, number: int, outcome: str, at: datetime) -> None:
    """Note what came of the attempt: `done`, or why not, in a word."""
    connection.execute(
        "UPDATE ocpi_pushes SET tried_at = ?, outcome = ? WHERE number = ?", (_text(at), outcome, number)
    )


def unclaim_push(connection: Connection, number: int) -> None:
    """Give back a push that was claimed and not tried."""
    connection.execute("UPDATE ocpi_pushes SET tried_at = NULL, outcome = NULL WHERE number = ?", (number,))


def end_claims(connection: Connection) -> int:
    """Settle what was being tried when the only process ended: nobody knows how far it came, so the partner pulls."""
    return connection.execute("UPDATE ocpi_pushes SET outcome = ? WHERE outcome = ?", (INTERRUPTED, TRYING)).rowcount


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
