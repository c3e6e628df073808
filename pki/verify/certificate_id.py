"""How OCSP, and OCPP's hash data, name a certificate: hashes of its issuer's name and key, and its serial number.

Source: RFC 6960 4.1.1; OCPP 2.0.1 part 2, OCSPRequestDataType and CertificateHashDataType.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from pki import der as outline
from pki.certificate import Certificate
from pki.verify.fields import content_of


class HashAlgorithm(StrEnum):
    """The hashes that a certificate id is made with."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def octets(self) -> int:
        """The length of a hash."""
        return hashlib.new(self.value, usedforsecurity=False).digest_size


class IssuerID(NamedTuple):
    """An issuer as hashes of the DER of its name and of the bits of its key (without tag, length and unused bits)."""

    algorithm: HashAlgorithm
    name_hash: bytes
    key_hash: bytes


@lru_cache(maxsize=1024)
def issuer_id(issuer: Certificate, algorithm: HashAlgorithm) -> IssuerID:
    """The hashes of `issuer`, which stand in the ids of what it issued."""
    return IssuerID(algorithm, _hash(algorithm, issuer.subject_der), _hash(algorithm, key_bits(issuer.spki_der)))


def key_bits(spki_der: bytes) -> bytes:
    """The public key's bits inside a SubjectPublicKeyInfo that was read before."""
    _, bits = outline.read_children(spki_der, outline.read_element(spki_der, 0, len(spki_der)))
    return content_of(spki_der, bits)[1:]


def _hash(algorithm: HashAlgorithm, octets: bytes) -> bytes:
    return hashlib.new(algorithm.value, octets, usedforsecurity=False).digest()
