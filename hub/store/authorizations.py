"""What was answered to real-time authorizations for tokens of our eMSP parties, by its authorization_reference."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.store.engine import Connection
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.tokens import LocationReferences, Token
from wire.ocpi.types import PartyKey
from wire.records import AllowedType


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """An answer. `reference` is None when it was no; `cpo` who asked, None where the partner has several parties and
    named none."""

    reference: str | None
    at: datetime
    partner: str
    cpo: PartyKey | None
    token: Token
    allowed: AllowedType
    location: LocationReferences | None
    correlation_id: str


def note_authorization(connection: Connection, answered: Authorization) -> None:
    """Keep an answer."""
    connection.execute(
        "INSERT INTO ocpi_authorizations (reference, at, partner, cpo, token, allowed, location, correlation_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            answered.reference,
            answered.at.astimezone(UTC).isoformat(timespec="microseconds"),
            answered.partner,
            None if answered.cpo is None else str(answered.cpo),
            encode_document(answered.token).decode(),
            answered.allowed.value,
            None if answered.location is None else encode_document(answered.location).decode(),
            answered.correlation_id,
        ),
    )


def authorization_of(connection: Connection, reference: str) -> Authorization | None:
    """The answer with this reference."""
    row = connection.execute(
        "SELECT reference, at, partner, cpo, token, allowed, location, correlation_id FROM ocpi_authorizations"
        " WHERE reference = ?",
        (reference,),
    ).fetchone()
    if row is None:
        return None
    return Authorization(
        reference=row[0],
        at=datetime.fromisoformat(row[1]),
        partner=row[2],
        cpo=None if row[3] is None else PartyKey.of(*row[3].split("*")),
        token=_read(row[4], Token),
        allowed=AllowedType(row[5]),
        location=None if row[6] is None else _read(row[6], LocationReferences),
        correlation_id=row[7],
    )


def _read(text: str, type_: type[Any]) -> Any:
    return view(parse_document(text, "stored authorization"), type_, "stored authorization")
