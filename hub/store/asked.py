"""What eMSPs answered when our chargers wanted to know in real time: it tells the owner of a session's token, and is
found by the correlation id of the decision.

Rules
1. The answered token is kept beside the list, never on it: it may be asked about again, and decides nothing here.
2. An answer is let go when its driver is forgotten, or `KEPT` is over: the session that it began has its token by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.store.engine import Connection
from hub.store.readings import Cut, Page, page_of
from wire.commands import CommandOrder, ReserveNow, StartSession
from wire.records import AllowedType, Token, TokenRef, TokenType, Value, decode, encode
from wire.tokens import compare_key, meant_by

KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedToken:
    """A question and what came of it. `partner` is who answered, "" for nobody; `outcome` an AllowedType, or why there
    was none; `token` is the one that was answered for."""

    at: datetime
    gateway_id: str
    charger_id: str
    presented: TokenRef
    partner: str
    outcome: str
    correlation_id: str
    token: Token | None = None
    reference: str | None = None


def note_asked(connection: Connection, asked: AskedToken) -> None:
    """Keep an answer, and let old ones go."""
    connection.execute("DELETE FROM ocpi_asked WHERE at < ?", (_text(asked.at - KEPT),))
    connection.execute(
        "INSERT INTO ocpi_asked (at, gateway_id, charger_key, token_key, partner, outcome, token, reference,"
        " correlation_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            _text(asked.at),
            asked.gateway_id,
            asked.charger_id.casefold(),
            _key(asked.presented.type, asked.presented.uid),
            asked.partner,
            asked.outcome,
            None if asked.token is None else encode(asked.token).decode(),
            asked.reference,
            asked.correlation_id,
        ),
    )


def answered_token(connection: Connection, presented: TokenRef) -> Token | None:
    """The token that an eMSP let in last: it appears in session and CDR without being on the list. Rule 1."""
    for type_, key in meant_by(presented):
        row = connection.execute(
            "SELECT token FROM ocpi_asked WHERE token_key = ? AND outcome = ? AND token IS NOT NULL"
            " ORDER BY number DESC LIMIT 1",
            (f"{type_.value} {key}", AllowedType.ALLOWED.value),
        ).fetchone()
        if row is not None:
            return decode(Token, row[0], "stored token")
    return None


def commanded_here(
    connection: Connection, gateway_id: str, charger_id: str, presented: TokenRef, since: datetime
) -> StartSession | ReserveNow | None:
    """The newest command of a partner for this token at this charger since an instant."""
    for type_, key in meant_by(presented):
        rows = connection.execute(
            "SELECT c.body FROM commands c JOIN ocpi_orders o ON o.command_id = c.command_id"
            " WHERE c.token_type = ? AND c.token_key = ? AND c.gateway_id = ? AND c.created_at >= ?"
            " ORDER BY c.number DESC LIMIT 20",
            (type_.value, key, gateway_id, _text(since)),
        ).fetchall()
        for (body,) in rows:
            command = decode(CommandOrder, body, "stored order").command
            if not isinstance(command, StartSession | ReserveNow):
                continue
            if command.charger_id.casefold() == charger_id.casefold():
                return command
    return None


class AskedEntry(Value, frozen=True, kw_only=True):
    """A question as operators see it. `outcome` is an AllowedType, `unknown` or `silent`."""

    number: int
    at: datetime
    gateway_id: str
    charger_id: str
    token: str
    partner: str
    outcome: str
    correlation_id: str
    authorization_reference: str | None = None


def asked_page(connection: Connection, cut: Cut) -> Page:
    """The questions, oldest first."""
    rows = connection.execute(
        "SELECT number, at, gateway_id, charger_key, token_key, partner, outcome, correlation_id, reference"
        " FROM ocpi_asked WHERE number > ? ORDER BY number LIMIT ?",
        (cut.after, cut.limit + 1),
    ).fetchall()
    return page_of([(row[0], encode(_entry(row)).decode()) for row in rows], cut)


def _entry(row: Sequence[Any]) -> AskedEntry:
    return AskedEntry(
        number=row[0],
        at=datetime.fromisoformat(row[1]),
        gateway_id=row[2],
        charger_id=row[3],
        token=row[4],
        partner=row[5],
        outcome=row[6],
        correlation_id=row[7],
        authorization_reference=row[8],
    )


def forget_answers(connection: Connection, is_named: Callable[[str], bool]) -> None:
    """Let go of the answers about a driver's tokens."""
    rows = connection.execute("SELECT number, token_key, token FROM ocpi_asked").fetchall()
    for number, key, text in rows:
        named = [key.partition(" ")[2]]
        if text is not None:
            token = decode(Token, text, "stored token")
            named += [token.uid, token.contract_id]
        if any(map(is_named, named)):
            connection.execute("DELETE FROM ocpi_asked WHERE number = ?", (number,))


def _key(type_: TokenType, uid: str) -> str:
    return f"{type_.value} {compare_key(type_, uid)}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
