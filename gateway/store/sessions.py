"""Sessions: which one a transaction message is of, and what it changes of it.

Rules
1. A session of 1.6 is named by the number it was given here, one of 2.x by the name its station gave it. A station that
   starts anew under a name that has ended has another session: `reuse` tells them apart.
2. A 1.6 start is known by what it says. One whose clock stood still when it came says it again of another session.
3. Numbers, and what tells sessions of one name apart, are drawn by chance from two thousand million. A store that was
   put back to an earlier state has forgotten what it gave since, and no clock may tell it: by chance it gives that
   again to a charger once in a million times, where a counter does it every time.
4. Which session an end without a number means is a matter of connectors and registers. What they do not tell stays
   open, and a person has to tell: no session is charged with what may be another's.

Source: OCPP 1.6 4.8, 4.10 and its errata 3.18, 3.54; OCPP 2.0.1 Part 2 E02.FR.08.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.store.arrivals import Arrival
from gateway.store.earlier import came_at, latest_bodies
from gateway.store.ledger import Identity
from wire.ids import session_id
from wire.ocpp import v16
from wire.ocpp.frames import Call
from wire.ocpp.salvage import parse_recorded
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import TransactionEntry, TransactionEvent, decode

_NUMBERS = 2**31
"""Numbers are positive and below this."""
_CLOCKS_KNOW_BETTER = datetime(2020, 1, 1, tzinfo=UTC)
_CLOCK_STANDS = timedelta(days=1)
"""A start that is older than this when it first comes may be told by a clock that stands still."""
_ALIKE_WH = 4000.0
"""Registers that are less apart cannot be told from each other by what a session adds to them."""
_LAST_VALUES = 20
_CLEARLY = 4.0
"""One register must be this many times nearer than the next to be the one that is meant."""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the ledger knows it."""

    session_no: int
    session_id: str
    transaction_id: str
    reuse: int = 0
    ended_at: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A session that may be the one an end without a number means. Registers in Wh, None where they are not known."""

    session: StoredSession
    connector: int
    start_wh: float | None
    last_wh: float | None


def find_session(connection: sqlite3.Connection, arrival: Arrival, key: bytes) -> StoredSession | None:
    """The session that a message names, or for values without a number the one they are likely of; None for a start
    that is new, an end without a number (`meant_by_end`), and what belongs to no session. `key` names its content."""
    message, charger = arrival.message, arrival.charger_id
    if message is None:
        return None
    if arrival.action == "StartTransaction":
        return _same_start(connection, arrival, message, key)
    if message.transaction_id is None:
        return None
    if arrival.names_no_session:
        is_end = message.event is TransactionEvent.ENDED
        return None if is_end else _of_values(connection, charger, message)
    found = _one(connection, "charger_id = ? AND transaction_id = ?", (charger, message.transaction_id))
    if found is None or not found.reuse:
        return found
    where = "charger_id = ? AND transaction_id = ? AND started_at <= ?"
    values = (charger, message.transaction_id, message.at.isoformat())
    return _one(connection, where, values, latest="started_at") or found


def _same_start(
    connection: sqlite3.Connection, arrival: Arrival, message: TransactionMessage, key: bytes
) -> StoredSession | None:
    found = _one(connection, "charger_id = ? AND start_key = ?", (arrival.charger_id, key))
    if found is None or found.ended_at is None:
        return found
    first = came_at(connection, found.session_no, key)
    if first == "":  # Its row was dropped: when it came is not known, so it is believed.
        return None if message.at < _CLOCKS_KNOW_BETTER else found
    came_first_at = arrival.now.at if first is None else datetime.fromisoformat(first)
    stood = message.at < _CLOCKS_KNOW_BETTER or came_first_at - message.at > _CLOCK_STANDS
    return None if stood else found


def _of_values(connection: sqlite3.Connection, charger: str, message: TransactionMessage) -> StoredSession | None:
    """The session whose values these may be: of those that started before, at that connector where it is named, the
    latest one that runs, else the latest one, for values may come after the end."""
    where, values = "charger_id = ? AND started_at <= ? AND start_key IS NOT NULL", [charger, message.at.isoformat()]
    if message.connector_id:
        where, values = where + " AND evse_id = ?", [*values, str(message.connector_id)]
    return _one(connection, where + " AND ended_at IS NULL", values) or _one(connection, where, values)


def running_at_end(connection: sqlite3.Connection, charger: str, message: TransactionMessage) -> list[Running]:
    """The sessions that an end without a number may mean: those that run and started before it, with its tag if it has
    one, and of each connector the latest. One that began with a higher register is none of them."""
    where, values = "charger_id = ? AND started_at <= ? AND start_key IS NOT NULL", [charger, message.at.isoformat()]
    if message.token is not None:
        where, values = where + " AND id_tag = ? COLLATE NOCASE", [*values, message.token.uid]
    rows = connection.execute(
        f"SELECT {_COLUMNS}, evse_id, start_wh, last_wh FROM sessions WHERE {where} AND ended_at IS NULL"
        " ORDER BY session_no DESC",
        values,
    )
    latest: dict[int, Running] = {}
    for *found, connector, start_wh, last_wh in rows:
        if connector not in latest:
            session = StoredSession(*found)
            told = [register for register in (last_wh, _told_wh(connection, session)) if register is not None]
            latest[connector] = Running(session, connector, start_wh, max(told, default=None))
    end_wh = _wh(message)
    return [each for each in latest.values() if end_wh is None or each.start_wh is None or each.start_wh <= end_wh]


def _told_wh(connection: sqlite3.Connection, session: StoredSession) -> float | None:
    """The highest register in the last values that named the session by its number; None when there are none.

    Read from their records, so that no message has to write what is asked for once in years.
    """
    told: list[float] = []
    for body in latest_bodies(connection, session.session_no, _LAST_VALUES):
        if not body:  # Let go: of a session that was over, and that a late message speaks of again.
            continue
        entry = decode(TransactionEntry, body, "stored record")
        if entry.action == "MeterValues" and entry.quarantine is None:
            frame = parse_recorded(entry.frame)
            assert isinstance(frame, Call)
            told += _registers(read_transaction(entry.ocpp, frame.action, frame.payload))
    return max(told, default=None)


def _registers(message: TransactionMessage) -> list[float]:
    return [float(sample.energy_wh) for sample in message.samples if sample.energy_wh is not None]


def meant_by_end(running: Sequence[Running], message: TransactionMessage) -> StoredSession | None:
    """The one of several sessions that an end without a number means by its register; None when that does not tell."""
    end_wh = _wh(message)
    if end_wh is None:
        return None
    grown = [each for each in running if each.last_wh is None or each.last_wh <= end_wh]
    if len(grown) < 2:
        return grown[0].session if grown else None
    away = []
    for each in grown:
        known = each.start_wh if each.last_wh is None else each.last_wh
        if known is None:
            return None
        away.append((end_wh - known, each.session))
    (nearest, meant), (next_wh, _), *_ = sorted(away, key=lambda pair: pair[0])
    return meant if next_wh > max(_ALIKE_WH, _CLEARLY * nearest) else None


def _wh(message: TransactionMessage) -> float | None:
    return None if message.register_wh is None else float(message.register_wh)


def could_end_so(
    connection: sqlite3.Connection, running: Sequence[Running], message: TransactionMessage, seq: int
) -> list[Running]:
    """Those of the sessions that were known before record `seq`, and whose register may well stand where the end has
    it. A station sends in order: what began to be known later had not ended then."""
    end_wh = _wh(message)

    def was_known(session_no: int) -> bool:
        row = connection.execute("SELECT min(seq) FROM seen WHERE bucket = ?", (session_no,)).fetchone()
        return row[0] is not None and int(row[0]) < seq

    return [
        each
        for each in running
        if (end_wh is None or each.last_wh is None or 0 <= end_wh - each.last_wh <= _ALIKE_WH)
        and was_known(each.session.session_no)
    ]


def starts_again(session: StoredSession, arrival: Arrival) -> bool:
    """Whether a 2.x start that never came before is another session's than the one of its name, which has ended."""
    message = arrival.message
    if arrival.ocpp == v16.VERSION or message is None or message.event is not TransactionEvent.STARTED:
        return False
    return session.ended_at is not None and message.at > datetime.fromisoformat(session.ended_at)


def opens_session(arrival: Arrival, message: TransactionMessage) -> bool:
    """Whether a message of an unknown session makes one. A 2.x session may first be seen by any of its events, and an
    orphan 1.6 StopTransaction is money too; values outside a transaction, and those whose transaction has no number,
    belong to no session."""
    if message.event is not TransactionEvent.METER_VALUES:
        return True
    return message.transaction_id is not None and not arrival.names_no_session


def open_session(
    connection: sqlite3.Connection, owner: Identity, arrival: Arrival, message: TransactionMessage, key: bytes
) -> StoredSession:
    """A new session, that `message` is the first known of. Its name may have been another's (rule 1)."""
    charger = arrival.charger_id
    named = None if arrival.names_no_session else message.transaction_id
    transaction = named or free_number(lambda number: _is_named(connection, charger, number))
    reuse = _free_reuse(connection, charger, transaction)
    name = session_id(owner.gateway_id, charger, transaction, reuse)
    is_start = arrival.action == "StartTransaction"
    made = connection.execute(
        "INSERT INTO sessions (session_id, charger_id, transaction_id, evse_id, id_tag, start_key,"
        " started_at, reuse, start_wh) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING session_no",
        (
            name,
            charger,
            transaction,
            message.evse_id,
            message.token.uid if message.token else None,
            key if is_start else None,
            message.at.isoformat(),
            reuse,
            _wh(message) if is_start else None,
        ),
    ).fetchone()
    return StoredSession(int(made[0]), name, transaction, reuse)


def free_number(taken: Callable[[str], bool], draw: Callable[[int], int] = secrets.randbelow) -> str:
    """A number by which a charger has called no transaction yet: one that comes from another system may still hold some
    that were numbered there. `draw(n)`: one of 0 to n - 1."""
    while taken(number := str(1 + draw(_NUMBERS - 1))):
        pass
    return number


def _is_named(connection: sqlite3.Connection, charger_id: str, number: str) -> bool:
    return _one(connection, "charger_id = ? AND transaction_id = ?", (charger_id, number)) is not None


def _free_reuse(connection: sqlite3.Connection, charger_id: str, transaction_id: str) -> int:
    """0 for a name that is new here."""
    named, reuse = "charger_id = ? AND transaction_id = ? AND reuse = ?", 0
    while _one(connection, named, (charger_id, transaction_id, reuse)) is not None:
        reuse = 1 + secrets.randbelow(_NUMBERS - 1)
    return reuse


def advance_session(
    connection: sqlite3.Connection, arrival: Arrival, session: StoredSession, message: TransactionMessage
) -> None:
    """Note what a message says of its session: where it is, its end, and how far its register has come where the
    message does not name it, for then its record is hard to find again (`_told_wh`)."""
    if message.evse_id:
        connection.execute(
            "UPDATE sessions SET evse_id = ? WHERE session_no = ? AND evse_id = 0",
            (message.evse_id, session.session_no),
        )
    if message.event is TransactionEvent.ENDED:
        connection.execute(
            "UPDATE sessions SET ended_at = ? WHERE session_no = ? AND ended_at IS NULL",
            (message.at.isoformat(), session.session_no),
        )
    elif arrival.names_no_session and (registers := _registers(message)):
        connection.execute(
            "UPDATE sessions SET last_wh = max(coalesce(last_wh, start_wh, 0), ?) WHERE session_no = ?",
            (max(registers), session.session_no),
        )


def has_running(connection: sqlite3.Connection, charger_id: str) -> bool:
    """Whether a session runs at a charger."""
    return _one(connection, "charger_id = ? AND ended_at IS NULL", (charger_id,)) is not None


def ended_at(connection: sqlite3.Connection, charger_id: str, transaction_id: str) -> datetime | None:
    """When the transaction of that name ended by its station's clock, of several the latest; None while it runs, and
    for one that is not known."""
    row = connection.execute(
        "SELECT ended_at FROM sessions WHERE charger_id = ? AND transaction_id = ? ORDER BY started_at DESC LIMIT 1",
        (charger_id, transaction_id),
    ).fetchone()
    return None if row is None or row[0] is None else datetime.fromisoformat(row[0])


def tag_of(connection: sqlite3.Connection, charger_id: str, transaction_id: str) -> str | None:
    """The tag that began the latest session of that name; None when none did, or it was let go."""
    row = connection.execute(
        "SELECT id_tag FROM sessions WHERE charger_id = ? AND transaction_id = ? ORDER BY started_at DESC LIMIT 1",
        (charger_id, transaction_id),
    ).fetchone()
    return None if row is None else row[0]


def session_of_record(connection: sqlite3.Connection, name: str | None) -> StoredSession | None:
    """The session of that id."""
    return None if name is None else _one(connection, "session_id = ?", (name,))


_COLUMNS = "session_no, session_id, transaction_id, reuse, ended_at"


def _one(
    connection: sqlite3.Connection, where: str, values: Sequence[object], latest: str = "session_no"
) -> StoredSession | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY {latest} DESC LIMIT 1", values
    ).fetchone()
    return None if row is None else StoredSession(*row)
