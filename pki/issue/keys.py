"""Keys in software: EC P-256 and their PKCS#8 text. Keys in hardware are another kind of `Authority` key, not this one.

Writing a key file is left to `pki.service.files`, which makes it readable by its owner only.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pki.errors import IssueError

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def generate_key() -> PrivateKey:
    """A new P-256 key; the randomness is the library's."""
    return ec.generate_private_key(ec.SECP256R1())


def fresh_serial() -> int:
    """A serial number of 159 random bits, positive, at most 20 octets (RFC 5280 4.1.2.2)."""
    return x509.random_serial_number()


def encode_key_pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8 PEM: for a lab, whose keys are worth nothing."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_key_pem(text: bytes) -> PrivateKey:
    """The P-256 key of an unencrypted PKCS#8 PEM.

    Raises:
        IssueError: "malformed-key": not such a PEM, encrypted, or another kind of key.
    """
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IssueError("malformed-key", f"not an unencrypted private key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise IssueError("malformed-key", "the private key is not on P-256")
    return key
