"""Commands to stations in the database: queued for a gateway, and what came of them.

Rules
1. A number in the queue is the time in microseconds, and always more than the one before: after a restore from a backup
   the hub's numbers are still ahead of every gateway's.
2. A command is handed out until a report of it came, its time is over, or its gateway names a later number.
3. A report is kept once for its number; the first one stays. There are at most `MAX_REPORTS` for a command.
4. A command is kept for `KEPT_FOR` and goes then, with its reports; whoever gave it has long seen what came of it, and
   what its token charged has long arrived.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.errors import TooManyCommands
from hub.store.engine import Connection
from wire.commands import (
    Command,
    CommandOrder,
    CommandReport,
    CommandState,
    CommandToken,
    OrderState,
    QueuedOrder,
    ReserveNow,
    ResultCode,
    StartSession,
)
from wire.records import Session, Token, TokenRef, WhitelistType, decode, encode
from wire.tokens import compare_key, meant_by

MAX_HANDED_OUT = 50
MAX_WAITING = 1000
"""Commands that may wait for one gateway."""
MAX_REPORTS = 2
"""What came of a command at once, and which session came of a start (`wire.commands` rule 4)."""
KEPT_FOR = timedelta(days=180)
PURGED_AT_ONCE = 50
_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "number, command_id, gateway_id, body, created_at, expires_at, delivered_at"


def put(connection: Connection, gateway_id: str, order: CommandOrder, at: datetime) -> tuple[CommandState, bool]:
    """The state of the order, and whether it is new; one that is queued under its id already is left as it is.

    Raises:
        ValueError: the id was given to another command.
        TooManyCommands: nothing was stored.
    """
    held = state(connection, order.command_id, at)
    if held is not None:
        if held.gateway_id != gateway_id or encode(held.command) != encode(order.command):
            raise ValueError(f"command_id {order.command_id!r} was given to another command already")
        return held, False
    waiting = connection.execute(
        "SELECT count(*) FROM commands WHERE gateway_id = ? AND reported = 0 AND expires_at > ?",
        (gateway_id, _text(at)),
    ).fetchone()[0]
    if waiting >= MAX_WAITING:
        raise TooManyCommands(f"{waiting} commands wait for gateway {gateway_id} already")
    _purge(connection, at)
    last = connection.execute("SELECT coalesce(max(number), 0) FROM commands").fetchone()[0]
    number = max(last + 1, (at - _THE_EPOCH) // timedelta(microseconds=1))
    token = order.command.token if isinstance(order.command, StartSession | ReserveNow) else None
    connection.execute(
        "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, NULL, 0, ?, ?)",
        (
            number,
            order.command_id,
            gateway_id,
            encode(order).decode(),
            _text(at),
            _text(order.expires_at),
            None if token is None else token.type.value,
            None if token is None else compare_key(token.type, token.uid),
        ),
    )
    return _require(state(connection, order.command_id, at)), True


def _purge(connection: Connection, at: datetime) -> None:
    """Let some of the oldest commands go, more than come at a time."""
    until = (at - KEPT_FOR - _THE_EPOCH) // timedelta(microseconds=1)
    old = connection.execute(
        "SELECT number, command_id FROM commands WHERE number < ? AND expires_at < ? ORDER BY number LIMIT ?",
        (until, _text(at - KEPT_FOR), PURGED_AT_ONCE),
    ).fetchall()
    connection.executemany("DELETE FROM command_reports WHERE command_id = ?", [(name,) for _, name in old])
    connection.executemany("DELETE FROM commands WHERE number = ?", [(number,) for number, _ in old])


def _require(found: CommandState | None) -> CommandState:
    if found is None:
        raise LookupError("a command that was just stored is not there")
    return found


def hand_out(connection: Connection, gateway_id: str, after: int, at: datetime) -> tuple[QueuedOrder, ...]:
    """What waits for the gateway beyond number `after`, in order; noted as handed out. For the writer."""
    rows = connection.execute(
        "SELECT number, body FROM commands WHERE gateway_id = ? AND number > ? AND reported = 0 AND expires_at > ?"
        " ORDER BY number LIMIT ?",
        (gateway_id, after, _text(at), MAX_HANDED_OUT),
    ).fetchall()
    connection.executemany(
        "UPDATE commands SET delivered_at = coalesce(delivered_at, ?) WHERE number = ?",
        [(_text(at), number) for number, _ in rows],
    )
    return tuple(QueuedOrder(number=number, order=decode(CommandOrder, body, "stored order")) for number, body in rows)


def is_any(connection: Connection, gateway_id: str, after: int, at: datetime) -> bool:
    """Whether anything waits for the gateway beyond number `after`."""
    row = connection.execute(
        "SELECT 1 FROM commands WHERE gateway_id = ? AND number > ? AND reported = 0 AND expires_at > ? LIMIT 1",
        (gateway_id, after, _text(at)),
    ).fetchone()
    return row is not None


def add_report(connection: Connection, gateway_id: str, report: CommandReport, at: datetime) -> bool:
    """Keep a report; False when the gateway was never given such a command.

    Raises:
        ValueError: a command has no report of this number.
    """
    if not 1 <= report.number <= MAX_REPORTS:
        raise ValueError(f"a command has reports number 1 to {MAX_REPORTS}, not {report.number}")
    row = connection.execute("SELECT gateway_id FROM commands WHERE command_id = ?", (report.command_id,)).fetchone()
    if row is None or row[0] != gateway_id:
        return False
    connection.execute(
        "INSERT INTO command_reports VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (report.command_id, report.number, encode(report).decode(), _text(at)),
    )
    connection.execute("UPDATE commands SET reported = 1 WHERE command_id = ?", (report.command_id,))
    return True


def state(connection: Connection, command_id: str, at: datetime) -> CommandState | None:
    """Where a command stands, None for an unknown one. What its gateway never fetched in time has EXPIRED."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM commands WHERE command_id = ?", (command_id,)).fetchone()
    return None if row is None else _state(connection, row, at)


def listed(
    connection: Connection, gateway_id: str | None, after: int, limit: int, at: datetime
) -> tuple[tuple[CommandState, ...], int | None]:
    """Commands beyond number `after`, oldest first, at most `limit`; and the number to go on from, None at the end."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE number > ?1 AND (?2 IS NULL OR gateway_id = ?2)"
        " ORDER BY number LIMIT ?3",
        (after, gateway_id, limit + 1),
    ).fetchall()
    states = tuple(_state(connection, row, at) for row in rows[:limit])
    return states, rows[limit - 1][0] if len(rows) > limit else None


def _state(connection: Connection, row: tuple[object, ...], at: datetime) -> CommandState:
    _, command_id, gateway_id, body, created_at, expires_at, delivered_at = row
    order = decode(CommandOrder, str(body), "stored order")
    found = connection.execute(
        "SELECT body FROM command_reports WHERE command_id = ? ORDER BY number", (str(command_id),)
    )
    reports = tuple(decode(CommandReport, text, "stored report") for (text,) in found.fetchall())
    if not reports and delivered_at is None and at >= order.expires_at:
        reports = (_expired(order),)
    where = OrderState.QUEUED
    if reports:
        where = OrderState.DONE if any(report.final for report in reports) else OrderState.ANSWERED
    return CommandState(
        command_id=order.command_id,
        gateway_id=str(gateway_id),
        state=where,
        created_at=datetime.fromisoformat(str(created_at)),
        expires_at=datetime.fromisoformat(str(expires_at)),
        command=order.command,
        reports=reports,
    )


def _expired(order: CommandOrder) -> CommandReport:
    return CommandReport(
        command_id=order.command_id,
        number=1,
        at=order.expires_at,
        result=ResultCode.EXPIRED,
        message="the gateway did not fetch it in time",
    )


def session_named(connection: Connection, session_id: str) -> Session | None:
    """The session that a command to stop names."""
    row = connection.execute("SELECT session FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return None if row is None else decode(Session, row[0], "stored session")


def commanded_token(connection: Connection, presented: TokenRef) -> Token | None:
    """A token that a command was given for, as far as it was told: it appears in session and CDR without being on the
    list (OCPI mod_commands)."""
    for type_, key in meant_by(presented):
        row = connection.execute(
            "SELECT body FROM commands WHERE token_type = ? AND token_key = ? ORDER BY number DESC LIMIT 1",
            (type_.value, key),
        ).fetchone()
        if row is not None:
            return _as_token(decode(CommandOrder, row[0], "stored order").command)
    return None


def _as_token(command: Command) -> Token | None:
    token: CommandToken | None = command.token if isinstance(command, StartSession | ReserveNow) else None
    if token is None or token.country_code is None or token.party_id is None:
        return None
    return Token(
        country_code=token.country_code,
        party_id=token.party_id,
        uid=token.uid,
        type=token.type,
        contract_id=token.contract_id or token.uid,
        issuer="",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=_THE_EPOCH,
        group_id=token.group_id,
    )


def _text(at: datetime) -> str:
    """An instant as text that sorts as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
