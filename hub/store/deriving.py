"""What follows from records that are stored already: the second step where many processes take records in.

On SQLite a batch is stored and taken into the books in one transaction (hub.store.ledger). On PostgreSQL it is stored
and acknowledged first (hub.store.intake), and taken into the books afterwards, by the same code.

Rules
1. `derived` says up to which record of a chain that is done. It moves in the transaction of what was derived: whoever
   is killed in between leaves the step to be done again from its start, and nothing is done twice.
2. A chain is worked on by one process at a time; another passes it over.
3. The records of a chain are taken in their order, with the time of their arrival; the epochs of a gateway in the order
   in which they were met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from hub.store.announced import settle
from hub.store.chains import Chain, Conflict
from hub.store.engine import Connection
from hub.store.ledger import take_in
from hub.store.readings import RECORD_COLUMNS, record_of
from wire.chain import Record
from wire.meter.registry import RegisteredKey
from wire.settling.terms import Terms

AT_ONCE = 200
"""Records taken into the books in one transaction."""
MAX_BEHIND = 1000


@dataclass(frozen=True, slots=True)
class Appended:
    """What is news about records that were stored: meter keys that came in place of known ones, and announcements that
    said something else."""

    quarantined: tuple[RegisteredKey, ...] = ()
    differing: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to: of which chain, how many records, and the news. Without any record another process works
    on the chain."""

    chain: Chain
    records: int
    news: Appended


def behind(connection: Connection) -> list[Chain]:
    """Chains with records that are not in the books yet, at most MAX_BEHIND."""
    rows = connection.execute(
        "SELECT g.gateway_id, g.epoch FROM gateways g JOIN derived d ON d.gateway_id = g.gateway_id AND "
        "d.epoch = g.epoch WHERE g.acked_seq > d.seq LIMIT ?",
        (MAX_BEHIND,),
    )
    return [Chain(*row) for row in rows.fetchall()]


def derive_next(connection: Connection, gateway_id: str, terms: Terms) -> Step | None:
    """Take the next records of a gateway into the books; None when there are none."""
    row = connection.execute(
        "SELECT g.epoch FROM gateways g JOIN derived d ON d.gateway_id = g.gateway_id AND d.epoch = g.epoch "
        "WHERE g.gateway_id = ? AND g.acked_seq > d.seq ORDER BY g.first_seen, g.epoch LIMIT 1",
        (gateway_id,),
    ).fetchone()
    if row is None:
        return None
    chain = Chain(gateway_id, row[0])
    claimed = connection.execute(
        "SELECT seq FROM derived WHERE gateway_id = ? AND epoch = ? FOR UPDATE SKIP LOCKED", (gateway_id, chain.epoch)
    ).fetchone()
    if claimed is None:
        return Step(chain, 0, Appended())
    rows = connection.execute(
        f"SELECT {RECORD_COLUMNS}, received_at FROM records WHERE gateway_id = ? AND epoch = ? AND seq > ? "
        "ORDER BY seq LIMIT ?",
        (gateway_id, chain.epoch, claimed[0], AT_ONCE),
    ).fetchall()
    if not rows:
        return None
    quarantined, differing = list[RegisteredKey](), list[Conflict]()
    for received_at, together in groupby(rows, key=lambda each: str(each[-1])):
        news = take_stored(
            connection,
            chain,
            [record_of(each[:-1]) for each in together],
            datetime.fromisoformat(received_at),
            terms,
        )
        quarantined += news.quarantined
        differing += news.differing
    connection.execute(
        "UPDATE derived SET seq = ? WHERE gateway_id = ? AND epoch = ?", (rows[-1][0], gateway_id, chain.epoch)
    )
    return Step(chain, len(rows), Appended(tuple(quarantined), tuple(differing)))


def take_stored(
    connection: Connection, chain: Chain, records: Sequence[Record], at: datetime, terms: Terms
) -> Appended:
    """Take stored records that arrived together into the books, and compare them with what was announced of them."""
    quarantined = take_in(connection, chain, records, at, terms, stored=True)
    return Appended(quarantined, settle(connection, chain, records, at))
