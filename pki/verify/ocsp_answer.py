"""An OCSP answer as it was read: nothing in it is trusted yet. `pki.verify.ocsp` verifies it.

Source: RFC 6960 4.2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pki import der as outline
from pki.errors import TrustError
from pki.verify.certificate_id import HashAlgorithm, IssuerID
from pki.verify.fields import (
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    ExtensionField,
    content_of,
    only_child,
    read_extensions,
    read_instant,
    read_integer,
    read_oid,
    whole,
)

OCSP_CAP = 16 * 1024
"""Bytes of DER beyond which an answer is not read."""

_BASIC = "1.3.6.1.5.5.7.48.1.1"
_ERRORS = {1: "malformedRequest", 2: "internalError", 3: "tryLater", 5: "sigRequired", 6: "unauthorized"}
_SUCCESSFUL = 0
_ALGORITHMS = {
    "1.3.14.3.2.26": HashAlgorithm.SHA1,
    "2.16.840.1.101.3.4.2.1": HashAlgorithm.SHA256,
    "2.16.840.1.101.3.4.2.2": HashAlgorithm.SHA384,
    "2.16.840.1.101.3.4.2.3": HashAlgorithm.SHA512,
}
_NULL = b"\x05\x00"
# Context tags: explicit ones of the response, of its data, of an entry; implicit ones of a status and of its reason.
_BODY, _CERTIFICATES, _VERSION, _BY_NAME, _BY_KEY, _EXTENSIONS = 0xA0, 0xA0, 0xA0, 0xA1, 0xA2, 0xA1
_NEXT_UPDATE, _ENTRY_EXTENSIONS = 0xA0, 0xA1
_GOOD, _REVOKED, _UNKNOWN, _REASON = 0x80, 0xA1, 0x82, 0xA0


class OCSPStatus(StrEnum):
    """What an entry says."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class OCSPEntry:
    """What an answer says of one certificate. `issuer` None: its id is made with a hash that is not known here.
    `revoked_at` is there iff the status is revoked."""

    issuer: IssuerID | None
    serial: int
    status: OCSPStatus
    revoked_at: datetime | None
    this_update: datetime
    next_update: datetime | None
    extensions: Mapping[str, ExtensionField]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OCSPAnswer:
    """A successful answer. One of `responder_name` (DER) and `responder_key_hash` (SHA-1) is there. `certificates` is
    the DER of what the responder sent along, unread."""

    sha256: str
    signed: bytes
    algorithm: bytes
    signature: bytes
    responder_name: bytes | None
    responder_key_hash: bytes | None
    produced_at: datetime
    entries: tuple[OCSPEntry, ...]
    extensions: Mapping[str, ExtensionField]
    certificates: tuple[bytes, ...]


def parse_ocsp(der: bytes) -> OCSPAnswer:
    """The successful answer that `der` holds, unverified.

    Raises:
        TrustError: "size-limit", "malformed-ocsp"; "ocsp-status" when the responder declined to answer.
    """
    if len(der) > OCSP_CAP:
        raise TrustError("size-limit", f"OCSP answer of {len(der)} bytes, at most {OCSP_CAP}")
    try:
        return _read(der)
    except outline.MalformedDER as error:
        raise TrustError("malformed-ocsp", f"not an OCSP answer: {error}") from error


def _read(der: bytes) -> OCSPAnswer:
    parts = outline.read_children(der, whole(der, outline.SEQUENCE))
    if not parts or parts[0].tag != ENUMERATED:
        raise outline.MalformedDER("no response status")
    status = read_integer(der, parts[0], 1)
    if status in _ERRORS and len(parts) == 1:
        raise TrustError("ocsp-status", f"the responder answered {_ERRORS[status]}", clause="RFC 6960 4.2.1")
    if status != _SUCCESSFUL or [part.tag for part in parts[1:]] != [_BODY]:
        raise outline.MalformedDER(f"response status {status} with {len(parts) - 1} bodies")
    kind, body = _pair(der, only_child(der, parts[1], outline.SEQUENCE), OBJECT_IDENTIFIER, OCTET_STRING)
    if read_oid(der, kind) != _BASIC:
        raise TrustError("ocsp-status", f"response type {read_oid(der, kind)} is not the basic one")
    return _read_basic(content_of(der, body), hashlib.sha256(der).hexdigest())


def _read_basic(der: bytes, sha256: str) -> OCSPAnswer:
    parts = outline.read_children(der, whole(der, outline.SEQUENCE))
    tags = [part.tag for part in parts]
    if tags[:3] != [outline.SEQUENCE, outline.SEQUENCE, outline.BIT_STRING] or tags[3:] not in ([], [_CERTIFICATES]):
        raise outline.MalformedDER("the basic response is not data, algorithm, signature and certificates")
    data, algorithm, bits = parts[:3]
    if bits.end - bits.content < 2 or der[bits.content] != 0:
        raise outline.MalformedDER("signature is empty or has unused bits")
    certificates: tuple[bytes, ...] = ()
    if parts[3:]:
        sent = only_child(der, parts[3], outline.SEQUENCE)
        certificates = tuple(outline.slice_of(der, part) for part in outline.read_children(der, sent))
    responder, produced_at, entries, extensions = _read_data(der, data)
    by_name = responder.tag == _BY_NAME
    identity = only_child(der, responder, outline.SEQUENCE if by_name else OCTET_STRING)
    return OCSPAnswer(
        sha256=sha256,
        signed=outline.slice_of(der, data),
        algorithm=outline.slice_of(der, algorithm),
        signature=der[bits.content + 1 : bits.end],
        responder_name=outline.slice_of(der, identity) if by_name else None,
        responder_key_hash=None if by_name else content_of(der, identity),
        produced_at=produced_at,
        entries=entries,
        extensions=extensions,
        certificates=certificates,
    )


def _read_data(
    der: bytes, data: outline.Element
) -> tuple[outline.Element, datetime, tuple[OCSPEntry, ...], dict[str, ExtensionField]]:
    """ResponseData: the responder id, producedAt, the entries, the extensions."""
    parts = outline.read_children(der, data)
    if parts and parts[0].tag == _VERSION:
        raise outline.MalformedDER("a version other than 1, or version 1 written out")
    tags = [part.tag for part in parts]
    lists = ([outline.SEQUENCE], [outline.SEQUENCE, _EXTENSIONS])
    if len(parts) < 3 or tags[0] not in (_BY_NAME, _BY_KEY) or tags[2:] not in lists:
        raise outline.MalformedDER("the response data is not responder id, time, entries and extensions")
    entries = tuple(_read_entry(der, part) for part in outline.read_children(der, parts[2]))
    return parts[0], _generalized(der, parts[1]), entries, _extensions(der, parts[3:])


def _read_entry(der: bytes, entry: outline.Element) -> OCSPEntry:
    """SingleResponse."""
    parts = outline.read_children(der, entry)
    if entry.tag != outline.SEQUENCE or len(parts) < 3:
        raise outline.MalformedDER(f"entry at byte {entry.start} is not id, status and times")
    issuer, serial = _read_id(der, parts[0])
    status, revoked_at = _read_status(der, parts[1])
    rest = parts[3:]
    next_update = None
    if rest and rest[0].tag == _NEXT_UPDATE:
        next_update = _generalized(der, only_child(der, rest.pop(0), outline.GENERALIZED_TIME))
    if [part.tag for part in rest] not in ([], [_ENTRY_EXTENSIONS]):
        raise outline.MalformedDER(f"entry at byte {entry.start} ends with something unexpected")
    return OCSPEntry(
        issuer=issuer,
        serial=serial,
        status=status,
        revoked_at=revoked_at,
        this_update=_generalized(der, parts[2]),
        next_update=next_update,
        extensions=_extensions(der, rest),
    )


def _read_id(der: bytes, element: outline.Element) -> tuple[IssuerID | None, int]:
    """CertID: the issuer's hashes (None: an unknown hash) and the serial number."""
    parts = outline.read_children(der, element)
    if [part.tag for part in parts] != [outline.SEQUENCE, OCTET_STRING, OCTET_STRING, outline.INTEGER]:
        raise outline.MalformedDER(f"no certificate id at byte {element.start}")
    algorithm, name_hash, key_hash, serial = parts
    fields = outline.read_children(der, algorithm)
    if not fields or len(fields) > 2 or (fields[1:] and outline.slice_of(der, fields[1]) != _NULL):
        raise outline.MalformedDER(f"no hash algorithm at byte {algorithm.start}")
    known = _ALGORITHMS.get(read_oid(der, fields[0]))
    number = read_integer(der, serial)
    if known is None:
        return None, number
    return IssuerID(known, content_of(der, name_hash), content_of(der, key_hash)), number


def _read_status(der: bytes, element: outline.Element) -> tuple[OCSPStatus, datetime | None]:
    """CertStatus; the time of a revocation."""
    if element.tag == _REVOKED:
        parts = outline.read_children(der, element)
        if not parts or [part.tag for part in parts[1:]] not in ([], [_REASON]):
            raise outline.MalformedDER(f"revocation at byte {element.start} is not a time and a reason")
        if parts[1:]:
            read_integer(der, only_child(der, parts[1], ENUMERATED), 1)
        return OCSPStatus.REVOKED, _generalized(der, parts[0])
    plain = {_GOOD: OCSPStatus.GOOD, _UNKNOWN: OCSPStatus.UNKNOWN}.get(element.tag)
    if plain is None or element.end != element.content:
        raise outline.MalformedDER(f"no certificate status at byte {element.start}")
    return plain, None


def _extensions(der: bytes, announced: list[outline.Element]) -> dict[str, ExtensionField]:
    return read_extensions(der, only_child(der, announced[0], outline.SEQUENCE)) if announced else {}


def _generalized(der: bytes, element: outline.Element) -> datetime:
    if element.tag != outline.GENERALIZED_TIME:
        raise outline.MalformedDER(f"no GeneralizedTime at byte {element.start}")
    return read_instant(der, element)


def _pair(der: bytes, parent: outline.Element, first: int, second: int) -> tuple[outline.Element, outline.Element]:
    parts = outline.read_children(der, parent)
    if [part.tag for part in parts] != [first, second]:
        raise outline.MalformedDER(f"expected two elements at byte {parent.content}")
    return parts[0], parts[1]
