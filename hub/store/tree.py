"""The Merkle tree over a chain, kept beside its records: the frontier to go on from, and the tiles for proofs.

Rules
1. Entry n - 1 of the tree is the hash of record n (wire.chain); the tree is always exactly as long as the chain.
2. Frontier and tiles change in the transaction that stores the records, or not at all.
3. A chain that an earlier version stored gets its tree when the database is opened for writing. That is done again
   from the start if it was interrupted, and never twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain as one_after_another

from hub.errors import StalePosition, StoreError
from hub.store.engine import Connection
from hub.store.ledger import Chain
from hub.tree import Growth, LogStanding, Tile
from wire.merkle import HASH_BYTES, Frontier, KeptLog, TiledTree, leaf_hash, tree_root


class _ChainLog:
    """The log of one chain, read through one connection."""

    def __init__(self, connection: Connection, chain: Chain) -> None:
        self._connection, self._chain = connection, chain

    def entries(self, first: int, count: int) -> list[bytes]:
        """The hashes of `count` records, of which `first` is the number from 0."""
        rows = self._connection.execute(
            "SELECT hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (self._chain.gateway_id, self._chain.epoch, first + 1, first + count),
        )
        return [bytes.fromhex(hash_) for (hash_,) in rows]

    def tiles(self, level: int, first: int, count: int) -> list[bytes]:
        """`count` tiles of a level from number `first` on."""
        rows = self._connection.execute(
            "SELECT root FROM tiles WHERE gateway_id = ? AND epoch = ? AND level = ? AND number BETWEEN ? AND ?"
            " ORDER BY number",
            (self._chain.gateway_id, self._chain.epoch, level, first, first + count - 1),
        )
        return [root for (root,) in rows]


def log_of(connection: Connection, chain: Chain) -> KeptLog:
    """What is kept of a chain's log, for `wire.merkle.TiledTree`."""
    return _ChainLog(connection, chain)


def root_of(connection: Connection, chain: Chain, size: int) -> bytes:
    """The root over the first `size` records, from what is kept of them; a few hundred hashes at most.

    Raises:
        ProofError: not so many records or tiles are there.
    """
    return tree_root(size, TiledTree(log_of(connection, chain)).subtree)


def frontier_in(size: int, blob: bytes) -> Frontier:
    """The end of a tree of `size` records as it is stored.

    Raises:
        StoreError: it has another number of peaks.
    """
    peaks = [blob[place : place + HASH_BYTES] for place in range(0, len(blob), HASH_BYTES)]
    try:
        return Frontier(size, peaks)
    except ValueError as error:
        raise StoreError(f"the tree over a chain is damaged: {error}; `pnc-hub ledger verify` names where") from error


def log_standing(connection: Connection, chain: Chain, first_seq: int, last_seq: int) -> LogStanding:
    """What the hub knows of a chain's log, as far as it matters to a batch of these records.

    Raises:
        ProofError: records or tiles that were stored are not there.
        StoreError: the end of the tree is damaged.
    """
    row = connection.execute(
        "SELECT acked_seq, frontier, log_key FROM gateways WHERE gateway_id = ? AND epoch = ?",
        (chain.gateway_id, chain.epoch),
    ).fetchone()
    size, frontier, log_key = row or (0, b"", None)
    shorter = {length for length in (first_seq - 1, last_seq) if 0 <= length < size}
    roots = {length: root_of(connection, chain, length) for length in shorter}
    return LogStanding(size=size, peaks=frontier_in(size, frontier).peaks, log_key=log_key, roots=roots)


def pin_log_key(connection: Connection, chain: Chain, log_key: str) -> None:
    """Keep the key of a chain's log with its first head. For the writer.

    Raises:
        StalePosition: another key was pinned since the head was judged.
    """
    key = (chain.gateway_id, chain.epoch)
    connection.execute(
        "UPDATE gateways SET log_key = ? WHERE gateway_id = ? AND epoch = ? AND log_key IS NULL", (log_key, *key)
    )
    (pinned,) = connection.execute("SELECT log_key FROM gateways WHERE gateway_id = ? AND epoch = ?", key).fetchone()
    if pinned != log_key:
        raise StalePosition(chain.gateway_id, f"with log key {log_key[:16]}", f"has {pinned[:16]} pinned")


def save_growth(connection: Connection, chain: Chain, growth: Growth) -> None:
    """Keep the tree as it is after more records: its frontier, and the tiles that they completed. For the writer."""
    connection.executemany(
        "INSERT INTO tiles VALUES (?, ?, ?, ?, ?)",
        [(chain.gateway_id, chain.epoch, level, number, root) for level, number, root in growth.tiles],
    )
    connection.execute(
        "UPDATE gateways SET frontier = ? WHERE gateway_id = ? AND epoch = ?",
        (b"".join(growth.frontier.peaks), chain.gateway_id, chain.epoch),
    )


def build_missing(connection: sqlite3.Connection) -> None:
    """Build the trees of the chains that have none yet; about 5 s for 1,000,000 records. For the writer."""
    rows = connection.execute(
        "SELECT gateway_id, epoch FROM gateways WHERE acked_seq > 0 AND frontier = ?", (b"",)
    ).fetchall()
    for gateway_id, epoch in rows:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _build(connection, Chain(gateway_id, epoch))
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _build(connection: Connection, chain: Chain) -> None:
    frontier = Frontier()
    rows = connection.execute(
        "SELECT hash FROM records WHERE gateway_id = ? AND epoch = ? ORDER BY seq", (chain.gateway_id, chain.epoch)
    )
    grown: Iterator[list[Tile]] = (frontier.append(leaf_hash(bytes.fromhex(hash_))) for (hash_,) in rows)
    tiles = list(one_after_another.from_iterable(grown))
    save_growth(connection, chain, Growth(frontier, tuple(tiles)))
