"""A certificate revocation list: read, then verified against its issuer, then indexed.

Verification, every step a refusal (`TrustError`) of the whole list:
1. the list's issuer name is the issuer's subject, byte for byte; a key identifier, when there is one, is the issuer's
2. the issuer may sign lists (cRLSign)
3. thisUpdate is before nextUpdate, which must be there; the instants themselves are judged when the list is used
4. no critical extension that is not processed here; no delta, indirect, reason-limited or attribute list
5. the signature
6. no critical extension on any entry

Source: RFC 5280 5 and 6.3.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from cryptography import x509

from pki import der as outline
from pki.certificate import (
    PARSER_ERRORS,
    Certificate,
    KeyUsageBit,
    SignatureKind,
    signature_kind,
    verify_signature,
)
from pki.errors import TrustError

CRL_CAP = 16 * 1024 * 1024
"""Bytes of DER beyond which a list is not parsed (about 500,000 entries)."""

_IDP = "2.5.29.28"
_PROCESSED = frozenset({_IDP})


@dataclass(frozen=True, slots=True)
class Scope:
    """The certificates a list speaks for: `uris` empty means no distribution point is named, so all of them."""

    users: bool = True
    authorities: bool = True
    uris: frozenset[str] = frozenset()

    def covers(self, certificate: Certificate) -> bool:
        """Whether absence from the list means anything for `certificate`."""
        is_ca = certificate.basic_constraints is not None and certificate.basic_constraints.ca
        in_kind = self.authorities if is_ca else self.users
        return in_kind and (not self.uris or not self.uris.isdisjoint(certificate.crl_uris))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CRL:
    """A list as it was read: nothing in it is trusted yet. `number` None: it carries no CRLNumber."""

    sha256: str
    tbs: bytes
    signature: bytes
    signature_kind: SignatureKind
    issuer_der: bytes
    this_update: datetime
    next_update: datetime | None
    number: int | None
    parsed: x509.CertificateRevocationList


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VerifiedCRL:
    """A list whose issuer stands behind it. `revoked` maps serial numbers to revocation instants: one look-up each."""

    sha256: str
    this_update: datetime
    next_update: datetime
    number: int
    scope: Scope
    revoked: Mapping[int, datetime]


def parse_crl(der: bytes) -> CRL:
    """The list that `der` holds, unverified. About 8 ms for 100,000 entries.

    Raises:
        TrustError: "malformed-crl" or "size-limit".
    """
    if len(der) > CRL_CAP:
        raise TrustError("size-limit", f"CRL of {len(der)} bytes, at most {CRL_CAP}")
    try:
        return _read(der)
    except (*PARSER_ERRORS, x509.DuplicateExtension) as error:
        raise TrustError("malformed-crl", f"not a CRL: {error}") from error


def verify_crl(crl: CRL, issuer: Certificate) -> VerifiedCRL:
    """The list with its entries indexed, once `issuer` is shown to stand behind it. Cost: one signature, then about
    1 us for each entry.

    Raises:
        TrustError: "crl-issuer", "crl-key-usage", "crl-dates", "crl-extension", "crl-scope", "crl-signature".
    """
    extensions = crl.parsed.extensions
    _check_issuer(crl, issuer, extensions)
    if crl.next_update is None or crl.next_update < crl.this_update:
        raise TrustError(
            "crl-dates", "CRL without nextUpdate, or with nextUpdate before thisUpdate", clause="RFC 5280 5.1.2.5"
        )
    for extension in extensions:
        if extension.critical and extension.oid.dotted_string not in _PROCESSED:
            raise TrustError(
                "crl-extension",
                f"CRL carries critical extension {extension.oid.dotted_string}, which is not processed",
                clause="RFC 5280 5.2",
            )
    scope = _scope(extensions)
    if not verify_signature(issuer, crl.signature_kind, crl.tbs, crl.signature):
        raise TrustError("crl-signature", "CRL is not signed by its issuer's key", clause="RFC 5280 6.3.3")
    return VerifiedCRL(
        sha256=crl.sha256,
        this_update=crl.this_update,
        next_update=crl.next_update,
        number=-1 if crl.number is None else crl.number,
        scope=scope,
        revoked=_entries(crl),
    )


def _read(der: bytes) -> CRL:
    body, parts, algorithm, signature = outline.read_signed(der)
    # version INTEGER (v2), signature algorithm, issuer, thisUpdate ...; version 1 has no extensions and is not issued.
    if len(parts) < 4 or [part.tag for part in parts[:3]] != [outline.INTEGER, outline.SEQUENCE, outline.SEQUENCE]:
        raise outline.MalformedDER("not a version 2 CRL")
    if outline.slice_of(der, parts[1]) != algorithm:
        raise outline.MalformedDER("inner and outer signature algorithm differ")
    parsed = x509.load_der_x509_crl(der)
    number = next(
        (entry.value.crl_number for entry in parsed.extensions if isinstance(entry.value, x509.CRLNumber)), None
    )
    return CRL(
        sha256=hashlib.sha256(der).hexdigest(),
        tbs=outline.slice_of(der, body),
        signature=signature,
        signature_kind=signature_kind(algorithm),
        issuer_der=outline.slice_of(der, parts[2]),
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        number=number,
        parsed=parsed,
    )


def _check_issuer(crl: CRL, issuer: Certificate, extensions: x509.Extensions) -> None:
    if crl.issuer_der != issuer.subject_der:
        raise TrustError("crl-issuer", "CRL names another issuer", clause="RFC 5280 6.3.3")
    for extension in extensions:
        if isinstance(extension.value, x509.AuthorityKeyIdentifier):
            named = extension.value.key_identifier
            if None not in (named, issuer.subject_key_identifier) and named != issuer.subject_key_identifier:
                raise TrustError("crl-issuer", "CRL names another key of its issuer", clause="RFC 5280 5.2.1")
    if issuer.key_usage is None or KeyUsageBit.CRL_SIGN not in issuer.key_usage.bits:
        raise TrustError("crl-key-usage", "the issuer's key usage has no cRLSign", clause="RFC 5280 6.3.3")


def _scope(extensions: x509.Extensions) -> Scope:
    for extension in extensions:
        point = extension.value
        if isinstance(point, x509.DeltaCRLIndicator):
            raise TrustError("crl-scope", "a delta CRL is no evidence by itself", clause="RFC 5280 5.2.4")
        if isinstance(point, x509.IssuingDistributionPoint):
            return _point_scope(point)
    return Scope()


def _point_scope(point: x509.IssuingDistributionPoint) -> Scope:
    limits = {
        "indirect": point.indirect_crl,
        "limited to some reasons": point.only_some_reasons is not None,
        "for attribute certificates": point.only_contains_attribute_certs,
        "of a relative distribution point": point.relative_name is not None,
    }
    met = [what for what, given in limits.items() if given]
    if met:
        raise TrustError("crl-scope", f"CRL is {', '.join(met)}", clause="RFC 5280 5.2.5")
    names = point.full_name or ()
    uris = frozenset(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    if names and not uris:
        raise TrustError("crl-scope", "CRL's distribution point has no URI", clause="RFC 5280 5.2.5")
    return Scope(users=not point.only_contains_ca_certs, authorities=not point.only_contains_user_certs, uris=uris)


def _entries(crl: CRL) -> Mapping[int, datetime]:
    found: dict[int, datetime] = {}
    try:
        for entry in crl.parsed:
            if any(extension.critical for extension in entry.extensions):
                raise TrustError("crl-extension", "a CRL entry carries a critical extension", clause="RFC 5280 5.3")
            found[entry.serial_number] = entry.revocation_date_utc
    except (*PARSER_ERRORS, x509.DuplicateExtension) as error:
        raise TrustError("malformed-crl", f"a CRL entry cannot be read: {error}") from error
    return MappingProxyType(found)
