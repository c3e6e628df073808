"""What the extensions of a certificate say, read once.

Rules of this file
1. The extensions of the profiles, in the forms that certificates really have, are read here: by table where a value has
   few encodings (basic constraints, key usage), by position where it is one string or a list of addresses.
2. At anything else, be it rare or wrong, `cryptography` reads all extensions of that certificate. So what is read here
   is a subset of what `cryptography` reads, with the same meaning; a law of the tests holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec
from cryptography import x509

from pki.der import OCTET_STRING, SEQUENCE, read_span

E = TypeVar("E", bound=x509.ExtensionType)


class KeyUsageBit(StrEnum):
    """RFC 5280 4.2.1.3, in the order of the bits."""

    DIGITAL_SIGNATURE = "digitalSignature"
    NON_REPUDIATION = "nonRepudiation"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"
    ENCIPHER_ONLY = "encipherOnly"
    DECIPHER_ONLY = "decipherOnly"


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """The key usage extension."""

    bits: frozenset[KeyUsageBit]
    critical: bool


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """The basic constraints extension; `path_length` None: no limit stated."""

    ca: bool
    path_length: int | None
    critical: bool


class AuthorityKeyIdentifier(msgspec.Struct, frozen=True):
    """The issuer as its key identifier and, rarely, as issuer name and serial."""

    key_identifier: bytes | None
    serial: int | None


class Extension(NamedTuple):
    """An extension's object identifier (dotted) and criticality, in the order of the certificate."""

    oid: str
    critical: bool


class Extensions(msgspec.Struct):
    """Every extension by name, and the values that are judged. Of an absent one: None, or the empty set."""

    present: tuple[Extension, ...] = ()
    basic_constraints: BasicConstraints | None = None
    key_usage: KeyUsage | None = None
    extended_key_usage: frozenset[str] = frozenset()
    subject_key_identifier: bytes | None = None
    authority_key_identifier: AuthorityKeyIdentifier | None = None
    crl_uris: frozenset[str] = frozenset()


def read_extensions(der: bytes, start: int, limit: int, parsed: x509.Certificate) -> Extensions:
    """What the extensions in `der[start:limit]` (the content of [3]) say; `parsed` is the same certificate. 2 to 5 us.

    Raises:
        MalformedDER, x509.DuplicateExtension and what else `cryptography` raises for values that it cannot read.

    Source: RFC 5280 4.2.
    """
    at, end = read_span(der, start, SEQUENCE, limit)
    found = Extensions()
    present: dict[str, Extension] = {}
    while at < end:
        content, size = at + 2, der[at + 1]
        if der[at] == SEQUENCE and size < 0x80 and content + size <= end:
            at = content + size  # As read_span would have it, for nearly every extension.
        else:
            content, at = read_span(der, at, SEQUENCE, end)
        whole = der[content:at]
        known = _WHOLE.get(whole)
        if known is None:
            extension = _by_position(whole, found)
        else:
            extension, constraints, usage = known
            found.basic_constraints = constraints or found.basic_constraints
            found.key_usage = usage or found.key_usage
        if extension is None or extension.oid in present:
            return _by_library(parsed)
        present[extension.oid] = extension
    found.present = tuple(present.values())
    return found


def _by_position(whole: bytes, found: Extensions) -> Extension | None:
    """An extension whose value is read by position; None: another one, or in no usual form."""
    kind = _KINDS.get(whole[:_SHORT]) or _KINDS.get(whole[:_LONG])
    if kind is None:
        return None
    critical = whole[kind.size : kind.size + 3] == _CRITICAL
    value = kind.size + 3 * critical
    content, size = value + 2, len(whole)
    if whole[value:content] != _SHORT_OCTETS[(size - content) & 0x7F] or size - content >= 0x80:
        if whole[value : value + 1] != _OCTETS:
            return None
        content, closed = read_span(whole, value, OCTET_STRING, size)
        if closed != size:
            return None
    if not kind.read(whole[content:], found):
        return None
    return kind.critical if critical else kind.plain


def _extended_usage(value: bytes, found: Extensions) -> bool:
    usage = _EXTENDED_USAGES.get(value)
    found.extended_key_usage = usage or frozenset()
    return usage is not None


def _subject_key(value: bytes, found: Extensions) -> bool:
    """OCTET STRING of 1 to 127 bytes."""
    found.subject_key_identifier = value[2:]
    return 2 < len(value) < 0x82 and value[0] == OCTET_STRING and value[1] == len(value) - 2


def _authority_key(value: bytes, found: Extensions) -> bool:
    """SEQUENCE { [0] key identifier }, without issuer name and serial."""
    size = len(value)
    found.authority_key_identifier = AuthorityKeyIdentifier(value[4:], None)
    return 4 < size < 0x82 and value[:4] == bytes((SEQUENCE, size - 2, _KEY_IDENTIFIER, size - 4))


def _crl_points(value: bytes, found: Extensions) -> bool:
    """SEQUENCE { SEQUENCE { [0] { [0] { URI ... } } } }: one point, without reasons and CRL issuer."""
    at, end = 0, len(value)
    for tag in _ONE_POINT:
        if at >= end or value[at] != tag:
            return False
        at, closed = read_span(value, at, tag, end)
        if closed != end:
            return False
    uris = []
    while at < end:
        if value[at] != _URI:
            return False
        content, at = read_span(value, at, _URI, end)
        uris.append(value[content:at])
    if not all(uri.isascii() for uri in uris):
        return False
    found.crl_uris = frozenset(uri.decode("ascii") for uri in uris)
    return bool(uris)


def _access(value: bytes, found: Extensions) -> bool:
    """SEQUENCE { SEQUENCE { method, URI } ... }: read for its form only, no judgement needs it."""
    at, end = read_span(value, 0, SEQUENCE, len(value))
    while at < end:
        if value[at] != SEQUENCE:
            return False
        content, at = read_span(value, at, SEQUENCE, end)
        uri = content + _METHOD_SIZE
        if value[content:uri] not in _METHODS or uri >= at or value[uri] != _URI:
            return False
        text, closed = read_span(value, uri, _URI, at)
        if closed != at or not value[text:closed].isascii():
            return False
    return end == len(value)


class _Kind(NamedTuple):
    """An extension that is read by position: its two possible entries, the size of its identifier's DER, and what reads
    its value (False: in no usual form)."""

    plain: Extension
    critical: Extension
    size: int
    read: Callable[[bytes, Extensions], bool]


def _kinds() -> Iterator[tuple[bytes, _Kind]]:
    for identifier, oid, read in (
        ("0603551d25", "2.5.29.37", _extended_usage),
        ("0603551d0e", "2.5.29.14", _subject_key),
        ("0603551d23", "2.5.29.35", _authority_key),
        ("0603551d1f", "2.5.29.31", _crl_points),
        ("06082b06010505070101", "1.3.6.1.5.5.7.1.1", _access),
    ):
        der = bytes.fromhex(identifier)
        yield der, _Kind(Extension(oid, False), Extension(oid, True), len(der), read)


_KINDS = dict(_kinds())
_SHORT, _LONG = 5, 10
_CRITICAL, _OCTETS = bytes.fromhex("0101ff"), bytes([OCTET_STRING])
_SHORT_OCTETS = [bytes([OCTET_STRING, size]) for size in range(0x80)]
_KEY_IDENTIFIER, _URI = 0x80, 0x86
_ONE_POINT = (SEQUENCE, SEQUENCE, 0xA0, 0xA0)
_METHODS = frozenset({bytes.fromhex("06082b06010505073001"), bytes.fromhex("06082b06010505073002")})
_METHOD_SIZE = 10
_EXTENDED_USAGES = {
    bytes.fromhex("300a06082b0601050507030" + last): frozenset({f"1.3.6.1.5.5.7.3.{last}"}) for last in "129"
}


def _each_constraints() -> Iterator[tuple[bytes, bool, int | None]]:
    yield bytes.fromhex("3000"), False, None
    yield bytes.fromhex("30030101ff"), True, None
    for length in range(10):
        yield bytes.fromhex("30060101ff0201") + bytes([length]), True, length


def _each_usage() -> Iterator[tuple[bytes, frozenset[KeyUsageBit]]]:
    """The values of one octet without encipherOnly, which says something beside keyAgreement only."""
    named = tuple(KeyUsageBit)[:7]
    for octet in range(2, 256, 2):
        unused = (octet & -octet).bit_length() - 1
        bits = frozenset(bit for at, bit in enumerate(named) if octet & (0x80 >> at))
        yield bytes((0x03, 0x02, unused, octet)), bits


def _whole() -> Iterator[tuple[bytes, tuple[Extension, BasicConstraints | None, KeyUsage | None]]]:
    """All octets of an extension's content, and what they say."""
    for critical in (False, True):
        mark = _CRITICAL if critical else b""
        basic, usage = Extension("2.5.29.19", critical), Extension("2.5.29.15", critical)
        for value, ca, length in _each_constraints():
            octets = bytes.fromhex("0603551d13") + mark + bytes((OCTET_STRING, len(value))) + value
            yield octets, (basic, BasicConstraints(ca, length, critical), None)
        for value, bits in _each_usage():
            octets = bytes.fromhex("0603551d0f") + mark + bytes((OCTET_STRING, len(value))) + value
            yield octets, (usage, None, KeyUsage(bits, critical))


_WHOLE = dict(_whole())


def _by_library(parsed: x509.Certificate) -> Extensions:
    """The same as `cryptography` reads it, for everything that the tables do not have."""
    extensions = parsed.extensions
    usages = _one(extensions, x509.ExtendedKeyUsage)
    identifier = _one(extensions, x509.SubjectKeyIdentifier)
    points = _one(extensions, x509.CRLDistributionPoints)
    return Extensions(
        present=tuple(Extension(entry.oid.dotted_string, entry.critical) for entry in extensions),
        basic_constraints=_library_constraints(extensions),
        key_usage=_library_usage(extensions),
        extended_key_usage=frozenset(usage.dotted_string for usage in usages[0]) if usages else frozenset(),
        subject_key_identifier=identifier[0].digest if identifier else None,
        authority_key_identifier=_library_authority_key(extensions),
        crl_uris=frozenset(_full_name_uris(points[0])) if points else frozenset(),
    )


def _one(extensions: x509.Extensions, kind: type[E]) -> tuple[E, bool] | None:
    """The extension of one type and whether it is critical; there is at most one."""
    for entry in extensions:
        if isinstance(entry.value, kind):
            return entry.value, entry.critical
    return None


def _full_name_uris(points: Iterable[x509.DistributionPoint]) -> Iterator[str]:
    for point in points:
        for name in point.full_name or ():
            if isinstance(name, x509.UniformResourceIdentifier):
                yield name.value


def _library_constraints(extensions: x509.Extensions) -> BasicConstraints | None:
    found = _one(extensions, x509.BasicConstraints)
    return BasicConstraints(found[0].ca, found[0].path_length, found[1]) if found else None


def _library_usage(extensions: x509.Extensions) -> KeyUsage | None:
    found = _one(extensions, x509.KeyUsage)
    if found is None:
        return None
    usage, critical = found
    flags = {
        KeyUsageBit.DIGITAL_SIGNATURE: usage.digital_signature,
        KeyUsageBit.NON_REPUDIATION: usage.content_commitment,
        KeyUsageBit.KEY_ENCIPHERMENT: usage.key_encipherment,
        KeyUsageBit.DATA_ENCIPHERMENT: usage.data_encipherment,
        KeyUsageBit.KEY_AGREEMENT: usage.key_agreement,
        KeyUsageBit.KEY_CERT_SIGN: usage.key_cert_sign,
        KeyUsageBit.CRL_SIGN: usage.crl_sign,
        # The library answers these two only beside keyAgreement, and raises otherwise.
        KeyUsageBit.ENCIPHER_ONLY: usage.key_agreement and usage.encipher_only,
        KeyUsageBit.DECIPHER_ONLY: usage.key_agreement and usage.decipher_only,
    }
    return KeyUsage(frozenset(bit for bit, given in flags.items() if given), critical)


def _library_authority_key(extensions: x509.Extensions) -> AuthorityKeyIdentifier | None:
    found = _one(extensions, x509.AuthorityKeyIdentifier)
    if found is None:
        return None
    return AuthorityKeyIdentifier(found[0].key_identifier, found[0].authority_cert_serial_number)
