"""What a batch makes of a chain's log, and whether the head that came with it may be countersigned. Pure.

Rules
1. The hub believes no root: it computes each from the hashes of the records that it holds or is about to store.
2. The key of a chain's log is pinned with the first head, which came over mutual TLS from the gateway itself; no other
   key is taken for that chain any more. A gateway starts a new epoch with a new key.
3. A chain that has sent a head sends one with every batch: leaving it out would undo the proof.
4. A head that does not fit stops the batch: nothing of it is stored, and what was offered is kept as a conflict.

Source: RFC 6962 2.1; docs/decisions/0009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.errors import HubError
from wire.chain import Record
from wire.merkle import Frontier, ProofError, leaf_hash, verify_consistency
from wire.sync_messages import Batch
from wire.tree_head import SignedTreeHead, TreeHeadError, verify_tree_head

Tile = tuple[int, int, bytes]
"""A tile level (from 1), the number in it (from 0), and the root."""


class TreeMismatch(HubError):
    """Raised when a batch's head is not that of the log the hub holds; `held_root` is what the hub computed, hex."""

    def __init__(self, message: str, held_root: bytes, offered: SignedTreeHead | None) -> None:
        super().__init__("tree-head", message)
        self.held_root, self.offered = held_root.hex(), offered


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStanding:
    """What the hub knows of a chain's log: `size` entries with these `peaks`, and the key that signs its heads, hex,
    None before the first head. `roots` are those of shorter lengths, where a batch begins or ends."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    log_key: str | None = None
    roots: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Growth:
    """The log after more records: its end, and the tiles they completed. Always made by `grow`."""

    frontier: Frontier
    tiles: tuple[Tile, ...]


def grow(log: LogStanding, records: Sequence[Record]) -> Growth:
    """The log with `records` at its end, whose hashes were judged already. About 2 us a record."""
    frontier, tiles = Frontier(log.size, log.peaks), list[Tile]()
    for record in records:
        tiles += frontier.append(leaf_hash(bytes.fromhex(record.hash)))
    return Growth(frontier, tuple(tiles))


@dataclass(frozen=True, slots=True)
class FittingHead:
    """A head that may be countersigned: the log's own key signed it, and the hub holds that very log."""

    signed: SignedTreeHead


def judge_head(batch: Batch, log: LogStanding, growth: Growth) -> FittingHead | None:
    """The head of a batch that was judged and fits the chain; None when the gateway has never sent any.

    1. A head is there, if the chain ever sent one.
    2. It is of this chain, as it ends with this batch.
    3. The log's key signed it.
    4. Its root is that of the records the hub holds then.
    5. The proof leads to it from where the batch begins.

    About 150 us. Raises TreeMismatch.
    """
    last = batch.first_seq + len(batch.records) - 1
    root = growth.frontier.root() if last == growth.frontier.size else log.roots[last]
    signed = batch.tree_head
    if signed is None:
        if log.log_key is None:
            return None
        raise TreeMismatch("the batch comes without a tree head, and this chain has sent some before", root, None)
    try:
        head = verify_tree_head(signed, log.log_key or signed.public_key)
    except TreeHeadError as error:
        raise TreeMismatch(f"{error} ({error.code})", root, signed) from error
    if (head.gateway_id, head.epoch, head.size) != (batch.gateway_id, batch.epoch, last):
        found = f"{head.gateway_id}, epoch {head.epoch}, size {head.size}"
        raise TreeMismatch(f"the tree head is of {found}; expected this chain and size {last}", root, signed)
    if bytes.fromhex(head.root) != root:
        message = f"the root of {last} records is {root.hex()[:16]} here, the tree head says {head.root[:16]}"
        raise TreeMismatch(message, root, signed)
    before = batch.first_seq - 1
    old = Frontier(log.size, log.peaks).root() if before == log.size else log.roots[before]
    try:
        verify_consistency(before, old, last, root, [bytes.fromhex(hash_) for hash_ in batch.consistency])
    except ProofError as error:
        raise TreeMismatch(f"the consistency proof does not hold: {error}", root, signed) from error
    return FittingHead(signed)
