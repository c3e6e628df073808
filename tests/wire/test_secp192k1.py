"""ECDSA on secp192k1: against a plain second implementation, at the edges of its numbers, and in its cost."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings, strategies as st

from wire.meter.secp192k1 import ORDER, PRIME, Secp192k1PrivateKey, Secp192k1PublicKey

GENERATOR = (
    0xDB4FF10EC057E9AE26B07D0280B7F4341DA5D1B1EAE06C7D,
    0x9B2F2F6D9C5628A7844163D015BE86344082AA88D95E2F9D,
)
KEY = Secp192k1PrivateKey(0xC0FFEE)
PUBLIC = KEY.public_key()
DATA = b"what the meter said"
SIGNATURE = KEY.sign(DATA, "sha256")
R, S = decode_dss_signature(SIGNATURE)

Affine = tuple[int, int] | None


def plain_add(first: Affine, second: Affine) -> Affine:
    """The school-book sum of two points of y^2 = x^3 + 3; None is the point at infinity."""
    if first is None or second is None:
        return first or second
    (x1, y1), (x2, y2) = first, second
    if x1 == x2 and (y1 + y2) % PRIME == 0:
        return None
    slope = 3 * x1 * x1 * pow(2 * y1, -1, PRIME) if first == second else (y2 - y1) * pow(x2 - x1, -1, PRIME)
    x = (slope * slope - x1 - x2) % PRIME
    return x, (slope * (x1 - x) - y1) % PRIME


def plain_times(scalar: int, point: Affine) -> Affine:
    total: Affine = None
    for bit in bin(scalar)[2:]:
        total = plain_add(total, total)
        if bit == "1":
            total = plain_add(total, point)
    return total


def holds(public: Secp192k1PublicKey, signature: bytes, data: bytes = DATA, hash_name: str = "sha256") -> bool:
    try:
        public.verify(signature, data, hash_name)
    except InvalidSignature:
        return False
    return True


def test_the_curve_is_the_one_of_sec_2() -> None:
    assert Secp192k1PrivateKey(1).public_key() == Secp192k1PublicKey(*GENERATOR)
    assert plain_times(ORDER, GENERATOR) is None
    assert Secp192k1PrivateKey(ORDER - 1).public_key() == Secp192k1PublicKey(GENERATOR[0], PRIME - GENERATOR[1])


@pytest.mark.parametrize("secret", [1, 2, 3, 31, 32, 33, 2**95, ORDER - 2, ORDER // 2, 0xC0FFEE])
def test_multiples_of_the_generator_are_those_of_the_school_book(secret: int) -> None:
    public = Secp192k1PrivateKey(secret).public_key()
    assert (public.x, public.y) == plain_times(secret, GENERATOR)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, ORDER - 1), st.binary(max_size=80), st.sampled_from(["sha256", "sha512"]))
def test_what_is_signed_verifies_and_nothing_else(secret: int, data: bytes, hash_name: str) -> None:
    private = Secp192k1PrivateKey(secret)
    public, signature = private.public_key(), private.sign(data, hash_name)
    assert signature == private.sign(data, hash_name)
    assert holds(public, signature, data, hash_name)
    assert not holds(public, signature, data + b" ", hash_name)
    assert not holds(PUBLIC, signature, data, hash_name) or public == PUBLIC


@settings(max_examples=15, deadline=None)
@given(st.integers(1, ORDER - 1), st.integers(1, ORDER - 1))
def test_any_pair_of_numbers_is_judged_as_the_school_book_does(r: int, s: int) -> None:
    digest = int.from_bytes(hashlib.sha256(DATA).digest()[:24])
    w = pow(s, -1, ORDER)
    point = plain_add(plain_times(digest * w % ORDER, GENERATOR), plain_times(r * w % ORDER, (PUBLIC.x, PUBLIC.y)))
    expected = point is not None and point[0] % ORDER == r
    assert holds(PUBLIC, encode_dss_signature(r, s)) == expected


def test_the_mirrored_signature_holds_too() -> None:
    assert holds(PUBLIC, encode_dss_signature(R, ORDER - S))


@pytest.mark.parametrize(
    "signature",
    [
        encode_dss_signature(0, S),
        encode_dss_signature(R, 0),
        encode_dss_signature(R + ORDER, S),
        encode_dss_signature(R, S + ORDER),
        encode_dss_signature(ORDER, S),
        encode_dss_signature(R, ORDER),
        encode_dss_signature(2**4096, 2**4096),
        SIGNATURE + b"\0",
        SIGNATURE[:-1],
        R.to_bytes(24) + S.to_bytes(24),
        b"",
    ],
)
def test_numbers_out_of_range_and_other_forms_do_not_hold(signature: bytes) -> None:
    assert not holds(PUBLIC, signature)


def test_points_that_cancel_each_other_hold_for_nothing() -> None:
    mirrored = Secp192k1PrivateKey(ORDER - 1).public_key()
    digest = int.from_bytes(hashlib.sha256(DATA).digest()[:24]) % ORDER
    assert not holds(mirrored, encode_dss_signature(digest, 12345))
    same = Secp192k1PrivateKey(1)
    assert holds(same.public_key(), same.sign(DATA, "sha256"))


def test_a_point_is_read_in_both_forms() -> None:
    for public in (PUBLIC, Secp192k1PublicKey(PUBLIC.x, PRIME - PUBLIC.y)):
        compressed = bytes([2 + public.y % 2]) + public.x.to_bytes(24)
        assert Secp192k1PublicKey.from_encoded_point(public.encoded_point()) == public
        assert Secp192k1PublicKey.from_encoded_point(compressed) == public


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\x04" + bytes(48),
        PUBLIC.encoded_point()[:-1] + bytes([PUBLIC.encoded_point()[-1] ^ 1]),
        b"\x04" + (PUBLIC.x + PRIME).to_bytes(25)[-24:] + PUBLIC.y.to_bytes(24),
        b"\x05" + PUBLIC.encoded_point()[1:],
        PUBLIC.encoded_point()[1:],
        b"\x02" + PRIME.to_bytes(24),
        b"\x02" + (2).to_bytes(24),
        b"\x00",
    ],
)
def test_what_is_no_point_of_the_curve_is_no_key(point: bytes) -> None:
    with pytest.raises(ValueError, match="point"):
        Secp192k1PublicKey.from_encoded_point(point)


@pytest.mark.parametrize("secret", [0, ORDER, -1])
def test_a_private_key_lies_in_its_range(secret: int) -> None:
    with pytest.raises(ValueError, match="private key"):
        Secp192k1PrivateKey(secret)


def test_a_private_key_is_in_no_repr() -> None:
    assert "12648430" not in repr(KEY)


def group_operations(work: Callable[[], object]) -> Counter[str]:
    """How often the two formulas were run, as the interpreter saw it."""
    seen: Counter[str] = Counter()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name in ("_add", "_double"):
            seen[frame.f_code.co_name] += 1

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen


def test_every_verification_costs_the_same_number_of_group_operations() -> None:
    signatures = [SIGNATURE, *(encode_dss_signature(r, s) for r, s in ((1, 1), (ORDER - 1, 2), (2**96, ORDER - 1)))]
    counts = [group_operations(lambda each=each: holds(PUBLIC, each)) for each in signatures]
    assert counts == [Counter(_add=93, _double=196)] * len(signatures)
