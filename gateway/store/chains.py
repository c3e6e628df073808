"""Contract chains that were accepted, kept so that a restart does not forget whose certificate a hash names.

They are verified again before they count: this is a memory, not a source of trust.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime

KEPT = 5000


def remember_chain(connection: sqlite3.Connection, leaf_sha256: str, pem: str, at: datetime) -> None:
    """Keep the chain under its leaf's hash, forgetting the one that was shown longest ago when there are too many."""
    connection.execute(
        "INSERT INTO chains VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET pem = excluded.pem,"
        " learned_at = excluded.learned_at",
        (leaf_sha256, pem, at.isoformat()),
    )
    held = connection.execute("SELECT count(*) FROM chains").fetchone()[0]
    if held > KEPT:
        connection.execute(
            "DELETE FROM chains WHERE leaf_sha256 = (SELECT leaf_sha256 FROM chains ORDER BY learned_at LIMIT 1)"
        )


def kept_chains(connection: sqlite3.Connection, limit: int) -> Iterator[str]:
    """The chains as PEM, those shown last first, at most `limit`."""
    rows = connection.execute("SELECT pem FROM chains ORDER BY learned_at DESC LIMIT ?", (limit,))
    return (row[0] for row in rows.fetchall())
