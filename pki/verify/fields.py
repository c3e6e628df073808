"""The fields that a revocation list and an OCSP answer have in common: instants, integers, extensions, a signature.

What is read here is DER in its one form; anything else is `MalformedDER`. The bytes are bounded by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from pki import der as outline
from pki.certificate import Certificate, signature_kind, verify_signature

OCTET_STRING, OBJECT_IDENTIFIER, ENUMERATED = 0x04, 0x06, 0x0A

_TRUE = b"\x01\x01\xff"
_OID_OCTETS = 32


class ExtensionField(NamedTuple):
    """One extension as it stands: the octets inside its OCTET STRING are not read yet."""

    critical: bool
    content: bytes


def content_of(data: bytes, element: outline.Element) -> bytes:
    """The element's content, without its header."""
    return data[element.content : element.end]


def only_child(data: bytes, parent: outline.Element, tag: int) -> outline.Element:
    """The one element inside `parent`, which must have this tag.

    Raises:
        MalformedDER: none, several, or another tag.
    """
    children = outline.read_children(data, parent)
    if [child.tag for child in children] != [tag]:
        raise outline.MalformedDER(f"expected one element with tag {tag:#04x} at byte {parent.content}")
    return children[0]


def whole(data: bytes, tag: int) -> outline.Element:
    """The element that fills `data` exactly.

    Raises:
        MalformedDER: another tag, or octets behind it.
    """
    found = outline.read_element(data, 0, len(data))
    if found.tag != tag or found.end != len(data):
        raise outline.MalformedDER(f"expected one element with tag {tag:#04x} and nothing behind it")
    return found


def read_integer(data: bytes, element: outline.Element, octets: int = 20) -> int:
    """A non-negative INTEGER (or ENUMERATED) of at most so many octets, in its shortest form.

    Raises:
        MalformedDER: negative, too long, padded or empty.
    """
    content = content_of(data, element)
    padded = len(content) > 1 and content[0] == 0 and content[1] < 0x80
    if not 1 <= len(content) <= octets or content[0] >= 0x80 or padded:
        raise outline.MalformedDER(f"integer at byte {element.start} is negative, padded or over {octets} octets")
    return int.from_bytes(content, "big")


def read_instant(data: bytes, element: outline.Element) -> datetime:
    """The instant of a UTCTime `YYMMDDhhmmssZ` (1950 to 2049) or GeneralizedTime `YYYYMMDDhhmmssZ`.

    Raises:
        MalformedDER: another type or form, or no such instant.

    Source: RFC 5280 4.1.2.5.
    """
    text = content_of(data, element)
    if element.tag == outline.UTC_TIME and len(text) == 13:
        text = (b"19" if text >= b"5" else b"20") + text
    elif element.tag != outline.GENERALIZED_TIME or len(text) != 15:
        raise outline.MalformedDER(f"time at byte {element.start} is not in its one DER form")
    if text[14:] != b"Z" or not text[:14].isdigit():
        raise outline.MalformedDER(f"time at byte {element.start} is not in its one DER form")
    year, *parts = (int(text[at : at + size]) for at, size in ((0, 4), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2)))
    month, day, hour, minute, second = parts
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise outline.MalformedDER(f"time at byte {element.start}: {error}") from error


def read_extensions(data: bytes, sequence: outline.Element) -> dict[str, ExtensionField]:
    """The extensions in a SEQUENCE OF Extension by dotted object identifier; not empty, each once.

    Raises:
        MalformedDER: another form, or an extension that appears twice.

    Source: RFC 5280 4.2.
    """
    found: dict[str, ExtensionField] = {}
    for entry in outline.read_children(data, sequence):
        parts = outline.read_children(data, entry)
        critical = len(parts) == 3 and outline.slice_of(data, parts[1]) == _TRUE
        tags = [part.tag for part in (parts[::2] if critical else parts)]
        if entry.tag != outline.SEQUENCE or tags != [OBJECT_IDENTIFIER, OCTET_STRING]:
            raise outline.MalformedDER(f"extension at byte {entry.start} is not in its one DER form")
        oid = read_oid(data, parts[0])
        if oid in found:
            raise outline.MalformedDER(f"extension {oid} appears twice")
        found[oid] = ExtensionField(critical, content_of(data, parts[-1]))
    if not found or sequence.tag != outline.SEQUENCE:
        raise outline.MalformedDER(f"no extensions at byte {sequence.start}, where some were announced")
    return found


def read_oid(data: bytes, element: outline.Element) -> str:
    """The dotted text of an OBJECT IDENTIFIER of at most 32 octets.

    Raises:
        MalformedDER: another tag, empty, too long, an arc that is cut off or padded.
    """
    content = content_of(data, element)
    if element.tag != OBJECT_IDENTIFIER or not 1 <= len(content) <= _OID_OCTETS or content[-1] & 0x80:
        raise outline.MalformedDER(f"object identifier at byte {element.start} is empty, cut off or too long")
    arcs: list[int] = []
    value, begun = 0, False
    for octet in content:
        if octet == 0x80 and not begun:
            raise outline.MalformedDER(f"object identifier at byte {element.start} has a padded arc")
        value, begun = value << 7 | octet & 0x7F, bool(octet & 0x80)
        if not begun:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


SignatureCheck = Callable[[Certificate, bytes, bytes, bytes], bool]
"""Whether a signer's key made a signature: signer, DER of the AlgorithmIdentifier, signed octets, signature."""


def pinned_signature(signer: Certificate, algorithm: bytes, signed: bytes, signature: bytes) -> bool:
    """The check that every profile asks for: the one algorithm that goes with the signer's key (V2G2-006)."""
    return verify_signature(signer, signature_kind(algorithm), signed, signature)
