"""What each station's local list is known to hold, and what was sent to it without an answer yet.

Rules
1. A piece of a list is noted as offered before it is sent, and as held once the station accepted it; so a restart, or a
   connection that ends in between, leaves two versions that the station can have, and it says which.
2. What a station refused teaches how much it can take (`Learned`); a boot may have changed that, and forgets it.
3. Everything here runs inside the writer's transaction, except the reading functions. A station's list has at most a
   few thousand entries ([offline] list_entries).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.decide.local_list import Entry, Piece, apply_piece
from wire.records import Value, decode, encode

TABLES = """
    CREATE TABLE local_lists (
        charger_id TEXT PRIMARY KEY COLLATE NOCASE, version INTEGER NOT NULL, highest INTEGER NOT NULL, offer TEXT,
        entry_limit INTEGER, message_limit INTEGER, differential INTEGER NOT NULL, cache_cleared_for TEXT NOT NULL,
        state TEXT NOT NULL, wanted INTEGER NOT NULL, fits INTEGER NOT NULL, left_out TEXT NOT NULL, problem TEXT,
        at TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE local_list_entries (
        charger_id TEXT NOT NULL COLLATE NOCASE, key TEXT NOT NULL, accepted INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (charger_id, key)) WITHOUT ROWID;
    CREATE INDEX local_list_entries_by_key ON local_list_entries (key);
    """


NOBODY_KNOWS = -1
"""The version of a list after a refusal: no station reports it."""


class ListState(StrEnum):
    """How a station's list stands."""

    UNTOUCHED = "untouched"
    IN_STEP = "in step"
    BEHIND = "behind"
    NOT_SUPPORTED = "not supported"


class Learned(Value, frozen=True, kw_only=True):
    """What refusals taught: entries in all, entries in one message, and whether Differentials are taken."""

    entries: int | None = None
    per_message: int | None = None
    differential: bool = True


class Standing(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How the list stands, for people: `wanted` tokens may be given, `fits` of them have room; `left_out` by reason."""

    state: ListState = ListState.UNTOUCHED
    wanted: int = 0
    fits: int = 0
    left_out: dict[str, int] = msgspec.field(default_factory=dict)
    problem: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredList:
    """All that is known of a station's list. `highest`: the latest version that was given to it. `cache_cleared_for`:
    blocked tokens for whose sake its cache was cleared."""

    version: int = 0
    highest: int = 0
    offer: Piece | None = None
    entries: Mapping[str, Entry] = field(default_factory=dict)
    learned: Learned = field(default_factory=Learned)
    cache_cleared_for: frozenset[str] = frozenset()
    standing: Standing = field(default_factory=Standing)


_HEAD = "version, highest, offer, entry_limit, message_limit, differential, cache_cleared_for"
_STANDING = "state, wanted, fits, left_out, problem, at"


def read_list(connection: sqlite3.Connection, charger_id: str) -> StoredList:
    """What is known of the station's list; nothing held for one that was never given any."""
    row = connection.execute(
        f"SELECT {_HEAD}, {_STANDING} FROM local_lists WHERE charger_id = ?", (charger_id,)
    ).fetchone()
    if row is None:
        return StoredList()
    rows = connection.execute("SELECT body FROM local_list_entries WHERE charger_id = ?", (charger_id,)).fetchall()
    entries = [decode(Entry, body, "stored list entry") for (body,) in rows]
    version, highest, offer, entry_limit, message_limit, differential, cleared, *standing = row
    return StoredList(
        version=version,
        highest=highest,
        offer=None if offer is None else decode(Piece, offer, "offered piece of a list"),
        entries={entry.key: entry for entry in entries},
        learned=Learned(entries=entry_limit, per_message=message_limit, differential=bool(differential)),
        cache_cleared_for=decode(frozenset[str], cleared, "tokens of a cleared cache"),
        standing=_standing(standing),
    )


def read_standings(connection: sqlite3.Connection) -> dict[str, tuple[Standing, int]]:
    """How each station's list stands and how many entries it holds, by charger id."""
    counts = connection.execute("SELECT charger_id, count(*) FROM local_list_entries GROUP BY charger_id")
    held = {charger_id.casefold(): count for charger_id, count in counts}
    rows = connection.execute(f"SELECT charger_id, {_STANDING} FROM local_lists ORDER BY charger_id")
    return {charger_id: (_standing(row), held.get(charger_id.casefold(), 0)) for charger_id, *row in rows}


def _standing(row: list[object]) -> Standing:
    state, wanted, fits, left_out, problem, at = row
    return Standing(
        state=ListState(str(state)),
        wanted=int(str(wanted)),
        fits=int(str(fits)),
        left_out=decode(dict[str, int], str(left_out), "left out of a list"),
        problem=None if problem is None else str(problem),
        at=datetime.fromisoformat(str(at)),
    )


def holders(connection: sqlite3.Connection, keys: Collection[str]) -> set[str]:
    """The stations whose list holds one of `keys` as a good token. One lookup for each key."""
    found: set[str] = set()
    for key in keys:
        rows = connection.execute("SELECT charger_id FROM local_list_entries WHERE key = ? AND accepted = 1", (key,))
        found.update(row[0] for row in rows)
    return found


def offer_piece(connection: sqlite3.Connection, charger_id: str, piece: Piece, at: datetime) -> None:
    """Note that `piece` is about to be sent. Rule 1."""
    _ensure(connection, charger_id, at)
    connection.execute(
        "UPDATE local_lists SET offer = ?, highest = ? WHERE charger_id = ?",
        (encode(piece).decode(), piece.version, charger_id),
    )


def accept_piece(connection: sqlite3.Connection, charger_id: str, version: int) -> None:
    """The station holds what it was offered as `version`; nothing happens if another piece was offered meanwhile."""
    row = connection.execute("SELECT offer FROM local_lists WHERE charger_id = ?", (charger_id,)).fetchone()
    if row is None or row[0] is None:
        return
    piece = decode(Piece, row[0], "offered piece of a list")
    if piece.version != version:
        return
    if piece.full:
        connection.execute("DELETE FROM local_list_entries WHERE charger_id = ?", (charger_id,))
    gone = [(charger_id, entry.key) for entry in piece.drop]
    connection.executemany("DELETE FROM local_list_entries WHERE charger_id = ? AND key = ?", gone)
    _put(connection, charger_id, apply_piece({}, Piece(version=piece.version, full=True, put=piece.put)))
    connection.execute(
        "UPDATE local_lists SET version = ?, offer = NULL WHERE charger_id = ?", (piece.version, charger_id)
    )


def settle(connection: sqlite3.Connection, charger_id: str, version: int, *, empty: bool, at: datetime) -> None:
    """The station says that it holds what was acknowledged last, as `version`, and not what was offered after it;
    `empty`: it holds nothing."""
    _ensure(connection, charger_id, at)
    if empty:
        connection.execute("DELETE FROM local_list_entries WHERE charger_id = ?", (charger_id,))
    connection.execute("UPDATE local_lists SET version = ?, offer = NULL WHERE charger_id = ?", (version, charger_id))


def _put(connection: sqlite3.Connection, charger_id: str, entries: Mapping[str, Entry]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO local_list_entries VALUES (?, ?, ?, ?)",
        [(charger_id, key, int(entry.status == "Accepted"), encode(entry).decode()) for key, entry in entries.items()],
    )


def learn(connection: sqlite3.Connection, charger_id: str, learned: Learned, at: datetime) -> None:
    """Keep what a refusal taught; `Learned()` forgets."""
    _ensure(connection, charger_id, at)
    connection.execute(
        "UPDATE local_lists SET entry_limit = ?, message_limit = ?, differential = ? WHERE charger_id = ?",
        (learned.entries, learned.per_message, int(learned.differential), charger_id),
    )


def note_standing(connection: sqlite3.Connection, charger_id: str, standing: Standing, at: datetime) -> None:
    """Keep how the list stands since `at`."""
    _ensure(connection, charger_id, at)
    connection.execute(
        "UPDATE local_lists SET state = ?, wanted = ?, fits = ?, left_out = ?, problem = ?, at = ?"
        " WHERE charger_id = ?",
        (
            standing.state.value,
            standing.wanted,
            standing.fits,
            encode(standing.left_out).decode(),
            standing.problem,
            at.isoformat(),
            charger_id,
        ),
    )


def note_cleared(connection: sqlite3.Connection, charger_id: str, keys: Collection[str], at: datetime) -> None:
    """Keep for which blocked tokens the station's cache was cleared."""
    _ensure(connection, charger_id, at)
    connection.execute(
        "UPDATE local_lists SET cache_cleared_for = ? WHERE charger_id = ?",
        (encode(sorted(keys)).decode(), charger_id),
    )


def _ensure(connection: sqlite3.Connection, charger_id: str, at: datetime) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO local_lists VALUES (?, 0, 0, NULL, NULL, NULL, 1, '[]', ?, 0, 0, '{}', NULL, ?)",
        (charger_id, ListState.UNTOUCHED.value, at.isoformat()),
    )
