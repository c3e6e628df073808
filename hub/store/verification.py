"""Recomputing a chain from the records that are held: everything that was derived from them is compared. Reads only.

Rules
1. Nothing stored is believed: each hash, tile, root and signature is made or verified again, in the order of records.
   A record whose content was let go is verified through its commitment.
2. The first thing that is wrong is named, and nothing behind it is looked at: it hangs on what is wrong.
3. Records are read some at a time, so a running hub goes on; what arrives meanwhile is not looked at.

What this cannot see is a database set back as a whole: that shows at the gateways, which keep the countersignatures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from hub.errors import HubError
from hub.store.engine import Connection
from hub.store.heads import KeptHead, kept_heads
from hub.store.ledger import Chain
from hub.store.readings import RECORD_COLUMNS, record_of
from hub.store.tree import log_of
from wire.chain import GENESIS_HASH, Record, chain_hash
from wire.errors import WireError
from wire.merkle import Frontier, leaf_hash
from wire.records import Value
from wire.tree_head import verify_countersignature, verify_tree_head

AT_A_TIME = 256

OnRecords = Callable[[int], None]
"""Told how many more records were read."""


class LedgerFlaw(HubError):
    """Raised for the first thing in a chain that is not as it was stored; `where` names it."""

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(code, f"{where}: {message}")
        self.where = where


class VerifiedChain(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What was verified of a chain. Made by `verify_chain` alone."""

    gateway_id: str
    epoch: str
    records: int
    released: int
    heads: int
    root: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the chain's row says."""

    size: int
    hash: str
    frontier: bytes
    log_key: str | None


def chains_held(connection: Connection) -> tuple[Chain, ...]:
    """Every chain that has a row or a record."""
    found = {Chain(*row) for row in connection.execute("SELECT gateway_id, epoch FROM gateways")}
    last: tuple[str, str] | None = ("", "")
    while last is not None:
        # From chain to chain: the table has no smaller index that would name them all.
        last = connection.execute(
            "SELECT gateway_id, epoch FROM records WHERE (gateway_id, epoch) > (?, ?) "
            "ORDER BY gateway_id, epoch LIMIT 1",
            last,
        ).fetchone()
        if last is not None:
            found.add(Chain(*last))
    return tuple(sorted(found, key=lambda chain: (chain.gateway_id, chain.epoch)))


def verify_chain(
    connection: Connection, chain: Chain, hub_keys: Collection[str], on_records: OnRecords
) -> VerifiedChain:
    """The chain, if all of it holds. `hub_keys` (hex) are those that may have countersigned; `on_records` is called
    as it goes on. About 15 us a record, and 0.3 ms a head.

    Raises:
        LedgerFlaw: the first thing that is wrong.
    """
    standing = _standing(connection, chain)
    frontier, previous, released, heads = Frontier(), GENESIS_HASH, 0, 0
    to_come = _heads(connection, chain, standing.size)
    head = next(to_come, None)
    for record in _records(connection, chain, standing.size, on_records):
        _require_record(chain, frontier.size + 1, previous, record)
        previous, released = record.hash, released + record.is_released
        for level, number, root in frontier.append(leaf_hash(bytes.fromhex(record.hash))):
            if [*log_of(connection, chain).tiles(level, number, 1)] != [root]:
                where = f"tile {number} of level {level}"
                raise LedgerFlaw("tile", where, f"is not the root over the records below it, {root.hex()[:16]}")
        while head is not None and head.signed.head.size == frontier.size:
            _require_head(head, standing.log_key, frontier.root(), hub_keys)
            head, heads = next(to_come, None), heads + 1
    _require_end(standing, frontier, previous)
    return VerifiedChain(
        gateway_id=chain.gateway_id,
        epoch=chain.epoch,
        records=frontier.size,
        released=released,
        heads=heads,
        root=frontier.root().hex(),
    )


def _standing(connection: Connection, chain: Chain) -> _Standing:
    """The chain's row, nothing being there that it does not cover. Sees one moment of the database."""
    key = (chain.gateway_id, chain.epoch)
    connection.execute("BEGIN")
    try:
        row = connection.execute(
            "SELECT acked_seq, acked_hash, frontier, log_key FROM gateways WHERE gateway_id = ? AND epoch = ?", key
        ).fetchone()
        size, hash_, frontier, log_key = row or (0, GENESIS_HASH, b"", None)
        for table, column in (("records", "seq"), ("tree_heads", "size")):
            beyond = connection.execute(
                f"SELECT {column} FROM {table} WHERE gateway_id = ? AND epoch = ? AND {column} > ? LIMIT 1",
                (*key, size),
            ).fetchone()
            if beyond is not None:
                where = f"{'record' if table == 'records' else 'head'} {beyond[0]}"
                raise LedgerFlaw("position", where, f"the chain is said to end with record {size}")
        tiles = connection.execute("SELECT count(*) FROM tiles WHERE gateway_id = ? AND epoch = ?", key).fetchone()[0]
    finally:
        connection.execute("ROLLBACK")
    expected = sum(size >> 8 * level for level in range(1, 8))
    if tiles != expected:
        raise LedgerFlaw("tile", "tiles", f"{size} records have {expected}, found {tiles}")
    return _Standing(size, hash_, frontier, log_key)


def _records(connection: Connection, chain: Chain, size: int, on_records: OnRecords) -> Iterator[Record]:
    seq = 0
    while seq < size:
        rows = connection.execute(
            f"SELECT {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND seq > ? AND seq <= ?"
            " ORDER BY seq LIMIT ?",
            (chain.gateway_id, chain.epoch, seq, size, AT_A_TIME),
        ).fetchall()
        if not rows:
            return
        for row in rows:
            try:
                yield record_of(row)
            except ValueError as error:
                raise LedgerFlaw("record", f"record {row[0]}", f"cannot be read: {error}") from error
        seq = rows[-1][0]
        on_records(len(rows))


def _heads(connection: Connection, chain: Chain, size: int) -> Iterator[KeptHead]:
    after = 0
    while found := kept_heads(connection, chain, after, AT_A_TIME):
        yield from (head for head in found if head.signed.head.size <= size)
        after = found[-1].signed.head.size


def _require_record(chain: Chain, expected: int, previous: str, record: Record) -> None:
    where = f"record {record.seq}"
    if record.seq != expected:
        raise LedgerFlaw("missing", f"record {expected}", f"is missing; record {record.seq} comes next")
    computed = chain_hash(chain.gateway_id, chain.epoch, previous, record)
    if computed != record.hash:
        what = "commitment" if record.is_released else "content"
        message = f"the hash that is held, {record.hash[:16]}, does not cover its {what} and what came before"
        raise LedgerFlaw("record", where, message)


def _require_head(kept: KeptHead, log_key: str | None, root: bytes, hub_keys: Collection[str]) -> None:
    where = f"head {kept.signed.head.size}"
    try:
        head = verify_tree_head(kept.signed, log_key or "")
        counter = kept.countersignature
        if counter.public_key not in hub_keys:
            message = f"countersigned with the key {counter.public_key[:16]}, which is none of this hub's"
            raise LedgerFlaw("countersignature", where, message)
        verify_countersignature(kept.signed, counter, counter.public_key)
    except WireError as error:
        raise LedgerFlaw(error.code, where, str(error)) from error
    if bytes.fromhex(head.root) != root:
        raise LedgerFlaw("root", where, f"its root is {head.root[:16]}, that of the records held {root.hex()[:16]}")


def _require_end(standing: _Standing, frontier: Frontier, last_hash: str) -> None:
    if frontier.size != standing.size:
        raise LedgerFlaw("missing", f"record {frontier.size + 1}", f"is missing; {standing.size} were acknowledged")
    if last_hash != standing.hash:
        where = f"record {standing.size}"
        raise LedgerFlaw("position", where, f"its hash is {last_hash[:16]}, {standing.hash[:16]} was acknowledged")
    if b"".join(frontier.peaks) != standing.frontier:
        raise LedgerFlaw("frontier", "frontier", "the end of the tree is not that of the records held")
