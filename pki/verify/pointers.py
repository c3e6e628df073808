"""Where a certificate says that more can be learned: its CRLs, its responder, its issuer, what its subject offers.

ISO 15118-20 marks these extensions critical, so the verifier must process them: here they are read. Nothing is
fetched; the caller who fetches decides by an allow-list of its own.

Source: RFC 5280 4.2.1.13, 4.2.2.1, 4.2.2.2; V2G20-2590, V2G20-2591.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from pki.certificate import Certificate
from pki.profile import AUTHORITY_ACCESS, CRL_POINTS, SUBJECT_ACCESS

_URI_MAX = 512
_SCHEMES = ("http://", "https://", "ldap://", "ldaps://")


@dataclass(frozen=True, slots=True)
class Pointers:
    """The URIs of a certificate, in its order; only those that a program could follow (http, https, ldap, ldaps)."""

    crls: tuple[str, ...]
    responders: tuple[str, ...]
    issuers: tuple[str, ...]
    offers: tuple[str, ...]


def read_pointers(certificate: Certificate) -> Pointers:
    """The pointers of a certificate; empty where it has none. About 10 us."""
    responders: list[str] = []
    issuers: list[str] = []
    offers: list[str] = []
    crls: list[str] = []
    for extension in certificate.parsed.extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityInformationAccess):
            for entry in value:
                if entry.access_method == AuthorityInformationAccessOID.OCSP:
                    responders += _uris([entry.access_location])
                elif entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
                    issuers += _uris([entry.access_location])
        elif isinstance(value, x509.SubjectInformationAccess):
            offers += _uris(entry.access_location for entry in value)
        elif isinstance(value, x509.CRLDistributionPoints):
            for point in value:
                crls += _uris(point.full_name or ())
    return Pointers(tuple(crls), tuple(responders), tuple(issuers), tuple(offers))


def points_anywhere(certificate: Certificate) -> bool:
    """Whether authorityInfoAccess or cRLDistributionPoints name anything at all: an empty list is no pointer."""
    found: list[object] = []
    for extension in certificate.parsed.extensions:
        if isinstance(extension.value, x509.AuthorityInformationAccess | x509.CRLDistributionPoints):
            found += extension.value
    return bool(found)


def pointer_fault(certificate: Certificate, oid: str) -> str | None:
    """Why the critical extension `oid`, one of `POINTERS`, cannot be processed; None when it can."""
    found = read_pointers(certificate)
    usable = {
        AUTHORITY_ACCESS: (*found.responders, *found.issuers),
        SUBJECT_ACCESS: found.offers,
        CRL_POINTS: found.crls,
    }[oid]
    return None if usable else "it names no URI that could be followed"


def _uris(names: Iterable[x509.GeneralName]) -> list[str]:
    found = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return [uri for uri in found if len(uri) <= _URI_MAX and uri.lower().startswith(_SCHEMES)]
