"""Certificate policies: RFC 5280 6.1.3 (d) to (f), 6.1.4 (a) to (j), with the graph of RFC 9618 in place of the tree.

The tree of RFC 5280 can double at every mapping; the graph has one node for each policy and depth. Only its lowest
level is kept: a node carries the policies of the authority's own domain that lead to it (`origins`), which is all that
the parents were kept for. An empty level is the NULL tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography import x509

from pki import der as outline
from pki.verify.fields import read_oid
from pki.verify.rfc5280.budget import Budget
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse

ANY = "2.5.29.32.0"
_MAPPINGS = "2.5.29.33"


@dataclass(frozen=True, slots=True)
class PolicyDemand:
    """What the relying party asks: inputs (c) to (g) of RFC 5280 6.1.1; as it stands, any policy, and none needed."""

    acceptable: frozenset[str] = frozenset({ANY})
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


class Node(NamedTuple):
    """A policy that is valid here: what the next certificate may call it, and whence it comes."""

    expected: frozenset[str]
    origins: frozenset[str]


_ROOT = {ANY: Node(frozenset({ANY}), frozenset({ANY}))}


@dataclass(slots=True)
class PolicyState:
    """The policy variables while a path of `length` certificates is walked from the anchor down.

    `explicit`, `mapping` and `any_policy` are the counters of RFC 5280 6.1.2 (d) to (f).
    """

    length: int
    demand: PolicyDemand
    budget: Budget
    level: dict[str, Node] = field(default_factory=lambda: dict(_ROOT))
    explicit: int = 0
    mapping: int = 0
    any_policy: int = 0

    def __post_init__(self) -> None:
        counted = self.length + 1
        self.explicit = 0 if self.demand.explicit else counted
        self.mapping = 0 if self.demand.inhibit_mapping else counted
        self.any_policy = 0 if self.demand.inhibit_any else counted

    def process(self, certificate: PathCertificate, *, last: bool) -> None:
        """6.1.3 (d) to (f): the policies of one certificate.

        Raises:
            ChainRejected: "policy"; "budget".
        """
        given = certificate.find(x509.CertificatePolicies)
        if given is None:
            self.level = {}
        elif self.level:
            self.level = self._next_level(given, certificate, last)
        if self.explicit <= 0 and not self.level:
            refuse("policy", "no certificate policy is valid here", clause="6.1.3", index=certificate.index)

    def descend(self, certificate: PathCertificate) -> None:
        """6.1.4 (a), (b), (h) to (j): what a CA's mappings and constraints mean for the next certificate."""
        mappings = _mappings(certificate)
        if mappings:
            self._map(mappings)
        if not certificate.self_issued:
            self.explicit = max(self.explicit - 1, 0)
            self.mapping = max(self.mapping - 1, 0)
            self.any_policy = max(self.any_policy - 1, 0)
        self.constrain(certificate)

    def constrain(self, certificate: PathCertificate) -> None:
        """6.1.4 (i), (j): policy constraints and inhibitAnyPolicy of a CA; also asked of an anchor (RFC 5937 3)."""
        constraints = certificate.find(x509.PolicyConstraints)
        if constraints is not None:
            if constraints.require_explicit_policy is not None:
                self.explicit = min(self.explicit, constraints.require_explicit_policy)
            if constraints.inhibit_policy_mapping is not None:
                self.mapping = min(self.mapping, constraints.inhibit_policy_mapping)
        inhibited = certificate.find(x509.InhibitAnyPolicy)
        if inhibited is not None:
            self.any_policy = min(self.any_policy, inhibited.skip_certs)

    def conclude(self, leaf: PathCertificate) -> None:
        """6.1.5 (a), (b), (g): refuse when an explicit policy is needed and no acceptable one is left ("policy")."""
        explicit = max(self.explicit - 1, 0)
        constraints = leaf.find(x509.PolicyConstraints)
        if constraints is not None and constraints.require_explicit_policy == 0:
            explicit = 0
        if explicit == 0 and not self._authorized():
            refuse("policy", "no acceptable certificate policy is left", clause="6.1.5", index=leaf.index)

    def _authorized(self) -> bool:
        if ANY in self.demand.acceptable or ANY in self.level:
            return bool(self.level)
        return any(node.origins & self.demand.acceptable for node in self.level.values())

    def _next_level(self, given: x509.CertificatePolicies, certificate: PathCertificate, last: bool) -> dict[str, Node]:
        named = {entry.policy_identifier.dotted_string for entry in given}
        self.budget.spend_comparisons(len(named) + sum(len(node.expected) for node in self.level.values()))
        parents = self._expectations()
        found: dict[str, Node] = {}
        for policy in named - {ANY}:
            if policy in parents:
                found[policy] = Node(frozenset({policy}), parents[policy])
            elif ANY in self.level:
                found[policy] = Node(frozenset({policy}), frozenset({policy}))
        if ANY in named and (self.any_policy > 0 or (not last and certificate.self_issued)):
            for policy in parents.keys() - found.keys():
                found[policy] = Node(frozenset({policy}), parents[policy])
        return found

    def _expectations(self) -> dict[str, frozenset[str]]:
        """The policies that the level expects next, each with the origins of the nodes that expect it."""
        found: dict[str, set[str]] = {}
        for node in self.level.values():
            for policy in node.expected:
                self.budget.spend_comparisons(len(node.origins))
                found.setdefault(policy, set()).update(node.origins)
        return {policy: frozenset(origins) for policy, origins in found.items()}

    def _map(self, mappings: dict[str, frozenset[str]]) -> None:
        """6.1.4 (b)."""
        for policy, targets in mappings.items():
            self.budget.spend_comparisons(len(targets))
            if self.mapping == 0:
                self.level.pop(policy, None)
            elif policy in self.level:
                self.level[policy] = Node(targets, self.level[policy].origins)
            elif ANY in self.level:
                self.level[policy] = Node(targets, frozenset({policy}))


def check_policies(certificate: PathCertificate) -> None:
    """Refuse a policy listed twice (4.2.1.4) and mappings from or to anyPolicy (4.2.1.5, 6.1.4 (a)) ("policy")."""
    given = certificate.find(x509.CertificatePolicies)
    if given is not None:
        named = [entry.policy_identifier for entry in given]
        if not named or len(set(named)) != len(named):
            refuse("policy", "no policy, or one twice", clause="4.2.1.4", index=certificate.index)
    for policy, targets in _mappings(certificate).items():
        if ANY in (policy, *targets):
            refuse("policy", "anyPolicy is mapped", clause="4.2.1.5", index=certificate.index)


def _mappings(certificate: PathCertificate) -> dict[str, frozenset[str]]:
    """The subject domain's policies for each policy of the issuer's domain; `cryptography` leaves them undecoded."""
    found = certificate.extensions.get(_MAPPINGS)
    if found is None or not isinstance(found.value, x509.UnrecognizedExtension):
        return {}
    pairs: dict[str, set[str]] = {}
    try:
        for issuer, subject in _pairs(found.value.value):
            pairs.setdefault(issuer, set()).add(subject)
    except ValueError as error:
        refuse("policy", f"policy mappings cannot be read: {error}", clause="4.2.1.5", index=certificate.index)
    return {policy: frozenset(targets) for policy, targets in pairs.items()}


def _pairs(der: bytes) -> list[tuple[str, str]]:
    whole = outline.read_element(der, 0, len(der))
    found: list[tuple[str, str]] = []
    for pair in outline.read_children(der, whole):
        parts = outline.read_children(der, pair)
        if pair.tag != outline.SEQUENCE or len(parts) != 2:
            raise outline.MalformedDER("a mapping is not a pair of policies")
        found.append((read_oid(der, parts[0]), read_oid(der, parts[1])))
    if whole.end != len(der) or not found:
        raise outline.MalformedDER("no mappings, or more than mappings")
    return found
