"""Charger passwords: how they are kept, made and checked.

OCPP passwords are made by machines and have at least 128 bits, so a salted SHA-256 is enough and a slow hash would only
help whoever floods the port with bad logins. An unknown identity costs the same time as a wrong password.

Source: OCPP 2.0.1 Part 2 A00.FR.204-205, A01.FR.08; OCPP-J 1.6 6.2 (a 1.6 password is raw bytes, configured as hex).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

_SCHEME = "sha256"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A salted hash, written `sha256$<salt hex>$<hash hex>`."""

    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """The hash that `text` writes. Raises ValueError saying what is wrong."""
        parts = text.split("$")
        if len(parts) != 3 or parts[0] != _SCHEME:
            raise ValueError("must be sha256$<salt>$<hash>")
        try:
            salt, digest = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
        except ValueError as error:
            raise ValueError("holds something that is not hex") from error
        if len(salt) < 8 or len(digest) != hashlib.sha256().digest_size:
            raise ValueError("needs a salt of at least 8 bytes and a hash of 32")
        return cls(salt, digest)

    @classmethod
    def of(cls, password: bytes, salt: bytes) -> PasswordHash:
        """The hash of `password` with `salt`."""
        return cls(salt, hashlib.sha256(salt + password).digest())

    def __str__(self) -> str:
        """As it is written in the configuration."""
        return f"{_SCHEME}${self.salt.hex()}${self.digest.hex()}"

    def matches(self, password: bytes) -> bool:
        """Whether this is the password: as sent, or, as 1.6 stations do, the bytes whose hex text was configured."""
        given = hmac.compare_digest(hashlib.sha256(self.salt + password).digest(), self.digest)
        as_hex = password.hex().encode()
        lower = hmac.compare_digest(hashlib.sha256(self.salt + as_hex).digest(), self.digest)
        upper = hmac.compare_digest(hashlib.sha256(self.salt + as_hex.upper()).digest(), self.digest)
        return given or lower or upper


_NOBODY = PasswordHash.of(b"", b"\0" * 16)
"""Compared with where there is no password, so that this takes as long."""


def proven_hash(header: str | None, charger_id: str, good: Sequence[PasswordHash]) -> PasswordHash | None:
    """The one of the `good` hashes by which an Authorization header proves that the peer is `charger_id`: user equal to
    the id, password matching. None: it proves nothing."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    matching = [held for held in good or (_NOBODY,) if held.matches(password)]
    same = hmac.compare_digest(user.lower(), charger_id.encode().lower())
    return matching[0] if good and matching and same and colon else None
