"""How far OCPI's objects have been derived from the hub's own, and what is due.

Rules
1. Sessions, CDRs and versions of tokens are numbered: a cursor says up to which number they were derived. Sessions
   change in place: each one that is not final is compared with what it was when it was derived last.
2. A session is final once it is completed and derived as that; it changes no more then.
3. The place of a session is kept with its first derivation, for its CDR.
4. Where several connections write, a lower number may be committed after a higher one: of the last `SLACK` numbers each
   is looked for by itself, whatever the cursor says.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from hub.store.engine import Connection
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.sessions import CdrLocation
from wire.records import Cdr, Session, Token, decode

SESSIONS, CDRS, TOKENS = "sessions", "cdrs", "tokens"
SLACK = 10_000
"""More than are numbered while one transaction is open."""


@dataclass(frozen=True, slots=True)
class DueSession:
    """A session that is new or other than it was; `digest` is of its text."""

    session: Session
    digest: str


def cursor(connection: Connection, name: str) -> int:
    """Up to which number something was derived."""
    row = connection.execute("SELECT position FROM ocpi_cursors WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def move_cursor(connection: Connection, name: str, position: int) -> None:
    """Note up to which number something was derived."""
    connection.execute(
        "INSERT INTO ocpi_cursors VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        (name, position),
    )


def new_sessions(connection: Connection, limit: int) -> tuple[tuple[DueSession, ...], int]:
    """The sessions that were never looked at, at most `limit`, and how far the cursor goes with them."""
    after = cursor(connection, SESSIONS)
    rows = connection.execute(
        "SELECT s.number, s.session FROM sessions s LEFT JOIN ocpi_derived d ON d.session_id = s.id"
        " WHERE s.number > ? AND d.session_id IS NULL ORDER BY s.number LIMIT ?",
        (after - SLACK, limit),
    ).fetchall()
    return tuple(_due(text) for _, text in rows), max([after, *(number for number, _ in rows)])


def changed_sessions(connection: Connection, limit: int) -> tuple[DueSession, ...]:
    """The sessions that are other than when they were derived, at most `limit`."""
    rows = connection.execute(
        "SELECT s.session, d.digest FROM ocpi_derived d JOIN sessions s ON s.id = d.session_id WHERE d.final = 0"
        " ORDER BY s.number"
    )
    found = list[DueSession]()
    for text, digest in rows:
        if _digest(text) != digest:
            found.append(_due(text))
            if len(found) >= limit:
                break
    return tuple(found)


def note_derived(connection: Connection, due: DueSession, *, final: bool, place: CdrLocation | None = None) -> None:
    """Note that a session was derived as it is; `place` is kept the first time that it is known. Rule 3."""
    kept = None if place is None else encode_document(place).decode()
    connection.execute(
        "INSERT INTO ocpi_derived (session_id, digest, final, place) VALUES (?, ?, ?, ?) ON CONFLICT (session_id)"
        " DO UPDATE SET digest = excluded.digest, final = excluded.final,"
        " place = coalesce(ocpi_derived.place, excluded.place)",
        (due.session.id, due.digest, int(final), kept),
    )


def place_of(connection: Connection, session_id: str) -> CdrLocation | None:
    """Where a session began, as it was then; None when that was never derived."""
    row = connection.execute("SELECT place FROM ocpi_derived WHERE session_id = ?", (session_id,)).fetchone()
    if row is None or row[0] is None:
        return None
    return view(parse_document(row[0], "stored place"), CdrLocation, "stored place")


def new_cdrs(connection: Connection, limit: int) -> tuple[tuple[Cdr, ...], int]:
    """The CDRs that were never looked at, at most `limit`, and how far the cursor goes with them."""
    after = cursor(connection, CDRS)
    rows = connection.execute(
        "SELECT c.number, c.cdr FROM cdrs c LEFT JOIN ocpi_derived d ON d.session_id = c.session_id"
        " WHERE c.number > ? AND coalesce(d.cdr, 0) = 0 ORDER BY c.number LIMIT ?",
        (after - SLACK, limit),
    ).fetchall()
    found = tuple(decode(Cdr, text, "stored CDR") for _, text in rows)
    return found, max([after, *(number for number, _ in rows)])


def note_cdr(connection: Connection, session_id: str) -> None:
    """Note that the CDR of a session was looked at."""
    connection.execute(
        "INSERT INTO ocpi_derived (session_id, digest, final, cdr) VALUES (?, '', 0, 1) ON CONFLICT (session_id)"
        " DO UPDATE SET cdr = 1",
        (session_id,),
    )


def changed_tokens(connection: Connection, limit: int) -> tuple[tuple[Token, ...], int]:
    """The tokens that changed since, and the version of the list that they lead to: whole versions, about `limit`."""
    after = cursor(connection, TOKENS)
    last = connection.execute(
        "SELECT max(version) FROM (SELECT version FROM tokens WHERE version > ? ORDER BY version LIMIT ?) AS next",
        (after, limit),
    ).fetchone()[0]
    if last is None:
        return (), after
    rows = connection.execute(
        "SELECT token FROM tokens WHERE version > ? AND version <= ? ORDER BY version, country_code, party_id, uid_key",
        (after, last),
    ).fetchall()
    return tuple(decode(Token, text, "stored token") for (text,) in rows), int(last)


def active_places(connection: Connection) -> frozenset[tuple[str, str, int]]:
    """Where sessions run: gateway, charger (case-folded), EVSE."""
    rows = connection.execute("SELECT session FROM sessions WHERE status = 'ACTIVE'").fetchall()
    sessions = (decode(Session, text, "stored session") for (text,) in rows)
    return frozenset((one.gateway_id, one.charger_id.casefold(), one.evse_id) for one in sessions)


def heard_since(connection: Connection, since: str) -> frozenset[str]:
    """The gateways that were heard of since an instant."""
    rows = connection.execute("SELECT DISTINCT gateway_id FROM gateways WHERE last_seen >= ?", (since,)).fetchall()
    return frozenset(gateway_id for (gateway_id,) in rows)


def _due(text: str) -> DueSession:
    return DueSession(decode(Session, text, "stored session"), _digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
