"""What is to be pushed: for each change of an object of ours and each partner that it is for, one attempt.

Rules
1. A push is noted in the transaction that changed the object. It is tried once; whatever came of it, the partner gets
   the object by its next GET. Nothing is queued for a partner that is offline (OCPI transport_and_format).
2. Pushes of an object to a partner are tried in the order in which they were noted. One that a newer whole object
   overtook before it was tried is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.store.engine import Connection
from wire.ocpi.document import Document, encode_document, parse_document
from wire.ocpi.types import Module

OVERTAKEN = "overtaken"


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
    """Note that the object is to be sent to these partners; `patch` are the fields of a PATCH."""
    noted = at.astimezone(UTC).isoformat(timespec="microseconds")
    body = None if patch is None else encode_document(patch).decode()
    for partner in partners:
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


def waiting_pushes(connection: Connection, limit: int) -> tuple[Push, ...]:
    """The pushes that were not tried yet, oldest first."""
    rows = connection.execute(
        "SELECT p.number, p.object, p.partner, o.module, p.method, coalesce(p.body, o.document), p.correlation_id"
        " FROM ocpi_pushes p JOIN ocpi_objects o ON o.number = p.object WHERE p.tried_at IS NULL"
        " ORDER BY p.number LIMIT ?",
        (limit,),
    ).fetchall()
    return tuple(
        Push(row[0], row[1], row[2], Module(row[3]), row[4], parse_document(row[5], "stored object"), row[6])
        for row in rows
    )


def settle_push(connection: Connection, number: int, outcome: str, at: datetime) -> None:
    """Note what came of the attempt: `done`, or why not, in a word."""
    tried = at.astimezone(UTC).isoformat(timespec="microseconds")
    connection.execute("UPDATE ocpi_pushes SET tried_at = ?, outcome = ? WHERE number = ?", (tried, outcome, number))
