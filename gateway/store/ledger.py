"""The ledger: the chain of evidence, the outbox and what the gateway must remember about chargers and sessions.

Rules
1. Everything a charger's transaction message causes is written in one piece of work: record, session and reply.
   A crash before the commit: the charger repeats the message. After it: the repeat finds the stored reply.
2. `seq` is given here from the last record and never reused; the last record is never deleted.
3. A message is recognised by what it says (`wire.ocpp.content`) within its session, not by its wire id.
4. A 1.6 transactionId is drawn by chance (`gateway.store.sessions`): positive, below 2^31, never given twice to a
   charger, durable before it is answered. So neither a lost store nor one that was put back gives old ids again.
5. The position the hub acknowledged is a cursor; it lags harmlessly and never leads.
6. The last of the budget is kept for what frees room: the hub's acknowledgements, tombstones, the audit log. Without it
   a store that is full could not even take note that its records have arrived.
7. What a record says may be let go (`gateway.store.release`), and later its row with all others of its tile
   (`gateway.store.segments`): chain and tree stand on what is kept in their place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.clock import Moment
from gateway.errors import StoreError
from gateway.store import (
    chargers,
    commands,
    credentials,
    decisions,
    earlier,
    local_lists,
    lost_frames,
    notices,
    quirks,
    receipts,
    release,
    segments,
    sequences,
    tree,
    unkept,
    variables,
)
from gateway.store.database import Schema, open_reader, open_writer
from gateway.store.segments import dropped
from gateway.store.tip import LedgerConnection, tip_of
from wire.chain import GENESIS_HASH, Record, RecordKind, instant_text
from wire.records import ClockState, Value, encode

_REUSED_IDS = """
    CREATE TABLE sessions_anew (
        session_no INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL UNIQUE,
        charger_id TEXT NOT NULL COLLATE NOCASE, transaction_id TEXT NOT NULL, evse_id INTEGER NOT NULL,
        id_tag TEXT, start_key BLOB, started_at TEXT NOT NULL, ended_at TEXT, reuse INTEGER NOT NULL DEFAULT 0,
        start_wh REAL, last_wh REAL, UNIQUE (charger_id, transaction_id, reuse));
    INSERT INTO sessions_anew (session_no, session_id, charger_id, transaction_id, evse_id, id_tag, start_key,
        started_at, ended_at) SELECT session_no, session_id, charger_id, transaction_id, evse_id, id_tag, start_key,
        started_at, ended_at FROM sessions;
    DELETE FROM sqlite_sequence WHERE name = 'sessions_anew';
    INSERT INTO sqlite_sequence SELECT 'sessions_anew', seq FROM sqlite_sequence WHERE name = 'sessions';
    DROP TABLE sessions;
    ALTER TABLE sessions_anew RENAME TO sessions;
    CREATE INDEX sessions_by_start ON sessions (charger_id, start_key) WHERE start_key IS NOT NULL;
"""
"""A transaction id may come again (`reuse`); and the registers of 1.6 sessions tell whose an end is that has no number.
What numbers were given stays as it was (rule 4)."""

_LOOKED_BACK = 1000
OWN_PAGES, OWN_SHARE = 256, 32
_FROM_STATIONS = (RecordKind.TRANSACTION, RecordKind.DECISION)
PAGE_BYTES = 8 * 1024 * 1024
"""Of record bodies that are read at a time."""

SCHEMA = Schema(
    name="ledger",
    application_id=0x504E434C,
    migrations=(
        """
    CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), gateway_id TEXT NOT NULL, epoch TEXT NOT NULL);
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, at TEXT NOT NULL, boot_id TEXT NOT NULL,
        mono_ns INTEGER NOT NULL, clock TEXT NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL);
    CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), acked_seq INTEGER NOT NULL);
    INSERT INTO position VALUES (1, 0);
    CREATE TABLE chargers (
        charger_id TEXT PRIMARY KEY COLLATE NOCASE, ocpp TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL,
        boot_at TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE sessions (
        session_no INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL UNIQUE,
        charger_id TEXT NOT NULL COLLATE NOCASE, transaction_id TEXT NOT NULL, evse_id INTEGER NOT NULL,
        id_tag TEXT, start_key BLOB, started_at TEXT NOT NULL, ended_at TEXT,
        UNIQUE (charger_id, transaction_id));
    CREATE INDEX sessions_by_start ON sessions (charger_id, start_key) WHERE start_key IS NOT NULL;
    CREATE TABLE seen (
        bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, reply TEXT NOT NULL,
        PRIMARY KEY (bucket, key)) WITHOUT ROWID;
    CREATE TABLE decisions (
        charger_id TEXT NOT NULL COLLATE NOCASE, token TEXT NOT NULL COLLATE NOCASE, body TEXT NOT NULL,
        PRIMARY KEY (charger_id, token)) WITHOUT ROWID;
    CREATE TABLE quarantine (seq INTEGER PRIMARY KEY, charger_id TEXT NOT NULL, reason TEXT NOT NULL);
    CREATE TABLE chains (leaf_sha256 TEXT PRIMARY KEY, pem TEXT NOT NULL, learned_at TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
    """,
        notices.TABLES
        + quirks.TABLES
        + credentials.TABLES
        + commands.TABLES
        + chargers.TABLES
        + variables.TABLES
        + local_lists.TABLES
        + sequences.TABLES
        + _REUSED_IDS
        + lost_frames.TABLES
        + decisions.TABLES,
        """
    ALTER TABLE records ADD COLUMN salt TEXT NOT NULL DEFAULT '';
    ALTER TABLE records ADD COLUMN commitment TEXT;
    """
        + tree.TABLES
        + receipts.TABLES
        + release.TABLES,
        segments.TABLES + unkept.TABLES + earlier.TABLES,
    ),
)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: sequence number 0 and the genesis hash when nothing is stored."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose chain this store holds."""

    gateway_id: str
    epoch: str


def open_ledger(
    path: Path, gateway_id: str, epoch: str, at: datetime, max_pages: int | None = None
) -> sqlite3.Connection:
    """The read-write connection to the ledger; a fresh one takes `epoch` as its name for this life of the store.

    `max_pages`: its budget, in pages; of that OWN_PAGES, or a part in OWN_SHARE, are not for what stations cause.

    A store of an earlier version gets its key and its tiles, about ten seconds for a million records.

    Raises:
        StoreError: unusable, or it belongs to another gateway, or the end of its chain is damaged.
    """
    own_pages = 0 if max_pages is None else min(OWN_PAGES, max_pages // OWN_SHARE)
    connection = open_writer(path, SCHEMA, LedgerConnection, max_pages, own_pages)
    try:
        owner = _owner(connection, path) or _take(connection, Identity(gateway_id, epoch), at)
        if owner.gateway_id != gateway_id:
            message = f"{path} belongs to gateway {owner.gateway_id!r}, the configuration says {gateway_id!r}"
            raise StoreError(f"{message}; use another state_dir")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            tree.take_log_key(connection)
            tree.make_missing_tiles(connection, head(connection).seq)
        tip_of(connection, (owner.gateway_id, owner.epoch))
        if max_pages is not None and isinstance(connection, LedgerConnection):
            connection.pages_for_stations = max_pages - own_pages
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def _take(connection: sqlite3.Connection, owner: Identity, at: datetime) -> Identity:
    """The owner of a fresh store, from now on; also says where its transaction numbers start."""
    first = number_at(at)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO identity VALUES (1, ?, ?)", (owner.gateway_id, owner.epoch))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('sessions', ?)", (first,))
    return owner


def number_at(at: datetime) -> int:
    """The figure that the time makes: a store whose numbers start there gives none that one before it gave."""
    minutes = int((at - datetime(2020, 1, 1, tzinfo=at.tzinfo)).total_seconds() // 60)
    return min(max(minutes, 0) * 100, 2**30)


def _owner(connection: sqlite3.Connection, path: Path) -> Identity | None:
    """Whose chain this is; None before a store was taken. Raises StoreError when this is no ledger."""
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'identity'").fetchone()[0] == 0:
        raise StoreError(f"{path}: not a gateway's ledger")
    row = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    return None if row is None else Identity(gateway_id=row[0], epoch=row[1])


def open_ledger_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing ledger. Raises StoreError."""
    connection = open_reader(path)
    try:
        if _owner(connection, path) is None:
            raise StoreError(f"{path}: has no owner yet; the gateway never ran with it")
        if connection.execute("PRAGMA user_version").fetchone()[0] < len(SCHEMA.migrations):
            raise StoreError(f"{path}: of an earlier version; start the gateway once, which brings it up to date")
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection


def identity(connection: sqlite3.Connection) -> Identity:
    """Whose chain this is."""
    row = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
    return Identity(gateway_id=row[0], epoch=row[1])


def head(connection: sqlite3.Connection) -> Head:
    """The end of the chain."""
    row = connection.execute("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(0, GENESIS_HASH) if row is None else Head(row[0], row[1])


def hash_at(connection: sqlite3.Connection, seq: int) -> str | None:
    """The hash of record `seq`; the genesis hash for 0; None when it is not held."""
    gone = dropped(connection)
    if seq == 0:
        return GENESIS_HASH
    if seq == gone.seq:
        return gone.hash
    row = connection.execute("SELECT hash FROM records WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else str(row[0])


def append(connection: sqlite3.Connection, owner: Identity, kind: RecordKind, body: Value, now: Moment) -> int:
    """The sequence number of a new record that holds `body`. To be called inside a transaction. Raises StoreError when
    the end of the chain is damaged, and NoRoom for what a station causes where the budget is spent."""
    if kind in _FROM_STATIONS and isinstance(connection, LedgerConnection):
        connection.require_room()
    stamp = (kind.value, instant_text(now.at), now.boot_id, now.mono_ns, now.clock.value)
    return tip_of(connection, (owner.gateway_id, owner.epoch)).append(connection, stamp, encode(body))


def read_records(connection: sqlite3.Connection, after: int, limit: int, max_bytes: int) -> list[Record]:
    """Consecutive records after sequence number `after`: at most `limit`, at most `max_bytes` of bodies, at least one
    if there is any. Raises StoreError when they cannot be read, and when rows behind `after` were dropped
    (`gateway.store.segments`): what follows them would not continue it."""
    gone = dropped(connection).seq
    if after < gone:
        message = f"records {after + 1} to {gone} were countersigned by the hub, and are not kept here any more"
        raise StoreError(message)
    records: list[Record] = []
    size = 0
    for record in _select(connection, after, limit):
        size += len(record.body)
        if records and size > max_bytes:
            break
        records.append(record)
    return records


def all_records(connection: sqlite3.Connection) -> Iterator[Record]:
    """Every record that is kept, in order, read in pages so that no read transaction stands long. Raises StoreError."""
    after = dropped(connection).seq
    while page := read_records(connection, after, 1000, PAGE_BYTES):
        yield from page
        after = page[-1].seq


def _select(connection: sqlite3.Connection, after: int, limit: int) -> Iterator[Record]:
    """Record by record: one may have megabytes."""
    try:
        rows = connection.execute(
            "SELECT seq, kind, at, boot_id, mono_ns, clock, body, hash, salt, commitment FROM records "
            "WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        for seq, kind, at, boot_id, mono_ns, clock, body, hash_, salt, commitment in rows:
            yield Record(
                seq=seq,
                kind=RecordKind(kind),
                at=datetime.fromisoformat(at),
                boot_id=boot_id,
                mono_ns=mono_ns,
                clock=ClockState(clock),
                body=body,
                hash=hash_,
                salt=salt,
                commitment=commitment,
            )
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise StoreError(f"the ledger is damaged among records {after + 1} to {after + limit}: {error}") from error


def acked_seq(connection: sqlite3.Connection) -> int:
    """Up to where the hub has acknowledged, as far as this store knows."""
    return int(connection.execute("SELECT acked_seq FROM position").fetchone()[0])


def last_trusted_at(connection: sqlite3.Connection) -> datetime | None:
    """The latest instant of a trusted clock among the newest records; None when none of them has one."""
    row = connection.execute(
        "SELECT max(at) FROM (SELECT at, clock FROM records ORDER BY seq DESC LIMIT ?) WHERE clock = ?",
        (_LOOKED_BACK, ClockState.TRUSTED.value),
    ).fetchone()
    return None if row[0] is None else datetime.fromisoformat(row[0])


def move_position(connection: sqlite3.Connection, acked: int) -> None:
    """Note the hub's position; it may also go back, when the hub was restored from a backup. With a position there is
    one history again, so an earlier halt is over."""
    connection.execute("UPDATE position SET acked_seq = ?", (acked,))
    connection.execute("DELETE FROM notes WHERE name = 'uplink-halted'")


def note_halt(connection: sqlite3.Connection, reason: str) -> None:
    """Keep why the sending has stopped for good, for `pnc-gateway status`."""
    connection.execute("INSERT OR REPLACE INTO notes VALUES ('uplink-halted', ?)", (reason,))


def halted(connection: sqlite3.Connection) -> str | None:
    """Why the sending has stopped for good, None while it has not."""
    row = connection.execute("SELECT text FROM notes WHERE name = 'uplink-halted'").fetchone()
    return None if row is None else str(row[0])
