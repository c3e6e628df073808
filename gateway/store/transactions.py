"""Storing a charger's transaction message: recognised if it came before, otherwise written with all it causes.

Everything here runs inside the writer's transaction (see `gateway.store.ledger`, rule 1), except the reading functions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.store.arrivals import Arrival, stored_keys
from gateway.store.commands import note_session
from gateway.store.decisions import keep_decision
from gateway.store.earlier import body_of
from gateway.store.ledger import Identity, append
from gateway.store.sequences import note_sequence
from gateway.store.sessions import (
    StoredSession,
    advance_session,
    could_end_so,
    find_session,
    meant_by_end,
    open_session,
    opens_session,
    running_at_end,
    session_of_record,
    starts_again,
)
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.chain import RecordKind
from wire.ocpp.transaction import TransactionMessage
from wire.records import AuditEntry, Basis, Decision, TokenType, TransactionEntry, TransactionEvent, decode, encode


@dataclass(frozen=True, slots=True)
class FirstReply:
    """What was answered when a message came first, in the record `seq`. `whole`: it came with this very payload;
    otherwise as another writing of the same start or stop, which is worth a record of its own (it may carry the signed
    values)."""

    text: str
    whole: bool
    seq: int


_SEEN_AGAIN = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the store knows of a message. `doubt`: why its session cannot be told, None when it can or there is none."""

    session: StoredSession | None
    bucket: int
    first: FirstReply | None
    doubt: str | None = None


def first_reply(connection: sqlite3.Connection, arrival: Arrival) -> FirstReply | None:
    """The reply that was given when the message came before; None when it is new."""
    return _known(connection, arrival, *stored_keys(arrival)).first


def _known(connection: sqlite3.Connection, arrival: Arrival, key: bytes, whole: bytes) -> _Known:
    session = find_session(connection, arrival, key)
    bucket = _bucket(arrival, session)
    first = _seen(connection, bucket, whole, whole=True) or _seen(connection, bucket, key, whole=False)
    message = arrival.message
    if message is not None and message.event is TransactionEvent.ENDED and arrival.names_no_session:
        return _known_end(connection, arrival, message, _Known(None, bucket, first))
    return _Known(session, bucket, first)


def _known_end(connection: sqlite3.Connection, arrival: Arrival, message: TransactionMessage, known: _Known) -> _Known:
    """An end without a number: of the session it means, of one whose start is not known, or in doubt.

    What was said before may be said again of another session that runs, word for word where two connectors share a
    meter; only under its old message id it is a resend for certain.
    """
    running, first = running_at_end(connection, arrival.charger_id, message), known.first
    if first is not None:
        running = could_end_so(connection, running, message, first.seq)
        said_first = _entry(connection, first.seq)
        if not running or (said_first is not None and said_first.message_id == arrival.message_id):
            return known
    elif not running:
        return known
    else:
        session = running[0].session if len(running) == 1 else meant_by_end(running, message)
        if session is not None:
            return replace(known, session=session)
    named = ", ".join(f"{each.session.transaction_id} (connector {each.connector})" for each in running)
    said = "an end without a transaction number" + (" that came before" if first else "")
    return replace(known, first=None, doubt=f"{said} may be that of {named}")


def store_message(
    connection: sqlite3.Connection, owner: Identity, arrival: Arrival, reply_for: Callable[[str | None], bytes]
) -> str:
    """The reply to send, as JSON text: the first one for a repeated message, otherwise `reply_for(transaction_id)`,
    stored together with the record, the session and the decision. A repeat with another payload is recorded too; what
    could be of several sessions is kept apart from all of them, and entered into the audit log."""
    key, whole = stored_keys(arrival)
    known = _known(connection, arrival, key, whole)
    first = known.first
    if first is not None and first.whole:
        return first.text
    if known.doubt is not None:
        arrival = replace(arrival, quarantine=known.doubt)
    session, bucket = _session_for(connection, owner, arrival, known, key)
    if session is not None and arrival.message is not None:
        advance_session(connection, arrival, session, arrival.message)
        if arrival.message.seq_no is not None:
            note_sequence(connection, session.session_no, arrival.message.seq_no)
    reply = first.text if first else reply_for(session.transaction_id if session else None).decode()
    seq = append(connection, owner, RecordKind.TRANSACTION, _record(arrival, session, reply), arrival.now)
    insert = "INSERT INTO seen VALUES (?, ?, ?, ?)" if known.doubt is None else _SEEN_AGAIN
    for name in {whole} if first else {key, whole}:
        connection.execute(insert, (bucket, name, seq, reply))
    if arrival.decision is not None:
        remember_decision(connection, arrival.decision)
        if arrival.decision.command_id is not None and session is not None:
            note_session(connection, arrival.decision.command_id, session.session_id, session.transaction_id)
    if arrival.quarantine is not None:
        row = (seq, arrival.charger_id, arrival.quarantine)
        connection.execute("INSERT INTO quarantine VALUES (?, ?, ?)", row)
    if known.doubt is not None:
        alarm = AuditEntry(event="session-in-doubt", subject=arrival.charger_id, message=f"record {seq}: {known.doubt}")
        append(connection, owner, RecordKind.AUDIT, alarm, arrival.now)
    return reply


def _session_for(
    connection: sqlite3.Connection, owner: Identity, arrival: Arrival, known: _Known, key: bytes
) -> tuple[StoredSession | None, int]:
    """The session that a message is stored with, opened if need be, and the bucket that its keys go to."""
    message, first, session = arrival.message, known.first, known.session
    if message is None or known.doubt is not None:
        return None, known.bucket
    if first is not None:
        if arrival.names_no_session:
            said_first = _entry(connection, first.seq)
            session = None if said_first is None else session_of_record(connection, said_first.session_id)
        return session, known.bucket
    is_new = session is None or starts_again(session, arrival)
    if not is_new or not opens_session(arrival, message):
        return session, known.bucket
    session = open_session(connection, owner, arrival, message, key)
    return session, _bucket(arrival, session)


def _record(arrival: Arrival, session: StoredSession | None, reply: str) -> TransactionEntry:
    return TransactionEntry(
        charger_id=arrival.charger_id,
        ocpp=arrival.ocpp,
        action=arrival.action,
        message_id=arrival.message_id,
        frame=arrival.frame,
        event=arrival.message.event if arrival.message else TransactionEvent.UNREADABLE,
        reply=reply,
        session_id=session.session_id if session else None,
        transaction_id=session.transaction_id if session else None,
        reuse=session.reuse if session else 0,
        decision=arrival.decision,
        quarantine=arrival.quarantine,
    )


def _entry(connection: sqlite3.Connection, seq: int) -> TransactionEntry | None:
    """What record `seq` says; None once that was let go (`gateway.store.release`)."""
    body = body_of(connection, seq)
    return decode(TransactionEntry, body, "stored record") if body else None


def remember_decision(connection: sqlite3.Connection, decision: Decision) -> None:
    """Keep the latest decision for a token at a charger, so that its transaction can rest on it after a restart too.

    A decision that only repeats an earlier one is not kept: it would renew itself for ever, and it would hide what the
    first one rested on; nor is one that names nobody. An eMAID is kept under its normal form as well: a station may
    show it with the check character and start without.
    """
    if decision.basis is Basis.EARLIER_DECISION or not decision.token.uid.strip():
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


def _bucket(arrival: Arrival, session: StoredSession | None) -> int:
    """Where the content key is looked up: in its session, or for messages without one in the day they speak of, so that
    the index grows in order. The session that a -1 means is a guess that may change with what arrives in between, so
    such a message is looked up by its day too."""
    if session is not None and not arrival.names_no_session:
        return session.session_no
    at = arrival.message.at if arrival.message else None
    return -at.toordinal() if at else 0


def _seen(connection: sqlite3.Connection, bucket: int, key: bytes, *, whole: bool) -> FirstReply | None:
    row = connection.execute("SELECT reply, seq FROM seen WHERE bucket = ? AND key = ?", (bucket, key)).fetchone()
    return None if row is None else FirstReply(str(row[0]), whole, int(row[1]))
