"""CRLs and OCSP answers of a vector, written field by field.

Source: RFC 5280 5; RFC 6960 4.2.1.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from pki.issue.der_writer import (
    NULL,
    bit_string as bits,
    enumerated,
    explicit,
    implicit,
    instant,
    integer,
    object_identifier,
    octet_string,
    sequence,
    tlv,
)
from pki.issue.vectors_declaration import AnswerOrder, ListOrder, Status
from pki.issue.vectors_keys import HashName, VectorKey, algorithm_of, sign
from pki.issue.vectors_paper import Paper, authority_key_identifier, extension, key_bits

_NUMBER, _DELTA, _POINT, _AKI = "2.5.29.20", "2.5.29.27", "2.5.29.28", "2.5.29.35"
_BASIC, _NONCE = "1.3.6.1.5.5.7.48.1.1", "1.3.6.1.5.5.7.48.1.2"
_UNKNOWN = "1.2.3.4.5"
_TRY_LATER = 3
_HASH_OIDS = {
    HashName.SHA1: "1.3.14.3.2.26",
    HashName.SHA256: "2.16.840.1.101.3.4.2.1",
    HashName.SHA384: "2.16.840.1.101.3.4.2.2",
    HashName.SHA512: "2.16.840.1.101.3.4.2.3",
}


def write_list(
    order: ListOrder,
    *,
    at: datetime,
    issuer: Paper,
    named: Paper,
    revoked: list[Paper],
    signer: VectorKey,
    hash_name: HashName,
) -> bytes:
    """The DER of a CRL that `signer` signs under the name of `named`."""
    begin, end = (at + timedelta(days=days) for days in order.days)
    algorithm = algorithm_of(signer, hash_name)
    entries = [sequence(tlv(0x02, paper.serial), instant(begin)) for paper in revoked]
    identifier = issuer.key_identifier if order.aki is None else bytes.fromhex(order.aki)
    extensions = [extension(_AKI, False, authority_key_identifier(identifier))]
    if order.number is not None:
        extensions.append(extension(_NUMBER, False, integer(order.number)))
    if order.delta is not None:
        extensions.append(extension(_DELTA, True, integer(order.delta)))
    if order.point is not None:
        extensions.append(extension(_POINT, True, bytes.fromhex(order.point)))
    if order.unknown_critical:
        extensions.append(extension(_UNKNOWN, True, NULL))
    body = sequence(
        integer(1),
        algorithm,
        named.name,
        instant(begin),
        instant(end),
        sequence(*entries) if entries else b"",
        explicit(0, sequence(*extensions)),
    )
    return sequence(body, algorithm, bits(sign(signer, hash_name, body)))


def write_answer(
    order: AnswerOrder,
    *,
    at: datetime,
    subject: Paper,
    issuer: Paper,
    responder: Paper,
    signer: VectorKey,
    hash_name: HashName,
) -> bytes:
    """The DER of an OCSP answer about `subject`, whose id names `issuer`; the responder's own certificate is sent along
    when it is a delegate."""
    if order.status is Status.TRY_LATER:
        return sequence(enumerated(_TRY_LATER))
    begin, end = (at + timedelta(days=days) for days in order.days)
    produced = begin if order.produced is None else at + timedelta(days=order.produced)
    entry = sequence(
        _certificate_id(order.id_hash, issuer, subject),
        _status(order.status, begin),
        _generalized(begin),
        explicit(0, _generalized(end)),
    )
    key_hash = hashlib.sha1(key_bits(responder.public_key), usedforsecurity=False).digest()
    extensions = []
    if order.nonce is not None:
        extensions.append(extension(_NONCE, False, octet_string(bytes.fromhex(order.nonce))))
    if order.unknown_critical:
        extensions.append(extension(_UNKNOWN, True, NULL))
    content = sequence(
        explicit(1, responder.name) if order.by_name else explicit(2, octet_string(key_hash)),
        _generalized(produced),
        sequence(entry),
        explicit(1, sequence(*extensions)) if extensions else b"",
    )
    sent = explicit(0, sequence(responder.der)) if order.by is not None and order.sent else b""
    answer = sequence(content, algorithm_of(signer, hash_name), bits(sign(signer, hash_name, content)), sent)
    return sequence(enumerated(0), explicit(0, sequence(object_identifier(_BASIC), octet_string(answer))))


def _certificate_id(hash_name: HashName, issuer: Paper, subject: Paper) -> bytes:
    """CertID."""
    hashed = (
        hashlib.new(hash_name.value, octets, usedforsecurity=False).digest()
        for octets in (issuer.name, key_bits(issuer.public_key))
    )
    algorithm = sequence(object_identifier(_HASH_OIDS[hash_name]), NULL)
    return sequence(algorithm, *(octet_string(digest) for digest in hashed), tlv(0x02, subject.serial))


def _status(status: Status, at: datetime) -> bytes:
    """CertStatus."""
    if status is Status.REVOKED:
        return explicit(1, _generalized(at))
    return implicit(0 if status is Status.GOOD else 2, b"")


def _generalized(at: datetime) -> bytes:
    return instant(at.astimezone(UTC), generalized=True)
