"""Passwords of people: bounds, and the salted scrypt hash that is all that is kept of one. Pure but for the salt.

Rules
1. A hash is `scrypt$<log2 n>$<r>$<p>$<salt hex>$<hash hex>`: what it was made with stands in it.
2. Whether a password fits takes as long for a name that nobody has: then it is held against `NOBODY`.

Source: RFC 7914; NIST SP 800-63B 5.1.1 (12 characters, no rules of composition).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import unicodedata

from hub.errors import HubError

LEAST, MOST = 12, 128
"""Characters of a password."""
_LOG_N, _R, _P, _BYTES = 15, 8, 2, 32
_MEMORY = 64 * 1024 * 1024
_HASH = re.compile(r"scrypt\$(1[0-9])\$(8)\$([1-9])\$([0-9a-f]{32})\$([0-9a-f]{64})")


class BadPassword(HubError):
    """Raised when a password is too short or too long, or there is no hash of one; `found` are its characters."""

    def __init__(self, found: int | None) -> None:
        told = "there is none" if found is None else f"this one has {found}"
        super().__init__("bad-password", f"a password has {LEAST} to {MOST} characters; {told}")


def hash_password(password: str) -> str:
    """The hash to keep; takes about a tenth of a second and 32 MiB. Raises BadPassword."""
    if not LEAST <= len(password) <= MOST:
        raise BadPassword(len(password))
    salt = os.urandom(16)
    return f"scrypt${_LOG_N}${_R}${_P}${salt.hex()}${_derived(password, salt, _LOG_N, _R, _P).hex()}"


def require_hash(kept: str | None) -> str:
    """A hash as `hash_password` makes it. Raises BadPassword."""
    if kept is None or _HASH.fullmatch(kept) is None:
        raise BadPassword(None)
    return kept


def fits(password: str, kept: str) -> bool:
    """Whether this is the password that `kept` was made of; False for one longer than any may be."""
    parts = _HASH.fullmatch(kept)
    if parts is None or len(password) > MOST:
        return False
    log_n, r, p = (int(parts[number]) for number in (1, 2, 3))
    return hmac.compare_digest(_derived(password, bytes.fromhex(parts[4]), log_n, r, p), bytes.fromhex(parts[5]))


def _derived(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MEMORY, dklen=_BYTES)


NOBODY = f"scrypt${_LOG_N}${_R}${_P}${'00' * 16}${'00' * 32}"
"""A hash that no password is known for, made with the same costs."""
