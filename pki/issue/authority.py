"""The certificate authority: roots, sub-CAs, leafs, OCSP signers and lists, written by the rows of `pki.profiles`.

Rules of this file
1. Key usage, path length and algorithms come from the profile row, never from the request.
2. A child lives inside its issuer's life.
3. Every certificate passes the verifier's own rules (`pki.verify.rules`), and its signature the verifier's own check,
   before it leaves.
4. Instants and serial numbers are arguments; only signing draws randomness, inside the library.

How a hierarchy gets new certificates without a day on which something is refused: the new one is made while the old one
is valid, and both are, for a while. `renewed` gives a root new dates and `rolled` a new key; `recertify` gives a sub-CA
new dates, a new key, or another CA above it.

An authority need not hold the keys above it: the holder of an offline root signs sub-CAs by `certify` from their public
keys alone, and `authority_for` joins the certificate to the key elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pki.certificate import Certificate, parse_certificate
from pki.errors import ChainRejected, IdentifierError, IssueError, TrustError
from pki.identifiers import parse_emaid, parse_emaid_20
from pki.issue.draft import (
    Publication as Publication,
    Subject as Subject,
    Validity as Validity,
    authority_key_identifier,
    draft_certificate,
)
from pki.issue.keys import PrivateKey, PublicKey, key_kind_of, public_key_der, signing_hash
from pki.issue.lists import ListOrder, Reason as Reason, Revocation as Revocation, build_list
from pki.profile import CertificateRule, CommonName, Generation, Profile
from pki.public_key import signed_by
from pki.verify.judgement import Judgement
from pki.verify.ocsp import check_delegate
from pki.verify.rules import check_certificate


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
            IssueError: "depth" below a Sub2; "validity" outside this CA's life; "subject" for a name that no
                certificate can carry, or this CA's own; "request"; "profile" for a broken rule.
        """
        made = self.certify(subject, key.public_key(), validity, serial)
        return replace(self, certificate=made, key=key, above=self.sent, publication=publication)

    def certify(self, subject: Subject, public_key: PublicKey, validity: Validity, serial: int) -> Certificate:
        """The certificate of a sub-CA one step down whose private key is elsewhere: how an offline root signs.

        Raises:
            IssueError: as `sub_authority`.
        """
        return self._certified(subject.name(), public_key, validity, serial, self._rule_below())

    def recertify(
        self, sub: Certificate, validity: Validity, serial: int, *, public_key: PublicKey | None = None
    ) -> Certificate:
        """Another certificate for a sub-CA that has one, under the same name: from the same issuer its renewal, with
        `public_key` its next key; from another issuer a cross-certificate. Both are valid at once: the older one is not
        revoked, and what it signed stays good. What stands below must live within it, where the generation asks for
        that: so let it begin no later than the older one.

        Raises:
            IssueError: "depth" when it is no sub-CA of the step below this CA; "validity" outside this CA's life, or
                when a renewal would begin after the end of the older one; "request"; "profile".
        """
        rule, constraints = self._rule_below(), sub.basic_constraints
        if sub.self_issued or constraints is None or constraints.path_length != rule.path_length:
            raise IssueError("depth", f"what is certified again is no {rule.name}", clause=self.profile.clause("depth"))
        if sub.issuer_der == self.certificate.subject_der:
            _check_overlap(sub, validity, rule)
        key = public_key or sub.public_key
        if key is None:
            raise IssueError("profile", f"the {rule.name} has a key that no profile takes")
        made = self._certified(sub.parsed.subject, key, validity, serial, rule)
        if made.subject_der != sub.subject_der:
            raise IssueError("request", f"the name of the {rule.name} cannot be written as it stands")
        return made

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

    def ocsp_signer(self, subject: Subject, public_key: PublicKey, validity: Validity, serial: int) -> Certificate:
        """The certificate of a delegate that signs OCSP answers about what this CA issued. It has no pointers and
        carries id-pkix-ocsp-nocheck, so its life should be short; its key is of this CA's kind.

        Raises:
            IssueError: "subject" with a domain component, which would name a role; "validity"; "request"; "profile".

        Source: RFC 6960 4.2.2.2.
        """
        if subject.domain_component is not None:
            raise IssueError("subject", "an OCSP signer has no domain component", clause="RFC 6960 4.2.2.2")
        rule = self.profile.responder
        octets = self.profile.key_identifier_octets
        builder = draft_certificate(subject.name(), public_key, validity, serial, rule, octets, self.annex_b_critical)
        purposes = [x509.ObjectIdentifier(oid) for oid in sorted(rule.extended_key_usage)]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        made = self._sign(builder.add_extension(x509.OCSPNoCheck(), critical=False), rule, validity)
        try:
            check_delegate(made, self.certificate)
        except TrustError as error:
            raise IssueError("profile", str(error), clause=error.clause) from error
        return made

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
            IssueError: "depth" for a sub-CA; "validity" when it would begin after the end of the older one; "request";
                "profile".
        """
        return self.rolled(self.key, validity, serial)

    def rolled(self, key: PrivateKey, validity: Validity, serial: int) -> Authority:
        """The same root with its next key: the same name, so both stand in a trust store side by side. What the old key
        signed stays below the old one. Until all hold the new one: `link`, or `recertify` of its Sub1s by the old one.

        Raises:
            IssueError: as `renewed`.
        """
        if self.sent:
            raise IssueError("depth", "only a root renews itself; a sub-CA is certified again by its issuer")
        _check_overlap(self.certificate, validity, self.profile.root)
        name = self.certificate.parsed.subject
        return replace(self, certificate=_self_signed(name, key, self.profile, validity, serial), key=key)

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

    def _certified(
        self, name: x509.Name, public_key: PublicKey, validity: Validity, serial: int, rule: CertificateRule
    ) -> Certificate:
        """A sub-CA's certificate. Under its issuer's name it would be taken for a root."""
        made = self._sign(self._draft(name, public_key, validity, serial, rule), rule, validity)
        if made.self_issued:
            raise IssueError("subject", f"the {rule.name} would have the name of its issuer")
        return made

    def _rule_below(self) -> CertificateRule:
        """The row of the sub-CAs that this CA signs."""
        depth = len(self.sent)
        if depth > 1:
            raise IssueError("depth", "a Sub2 does not sign further sub-CAs", clause=self.profile.clause("depth"))
        return (self.profile.sub1, self.profile.sub2)[depth]

    def _draft(
        self, name: x509.Name, public_key: PublicKey, validity: Validity, serial: int, rule: CertificateRule
    ) -> x509.CertificateBuilder:
        """What this CA writes into a certificate, but for its own name and signature."""
        critical = self.annex_b_critical
        octets = self.profile.key_identifier_octets
        builder = draft_certificate(name, public_key, validity, serial, rule, octets, critical)
        for extension in self.publication.extensions() if self.publication else ():
            builder = builder.add_extension(extension, critical=critical)
        return builder

    def _sign(self, builder: x509.CertificateBuilder, rule: CertificateRule, validity: Validity) -> Certificate:
        issuer = self.certificate
        if validity.not_before < issuer.not_before or validity.not_after > issuer.not_after:
            raise IssueError("validity", f"the {rule.name} would be valid outside its issuer's life")
        signed = (
            builder.issuer_name(issuer.parsed.subject)
            .add_extension(authority_key_identifier(issuer), critical=self.annex_b_critical)
            .sign(self.key, signing_hash(self.key))
        )
        made = _checked(signed.public_bytes(serialization.Encoding.DER), rule, self.profile, self.key)
        if made.issuer_der != issuer.subject_der:
            raise IssueError("request", f"the issuer's name of the {rule.name} cannot be written as it stands")
        return made


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
    builder = draft_certificate(name, key.public_key(), validity, serial, profile.root, octets, False).issuer_name(name)
    signed = builder.sign(key, signing_hash(key))
    return _checked(signed.public_bytes(serialization.Encoding.DER), profile.root, profile, key)


def _check_overlap(older: Certificate, validity: Validity, rule: CertificateRule) -> None:
    if validity.not_before > older.not_after:
        message = (
            f"the next {rule.name} would begin {validity.not_before}, after the end of the older, {older.not_after}"
        )
        raise IssueError("validity", message)


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
    if public_key_der(key) != certificate.spki_der:
        raise IssueError("malformed-key", "the private key does not belong to the CA's certificate")
    return Authority(certificate, key, profile, above, publication)


def _checked(der: bytes, rule: CertificateRule, profile: Profile, key: PrivateKey) -> Certificate:
    """The certificate, once it passed what the verifier would ask of it; `key` signed it."""
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
    kind, signature = certificate.signature_kind, certificate.signature
    if not signed_by(key_kind_of(key), key.public_key(), kind, certificate.tbs, signature):
        raise IssueError("profile", f"the signature of the {rule.name} does not verify: the key is not to be trusted")
    return certificate
