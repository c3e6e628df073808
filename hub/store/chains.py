"""What names a chain at the hub, where it stands, and what contradicts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wire.chain import Record
from wire.tree_head import SignedTreeHead


@dataclass(frozen=True, slots=True)
class Chain:
    """One gateway's chain of records: the records of a store, for as long as that store lives."""

    gateway_id: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Position:
    """The end of the contiguous durable chain; (0, GENESIS_HASH) when nothing is held."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something offered that contradicts what is held: `kind` is fork (another hash), rollback (an older head), tree (a
    tree head that is not that of the log held; the hashes are the roots then) or announced (ahead of its turn, with
    another hash or content than it came with)."""

    kind: str
    seq: int
    held_hash: str
    offered_hash: str
    offered: Record | SignedTreeHead | None = None
    reason: str | None = None


def instant(at: datetime) -> str:
    """The text of an instant as it is stored: it reads back to the same instant and offset."""
    return at.isoformat(timespec="microseconds")
