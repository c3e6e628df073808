"""One certificate of a vector, written field by field: right where its order says nothing, wrong where it asks.

Source: RFC 5280 4.1, 4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pki.issue.der_writer import (
    IA5_STRING,
    PRINTABLE_STRING,
    TRUE,
    UTF8_STRING,
    bit_string,
    explicit,
    implicit,
    instant,
    integer,
    named_bits,
    object_identifier,
    octet_string,
    sequence,
    set_of,
    tlv,
)
from pki.issue.vectors_declaration import CertificateOrder, Damage, ExtensionOrder, Part, Purpose, Usage
from pki.issue.vectors_keys import HashName, VectorKey, algorithm_of, ecdsa_algorithm, public_key_der, sign

_ATTRIBUTES = {
    "c": ("2.5.4.6", PRINTABLE_STRING),
    "o": ("2.5.4.10", UTF8_STRING),
    "ou": ("2.5.4.11", UTF8_STRING),
    "st": ("2.5.4.8", UTF8_STRING),
    "cn": ("2.5.4.3", UTF8_STRING),
    "dc": ("0.9.2342.19200300.100.1.25", IA5_STRING),
}
_PURPOSES = {
    Purpose.SERVER: "1.3.6.1.5.5.7.3.1",
    Purpose.CLIENT: "1.3.6.1.5.5.7.3.2",
    Purpose.OCSP_SIGNING: "1.3.6.1.5.5.7.3.9",
}
_OIDS = {
    Part.BASIC_CONSTRAINTS: "2.5.29.19",
    Part.KEY_USAGE: "2.5.29.15",
    Part.SKI: "2.5.29.14",
    Part.AKI: "2.5.29.35",
    Part.EKU: "2.5.29.37",
    Part.AIA: "1.3.6.1.5.5.7.1.1",
    Part.CRL_POINT: "2.5.29.31",
}
_CRITICAL = {Part.BASIC_CONSTRAINTS, Part.KEY_USAGE}
_OCSP_ACCESS = "1.3.6.1.5.5.7.48.1"
_BITS = list(Usage)
_URI, _DIRECTORY_NAME = 6, 4


@dataclass(frozen=True, slots=True)
class Paper:
    """A finished certificate with what further papers need of it. `serial`: content octets; `above`: the subject of its
    issuer, as DER."""

    der: bytes
    name: bytes
    serial: bytes
    key: VectorKey
    public_key: bytes
    key_identifier: bytes
    above: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a certificate is made from besides its order: the suite's hash, its keys, its issuer (None: itself)."""

    at: datetime
    hash_name: HashName
    key_identifier_octets: int
    serial: bytes
    key: VectorKey
    signer: VectorKey | None
    issuer: Paper | None
    added: tuple[ExtensionOrder, ...]


def write_certificate(order: CertificateOrder, draft: Draft) -> Paper:
    """The certificate, signed."""
    public_key = public_key_der(draft.key, order.point)
    serial = bytes.fromhex(order.serial) if order.serial is not None else draft.serial
    own_identifier = key_identifier(public_key, draft.key_identifier_octets)
    if order.ski is not None:
        own_identifier = bytes.fromhex(order.ski)
    name = name_der(order)
    issuer = draft.issuer or Paper(b"", name, serial, draft.key, public_key, own_identifier, name)
    signer = draft.signer or issuer.key
    hash_name = order.hash or draft.hash_name
    algorithm = algorithm_of(signer, hash_name)
    begin, end = (draft.at + timedelta(days=days) for days in order.days)
    body = sequence(
        explicit(0, integer(2)) if order.version == 3 else b"",
        tlv(0x02, serial),
        algorithm,
        issuer.name if order.issuer_cn is None else _name([("cn", order.issuer_cn)]),
        sequence(instant(begin), instant(end, generalized=order.generalized_end)),
        name,
        public_key,
        implicit(2, bit_string(b"\1")[2:]) if order.unique_id else b"",
        _extensions(order, draft, own_identifier, issuer),
    )
    outer = algorithm if order.outer_hash is None else ecdsa_algorithm(order.outer_hash)
    whole = sequence(body, outer, bit_string(sign(signer, hash_name, body)))
    return Paper(_damaged(whole, order.damage), name, serial, draft.key, public_key, own_identifier, issuer.name)


def name_der(order: CertificateOrder) -> bytes:
    """The subject: C, O, OU, ST, CN, DC, each attribute in a set of its own."""
    given = {key: getattr(order, key) for key in _ATTRIBUTES}
    texts = {key: value if isinstance(value, list) else [value] for key, value in given.items() if value is not None}
    return _name([(key, text) for key, values in texts.items() for text in values if text])


def key_identifier(public_key: bytes, octets: int) -> bytes:
    """SHA-1 over the bits of the key; of 8 octets: its last 60 bits behind 0100 (RFC 5280 4.2.1.2, methods 1 and 2)."""
    digest = hashlib.sha1(key_bits(public_key), usedforsecurity=False).digest()
    if octets == len(digest):
        return digest
    short = digest[-octets:]
    return bytes((0x40 | short[0] & 0x0F,)) + short[1:]


def key_bits(public_key: bytes) -> bytes:
    """The bits inside a SubjectPublicKeyInfo written here: what follows the algorithm, without tag, length and unused
    bits."""
    rest = _content(public_key)
    algorithm = len(_content(rest)) + _head(rest)
    return _content(rest[algorithm:])[1:]


def extension(oid: str, critical: bool, value: bytes) -> bytes:
    """One Extension."""
    return sequence(object_identifier(oid), TRUE if critical else b"", octet_string(value))


def authority_key_identifier(identifier: bytes) -> bytes:
    """The value of an AuthorityKeyIdentifier that names a key."""
    return sequence(implicit(0, identifier))


def _name(attributes: list[tuple[str, str]]) -> bytes:
    sets = []
    for key, text in attributes:
        oid, tag = _ATTRIBUTES[key]
        sets.append(set_of(sequence(object_identifier(oid), tlv(tag, text.encode()))))
    return sequence(*sets)


def _extensions(order: CertificateOrder, draft: Draft, own_identifier: bytes, issuer: Paper) -> bytes:
    written: list[bytes] = []
    for part, value in _parts(order, draft, own_identifier, issuer):
        if part not in order.without:
            critical = (part in _CRITICAL) != (part in order.flip)
            written += [extension(_OIDS[part], critical, value)] * (2 if part in order.twice else 1)
    written += [extension(added.oid, added.critical, _value(added)) for added in draft.added]
    return explicit(3, sequence(*written)) if written else b""


def _value(added: ExtensionOrder) -> bytes:
    return bytes.fromhex(added.value) if added.padding is None else octet_string(bytes(added.padding))


def _parts(order: CertificateOrder, draft: Draft, own_identifier: bytes, issuer: Paper) -> Iterator[tuple[Part, bytes]]:
    stated = integer(order.path_length) if isinstance(order.path_length, int) else b""
    yield Part.BASIC_CONSTRAINTS, sequence(TRUE if order.ca else b"", stated)
    yield Part.KEY_USAGE, named_bits(_BITS.index(bit) for bit in order.usage)
    yield Part.SKI, octet_string(own_identifier)
    if draft.issuer is not None:
        yield Part.AKI, _authority_identifier(order, issuer)
    if order.eku:
        yield Part.EKU, sequence(*(object_identifier(_PURPOSES[purpose]) for purpose in order.eku))
    if order.aia is not None:
        yield Part.AIA, sequence(sequence(object_identifier(_OCSP_ACCESS), implicit(_URI, order.aia.encode())))
    if order.crl_point is not None:
        full_name = explicit(0, implicit(_URI, order.crl_point.encode()))
        yield Part.CRL_POINT, sequence(sequence(explicit(0, full_name)))


def _authority_identifier(order: CertificateOrder, issuer: Paper) -> bytes:
    identifier = issuer.key_identifier if order.aki is None else bytes.fromhex(order.aki)
    if order.aki_names_serial is None:
        return authority_key_identifier(identifier)
    serial = (
        issuer.serial if order.aki_names_serial == "right" else issuer.serial[:-1] + bytes((issuer.serial[-1] ^ 1,))
    )
    return sequence(implicit(0, identifier), explicit(1, explicit(_DIRECTORY_NAME, issuer.above)), implicit(2, serial))


def _damaged(der: bytes, damage: Damage | None) -> bytes:
    if damage is Damage.SIGNATURE_BIT:
        return der[:-1] + bytes((der[-1] ^ 1,))
    if damage is Damage.TRAILING_OCTET:
        return der + b"\0"
    if damage is Damage.CUT_OFF:
        return der[:-1]
    if damage is Damage.INDEFINITE_LENGTH:
        return b"\x30\x80" + _content(der) + b"\0\0"
    return der


def _head(der: bytes) -> int:
    """The octets of tag and length."""
    return 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)


def _content(der: bytes) -> bytes:
    """The content of the first element."""
    head = _head(der)
    size = der[1] if head == 2 else int.from_bytes(der[2:head], "big")
    return der[head : head + size]
