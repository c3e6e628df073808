"""Which CAs are known here, and about which certificates OCSP is asked ahead. Pure.

A CA is known when it is an anchor, or stands on the path of a chain that was verified: a contract's, or one of the
site's own. Asked about are the site's own chains and the sub-CAs of contracts, each certificate below its root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from gateway.uplink.evidence import Asked
from gateway.uplink.staples import ChainAsked
from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.pem import parse_chain_pem
from pki.profiles import profile_for
from pki.verify.certificate_id import HashAlgorithm, IssuerID, issuer_id
from pki.verify.chain import VerifiedChain, verify
from pki.verify.path import identifiers_fit
from pki.verify.pointers import read_pointers
from pki.verify.trust import AnchorRole, TrustStore


@dataclass(frozen=True, slots=True)
class OwnChains:
    """The chains (PEM) of the site, unverified; `remarks` say which could not even be read."""

    pems: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one instant. `crl_uris` and `responders` are what certificates name, not yet allowed: the second
    by certificate id. `remarks` say which chains of the site cannot be used."""

    issuers: tuple[Certificate, ...]
    chains: tuple[ChainAsked, ...]
    asked: tuple[Asked, ...]
    crl_uris: tuple[str, ...]
    responders: dict[str, tuple[str, ...]]
    remarks: tuple[str, ...]

    def issuer(self, wanted: IssuerID) -> Certificate | None:
        """The known CA of these hashes."""
        for issuer in self.issuers:
            if issuer_id(issuer, wanted.algorithm) == wanted:
                return issuer
        return None


def survey(anchors: TrustStore, sub_cas: Iterable[Certificate], own: OwnChains, at: datetime) -> Known:
    """What is known with these anchors, the sub-CAs of verified contracts, and the chains of the site itself."""
    roots = [anchor for role in AnchorRole for anchor in anchors.anchors(role)]
    issuers = {issuer.sha256: issuer for issuer in (*roots, *sub_cas)}
    chains: list[ChainAsked] = []
    pairs: dict[str, tuple[Certificate, Asked]] = {}
    remarks = list(own.remarks)
    for pem in own.pems:
        try:
            verified = _own_chain(pem, anchors, at)
        except PKIError as error:
            remarks.append(f"a chain of this site is not asked about: {error.code}: {error}")
            continue
        found = list(_pairs(verified.path))
        chains.append(ChainAsked(verified.leaf.sha256, tuple((below.sha256, asked) for below, asked in found)))
        pairs |= {asked.key: (below, asked) for below, asked in found}
        issuers |= {issuer.sha256: issuer for issuer in verified.path[1:]}
    for below in tuple(issuers.values()):
        above = _issuer_of(below, issuers.values())
        if above is not None:
            asked = Asked(above, below.serial)
            pairs.setdefault(asked.key, (below, asked))
    pointers = {key: read_pointers(below) for key, (below, _) in pairs.items()}
    return Known(
        issuers=tuple(issuers.values()),
        chains=tuple(chains),
        asked=tuple(asked for _, asked in pairs.values()),
        crl_uris=tuple(dict.fromkeys(uri for found in pointers.values() for uri in found.crls)),
        responders={key: found.responders for key, found in pointers.items()},
        remarks=tuple(remarks),
    )


def _own_chain(pem: str, anchors: TrustStore, at: datetime) -> VerifiedChain:
    ders = parse_chain_pem(pem)
    return verify(ders, profile=profile_for(parse_certificate(ders[0], index=0), "secc"), trust=anchors, at=at)


def _pairs(path: Sequence[Certificate]) -> Iterator[tuple[Certificate, Asked]]:
    for below, above in pairwise(path):
        yield below, Asked(above, below.serial, HashAlgorithm.SHA256)


def _issuer_of(certificate: Certificate, issuers: Iterable[Certificate]) -> Certificate | None:
    """The CA above a sub-CA; both were verified, so a name and a key identifier are enough to tell."""
    if certificate.self_issued:
        return None
    for issuer in issuers:
        if issuer.subject_der == certificate.issuer_der and identifiers_fit(certificate, issuer):
            return issuer
    return None
