"""ECDSA on secp192k1, the one curve of OCMF that `cryptography` does not have.

Rules of this file
1. Verification sees public values only, so nothing has to be hidden; but whoever sends a record chooses them, so the
   cost must not depend on them. Points are added by one formula without exceptions, scalars have 39 digits that are
   never zero: every verification is the same 196 doublings and 93 additions.
2. A public key is a point of the curve, which has no other subgroup (cofactor 1); r and s lie in 1..n-1.
3. Signing leaks its key to whoever can time it: it is here for tests and simulated meters only.

Why not a library: docs/decisions/0010-secp192k1.md.
Source: SEC 2 2.2.1 (the curve), FIPS 186-5 6.4 (ECDSA), RFC 6979 3.2 (nonces), Renes, Costello, Batina: "Complete
addition formulas for prime order elliptic curves" (2015), algorithms 7 and 9.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

PRIME = 2**192 - 2**32 - 4553
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFE26F2FC170F69466A74DEFD8D
COORDINATE_BYTES = 24

_B3 = 9
"""Three times the b of y^2 = x^3 + b."""

_WINDOW = 5
_DIGITS = 39
"""Signed digits of five bits for 193 bits: a scalar below n, made odd by adding n."""

Point = tuple[int, int, int]
"""X, Y, Z of the point (X/Z, Y/Z); Z is 0 for the point at infinity."""

_INFINITY: Point = (0, 1, 0)
_GENERATOR: Point = (
    0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D,
    0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D,
    1,
)


def _add(first: Point, second: Point) -> Point:
    """The sum of any two points (algorithm 7)."""
    x1, y1, z1 = first
    x2, y2, z2 = second
    xx, yy, zz = x1 * x2, y1 * y2, z1 * z2
    xy = ((x1 + y1) * (x2 + y2) - xx - yy) % PRIME
    yz = ((y1 + z1) * (y2 + z2) - yy - zz) % PRIME
    xz = _B3 * ((x1 + z1) * (x2 + z2) - xx - zz) % PRIME
    xx, zz = 3 * xx % PRIME, _B3 * zz
    plus, minus = (yy + zz) % PRIME, (yy - zz) % PRIME
    return (xy * minus - yz * xz) % PRIME, (minus * plus + xz * xx) % PRIME, (plus * yz + xx * xy) % PRIME


def _double(point: Point) -> Point:
    """Twice any point (algorithm 9)."""
    x, y, z = point
    yy, zz = y * y % PRIME, _B3 * z * z % PRIME
    eight = 8 * yy
    minus = yy - 3 * zz
    return 2 * minus * x * y % PRIME, (eight * zz + minus * (yy + zz)) % PRIME, eight * y * z % PRIME


def _odd_multiples(point: Point) -> tuple[Point, ...]:
    """1, 3, 5 .. 31 times the point, then -31 .. -3, -1 times: the multiple d stands at index d >> 1."""
    twice, found = _double(point), [point]
    for _ in range(2 ** (_WINDOW - 1) - 1):
        found.append(_add(found[-1], twice))
    return (*found, *((x, PRIME - y, z) for x, y, z in reversed(found)))


def _digits(scalar: int) -> list[int]:
    """39 odd digits between -31 and 31, the lowest first, of a scalar in 0..n-1 or of that plus n."""
    rest = scalar if scalar & 1 else scalar + ORDER
    digits = []
    for _ in range(_DIGITS - 1):
        digit = (rest & 63) - 32
        digits.append(digit)
        rest = (rest - digit) >> _WINDOW
    return [*digits, rest]


def _sum(terms: Iterable[tuple[int, tuple[Point, ...]]]) -> Point:
    """The sum of scalar times point, for scalars in 0..n-1 and the odd multiples of each point."""
    rows = [(_digits(scalar), multiples) for scalar, multiples in terms]
    total = _INFINITY
    for place in reversed(range(_DIGITS)):
        for _ in range(_WINDOW):
            total = _double(total)
        for digits, multiples in rows:
            total = _add(total, multiples[digits[place] >> 1])
    return total


_OF_GENERATOR = _odd_multiples(_GENERATOR)


def _x(point: Point) -> int | None:
    return point[0] * pow(point[2], -1, PRIME) % PRIME if point[2] else None


@dataclass(frozen=True, slots=True)
class Secp192k1PublicKey:
    """A public key: a point (x, y) of the curve."""

    x: int
    y: int

    def __post_init__(self) -> None:
        if not (0 <= self.x < PRIME and 0 <= self.y < PRIME and (self.y**2 - self.x**3 - 3) % PRIME == 0):
            raise ValueError("the point is not on secp192k1")

    @classmethod
    def from_encoded_point(cls, data: bytes) -> Secp192k1PublicKey:
        """The key of 04||X||Y, or of 02||X or 03||X.

        Raises:
            ValueError: another length or first octet, or no point of the curve.

        Source: SEC 1 2.3.4.
        """
        if len(data) == 2 * COORDINATE_BYTES + 1 and data[0] == 4:
            return cls(int.from_bytes(data[1:25]), int.from_bytes(data[25:]))
        if len(data) == COORDINATE_BYTES + 1 and data[0] in (2, 3):
            x = int.from_bytes(data[1:])
            y = pow(x**3 + 3, (PRIME + 1) // 4, PRIME)  # A root, if there is one, for p is 3 modulo 4.
            return cls(x, y if y & 1 == data[0] & 1 else PRIME - y)
        raise ValueError(f"{len(data)} bytes that are no point of secp192k1")

    def encoded_point(self) -> bytes:
        """04||X||Y."""
        return b"\x04" + self.x.to_bytes(COORDINATE_BYTES) + self.y.to_bytes(COORDINATE_BYTES)

    def verify(self, signature: bytes, data: bytes, hash_name: str) -> None:
        """Return if the signature, strict DER, was made by this key over `data`; about 0.7 ms, whatever is
        given. `hash_name` is one of hashlib's.

        Raises:
            InvalidSignature: it was not.

        Source: FIPS 186-5 6.4.2.
        """
        try:
            r, s = decode_dss_signature(signature)
        except ValueError as error:
            raise InvalidSignature from error
        if not (0 < r < ORDER and 0 < s < ORDER):
            raise InvalidSignature
        w = pow(s, -1, ORDER)
        digest = _digest(data, hash_name)
        own = _odd_multiples((self.x, self.y, 1))
        x = _x(_sum(((digest * w % ORDER, _OF_GENERATOR), (r * w % ORDER, own))))
        if x is None or x % ORDER != r:
            raise InvalidSignature


@dataclass(frozen=True, slots=True)
class Secp192k1PrivateKey:
    """A private key of a simulated meter: a number in 1..n-1."""

    secret: int

    def __post_init__(self) -> None:
        if not 0 < self.secret < ORDER:
            raise ValueError("a private key lies in 1..n-1")

    def __repr__(self) -> str:
        return "Secp192k1PrivateKey()"

    def public_key(self) -> Secp192k1PublicKey:
        """The key that verifies."""
        x, y, z = _sum(((self.secret, _OF_GENERATOR),))
        inverse = pow(z, -1, PRIME)
        return Secp192k1PublicKey(x * inverse % PRIME, y * inverse % PRIME)

    def sign(self, data: bytes, hash_name: str) -> bytes:
        """The signature in DER, the same each time.

        Source: FIPS 186-5 6.4.1, RFC 6979 3.2.
        """
        digest = _digest(data, hash_name)
        nonces = _nonces(self.secret, digest, hash_name)
        while True:
            nonce = next(nonces)
            x = _x(_sum(((nonce, _OF_GENERATOR),)))
            r = 0 if x is None else x % ORDER
            s = pow(nonce, -1, ORDER) * (digest + r * self.secret) % ORDER
            if r and s:
                return encode_dss_signature(r, s)


def _digest(data: bytes, hash_name: str) -> int:
    """The leftmost 192 bits of the hash, as a number."""
    return int.from_bytes(hashlib.new(hash_name, data).digest()[:COORDINATE_BYTES])


def _nonces(secret: int, digest: int, hash_name: str) -> Iterator[int]:
    """Numbers in 1..n-1, the same for the same arguments (RFC 6979 3.2)."""

    def keyed(key: bytes, *parts: bytes) -> bytes:
        return hmac.digest(key, b"".join(parts), hash_name)

    size = hashlib.new(hash_name).digest_size
    key, state = bytes(size), b"\x01" * size
    seed = secret.to_bytes(COORDINATE_BYTES) + (digest % ORDER).to_bytes(COORDINATE_BYTES)
    for mark in (b"\0", b"\x01"):
        key = keyed(key, state, mark, seed)
        state = keyed(key, state)
    while True:
        state = keyed(key, state)
        nonce = int.from_bytes(state[:COORDINATE_BYTES])
        if 0 < nonce < ORDER:
            yield nonce
        key = keyed(key, state, b"\0")
        state = keyed(key, state)
