"""A number with its noun, instants, and why a file could not be used, as people read them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

_OF_OPENSSL = {
    "PEM_LIB": "it is no PEM, or has no such part",
    "KEY_VALUES_MISMATCH": "key and certificate do not match",
}


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
