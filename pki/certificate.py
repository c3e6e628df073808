"""Bytes to a `Certificate` value, read once.

Rules of this file
1. Sizes first, then the outline, then `cryptography` checks the whole grammar; the fields are cut out of the bytes.
2. Names, key and signed part are kept as the exact bytes that arrived: they are compared and verified as bytes.
3. What RFC 5280 forbids in any certificate is refused here (version, serial, time encoding, duplicate extension,
   inner and outer algorithm that differ, a key that is no point); what a profile forbids is left to `pki.verify`.
4. What few readers ask for (digest, key object) is made when it is first asked for. No answer depends on when.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import NoReturn

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec.structs import force_setattr

from pki.der import (
    BIT_STRING,
    GENERALIZED_TIME,
    INTEGER,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    UTC_TIME,
    MalformedDER,
    read_row,
    read_signed_spans,
    read_span,
)
from pki.errors import MalformedCertificate
from pki.extensions import (
    AuthorityKeyIdentifier as AuthorityKeyIdentifier,
    BasicConstraints as BasicConstraints,
    Extension as Extension,
    Extensions,
    KeyUsage as KeyUsage,
    KeyUsageBit as KeyUsageBit,
    read_extensions,
)
from pki.pem import encode_pem, parse_chain_pem as parse_chain_pem
from pki.public_key import (
    KeyKind as KeyKind,
    PublicKey as PublicKey,
    SignatureKind as SignatureKind,
    key_kind,
    load_key,
    signature_kind as signature_kind,
    signed_by,
)

CERTIFICATE_CAP = 4096
"""Bytes of DER beyond which nothing is parsed; profiles are stricter (ISO 15118-2: 800, V2G2-010)."""

PARSER_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for bytes that it cannot read, beside DuplicateExtension."""
_VERSION_3 = bytes.fromhex("a003020102")
_EXTENSIONS = 0xA3
_ZULU = ord("Z")
_FIELDS = bytes((INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE))
"""The signed part after its version: serial number, algorithm, issuer, validity, subject, key."""
_TWO_UTC_TIMES = re.compile("\x30\x1e\x17\x0d([0-9]{6})([0-9]{6})Z\x17\x0d([0-9]{6})([0-9]{6})Z").fullmatch
_TEXTS = (0x0C, 0x13, 0x16)
"""UTF8String, PrintableString, IA5String."""
_RARE_TEXTS = frozenset({*_TEXTS, 0x14, 0x1C, 0x1E})
"""And the rest of RFC 5280's DirectoryString: TeletexString, UniversalString, BMPString."""


def _before_texts() -> Iterator[tuple[bytes, tuple[str, int]]]:
    """What stands before an attribute's text, all lengths being of one octet: its type and the octets of the text."""
    for oid, octets in _ATTRIBUTES.items():
        for tag in _TEXTS:
            for size in range(1, 0x80 - len(octets) - 4):
                inner = len(octets) + 2 + size
                yield bytes((SET, inner + 2, SEQUENCE, inner)) + octets + bytes((tag, size)), (oid, size)


_ATTRIBUTES = {
    "2.5.4.3": bytes.fromhex("0603550403"),
    "2.5.4.6": bytes.fromhex("0603550406"),
    "2.5.4.10": bytes.fromhex("060355040a"),
    "2.5.4.11": bytes.fromhex("060355040b"),
    "0.9.2342.19200300.100.1.25": bytes.fromhex("060a0992268993f22c640119"),
}
_BEFORE_TEXT = dict(_before_texts())
_SHORT, _LONG = 11, 18
"""Octets before a text: of most types, of the domain component."""


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """One attribute of the subject: dotted object identifier and text; `text` None when the value is no text."""

    oid: str
    text: str | None


class Certificate(msgspec.Struct, frozen=True, eq=False):
    """A certificate, read once. Two are equal iff their DER is.

    It is built by position, in the order of the fields, because naming 22 arguments takes longer than half of the rest.
    """

    der: bytes
    tbs: bytes
    signature: bytes
    signature_kind: SignatureKind
    issuer_der: bytes
    subject_der: bytes
    spki_der: bytes
    key_kind: KeyKind
    serial: int
    not_before: datetime
    not_after: datetime
    subject: tuple[Attribute, ...]
    extensions: tuple[Extension, ...]
    basic_constraints: BasicConstraints | None
    key_usage: KeyUsage | None
    extended_key_usage: frozenset[str]
    subject_key_identifier: bytes | None
    authority_key_identifier: AuthorityKeyIdentifier | None
    crl_uris: frozenset[str]
    parsed: x509.Certificate
    _sha256: str | None = None
    _public_key: PublicKey | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __ne__(self, other: object) -> bool:
        # A msgspec Struct does not derive it from __eq__, as other classes do.
        return not self == other

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def sha256(self) -> str:
        """Hex over the DER, for caches and logs."""
        if self._sha256 is None:
            force_setattr(self, "_sha256", hashlib.sha256(self.der).hexdigest())
        return self._sha256 or ""

    @property
    def public_key(self) -> PublicKey | None:
        """The key object; None when the key is of no kind that a profile takes."""
        if self._public_key is None:
            force_setattr(self, "_public_key", load_key(self.key_kind, self.spki_der))
        return self._public_key

    @property
    def self_issued(self) -> bool:
        """Whether issuer and subject are the same name; what it claims, not what was verified."""
        return self.issuer_der == self.subject_der

    def attributes(self, oid: x509.ObjectIdentifier) -> tuple[str | None, ...]:
        """The texts of the subject's attributes of one type, in order."""
        wanted = oid.dotted_string
        return tuple([entry.text for entry in self.subject if entry.oid == wanted])

    def pem(self) -> str:
        """The certificate as one PEM block that ends with a line feed."""
        return encode_pem(self.der)


def parse_certificate(der: bytes, *, index: int | None = None, max_bytes: int = CERTIFICATE_CAP) -> Certificate:
    """The certificate that `der` holds; `index` is its place in a chain, for the error. About 15 us.

    Raises:
        MalformedCertificate: "size-limit", "malformed-certificate", "version", "serial-number", "time-encoding",
            "signature-algorithm-mismatch", "duplicate-extension", "unique-identifier".

    Source: RFC 5280 4.1.
    """
    if len(der) > max_bytes:
        raise MalformedCertificate("size-limit", f"{len(der)} bytes of DER, at most {max_bytes}", index=index)
    try:
        return _read(der, index)
    except x509.DuplicateExtension as error:
        raise MalformedCertificate(
            "duplicate-extension",
            f"extension {error.oid.dotted_string} appears twice",
            clause="RFC 5280 4.2",
            index=index,
        ) from error
    except PARSER_ERRORS as error:
        raise MalformedCertificate("malformed-certificate", f"not a certificate: {error}", index=index) from error


def verify_signature(issuer: Certificate, kind: SignatureKind, signed: bytes, signature: bytes) -> bool:
    """Whether `issuer`'s key made `signature` over `signed`; False also when `kind` is not the one algorithm that goes
    with that key (V2G2-006, V2G20-2674, V2G20-2319). Costs one signature verification (about 60 us for P-256).
    """
    return signed_by(issuer.key_kind, issuer.public_key, kind, signed, signature)


def _read(der: bytes, index: int | None) -> Certificate:
    start, end, body, limit = read_signed_spans(der)
    _, at = read_span(der, limit, SEQUENCE, end)
    algorithm = der[limit:at]
    bits, at = read_span(der, at, BIT_STRING, end)
    if at != end or end != len(der) or end - bits < 2 or der[bits] != 0:
        raise MalformedDER("not one signed structure over all bytes, its signature without unused bits")
    at_serial = body + 5
    if der[body:at_serial] != _VERSION_3:
        _refuse("version", "not an X.509 version 3 certificate", "RFC 5280 4.1.2.1", index)
    at_inner, at_issuer, at_validity, at_subject, at_key, at_rest = read_row(der, at_serial, _FIELDS, limit)
    if der[at_inner:at_issuer] != algorithm:
        message = "the algorithm inside the signed part is not the one beside the signature"
        _refuse("signature-algorithm-mismatch", message, "RFC 5280 4.1.1.2", index)
    not_before, not_after = read_validity(der, at_validity, at_subject, index)
    serial = read_serial(der, at_serial, at_inner, index)
    # The outline is checked: whatever else the grammar asks for, inside names for example, is asked for here.
    parsed = x509.load_der_x509_certificate(der)
    found = _extensions(der, at_rest, limit, parsed, index)
    constraints = found.basic_constraints
    is_issuer = constraints is not None and constraints.ca
    spki_der = der[at_key:at_rest]
    kind = key_kind(spki_der, point=not is_issuer)
    subject = read_attributes(der, at_subject, at_key) or _attributes_by_library(der, at_subject, at_key, parsed)
    return Certificate(
        der,
        der[start:limit],
        der[bits + 1 : end],
        signature_kind(algorithm),
        der[at_issuer:at_validity],
        der[at_subject:at_key],
        spki_der,
        kind,
        serial,
        not_before,
        not_after,
        subject,
        found.present,
        constraints,
        found.key_usage,
        found.extended_key_usage,
        found.subject_key_identifier,
        found.authority_key_identifier,
        found.crl_uris,
        parsed,
        None,
        load_key(kind, spki_der) if is_issuer else None,
    )


def read_serial(der: bytes, start: int, end: int, index: int | None) -> int:
    """The serial number in the INTEGER of `der[start:end]`: positive, at most 20 octets, so at most 159 bits."""
    octets = end - start - 2
    value = int.from_bytes(der[start + 2 : end], "big")
    if not 1 <= octets <= 20 or value == 0 or der[start + 2] >= 0x80:
        what = f"{octets} octets" if octets > 20 else "not positive"
        message = f"serial number is {what}; expected 1 to 20 octets, positive"
        _refuse("serial-number", message, "RFC 5280 4.1.2.2", index)
    return value


def read_validity(der: bytes, start: int, end: int, index: int | None) -> tuple[datetime, datetime]:
    """The two times in the validity of `der[start:end]`, each in its one DER form."""
    usual = _TWO_UTC_TIMES(der[start:end].decode("latin-1"))
    if usual is not None:
        begin_day, begin_time, end_day, end_time = usual.groups()
        return _instant(begin_day, begin_time), _instant(end_day, end_time)
    at, _ = read_span(der, start, SEQUENCE, end)
    not_before, at = _read_instant(der, at, end, index)
    not_after, at = _read_instant(der, at, end, index)
    if at != end:
        raise MalformedDER("validity does not hold two times")
    return not_before, not_after


def _read_instant(der: bytes, start: int, limit: int, index: int | None) -> tuple[datetime, int]:
    """A time of the validity and where it ends: UTCTime `YYMMDDhhmmssZ` up to 2049, GeneralizedTime
    `YYYYMMDDhhmmssZ` from 2050, nothing else."""
    tag, size = der[start], der[start + 1]
    end = start + 2 + size
    digits = der[start + 2 : end - 1]
    if end <= limit and der[end - 1] == _ZULU and digits.isdigit():
        if tag == UTC_TIME and size == 13:
            text = digits.decode()
            return _instant(text[:6], text[6:]), end
        if tag == GENERALIZED_TIME and size == 15 and digits >= b"2050":
            text = digits.decode()
            return datetime.fromisoformat(f"{text[:8]}T{text[8:]}Z"), end
    _refuse("time-encoding", "a validity time is not in its one DER form", "RFC 5280 4.1.2.5", index)


def _instant(day: str, time: str) -> datetime:
    """The instant of a UTCTime: `YYMMDD` and `hhmmss`."""
    return datetime.fromisoformat(f"{'20' if day < '5' else '19'}{day}T{time}Z")


def _extensions(der: bytes, start: int, limit: int, parsed: x509.Certificate, index: int | None) -> Extensions:
    if start == limit:
        return Extensions()
    if der[start] != _EXTENSIONS:
        _refuse("unique-identifier", "carries a unique identifier", "RFC 5280 4.1.2.8", index)
    return read_extensions(der, start, limit, parsed)


def read_attributes(der: bytes, start: int, limit: int) -> tuple[Attribute, ...]:
    """The attributes of a name, `der[start:limit]`, as nearly every certificate has them: one in each set, of a usual
    type, a text of 1 to some hundred characters. Empty at anything else, which `cryptography` reads then."""
    found = []
    at = start + 2
    while at < limit:
        text = at + _SHORT
        known = _BEFORE_TEXT.get(der[at:text])
        if known is None:
            text = at + _LONG
            known = _BEFORE_TEXT.get(der[at:text])
            if known is None:
                return ()
        oid, size = known
        at = text + size
        found.append(Attribute(oid, der[text:at].decode()))
    return tuple(found) if at == limit else ()


def _attributes_by_library(der: bytes, start: int, limit: int, parsed: x509.Certificate) -> tuple[Attribute, ...]:
    """The attributes of any name. The value's type decides what is text: the library also gives that of an OCTET STRING
    or of a NumericString with letters in it."""
    at, _ = read_span(der, start, SEQUENCE, limit)
    tags = _value_tags(der, at, limit)
    return tuple(
        Attribute(entry.oid.dotted_string, entry.value if tag in _RARE_TEXTS and isinstance(entry.value, str) else None)
        for entry, tag in zip(parsed.subject, tags, strict=True)
    )


def _value_tags(der: bytes, at: int, limit: int) -> Iterator[int]:
    """The tag of each attribute's value, in the order of the name."""
    while at < limit:
        entry, at = read_span(der, at, SET, limit)
        while entry < at:
            kind, entry = read_span(der, entry, SEQUENCE, at)
            _, value = read_span(der, kind, OBJECT_IDENTIFIER, entry)
            yield der[value]


def _refuse(code: str, message: str, clause: str, index: int | None) -> NoReturn:
    raise MalformedCertificate(code, message, clause=clause, index=index)
