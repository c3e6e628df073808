"""The certificate authority: roots, sub-CAs, leafs, link certificates and CRLs, written by the rows of `pki.profiles`.

Rules of this file
1. Key usage, path length and algorithms come from the profile row, never from the request.
2. A child lives inside its issuer's life.
3. Every certificate passes the verifier's own rules (`pki.verify.rules`) before it leaves.
4. Instants and serial numbers are arguments; only signing draws randomness, inside the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pki.certificate import Certificate, KeyUsageBit, parse_certificate
from pki.errors import ChainRejected, IdentifierError, IssueError
from pki.identifiers import parse_emaid, parse_emaid_20
from pki.issue.keys import PrivateKey, PublicKey, signing_hash
from pki.issue.lists import ListOrder, build_list
from pki.issue.lists import Reason as Reason
from pki.issue.lists import Revocation as Revocation
from pki.profile import CertificateRule, CommonName, Generation, Profile
from pki.verify.judgement import Judgement
from pki.verify.rules import check_certificate

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
class LeafOrder:
    """What is asked of the authority. The names are for TLS servers; other leafs leave them empty."""

    subject: Subject
    public_key: PublicKey
    validity: Validity
    serial: int
    dns_names: tuple[str, ...] = ()
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign. `above` holds its issuers' certificates from the nearest up, the root excluded; so a leaf's
    chain is the leaf, this certificate, then `above` (for a root: the leaf alone).

    ISO 15118-20 needs a `publication`. Its Annex B marks key identifiers and pointers critical, which common TLS
    libraries refuse, so `annex_b_critical` is off.
    """

    certificate: Certificate
    key: PrivateKey
    profile: Profile
    above: tuple[Certificate, ...] = ()
    publication: Publication | None = None
    annex_b_critical: bool = False

    @property
    def sent(self) -> tuple[Certificate, ...]:
        """What is sent below a leaf: this certificate and its issuers without the root."""
        return () if self.certificate.self_issued else (self.certificate, *self.above)

    def sub_authority(
        self,
        subject: Subject,
        key: PrivateKey,
        validity: Validity,
        serial: int,
        publication: Publication | None = None,
    ) -> Authority:
        """A sub-CA one step down: Sub1 below a root, Sub2 below a Sub1. `publication` is the new CA's.

        Raises:
            IssueError: "depth" below a Sub2; "validity" outside this CA's life; "request"; "profile" for a broken rule.
        """
        depth = len(self.sent)
        if depth > 1:
            raise IssueError("depth", "a Sub2 does not sign further sub-CAs", clause=self.profile.clause("depth"))
        rule = (self.profile.sub1, self.profile.sub2)[depth]
        made = self._sign(self._draft(subject.name(), key.public_key(), validity, serial, rule), rule, validity)
        return replace(self, certificate=made, key=key, above=self.sent, publication=publication)

    def issue(self, order: LeafOrder) -> Certificate:
        """A leaf of this CA's profile.

        Raises:
            IssueError: "emaid-format", "emaid-check-character" for a contract; "depth" when this CA signs no leafs;
                "validity"; "request"; "profile" when a rule is broken, size included.
        """
        self._check_may_issue()
        if self.profile.common_name is CommonName.EMAID:
            parse = parse_emaid_20 if self.profile.generation is Generation.ISO_20 else parse_emaid
            try:
                parse(order.subject.common_name, strict=True)
            except IdentifierError as error:
                raise IssueError(error.code, str(error), clause=error.clause) from error
        rule = self.profile.leaf
        builder = self._draft(order.subject.name(), order.public_key, order.validity, order.serial, rule)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in order.dns_names]
        names += [x509.IPAddress(address) for address in order.addresses]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if self.profile.extended_key_usage:
            usages = [x509.ObjectIdentifier(oid) for oid in sorted(self.profile.extended_key_usage)]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return self._sign(builder, rule, order.validity)

    def link(self, root: Authority, validity: Validity, serial: int) -> Certificate:
        """This root's word for another root: the other's name and key, signed here. It is sent behind Sub1, and lets a
        program that holds only this root reach what stands below the other. It is never an anchor.

        Raises:
            IssueError: "depth" where the generation has no such certificate, or either is no root; "validity" outside
                the life of either; "request"; "profile".

        Source: ISO 15118-20 V2G20-1002, V2G20-1853.
        """
        rule, certified = self.profile.link, root.certificate
        if rule is None or self.sent or root.sent:
            raise IssueError("depth", "only a root of ISO 15118-20 vouches, and for a root only")
        if validity.not_before < certified.not_before or validity.not_after > certified.not_after:
            raise IssueError("validity", f"the {rule.name} would be valid outside the life of the root it certifies")
        name, key = certified.parsed.subject, root.key.public_key()
        return self._sign(self._draft(name, key, validity, serial, rule), rule, validity)

    def renewed(self, validity: Validity, serial: int) -> Authority:
        """The same root with new dates: its name and key stay, so it stands for the older copy and the other way round.

        Raises:
            IssueError: "depth" for a sub-CA; "request"; "profile".
        """
        if self.sent:
            raise IssueError("depth", "only a root renews itself; a sub-CA is issued anew")
        name = self.certificate.parsed.subject
        return replace(self, certificate=_self_signed(name, self.key, self.profile, validity, serial))

    def crl(self, number: int, revoked: Sequence[Revocation], this_update: datetime, next_update: datetime) -> bytes:
        """The DER of this CA's complete list, with CRLNumber and authority key identifier; entries in the order given.

        Raises:
            IssueError: as `pki.issue.lists.build_list`.
        """
        order = ListOrder(number=number, this_update=this_update, next_update=next_update)
        return self.revocation_list(order, revoked)

    def revocation_list(self, order: ListOrder, revoked: Iterable[Revocation]) -> bytes:
        """The DER of a list or delta of this CA.

        Raises:
            IssueError: as `pki.issue.lists.build_list`.
        """
        return build_list(self.certificate, self.key, order, revoked)

    def for_profile(self, profile: Profile) -> Authority:
        """The same CA signing for another branch: one V2G root stands above several."""
        return replace(self, profile=profile)

    def impostor(self, key: PrivateKey) -> Authority:
        """A stranger who claims to be this CA: its certificate with another key. What it signs must be refused."""
        return replace(self, key=key)

    def _check_may_issue(self) -> None:
        clause = self.profile.clause("depth")
        if not self.sent and not self.profile.direct_roles:
            raise IssueError("depth", "a root of this profile does not sign leafs", clause=clause)
        constraints = self.certificate.basic_constraints
        if self.sent and constraints is not None and constraints.path_length:
            raise IssueError("depth", "leafs are signed by Sub2, not by Sub1", clause=clause)

    def _draft(
        self, name: x509.Name, public_key: PublicKey, validity: Validity, serial: int, rule: CertificateRule
    ) -> x509.CertificateBuilder:
        """What this CA writes into a certificate, but for its own name and signature."""
        critical = self.annex_b_critical
        builder = _builder(name, public_key, validity, serial, rule, self.profile.key_identifier_octets, critical)
        for extension in self.publication.extensions() if self.publication else ():
            builder = builder.add_extension(extension, critical=critical)
        return builder

    def _sign(self, builder: x509.CertificateBuilder, rule: CertificateRule, validity: Validity) -> Certificate:
        issuer = self.certificate
        if validity.not_before < issuer.not_before or validity.not_after > issuer.not_after:
            raise IssueError("validity", f"the {rule.name} would be valid outside its issuer's life")
        signed = (
            builder.issuer_name(issuer.parsed.subject)
            .add_extension(_authority_key_identifier(issuer), critical=self.annex_b_critical)
            .sign(self.key, signing_hash(self.key))
        )
        return _checked(signed.public_bytes(serialization.Encoding.DER), rule, self.profile)


def create_root(
    subject: Subject,
    key: PrivateKey,
    validity: Validity,
    serial: int,
    profile: Profile,
    publication: Publication | None = None,
) -> Authority:
    """A self-signed root for the branch of one profile.

    Raises:
        IssueError: "profile" when a rule is broken.
    """
    made = _self_signed(subject.name(), key, profile, validity, serial)
    return Authority(made, key, profile, publication=publication)


def _self_signed(name: x509.Name, key: PrivateKey, profile: Profile, validity: Validity, serial: int) -> Certificate:
    octets = profile.key_identifier_octets
    builder = _builder(name, key.public_key(), validity, serial, profile.root, octets, False).issuer_name(name)
    signed = builder.sign(key, signing_hash(key))
    return _checked(signed.public_bytes(serialization.Encoding.DER), profile.root, profile)


def authority_for(
    certificate: Certificate,
    key: PrivateKey,
    profile: Profile,
    above: tuple[Certificate, ...],
    publication: Publication | None = None,
) -> Authority:
    """The CA of an existing certificate and key.

    Raises:
        IssueError: "malformed-key": the key is not the certificate's.
    """
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if spki != certificate.spki_der:
        raise IssueError("malformed-key", "the private key does not belong to the CA's certificate")
    return Authority(certificate, key, profile, above, publication)


def _builder(
    name: x509.Name,
    public_key: PublicKey,
    validity: Validity,
    serial: int,
    rule: CertificateRule,
    key_identifier_octets: int,
    critical: bool,
) -> x509.CertificateBuilder:
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
