"""What gateways say that is missing, and why (`wire.tombstone`), kept as they said it.

Rules
1. A tombstone is kept whatever it says; its record is evidence like any other.
2. Records without content that it names were in quarantine, because nobody knew why; they are not any more. Where more
   of them have no content than it says, none is explained by it.
"""

from __future__ import annotations

from datetime import datetime

from hub.store.chains import Chain, instant
from hub.store.engine import Connection
from wire.records import encode
from wire.settling.arrival import LET_GO
from wire.tombstone import SeqRange, Tombstone


def keep_tombstone(connection: Connection, chain: Chain, seq: int, tombstone: Tombstone, at: datetime) -> None:
    """Keep what record `seq` says. To be called inside the transaction of the record."""
    connection.execute(
        "INSERT INTO tombstones (gateway_id, epoch, seq, reason, tombstone, received_at) VALUES (?, ?, ?, ?, ?, ?)",
        (chain.gateway_id, chain.epoch, seq, tombstone.reason.value, encode(tombstone).decode(), instant(at)),
    )
    for gone in tombstone.shed:
        _explain(connection, chain, min(gone.last_seq, seq - 1), gone)


def _explain(connection: Connection, chain: Chain, last_seq: int, gone: SeqRange) -> None:
    within = "FROM quarantine WHERE gateway_id = ? AND epoch = ? AND seq BETWEEN ? AND ? AND reason = ?"
    named = (chain.gateway_id, chain.epoch, gone.first_seq, last_seq, LET_GO)
    (count,) = connection.execute(f"SELECT count(*) {within}", named).fetchone()
    if count <= gone.count:
        connection.execute(f"DELETE {within}", named)
