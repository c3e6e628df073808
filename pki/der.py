"""The outline of DER: where each element begins and ends, in the exact bytes that were signed.

Only what a certificate and a CRL need: single-byte tags, definite lengths in their shortest form, no recursion. The
meaning of what is found is left to the real parser; this file exists because names, keys and the signed part must be
compared as bytes, and a parser that re-encodes them hides differences.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

INTEGER, BIT_STRING, OCTET_STRING, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x30, 0x31
OBJECT_IDENTIFIER, UTC_TIME, GENERALIZED_TIME = 0x06, 0x17, 0x18

_TWO_HEADERS = Struct(">HHHH").unpack_from
_LONG_SEQUENCE = 0x3082
"""A SEQUENCE whose length takes two octets more."""


class MalformedDER(ValueError):
    """Raised when bytes are not DER; says at which offset."""


class Element(NamedTuple):
    """One element: its tag and the offsets where it starts, where its content starts, and where it ends."""

    tag: int
    start: int
    content: int
    end: int


def read_element(data: bytes, start: int, limit: int) -> Element:
    """The element that starts at `start` and must end at or before `limit`.

    Raises:
        MalformedDER: truncated, a multi-byte tag, an indefinite or overlong length.
    """
    if start + 2 > limit:
        raise MalformedDER(f"element at byte {start} is cut off")
    tag, length, content = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise MalformedDER(f"multi-byte tag at byte {start}")
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4 or content + octets > limit:
            raise MalformedDER(f"length at byte {start + 1} is indefinite, too long or cut off")
        length = int.from_bytes(data[content : content + octets], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            raise MalformedDER(f"length at byte {start + 1} is not in its shortest form")
        content += octets
    if content + length > limit:
        raise MalformedDER(f"element at byte {start} is cut off")
    return Element(tag, start, content, content + length)


def read_span(data: bytes, start: int, tag: int, limit: int) -> tuple[int, int]:
    """Where the content of the element at `start` begins and ends; its tag must be `tag`. As strict as `read_element`,
    and a third of its cost: for the hot path, where every element's tag is known beforehand.

    Raises:
        MalformedDER: another tag, truncated, an indefinite or overlong length.
    """
    content = start + 2
    if content > limit or data[start] != tag:
        raise MalformedDER(f"no element with tag {tag:#04x} at byte {start}")
    length = data[start + 1]
    if length >= 0x80:
        if content + 2 > limit:
            raise MalformedDER(f"length at byte {start + 1} is cut off")
        if length == 0x81 and data[content] >= 0x80:
            length = data[content]
            content += 1
        elif length == 0x82 and data[content] != 0:
            length = data[content] << 8 | data[content + 1]
            content += 2
        else:
            return read_element(data, start, limit)[2:]
    end = content + length
    if end > limit:
        raise MalformedDER(f"element at byte {start} is cut off")
    return content, end


def read_signed_spans(data: bytes) -> tuple[int, int, int, int]:
    """Where the content of the SEQUENCE that `data` begins with begins and ends, and that of the SEQUENCE at its head:
    what is signed. As strict as `read_span` for both, in one call.

    Raises:
        MalformedDER: another tag, truncated, an indefinite or overlong length.
    """
    if len(data) >= 8:
        outer, size, inner, octets = _TWO_HEADERS(data)
        if outer == inner == _LONG_SEQUENCE and 0xFF < octets <= size - 4 <= len(data) - 8:
            return 4, 4 + size, 8, 8 + octets
    start, end = read_span(data, 0, SEQUENCE, len(data))
    return start, end, *read_span(data, start, SEQUENCE, end)


def read_row(data: bytes, start: int, tags: bytes, limit: int) -> list[int]:
    """Where each of the elements ends that stand in a row from `start`, one for each of `tags`. As strict as
    `read_span` for each of them, in one call.

    Raises:
        MalformedDER: another tag, truncated, an indefinite or overlong length.
    """
    ends: list[int] = []
    try:
        for tag in tags:
            size = data[start + 1]
            if size < 0x80 and data[start] == tag:
                start += 2 + size
            else:
                _, start = read_span(data, start, tag, limit)
            ends.append(start)
    except IndexError:
        start = len(data) + 1
    if start > limit:
        raise MalformedDER(f"elements that end after byte {limit} are cut off")
    return ends


def read_children(data: bytes, parent: Element) -> list[Element]:
    """The elements inside a constructed element; they fill it exactly."""
    found: list[Element] = []
    at = parent.content
    while at < parent.end:
        found.append(read_element(data, at, parent.end))
        at = found[-1].end
    return found


def read_signed(data: bytes) -> tuple[Element, list[Element], bytes, bytes]:
    """The outline of SIGNED{...}: the signed element, its children, the outer algorithm's DER, the signature octets.

    Raises:
        MalformedDER: not SEQUENCE{SEQUENCE, SEQUENCE, BIT STRING without unused bits} over exactly all bytes.
    """
    outer = read_element(data, 0, len(data))
    if outer.tag != SEQUENCE or outer.end != len(data):
        raise MalformedDER("not one SEQUENCE over all bytes")
    parts = read_children(data, outer)
    if [part.tag for part in parts] != [SEQUENCE, SEQUENCE, BIT_STRING]:
        raise MalformedDER("not a signed structure: expected content, algorithm and signature")
    body, algorithm, signature = parts
    if signature.end - signature.content < 2 or data[signature.content] != 0:
        raise MalformedDER("signature is empty or has unused bits")
    return body, read_children(data, body), slice_of(data, algorithm), data[signature.content + 1 : signature.end]


def slice_of(data: bytes, element: Element) -> bytes:
    """The element's own bytes, header included."""
    return data[element.start : element.end]
