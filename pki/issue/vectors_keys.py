"""Keys that anybody can compute again: derived from a seed and a name, so that the same declaration gives the same
octets. They are public by design, they sign conformance vectors, and they must never sign anything else.

Signatures are deterministic: ECDSA with the nonce of RFC 6979, EdDSA and PKCS #1 v1.5 by nature.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import lru_cache
from itertools import count
from math import gcd, prod

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

from pki.issue.der_writer import NULL, bit_string, integer, object_identifier, octet_string, sequence

VectorKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey

_RSA_BITS, _RSA_EXPONENT = 2048, 65537
_SMALL_PRIMES = tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))
_SIEVE = prod(_SMALL_PRIMES)
_WITNESSES = _SMALL_PRIMES[:24]


class KeyForm(StrEnum):
    """The kinds of keys that vectors have; the profiles take the first three."""

    P256 = "secp256r1"
    P521 = "secp521r1"
    ED448 = "ed448"
    P384 = "secp384r1"
    K256 = "secp256k1"
    ED25519 = "ed25519"
    RSA = "rsa"


class HashName(StrEnum):
    """The hashes that vectors are signed with."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class PointForm(StrEnum):
    """How a P-256 or P-521 key is written: as the profiles ask, or as they forbid."""

    NAMED = "named"
    COMPRESSED = "compressed"
    EXPLICIT = "explicit"


_CURVES: dict[KeyForm, ec.EllipticCurve] = {
    KeyForm.P256: ec.SECP256R1(),
    KeyForm.P521: ec.SECP521R1(),
    KeyForm.P384: ec.SECP384R1(),
    KeyForm.K256: ec.SECP256K1(),
}
_HASHES: dict[HashName, hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    HashName.SHA1: hashes.SHA1(),  # only in vectors that must be refused for it
    HashName.SHA256: hashes.SHA256(),
    HashName.SHA384: hashes.SHA384(),
    HashName.SHA512: hashes.SHA512(),
}
_ECDSA = {
    HashName.SHA1: "1.2.840.10045.4.1",
    HashName.SHA256: "1.2.840.10045.4.3.2",
    HashName.SHA384: "1.2.840.10045.4.3.3",
    HashName.SHA512: "1.2.840.10045.4.3.4",
}
_CURVE_NAMES = {"secp256r1": "1.2.840.10045.3.1.7", "secp521r1": "1.3.132.0.35"}
_EC_KEY, _PRIME_FIELD = "1.2.840.10045.2.1", "1.2.840.10045.1.1"
_RSA_SHA256 = "1.2.840.113549.1.1.11"


@lru_cache(maxsize=1024)
def derive_key(seed: str, name: str, form: KeyForm) -> VectorKey:
    """The key of that name. An RSA key of 2048 bits takes about a second, any other is quick."""
    if form in _CURVES:
        curve = _CURVES[form]
        secret = int.from_bytes(stream(seed, form.value, name, octets=80), "big")
        return ec.derive_private_key(secret % (curve.group_order - 1) + 1, curve)
    if form is KeyForm.ED448:
        return ed448.Ed448PrivateKey.from_private_bytes(stream(seed, form.value, name, octets=57))
    if form is KeyForm.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(stream(seed, form.value, name, octets=32))
    return _derive_rsa(seed, name)


def stream(*parts: str, octets: int) -> bytes:
    """As many octets as asked for, a function of the texts and of nothing else."""
    return hashlib.shake_256("\0".join(parts).encode()).digest(octets)


def sign(key: VectorKey, hash_name: HashName, message: bytes) -> bytes:
    """The signature, the same each time; EdDSA does not ask for the hash, RSA signs with SHA-256 only."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(_HASHES[hash_name], deterministic_signing=True))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(message)


def algorithm_of(key: VectorKey, hash_name: HashName) -> bytes:
    """The AlgorithmIdentifier that goes with a signature of `sign`."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ecdsa_algorithm(hash_name)
    if isinstance(key, rsa.RSAPrivateKey):
        return sequence(object_identifier(_RSA_SHA256), NULL)
    return sequence(object_identifier("1.3.101.113" if isinstance(key, ed448.Ed448PrivateKey) else "1.3.101.112"))


def ecdsa_algorithm(hash_name: HashName) -> bytes:
    """The AlgorithmIdentifier of ECDSA with that hash."""
    return sequence(object_identifier(_ECDSA[hash_name]))


def public_key_der(key: VectorKey, point: PointForm = PointForm.NAMED) -> bytes:
    """The SubjectPublicKeyInfo; `point` says how to write a P-256 key, or compressed a P-521 key."""
    if point is PointForm.NAMED or not isinstance(key, ec.EllipticCurvePrivateKey):
        return key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    formats = serialization.PublicFormat
    compressed = point is PointForm.COMPRESSED
    octets = key.public_key().public_bytes(
        serialization.Encoding.X962, formats.CompressedPoint if compressed else formats.UncompressedPoint
    )
    parameters = object_identifier(_CURVE_NAMES[key.curve.name]) if compressed else _p256_written_out()
    return sequence(sequence(object_identifier(_EC_KEY), parameters), bit_string(octets))


def _p256_written_out() -> bytes:
    """The domain parameters of P-256 in place of its name (SEC 1 C.2)."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    generator = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    base = generator.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    field = sequence(object_identifier(_PRIME_FIELD), integer(p))
    curve = sequence(octet_string((p - 3).to_bytes(32, "big")), octet_string(b.to_bytes(32, "big")))
    order = ec.SECP256R1().group_order
    return sequence(integer(1), field, curve, octet_string(base), integer(order), integer(1))


def _derive_rsa(seed: str, name: str) -> rsa.RSAPrivateKey:
    p, q = (_derive_prime(seed, name, which) for which in ("p", "q"))
    exponent = pow(_RSA_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_RSA_EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=exponent,
        dmp1=exponent % (p - 1),
        dmq1=exponent % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=public,
    ).private_key()


def _derive_prime(seed: str, name: str, which: str) -> int:
    """The first probable prime of 1024 bits in the stream, its two highest bits set."""
    bits = _RSA_BITS // 2
    drawn = (stream(seed, "rsa", name, which, str(number), octets=bits // 8) for number in count())
    candidates = (int.from_bytes(octets, "big") | 3 << (bits - 2) | 1 for octets in drawn)
    return next(
        number
        for number in candidates
        if gcd(number, _SIEVE) == 1 and gcd(number - 1, _RSA_EXPONENT) == 1 and _is_prime(number)
    )


def _is_prime(candidate: int) -> bool:
    """Miller-Rabin with fixed witnesses: enough for numbers that nobody chose against it."""
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for witness in _WITNESSES:
        power = pow(witness, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = pow(power, 2, candidate)
            if power == candidate - 1:
                break
        else:
            return False
    return True
