"""The certificate authority: roots, sub-CAs, leafs and CRLs, written by the rows of `pki.profiles`.

Rules of this file
1. Key usage, path length and algorithms come from the profile row, never from the request.
2. A child lives inside its issuer's life.
3. Every certificate passes the verifier's own rules (`pki.verify.rules`) before it leaves.
4. Instants and serial numbers are arguments; only signing draws randomness, inside the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from pki.certificate import Certificate, KeyUsageBit, parse_certificate
from pki.errors import ChainRejected, IdentifierError, IssueError
from pki.identifiers import parse_emaid
from pki.issue.keys import PrivateKey, PublicKey
from pki.profile import CertificateRule, CommonName, Profile
from pki.verify.judgement import Judgement
from pki.verify.rules import check_certificate


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
class LeafOrder:
    """What is asked of the authority. The names are for TLS servers; other leafs leave them empty."""

    subject: Subject
    public_key: PublicKey
    validity: Validity
    serial: int
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of a CRL."""

    serial: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign. `above` holds its issuers' certificates from the nearest up, the root excluded; so a leaf's
    chain is the leaf, this certificate, then `above` (for a root: the leaf alone)."""

    certificate: Certificate
    key: PrivateKey
    profile: Profile
    above: tuple[Certificate, ...] = ()

    @property
    def sent(self) -> tuple[Certificate, ...]:
        """What is sent below a leaf: this certificate and its issuers without the root."""
        return () if self.certificate.self_issued else (self.certificate, *self.above)

    def sub_authority(self, subject: Subject, key: PrivateKey, validity: Validity, serial: int) -> Authority:
        """A sub-CA one step down: Sub1 below a root, Sub2 below a Sub1.

        Raises:
            IssueError: "depth" below a Sub2; "validity" outside this CA's life; "request"; "profile" for a broken rule.
        """
        depth = len(self.sent)
        if depth > 1:
            raise IssueError("depth", "a Sub2 does not sign further sub-CAs", clause="ISO 15118-2 V2G2-009")
        rule = (self.profile.sub1, self.profile.sub2)[depth]
        builder = _builder(subject, key.public_key(), validity, serial, rule)
        return Authority(self._sign(builder, rule, validity), key, self.profile, self.sent)

    def issue(self, order: LeafOrder) -> Certificate:
        """A leaf of this CA's profile.

        Raises:
            IssueError: "emaid-format", "emaid-check-character" for a contract; "depth" when this CA signs no leafs;
                "validity"; "request"; "profile" when a rule is broken, size included.
        """
        if not self.sent and not self.profile.direct_roles:
            raise IssueError("depth", "a root of this profile does not sign leafs", clause="ISO 15118-2 V2G2-867")
        if (
            self.sent
            and self.certificate.basic_constraints is not None
            and self.certificate.basic_constraints.path_length
        ):
            raise IssueError("depth", "leafs are signed by Sub2, not by Sub1", clause="ISO 15118-2 V2G2-009")
        if self.profile.common_name is CommonName.EMAID:
            try:
                parse_emaid(order.subject.common_name, strict=True)
            except IdentifierError as error:
                raise IssueError(error.code, str(error), clause=error.clause) from error
        rule = self.profile.leaf
        builder = _builder(order.subject, order.public_key, order.validity, order.serial, rule)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in order.dns_names]
        names += [x509.IPAddress(address) for address in order.addresses]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if self.profile.extended_key_usage:
            usages = [x509.ObjectIdentifier(oid) for oid in sorted(self.profile.extended_key_usage)]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return self._sign(builder, rule, order.validity)

    def crl(self, number: int, revoked: Sequence[Revocation], this_update: datetime, next_update: datetime) -> bytes:
        """The DER of this CA's list, with CRLNumber and authority key identifier; entries in the order given."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.parsed.subject)
            .last_update(this_update)
            .next_update(next_update)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_authority_key_identifier(self.certificate), critical=False)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at).build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def for_profile(self, profile: Profile) -> Authority:
        """The same CA signing for another branch: one V2G root stands above several."""
        return replace(self, profile=profile)

    def impostor(self, key: PrivateKey) -> Authority:
        """A stranger who claims to be this CA: its certificate with another key. What it signs must be refused."""
        return replace(self, key=key)

    def _sign(self, builder: x509.CertificateBuilder, rule: CertificateRule, validity: Validity) -> Certificate:
        issuer = self.certificate
        if validity.not_before < issuer.not_before or validity.not_after > issuer.not_after:
            raise IssueError("validity", f"the {rule.name} would be valid outside its issuer's life")
        signed = (
            builder.issuer_name(issuer.parsed.subject)
            .add_extension(_authority_key_identifier(issuer), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _checked(signed.public_bytes(serialization.Encoding.DER), rule, self.profile)


def create_root(subject: Subject, key: PrivateKey, validity: Validity, serial: int, profile: Profile) -> Authority:
    """A self-signed root for the branch of one profile.

    Raises:
        IssueError: "profile" when a rule is broken.
    """
    name = subject.name()
    builder = _builder(subject, key.public_key(), validity, serial, profile.root).issuer_name(name)
    signed = builder.sign(key, hashes.SHA256())
    return Authority(_checked(signed.public_bytes(serialization.Encoding.DER), profile.root, profile), key, profile)


def authority_for(
    certificate: Certificate, key: PrivateKey, profile: Profile, above: tuple[Certificate, ...]
) -> Authority:
    """The CA of an existing certificate and key.

    Raises:
        IssueError: "malformed-key": the key is not the certificate's.
    """
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if spki != certificate.spki_der:
        raise IssueError("malformed-key", "the private key does not belong to the CA's certificate")
    return Authority(certificate, key, profile, above)


def _builder(
    subject: Subject, public_key: PublicKey, validity: Validity, serial: int, rule: CertificateRule
) -> x509.CertificateBuilder:
    name = subject.name()
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
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
    except ValueError as error:
        raise IssueError("request", f"the {rule.name} cannot be made: {error}") from error


def _authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
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


def _checked(der: bytes, rule: CertificateRule, profile: Profile) -> Certificate:
    """The certificate, once it passed what the verifier would ask of it."""
    if len(der) > profile.max_der:
        raise IssueError(
            "profile", f"the {rule.name} has {len(der)} bytes, at most {profile.max_der}", clause=profile.clause("size")
        )
    certificate = parse_certificate(der)
    judgement = Judgement(profile)
    try:
        check_certificate(certificate, rule, judgement, 0)
    except ChainRejected as error:
        raise IssueError("profile", f"{error.code}: {error}", clause=error.clause) from error
    return certificate
