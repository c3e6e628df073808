"""What an OCPI uplink must remember: the peer, how far its tokens were read, and every session and CDR on its way.

Rules
1. A file of its own, `ocpi.db`, beside the ledger: it lives on when the ledger begins a new epoch. Sessions have the
   same ids there, so none is told twice.
2. A CDR is made once: `keep_cdr` keeps the first document of a session, and what comes later changes nothing. The same
   octets are sent each time.
3. queued -> uncertain (committed before it is sent) -> delivered | refused; refused -> uncertain when tried again.
   Whoever finds one uncertain asks the peer whether it has it before sending it again.
4. `held`: a CDR that cannot be told to anybody; it says why, and waits for a person.
5. Credentials tokens stand here as they are sent, or as their hash where they are only compared; the file is its
   owner's alone.
6. All in one thread at a time: each call is one transaction, some milliseconds with its flush.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.errors import StoreError
from gateway.store.database import Schema, open_writer
from gateway.store.ocpi_seen import (
    Backlog,
    CdrState,
    KeptCrawl,
    KeptPeer,
    KeptTrouble,
    read_backlog,
    read_crawl,
    read_peer,
)
from wire.records import Token, TokenRef, decode, encode
from wire.settling.tariffs import TariffSnapshot
from wire.tokens import bearer_key

SCHEMA = Schema(
    name="OCPI store",
    application_id=0x504E434F,
    migrations=(
        """
    CREATE TABLE begun (one INTEGER PRIMARY KEY CHECK (one = 1), at TEXT NOT NULL);
    CREATE TABLE peer (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
    CREATE TABLE crawl (one INTEGER PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
    CREATE TABLE tokens_met (
        number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
    CREATE TABLE tariffs (hash TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (
        session_id TEXT PRIMARY KEY, document TEXT NOT NULL, tariff TEXT, told INTEGER NOT NULL DEFAULT 0,
        place TEXT) WITHOUT ROWID;
    CREATE INDEX sessions_untold ON sessions (told) WHERE told = 0;
    CREATE TABLE cdrs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
        derived_at TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT,
        location TEXT, delivered_at TEXT);
    CREATE INDEX cdrs_open ON cdrs (state) WHERE state NOT IN ('delivered', 'held');
    CREATE TABLE trouble (what TEXT PRIMARY KEY, at TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL)
        WITHOUT ROWID;
    """,
    ),
)
MOST_MET = 10_000
"""Tokens that a real-time answer named, kept so that their sessions have an owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCdr:
    """A CDR on its way; `document` is the JSON of 2.3.0, as it was made."""

    session_id: str
    document: str
    state: CdrState
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCdr:
    """A CDR that was made just now; `reason` says why it cannot be told to anybody. `before`: its session ended before
    this store was there, so the peer may have it from a store that was lost."""

    session_id: str
    document: str
    reason: str | None = None
    before: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session as it is now, None while it cannot be told; with its place as at its start, and its tariff."""

    session_id: str
    document: str | None
    place: str | None
    tariff: TariffSnapshot | None


class OCPIStore:
    """The store, open for its one writer. Safe in threads; `close` it."""

    def __init__(self, path: Path, at: datetime) -> None:
        """Raises StoreError."""
        self._connection = open_writer(path, SCHEMA)
        self._turn = threading.Lock()
        with self._work() as connection:
            connection.execute("INSERT OR IGNORE INTO begun VALUES (1, ?)", (at.isoformat(),))

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _work(self) -> Iterator[sqlite3.Connection]:
        """One transaction. Raises StoreError."""
        with self._turn:
            try:
                with self._connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
            except sqlite3.Error as error:
                raise StoreError(f"ocpi.db: {error}") from error

    def begun_at(self) -> datetime:
        """Since when this file is there."""
        with self._work() as connection:
            return datetime.fromisoformat(connection.execute("SELECT at FROM begun").fetchone()[0])

    # --- the peer

    def peer(self) -> KeptPeer | None:
        """The peer, None before it was met. Raises StoreError."""
        with self._work() as connection:
            return read_peer(connection)

    def keep_peer(self, peer: KeptPeer) -> None:
        """Keep what the peer is from now on. Raises StoreError."""
        with self._work() as connection:
            connection.execute("INSERT OR REPLACE INTO peer VALUES (1, ?)", (encode(peer).decode(),))

    def crawl(self) -> KeptCrawl | None:
        """How far its tokens were read. Raises StoreError."""
        with self._work() as connection:
            return read_crawl(connection)

    def keep_crawl(self, crawl: KeptCrawl) -> None:
        """Keep it. Raises StoreError."""
        with self._work() as connection:
            connection.execute("INSERT OR REPLACE INTO crawl VALUES (1, ?)", (encode(crawl).decode(),))

    def meet(self, token: Token) -> None:
        """Keep a token that a real-time answer named; of MOST_MET the oldest goes. Raises StoreError."""
        name = bearer_key(token.uid)
        with self._work() as connection:
            connection.execute("DELETE FROM tokens_met WHERE name = ?", (name,))
            connection.execute("INSERT INTO tokens_met (name, body) VALUES (?, ?)", (name, encode(token).decode()))
            connection.execute(
                "DELETE FROM tokens_met WHERE number <= (SELECT max(number) FROM tokens_met) - ?", (MOST_MET,)
            )

    def met(self, token: TokenRef) -> Token | None:
        """A token that an answer named. Raises StoreError."""
        with self._work() as connection:
            row = connection.execute("SELECT body FROM tokens_met WHERE name = ?", (bearer_key(token.uid),)).fetchone()
        return None if row is None else decode(Token, row[0], "stored token")

    def note(self, trouble: KeptTrouble | None, what: str) -> None:
        """Keep what is wrong with a part, None: nothing is. Raises StoreError."""
        with self._work() as connection:
            connection.execute("DELETE FROM trouble WHERE what = ?", (what,))
            if trouble is not None:
                row = (what, trouble.at.isoformat(), trouble.code, trouble.message[:500])
                connection.execute("INSERT INTO trouble VALUES (?, ?, ?, ?)", row)

    # --- sessions and CDRs

    def keep(self, sessions: Sequence[NewSession], cdrs: Sequence[NewCdr], at: datetime) -> int:
        """Keep what came of records, in one transaction; how many CDRs are new. Rule 2. Raises StoreError."""
        with self._work() as connection:
            for session in sessions:
                _keep_session(connection, session)
            return sum(_keep_cdr(connection, cdr, at) for cdr in cdrs)

    def pinned(self) -> dict[str, TariffSnapshot]:
        """The tariffs that sessions were begun with whose CDR is not made yet. Raises StoreError."""
        with self._work() as connection:
            rows = connection.execute(
                "SELECT session_id, body FROM sessions JOIN tariffs ON hash = tariff WHERE NOT EXISTS"
                " (SELECT 1 FROM cdrs WHERE cdrs.session_id = sessions.session_id)"
            ).fetchall()
        return {row[0]: decode(TariffSnapshot, row[1], "stored tariff") for row in rows}

    def place_of(self, session_id: str) -> str | None:
        """The place of a session as it was at its start, JSON. Raises StoreError."""
        with self._work() as connection:
            row = connection.execute("SELECT place FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
        return None if row is None else row[0]

    def is_settled(self, session_id: str) -> bool:
        """Whether the CDR of a session was made. Raises StoreError."""
        with self._work() as connection:
            return connection.execute("SELECT 1 FROM cdrs WHERE session_id = ?", (session_id,)).fetchone() is not None

    def untold(self) -> list[tuple[str, str]]:
        """Sessions that changed since the peer was told of them: id and document. Raises StoreError."""
        with self._work() as connection:
            return connection.execute("SELECT session_id, document FROM sessions WHERE told = 0").fetchall()

    def told(self, session_id: str, document: str) -> None:
        """The peer has this document of the session. Raises StoreError."""
        with self._work() as connection:
            connection.execute(
                "UPDATE sessions SET told = 1 WHERE session_id = ? AND document = ?", (session_id, document)
            )

    def waiting(self) -> list[KeptCdr]:
        """The CDRs that the peer is to have and does not, the oldest first. Raises StoreError."""
        with self._work() as connection:
            rows = connection.execute(
                "SELECT session_id, document, state, attempts FROM cdrs"
                " WHERE state NOT IN ('delivered', 'held') ORDER BY number"
            ).fetchall()
        return [KeptCdr(session_id=row[0], document=row[1], state=CdrState(row[2]), attempts=row[3]) for row in rows]

    def sending(self, session_id: str) -> None:
        """A CDR is about to be sent: from now on it is uncertain whether the peer has it. Raises StoreError."""
        with self._work() as connection:
            connection.execute(
                "UPDATE cdrs SET state = 'uncertain', attempts = attempts + 1 WHERE session_id = ?", (session_id,)
            )

    def refused(self, session_id: str, reason: str) -> None:
        """The peer does not take a CDR, and does not have it. Raises StoreError."""
        with self._work() as connection:
            change = "UPDATE cdrs SET state = 'refused', reason = ? WHERE session_id = ?"
            connection.execute(change, (reason[:500], session_id))

    def delivered(self, session_id: str, location: str | None, at: datetime) -> None:
        """The peer has a CDR, at `location` if it said so. What was told of its session goes. Raises StoreError."""
        with self._work() as connection:
            connection.execute(
                "UPDATE cdrs SET state = 'delivered', reason = NULL, location = ?, delivered_at = ?"
                " WHERE session_id = ?",
                (location, at.isoformat(), session_id),
            )
            connection.execute("DELETE FROM sessions WHERE session_id = ? AND told = 1", (session_id,))

    def last_location(self) -> tuple[str, str] | None:
        """The session and the Location of a CDR that was delivered last; how the peer names them. Raises StoreError."""
        with self._work() as connection:
            row: tuple[str, str] | None = connection.execute(
                "SELECT session_id, location FROM cdrs WHERE location IS NOT NULL ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return row

    def backlog(self) -> Backlog:
        """What waits. Raises StoreError."""
        with self._work() as connection:
            return read_backlog(connection)


def _keep_session(connection: sqlite3.Connection, session: NewSession) -> None:
    hash_ = None
    if session.tariff is not None:
        hash_ = session.tariff.hash
        connection.execute("INSERT OR IGNORE INTO tariffs VALUES (?, ?)", (hash_, encode(session.tariff).decode()))
    row = connection.execute("SELECT document FROM sessions WHERE session_id = ?", (session.session_id,)).fetchone()
    document = session.document or ""
    if row is None:
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            (session.session_id, document, hash_, not document, session.place),
        )
        return
    connection.execute(
        "UPDATE sessions SET tariff = coalesce(?, tariff), place = coalesce(place, ?) WHERE session_id = ?",
        (hash_, session.place, session.session_id),
    )
    if document and _says(document) != _says(row[0]):
        change = "UPDATE sessions SET document = ?, told = 0 WHERE session_id = ?"
        connection.execute(change, (document, session.session_id))


def _says(document: str) -> object:
    """What a session's document says, whenever it was made."""
    found = msgspec.json.decode(document) if document else {}
    return {name: value for name, value in found.items() if name != "last_updated"}


def _keep_cdr(connection: sqlite3.Connection, cdr: NewCdr, at: datetime) -> int:
    state = CdrState.HELD if cdr.reason is not None else CdrState.UNCERTAIN if cdr.before else CdrState.QUEUED
    row = (cdr.session_id, cdr.document, at.isoformat(), state.value, cdr.reason)
    return connection.execute(
        "INSERT OR IGNORE INTO cdrs (session_id, document, derived_at, state, reason) VALUES (?, ?, ?, ?, ?)", row
    ).rowcount
