"""Keys of the kinds that some profile takes: what they sign with, and the PKCS#8 text of those in software.

A key in hardware (`pki.service.pkcs11_keys`) is a subclass of the same classes and signs wherever one in software does;
it has no text. Reading and writing files is left to `pki.service`, which makes them readable by their owner only.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from pki.certificate import KeyKind
from pki.errors import IssueError, MalformedCertificate
from pki.pem import encode_pem, parse_pem
from pki.public_key import algorithm_der

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey

_CURVES: dict[KeyKind, ec.EllipticCurve] = {KeyKind.P256: ec.SECP256R1(), KeyKind.P521: ec.SECP521R1()}
_ECDSA = {"secp256r1": ec.ECDSA(hashes.SHA256()), "secp521r1": ec.ECDSA(hashes.SHA512())}
_PASSPHRASE_MAX = 1023
"""What OpenSSL takes."""
_ENCRYPTED, _PEM_CAP = "ENCRYPTED PRIVATE KEY", 16 * 1024
_BY_CURVE = {curve.name: kind for kind, curve in _CURVES.items()}


def generate_key(kind: KeyKind = KeyKind.P256) -> PrivateKey:
    """A new key; the randomness is the library's.

    Raises:
        ValueError: `kind` is OTHER.
    """
    if kind is KeyKind.ED448:
        return ed448.Ed448PrivateKey.generate()
    if kind not in _CURVES:
        raise ValueError("no profile takes a key of another kind")
    return ec.generate_private_key(_CURVES[kind])


def key_kind_of(key: PrivateKey | PublicKey) -> KeyKind:
    """The kind of a key; OTHER when no profile takes it."""
    if isinstance(key, ed448.Ed448PrivateKey | ed448.Ed448PublicKey):
        return KeyKind.ED448
    return _BY_CURVE.get(key.curve.name, KeyKind.OTHER)


def signing_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA512 | None:
    """The hash that goes with a key's signatures: SHA-256 for P-256, SHA-512 for P-521, None for Ed448, which has its
    own (V2G2-006, V2G20-2674)."""
    kind = key_kind_of(key)
    if kind is KeyKind.ED448:
        return None
    return hashes.SHA512() if kind is KeyKind.P521 else hashes.SHA256()


def algorithm_of(key: PrivateKey) -> bytes:
    """The DER of the AlgorithmIdentifier of a key's signatures.

    Raises:
        IssueError: "malformed-key": the key is of no kind that a profile takes.
    """
    kind = key_kind_of(key)
    if kind is KeyKind.OTHER:
        raise IssueError("malformed-key", "the private key is not of P-256, P-521 or Ed448")
    return algorithm_der(kind)


def sign(key: PrivateKey, octets: bytes) -> bytes:
    """The signature of `octets`, as certificates, lists and answers carry it: a DER pair, or Ed448's 114 octets."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return key.sign(octets)
    return key.sign(octets, _ECDSA[key.curve.name])


def public_key_der(key: PrivateKey) -> bytes:
    """The SubjectPublicKeyInfo of a key's public half."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fresh_serial() -> int:
    """A serial number of 159 random bits, positive, at most 20 octets (RFC 5280 4.1.2.2)."""
    return x509.random_serial_number()


def encode_key_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM: for a lab, whose keys are worth nothing."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_key_pem(text: bytes) -> PrivateKey:
    """The key of an unencrypted PKCS#8 PEM: P-256, P-521 or Ed448.

    Raises:
        IssueError: "malformed-key": not such a PEM, encrypted, or another kind of key.
    """
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IssueError("malformed-key", f"not an unencrypted private key in PEM: {error}") from error
    return _of_known_kind(key)


def encode_encrypted_key(key: PrivateKey, passphrase: bytes) -> bytes:
    """The key as encrypted PKCS#8 PEM (PBES2 with AES-256, the library's best).

    Raises:
        IssueError: "passphrase": an empty one, or one of more than 1023 octets.
    """
    _check_passphrase(passphrase)
    encryption = serialization.BestAvailableEncryption(passphrase)
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption)
    return encode_pem(der, _ENCRYPTED).encode()


def parse_encrypted_key(text: bytes, passphrase: bytes) -> PrivateKey:
    """The key of an encrypted PKCS#8 PEM: P-256, P-521 or Ed448. About 10 ms, most of it deriving from the passphrase.

    Raises:
        IssueError: "malformed-key": not such a PEM, not encrypted, or another kind of key; "passphrase": it does not
            open the key.
    """
    _check_passphrase(passphrase)
    try:
        (der,) = parse_pem(text, label=_ENCRYPTED, max_blocks=1, max_characters=_PEM_CAP)
    except MalformedCertificate as error:
        raise IssueError("malformed-key", f"not an encrypted private key in PEM: {error}") from error
    try:
        key = serialization.load_der_private_key(der, passphrase)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise IssueError("malformed-key", f"not an encrypted private key: {error}") from error
    except ValueError as error:
        # A wrong passphrase and a damaged text are the same to the cipher.
        raise IssueError("passphrase", "the passphrase does not open the key, or the key is damaged") from error
    return _of_known_kind(key)


def _check_passphrase(passphrase: bytes) -> None:
    if not 1 <= len(passphrase) <= _PASSPHRASE_MAX:
        raise IssueError("passphrase", f"a passphrase of {len(passphrase)} octets; expected 1 to {_PASSPHRASE_MAX}")


def _of_known_kind(key: PrivateKeyTypes) -> PrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) or key_kind_of(key) is KeyKind.OTHER:
        raise IssueError("malformed-key", "the private key is not of P-256, P-521 or Ed448")
    return key
