"""Which leaf belongs to which EMAID: learned from chains that were shown and verified, for requests that show none.

A binding is a memory, not a verdict: it says that these certificates once passed the verifier for this EMAID. Whoever
uses it asks anew for trust, time and revocation (`pki.verify.hash_data`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from pki.certificate import Certificate, parse_certificate
from pki.identifiers import EMAID
from pki.profiles import AnchorRole
from pki.verify.conclusion import VerifiedChain

BINDINGS = 10_000
"""Leafs that are remembered unless told otherwise; about 1 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A leaf that was verified: whose it is, and the path above it, from the leaf's issuer to the anchor. The leaf is
    kept as DER, because it is asked for seldom and there are many."""

    emaid: EMAID
    profile: str
    leaf_der: bytes
    leaf_sha256: str
    serial: int
    issuers: tuple[Certificate, ...]
    anchor_role: AnchorRole
    not_after: datetime
    learned_at: datetime

    def path(self) -> tuple[Certificate, ...]:
        """The certificates from the leaf to the anchor."""
        return (_leaf(self.leaf_der), *self.issuers)


class Bindings:
    """An immutable memory of at most `limit` leafs; the one learned first is forgotten first."""

    __slots__ = ("_branches", "_by_leaf", "_by_serial", "_limit")

    def __init__(self, *, limit: int = BINDINGS) -> None:
        self._limit = limit
        self._by_leaf: dict[str, Binding] = {}
        self._by_serial: dict[int, tuple[Binding, ...]] = {}
        self._branches: dict[tuple[str, ...], tuple[Certificate, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_leaf)

    def learn(self, chain: VerifiedChain) -> Bindings:
        """The memory with one more leaf: this one, when the chain has no EMAID or its leaf and path are known already.
        Cost: a copy of the tables, about 0.2 ms for 10,000."""
        branch = tuple(certificate.sha256 for certificate in chain.path[1:])
        known = self._by_leaf.get(chain.leaf.sha256)
        if chain.emaid is None or self._limit < 1 or (known is not None and _branch(known) == branch):
            return self
        learned = Binding(
            emaid=chain.emaid,
            profile=chain.profile,
            leaf_der=chain.leaf.der,
            leaf_sha256=chain.leaf.sha256,
            serial=chain.leaf.serial,
            issuers=self._branches.get(branch, chain.path[1:]),
            anchor_role=chain.anchor_role,
            not_after=chain.not_after,
            learned_at=chain.verified_at,
        )
        found = Bindings(limit=self._limit)
        found._by_leaf = dict(self._by_leaf)
        found._by_serial = dict(self._by_serial)
        found._branches = dict(self._branches)
        found._forget(known)
        found._remember(learned, branch)
        return found

    def with_serial(self, serial: int) -> tuple[Binding, ...]:
        """The leafs with that serial number, of whatever issuer."""
        return self._by_serial.get(serial, ())

    def ends(self) -> dict[str, datetime]:
        """When the last of its leafs ends, by normal EMAID."""
        found: dict[str, datetime] = {}
        for binding in self._by_leaf.values():
            name = binding.emaid.normal
            found[name] = max(binding.not_after, found.get(name, binding.not_after))
        return found

    def issuers(self) -> frozenset[Certificate]:
        """The sub-CAs and anchors that stand above what was learned."""
        return frozenset(certificate for issuers in self._branches.values() for certificate in issuers)

    def _remember(self, learned: Binding, branch: tuple[str, ...]) -> None:
        if len(self._by_leaf) >= self._limit:
            self._forget(next(iter(self._by_leaf.values())))
        self._by_leaf[learned.leaf_sha256] = learned
        self._by_serial[learned.serial] = (*self.with_serial(learned.serial), learned)
        # Issuers are shared between leafs; one that fell out is only held twice when it comes again.
        if branch not in self._branches and len(self._branches) >= self._limit:
            del self._branches[next(iter(self._branches))]
        self._branches[branch] = learned.issuers

    def _forget(self, binding: Binding | None) -> None:
        if binding is None:
            return
        del self._by_leaf[binding.leaf_sha256]
        rest = tuple(other for other in self.with_serial(binding.serial) if other is not binding)
        if rest:
            self._by_serial[binding.serial] = rest
        else:
            del self._by_serial[binding.serial]


@lru_cache(maxsize=256)
def _leaf(der: bytes) -> Certificate:
    """The leaf, remembered for a while: a car is asked about again when it comes back to the same site."""
    return parse_certificate(der)


def _branch(binding: Binding) -> tuple[str, ...]:
    return tuple(certificate.sha256 for certificate in binding.issuers)
