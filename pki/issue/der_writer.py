"""DER, written element by element: for lists and answers, which must be made fast, and for test vectors, which hold
what no honest library writes.

Source: ITU-T X.690; RFC 5280 4.1 for names, times and algorithms.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

UTF8_STRING, PRINTABLE_STRING, IA5_STRING = 0x0C, 0x13, 0x16
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_UTC_ENDS = 2050

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"


def tlv(tag: int, *contents: bytes) -> bytes:
    """One element: its tag, its length in the shortest form, its contents joined."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*elements: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(0x30, *elements)


def set_of(*elements: bytes) -> bytes:
    """SET, in the order given."""
    return tlv(0x31, *elements)


def integer(value: int) -> bytes:
    """INTEGER, of any sign."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def enumerated(value: int) -> bytes:
    """ENUMERATED, below 128."""
    return tlv(0x0A, bytes((value,)))


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """BIT STRING whose last octet leaves `unused` bits free."""
    return tlv(0x03, bytes((unused,)), content)


def named_bits(numbers: Iterable[int]) -> bytes:
    """BIT STRING with these bits set, trailing zeros left out."""
    wanted = sorted(numbers)
    if not wanted:
        return bit_string(b"")
    octets = bytearray(wanted[-1] // 8 + 1)
    for number in wanted:
        octets[number // 8] |= 0x80 >> number % 8
    return bit_string(bytes(octets), 7 - wanted[-1] % 8)


def object_identifier(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tlv(0x06, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def explicit(number: int, element: bytes) -> bytes:
    """An element inside a context tag; also an implicit constructed one, given its content."""
    return tlv(0xA0 | number, element)


def implicit(number: int, content: bytes) -> bytes:
    """A primitive element under a context tag."""
    return tlv(0x80 | number, content)


def instant(at: datetime, *, generalized: bool = False) -> bytes:
    """A validity time: UTCTime before 2050 unless told, GeneralizedTime otherwise; whole seconds."""
    year, month, day, hour, minute, second, *_ = at.utctimetuple()
    rest = f"{month:02}{day:02}{hour:02}{minute:02}{second:02}Z"
    if generalized or year >= _UTC_ENDS:
        return tlv(_GENERALIZED_TIME, f"{year:04}{rest}".encode())
    return tlv(_UTC_TIME, f"{year % 100:02}{rest}".encode())


def _base128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))
