"""An OCSP request as it was read: which certificates it asks about, and its nonce.

Only DER in its one form is read. A signature on a request is not asked for and not looked at (RFC 6960 4.1.2 leaves it
to the responder); neither is the requestor's name.

Source: RFC 6960 4.1.1, 4.4; RFC 9654 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pki import der as outline
from pki.errors import PKIError
from pki.issue.der_writer import integer, object_identifier, octet_string, sequence
from pki.verify.certificate_id import HashAlgorithm, IssuerID
from pki.verify.fields import (
    OCTET_STRING,
    ExtensionField,
    content_of,
    only_child,
    read_extensions,
    read_integer,
    read_oid,
    whole,
)

REQUEST_CAP = 4096
"""Bytes of a request; some fifty certificates."""
MAX_ENTRIES = 16
"""Certificates asked about in one request: more than any path has, and it bounds what one request makes us do."""
MAX_NONCE = 128

_HASHES = {
    "1.3.14.3.2.26": HashAlgorithm.SHA1,
    "2.16.840.1.101.3.4.2.1": HashAlgorithm.SHA256,
    "2.16.840.1.101.3.4.2.2": HashAlgorithm.SHA384,
    "2.16.840.1.101.3.4.2.3": HashAlgorithm.SHA512,
}
_OIDS = {algorithm: oid for oid, algorithm in _HASHES.items()}
_NULL = b"\x05\x00"
_NONCE = "1.3.6.1.5.5.7.48.1.2"
# Nonce, acceptable response types, preferred signature algorithms, service locator, CRL references: understood, or
# without effect on what is answered here.
_UNDERSTOOD = frozenset(f"1.3.6.1.5.5.7.48.1.{arc}" for arc in (2, 3, 4, 7, 8))
_VERSION, _REQUESTOR, _EXTENSIONS, _SIGNATURE, _ENTRY_EXTENSIONS = 0xA0, 0xA1, 0xA2, 0xA0, 0xA0


class MalformedRequest(PKIError):
    """Raised when bytes are no OCSP request that can be answered; OCSP has a status of that name."""

    def __init__(self, message: str) -> None:
        super().__init__("malformed-request", message, clause="RFC 6960 4.1.1")


class CertificateID(NamedTuple):
    """One certificate asked about. `issuer` None: its hash algorithm is not known here. `der` is the id as it was sent,
    which an answer repeats."""

    issuer: IssuerID | None
    serial: int
    der: bytes


@dataclass(frozen=True, slots=True)
class OCSPRequest:
    """What is asked: one to sixteen certificates, and the nonce that the answer must carry."""

    ids: tuple[CertificateID, ...]
    nonce: bytes | None


def parse_request(der: bytes) -> OCSPRequest:
    """The request that `der` holds.

    Raises:
        MalformedRequest: more than 4096 bytes, not DER, no entry or too many, a critical extension that is not known, a
            nonce of more than 128 octets.
    """
    if len(der) > REQUEST_CAP:
        raise MalformedRequest(f"OCSP request of {len(der)} bytes, at most {REQUEST_CAP}")
    try:
        return _read(der)
    except outline.MalformedDER as error:
        raise MalformedRequest(f"not an OCSP request: {error}") from error


def encode_id(issuer: IssuerID, serial: int) -> CertificateID:
    """The id of a certificate as most programs write it: the hash algorithm with NULL parameters."""
    algorithm = sequence(object_identifier(_OIDS[issuer.algorithm]), _NULL)
    fields = (octet_string(issuer.name_hash), octet_string(issuer.key_hash), integer(serial))
    return CertificateID(issuer, serial, sequence(algorithm, *fields))


def _read(der: bytes) -> OCSPRequest:
    parts = outline.read_children(der, whole(der, outline.SEQUENCE))
    if [part.tag for part in parts] not in ([outline.SEQUENCE], [outline.SEQUENCE, _SIGNATURE]):
        raise outline.MalformedDER("expected the request proper, and at most one signature")
    fields = outline.read_children(der, parts[0])
    if fields and fields[0].tag == _VERSION:
        _require_version_1(der, fields.pop(0))
    if fields and fields[0].tag == _REQUESTOR:
        fields.pop(0)
    if [field.tag for field in fields] not in ([outline.SEQUENCE], [outline.SEQUENCE, _EXTENSIONS]):
        raise outline.MalformedDER("expected the list of certificates, and at most one set of extensions")
    entries = outline.read_children(der, fields[0])
    if not 1 <= len(entries) <= MAX_ENTRIES:
        raise outline.MalformedDER(f"{len(entries)} certificates are asked about, expected 1 to {MAX_ENTRIES}")
    ids = tuple(_read_entry(der, entry) for entry in entries)
    if len(fields) == 1:
        return OCSPRequest(ids, None)
    return OCSPRequest(ids, _nonce(_extensions(der, fields[1])))


def _require_version_1(der: bytes, element: outline.Element) -> None:
    if read_integer(der, only_child(der, element, outline.INTEGER), 1) != 0:
        raise outline.MalformedDER("only version 1 is known")


def _read_entry(der: bytes, entry: outline.Element) -> CertificateID:
    parts = outline.read_children(der, entry)
    tags = [part.tag for part in parts]
    if entry.tag != outline.SEQUENCE or tags not in ([outline.SEQUENCE], [outline.SEQUENCE, _ENTRY_EXTENSIONS]):
        raise outline.MalformedDER(
            f"entry at byte {entry.start} is no certificate id with at most one set of extensions"
        )
    if len(parts) == 2:
        _extensions(der, parts[1])
    return _read_id(der, parts[0])


def _read_id(der: bytes, element: outline.Element) -> CertificateID:
    parts = outline.read_children(der, element)
    if [part.tag for part in parts] != [outline.SEQUENCE, OCTET_STRING, OCTET_STRING, outline.INTEGER]:
        raise outline.MalformedDER(f"certificate id at byte {element.start} is not algorithm, two hashes and a number")
    algorithm = outline.read_children(der, parts[0])
    parameters = [outline.slice_of(der, part) for part in algorithm[1:]]
    if not algorithm or parameters not in ([], [_NULL]):
        raise outline.MalformedDER(f"hash algorithm at byte {element.start} has parameters")
    known = _HASHES.get(read_oid(der, algorithm[0]))
    issuer = None
    if known is not None:
        issuer = IssuerID(known, content_of(der, parts[1]), content_of(der, parts[2]))
    return CertificateID(issuer, read_integer(der, parts[3]), outline.slice_of(der, element))


def _extensions(der: bytes, element: outline.Element) -> dict[str, ExtensionField]:
    found = read_extensions(der, only_child(der, element, outline.SEQUENCE))
    for oid, extension in found.items():
        if extension.critical and oid not in _UNDERSTOOD:
            raise outline.MalformedDER(f"critical extension {oid} is not known")
    return found


def _nonce(extensions: dict[str, ExtensionField]) -> bytes | None:
    extension = extensions.get(_NONCE)
    if extension is None:
        return None
    found = content_of(extension.content, whole(extension.content, OCTET_STRING))
    if not 1 <= len(found) <= MAX_NONCE:
        raise outline.MalformedDER(f"nonce of {len(found)} octets, expected 1 to {MAX_NONCE}")
    return found
