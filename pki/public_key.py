"""Public keys and signature algorithms, each known by its exact bytes.

Rules of this file
1. A key is known only by the exact SubjectPublicKeyInfo of an uncompressed point on a named curve, or of Ed448.
   Explicit curve parameters and compressed points are other bytes: `KeyKind.OTHER`, which no profile takes.
2. A point is shown to be on its curve when the certificate is read: of a CA by making the key object, which is needed
   soon; of a leaf by arithmetic, because making the object takes longer and most leafs never sign what is checked here.
3. Each kind of key has one signature algorithm; a signature by any other is no signature of that key.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import load_der_public_key

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
"""The keys of the kinds that some profile takes."""


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
_ALGORITHMS = {kind: der for der, kind in _SIGNATURES.items()}
_ECDSA = {KeyKind.P256: ec.ECDSA(hashes.SHA256()), KeyKind.P521: ec.ECDSA(hashes.SHA512())}


class _Curve(NamedTuple):
    """y^2 = x^3 - 3x + b modulo the prime; a coordinate takes `size` octets. Every point of these curves is of the
    whole group (cofactor 1), so being on the curve is all that a point must be."""

    prime: int
    b: int
    size: int
    curve: ec.EllipticCurve


_CURVES = {
    KeyKind.P256: _Curve(
        prime=2**256 - 2**224 + 2**192 + 2**96 - 1,
        b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        size=32,
        curve=ec.SECP256R1(),
    ),
    KeyKind.P521: _Curve(
        prime=2**521 - 1,
        b=int(
            "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF07"
            "3573DF883D2C34F1EF451FD46B503F00",
            16,
        ),
        size=66,
        curve=ec.SECP521R1(),
    ),
}
_PREFIXES = {
    69: (KeyKind.ED448, bytes.fromhex("3043300506032b6571033a00"), None),
    91: (KeyKind.P256, bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), _CURVES[KeyKind.P256]),
    158: (KeyKind.P521, bytes.fromhex("30819b301006072a8648ce3d020106052b810400230381860004"), _CURVES[KeyKind.P521]),
}
_UNKNOWN = (KeyKind.OTHER, b"", None)


def key_kind(spki: bytes, *, point: bool = True) -> KeyKind:
    """The kind of the key in a SubjectPublicKeyInfo; `point` False: the caller loads the key, which asks the same.

    Raises:
        ValueError: the encoding is right, but the point is not on the curve.

    Source: RFC 5480 2, RFC 8410 4.
    """
    kind, prefix, curve = _PREFIXES.get(len(spki), _UNKNOWN)
    if not spki.startswith(prefix):
        return KeyKind.OTHER
    if point and curve is not None and not _on_curve(curve, spki):
        raise ValueError(f"public key is not a point of {kind.value}")
    return kind


def load_key(kind: KeyKind, spki: bytes) -> PublicKey | None:
    """The key object of a SubjectPublicKeyInfo of that kind, 1 to 9 us; None for OTHER."""
    if kind is KeyKind.ED448:
        return cast(ed448.Ed448PublicKey, load_der_public_key(spki))  # Of that kind by its exact prefix.
    curve = _CURVES.get(kind)
    if curve is None:
        return None
    return ec.EllipticCurvePublicKey.from_encoded_point(curve.curve, spki[-2 * curve.size - 1 :])


def signature_kind(algorithm_der: bytes) -> SignatureKind:
    """The algorithm whose AlgorithmIdentifier is exactly these bytes; OTHER when no profile takes it."""
    return _SIGNATURES.get(algorithm_der, SignatureKind.OTHER)


def signature_of(kind: KeyKind) -> SignatureKind:
    """The one algorithm that goes with a kind of key; OTHER for OTHER."""
    return _PINNED.get(kind, SignatureKind.OTHER)


def algorithm_der(kind: KeyKind) -> bytes:
    """The AlgorithmIdentifier of the one signature algorithm that goes with a kind of key.

    Raises:
        KeyError: OTHER has none.
    """
    return _ALGORITHMS[_PINNED[kind]]


def signed_by(kind: KeyKind, key: PublicKey | None, algorithm: SignatureKind, signed: bytes, signature: bytes) -> bool:
    """Whether `key`, of that kind, made `signature` over `signed`; False also when `algorithm` is not the one that goes
    with the kind. Costs one signature verification (about 60 us for P-256).

    Source: V2G2-006, V2G20-2674, V2G20-2319.
    """
    if key is None or algorithm is not _PINNED.get(kind):
        return False
    verify: Callable[..., None] = key.verify  # The kind tells its arguments, at a tenth of the cost of an isinstance.
    try:
        if kind is KeyKind.ED448:
            verify(signature, signed)
        else:
            verify(signature, signed, _ECDSA[kind])
    except InvalidSignature:
        return False
    return True


def _on_curve(curve: _Curve, spki: bytes) -> bool:
    prime, b, size, _ = curve
    x = int.from_bytes(spki[-2 * size : -size], "big")
    y = int.from_bytes(spki[-size:], "big")
    return x < prime and y < prime and (y * y - (x * x - 3) * x - b) % prime == 0
