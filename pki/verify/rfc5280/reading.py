"""Bytes to a `PathCertificate`, read once: any key, any subject, any extension.

Rules of this file
1. Sizes first, then the outline (`pki.der`), then `cryptography`.
2. What makes bytes no certificate of RFC 5280 at all is refused here: version, serial number, form of the times, the
   two algorithm fields, an extension twice, and key parameters that the RFCs forbid. What a certificate must say in its
   place on a path is left to `conformance` and `validation`. Unique identifiers are read over (4.1.2.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from pki import der as outline
from pki.errors import MalformedCertificate
from pki.verify.rfc5280.budget import CERTIFICATE_CAP
from pki.verify.rfc5280.names import Name, comparable

E = TypeVar("E", bound=x509.ExtensionType)

UNREADABLE = (ValueError, TypeError, OverflowError, NotImplementedError, x509.InvalidVersion)
"""What `cryptography` raises for bytes that it cannot read."""
UNPROCESSED = (UnsupportedAlgorithm, x509.UnsupportedGeneralNameType)
"""What it raises for bytes that it can read and does not know."""

_EXTENSIONS = 0xA3
_VERSION_3 = bytes.fromhex("a003020102")
_EC_KEY = bytes.fromhex("06072a8648ce3d0201")
_NAME_CONSTRAINTS = bytes.fromhex("0603551d1e")
_OBJECT_IDENTIFIER = 0x06


class Extension(NamedTuple):
    """An extension's value as `cryptography` reads it, and whether it is critical."""

    critical: bool
    value: x509.ExtensionType


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PathCertificate:
    """A certificate that may stand on a path. `index` is its place among the presented ones, None for an anchor.

    `issuer` and `subject` are comparable, `spki` and `subject_der` the exact bytes. `extensions` is by dotted object
    identifier. `early_generalized` tells a GeneralizedTime before 2050, which may be read and should not be written.
    `name_constraints_der` is that extension's value as it arrived, empty without one.
    """

    der: bytes
    index: int | None
    tbs: bytes
    algorithm: bytes
    signature: bytes
    issuer: Name
    subject: Name
    subject_der: bytes
    spki: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    early_generalized: bool
    extensions: Mapping[str, Extension]
    name_constraints_der: bytes
    parsed: x509.Certificate

    def find(self, kind: type[E]) -> E | None:
        """The value of the extension of one type."""
        found = self.extensions.get(kind.oid.dotted_string)
        return found.value if found is not None and isinstance(found.value, kind) else None

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same name."""
        return self.issuer == self.subject

    @property
    def is_ca(self) -> bool:
        """Whether basic constraints say so."""
        constraints = self.find(x509.BasicConstraints)
        return constraints is not None and constraints.ca

    @property
    def subject_key(self) -> bytes | None:
        """The subject key identifier."""
        identifier = self.find(x509.SubjectKeyIdentifier)
        return None if identifier is None else identifier.digest


class _Outline(NamedTuple):
    tbs: bytes
    algorithm: bytes
    signature: bytes
    subject: bytes
    spki: bytes
    serial: int
    early_generalized: bool
    name_constraints: bytes


def read_certificate(der: bytes, index: int | None = None) -> PathCertificate:
    """The certificate that `der` holds.

    Raises:
        MalformedCertificate: "size-limit", "malformed-certificate", "version", "serial-number", "time-encoding",
            "signature-algorithm-mismatch", "duplicate-extension", "algorithm"; "unsupported" for what is well formed
            and not processed (a name of a kind that has no meaning here).

    Source: RFC 5280 4.1.
    """
    if len(der) > CERTIFICATE_CAP:
        raise MalformedCertificate("size-limit", f"{len(der)} bytes of DER, at most {CERTIFICATE_CAP}", index=index)
    try:
        return _assemble(der, index, _outline(der, index))
    except x509.DuplicateExtension as error:
        raise _refusal(
            "duplicate-extension", f"extension {error.oid.dotted_string} appears twice", "4.2", index
        ) from error
    except UNPROCESSED as error:
        raise MalformedCertificate("unsupported", f"not processed: {error}", index=index) from error
    except UNREADABLE as error:
        raise MalformedCertificate("malformed-certificate", f"not a certificate: {error}", index=index) from error


def _assemble(der: bytes, index: int | None, found: _Outline) -> PathCertificate:
    parsed = x509.load_der_x509_certificate(der)
    extensions = {entry.oid.dotted_string: Extension(entry.critical, entry.value) for entry in parsed.extensions}
    return PathCertificate(
        der=der,
        index=index,
        tbs=found.tbs,
        algorithm=found.algorithm,
        signature=found.signature,
        issuer=comparable(parsed.issuer),
        subject=comparable(parsed.subject),
        subject_der=found.subject,
        spki=found.spki,
        serial=found.serial,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        early_generalized=found.early_generalized,
        extensions=MappingProxyType(extensions),
        name_constraints_der=found.name_constraints,
        parsed=parsed,
    )


def _outline(der: bytes, index: int | None) -> _Outline:
    body, parts, algorithm, signature = outline.read_signed(der)
    if not parts or outline.slice_of(der, parts[0]) != _VERSION_3:
        raise _refusal("version", "not an X.509 version 3 certificate", "4.1.2.1", index)
    if [part.tag for part in parts[1:7]] != [outline.INTEGER] + [outline.SEQUENCE] * 5:
        raise outline.MalformedDER("the certificate's fields are not in their order")
    serial, inner, _, validity, subject, spki = parts[1:7]
    if outline.slice_of(der, inner) != algorithm:
        message = "the algorithm inside the signed part is not the one beside the signature"
        raise _refusal("signature-algorithm-mismatch", message, "4.1.1.2", index)
    _check_key(der, spki, index)
    return _Outline(
        tbs=outline.slice_of(der, body),
        algorithm=algorithm,
        signature=signature,
        subject=outline.slice_of(der, subject),
        spki=outline.slice_of(der, spki),
        serial=_serial(der[serial.content : serial.end], index),
        early_generalized=_check_times(der, validity, index),
        name_constraints=_name_constraints(der, [part for part in parts[7:] if part.tag == _EXTENSIONS]),
    )


def _serial(content: bytes, index: int | None) -> int:
    """The serial number: positive, at most 20 octets. An anchor's is not asked: it is found by name and key, no list
    speaks of it, and roots in use have the number zero."""
    value = int.from_bytes(content, "big", signed=True)
    if index is not None and (not 1 <= len(content) <= 20 or value < 1):
        what = f"{len(content)} octets" if len(content) > 20 else "not positive"
        raise _refusal("serial-number", f"serial number is {what}; expected 1 to 20 octets", "4.1.2.2", index)
    return value


def _check_times(der: bytes, validity: outline.Element, index: int | None) -> bool:
    """Whether a GeneralizedTime before 2050 was met. Seconds and Z must be there, fractions and offsets must not."""
    times = outline.read_children(der, validity)
    if len(times) != 2:
        raise outline.MalformedDER("validity does not hold two times")
    early = False
    for time in times:
        text = der[time.content : time.end]
        length = {outline.UTC_TIME: 13, outline.GENERALIZED_TIME: 15}.get(time.tag)
        if len(text) != length or not text[:-1].isdigit() or text[-1:] != b"Z":
            raise _refusal("time-encoding", "a validity time is not in a form that DER has", "4.1.2.5", index)
        early |= time.tag == outline.GENERALIZED_TIME and text[:4] < b"2050"
    return early


def _check_key(der: bytes, spki: outline.Element, index: int | None) -> None:
    """Refuse an EC key whose curve is described instead of named (RFC 5480 2.1.1)."""
    algorithm = outline.read_element(der, spki.content, spki.end)
    parts = outline.read_children(der, algorithm)
    if not parts:
        raise outline.MalformedDER("the key has no algorithm")
    if outline.slice_of(der, parts[0]) == _EC_KEY and [part.tag for part in parts[1:]] != [_OBJECT_IDENTIFIER]:
        raise MalformedCertificate("algorithm", "an EC key without a named curve", clause="RFC 5480 2.1.1", index=index)


def _name_constraints(der: bytes, tagged: list[outline.Element]) -> bytes:
    """The octets of the name constraints; what is no extension is left to `cryptography`, which reads all of them."""
    for part in tagged:
        listed = outline.read_element(der, part.content, part.end)
        for extension in outline.read_children(der, listed):
            fields = outline.read_children(der, extension)
            if fields and outline.slice_of(der, fields[0]) == _NAME_CONSTRAINTS:
                return der[fields[-1].content : fields[-1].end]
    return b""


def _refusal(code: str, message: str, clause: str, index: int | None) -> MalformedCertificate:
    return MalformedCertificate(code, message, clause=f"RFC 5280 {clause}", index=index)
