"""The end of the chain, checked before anything is written behind it: after a commit that failed, the kernel may have
dropped pages that SQLite holds to be written."""

from __future__ import annotations

import sqlite3

from gateway.errors import StoreError
from gateway.store.rows import RowHash, as_hash, rows_between
from gateway.store.segments import hash_before

_CHECKED = 256


def verify_tail(connection: sqlite3.Connection) -> None:
    """Return if the last 256 records are a chain; about 3 ms. Raises StoreError."""
    try:
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
        (first,) = connection.execute(
            "SELECT coalesce(min(seq), 1) FROM records WHERE seq > ?", (last - _CHECKED,)
        ).fetchone()
        owner = connection.execute("SELECT gateway_id, epoch FROM identity").fetchone()
        rows = rows_between(connection, first - 1, last, _CHECKED)
        hashes, previous = RowHash(*owner), hash_before(connection, first)
    except sqlite3.Error as error:
        raise StoreError(f"the end of the ledger cannot be read: {error}; restart the gateway") from error
    for row in rows:
        kept = as_hash(row.hash)
        if hashes.of(row, previous) != kept:
            raise StoreError(f"the end of the ledger is damaged at record {row.seq}: restart the gateway")
        previous = kept
