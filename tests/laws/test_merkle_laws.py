"""Laws of the Merkle tree, against a second implementation that follows the definitions of RFC 6962 word for word."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from wire.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofError,
    TiledTree,
    completed_tiles,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)


def split(count: int) -> int:
    """k of RFC 6962: the largest power of two smaller than n."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def naive_root(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 2.1."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\1" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 2.1.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return [*naive_path(index, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(index - k, entries[k:]), naive_root(entries[:k])]


def naive_proof(old: int, entries: Sequence[bytes]) -> list[bytes]:
    """PROOF of RFC 6962 2.1.2."""

    def subproof(size: int, part: Sequence[bytes], whole: bool) -> list[bytes]:
        if size == len(part):
            return [] if whole else [naive_root(part)]
        k = split(len(part))
        if size <= k:
            return [*subproof(size, part[:k], whole), naive_root(part[k:])]
        return [*subproof(size - k, part[k:], False), naive_root(part[:k])]

    return subproof(old, entries, True) if old else []


class Log:
    """A log in memory with its tiles, each made when its last entry came."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self._entries, self._tiles = list[bytes](), dict[tuple[int, int], bytes]()
        tree = TiledTree(self)
        for entry in entries:
            self._entries.append(entry)
            for level, index in completed_tiles(len(self._entries)):
                self._tiles[level, index] = tree.tile(level, index)

    def entries(self, first: int, count: int) -> Sequence[bytes]:
        return self._entries[first : first + count]

    def tiles(self, level: int, first: int, count: int) -> Sequence[bytes]:
        found = [self._tiles.get((level, index)) for index in range(first, first + count)]
        return [tile for tile in found if tile is not None]


ENTRIES = [hashlib.sha256(bytes([number % 256, number // 256])).digest() for number in range(1200)]
SUBTREE = TiledTree(Log(ENTRIES)).subtree
sizes = st.integers(0, 40) | st.integers(0, len(ENTRIES)) | st.sampled_from([255, 256, 257, 511, 512, 513, 1024])


def test_the_known_values_of_the_rfc() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_root_frontier_and_definition_agree(size: int) -> None:
    expected = naive_root(ENTRIES[:size])
    frontier, tiles = Frontier(), []
    for entry in ENTRIES[:size]:
        tiles += frontier.append(leaf_hash(entry))
    assert (
        expected == tree_root(size, SUBTREE) == frontier.root() == TiledTree(Log(ENTRIES[:size])).frontier(size).root()
    )
    assert frontier.peaks == TiledTree(Log(ENTRIES)).frontier(size).peaks
    assert Frontier(size, frontier.peaks).root() == expected
    log = Log(ENTRIES[:size])
    assert all(log.tiles(level, index, 1) == [root] for level, index, root in tiles)
    assert [(level, index) for level, index, _ in tiles] == [t for n in range(size + 1) for t in completed_tiles(n)]


@given(sizes.filter(bool), st.data())
@settings(max_examples=80, deadline=None)
def test_inclusion_is_proved_and_nothing_else(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root, leaf = inclusion_proof(index, size, SUBTREE), naive_root(ENTRIES[:size]), leaf_hash(ENTRIES[index])
    assert list(proof) == naive_path(index, ENTRIES[:size])
    verify_inclusion(leaf, index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index)) if size > 1 else index
    wrong = [
        (leaf_hash(ENTRIES[index] + b"x"), index, size, proof, root),
        (leaf, index, size, (*proof, root), root),
        (leaf, index, size, proof, leaf_hash(root)),
        (leaf, size, size, proof, root),
        (leaf, index, size, proof, root[:31]),
    ]
    wrong += [(leaf, other, size, proof, root), (leaf, index, size, proof[:-1], root)] if size > 1 else []
    for case in wrong:
        with pytest.raises(ProofError):
            verify_inclusion(*case)


@given(sizes, sizes, st.data())
@settings(max_examples=120, deadline=None)
def test_consistency_is_proved_and_nothing_else(one: int, two: int, data: st.DataObject) -> None:
    old, new = sorted((one, two))
    old_root, new_root = naive_root(ENTRIES[:old]), naive_root(ENTRIES[:new])
    proof = consistency_proof(old, new, SUBTREE)
    assert list(proof) == naive_proof(old, ENTRIES[:new])
    verify_consistency(old, old_root, new, new_root, proof)
    removed = data.draw(st.integers(0, old - 1)) if old else 0
    cut = naive_root(ENTRIES[:removed] + ENTRIES[removed + 1 : new + 1])
    wrong: list[tuple[int, bytes, int, bytes, Sequence[bytes]]] = [
        (old, leaf_hash(old_root), new, new_root, proof),
        (old, old_root, new, new_root, (*proof, new_root)),
        (new + 1, new_root, new, new_root, proof),
    ]
    if old:
        wrong += [(old, old_root, new, leaf_hash(new_root), proof), (old, old_root, new, cut, proof)]
    if proof:
        wrong += [(old, old_root, new, new_root, proof[:-1]), (old, old_root, new, new_root, ())]
    for case in wrong:
        with pytest.raises(ProofError):
            verify_consistency(*case)


def test_what_is_not_there_cannot_be_proved() -> None:
    with pytest.raises(ValueError, match="entry 3 is not among 3"):
        inclusion_proof(3, 3, SUBTREE)
    with pytest.raises(ValueError, match="does not begin with 4"):
        consistency_proof(4, 3, SUBTREE)
    with pytest.raises(ValueError, match="full subtrees"):
        Frontier(3, [EMPTY_ROOT])
    with pytest.raises(ProofError, match="the log is damaged"):
        tree_root(1300, SUBTREE)
