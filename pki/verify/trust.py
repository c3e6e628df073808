"""Anchors by role: the only source of trust.

Nothing that arrives in a message becomes an anchor. Several anchors with one name are normal (a V2G root CA may have
ten valid roots, V2G2-878; renewals), so a name finds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pki.certificate import Certificate, parse_certificate, verify_signature
from pki.errors import MalformedCertificate, TrustError
from pki.profile import AnchorRole as AnchorRole


class Anchor(NamedTuple):
    """A held root and a role that it is held for: what may end a path."""

    role: AnchorRole
    certificate: Certificate


class TrustStore:
    """A set of anchors for each role, never changed. Whether an anchor fits a profile is judged when a path reaches it.

    It remembers which anchors it has found to be signed by their own key: that depends on their bytes only.
    """

    __slots__ = ("_anchors", "_by_name", "_self_signed")

    def __init__(self, anchors: Mapping[AnchorRole, Iterable[Certificate]]) -> None:
        held = {role: tuple(dict.fromkeys(anchors.get(role, ()))) for role in AnchorRole}
        self._anchors: Mapping[AnchorRole, tuple[Certificate, ...]] = MappingProxyType(held)
        self._by_name: dict[bytes, tuple[Anchor, ...]] = {}
        for role, certificates in held.items():
            for certificate in certificates:
                name = certificate.subject_der
                self._by_name[name] = (*self._by_name.get(name, ()), Anchor(role, certificate))
        self._self_signed: dict[bytes, bool] = {}

    @classmethod
    def from_der(cls, anchors: Mapping[AnchorRole, Iterable[bytes]]) -> TrustStore:
        """The store of these roots, DER by role; a certificate given twice is held once.

        Raises:
            TrustError: "anchor-malformed"; names the role and the position.
        """
        return cls({role: [_parse(role, at, der) for at, der in enumerate(held)] for role, held in anchors.items()})

    def anchors(self, role: AnchorRole) -> tuple[Certificate, ...]:
        """Every anchor of one role, in the order they were given."""
        return self._anchors[role]

    def named(self, subject_der: bytes) -> tuple[Anchor, ...]:
        """The anchors whose subject is exactly these bytes, by role; a root that is held for two roles is two."""
        return self._by_name.get(subject_der, ())

    def roles_naming(self, subject_der: bytes) -> tuple[AnchorRole, ...]:
        """The roles that hold an anchor of that name."""
        return tuple(dict.fromkeys(anchor.role for anchor in self.named(subject_der)))

    def twins(self, certificate: Certificate) -> tuple[Anchor, ...]:
        """The anchors of the same name and the same key, with their roles: renewals of one root are the same anchor."""
        return tuple(
            anchor
            for anchor in self.named(certificate.subject_der)
            if anchor.certificate.spki_der == certificate.spki_der
        )

    def self_signed(self, anchor: Certificate) -> bool:
        """Whether a held certificate is signed by its own key. A link certificate is not, even where both of its names
        are the same, and so is no anchor. Costs one signature verification for each anchor, once."""
        known = self._self_signed.get(anchor.der)
        if known is None:
            known = verify_signature(anchor, anchor.signature_kind, anchor.tbs, anchor.signature)
            self._self_signed[anchor.der] = known
        return known


def _parse(role: AnchorRole, at: int, der: bytes) -> Certificate:
    try:
        return parse_certificate(der)
    except MalformedCertificate as error:
        raise TrustError("anchor-malformed", f"{role.value} anchor {at}: {error}") from error
