"""Commands that partners gave: where their result is to be posted, and which reservation is at which station."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.store.engine import Connection
from wire.ocpi.commands import CommandType
from wire.ocpi.routing import Routing
from wire.ocpi.types import PartyKey
from wire.records import Session, decode

_COLUMNS = (
    "command_id, partner, command, response_url, sender, receiver, gateway_id, charger_id, reservation, correlation_id,"
    " taken_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOrder:
    """A command of a partner that was handed to a gateway. `routing` is that of the partner's request; `reservation`
    names the one that is made or given up, as `hub.roaming.ordering` does."""

    command_id: str
    partner: str
    command: CommandType
    response_url: str
    routing: Routing
    gateway_id: str
    charger_id: str
    reservation: str | None
    correlation_id: str
    taken_at: datetime


def note_order(connection: Connection, order: TakenOrder) -> None:
    """Keep a command that was taken on."""
    connection.execute(
        f"INSERT INTO ocpi_orders ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order.command_id,
            order.partner,
            order.command.value,
            order.response_url,
            _named(order.routing.from_),
            _named(order.routing.to),
            order.gateway_id,
            order.charger_id,
            order.reservation,
            order.correlation_id,
            _text(order.taken_at),
        ),
    )


def reservation_order(connection: Connection, reservation: str) -> TakenOrder | None:
    """The newest command that made this reservation."""
    found = _found(
        connection,
        "WHERE reservation = ? AND command = ? ORDER BY taken_at DESC LIMIT 1",
        (reservation, CommandType.RESERVE_NOW.value),
    )
    return found[0] if found else None


def untold_orders(connection: Connection) -> tuple[TakenOrder, ...]:
    """The commands whose result was not posted yet, oldest first."""
    return _found(connection, "WHERE told_at IS NULL ORDER BY taken_at", ())


def note_told(connection: Connection, command_id: str, outcome: str, at: datetime) -> None:
    """Note that the result was posted, or could not be: one attempt is all."""
    connection.execute(
        "UPDATE ocpi_orders SET told_at = ?, outcome = ? WHERE command_id = ?", (_text(at), outcome, command_id)
    )


def running_at(connection: Connection, gateway_id: str, charger_id: str) -> tuple[Session, ...]:
    """The sessions that run at a charger."""
    rows = connection.execute(
        "SELECT session FROM sessions WHERE gateway_id = ? AND charger_key = ? AND status = 'ACTIVE' ORDER BY number",
        (gateway_id, charger_id.casefold()),
    ).fetchall()
    return tuple(decode(Session, text, "stored session") for (text,) in rows)


def _found(connection: Connection, where: str, values: Sequence[str]) -> tuple[TakenOrder, ...]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM ocpi_orders {where}", tuple(values)).fetchall()
    return tuple(_order(row) for row in rows)


def _order(row: Any) -> TakenOrder:
    return TakenOrder(
        command_id=row[0],
        partner=row[1],
        command=CommandType(row[2]),
        response_url=row[3],
        routing=Routing(to=_party(row[5]), from_=_party(row[4])),
        gateway_id=row[6],
        charger_id=row[7],
        reservation=row[8],
        correlation_id=row[9],
        taken_at=datetime.fromisoformat(row[10]),
    )


def _named(party: PartyKey | None) -> str | None:
    return None if party is None else str(party)


def _party(text: str | None) -> PartyKey | None:
    return None if text is None else PartyKey.of(*text.split("*"))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
