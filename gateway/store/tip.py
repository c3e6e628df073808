"""The end of the chain as the writing connection left it, so that not every record has to look for it.

Rules
1. It is remembered with its connection and never believed: SQLite gives a new record the number behind the last one,
   and where that is not the number which was expected, something was rolled back. The record is then taken out again,
   the end is read anew, and the record is written as it should be.
2. Outside a transaction nothing is remembered: there a wrong record could be seen by others.
"""

from __future__ import annotations

import os
import sqlite3

from gateway.errors import NoRoom
from gateway.store.tree import keep_tiles, kept_hashes
from wire.chain import GENESIS_HASH, SALT_BYTES, Stamp, commit_to, hash_start, link_hash
from wire.merkle import TILE_WIDTH

_INSERT = "INSERT INTO records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
_SALTS_AT_ONCE = 256


class LedgerConnection(sqlite3.Connection):
    """The writing connection of a ledger, with room for what it remembers."""

    tip: Tip | None = None
    pages_for_stations: int | None = None
    """How long the file may be, in pages, when a station's message or a decision comes; None: as long as it gets."""

    def require_room(self) -> None:
        """Return if there is room for what a station causes. About 2 us. Raises NoRoom."""
        if self.pages_for_stations is None or self._pragma("page_count") < self.pages_for_stations:
            return
        if self._pragma("page_count") - self._pragma("freelist_count") >= self.pages_for_stations:
            raise NoRoom("the ledger has reached its budget, [ledger] max_mb; the rest is for what frees room")

    def _pragma(self, name: str) -> int:
        return int(self.execute(f"PRAGMA {name}").fetchone()[0])


class Tip:
    """The last record's number and hash, and the hashes since the last whole tile. Of one chain and one connection."""

    __slots__ = ("_entries", "_hash", "_insert", "_salts", "_seq", "_start", "chain")

    def __init__(self, connection: sqlite3.Connection, chain: tuple[str, str]) -> None:
        """`chain`: gateway id and epoch. Raises StoreError when a hash cannot be read."""
        self.chain, self._start, self._salts = chain, hash_start(*chain), list[bytes]()
        self._seq, self._hash, self._entries = 0, b"", list[bytes]()
        self._insert = connection.cursor().execute  # One for all records, because each new cursor costs 0.2 us.
        self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> None:
        (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
        rest = seq % TILE_WIDTH
        self._entries = kept_hashes(connection, seq - rest, rest)
        # The last record's row is never dropped, so an empty table is an empty log.
        last = self._entries or kept_hashes(connection, seq - 1, 1) or [bytes.fromhex(GENESIS_HASH)]
        self._seq, self._hash = seq, last[-1]

    def append(self, connection: sqlite3.Connection, stamp: Stamp, body: bytes) -> int:
        """The number of a new record: its salt, commitment, hash, and the tiles that it completes are written too."""
        if not connection.in_transaction:
            self._read(connection)
        if not self._salts:
            octets = os.urandom(SALT_BYTES * _SALTS_AT_ONCE)
            self._salts = [octets[place : place + SALT_BYTES] for place in range(0, len(octets), SALT_BYTES)]
        salt = self._salts.pop()
        commitment = commit_to(salt, body)
        text, salted = body.decode(), salt.hex()
        seq: int = self._seq + 1
        hash_ = link_hash(self._start, self._hash, seq, stamp, commitment)
        given = self._insert(_INSERT, (*stamp, text, hash_.hex(), salted)).lastrowid
        if given != seq:
            connection.execute("DELETE FROM records WHERE seq = ?", (given,))
            self._read(connection)
            seq = self._seq + 1
            hash_ = link_hash(self._start, self._hash, seq, stamp, commitment)
            connection.execute(_INSERT, (*stamp, text, hash_.hex(), salted))
        self._seq, self._hash = seq, hash_
        self._entries.append(hash_)
        if not seq % TILE_WIDTH:
            entries, self._entries = self._entries, []
            if len(entries) == TILE_WIDTH:  # Of a damaged chain records may be missing.
                keep_tiles(connection, seq, entries)
        return seq


def tip_of(connection: sqlite3.Connection, chain: tuple[str, str]) -> Tip:
    """The end of the chain, as this connection remembers it or as it is read. Raises StoreError when a hash cannot be
    read."""
    if not isinstance(connection, LedgerConnection):
        return Tip(connection, chain)
    tip = connection.tip
    if tip is None or tip.chain != chain:
        connection.tip = tip = Tip(connection, chain)
    return tip
