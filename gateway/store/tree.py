"""The Merkle tree over the records (`wire.merkle`): its tiles, kept with the record that completes them, and the heads
that are signed over it.

Rules
1. A tile is written in the transaction of the record that completes it, and is rolled back with it.
2. Tiles are made from the hashes of the records alone. What is missing of them, as in a store of an earlier version, is
   made when the store is opened.
3. The key of the log is made with the store and lives as long as its epoch.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from gateway.errors import StoreError
from wire.merkle import (
    TILE_LEVELS,
    TILE_WIDTH,
    ProofError,
    TiledTree,
    completed_tiles,
    consistency_proof,
    fold,
    inclusion_proof,
    leaf_hashes,
    tree_root,
)
from wire.tree_head import SignedTreeHead, SigningKey, TreeHead

TABLES = """
    CREATE TABLE tiles (
        level INTEGER NOT NULL, number INTEGER NOT NULL, root BLOB NOT NULL, PRIMARY KEY (level, number)) WITHOUT ROWID;
    CREATE TABLE log_key (one INTEGER PRIMARY KEY CHECK (one = 1), secret BLOB NOT NULL, public_key TEXT NOT NULL);
"""

_INSERT = "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)"


class KeptTree:
    """The records and tiles of a store, as `TiledTree` reads them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def entries(self, first: int, count: int) -> Sequence[bytes]:
        """The hashes of `count` records from number `first` + 1 on. Raises StoreError for one that is no hash."""
        return kept_hashes(self._connection, first, count)

    def tiles(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """`count` tiles of a level from number `first` on."""
        rows = self._connection.execute(
            "SELECT root FROM tiles WHERE level = ? AND number >= ? AND number < ? ORDER BY number",
            (level, first, first + count),
        )
        return [row[0] for row in rows]


def kept_hashes(connection: sqlite3.Connection, after: int, count: int) -> list[bytes]:
    """The hashes of the records behind number `after`, at most `count`. Raises StoreError for one that is no hash."""
    try:
        rows = connection.execute(
            "SELECT hash FROM records WHERE seq > ? AND seq <= ? ORDER BY seq", (after, after + count)
        ).fetchall()
        return [bytes.fromhex(row[0]) for row in rows]
    except (ValueError, TypeError, sqlite3.OperationalError) as error:  # The last: text that is no UTF-8.
        message = f"the ledger is damaged: the hash of a record among {after + 1} to {after + count} is none"
        raise StoreError(f"{message}; `pnc-gateway ledger verify` says which") from error


def keep_tiles(connection: sqlite3.Connection, size: int, entries: Sequence[bytes]) -> None:
    """Write the tiles that record number `size`, a multiple of 256, completes; `entries` are the last 256 hashes. To be
    called in the transaction of that record."""
    connection.execute(_INSERT, (1, size // TILE_WIDTH - 1, fold(leaf_hashes(entries))))
    tree = TiledTree(KeptTree(connection))
    for level, number in completed_tiles(size):
        if level > 1:
            connection.execute(_INSERT, (level, number, tree.tile(level, number)))


def make_missing_tiles(connection: sqlite3.Connection, size: int) -> int:
    """Write the tiles of a log of `size` records that are not there; says how many. About ten seconds for a million
    records without any. What damaged records do not give stays missing: the site has to go on, and whoever asks for a
    proof is told."""
    tree, made, level, full = TiledTree(KeptTree(connection)), 0, 1, size // TILE_WIDTH
    while full:
        rows = connection.execute("SELECT number FROM tiles WHERE level = ? AND number < ?", (level, full)).fetchall()
        there = {row[0] for row in rows}
        for number in range(full) if len(there) < full else ():
            if number not in there:
                made += _make_tile(connection, tree, level, number)
        level, full = level + 1, full >> TILE_LEVELS
    return made


def _make_tile(connection: sqlite3.Connection, tree: TiledTree, level: int, number: int) -> bool:
    try:
        root = tree.tile(level, number)
    except (ProofError, StoreError):
        return False
    connection.execute(_INSERT, (level, number, root))
    return True


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key of this store's log; `public_key` (hex) is as it was written down when the key was made."""

    key: SigningKey
    public_key: str


def take_log_key(connection: sqlite3.Connection) -> None:
    """Make the key of the log if there is none. To be called in a transaction."""
    if connection.execute("SELECT count(*) FROM log_key").fetchone()[0] == 0:
        secret = os.urandom(32)
        connection.execute("INSERT INTO log_key VALUES (1, ?, ?)", (secret, SigningKey(secret).public_key))


def log_key(connection: sqlite3.Connection) -> LogKey:
    """The key of this store's log. Raises StoreError when it is missing or damaged."""
    row = connection.execute("SELECT secret, public_key FROM log_key").fetchone()
    if row is None:
        raise StoreError("the ledger has no key of its log yet: start the gateway once")
    try:
        key = SigningKey(row[0])
    except (ValueError, TypeError) as error:
        raise StoreError("the ledger is damaged: the key of its log cannot be read") from error
    if key.public_key != row[1]:
        raise StoreError(f"the ledger is damaged: the key of its log is not that of {str(row[1])[:16]}")
    return LogKey(key, row[1])


@dataclass(frozen=True, slots=True)
class OfferedHead:
    """A signed head, and the proof (hex) that its log begins with an earlier one."""

    signed: SignedTreeHead
    consistency: tuple[str, ...]


def sign_head(
    connection: sqlite3.Connection, key: SigningKey, gateway_id: str, epoch: str, sizes: tuple[int, int], at: datetime
) -> OfferedHead:
    """The signed head of the log of `sizes[1]` records, and the proof that leads to it from `sizes[0]` records.

    Raises:
        ProofError: records or tiles are missing.
        StoreError: a hash cannot be read.
    """
    old_size, size = sizes
    subtree = cache(TiledTree(KeptTree(connection)).subtree)  # Root and proof are made of the same subtrees.
    root = tree_root(size, subtree).hex()
    proof = consistency_proof(old_size, size, subtree)
    head = TreeHead(gateway_id=gateway_id, epoch=epoch, size=size, root=root, at=at)
    return OfferedHead(key.sign_head(head), tuple(node.hex() for node in proof))


def prove_inclusion(connection: sqlite3.Connection, seq: int, size: int) -> tuple[str, ...]:
    """The hashes (hex) that lead from record `seq` to the root over `size` records. Raises ProofError, StoreError, and
    ValueError when there is no such record among them."""
    return tuple(node.hex() for node in inclusion_proof(seq - 1, size, TiledTree(KeptTree(connection)).subtree))
