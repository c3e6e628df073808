"""Certificate revocation lists of any kind: complete, delta, indirect, limited to reasons or to a distribution point.

A list is read once and believed only after `revocation` has found its signer. Here it is decided what it speaks about:
`RevocationList.reasons_for` is RFC 5280 6.3.3 (b) and (d), `entry` is (i) and (j).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from cryptography import x509

from pki import der as outline
from pki.errors import TrustError
from pki.verify.rfc5280.general_names import FORMS, Form
from pki.verify.rfc5280.names import Name, comparable, rdn
from pki.verify.rfc5280.reading import UNPROCESSED, UNREADABLE, PathCertificate

LIST_CAP = 16 * 1024 * 1024
"""Bytes of DER of one list."""

_CRITICAL_KNOWN = frozenset({"2.5.29.27", "2.5.29.28"})  # deltaCRLIndicator, issuingDistributionPoint
_ENTRY_KNOWN = frozenset({"2.5.29.21", "2.5.29.29"})  # reasonCode, certificateIssuer
_NEVER_REASONS = frozenset({x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl})
ALL_REASONS = frozenset(x509.ReasonFlags) - _NEVER_REASONS
"""Every reason that a list can be limited to."""

PointName = tuple[Form, Name | str]


@dataclass(frozen=True, slots=True)
class Point:
    """A distribution point of a certificate: what its lists may be called, for which reasons, signed by whom.
    `issuers` empty: by the certificate's own issuer."""

    names: frozenset[PointName]
    reasons: frozenset[x509.ReasonFlags]
    issuers: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A revoked certificate; `reason` None when none is given."""

    revoked_at: datetime
    reason: x509.ReasonFlags | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RevocationList:
    """A list as it was read; nothing in it is trusted yet.

    `base` is the number of the complete list that a delta adds to, None for a complete list. `scope` are the octets
    of the issuing distribution point, empty without one. `fault` says why the list breaks RFC 5280 5 and is never used.
    """

    issuer: Name
    tbs: bytes
    algorithm: bytes
    parsed: x509.CertificateRevocationList
    this_update: datetime
    next_update: datetime | None
    number: int
    base: int | None
    point: x509.IssuingDistributionPoint | None
    scope: bytes
    signer_key: bytes | None
    fault: str | None
    entries: Mapping[tuple[Name, int], Entry] = field(repr=False)

    def entry(self, certificate: PathCertificate) -> Entry | None:
        """The entry about `certificate`, which names its issuer too: an indirect list speaks for several."""
        return self.entries.get((certificate.issuer, certificate.serial))

    def reasons_for(self, certificate: PathCertificate, point: Point) -> frozenset[x509.ReasonFlags]:
        """The reasons for which absence from the list means something for `certificate`; empty: it does not speak."""
        given = self.point
        if point.issuers:
            if self.issuer not in point.issuers or given is None or not given.indirect_crl:
                return frozenset()
        elif self.issuer != certificate.issuer:
            return frozenset()
        if given is None:
            return point.reasons
        names = _point_names(given.full_name, given.relative_name, self.issuer)
        wanted = point.names or frozenset((Form.DIRECTORY, issuer) for issuer in point.issuers)
        wrong_kind = given.only_contains_user_certs if certificate.is_ca else given.only_contains_ca_certs
        if wrong_kind or given.only_contains_attribute_certs or (names and names.isdisjoint(wanted)):
            return frozenset()
        return point.reasons & (given.only_some_reasons or ALL_REASONS)


def read_list(der: bytes, place: int = 0) -> RevocationList:
    """The list that `der` holds, unverified; `place` is its place among the lists, for the error.

    Raises:
        TrustError: "malformed-crl" or "size-limit"; "unsupported" for names that are not processed.
    """
    if len(der) > LIST_CAP:
        raise TrustError("size-limit", f"CRL {place} has {len(der)} bytes, at most {LIST_CAP}")
    try:
        return _read(der)
    except UNPROCESSED as error:
        raise TrustError("unsupported", f"CRL {place} is not processed: {error}") from error
    except (*UNREADABLE, x509.DuplicateExtension) as error:
        raise TrustError("malformed-crl", f"CRL {place} is no CRL: {error}") from error


def points_of(certificate: PathCertificate) -> tuple[Point, ...]:
    """The distribution points that the certificate names, then the one that is always there: its issuer's own list
    (RFC 5280 6.3.3, last paragraph)."""
    named = certificate.find(x509.CRLDistributionPoints)
    own = Point(frozenset({(Form.DIRECTORY, certificate.issuer)}), ALL_REASONS, ())
    return (*(_point(given, certificate) for given in named or ()), own)


def _read(der: bytes) -> RevocationList:
    body, parts, algorithm, _ = outline.read_signed(der)
    if len(parts) < 4 or [part.tag for part in parts[:3]] != [outline.INTEGER, outline.SEQUENCE, outline.SEQUENCE]:
        raise outline.MalformedDER("not a version 2 CRL")
    if outline.slice_of(der, parts[1]) != algorithm:
        raise outline.MalformedDER("inner and outer signature algorithm differ")
    parsed = x509.load_der_x509_crl(der)
    values = {entry.oid.dotted_string: entry.value for entry in parsed.extensions}
    number, delta = values.get("2.5.29.20"), values.get("2.5.29.27")
    point, signer = values.get("2.5.29.28"), values.get("2.5.29.35")
    issuer = comparable(parsed.issuer)
    entries, unknown = _entries(parsed, issuer)
    return RevocationList(
        issuer=issuer,
        tbs=outline.slice_of(der, body),
        algorithm=algorithm,
        parsed=parsed,
        this_update=parsed.last_update_utc,
        next_update=parsed.next_update_utc,
        number=number.crl_number if isinstance(number, x509.CRLNumber) else -1,
        base=delta.crl_number if isinstance(delta, x509.DeltaCRLIndicator) else None,
        point=point if isinstance(point, x509.IssuingDistributionPoint) else None,
        scope=point.public_bytes() if isinstance(point, x509.IssuingDistributionPoint) else b"",
        signer_key=signer.key_identifier if isinstance(signer, x509.AuthorityKeyIdentifier) else None,
        fault=unknown or _fault(parsed),
        entries=MappingProxyType(entries),
    )


def _fault(parsed: x509.CertificateRevocationList) -> str | None:
    """What makes the whole list unusable, with its clause."""
    critical = {entry.oid.dotted_string: entry.critical for entry in parsed.extensions}
    if parsed.next_update_utc is None:
        return "no nextUpdate (RFC 5280 5.1.2.5)"
    if parsed.next_update_utc < parsed.last_update_utc:
        return "nextUpdate before thisUpdate (RFC 5280 5.1.2.5)"
    if "2.5.29.20" not in critical:
        return "no cRLNumber (RFC 5280 5.2.3)"
    for oid, is_critical in critical.items():
        if is_critical and oid not in _CRITICAL_KNOWN:
            return f"critical extension {oid} is not processed or must not be critical (RFC 5280 5.2)"
        if not is_critical and oid in _CRITICAL_KNOWN:
            return f"extension {oid} must be critical (RFC 5280 5.2)"
    return None


def _entries(parsed: x509.CertificateRevocationList, issuer: Name) -> tuple[dict[tuple[Name, int], Entry], str | None]:
    """The entries by issuer and serial number, and why they cannot be used. The issuer stays the last one named."""
    found: dict[tuple[Name, int], Entry] = {}
    for entry in parsed:
        reason: x509.ReasonFlags | None = None
        for extension in entry.extensions:
            value = extension.value
            if isinstance(value, x509.CRLReason):
                reason = value.reason
            elif isinstance(value, x509.CertificateIssuer):
                named = value.get_values_for_type(x509.DirectoryName)
                issuer = comparable(named[0]) if named else issuer
            if extension.critical and extension.oid.dotted_string not in _ENTRY_KNOWN:
                return {}, f"critical entry extension {extension.oid.dotted_string} is not processed (RFC 5280 5.3)"
        found[issuer, entry.serial_number] = Entry(entry.revocation_date_utc, reason)
    return found, None


def _point(given: x509.DistributionPoint, certificate: PathCertificate) -> Point:
    issuers = tuple(comparable(name.value) for name in given.crl_issuer or () if isinstance(name, x509.DirectoryName))
    names = _point_names(given.full_name, given.relative_name, issuers[0] if issuers else certificate.issuer)
    return Point(names, frozenset(given.reasons or ALL_REASONS), issuers)


def _point_names(
    full: Iterable[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, above: Name
) -> frozenset[PointName]:
    """The names of a distribution point; one relative to the list's issuer is made whole. Of names in forms that are
    not processed one is left that fits nothing."""
    if relative is not None:
        return frozenset({(Form.DIRECTORY, (*above, rdn(relative)))})
    found: set[PointName] = set()
    for name in full or ():
        form = FORMS.get(type(name), Form.OTHER)
        if isinstance(name, x509.DirectoryName):
            found.add((form, comparable(name.value)))
        else:
            found.add((form, name.value if form is Form.URI and isinstance(name.value, str) else repr(name)))
    return frozenset(found)
