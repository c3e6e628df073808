"""Storing a charger's transaction message: recognised if it came before, otherwise written with all it causes.

Everything here runs inside the writer's transaction (see `gateway.store.ledger`, rule 1), except the reading functions.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.clock import Moment
from gateway.store.commands import note_session
from gateway.store.decisions import keep_decision
from gateway.store.ledger import Identity, append
from gateway.store.sequences import note_sequence
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.ids import session_id
from wire.ocpp.content import MessageKeys
from wire.ocpp.transaction import TransactionMessage
from wire.records import Basis, Decision, RecordKind, TokenType, TransactionEntry, TransactionEvent, decode, encode

_CLOCKS_KNOW_BETTER = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transaction message as it came. `message` is None when its payload cannot be read; `quarantine` says why."""

    charger_id: str
    ocpp: str
    action: str
    message_id: str
    payload: bytes
    keys: MessageKeys
    frame: str
    now: Moment
    message: TransactionMessage | None = None
    quarantine: str | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the ledger knows it."""

    session_no: int
    session_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class FirstReply:
    """What was answered when a message came first, in the record `seq`. `whole`: it came with this very payload;
    otherwise as another writing of the same start or stop, which is worth a record of its own (it may carry the signed
    values)."""

    text: str
    whole: bool
    seq: int


def first_reply(connection: sqlite3.Connection, arrival: Arrival) -> FirstReply | None:
    """The reply that was given when the message came before; None when it is new."""
    content, payload = _keys(arrival)
    bucket = _bucket(arrival, _find_session(connection, arrival, content))
    return _first_reply(connection, bucket, content, payload)


def _first_reply(connection: sqlite3.Connection, bucket: int, content: bytes, payload: bytes) -> FirstReply | None:
    return _seen(connection, bucket, payload, whole=True) or _seen(connection, bucket, content, whole=False)


def store_message(
    connection: sqlite3.Connection, owner: Identity, arrival: Arrival, reply_for: Callable[[str | None], bytes]
) -> str:
    """The reply to send, as JSON text: the first one for a repeated message, otherwise `reply_for(transaction_id)`,
    stored together with the record, the session and the decision. A repeat with another payload is recorded too."""
    key, whole = _keys(arrival)
    session = _find_session(connection, arrival, key)
    bucket = _bucket(arrival, session)
    first = _first_reply(connection, bucket, key, whole)
    if first is not None and first.whole:
        return first.text
    if first is not None and _names_no_session(arrival):
        session = _session_of_record(connection, first.seq)
    elif session is None and arrival.message is not None and _opens_session(arrival, arrival.message):
        session = _open_session(connection, owner, arrival, arrival.message, key)
        bucket = _bucket(arrival, session)
    if session is not None and arrival.message is not None:
        _advance_session(connection, session, arrival.message)
        if arrival.message.seq_no is not None:
            note_sequence(connection, session.session_no, arrival.message.seq_no)
    reply = first.text if first else reply_for(session.transaction_id if session else None).decode()
    entry = TransactionEntry(
        charger_id=arrival.charger_id,
        ocpp=arrival.ocpp,
        action=arrival.action,
        message_id=arrival.message_id,
        frame=arrival.frame,
        event=arrival.message.event if arrival.message else TransactionEvent.UNREADABLE,
        reply=reply,
        session_id=session.session_id if session else None,
        transaction_id=session.transaction_id if session else None,
        decision=arrival.decision,
        quarantine=arrival.quarantine,
    )
    seq = append(connection, owner, RecordKind.TRANSACTION, entry, arrival.now)
    for name in {whole} if first else {key, whole}:
        connection.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (bucket, name, seq, reply))
    if arrival.decision is not None:
        remember_decision(connection, arrival.decision)
        if arrival.decision.command_id is not None and session is not None:
            note_session(connection, arrival.decision.command_id, session.session_id, session.transaction_id)
    if arrival.quarantine is not None:
        row = (seq, arrival.charger_id, arrival.quarantine)
        connection.execute("INSERT INTO quarantine VALUES (?, ?, ?)", row)
    return reply


def remember_decision(connection: sqlite3.Connection, decision: Decision) -> None:
    """Keep the latest decision for a token at a charger, so that its transaction can rest on it after a restart too.

    A decision that only repeats an earlier one is not kept: it would renew itself for ever, and it would hide what the
    first one rested on. An eMAID is kept under its normal form as well: a station may show it with the check character
    and start without.
    """
    if decision.basis is Basis.EARLIER_DECISION:
        return
    body = encode(decision).decode()
    for key in _keys_of(decision):
        keep_decision(connection, decision, key, body)


def latest_decision(connection: sqlite3.Connection, charger_id: str, uid: str) -> Decision | None:
    """The latest decision for the token at the charger, whatever its age and verdict."""
    found = _decision(connection, charger_id, token_key(uid))
    if found is not None:
        return found
    normal = normal_emaid(uid)
    found = None if normal is None else _decision(connection, charger_id, normal)
    return found if found is not None and found.token.type is TokenType.EMAID else None


def _decision(connection: sqlite3.Connection, charger_id: str, key: str) -> Decision | None:
    row = connection.execute("SELECT body FROM decisions WHERE charger_id = ? AND token = ?", (charger_id, key))
    found = row.fetchone()
    return None if found is None else decode(Decision, found[0], "stored decision")


def _keys_of(decision: Decision) -> set[str]:
    keys = {token_key(decision.token.uid)}
    normal = normal_emaid(decision.token.uid) if decision.token.type is TokenType.EMAID else None
    return keys if normal is None else keys | {normal}


def normal_emaid(uid: str) -> str | None:
    """`uid` as eMAIDs are compared (no separators, no check character), None when it is none."""
    try:
        return parse_emaid(uid).normal.casefold()
    except IdentifierError:
        return None


def token_key(uid: str) -> str:
    """How a token is compared: case folded (OCPP and OCPI tokens are case-insensitive), an eMAID's hyphens dropped."""
    return uid.replace("-", "").casefold()


def _opens_session(arrival: Arrival, message: TransactionMessage) -> bool:
    """Whether a message of an unknown session makes one. A 2.x session may first be seen by any of its events, and an
    orphan 1.6 StopTransaction is money too; values outside a transaction, and those whose transaction has no number,
    belong to no session."""
    if message.event is not TransactionEvent.METER_VALUES:
        return True
    return message.transaction_id is not None and not _names_no_session(arrival)


def _keys(arrival: Arrival) -> tuple[bytes, bytes]:
    """16 bytes each that name what this charger said, and its very payload. The charger is in them: clock-aligned
    values of two idle chargers are alike to the letter."""
    charger = arrival.charger_id.casefold().encode() + b"\0"
    content, whole = arrival.keys.content, arrival.keys.whole
    named = hashlib.sha256(charger + content).digest()[:16]
    return named, named if whole is content else hashlib.sha256(charger + whole).digest()[:16]


def _names_no_session(arrival: Arrival) -> bool:
    """Whether a 1.6 message carries -1, because StartTransaction.conf never came (errata 3.18), or another number that
    has no meaning: 0 or less (errata 3.54)."""
    named = arrival.message.transaction_id if arrival.message else None
    return arrival.ocpp == "1.6" and named is not None and (named == "0" or named.startswith("-"))


def _bucket(arrival: Arrival, session: StoredSession | None) -> int:
    """Where the content key is looked up: in its session, or for messages without one in the day they speak of, so that
    the index grows in order. The session that a -1 means is a guess that may change with what arrives in between, so
    such a message is looked up by its day too."""
    if session is not None and not _names_no_session(arrival):
        return session.session_no
    at = arrival.message.at if arrival.message else None
    return -at.toordinal() if at else 0


def _seen(connection: sqlite3.Connection, bucket: int, key: bytes, *, whole: bool) -> FirstReply | None:
    row = connection.execute("SELECT reply, seq FROM seen WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return None if row is None else FirstReply(str(row[0]), whole, int(row[1]))


_COLUMNS = "session_no, session_id, transaction_id"


def _find_session(connection: sqlite3.Connection, arrival: Arrival, key: bytes) -> StoredSession | None:
    message, charger = arrival.message, arrival.charger_id
    if message is None:
        return None
    if arrival.action == "StartTransaction":
        # A clock that stands at the beginning of time repeats itself: an ended session of such a time is another one.
        again = " AND ended_at IS NULL" if message.at < _CLOCKS_KNOW_BETTER else ""
        return _one(connection, f"charger_id = ? AND start_key = ?{again}", (charger, key))
    if message.transaction_id is None:
        return None
    if _names_no_session(arrival):
        return _find_unanswered(connection, charger, message)
    return _one(connection, "charger_id = ? AND transaction_id = ?", (charger, message.transaction_id))


def _find_unanswered(connection: sqlite3.Connection, charger: str, message: TransactionMessage) -> StoredSession | None:
    """The session a 1.6 message means that carries no number: of those of this charger that started before the message,
    with that tag and at that connector where they are named, the latest one that runs. Values may come after the end,
    so they may mean one that has ended; an end that finds none running ends a session whose start is not known."""
    where = "charger_id = ? AND started_at <= ? AND start_key IS NOT NULL"
    values: tuple[object, ...] = (charger, message.at.isoformat())
    if message.token is not None:
        where, values = where + " AND id_tag = ? COLLATE NOCASE", (*values, message.token.uid)
    if message.connector_id:
        where, values = where + " AND evse_id = ?", (*values, message.connector_id)
    running = _one(connection, where + " AND ended_at IS NULL", values)
    if running is None and message.event is TransactionEvent.METER_VALUES:
        return _one(connection, where, values)
    return running


def ended_at(connection: sqlite3.Connection, charger_id: str, transaction_id: str) -> datetime | None:
    """When the transaction ended by its station's clock; None while it runs, and for one that is not known."""
    row = connection.execute(
        "SELECT ended_at FROM sessions WHERE charger_id = ? AND transaction_id = ?", (charger_id, transaction_id)
    ).fetchone()
    return None if row is None or row[0] is None else datetime.fromisoformat(row[0])


def _session_of_record(connection: sqlite3.Connection, seq: int) -> StoredSession | None:
    """The session that an earlier record was given to."""
    (body,) = connection.execute("SELECT body FROM records WHERE seq = ?", (seq,)).fetchone()
    name = decode(TransactionEntry, body, "stored record").session_id
    return None if name is None else _one(connection, "session_id = ?", (name,))


def _one(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> StoredSession | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sessions WHERE {where} ORDER BY session_no DESC LIMIT 1", values
    ).fetchone()
    return None if row is None else StoredSession(*row)


def _open_session(
    connection: sqlite3.Connection, owner: Identity, arrival: Arrival, message: TransactionMessage, key: bytes
) -> StoredSession:
    number = _free_number(connection, arrival.charger_id)
    named = None if _names_no_session(arrival) else message.transaction_id
    transaction = named or str(number)
    name = session_id(owner.gateway_id, arrival.charger_id, transaction)
    connection.execute(
        "INSERT INTO sessions (session_no, session_id, charger_id, transaction_id, evse_id, id_tag, start_key,"
        " started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            name,
            arrival.charger_id,
            transaction,
            message.evse_id,
            message.token.uid if message.token else None,
            key if arrival.action == "StartTransaction" else None,
            message.at.isoformat(),
        ),
    )
    return StoredSession(number, name, transaction)


def _free_number(connection: sqlite3.Connection, charger_id: str) -> int:
    """The next session number, which no session had before and no transaction of this charger is called already: a
    charger that comes from another system may still hold transactions that were numbered there."""
    number = int(connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'").fetchone()[0]) + 1
    while _one(connection, "charger_id = ? AND transaction_id = ?", (charger_id, str(number))) is not None:
        number += 1
    return number


def _advance_session(connection: sqlite3.Connection, session: StoredSession, message: TransactionMessage) -> None:
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
