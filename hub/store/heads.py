"""Signed tree heads that gateways sent and this hub countersigned: one for each batch, kept for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.store.engine import Connection, Value as Cell
from hub.store.ledger import Chain, instant, position_of
from hub.store.readings import Cut, Page, page_of
from hub.store.tree import frontier_in, log_of
from wire.merkle import TiledTree, consistency_proof, inclusion_proof
from wire.records import Value, encode
from wire.tree_head import Countersignature, SignedTreeHead, TreeHead


class KeptHead(Value, frozen=True, kw_only=True):
    """A gateway's signed head and the hub's countersignature under it. What is kept was verified when it came."""

    signed: SignedTreeHead
    countersignature: Countersignature


class RecordProof(Value, frozen=True, kw_only=True):
    """That a record is in its gateway's log: `hash`, the entry, is under the root of the first head that covers it
    (`inclusion`), and the log of the newest head begins with that one (`consistency`). Hashes are hex; how to verify
    them says wire.merkle."""

    gateway_id: str
    epoch: str
    seq: int
    hash: str
    head: KeptHead
    inclusion: tuple[str, ...]
    newest: KeptHead
    consistency: tuple[str, ...]


class LedgerEntry(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A chain as a log: how long it is here, under which root, and up to where it was countersigned. `log_key` is the
    gateway's for this epoch, None before its first head. `missing`: records that the gateway has spoken of and the hub
    does not hold (yet)."""

    gateway_id: str
    epoch: str
    size: int
    root: str
    log_key: str | None
    countersigned_size: int
    countersigned_at: datetime | None
    missing: int


_COLUMNS = "number, gateway_id, epoch, size, root, at, log_key, signature, countersigned_at, hub_key, countersignature"
_OF_CHAIN = f"SELECT {_COLUMNS} FROM tree_heads WHERE gateway_id = ? AND epoch = ?"


def save_head(connection: Connection, kept: KeptHead) -> None:
    """Keep a head that was verified, and its countersignature. For the writer."""
    head = kept.signed.head
    connection.execute(
        f"INSERT INTO tree_heads ({_COLUMNS.removeprefix('number, ')}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (head.gateway_id, head.epoch, *head_columns(kept)),
    )


def head_columns(kept: KeptHead) -> tuple[int | bytes | str, ...]:
    """What a head is kept as, from `size` to `countersignature`."""
    head, counter = kept.signed.head, kept.countersignature
    return (
        head.size,
        bytes.fromhex(head.root),
        instant(head.at),
        bytes.fromhex(kept.signed.public_key),
        bytes.fromhex(kept.signed.signature),
        instant(counter.at),
        bytes.fromhex(counter.public_key),
        bytes.fromhex(counter.signature),
    )


def covering_head(connection: Connection, chain: Chain, seq: int) -> KeptHead | None:
    """The first head that record `seq` is under; None while there is none."""
    return _first(connection, f"{_OF_CHAIN} AND size >= ? ORDER BY size LIMIT 1", (*_key(chain), seq))


def newest_head(connection: Connection, chain: Chain) -> KeptHead | None:
    """The longest head of a chain; None when its gateway has sent none."""
    return _first(connection, f"{_OF_CHAIN} ORDER BY size DESC LIMIT 1", _key(chain))


def head_of_size(connection: Connection, chain: Chain, size: int) -> KeptHead | None:
    """The head of exactly this size."""
    return _first(connection, f"{_OF_CHAIN} AND size = ?", (*_key(chain), size))


def kept_heads(connection: Connection, chain: Chain, after: int, limit: int) -> tuple[KeptHead, ...]:
    """At most `limit` heads of a chain that are longer than `after`, by size."""
    rows = connection.execute(f"{_OF_CHAIN} AND size > ? ORDER BY size LIMIT ?", (*_key(chain), after, limit))
    return tuple(_kept(row) for row in rows.fetchall())


def heads_page(connection: Connection, gateway_id: str | None, epoch: str | None, cut: Cut) -> Page:
    """Heads of one chain, of one gateway or of all, in the order in which they came."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM tree_heads WHERE number > ?1 AND (?2 IS NULL OR gateway_id = ?2)"
        " AND (?3 IS NULL OR epoch = ?3) ORDER BY number LIMIT ?4",
        (cut.after, gateway_id, epoch, cut.limit + 1),
    ).fetchall()
    return page_of([(row[0], encode(_kept(row)).decode()) for row in rows], cut)


def last_countersigned(connection: Connection) -> KeptHead | None:
    """The head that was countersigned last, of whichever chain."""
    return _first(connection, f"SELECT {_COLUMNS} FROM tree_heads ORDER BY number DESC LIMIT 1", ())


def is_held(connection: Connection, chain: Chain, seq: int) -> bool:
    """Whether the hub holds this record."""
    return 0 < seq <= position_of(connection, chain).seq


def proof_of(connection: Connection, chain: Chain, seq: int) -> RecordProof | None:
    """The proofs for a record; None while no head covers it, and for a record that is not held.

    Raises:
        ProofError: records or tiles that were stored are not there.
    """
    row = connection.execute(
        "SELECT hash FROM records WHERE gateway_id = ? AND epoch = ? AND seq = ?", (*_key(chain), seq)
    ).fetchone()
    covering, newest = covering_head(connection, chain, seq), newest_head(connection, chain)
    if row is None or covering is None or newest is None:
        return None
    subtree = TiledTree(log_of(connection, chain)).subtree
    size, longest = covering.signed.head.size, newest.signed.head.size
    return RecordProof(
        gateway_id=chain.gateway_id,
        epoch=chain.epoch,
        seq=seq,
        hash=row[0],
        head=covering,
        inclusion=tuple(hash_.hex() for hash_ in inclusion_proof(seq - 1, size, subtree)),
        newest=newest,
        consistency=tuple(hash_.hex() for hash_ in consistency_proof(size, longest, subtree)),
    )


def ledgers(connection: Connection) -> tuple[LedgerEntry, ...]:
    """Every chain held as a log, by gateway and age. Raises StoreError when the end of a tree is damaged."""
    rows = connection.execute(
        "SELECT gateway_id, epoch, acked_seq, frontier, log_key, told_seq FROM gateways "
        "ORDER BY gateway_id, first_seen, epoch"
    ).fetchall()
    entries = []
    for gateway_id, epoch, size, frontier, log_key, told_seq in rows:
        newest = newest_head(connection, Chain(gateway_id, epoch))
        entries.append(
            LedgerEntry(
                gateway_id=gateway_id,
                epoch=epoch,
                size=size,
                root=frontier_in(size, frontier).root().hex(),
                log_key=log_key,
                countersigned_size=0 if newest is None else newest.signed.head.size,
                countersigned_at=None if newest is None else newest.countersignature.at,
                missing=max(0, told_seq - size),
            )
        )
    return tuple(entries)


def _key(chain: Chain) -> tuple[str, str]:
    return chain.gateway_id, chain.epoch


def _first(connection: Connection, query: str, values: Sequence[Cell]) -> KeptHead | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else _kept(row)


def _kept(row: tuple[int, str, str, int, bytes, str, bytes, bytes, str, bytes, bytes]) -> KeptHead:
    _, gateway_id, epoch, size, root, at, log_key, signature, countersigned_at, hub_key, countersignature = row
    head = TreeHead(gateway_id=gateway_id, epoch=epoch, size=size, root=root.hex(), at=datetime.fromisoformat(at))
    return KeptHead(
        signed=SignedTreeHead(head=head, public_key=log_key.hex(), signature=signature.hex()),
        countersignature=Countersignature(
            at=datetime.fromisoformat(countersigned_at), public_key=hub_key.hex(), signature=countersignature.hex()
        ),
    )
