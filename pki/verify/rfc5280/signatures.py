"""Signatures of certificates and lists: every key and algorithm that `cryptography` verifies, MD5 and older excepted.

An AlgorithmIdentifier is accepted only with the parameters its RFC allows: none for ECDSA, DSA and EdDSA (RFC 5758 3.1,
3.2, RFC 8410 3), NULL or none for RSA PKCS #1 v1.5 (RFC 4055 5), and for RSASSA-PSS what `cryptography` can read.
SHA-1 is accepted: RFC 5280 does not forbid it, and whoever wants more asks for one of the other profiles.
"""

from __future__ import annotations

from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID as Algorithm

from pki import der as outline
from pki.verify.rfc5280.reading import UNREADABLE, PathCertificate
from pki.verify.rfc5280.refusal import refuse

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | dsa.DSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)


class Signed(Protocol):
    """What a certificate, a list and an answer have in common."""

    @property
    def signature_algorithm_oid(self) -> x509.ObjectIdentifier: ...

    @property
    def signature(self) -> bytes: ...

    @property
    def signature_hash_algorithm(self) -> hashes.HashAlgorithm | None: ...

    @property
    def signature_algorithm_parameters(self) -> padding.PSS | padding.PKCS1v15 | ec.ECDSA | None: ...


_RSA: dict[x509.ObjectIdentifier, hashes.HashAlgorithm] = {
    Algorithm.RSA_WITH_SHA1: hashes.SHA1(),
    Algorithm.RSA_WITH_SHA224: hashes.SHA224(),
    Algorithm.RSA_WITH_SHA256: hashes.SHA256(),
    Algorithm.RSA_WITH_SHA384: hashes.SHA384(),
    Algorithm.RSA_WITH_SHA512: hashes.SHA512(),
    Algorithm.RSA_WITH_SHA3_224: hashes.SHA3_224(),
    Algorithm.RSA_WITH_SHA3_256: hashes.SHA3_256(),
    Algorithm.RSA_WITH_SHA3_384: hashes.SHA3_384(),
    Algorithm.RSA_WITH_SHA3_512: hashes.SHA3_512(),
}
_ECDSA: dict[x509.ObjectIdentifier, hashes.HashAlgorithm] = {
    Algorithm.ECDSA_WITH_SHA1: hashes.SHA1(),
    Algorithm.ECDSA_WITH_SHA224: hashes.SHA224(),
    Algorithm.ECDSA_WITH_SHA256: hashes.SHA256(),
    Algorithm.ECDSA_WITH_SHA384: hashes.SHA384(),
    Algorithm.ECDSA_WITH_SHA512: hashes.SHA512(),
    Algorithm.ECDSA_WITH_SHA3_224: hashes.SHA3_224(),
    Algorithm.ECDSA_WITH_SHA3_256: hashes.SHA3_256(),
    Algorithm.ECDSA_WITH_SHA3_384: hashes.SHA3_384(),
    Algorithm.ECDSA_WITH_SHA3_512: hashes.SHA3_512(),
}
_DSA: dict[x509.ObjectIdentifier, hashes.HashAlgorithm] = {
    Algorithm.DSA_WITH_SHA1: hashes.SHA1(),
    Algorithm.DSA_WITH_SHA224: hashes.SHA224(),
    Algorithm.DSA_WITH_SHA256: hashes.SHA256(),
    Algorithm.DSA_WITH_SHA384: hashes.SHA384(),
    Algorithm.DSA_WITH_SHA512: hashes.SHA512(),
}


def signing_key(certificate: PathCertificate) -> PublicKey:
    """The subject's key, if signatures can be verified with it.

    Raises:
        ChainRejected: "algorithm": the key cannot be read; "unsupported": it is of a kind that is not processed.
    """
    try:
        key = certificate.parsed.public_key()
    except UnsupportedAlgorithm as error:
        refuse("unsupported", f"the issuer's key is not processed: {error}", index=certificate.index)
    except UNREADABLE as error:
        refuse("algorithm", f"the issuer's key cannot be read: {error}", clause="4.1.2.7", index=certificate.index)
    if not isinstance(key, PublicKey):
        refuse("unsupported", "the issuer's key is of a kind that does not sign", index=certificate.index)
    return key


def check_algorithm(signed: Signed, algorithm: bytes, index: int | None) -> None:
    """Refuse an algorithm that is not processed, or one with parameters it must not have ("algorithm")."""
    oid = signed.signature_algorithm_oid
    if oid in _RSA or oid == Algorithm.RSASSA_PSS:
        return  # `cryptography` reads these with the right kind of parameters only.
    if oid not in _ECDSA and oid not in _DSA and oid not in (Algorithm.ED25519, Algorithm.ED448):
        refuse("algorithm", f"signature algorithm {oid.dotted_string} is not accepted", clause="4.1.1.2", index=index)
    if _parameters(algorithm):
        message = f"signature algorithm {oid.dotted_string} has parameters that it must not have"
        refuse("algorithm", message, clause="4.1.1.2", index=index)


def is_signed_by(key: PublicKey, signed: Signed, content: bytes) -> bool:
    """Whether `key` made the signature of `signed` over `content`; False also when algorithm and key do not fit.
    The algorithm must have passed `check_algorithm`."""
    oid, signature = signed.signature_algorithm_oid, signed.signature
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _verify_rsa(key, signed, content)
        elif isinstance(key, ec.EllipticCurvePublicKey) and oid in _ECDSA:
            key.verify(signature, content, ec.ECDSA(_ECDSA[oid]))
        elif isinstance(key, dsa.DSAPublicKey) and oid in _DSA:
            key.verify(signature, content, _DSA[oid])
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and oid == _edwards(key):
            key.verify(signature, content)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, *UNREADABLE):
        return False
    return True


def _edwards(key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> x509.ObjectIdentifier:
    return Algorithm.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else Algorithm.ED448


def _verify_rsa(key: rsa.RSAPublicKey, signed: Signed, content: bytes) -> None:
    oid = signed.signature_algorithm_oid
    if oid in _RSA:
        key.verify(signed.signature, content, padding.PKCS1v15(), _RSA[oid])
        return
    salt, algorithm = signed.signature_algorithm_parameters, signed.signature_hash_algorithm
    if oid != Algorithm.RSASSA_PSS or not isinstance(salt, padding.PSS) or algorithm is None:
        raise InvalidSignature
    key.verify(signed.signature, content, salt, algorithm)


def _parameters(algorithm: bytes) -> bytes:
    """What follows the object identifier."""
    whole = outline.read_element(algorithm, 0, len(algorithm))
    first = outline.read_element(algorithm, whole.content, whole.end)
    return algorithm[first.end : whole.end]
