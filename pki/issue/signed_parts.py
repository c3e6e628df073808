"""The signed parts of a contract bundle, and the signature of the certificate provisioning service over all of them.

The standards sign XML: each part is written as an EXI fragment and digested, the digests are listed in a SignedInfo,
that is written as EXI, and its octets are signed. EXI is not written here. Both places where it would be are functions
of an `Encoding`, so a program that has an EXI encoder plugs it in and gets the standard's signature; `PLAIN` is ours,
for programs that both are of this house (docs/decisions/0006). Everything else is as the standards say: the parts,
their Ids and order, digest and signature algorithm, and the form of the signature.

| CPS key | digest of a part        | signature                      |
|---------|-------------------------|--------------------------------|
| P-256   | SHA-256                 | ECDSA SHA-256, r and s, 64     |
| P-521   | SHA-512                 | ECDSA SHA-512, r and s, 132    |
| Ed448   | SHAKE256 with 64 octets | Ed448, 114                     |

Source: ISO 15118-2 7.9.2.4, Annex J; ISO 15118-20 V2G20-1000 (secondary sources).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from pki.certificate import Certificate, KeyKind, SignatureKind, verify_signature
from pki.errors import BundleRejected, IssueError
from pki.issue.keys import PrivateKey, key_kind_of

_ALGORITHMS = {
    KeyKind.P256: SignatureKind.ECDSA_SHA256,
    KeyKind.P521: SignatureKind.ECDSA_SHA512,
    KeyKind.ED448: SignatureKind.ED448,
}
_SIZES = {KeyKind.P256: 64, KeyKind.P521: 132, KeyKind.ED448: 114}


@dataclass(frozen=True, slots=True)
class Value:
    """One element of a part: its name in the schema, and its octets (of a text, ASCII)."""

    name: str
    octets: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is signed: the Id that the signature refers to, the name of its element, what stands in it."""

    id: str
    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A part as the signature names it: its Id and the digest of its octets."""

    id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Encoding:
    """How parts and the list of their digests become octets. `name` travels with the bundle, so that nobody checks a
    signature by another encoding than it was made with."""

    name: str
    part: Callable[[Part], bytes]
    signed_info: Callable[[Sequence[Reference], KeyKind], bytes]


def plain_part(part: Part) -> bytes:
    """Our own encoding of a part: a label, then Id, name and values, each behind its length in four octets.

    No two parts have the same octets.
    """
    fields = [part.id.encode(), part.name.encode(), _count(part.values)]
    for value in part.values:
        fields += [value.name.encode(), value.octets]
    return b"pncgate contract part 1\0" + b"".join(map(_measured, fields))


def plain_signed_info(references: Sequence[Reference], kind: KeyKind) -> bytes:
    """Our own encoding of the list: a label, the kind of key that signs, then Id and digest of each part."""
    fields = [kind.value.encode(), _count(references)]
    for reference in references:
        fields += [reference.id.encode(), reference.digest]
    return b"pncgate signed info 1\0" + b"".join(map(_measured, fields))


PLAIN = Encoding("pncgate-1", plain_part, plain_signed_info)
"""The encoding for programs of this house; no car reads it."""


def digest(octets: bytes, kind: KeyKind) -> bytes:
    """The digest of a part that goes with the signing key's kind."""
    if kind is KeyKind.P256:
        return hashlib.sha256(octets).digest()
    return hashlib.sha512(octets).digest() if kind is KeyKind.P521 else hashlib.shake_256(octets).digest(64)


def references_to(parts: Sequence[Part], kind: KeyKind, encoding: Encoding = PLAIN) -> tuple[Reference, ...]:
    """What the signature of a key of that kind says of each part, in the order given."""
    return tuple(Reference(part.id, digest(encoding.part(part), kind)) for part in parts)


def sign_parts(parts: Sequence[Part], key: PrivateKey, encoding: Encoding = PLAIN) -> bytes:
    """The signature over all parts: r and s in full length one after the other, or Ed448's.

    Raises:
        IssueError: "key-kind": no such service has a key of that kind.
    """
    kind = key_kind_of(key)
    if kind is KeyKind.OTHER:
        raise IssueError("key-kind", "a certificate provisioning service signs with P-256, P-521 or Ed448")
    octets = encoding.signed_info(references_to(parts, kind, encoding), kind)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(octets)
    hash_ = hashes.SHA256() if kind is KeyKind.P256 else hashes.SHA512()
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(hash_)))
    half = _SIZES[kind] // 2
    return r.to_bytes(half, "big") + s.to_bytes(half, "big")


def verify_parts(parts: Sequence[Part], signature: bytes, signer: Certificate, encoding: Encoding = PLAIN) -> None:
    """Return when `signer`'s key made `signature` over exactly these parts in this order.

    Raises:
        BundleRejected: "bundle-signature".
    """
    kind = signer.key_kind
    clause = "ISO 15118-2 7.9.2.4" if kind is KeyKind.P256 else "ISO 15118-20 V2G20-1000"
    size = _SIZES.get(kind)
    if size is None or len(signature) != size:
        message = f"a signature of {len(signature)} octets, {kind.value} has {size}"
        raise BundleRejected("bundle-signature", message, clause=clause)
    octets = encoding.signed_info(references_to(parts, kind, encoding), kind)
    encoded = signature
    if kind is not KeyKind.ED448:
        r, s = (int.from_bytes(half, "big") for half in (signature[: size // 2], signature[size // 2 :]))
        encoded = encode_dss_signature(r, s)
    if not verify_signature(signer, _ALGORITHMS[kind], octets, encoded):
        message = "the certificate provisioning service did not sign these parts"
        raise BundleRejected("bundle-signature", message, clause=clause)


def _measured(field: bytes) -> bytes:
    return len(field).to_bytes(4, "big") + field


def _count(listed: Sequence[object]) -> bytes:
    return len(listed).to_bytes(4, "big")
