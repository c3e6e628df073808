"""The texts in which a charger names a certificate, read for what they can mean and for nothing else.

The text of OCPP does not fix how a hash is written, and chargers differ: hexadecimal, base64 or base64url, which their
lengths tell apart. A serial number is hexadecimal by the text and decimal in the field; one of decimal digits only has
two readings, and both are given: only who knows the certificates can choose.

Source: OCPP 2.0.1 part 2, OCSPRequestDataType and CertificateHashDataType.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache

from pki.errors import MalformedCertificate
from pki.verify.certificate_id import HashAlgorithm, IssuerID

_ALGORITHMS = {
    "SHA256": HashAlgorithm.SHA256,
    "SHA384": HashAlgorithm.SHA384,
    "SHA512": HashAlgorithm.SHA512,
}
_HEX = re.compile(r"(?:0[xX])?([0-9A-Fa-f]+)", re.ASCII)
_BASE64 = re.compile(r"[0-9A-Za-z+/]+={0,2}", re.ASCII)
_BASE64URL = re.compile(r"[0-9A-Za-z_-]+={0,2}", re.ASCII)
_SERIAL_TEXT = 50
_SERIAL_BITS = 159


@dataclass(frozen=True, slots=True, kw_only=True)
class HashData:
    """One entry of `iso15118CertificateHashData`, as it was received. The responder's URL is left out on purpose: what
    a charger names is not asked."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class CertificateName:
    """What an entry says: the issuer's hashes, and the one or two serial numbers that it can mean."""

    issuer: IssuerID
    serials: frozenset[int]


@lru_cache(maxsize=1024)
def read_hash_data(entry: HashData, index: int) -> CertificateName:
    """The certificate that an entry names; `index` is its place, for the error. What could be read is remembered: the
    sub-CAs are named in every request.

    Raises:
        MalformedCertificate: "malformed-hash-data"; says which field, what was expected and what was found.
    """
    algorithm = _ALGORITHMS.get(entry.hash_algorithm)
    if algorithm is None:
        raise _malformed(index, "hashAlgorithm", entry.hash_algorithm, f"one of {', '.join(_ALGORITHMS)}")
    octets = algorithm.octets
    expected = f"{2 * octets} hexadecimal digits, or base64 or base64url of {octets} octets"
    hashes: list[bytes] = []
    for field, text in (("issuerNameHash", entry.issuer_name_hash), ("issuerKeyHash", entry.issuer_key_hash)):
        found = read_hash(text, octets)
        if found is None:
            raise _malformed(index, field, text, expected)
        hashes.append(found)
    serials = read_serial(entry.serial_number)
    if not serials:
        raise _malformed(index, "serialNumber", entry.serial_number, "a positive number of at most 159 bits")
    return CertificateName(IssuerID(algorithm, hashes[0], hashes[1]), serials)


def read_hash(text: str, octets: int) -> bytes | None:
    """The hash of so many octets that `text` spells in hexadecimal (with or without 0x), base64 or base64url (with or
    without padding); None when it spells none."""
    digits = _HEX.fullmatch(text)
    if digits is not None and len(digits[1]) == 2 * octets:
        return bytes.fromhex(digits[1])
    padded = text + "=" * (-len(text) % 4)
    if len(padded) != (octets + 2) // 3 * 4 or not (_BASE64.fullmatch(text) or _BASE64URL.fullmatch(text)):
        return None
    standard = padded.replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character has bits to spare: only the one spelling with zeros is taken.
    return found if len(found) == octets and base64.b64encode(found).decode() == standard else None


def read_serial(text: str) -> frozenset[int]:
    """The serial numbers that `text` can mean: hexadecimal (0x and leading zeros are borne with), and decimal when it
    has no other digits. Empty: none that a certificate can have."""
    digits = _HEX.fullmatch(text)
    if digits is None or len(text) > _SERIAL_TEXT:
        return frozenset()
    readings = {int(digits[1], 16)}
    if text.isdigit():
        readings.add(int(text))
    return frozenset(serial for serial in readings if 0 < serial.bit_length() <= _SERIAL_BITS)


def _malformed(index: int, field: str, text: str, expected: str) -> MalformedCertificate:
    return MalformedCertificate(
        "malformed-hash-data",
        f"entry {index}: {field} is {text[:80]!a}, expected {expected}",
        clause="OCPP 2.0.1 OCSPRequestDataType",
        index=index,
    )
