"""Keys in software, of the kinds that some profile takes, and their PKCS#8 text.

Keys in hardware are another kind of `Authority` key, not this one.

Writing a key file is left to `pki.service.files`, which makes it readable by its owner only.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from pki.certificate import KeyKind
from pki.errors import IssueError

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey

_CURVES: dict[KeyKind, ec.EllipticCurve] = {KeyKind.P256: ec.SECP256R1(), KeyKind.P521: ec.SECP521R1()}
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


def fresh_serial() -> int:
    """A serial number of 159 random bits, positive, at most 20 octets (RFC 5280 4.1.2.2)."""
    return x509.random_serial_number()


def encode_key_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM: for a lab, whose keys are worth nothing."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encode_encrypted_key_pem(key: PrivateKey, passphrase: bytes) -> bytes:
    """The key as PKCS#8 PEM, encrypted with the passphrase as well as the library knows how."""
    encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def parse_encrypted_key_pem(text: bytes, passphrase: bytes) -> PrivateKey:
    """The key of an encrypted PKCS#8 PEM: P-256, P-521 or Ed448.

    Raises:
        IssueError: "passphrase": not this one; "malformed-key": not such a PEM, not encrypted, or another kind of key.
    """
    try:
        key = serialization.load_pem_private_key(text, password=passphrase)
    except TypeError as error:
        raise IssueError("malformed-key", "the private key is not encrypted") from error
    except UnsupportedAlgorithm as error:
        raise IssueError("malformed-key", f"not a private key in PEM: {error}") from error
    except ValueError as error:
        if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in text:
            raise IssueError("passphrase", "the passphrase is not that of the key, or the file is damaged") from error
        raise IssueError("malformed-key", f"not a private key in PEM: {error}") from error
    return _of_a_profile(key)


def parse_key_pem(text: bytes) -> PrivateKey:
    """The key of an unencrypted PKCS#8 PEM: P-256, P-521 or Ed448.

    Raises:
        IssueError: "malformed-key": not such a PEM, encrypted, or another kind of key.
    """
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IssueError("malformed-key", f"not an unencrypted private key in PEM: {error}") from error
    return _of_a_profile(key)


def _of_a_profile(key: object) -> PrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) or key_kind_of(key) is KeyKind.OTHER:
        raise IssueError("malformed-key", "the private key is not of P-256, P-521 or Ed448")
    return key
