"""What the extensions of a certificate say, read once.

Rules of this file
1. The extensions of the profiles, in the forms that certificates really have, are read here: such a form is constant
   but for an identifier or a URI at its end, so it is looked up.
2. At anything else, be it rare or wrong, `cryptography` reads all extensions of that certificate. So what is read here
   is a subset of what `cryptography` reads, with the same meaning; a law of the tests holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

import msgspec
from cryptography import x509

from pki.der import OCTET_STRING, SEQUENCE

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


class AuthorityKeyIdentifier(msgspec.Struct, frozen=True, gc=False):
    """The issuer as its key identifier and, rarely, as the name of its own issuer (DER; empty for a name of another
    form, which no issuer has) and its serial."""

    key_identifier: bytes | None
    serial: int | None
    issuer_der: bytes | None = None


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
    """What the extensions in `der[start:limit]`, [3] and all, say; `parsed` is the same certificate, whose grammar is
    sound therefore: here the lengths only tell where to go on. 2 to 4 us.

    Raises:
        MalformedDER, x509.DuplicateExtension and what else `cryptography` raises for values that it cannot read.

    Source: RFC 5280 4.2.
    """
    at = start + 2 + (der[start + 1] & 0x7F if der[start + 1] > 0x7F else 0)
    at += 2 + (der[at + 1] & 0x7F if der[at + 1] > 0x7F else 0)
    found = Extensions()
    present: dict[str, Extension] = {}
    while at < limit:
        begin = at + 2
        at = begin + der[at + 1]  # A longer length is no octet that an extension begins with: that is found below.
        whole = der[begin:at]
        constant = _WHOLE.get(whole)
        if constant is None:
            extension = _read_one(whole, found)
        else:
            extension, constraints, usage, purposes = constant
            if constraints is not None:
                found.basic_constraints = constraints
            elif usage is not None:
                found.key_usage = usage
            else:
                found.extended_key_usage = purposes
        if extension is None or extension[0] in present:
            return _by_library(parsed)
        present[extension[0]] = extension
    found.present = tuple(present.values())
    return found if at == limit else _by_library(parsed)


def _read_one(whole: bytes, found: Extensions) -> Extension | None:
    """One extension by the octets of its content; None: another one, or in no usual form."""
    octets = _IDENTIFIERS.get(len(whole))
    if octets is not None:
        before = _BEFORE_IDENTIFIER.get(whole[:-octets])
        if before is not None:
            extension, of_subject = before
            if of_subject:
                found.subject_key_identifier = whole[-octets:]
            else:
                found.authority_key_identifier = AuthorityKeyIdentifier(whole[-octets:], None)
            return extension
    if whole.startswith(_ACCESS):
        return _read_access(whole)
    return _read_point(whole, found)


def _read_point(whole: bytes, found: Extensions) -> Extension | None:
    """CRL distribution points: one point, one URI."""
    known = _BEFORE_URI.get(whole[:_BEFORE_URI_SIZE]) or _BEFORE_URI.get(whole[: _BEFORE_URI_SIZE + len(_CRITICAL)])
    if known is None:
        return None
    extension, octets, size = known
    uri = whole[-octets:]
    if len(whole) != size or not uri.isascii():
        return None
    found.crl_uris = frozenset((uri.decode("ascii"),))
    return extension


def _read_access(whole: bytes) -> Extension | None:
    """Authority information access: SEQUENCE { SEQUENCE { method, URI } ... }, read for its form only."""
    at, end = _BEFORE_ACCESS_SIZE, len(whole)
    known = _BEFORE_ACCESS.get(whole[:at])
    if known is None:
        at += len(_CRITICAL)
        known = _BEFORE_ACCESS.get(whole[:at])
    if known is None or known[1] != end:
        return None
    while at < end:
        text = at + _METHOD_SIZE
        at = text + _METHODS.get(whole[at:text], end)
        if not whole[text:at].isascii():
            return None
    return known[0] if at == end else None


# --- the tables: an extension of a usual form is constant but for an identifier or a URI at its end ------------------

_CRITICAL = bytes.fromhex("0101ff")
_PRINTED = range(1, 100)
"""Octets of a URI for which all lengths around it are of one octet."""


def _octets(value: bytes) -> bytes:
    return bytes((OCTET_STRING, len(value))) + value


_Constant = tuple[Extension | None, BasicConstraints | None, KeyUsage | None, frozenset[str]]
"""An extension that has few values, and its value in the place of its type."""


def _whole() -> Iterator[tuple[bytes, _Constant]]:
    """Basic constraints, key usage, and a single extended key usage: server, client, OCSP signing."""
    for critical in (False, True):
        mark = _CRITICAL if critical else b""
        extension = Extension("2.5.29.19", critical)
        for value, ca, length in _each_constraints():
            constraints = BasicConstraints(ca, length, critical)
            yield bytes.fromhex("0603551d13") + mark + _octets(value), (extension, constraints, None, frozenset())
        extension = Extension("2.5.29.15", critical)
        for value, bits in _each_usage():
            usage = KeyUsage(bits, critical)
            yield bytes.fromhex("0603551d0f") + mark + _octets(value), (extension, None, usage, frozenset())
        extension = Extension("2.5.29.37", critical)
        for last in (1, 2, 9):
            value = bytes.fromhex("300a06082b060105050703") + bytes((last,))
            purposes = frozenset({f"1.3.6.1.5.5.7.3.{last}"})
            yield bytes.fromhex("0603551d25") + mark + _octets(value), (extension, None, None, purposes)


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


_WHOLE = dict(_whole())


def _before_identifier() -> Iterator[tuple[bytes, int, tuple[Extension, bool]]]:
    """What stands before a key identifier of 20 octets (SHA-1) or 8 (ISO 15118-20), and the size of it all."""
    for size in (20, 8):
        for critical in (False, True):
            mark = _CRITICAL if critical else b""
            before = bytes((OCTET_STRING, size + 2, OCTET_STRING, size))
            before = bytes.fromhex("0603551d0e") + mark + before
            yield before, size, (Extension("2.5.29.14", critical), True)
            before = bytes((OCTET_STRING, size + 4, SEQUENCE, size + 2, 0x80, size))
            before = bytes.fromhex("0603551d23") + mark + before
            yield before, size, (Extension("2.5.29.35", critical), False)


_BEFORE_IDENTIFIER = {before: said for before, _, said in _before_identifier()}
_IDENTIFIERS = {len(before) + size: size for before, size, _ in _before_identifier()}


def _before_uri() -> Iterator[tuple[bytes, tuple[Extension, int, int]]]:
    """What stands before the only URI of one distribution point, without reasons and CRL issuer; the octets of the URI
    and the size of it all."""
    for critical in (False, True):
        mark = _CRITICAL if critical else b""
        for size in _PRINTED:
            nested = bytes((SEQUENCE, size + 8, SEQUENCE, size + 6, 0xA0, size + 4, 0xA0, size + 2, 0x86, size))
            before = bytes.fromhex("0603551d1f") + mark + bytes((OCTET_STRING, size + 10)) + nested
            yield before, (Extension("2.5.29.31", critical), size, len(before) + size)


_BEFORE_URI = dict(_before_uri())
_BEFORE_URI_SIZE = 17
_ACCESS, _BEFORE_ACCESS_SIZE = bytes.fromhex("06082b06010505070101"), 14


def _before_access() -> Iterator[tuple[bytes, tuple[Extension, int]]]:
    """What stands before the descriptions of an authority information access, and the size of it all."""
    for critical in (False, True):
        mark = _CRITICAL if critical else b""
        for size in range(0x7E):
            before = _ACCESS + mark + bytes((OCTET_STRING, size + 2, SEQUENCE, size))
            yield before, (Extension("1.3.6.1.5.5.7.1.1", critical), len(before) + size)


_BEFORE_ACCESS = dict(_before_access())
_METHODS = {
    bytes((SEQUENCE, size + 12)) + bytes.fromhex("06082b060105050730") + method + bytes((0x86, size)): size
    for method in (b"\x01", b"\x02")
    for size in _PRINTED
}
"""What stands before the URI of an OCSP responder or of the issuer's certificate, and the octets of that URI."""
_METHOD_SIZE = 14


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
    named = found[0].authority_cert_issuer
    issuer_der: bytes | None = None
    if named is not None:
        only = named[0] if len(named) == 1 else None
        issuer_der = only.value.public_bytes() if isinstance(only, x509.DirectoryName) else b""
    return AuthorityKeyIdentifier(found[0].key_identifier, found[0].authority_cert_serial_number, issuer_der)
