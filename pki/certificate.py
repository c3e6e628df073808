"""Bytes to a `Certificate` value, read once.

Rules of this file
1. Sizes first, then the outline (`pki.der`), then `cryptography`; nothing is parsed twice.
2. Names, key and signed part are kept as the exact bytes that arrived: they are compared and verified as bytes.
3. What RFC 5280 forbids in any certificate is refused here (version, serial, time encoding, duplicate extension,
   inner and outer algorithm that differ); what a profile forbids is left to `pki.verify`.
4. A key is known only by the exact SubjectPublicKeyInfo of an uncompressed point on a named curve, or of Ed448.
   Explicit curve parameters and compressed points are other bytes: `KeyKind.OTHER`, which no profile takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pki import der as outline
from pki.errors import MalformedCertificate
from pki.pem import encode_pem
from pki.pem import parse_chain_pem as parse_chain_pem

E = TypeVar("E", bound=x509.ExtensionType)
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
"""The keys of the kinds that some profile takes."""

CERTIFICATE_CAP = 4096
"""Bytes of DER beyond which nothing is parsed; profiles are stricter (ISO 15118-2: 800, V2G2-010)."""

PARSER_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for bytes that it cannot read, beside DuplicateExtension."""
_VERSION_3 = bytes.fromhex("a003020102")


class KeyKind(StrEnum):
    """The keys that some profile takes; everything else is OTHER."""

    P256 = "secp256r1"
    P521 = "secp521r1"
    ED448 = "ed448"
    OTHER = "other"


class SignatureKind(StrEnum):
    """The signature algorithms that some profile takes, by the exact DER of their AlgorithmIdentifier."""

    ECDSA_SHA256 = "ecdsa-with-SHA256"
    ECDSA_SHA512 = "ecdsa-with-SHA512"
    ED448 = "ed448"
    OTHER = "other"


_KEYS = {
    69: (KeyKind.ED448, bytes.fromhex("3043300506032b6571033a00")),
    91: (KeyKind.P256, bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")),
    158: (KeyKind.P521, bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600" + "04")),
}
_SIGNATURES = {
    bytes.fromhex("300a06082a8648ce3d040302"): SignatureKind.ECDSA_SHA256,
    bytes.fromhex("300a06082a8648ce3d040304"): SignatureKind.ECDSA_SHA512,
    bytes.fromhex("300506032b6571"): SignatureKind.ED448,
}
_PINNED = {
    KeyKind.P256: SignatureKind.ECDSA_SHA256,
    KeyKind.P521: SignatureKind.ECDSA_SHA512,
    KeyKind.ED448: SignatureKind.ED448,
}
"""The one signature algorithm that goes with each key."""
_ECDSA = {KeyKind.P256: ec.ECDSA(hashes.SHA256()), KeyKind.P521: ec.ECDSA(hashes.SHA512())}


class KeyUsageBit(StrEnum):
    """RFC 5280 4.2.1.3."""

    DIGITAL_SIGNATURE = "digitalSignature"
    NON_REPUDIATION = "nonRepudiation"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"
    ENCIPHER_ONLY = "encipherOnly"
    DECIPHER_ONLY = "decipherOnly"


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The key usage extension."""

    bits: frozenset[KeyUsageBit]
    critical: bool


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """The basic constraints extension; `path_length` None: no limit stated."""

    ca: bool
    path_length: int | None
    critical: bool


@dataclass(frozen=True, slots=True)
class AuthorityKeyIdentifier:
    """The issuer as its key identifier and, rarely, as issuer name and serial."""

    key_identifier: bytes | None
    serial: int | None


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension's object identifier (dotted) and criticality, in the order of the certificate."""

    oid: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the subject: dotted object identifier and text; `text` None when the value is no text."""

    oid: str
    text: str | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Certificate:
    """A certificate, read once. Two are equal iff their DER is. `sha256` is hex over the DER, for caches and logs."""

    der: bytes
    sha256: str
    tbs: bytes
    signature: bytes
    signature_kind: SignatureKind
    issuer_der: bytes
    subject_der: bytes
    spki_der: bytes
    key_kind: KeyKind
    public_key: PublicKey | None
    serial: int
    not_before: datetime
    not_after: datetime
    subject: tuple[Attribute, ...]
    extensions: tuple[Extension, ...]
    basic_constraints: BasicConstraints | None
    key_usage: KeyUsage | None
    extended_key_usage: frozenset[str]
    subject_key_identifier: bytes | None
    authority_key_identifier: AuthorityKeyIdentifier | None
    crl_uris: frozenset[str]
    parsed: x509.Certificate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same name; what it claims, not what was verified."""
        return self.issuer_der == self.subject_der

    def attributes(self, oid: x509.ObjectIdentifier) -> tuple[str | None, ...]:
        """The texts of the subject's attributes of one type, in order."""
        return tuple(entry.text for entry in self.subject if entry.oid == oid.dotted_string)

    def pem(self) -> str:
        """The certificate as one PEM block that ends with a line feed."""
        return encode_pem(self.der)


@dataclass(frozen=True, slots=True)
class _Outline:
    tbs: bytes
    signature: bytes
    algorithm: bytes
    serial: int
    issuer: bytes
    subject: bytes
    spki: bytes


def parse_certificate(der: bytes, *, index: int | None = None, max_bytes: int = CERTIFICATE_CAP) -> Certificate:
    """The certificate that `der` holds; `index` is its place in a chain, for the error. About 30 us.

    Raises:
        MalformedCertificate: "size-limit", "malformed-certificate", "version", "serial-number", "time-encoding",
            "signature-algorithm-mismatch", "duplicate-extension", "unique-identifier".

    Source: RFC 5280 4.1.
    """
    if len(der) > max_bytes:
        raise MalformedCertificate("size-limit", f"{len(der)} bytes of DER, at most {max_bytes}", index=index)
    try:
        found = _outline(der, index)
        parsed = x509.load_der_x509_certificate(der)
        return _assemble(der, found, parsed)
    except x509.DuplicateExtension as error:
        raise MalformedCertificate(
            "duplicate-extension",
            f"extension {error.oid.dotted_string} appears twice",
            clause="RFC 5280 4.2",
            index=index,
        ) from error
    except PARSER_ERRORS as error:
        raise MalformedCertificate("malformed-certificate", f"not a certificate: {error}", index=index) from error


def signature_kind(algorithm_der: bytes) -> SignatureKind:
    """The algorithm whose AlgorithmIdentifier is exactly these bytes; OTHER when no profile takes it."""
    return _SIGNATURES.get(algorithm_der, SignatureKind.OTHER)


def verify_signature(issuer: Certificate, kind: SignatureKind, signed: bytes, signature: bytes) -> bool:
    """Whether `issuer`'s key made `signature` over `signed`; False also when `kind` is not the one algorithm that goes
    with that key (V2G2-006, V2G20-2674, V2G20-2319). Costs one signature verification (about 60 us for P-256).
    """
    key = issuer.public_key
    if key is None or kind is not _PINNED.get(issuer.key_kind):
        return False
    try:
        if isinstance(key, ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            key.verify(signature, signed, _ECDSA[issuer.key_kind])
    except InvalidSignature:
        return False
    return True


def _outline(der: bytes, index: int | None) -> _Outline:
    body, parts, algorithm, signature = outline.read_signed(der)
    if not parts or outline.slice_of(der, parts[0]) != _VERSION_3:
        raise MalformedCertificate(
            "version", "not an X.509 version 3 certificate", clause="RFC 5280 4.1.2.1", index=index
        )
    tags = [part.tag for part in parts[1:7]]
    if tags != [outline.INTEGER] + [outline.SEQUENCE] * 5:
        raise outline.MalformedDER("the certificate's fields are not in their order")
    serial, inner, issuer, validity, subject, spki = parts[1:7]
    if any(part.tag != 0xA3 for part in parts[7:]):
        raise MalformedCertificate(
            "unique-identifier", "carries a unique identifier", clause="RFC 5280 4.1.2.8", index=index
        )
    if outline.slice_of(der, inner) != algorithm:
        raise MalformedCertificate(
            "signature-algorithm-mismatch",
            "the algorithm inside the signed part is not the one beside the signature",
            clause="RFC 5280 4.1.1.2",
            index=index,
        )
    _check_times(der, validity, index)
    return _Outline(
        tbs=outline.slice_of(der, body),
        signature=signature,
        algorithm=algorithm,
        serial=_serial(der[serial.content : serial.end], index),
        issuer=outline.slice_of(der, issuer),
        subject=outline.slice_of(der, subject),
        spki=outline.slice_of(der, spki),
    )


def _serial(content: bytes, index: int | None) -> int:
    """The serial number: positive, at most 20 octets, so at most 159 bits."""
    value = int.from_bytes(content, "big", signed=True)
    if not 1 <= len(content) <= 20 or value < 1:
        what = f"{len(content)} octets" if len(content) > 20 else "not positive"
        raise MalformedCertificate(
            "serial-number",
            f"serial number is {what}; expected 1 to 20 octets, positive",
            clause="RFC 5280 4.1.2.2",
            index=index,
        )
    return value


def _check_times(der: bytes, validity: outline.Element, index: int | None) -> None:
    """Refuse times that are not UTCTime `YYMMDDhhmmssZ` up to 2049 and GeneralizedTime `YYYYMMDDhhmmssZ` from 2050."""
    times = outline.read_children(der, validity)
    for time in times:
        text = der[time.content : time.end]
        utc = time.tag == outline.UTC_TIME and len(text) == 13
        generalized = time.tag == outline.GENERALIZED_TIME and len(text) == 15 and text[:4] >= b"2050"
        if not (utc or generalized) or not text[:-1].isdigit() or text[-1:] != b"Z":
            raise MalformedCertificate(
                "time-encoding", "a validity time is not in its one DER form", clause="RFC 5280 4.1.2.5", index=index
            )
    if len(times) != 2:
        raise outline.MalformedDER("validity does not hold two times")


def _assemble(der: bytes, found: _Outline, parsed: x509.Certificate) -> Certificate:
    kind, public_key = _key(found.spki, parsed)
    extensions = parsed.extensions
    usages = _one(extensions, x509.ExtendedKeyUsage)
    identifier = _one(extensions, x509.SubjectKeyIdentifier)
    points = _one(extensions, x509.CRLDistributionPoints)
    return Certificate(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        tbs=found.tbs,
        signature=found.signature,
        signature_kind=signature_kind(found.algorithm),
        issuer_der=found.issuer,
        subject_der=found.subject,
        spki_der=found.spki,
        key_kind=kind,
        public_key=public_key,
        serial=found.serial,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        subject=tuple(
            Attribute(entry.oid.dotted_string, entry.value if isinstance(entry.value, str) else None)
            for entry in parsed.subject
        ),
        extensions=tuple(Extension(entry.oid.dotted_string, entry.critical) for entry in extensions),
        basic_constraints=_basic_constraints(extensions),
        key_usage=_key_usage(extensions),
        extended_key_usage=frozenset(usage.dotted_string for usage in usages[0]) if usages else frozenset(),
        subject_key_identifier=identifier[0].digest if identifier else None,
        authority_key_identifier=_authority_key_identifier(extensions),
        crl_uris=frozenset(_full_name_uris(points[0])) if points else frozenset(),
        parsed=parsed,
    )


def _full_name_uris(points: Iterable[x509.DistributionPoint]) -> Iterator[str]:
    for point in points:
        for name in point.full_name or ():
            if isinstance(name, x509.UniformResourceIdentifier):
                yield name.value


def _key(spki: bytes, parsed: x509.Certificate) -> tuple[KeyKind, PublicKey | None]:
    kind, prefix = _KEYS.get(len(spki), (KeyKind.OTHER, b""))
    if kind is KeyKind.OTHER or not spki.startswith(prefix):
        return KeyKind.OTHER, None
    key = parsed.public_key()
    return (kind, key) if isinstance(key, PublicKey) else (KeyKind.OTHER, None)


def _one(extensions: x509.Extensions, kind: type[E]) -> tuple[E, bool] | None:
    """The extension of one type and whether it is critical; there is at most one."""
    for entry in extensions:
        if isinstance(entry.value, kind):
            return entry.value, entry.critical
    return None


def _basic_constraints(extensions: x509.Extensions) -> BasicConstraints | None:
    found = _one(extensions, x509.BasicConstraints)
    return BasicConstraints(found[0].ca, found[0].path_length, found[1]) if found else None


def _key_usage(extensions: x509.Extensions) -> KeyUsage | None:
    found = _one(extensions, x509.KeyUsage)
    if found is None:
        return None
    usage, critical = found
    flags = {
        KeyUsageBit.DIGITAL_SIGNATURE: usage.digital_signature,
        KeyUsageBit.NON_REPUDIATION: usage.content_commitment,
        KeyUsageBit.KEY_ENCIPHERMENT: usage.key_encipherment,
        KeyUsageBit.DATA_ENCIPHERMENT: usage.data_encipherment,
        KeyUsageBit.KEY_AGREEMENT: usage.key_agreement,
        KeyUsageBit.KEY_CERT_SIGN: usage.key_cert_sign,
        KeyUsageBit.CRL_SIGN: usage.crl_sign,
        # The library answers these two only beside keyAgreement, and raises otherwise.
        KeyUsageBit.ENCIPHER_ONLY: usage.key_agreement and usage.encipher_only,
        KeyUsageBit.DECIPHER_ONLY: usage.key_agreement and usage.decipher_only,
    }
    return KeyUsage(frozenset(bit for bit, given in flags.items() if given), critical)


def _authority_key_identifier(extensions: x509.Extensions) -> AuthorityKeyIdentifier | None:
    found = _one(extensions, x509.AuthorityKeyIdentifier)
    if found is None:
        return None
    return AuthorityKeyIdentifier(found[0].key_identifier, found[0].authority_cert_serial_number)
