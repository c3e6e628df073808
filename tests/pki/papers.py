"""Certificates, lists and whole graphs for the generic engine, right by default and wrong where a test asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import NameOID

from pki.verify.rfc5280 import VerifiedPath, verify_path
from tests.pki.mint import USAGES, Surgery, operate, tlv

AT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CA_USAGE = frozenset({"key_cert_sign", "crl_sign"})
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(8)]
"""Keys to choose from, so that a thousand certificates do not cost a thousand keys."""


def name(common_name: str, *more: x509.NameAttribute[str]) -> x509.Name:
    """CN alone, or with what else is asked for."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name), *more])


@dataclass(frozen=True)
class Paper:
    """A certificate with the key that it certifies."""

    der: bytes
    subject: x509.Name
    key: Any

    @property
    def parsed(self) -> x509.Certificate:
        """The certificate as `cryptography` reads it."""
        return x509.load_der_x509_certificate(self.der)


def paper(
    subject: str | x509.Name,
    issuer: Paper | None = None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    usage: frozenset[str] | None = None,
    key: Any = None,
    signer: Any = None,
    issuer_name: x509.Name | None = None,
    days: tuple[int, int] = (-100, 100),
    serial: int | None = None,
    extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
    without: Iterable[type[x509.ExtensionType]] = (),
    flip: Iterable[type[x509.ExtensionType]] = (),
    surgery: Surgery | None = None,
    hash_: hashes.HashAlgorithm | None = None,
    **signing: Any,
) -> Paper:
    """A certificate that RFC 5280 has nothing against, but for what the arguments spoil: extensions left `without` or
    with criticality turned by `flip`, TBS fields edited by `surgery` before signing."""
    whole = name(subject) if isinstance(subject, str) else subject
    key = key or ec.generate_private_key(ec.SECP256R1())
    own = issuer is None
    signing_key = signer or (key if issuer is None else issuer.key)
    above = (whole if issuer is None else issuer.subject) if issuer_name is None else issuer_name
    if usage is None:
        usage = CA_USAGE if ca else frozenset({"digital_signature"})
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.KeyUsage(**{bit: bit in usage for bit in USAGES}), True),
    ]
    if ca:
        found.append((x509.BasicConstraints(True, path_length), True))
    if not own:
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False))
    builder = (
        x509.CertificateBuilder()
        .subject_name(whole)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(AT + timedelta(days=days[0]))
        .not_valid_after(AT + timedelta(days=days[1]))
    )
    left_out, turned = tuple(without), tuple(flip)
    for extension, critical in (*(entry for entry in found if not isinstance(entry[0], left_out)), *extra):
        builder = builder.add_extension(extension, critical != isinstance(extension, turned))
    hash_ = hash_ or _hash_for(signing_key)
    der = builder.sign(signing_key, hash_, **signing).public_bytes(serialization.Encoding.DER)
    if surgery is not None:
        assert hash_ is not None
        der = operate(der, surgery, signing_key, hash_)
    return Paper(der, whole, key)


def _hash_for(key: Any) -> hashes.HashAlgorithm | None:
    return None if isinstance(key, ed448.Ed448PrivateKey | ed25519.Ed25519PrivateKey) else hashes.SHA256()


def raw(oid: str, der: bytes, critical: bool = False) -> tuple[x509.ExtensionType, bool]:
    """An extension of any octets."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), der), critical


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of these elements."""
    return tlv(0x30, b"".join(parts))


@dataclass(frozen=True)
class Graph:
    """A root, an intermediate and a leaf; any of them may be spoiled."""

    root: Paper
    sub: Paper
    leaf: Paper

    @property
    def chain(self) -> list[bytes]:
        """Leaf and intermediate."""
        return [self.leaf.der, self.sub.der]

    def judge(self, **changed: Any) -> VerifiedPath:
        """What `verify_path` says."""
        return judge(self.chain, self.root, **changed)


def judge(chain: Sequence[bytes], *roots: Paper, **changed: Any) -> VerifiedPath:
    """What `verify_path` says at AT."""
    return verify_path(chain, anchors=[root.der for root in roots], at=changed.pop("at", AT), **changed)


def graph(
    root: dict[str, Any] | None = None, sub: dict[str, Any] | None = None, leaf: dict[str, Any] | None = None
) -> Graph:
    """A graph with these arguments of `paper` changed."""
    top = paper(**{"subject": "Root", "ca": True} | (root or {}))
    middle = paper(**{"subject": "Sub", "issuer": top, "ca": True} | (sub or {}))
    return Graph(top, middle, paper(**{"subject": "Leaf", "issuer": middle} | (leaf or {})))


def revocation_list(
    issuer: Paper,
    revoked: Sequence[int | tuple[int, x509.ReasonFlags] | x509.RevokedCertificate] = (),
    *,
    number: int | None = 1,
    days: tuple[int, int] = (-10, 10),
    extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
    key: Any = None,
    aki: bool = True,
) -> bytes:
    """A CRL that is right, but for what the arguments spoil; `key` signs in place of the issuer's."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(AT + timedelta(days=days[0]))
        .next_update(AT + timedelta(days=days[1]))
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(_revoked(entry))
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), False)
    if aki:
        named = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(named, False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key or issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _revoked(entry: int | tuple[int, x509.ReasonFlags] | x509.RevokedCertificate) -> x509.RevokedCertificate:
    if isinstance(entry, x509.RevokedCertificate):
        return entry
    serial, reason = entry if isinstance(entry, tuple) else (entry, None)
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(AT - timedelta(days=20))
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), False)
    return builder.build()
