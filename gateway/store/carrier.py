"""Appends records of another epoch to a store, as they are but for their numbers and hashes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gateway.store.ledger import Identity
from gateway.store.rows import KeptRow, RowHash
from gateway.store.salvage import Found, read_what_reads
from gateway.store.tree import keep_tiles, kept_hashes
from wire.chain import GENESIS_HASH
from wire.merkle import TILE_WIDTH

_AT_ONCE = 5000


class RowCarrier:
    """Appends rows of another epoch to a store as they are, under new numbers. Nobody else may append meanwhile."""

    def __init__(self, target: sqlite3.Connection, owner: Identity) -> None:
        self._target, self._hashes = target, RowHash(owner.gateway_id, owner.epoch)
        self._seq = int(target.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0])
        since_tile = self._seq % TILE_WIDTH or min(self._seq, 1)
        self._entries = kept_hashes(target, self._seq - since_tile, since_tile) or [bytes.fromhex(GENESIS_HASH)]

    def take(self, source: sqlite3.Connection, found: Found) -> int:
        """Append the sound rows; says how many."""
        before = self._seq
        for first, last in found.sound:
            for low in range(first, last + 1, _AT_ONCE):
                with transaction(self._target):
                    self.append(read_what_reads(source, low, min(low + _AT_ONCE - 1, last)))
        return self._seq - before

    def append(self, rows: Iterable[KeptRow]) -> None:
        """Append rows. To be called inside a transaction."""
        let_go = 0
        for row in rows:
            self._append(row)
            let_go += row.commitment is not None
        self._target.execute("UPDATE released SET records = records + ?", (let_go,))

    def _append(self, row: KeptRow) -> None:
        seq = self._seq + 1
        row = row._replace(seq=seq)
        hash_ = self._hashes.of(row, self._entries[-1])
        self._target.execute(
            "INSERT INTO records (seq, kind, at, boot_id, mono_ns, clock, body, hash, salt, commitment)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row._replace(hash=hash_.hex()),
        )
        self._seq = seq
        self._entries.append(hash_)
        if seq % TILE_WIDTH == 0:
            keep_tiles(self._target, seq, self._entries[-TILE_WIDTH:])
            self._entries = self._entries[-1:]


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done within, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
