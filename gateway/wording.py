"""A number with its noun, instants, and what is wrong with a file or a value, as people read them."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime

from wire.errors import MalformedValue

_OF_OPENSSL = {
    "PEM_LIB": "it is no PEM, or has no such part",
    "KEY_VALUES_MISMATCH": "key and certificate do not match",
}

_WORDS = (
    (re.compile(r"Expected `str` of length <= (\d+)"), r"at most \1 characters"),
    (re.compile(r"Expected `str` of length >= 1"), "must not be empty"),
    (re.compile(r"Expected `array` of length >= 1"), "give at least one"),
    (re.compile(r"Expected `(?:int|float|decimal)` (?:<=) (\S+)"), r"at most \1"),
    (re.compile(r"Expected `(?:int|float|decimal)` (?:>=) (\S+)"), r"at least \1"),
)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 time`, `2 times`; `many` where an s is not enough."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def instant(at: datetime) -> str:
    """`2026-11-29 09:24:48 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def reason(error: Exception) -> str:
    """Why a file could not be read or used, without the words of a library."""
    if isinstance(error, ssl.SSLError):
        told = error.reason or "it cannot be used"
        return _OF_OPENSSL.get(told, told.replace("_", " ").lower())
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()} from byte {error.start} on"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


def plain_mistake(error: MalformedValue) -> str:
    """What is wrong with a value, without where it stands."""
    said = str(error).removeprefix(f"{error.what}: ").removesuffix(f" (at {error.where})")
    for pattern, words in _WORDS:
        said = pattern.sub(words, said)
    return said
