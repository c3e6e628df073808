"""From certificates in any order to the paths they may form: by names and key identifiers only, no signature yet.

Certificate 0 is the leaf by definition. What arrived beside it is at most four certificates, so all simple paths are
at most 65 and are listed outright, the shortest first; a path ends where an anchor of an allowed role may have signed.
When none does, the longest path by names is what the verifier explains its refusal with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pki.certificate import Certificate
from pki.profile import CertificateRule, Profile
from pki.verify.trust import Anchor, TrustStore

PATHS_TRIED = 4
"""Paths that the verifier judges at most; each costs at most its own signatures."""


class Link(msgspec.Struct, frozen=True):
    """A certificate of the path, the rule of its place, and its index in the chain as it was presented."""

    index: int
    certificate: Certificate
    rule: CertificateRule


def in_order(certificates: Sequence[Certificate], trust: TrustStore) -> bool:
    """Whether what arrived is one path from the leaf up and nothing else, as nearly every chain is: each certificate is
    named as issuer by the one before it and by no other, and no anchor has the name of one in between. Then
    `possible_paths` gives that path and no other."""
    names = [certificate.subject_der for certificate in certificates]
    names.append(certificates[-1].issuer_der)
    return (
        names[1:] == [certificate.issuer_der for certificate in certificates]
        and len(set(names)) == len(names)
        and not any([trust.named(name) for name in names[1:-1]])
    )


def possible_paths(presented: Mapping[int, Certificate], trust: TrustStore, profile: Profile) -> list[tuple[int, ...]]:
    """The paths to try, as indices from the leaf up: at least one, at most `PATHS_TRIED`.

    `presented` maps the index of each certificate that arrived, the leaf's being 0, to it; roots are not among them.
    """
    ending: list[tuple[int, ...]] = []
    for path in _climb(presented, by_key=True):
        last = presented[path[-1]]
        if anchors_above(last, len(path), trust, profile):
            ending.append(path)
    if ending:
        return ending[:PATHS_TRIED]
    longest = _climb(presented, by_key=False)[-1]
    return [longest if len(longest) > 1 else tuple(presented)]


def anchors_above(last: Certificate, length: int, trust: TrustStore, profile: Profile) -> list[Anchor]:
    """The anchors that may have signed the last of `length` certificates by role, name and key identifier."""
    return [
        anchor for anchor in anchors_named(last, length, trust, profile) if identifiers_fit(last, anchor.certificate)
    ]


def anchors_named(last: Certificate, length: int, trust: TrustStore, profile: Profile) -> list[Anchor]:
    """The anchors of that issuer name in the roles that may stand above a path of `length` certificates."""
    held = trust.named(last.issuer_der)
    return [anchor for role in profile.roles_above(length) for anchor in held if anchor.role is role]


def identifiers_fit(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the authority key identifier, in each form it has, is the issuer's; True when either side has none."""
    named = certificate.authority_key_identifier
    if named is None:
        return True
    wanted, serial, issuer_der = named.key_identifier, named.serial, named.issuer_der
    return (
        (wanted is None or issuer.subject_key_identifier in (wanted, None))
        and (serial is None or serial == issuer.serial)
        and (issuer_der is None or issuer_der == issuer.issuer_der)
    )


def _climb(presented: Mapping[int, Certificate], *, by_key: bool) -> list[tuple[int, ...]]:
    """Every simple path from the leaf up, the shortest first, then in the order of arrival."""
    found: list[tuple[int, ...]] = [(0,)]
    for path in found:  # It grows while it is read.
        below = presented[path[-1]]
        issuer_der = below.issuer_der
        for index, above in presented.items():
            if issuer_der == above.subject_der and index not in path and (not by_key or identifiers_fit(below, above)):
                found.append((*path, index))
    return found
