"""Commands in the ledger's database: written down before anything is asked of a station, so that each is done once.

waiting --begin--> begun --answer--> answered --outcome--> done
   |                                   (StartSession alone)  ^
   +---- refused before it was begun, or too old ------------+

Rules
1. A command is known by its id from the moment it is received. Of the station it is asked at most once: `begin` is
   committed first, and a gateway that finds a command begun without a report after a restart asks no second time.
2. A report is durable before it is told to anybody, and the first one of its number stays.
3. What the hub orders under an id that another command has, or what cannot be read, is no command here: its report is
   kept apart until it is told (`command_refusals`).
4. The number of a command's row is given to stations (remoteStartId, requestId, reservation id): positive, below 2^31,
   never twice. A fresh store starts at a figure made from the time, like the numbers of sessions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

import msgspec

from wire.commands import CommandOrder, CommandReport, QueuedOrder, ReserveNow, ResultCode, UnreadOrder
from wire.errors import WireError
from wire.records import Decision, decode, encode

TABLES = """
    CREATE TABLE commands (
        number INTEGER PRIMARY KEY AUTOINCREMENT, command_id TEXT NOT NULL UNIQUE, from_hub INTEGER NOT NULL,
        charger_id TEXT NOT NULL COLLATE NOCASE, body TEXT NOT NULL, state TEXT NOT NULL, received_at TEXT NOT NULL,
        begun_at TEXT, reservation_id TEXT, reservation_number INTEGER, decision TEXT, start_until TEXT,
        session_id TEXT, transaction_id TEXT);
    CREATE INDEX commands_open ON commands (state) WHERE state <> 'done';
    CREATE INDEX commands_by_reservation ON commands (charger_id, reservation_id) WHERE reservation_id IS NOT NULL;
    CREATE INDEX commands_by_age ON commands (received_at);
    CREATE INDEX commands_granting ON commands (start_until) WHERE decision IS NOT NULL;
    CREATE TABLE command_reports (
        command_id TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL, told INTEGER NOT NULL,
        PRIMARY KEY (command_id, number)) WITHOUT ROWID;
    CREATE INDEX command_reports_untold ON command_reports (told) WHERE told = 0;
    CREATE TABLE command_refusals (command_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    INSERT INTO sqlite_sequence (name, seq)
        SELECT 'commands', min(max((strftime('%s', 'now') - 1577836800) / 60, 0) * 100, 1073741824);
"""
KEPT = timedelta(days=30)
"""How long a command that is done is remembered, and would be recognised."""
_PURGED_AT_ONCE = 100
_CURSOR = "commands-cursor"
STUMBLES = (
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    WireError,
    msgspec.MsgspecError,
    sqlite3.Error,
)
"""What may be raised over a command's own data, here or on the way to a station: it ends that command alone."""


class Stage(StrEnum):
    """How far a command has come."""

    WAITING = "waiting"
    BEGUN = "begun"
    ANSWERED = "answered"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Kept:
    """A command as it is kept. `grant` and `start_until` are set once a StartSession has begun."""

    number: int
    order: CommandOrder
    from_hub: bool
    stage: Stage
    begun_at: datetime | None = None
    reservation_number: int | None = None
    grant: Decision | None = None
    start_until: datetime | None = None
    session_id: str | None = None
    transaction_id: str | None = None


_COLUMNS = (
    "number, body, from_hub, state, begun_at, reservation_number, decision, start_until, session_id, transaction_id"
)


def receive(connection: sqlite3.Connection, orders: Sequence[CommandOrder], at: datetime) -> list[Kept]:
    """Write down orders of this box that are new, and what is kept of each, in their order.

    Raises:
        ValueError: an order has the id of another one; nothing is written.
    """
    _purge(connection, at)
    found = [_take_in(connection, order, at, from_hub=False) for order in orders]
    for order, kept in zip(orders, found, strict=True):
        if not _is_same(kept, order):
            raise ValueError(f"command_id {order.command_id!r} was given to another command already")
    return found


def receive_queued(
    connection: sqlite3.Connection, queued: Sequence[QueuedOrder | UnreadOrder], at: datetime
) -> list[Kept]:
    """Write down the hub's orders that are new, and how far its queue is taken in with them; what is kept of those that
    may be executed. The others have their report, which waits to be told."""
    _purge(connection, at)
    taken: list[Kept] = []
    for one in queued:
        if isinstance(one, UnreadOrder):
            if one.command_id is not None:
                _refuse(connection, one.command_id, at, one.reason)
            continue
        kept = _take_in(connection, one.order, at, from_hub=True)
        if not _is_same(kept, one.order):
            _refuse(connection, one.order.command_id, at, "its command_id was given to another command at this gateway")
            continue
        if not kept.from_hub:  # The same command was given here; the hub hears what came of it as well.
            for change in (
                "UPDATE commands SET from_hub = 1 WHERE command_id = ?",
                "UPDATE command_reports SET told = 0 WHERE command_id = ?",
            ):
                connection.execute(change, (one.order.command_id,))
        taken.append(kept)
    cursor = max((one.number for one in queued), default=0)
    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (_CURSOR, str(cursor)))
    return taken


def _take_in(connection: sqlite3.Connection, order: CommandOrder, at: datetime, *, from_hub: bool) -> Kept:
    command = order.command
    connection.execute(
        "INSERT INTO commands (command_id, from_hub, charger_id, body, state, received_at, reservation_id)"
        " VALUES (?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT DO NOTHING",
        (
            order.command_id,
            from_hub,
            command.charger_id,
            encode(order).decode(),
            at.isoformat(),
            command.reservation_id if isinstance(command, ReserveNow) else None,
        ),
    )
    kept = find(connection, order.command_id)
    if kept is None:
        raise LookupError("a command that was just stored is not there")
    return kept


def _is_same(kept: Kept, order: CommandOrder) -> bool:
    return kept.order.command == order.command or encode(kept.order.command) == encode(order.command)


def _refuse(connection: sqlite3.Connection, command_id: str, at: datetime, reason: str) -> None:
    """Keep the report of an order that is no command here."""
    report = CommandReport(command_id=command_id, number=1, at=at, result=ResultCode.MALFORMED, message=reason[:1000])
    body = encode(report).decode()
    connection.execute("INSERT INTO command_refusals VALUES (?, ?) ON CONFLICT DO NOTHING", (command_id, body))


def _purge(connection: sqlite3.Connection, at: datetime) -> None:
    """Forget some of the oldest that are done and told."""
    old = [
        row[0]
        for row in connection.execute(
            "SELECT command_id FROM commands WHERE received_at < ? AND state = 'done' AND NOT EXISTS (SELECT 1 FROM"
            " command_reports r WHERE r.command_id = commands.command_id AND told = 0) ORDER BY received_at LIMIT ?",
            ((at - KEPT).isoformat(), _PURGED_AT_ONCE),
        )
    ]
    for table in ("command_reports", "commands"):
        connection.executemany(f"DELETE FROM {table} WHERE command_id = ?", [(name,) for name in old])


def cursor_of(connection: sqlite3.Connection) -> int:
    """How far the hub's queue is taken in."""
    row = connection.execute("SELECT text FROM notes WHERE name = ?", (_CURSOR,)).fetchone()
    return 0 if row is None else int(row[0])


def find(connection: sqlite3.Connection, command_id: str) -> Kept | None:
    """What is kept of a command."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE command_id = ?", (command_id,)).fetchone()
    return None if row is None else _kept(row)


def unfinished(connection: sqlite3.Connection) -> list[Kept]:
    """The commands that are not done, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE state <> 'done' ORDER BY number")
    return [_kept(row) for row in rows.fetchall()]


def granting(connection: sqlite3.Connection, since: datetime) -> list[Kept]:
    """The commands that let a session start and whose time was not over then, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE decision IS NOT NULL AND start_until >= ? ORDER BY number",
        (since.isoformat(),),
    )
    return [_kept(row) for row in rows.fetchall()]


def granted_by(connection: sqlite3.Connection, charger_id: str, number: int) -> Kept | None:
    """The StartSession for this station with this remoteStartId, however long ago it was."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE number = ? AND charger_id = ? AND decision IS NOT NULL"
        " AND reservation_id IS NULL",
        (number, charger_id),
    ).fetchone()
    return None if row is None else _kept(row)


def _kept(row: tuple[object, ...]) -> Kept:
    number, body, from_hub, state, begun_at, reserved, decision, until, session_id, transaction_id = row
    return Kept(
        number=int(str(number)),
        order=decode(CommandOrder, str(body), "stored command"),
        from_hub=bool(from_hub),
        stage=Stage(str(state)),
        begun_at=None if begun_at is None else datetime.fromisoformat(str(begun_at)),
        reservation_number=None if reserved is None else int(str(reserved)),
        grant=None if decision is None else decode(Decision, str(decision), "stored grant"),
        start_until=None if until is None else datetime.fromisoformat(str(until)),
        session_id=None if session_id is None else str(session_id),
        transaction_id=None if transaction_id is None else str(transaction_id),
    )


def reservation_number(connection: sqlite3.Connection, charger_id: str, reservation_id: str) -> int | None:
    """The number under which a station knows a reservation that was asked for, None when none was."""
    row = connection.execute(
        "SELECT coalesce(reservation_number, number) FROM commands WHERE charger_id = ? AND reservation_id = ?"
        " AND begun_at IS NOT NULL ORDER BY number DESC LIMIT 1",
        (charger_id, reservation_id),
    ).fetchone()
    return None if row is None else int(row[0])


def begin(
    connection: sqlite3.Connection,
    kept: Kept,
    at: datetime,
    *,
    reserved: int | None = None,
    grant: Decision | None = None,
    start_until: datetime | None = None,
) -> bool:
    """Note that the station is about to be asked, with the decision that is made by it; False when it was begun before.

    Who calls this enters it into the chain of evidence in the same transaction.
    """
    begun = connection.execute(
        "UPDATE commands SET state = 'begun', begun_at = ?, reservation_number = ?, decision = ?, start_until = ?"
        " WHERE command_id = ? AND state = 'waiting'",
        (
            at.isoformat(),
            reserved,
            None if grant is None else encode(grant).decode(),
            None if start_until is None else start_until.isoformat(),
            kept.order.command_id,
        ),
    ).rowcount
    return bool(begun)


def withdraw_grant(connection: sqlite3.Connection, charger_id: str, number: int) -> None:
    """Nothing starts any more by the command, or the reservation, of this number."""
    connection.execute(
        "UPDATE commands SET decision = NULL WHERE charger_id = ?1 AND (number = ?2 OR reservation_number = ?2)"
        " AND session_id IS NULL",
        (charger_id, number),
    )


def conclude(connection: sqlite3.Connection, report: CommandReport) -> CommandReport:
    """Write down a report; the one that was written down under its number first."""
    row = connection.execute("SELECT from_hub FROM commands WHERE command_id = ?", (report.command_id,)).fetchone()
    told = row is None or not row[0]
    connection.execute(
        "INSERT INTO command_reports VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (report.command_id, report.number, encode(report).decode(), told),
    )
    state = Stage.DONE if report.final else Stage.ANSWERED
    connection.execute(
        "UPDATE commands SET state = ? WHERE command_id = ? AND state <> 'done'", (state.value, report.command_id)
    )
    return next(found for found in reports(connection, report.command_id) if found.number == report.number)


def reports(connection: sqlite3.Connection, command_id: str) -> tuple[CommandReport, ...]:
    """The reports of a command."""
    rows = connection.execute("SELECT body FROM command_reports WHERE command_id = ? ORDER BY number", (command_id,))
    return tuple(decode(CommandReport, row[0], "stored report") for row in rows.fetchall())


def untold(connection: sqlite3.Connection, limit: int) -> list[CommandReport]:
    """Reports that the hub has not acknowledged yet."""
    rows = connection.execute(
        "SELECT body FROM (SELECT command_id, number, body FROM command_reports WHERE told = 0"
        " UNION ALL SELECT command_id, 1, body FROM command_refusals) ORDER BY command_id, number LIMIT ?",
        (limit,),
    )
    return [decode(CommandReport, row[0], "stored report") for row in rows.fetchall()]


def note_told(connection: sqlite3.Connection, report: CommandReport) -> None:
    """The hub has the report."""
    body = encode(report).decode()
    refusal = (report.command_id, body)
    if connection.execute("DELETE FROM command_refusals WHERE command_id = ? AND body = ?", refusal).rowcount:
        return
    connection.execute(
        "UPDATE command_reports SET told = 1 WHERE command_id = ? AND number = ?", (report.command_id, report.number)
    )


class FoundSession(NamedTuple):
    """A session of the ledger, as far as a command may mean it."""

    session_id: str
    transaction_id: str
    evse_id: int
    started_at: str
    ended_at: str | None


def sessions_of(
    connection: sqlite3.Connection, charger_id: str, session_id: str | None, transaction_id: str | None
) -> list[FoundSession]:
    """The station's sessions of that name, the latest first; without a name those that run."""
    columns = "SELECT session_id, transaction_id, evse_id, started_at, ended_at FROM sessions WHERE charger_id = ?1"
    if session_id is not None:
        rows = connection.execute(f"{columns} AND session_id = ?2", (charger_id, session_id))
    elif transaction_id is not None:
        rows = connection.execute(
            f"{columns} AND transaction_id = ?2 ORDER BY session_no DESC", (charger_id, transaction_id)
        )
    else:
        rows = connection.execute(f"{columns} AND ended_at IS NULL ORDER BY session_no DESC LIMIT 20", (charger_id,))
    return [FoundSession(*row) for row in rows.fetchall()]


def note_session(connection: sqlite3.Connection, command_id: str, session_id: str, transaction_id: str) -> None:
    """A session came of the command. Called in the transaction that stores the session's message; the first stays."""
    connection.execute(
        "UPDATE commands SET session_id = ?, transaction_id = ? WHERE command_id = ? AND session_id IS NULL",
        (session_id, transaction_id, command_id),
    )
