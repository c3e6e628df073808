"""Recomputes a ledger from what it holds, and names what does not fit.

1. Every record: its number is the next one, and its hash covers what it says and the hash before.
2. Every tile is the root over its 256 entries.
3. Every receipt: signed by this log's key, countersigned by the hub's, and its root is that of the records.
4. What the hub acknowledged or countersigned is still here.

Which of two things was altered, a record or its hash, is told by the record after it: that one stands on the true hash.
Reads only, page by page, so a gateway may run meanwhile; what comes in after the beginning is not looked at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from enum import StrEnum

from gateway.errors import StoreError
from gateway.store.ledger import acked_seq, head, identity
from gateway.store.receipts import Receipt, all_receipts, pinned_hub_key
from gateway.store.rows import KeptRow, RowHash, as_hash, kept_rows
from gateway.store.segments import Dropped, dropped
from gateway.store.tree import KeptTree, log_key
from wire.merkle import TILE_LEVELS, Frontier, ProofError, TiledTree, leaf_hash
from wire.records import Value
from wire.tree_head import TreeHeadError, verify_countersignature, verify_tree_head

Progress = Callable[[int, int], None]
"""Hears how many records of how many were looked at, every few thousand."""
_TELL_EVERY = 5000


class Fault(StrEnum):
    """What can be wrong with a ledger."""

    ALTERED = "record-altered"
    HASH = "hash-altered"
    MISSING = "record-missing"
    TILE = "tile-altered"
    ROOT = "root-differs"
    RECEIPT = "receipt-invalid"
    KEY = "log-key-damaged"


class Finding(Value, frozen=True, kw_only=True):
    """A fault at records `first` to `last`."""

    fault: Fault
    first: int
    last: int
    message: str


class LedgerReport(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What was found. `root` None: records are missing, so there is none. `countersigned`: up to which record a valid
    receipt reaches.
    `released` are without content; `unsalted` are of the first form, from before there was a tree; the rows up to
    `dropped` are gone, and were not looked at."""

    gateway_id: str
    epoch: str
    records: int
    root: str | None
    log_key: str | None
    hub_log_key: str | None
    receipts: int
    countersigned: int
    released: int
    unsalted: int
    dropped: int
    findings: tuple[Finding, ...]


def verify_ledger(connection: sqlite3.Connection, hub_key: str | None, progress: Progress) -> LedgerReport:
    """The report on the ledger of a connection. `hub_key`: the hub's (hex), None: the one that was pinned.

    About 10 us of the processor for a record. Raises StoreError when it cannot be read.
    """
    owner, last = identity(connection), head(connection).seq
    hub_key = hub_key or pinned_hub_key(connection)
    gone = dropped(connection)
    walk = _Walk(connection, RowHash(owner.gateway_id, owner.epoch), all_receipts(connection), gone)
    released = unsalted = 0
    for row in kept_rows(connection, last):
        walk.take(row)
        released += row.commitment is not None
        unsalted += row.commitment is None and not row.salt
        if row.seq % _TELL_EVERY == 0:
            progress(row.seq, last)
    root = walk.end(max(last, acked_seq(connection), *walk.receipts))
    own_key = _own_key(connection, walk)
    countersigned = _check_receipts(walk, own_key, hub_key, (owner.gateway_id, owner.epoch))
    return LedgerReport(
        gateway_id=owner.gateway_id,
        epoch=owner.epoch,
        records=last,
        root=root,
        log_key=own_key,
        hub_log_key=hub_key,
        receipts=len(walk.receipts),
        countersigned=countersigned,
        released=released,
        unsalted=unsalted,
        dropped=gone.seq,
        findings=tuple(walk.findings),
    )


def _own_key(connection: sqlite3.Connection, walk: _Walk) -> str | None:
    try:
        return log_key(connection).public_key
    except StoreError as error:
        walk.found(Fault.KEY, 0, 0, str(error))
        return None


def _check_receipts(walk: _Walk, own_key: str | None, hub_key: str | None, chain: tuple[str, str]) -> int:
    """Up to which record a valid receipt reaches."""
    reached = 0
    for size, receipt in walk.receipts.items():
        signed = receipt.signed
        try:
            verify_tree_head(signed, own_key or signed.public_key)
            verify_countersignature(signed, receipt.countersignature, hub_key or "")
            if (signed.head.gateway_id, signed.head.epoch, signed.head.size) != (*chain, size):
                raise TreeHeadError("tree-head-signature", "it is of another log")
        except TreeHeadError as error:
            walk.found(Fault.RECEIPT, size, size, f"the receipt of {size} records does not hold: {error}")
        else:
            reached = size
    return reached


class _Walk:
    """Goes over the records in order, and grows the tree one record behind: only the next record tells what the hash of
    a doubtful one should be."""

    def __init__(self, connection: sqlite3.Connection, hashes: RowHash, receipts: list[Receipt], gone: Dropped) -> None:
        self.findings: list[Finding] = []
        self.receipts = {receipt.signed.head.size: receipt for receipt in receipts}
        self._kept, self._hashes = KeptTree(connection), hashes
        self._first = self._next = gone.seq + 1
        self._before: tuple[bytes, ...] = (as_hash(gone.hash),)
        """What the next record may stand on: the hash before as it is kept; of a doubtful record first that, then what
        its hash should be; nothing behind a gap."""
        self._frontier: Frontier | None = self._begun(gone.seq)
        self._agreed = gone.seq
        if gone.seq > max(self.receipts, default=0):
            self.found(Fault.MISSING, 1, gone.seq, "rows were dropped that the hub had not countersigned")

    def _begun(self, size: int) -> Frontier | None:
        """The tree over the rows that were dropped, as the tiles have it."""
        try:
            return TiledTree(self._kept).frontier(size)
        except ProofError as error:
            self.found(Fault.TILE, 1, size, f"the tiles over the rows that were dropped are not whole: {error}")
            return None

    def found(self, fault: Fault, first: int, last: int, message: str) -> None:
        """Note a fault; what touches the one before is made one with it."""
        if self.findings and self.findings[-1].fault is fault and self.findings[-1].last == first - 1 and first:
            first = self.findings.pop().first
        self.findings.append(Finding(fault=fault, first=first, last=last, message=message))

    def take(self, row: KeptRow) -> None:
        """Look at the next row."""
        if row.seq != self._next:
            self._missing(row.seq - 1)
        kept = as_hash(row.hash)
        for place, before in enumerate(self._before):
            if kept and self._hashes.of(row, before) == kept:
                self._settle(place)
                self._before = (kept,)
                break
        else:
            self._doubt(row, kept)
        self._next = row.seq + 1

    def _doubt(self, row: KeptRow, kept: bytes) -> None:
        """The row fits nothing that it may stand on."""
        before = self._before
        self._settle(0)
        if before:
            self._before = (kept, self._hashes.of(row, before[0]))
        else:
            self._before = (kept,)  # Behind a gap nothing can be said of the first.

    def _settle(self, place: int) -> None:
        """The record before is what it is: its true hash was the choice of that `place`."""
        if self._next == self._first:
            return
        before = self._before
        if len(before) > 1:
            place = place if before[0] else 1
            self._name(self._next - 1, hash_altered=place == 1)
        self._grow(before[place] if before else b"")

    def _name(self, seq: int, *, hash_altered: bool) -> None:
        if hash_altered:
            self.found(Fault.HASH, seq, seq, "the hash was altered, the record was not")
        else:
            self.found(Fault.ALTERED, seq, seq, "the hash does not cover what the record says")

    def _missing(self, last: int) -> None:
        self._settle(0)
        self.found(Fault.MISSING, self._next, last, "there is no such record: the tree cannot be checked from here on")
        self._frontier, self._before, self._next = None, (), last + 1

    def end(self, known: int) -> str | None:
        """The root (hex) over all records, None without one; `known`: how many there must have been."""
        self._settle(0)
        if self._next <= known:
            message = "the hub acknowledged or countersigned what is not here any more"
            self.found(Fault.MISSING, self._next, known, message)
        return None if self._frontier is None else self._frontier.root().hex()

    def _grow(self, entry: bytes) -> None:
        if self._frontier is None:
            return
        tiles = self._frontier.append(leaf_hash(entry))
        size = self._frontier.size
        for level, number, root in tiles:
            if list(self._kept.tiles(level, number, 1)) != [root]:
                span = 1 << TILE_LEVELS * level
                message = f"tile {number} of level {level} is not the root over these records"
                self.found(Fault.TILE, number * span + 1, (number + 1) * span, message)
        receipt = self.receipts.get(size)
        if receipt is None:
            return
        if self._frontier.root().hex() == receipt.signed.head.root:
            self._agreed = size
        else:
            message = f"what was countersigned as {size} records is not what is here: records and hashes were rewritten"
            self.found(Fault.ROOT, self._agreed + 1, size, message)
