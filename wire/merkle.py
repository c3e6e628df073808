"""A Merkle tree over an append-only log: roots, and proofs that an entry is in it and that nothing was removed. Pure.

Rules
1. leaf = SHA-256(0x00 || entry), node = SHA-256(0x01 || left || right), the empty tree is SHA-256(""): RFC 6962 2.1.
   The two prefixes keep an entry from being read as a node.
2. A perfect subtree of 2^level leaves is named (level, index): the leaves from index * 2^level on. Everything here is
   made of such subtrees, asked of whoever keeps the log through a `Subtree`; `TiledTree` reads them from storage.
3. Only every 256th root of a level is kept (a tile): one row for 256 entries, and the rest is 255 hashes away.
4. A proof that does not hold raises. There is no way to read "probably".

Source: RFC 6962 2.1, 2.1.1, 2.1.2; the verification of proofs as in RFC 9162 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from wire.errors import WireError

HASH_BYTES = 32
_sha256 = hashlib.sha256
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without entries."""

TILE_LEVELS = 8
"""A tile is the root over 2^8 nodes of the tile level below it; those of tile level 0 are the leaves."""
TILE_WIDTH = 1 << TILE_LEVELS

Subtree = Callable[[int, int], bytes]
"""The root of the perfect subtree (level, index); asked only for subtrees that are full."""


class ProofError(WireError):
    """Raised when a proof does not prove what it should: the log was cut, altered, or is another one."""

    def __init__(self, message: str) -> None:
        super().__init__("proof", message)


def leaf_hash(entry: bytes) -> bytes:
    """The leaf of an entry, 32 bytes. Source: RFC 6962 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The node above two others, 32 bytes. Source: RFC 6962 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(size: int, subtree: Subtree) -> bytes:
    """The root over the first `size` entries, 32 bytes; one node for each bit of `size`. Source: RFC 6962 2.1."""
    return EMPTY_ROOT if size == 0 else _range_root(0, size, subtree)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """The hashes that lead from entry `index` (from 0) to the root over `size` entries, lowest first; at most
    log2(size) + 1. Source: RFC 6962 2.1.1.

    Raises:
        ValueError: there is no such entry.
    """
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not among {size}")
    proof: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(_range_root(middle, last, subtree))
            last = middle
        else:
            proof.append(_range_root(first, middle, subtree))
            first = middle
    return tuple(reversed(proof))


def consistency_proof(old_size: int, new_size: int, subtree: Subtree) -> tuple[bytes, ...]:
    """The hashes that show the tree of `new_size` entries to begin with the one of `old_size`; empty when the sizes are
    equal or the old tree is. Source: RFC 6962 2.1.2.

    Raises:
        ValueError: the old tree is larger.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {new_size} entries does not begin with {old_size}")
    if old_size in (0, new_size):
        return ()
    proof: list[bytes] = []
    first, last, whole = 0, new_size, True
    while old_size != last:
        middle = first + _split(last - first)
        if old_size <= middle:
            proof.append(_range_root(middle, last, subtree))
            last = middle
        else:
            proof.append(_range_root(first, middle, subtree))
            first, whole = middle, False
    if not whole:
        proof.append(_range_root(first, last, subtree))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the entry with the leaf hash `leaf` is number `index` (from 0) of the `size` entries under `root`.

    Raises:
        ProofError: it is not, or the proof has another length.

    Source: RFC 9162 2.1.3.2.
    """
    _require_hashes((leaf, root, *proof))
    if not 0 <= index < size:
        raise ProofError(f"entry {index} is not among {size}")
    number, last, found = index, size - 1, leaf
    for hash_ in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if number & 1 or number == last:
            found = node_hash(hash_, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, hash_)
        number, last = number >> 1, last >> 1
    if last != 0 or found != root:
        raise ProofError(f"entry {index} is not under the root of {size} entries")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the `new_size` entries under `new_root` begin with the `old_size` entries under `old_root`.

    Raises:
        ProofError: they do not: an entry was removed or altered; or the proof has another length.

    Source: RFC 9162 2.1.4.2.
    """
    _require_hashes((old_root, new_root, *proof))
    if not 0 <= old_size <= new_size:
        raise ProofError(f"a tree of {new_size} entries cannot begin with {old_size}")
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        if proof or old_root != expected or (new_size == 0 and new_root != EMPTY_ROOT):
            raise ProofError(f"the roots of {old_size} and {new_size} entries do not agree")
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # The old tree is a full subtree of the new one: the proof leaves it out.
    if not path:
        raise ProofError("the proof is empty")
    old, new = _climb(old_size - 1, new_size - 1, path)
    if (old, new) != (old_root, new_root):
        raise ProofError(f"the tree of {new_size} entries does not begin with that of {old_size}: something is missing")


def _climb(number: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = path[0]
    for hash_ in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if number & 1 or number == last:
            old, new = node_hash(hash_, old), node_hash(hash_, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, hash_)
        number, last = number >> 1, last >> 1
    if last != 0:
        raise ProofError("the proof is too short")
    return old, new


def _require_hashes(hashes: Sequence[bytes]) -> None:
    for hash_ in hashes:
        if len(hash_) != HASH_BYTES:
            raise ProofError(f"a hash has {len(hash_)} bytes, expected {HASH_BYTES}")


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(first: int, last: int, subtree: Subtree) -> bytes:
    """The root over the entries from `first` up to `last`, a range that the tree itself is split into."""
    roots: list[bytes] = []
    while first < last:
        level = (last - first).bit_length() - 1
        roots.append(subtree(level, first >> level))
        first += 1 << level
    root = roots.pop()
    while roots:
        root = node_hash(roots.pop(), root)
    return root


def fold(nodes: Sequence[bytes]) -> bytes:
    """The root over `nodes`, a power of two of them."""
    level = nodes
    while len(level) > 1:
        # Written out, as is `leaf_hashes`: a tile costs 511 hashes, and the calls as much as the hashing.
        level = [_sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The leaves of entries, as `leaf_hash` has each."""
    return [_sha256(b"\x00" + entry).digest() for entry in entries]


class Frontier:
    """The end of a growing tree, as the roots of its full subtrees, largest first: all that is needed to go on."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises ValueError when `size` entries have another number of full subtrees."""
        if len(peaks) != size.bit_count():
            raise ValueError(f"{size} entries have {size.bit_count()} full subtrees, found {len(peaks)}")
        self.size, self._peaks = size, list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the full subtrees, largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Take one more leaf hash; the tiles that it completes, as (tile level from 1, index, root), lowest first."""
        tiles: list[tuple[int, int, bytes]] = []
        node, level, rest = leaf, 0, self.size
        while rest & 1:
            node, level, rest = node_hash(self._peaks.pop(), node), level + 1, rest >> 1
            if level % TILE_LEVELS == 0:
                tiles.append((level // TILE_LEVELS, self.size >> level, node))
        self._peaks.append(node)
        self.size += 1
        return tiles

    def root(self) -> bytes:
        """The root over everything taken so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


class KeptLog(Protocol):
    """What is stored of a log: its entries, and the tiles over them."""

    def entries(self, first: int, count: int) -> Sequence[bytes]:
        """`count` entries from number `first` (from 0) on."""

    def tiles(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """`count` tiles of a tile level (from 1) from number `first` (from 0) on."""


def completed_tiles(size: int) -> Iterator[tuple[int, int]]:
    """The tiles (tile level, index) that the entry which made the log `size` long completes, lowest first."""
    level = 1
    while size and size % (1 << TILE_LEVELS * level) == 0:
        yield level, (size >> TILE_LEVELS * level) - 1
        level += 1


class TiledTree:
    """The subtrees of a log, from its entries and tiles. Reads at most 256 of either for each subtree.

    Pass `subtree` to the functions of this module.
    """

    def __init__(self, log: KeptLog) -> None:
        self._log = log

    def subtree(self, level: int, index: int) -> bytes:
        """The root of the perfect subtree (level, index)."""
        above, tile_level = level % TILE_LEVELS, level // TILE_LEVELS
        return fold(self._nodes(tile_level, index << above, 1 << above))

    def tile(self, level: int, index: int) -> bytes:
        """The root that is to be kept as tile (level from 1, index), from the tile level below it."""
        return fold(self._nodes(level - 1, index * TILE_WIDTH, TILE_WIDTH))

    def frontier(self, size: int) -> Frontier:
        """The end of the tree of `size` entries."""
        peaks, first = [], 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                peaks.append(self.subtree(level, first >> level))
                first += 1 << level
        return Frontier(size, peaks)

    def _nodes(self, tile_level: int, first: int, count: int) -> Sequence[bytes]:
        if tile_level == 0:
            nodes: Sequence[bytes] = leaf_hashes(self._log.entries(first, count))
        else:
            nodes = self._log.tiles(tile_level, first, count)
        if len(nodes) != count:
            what = "entries" if tile_level == 0 else f"tiles of level {tile_level}"
            raise ProofError(f"{len(nodes)} of {count} {what} from {first} on are there: the log is damaged")
        return nodes
