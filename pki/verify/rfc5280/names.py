"""Distinguished names as values that can be compared: the matching of RFC 5280 7.1.

Two names are equal when their RDNs are equal in order; two RDNs are equal as sets of attributes. Text compares without
regard to case, string type, compatibility form (NFKC) and the amount of white space; what is no text compares as bytes.
This is the string preparation of RFC 4518 without its tables of characters that are mapped to nothing: two names that
differ in those only are taken for different names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from cryptography import x509

Name = tuple[frozenset[tuple[str, str | bytes]], ...]
"""A name in the form in which `==` is the matching rule; a prefix of it is a name above it."""


def comparable(name: x509.Name) -> Name:
    """The name, ready to be compared."""
    return tuple(rdn(part) for part in name.rdns)


def rdn(part: Iterable[x509.NameAttribute[str | bytes]]) -> frozenset[tuple[str, str | bytes]]:
    """One relative distinguished name, ready to be compared."""
    return frozenset((entry.oid.dotted_string, _folded(entry.value)) for entry in part)


def is_within(name: Name, base: Name) -> bool:
    """Whether `name` lies in the subtree under `base` (`base` itself included)."""
    return name[: len(base)] == base


def _folded(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    return " ".join(text.split())
