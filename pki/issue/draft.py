"""What stands in a certificate before it is signed: names, dates, the key, and what its row of the profile says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pki.certificate import Certificate, KeyUsageBit
from pki.errors import IssueError
from pki.issue.keys import PublicKey
from pki.profile import CertificateRule

_CA_ISSUERS = AuthorityInformationAccessOID.CA_ISSUERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A distinguished name, written in the order C, O, CN, DC; what is None is left out."""

    common_name: str
    organization: str | None = None
    country: str | None = None
    domain_component: str | None = None

    def name(self) -> x509.Name:
        """The X.501 name.

        Raises:
            IssueError: "subject": a value that no certificate can carry.
        """
        given = (
            (NameOID.COUNTRY_NAME, self.country),
            (NameOID.ORGANIZATION_NAME, self.organization),
            (NameOID.COMMON_NAME, self.common_name),
            (NameOID.DOMAIN_COMPONENT, self.domain_component),
        )
        try:
            return x509.Name([x509.NameAttribute(oid, text) for oid, text in given if text is not None])
        except ValueError as error:
            raise IssueError("subject", f"subject {self.common_name!a}: {error}") from error


@dataclass(frozen=True, slots=True)
class Validity:
    """From and until when, both inclusive, aware, whole seconds."""

    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Where a CA's list, its OCSP responder and its own certificate are found: URIs, written into all it signs."""

    crl: str | None = None
    responder: str | None = None
    issuer: str | None = None

    def extensions(self) -> list[x509.ExtensionType]:
        """The CRL distribution points and the authority information access, each only when there is something in it."""
        entries = [(AuthorityInformationAccessOID.OCSP, self.responder), (_CA_ISSUERS, self.issuer)]
        access = [x509.AccessDescription(method, _uri(text)) for method, text in entries if text is not None]
        found: list[x509.ExtensionType] = [x509.AuthorityInformationAccess(access)] if access else []
        if self.crl is not None:
            point = x509.DistributionPoint([_uri(self.crl)], None, None, None)
            found.append(x509.CRLDistributionPoints([point]))
        return found


def draft_certificate(
    name: x509.Name,
    public_key: PublicKey,
    validity: Validity,
    serial: int,
    rule: CertificateRule,
    key_identifier_octets: int,
    critical: bool,
) -> x509.CertificateBuilder:
    """All that a certificate of that row says but for its issuer, pointers and purposes.

    Raises:
        IssueError: "request": a value that no certificate can carry.
    """
    try:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(public_key)
            .serial_number(serial)
            .not_valid_before(validity.not_before)
            .not_valid_after(validity.not_after)
            .add_extension(x509.BasicConstraints(rule.ca, rule.path_length), critical=True)
            .add_extension(_key_usage(rule.issued), critical=True)
            .add_extension(_subject_key_identifier(public_key, key_identifier_octets), critical=critical)
        )
    except ValueError as error:
        raise IssueError("request", f"the {rule.name} cannot be made: {error}") from error


def _subject_key_identifier(public_key: PublicKey, octets: int) -> x509.SubjectKeyIdentifier:
    """SHA-1 of the key; of 8 octets: its last 60 bits behind 0100 (RFC 5280 4.2.1.2, method 2; V2G20-2492)."""
    found = x509.SubjectKeyIdentifier.from_public_key(public_key)
    if octets == len(found.digest):
        return found
    short = found.digest[-octets:]
    return x509.SubjectKeyIdentifier(bytes([0x40 | short[0] & 0x0F]) + short[1:])


def _uri(text: str) -> x509.UniformResourceIdentifier:
    try:
        return x509.UniformResourceIdentifier(text)
    except ValueError as error:
        raise IssueError("request", f"{text[:80]!a} is no URI of a certificate: {error}") from error


def authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer by its key identifier, as it calls itself."""
    return x509.AuthorityKeyIdentifier(issuer.subject_key_identifier, None, None)


def _key_usage(bits: frozenset[KeyUsageBit]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=KeyUsageBit.DIGITAL_SIGNATURE in bits,
        content_commitment=KeyUsageBit.NON_REPUDIATION in bits,
        key_encipherment=KeyUsageBit.KEY_ENCIPHERMENT in bits,
        data_encipherment=KeyUsageBit.DATA_ENCIPHERMENT in bits,
        key_agreement=KeyUsageBit.KEY_AGREEMENT in bits,
        key_cert_sign=KeyUsageBit.KEY_CERT_SIGN in bits,
        crl_sign=KeyUsageBit.CRL_SIGN in bits,
        encipher_only=KeyUsageBit.ENCIPHER_ONLY in bits,
        decipher_only=KeyUsageBit.DECIPHER_ONLY in bits,
    )
