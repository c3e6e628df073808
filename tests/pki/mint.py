"""A mint for certificates that no honest authority would sign: any field can be set wrong, and is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from pki.profiles import AnchorRole, Profile, profile_named
from pki.verify import TrustStore, VerifiedChain, verify

AT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Surgery = Callable[[list[bytes]], list[bytes]]
CONTRACT_USAGE = frozenset({"digital_signature", "content_commitment", "key_encipherment", "key_agreement"})
CA_USAGE = frozenset({"key_cert_sign", "crl_sign"})
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def tlv(tag: int, content: bytes) -> bytes:
    """One DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def split(content: bytes) -> list[bytes]:
    """The elements of a constructed element's content."""
    found, at = [], 0
    while at < len(content):
        size, start = content[at + 1], at + 2
        if size & 0x80:
            octets = size & 0x7F
            size, start = int.from_bytes(content[start : start + octets], "big"), start + octets
        found.append(content[at : start + size])
        at = start + size
    return found


def content_of(element: bytes) -> bytes:
    """The content of one element."""
    size = element[1]
    return element[2 + (size & 0x7F if size & 0x80 else 0) :]


def sign(key: Key, hash_: hashes.HashAlgorithm, message: bytes) -> bytes:
    """The signature in the form that a certificate carries."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hash_))
    if isinstance(key, ed448.Ed448PrivateKey):
        return key.sign(message)
    raise TypeError("surgery signs with EC and Ed448 keys only")


def operate(der: bytes, surgery: Surgery, key: Key, hash_: hashes.HashAlgorithm, outer: bytes | None = None) -> bytes:
    """The certificate with its TBS fields edited, signed again; `outer` replaces the outer algorithm only."""
    tbs, algorithm, _ = split(content_of(der))
    edited = tlv(0x30, b"".join(surgery(split(content_of(tbs)))))
    signature = tlv(0x03, b"\0" + sign(key, hash_, edited))
    return tlv(0x30, edited + (outer or algorithm) + signature)


def name_of(common_name: str, *, dc: str | None = None, extra: tuple[x509.NameAttribute[str], ...] = ()) -> x509.Name:
    """C=DE, O=Test, CN, and what else is asked for."""
    parts: list[x509.NameAttribute[Any]] = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
    ]
    if common_name:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    if dc is not None:
        parts.append(x509.NameAttribute(NameOID.DOMAIN_COMPONENT, dc))
    return x509.Name([*parts, *extra])


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Spec:
    """A certificate to be minted, right or wrong."""

    name: x509.Name
    ca: bool
    path_length: int | None
    usage: frozenset[str] | None
    key: Key = field(default_factory=new_key)
    days: tuple[int, int] = (-10, 100)
    basic: bool = True
    basic_critical: bool = True
    usage_critical: bool = True
    aki: bool = True
    aki_value: x509.AuthorityKeyIdentifier | None = None
    ski: bool = True
    key_identifier: bytes | None = None
    identifiers_critical: bool = False
    extra: list[tuple[x509.ExtensionType, bool]] = field(default_factory=list)
    hash_: hashes.HashAlgorithm | None = field(default_factory=hashes.SHA256)
    signer: Key | None = None
    issuer: x509.Name | None = None
    surgery: Surgery | None = None
    outer: bytes | None = None
    serial: int = field(default_factory=x509.random_serial_number)

    def mint(self, issuer: Spec) -> bytes:
        """The DER, signed by `signer` or the issuer's key."""
        key = self.signer or issuer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.issuer or issuer.name)
            .public_key(self.key.public_key())
            .serial_number(self.serial)
            .not_valid_before(AT + timedelta(days=self.days[0]))
            .not_valid_after(AT + timedelta(days=self.days[1]))
        )
        for extension, critical in self._extensions(issuer):
            builder = builder.add_extension(extension, critical)
        ed = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        der = builder.sign(key, None if ed else self.hash_).public_bytes(serialization.Encoding.DER)
        if self.surgery is not None or self.outer is not None:
            assert self.hash_ is not None
            der = operate(der, self.surgery or (lambda parts: parts), key, self.hash_, self.outer)
        return der

    def key_octets(self) -> bytes:
        """The key identifier: as given, or SHA-1 of the key."""
        return self.key_identifier or x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()).digest

    def _extensions(self, issuer: Spec) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        if self.basic:
            found.append((x509.BasicConstraints(self.ca, self.path_length), self.basic_critical))
        if self.usage is not None:
            found.append((x509.KeyUsage(**{bit: bit in self.usage for bit in USAGES}), self.usage_critical))
        if self.ski:
            found.append((x509.SubjectKeyIdentifier(self.key_octets()), self.identifiers_critical))
        if self.aki and issuer is not self:
            right = x509.AuthorityKeyIdentifier(issuer.key_octets(), None, None)
            found.append((self.aki_value or right, self.identifiers_critical))
        return found + self.extra


@dataclass
class Branch:
    """A contract branch: root, Sub1, Sub2, leaf. Change a spec, then `mint`."""

    root: Spec
    sub1: Spec
    sub2: Spec
    leaf: Spec
    profile: str = "iso15118-2-contract"

    def mint(self) -> list[bytes]:
        """Leaf, Sub2, Sub1."""
        return [self.leaf.mint(self.sub2), self.sub2.mint(self.sub1), self.sub1.mint(self.root)]

    def anchor(self) -> bytes:
        """The root."""
        return self.root.mint(self.root)

    def judge(self, chain: list[bytes] | None = None, **changed: Any) -> VerifiedChain:
        """What `verify` says of the minted chain (or of `chain`) with this root as MO anchor."""
        profile: Profile = changed.pop("profile", None) or profile_named(self.profile)
        trust = changed.pop("trust", None) or TrustStore.from_der({AnchorRole.MO: [self.anchor()]})
        return verify(
            self.mint() if chain is None else chain, profile=profile, trust=trust, at=changed.pop("at", AT), **changed
        )


def sound_branch() -> Branch:
    """A contract branch that is right in every point."""
    return Branch(
        root=Spec(name_of("Root", dc="MO"), True, None, CA_USAGE, days=(-100, 1000)),
        sub1=Spec(name_of("Sub1"), True, 1, CA_USAGE, days=(-50, 500)),
        sub2=Spec(name_of("Sub2"), True, 0, CA_USAGE, days=(-40, 400)),
        leaf=Spec(name_of("DEABC000000001G", dc="MO"), False, None, CONTRACT_USAGE),
    )


def new_p521() -> ec.EllipticCurvePrivateKey:
    """A P-521 key."""
    return ec.generate_private_key(ec.SECP521R1())


def access(method: x509.ObjectIdentifier = AuthorityInformationAccessOID.OCSP) -> x509.AuthorityInformationAccess:
    """An authority information access with one URI."""
    uri = x509.UniformResourceIdentifier("http://ocsp.example.test")
    return x509.AuthorityInformationAccess([x509.AccessDescription(method, uri)])


def crl_point(uri: str = "http://crl.example.test/sub2.crl") -> x509.CRLDistributionPoints:
    """A CRL distribution point with one URI."""
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(uri)], None, None, None)])


def sound_branch_20(make_key: Callable[[], Key] = new_p521) -> Branch:
    """A contract branch of ISO 15118-20 that is right in every point; P-521 unless told."""

    def spec(name: x509.Name, ca: bool, path_length: int | None, usage: frozenset[str], days: tuple[int, int]) -> Spec:
        extra: list[tuple[x509.ExtensionType, bool]] = [(access(), False)] if days[0] > -100 else []
        return Spec(name, ca, path_length, usage, make_key(), days, extra=extra, hash_=hashes.SHA512())

    return Branch(
        root=spec(name_of("Root", dc="MO"), True, None, CA_USAGE, (-100, 1000)),
        sub1=spec(name_of("Sub1"), True, 1, CA_USAGE, (-50, 500)),
        sub2=spec(name_of("Sub2"), True, 0, CA_USAGE, (-40, 400)),
        leaf=spec(name_of("DEABC000000001G", dc="MO"), False, None, frozenset({"digital_signature"}), (-10, 100)),
        profile="iso15118-20-contract",
    )
