"""Where gateways' batches go on PostgreSQL: evidence first, one statement a batch.

Rules
1. A batch is stored by one statement, which is its own transaction: the chain's position, its records, its tree and the
   head that came with them change together or not at all. An answer means that it is flushed.
2. The statement moves the position from where the batch was judged, or does nothing: whoever else took the chain
   further meanwhile, in whichever process, makes it stale. So a batch that is sent twice is stored once.
3. What follows from the records comes afterwards (hub.store.deriving).
4. There are at most `connections` of them; who finds none free waits for WAIT_S.
5. A column of all records of a batch goes as one text with SEPARATOR between them: the server takes it apart faster
   than an array can be put together here. No value holds one (hub.store.dialect, rule 6); a commitment without is "".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from hub.errors import StalePosition
from hub.store.chains import Chain, Position, instant
from hub.store.dialect import SEPARATOR, escaped
from hub.store.engine import Away
from hub.store.heads import KeptHead, head_columns
from hub.store.postgresql import PostgreSQL, Telling
from hub.store.tree import frontier_in
from hub.tree import Growth, LogStanding
from wire.chain import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WAIT_S = 10.0
MAX_LEFT = 20_000
"""Chains of which it is remembered where they were left: about 1 KB each."""
_NO_HEAD = (None,) * 8

_STANDING = """
SELECT g.acked_seq, g.acked_hash, g.frontier, g.log_key, w.version
FROM gateways g, whitelist w WHERE g.gateway_id = $1 AND g.epoch = $2 AND NOT g.closed
"""

_APPEND = """
WITH moved AS (
    UPDATE gateways SET acked_seq = $5, acked_hash = $6, frontier = $7, last_seen = $8,
        log_key = coalesce(log_key, $9)
    WHERE gateway_id = $1 AND epoch = $2 AND acked_seq = $3 AND acked_hash = $4 AND NOT closed
        AND (log_key = $9 OR log_key IS NULL OR $9 IS NULL)
    RETURNING gateway_id, epoch
), stored AS (
    INSERT INTO records (gateway_id, epoch, seq, hash, kind, at, boot_id, mono_ns, clock, body, salt, commitment,
        received_at)
    SELECT m.gateway_id, m.epoch, $3::bigint + r.place, r.hash, r.kind, r.at, r.boot_id, r.mono_ns, r.clock,
        coalesce(r.body, ''), coalesce(r.salt, ''), r.commitment, $8
    FROM moved m, unnest(string_to_array($10, E'\x1f'), string_to_array($11, E'\x1f'), string_to_array($12, E'\x1f'),
        string_to_array($13, E'\x1f'), string_to_array($14, E'\x1f')::bigint[], string_to_array($15, E'\x1f'),
        string_to_array($16, E'\x1f'), string_to_array($17, E'\x1f'), string_to_array($18, E'\x1f', '')) WITH ORDINALITY
        AS r (hash, kind, at, boot_id, mono_ns, clock, body, salt, commitment, place)
), grown AS (
    INSERT INTO tiles SELECT m.gateway_id, m.epoch, t.level, t.number, t.root
    FROM moved m, unnest($19::bigint[], $20::bigint[], $21::bytea[]) AS t (level, number, root)
), headed AS (
    INSERT INTO tree_heads (gateway_id, epoch, size, root, at, log_key, signature, countersigned_at, hub_key,
        countersignature)
    SELECT m.gateway_id, m.epoch, $22::bigint, $23::bytea, $24::text, $25::bytea, $26::bytea, $27::text, $28::bytea,
        $29::bytea
    FROM moved m WHERE $22::bigint IS NOT NULL
)
SELECT (SELECT version FROM whitelist) FROM moved
"""


@dataclass(frozen=True, slots=True)
class Next:
    """Where a chain stands to which a batch is the next; what else the hub knows of it does not matter then. The
    version of the token list is that of the moment when it was read, at latest the chain's batch before."""

    position: Position
    log: LogStanding
    whitelist_version: int


class Intake:
    """The connections that take batches in. Belongs to one event loop; `close` ends it."""

    def __init__(self, engine: PostgreSQL, connections: int) -> None:
        self._engine, self._connections = engine, connections
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._left: dict[Chain, Next] = {}

    async def close(self) -> None:
        """End the connections."""
        if self._pool is not None:
            self._pool.terminate()

    async def standing(self, chain: Chain, first_seq: int) -> Next | None:
        """Where an open chain stands, if `first_seq` comes next in it; None otherwise. Where this process itself left
        the chain just there, that is it, and the database is not asked: rule 2 holds all the same. Raises StoreError.
        """
        left = self._left.get(chain)
        if left is not None and left.position.seq + 1 == first_seq:
            return left
        async with self._connection() as connection:
            row = await connection.fetchrow(_STANDING, chain.gateway_id, chain.epoch)
        if row is None or row[0] + 1 != first_seq:
            return None
        seq, hash_, frontier, log_key, version = row
        log = LogStanding(size=seq, peaks=frontier_in(seq, frontier).peaks, log_key=log_key, roots={})
        return Next(Position(seq, hash_), log, version)

    async def append(
        self,
        chain: Chain,
        judged_at: Position,
        records: Sequence[Record],
        growth: Growth,
        head: KeptHead | None,
        at: datetime,
    ) -> None:
        """Store judged records, at least one; returns after COMMIT.

        Raises:
            StalePosition: the chain has moved since, was closed, or got another log key; judge again.
            StoreError: nothing is known to be stored.
        """
        values = (
            chain.gateway_id,
            chain.epoch,
            judged_at.seq,
            judged_at.hash,
            records[-1].seq,
            records[-1].hash,
            b"".join(growth.frontier.peaks),
            instant(at),
            None if head is None else head.signed.public_key,
            *_columns(records),
            [tile[0] for tile in growth.tiles],
            [tile[1] for tile in growth.tiles],
            [tile[2] for tile in growth.tiles],
            *(_NO_HEAD if head is None else head_columns(head)),
        )
        self._left.pop(chain, None)
        async with self._connection() as connection:
            version = await connection.fetchval(_APPEND, *values)
        if version is None:
            raise StalePosition(chain.gateway_id, f"at position {judged_at.seq}", "has moved, or the epoch was closed")

        if head is not None:
            if len(self._left) >= MAX_LEFT:
                del self._left[next(iter(self._left))]
            size, peaks = growth.frontier.size, growth.frontier.peaks
            log = LogStanding(size=size, peaks=peaks, log_key=head.signed.public_key, roots={})
            self._left[chain] = Next(Position(records[-1].seq, records[-1].hash), log, version)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for one statement. Raises StoreError for what is raised inside as well."""
        pool = self._pool or await self._opened()
        with Telling(self._engine.place):
            connection = await self._engine.attempt(pool.acquire(timeout=WAIT_S))
            try:
                yield connection
            except asyncpg.InternalClientError:
                connection.terminate()
                raise
            finally:
                await pool.release(connection)

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await self._engine.attempt(self._engine.pool(self._connections))
            if self._pool is None:
                raise Away(f"{self._engine.place}: no connection")
            return self._pool


def _columns(records: Sequence[Record]) -> tuple[str, ...]:
    """The columns of `records` from the hash on, each of all records as one text. Rule 5."""
    return (
        SEPARATOR.join([record.hash for record in records]),
        SEPARATOR.join([record.kind.value for record in records]),
        SEPARATOR.join([instant(record.at) for record in records]),
        SEPARATOR.join([escaped(record.boot_id) for record in records]),
        SEPARATOR.join([str(record.mono_ns) for record in records]),
        SEPARATOR.join([record.clock.value for record in records]),
        SEPARATOR.join([escaped(record.body) for record in records]),
        SEPARATOR.join([record.salt for record in records]),
        SEPARATOR.join([record.commitment or "" for record in records]),
    )
