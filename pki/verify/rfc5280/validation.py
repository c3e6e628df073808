"""RFC 5280 6.1: one path, walked from its anchor down to the leaf.

What the search has settled already is not asked again: signatures, validity, names that chain, and what each
certificate must be by itself. The anchor is held to the limits that it states itself (RFC 5937 3): path length, name
constraints, policy constraints; policies that an anchor lists do not narrow what is acceptable.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from pki.verify.rfc5280.budget import Budget
from pki.verify.rfc5280.constraints import NameSpace
from pki.verify.rfc5280.general_names import subject_names
from pki.verify.rfc5280.policies import PolicyDemand, PolicyState
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse


@dataclass(frozen=True, slots=True)
class CandidatePath:
    """Certificates from the leaf upwards, each signed by the next, the last by the anchor, which is not among them."""

    certificates: tuple[PathCertificate, ...]
    anchor: PathCertificate

    def issuer_of(self, position: int) -> PathCertificate:
        """The certificate above."""
        above = position + 1
        return self.certificates[above] if above < len(self.certificates) else self.anchor


def validate_path(path: CandidatePath, demand: PolicyDemand, budget: Budget) -> None:
    """Return if the path keeps every constraint that its certificates lay on it.

    Raises:
        ChainRejected: "path-length", "name-constraints", "policy", "unsupported", "budget".

    Source: RFC 5280 6.1.2 to 6.1.5; the letters in the code are its steps.
    """
    policies = PolicyState(len(path.certificates), demand, budget)
    policies.constrain(path.anchor)
    space = _space_below(NameSpace(), path.anchor)
    left = _shorter(len(path.certificates), path.anchor)
    leaf, *issuers = path.certificates
    for certificate in reversed(issuers):
        if not certificate.self_issued:  # 6.1.3 (b), (c)
            space.check(subject_names(certificate), certificate, budget)
        policies.process(certificate, last=False)  # 6.1.3 (d) to (f)
        policies.descend(certificate)  # 6.1.4 (a), (b), (h) to (j)
        space = _space_below(space, certificate)  # 6.1.4 (g)
        if not certificate.self_issued:  # 6.1.4 (l)
            if left <= 0:
                message = "more CAs below than an issuer's path length allows"
                refuse("path-length", message, clause="6.1.4", index=certificate.index)
            left -= 1
        left = _shorter(left, certificate)  # 6.1.4 (m)
    space.check(subject_names(leaf), leaf, budget)  # 6.1.3 (b), (c): the last one even when it is self-issued
    policies.process(leaf, last=True)  # 6.1.3 (d) to (f)
    policies.conclude(leaf)  # 6.1.5


def _space_below(space: NameSpace, certificate: PathCertificate) -> NameSpace:
    constraints = certificate.find(x509.NameConstraints)
    return space if constraints is None else space.under(constraints, certificate.index)


def _shorter(left: int, certificate: PathCertificate) -> int:
    constraints = certificate.find(x509.BasicConstraints)
    stated = None if constraints is None else constraints.path_length
    return left if stated is None else min(left, stated)
