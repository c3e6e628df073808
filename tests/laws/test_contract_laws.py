"""Laws of contract bundles and root lists: what is sealed opens, and whatever is changed on the way is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial

from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given, settings, strategies as st

from pki.certificate import KeyKind
from pki.errors import BundleRejected, ChainRejected, MalformedCertificate, TrustError
from pki.issue.contract import ContractBundle, encode_bundle, open_bundle, parse_bundle
from pki.issue.keys import PrivateKey
from pki.issue.sealing import (
    CarPrivateKey,
    SealedKey,
    Suite,
    iv_octets,
    open_private_key,
    seal_private_key,
)
from pki.issue.signed_parts import Part, Value, plain_part, plain_signed_info, references_to
from pki.verify.trust_list import verify_trust_list
from tests.pki.bundles import PCID, House, car_key, house
from tests.pki.mint import AT
from tests.pki.test_trust_list import Service, content, root_entry, service, sign_trust_list

SUITES = st.sampled_from(Suite)


def refusal(act: Callable[[], object]) -> str | None:
    """The code that an act is refused with; None: it was done."""
    try:
        act()
    except (BundleRejected, ChainRejected, MalformedCertificate, TrustError) as error:
        return error.code
    return None


ORDERS = {
    Suite.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    Suite.P521: int(
        "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA"
        "51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
        16,
    ),
}


@cache
def held(suite: Suite) -> tuple[House, CarPrivateKey, ContractBundle]:
    """One house, car and bundle for each suite."""
    made, car = house(suite), car_key(suite)
    return made, car, made.bundle(car)


@cache
def listed() -> tuple[Service, bytes]:
    """One signed list."""
    made = service()
    return made, sign_trust_list(content(root_entry(), root_entry()), made.signer)


def key_of(suite: Suite, number: int) -> PrivateKey:
    """A contract key: the scalar 1 + number modulo (n - 1), or an Ed448 seed of 56 octets."""
    if suite is Suite.X448:
        return ed448.Ed448PrivateKey.from_private_bytes((number % 2**448).to_bytes(56, "big") + b"\0")
    curve: ec.EllipticCurve = ec.SECP256R1() if suite is Suite.P256 else ec.SECP521R1()
    return ec.derive_private_key(number % (ORDERS[suite] - 1) + 1, curve)


@given(SUITES, st.one_of(st.integers(0, 3), st.integers(0, 2**521)), st.binary(min_size=16, max_size=16), st.binary())
def test_every_key_that_is_sealed_opens(suite: Suite, number: int, iv: bytes, aad: bytes) -> None:
    _, car, _ = held(suite)
    key = key_of(suite, number)
    sealed = seal_private_key(key, car.public_key(), aad=aad, iv=iv[: iv_octets(suite)])
    assert open_private_key(sealed, car, key.public_key(), aad=aad).public_key() == key.public_key()


@given(SUITES, st.data())
def test_no_octet_of_a_sealed_key_may_change(suite: Suite, data: st.DataObject) -> None:
    """In -20 by the tag; in -2 because another scalar is not the certificate's."""
    _, car, _ = held(suite)
    key = key_of(suite, data.draw(st.integers(0, 2**255)))
    sealed = seal_private_key(key, car.public_key(), iv=bytes(iv_octets(suite)))
    at = data.draw(st.integers(0, len(sealed.encrypted) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = bytearray(sealed.encrypted)
    changed[at] ^= mask
    bad = SealedKey(suite, bytes(changed), sealed.dh_public_key)
    code = refusal(lambda: open_private_key(bad, car, key.public_key()))
    assert code in ("bundle-decryption", "bundle-scalar", "bundle-key")


@settings(max_examples=300)
@given(SUITES, st.data())
def test_no_octet_of_a_written_bundle_may_change(suite: Suite, data: st.DataObject) -> None:
    """Whatever character of the JSON is another one: it is refused, or it means the very same bundle."""
    made, car, bundle = held(suite)
    written = bytearray(encode_bundle(bundle))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    try:
        found = parse_bundle(bytes(written))
        open_bundle(found, car, pcid=PCID, trust=made.trust, at=AT)
    except (BundleRejected, ChainRejected, MalformedCertificate):
        return
    assert (found.data.parts(), found.cps_chain[:1]) == (bundle.data.parts(), bundle.cps_chain[:1])


@given(SUITES, st.integers(-(10**9), 10**9))
def test_a_bundle_counts_while_its_service_does(suite: Suite, seconds: int) -> None:
    made, car, bundle = held(suite)
    at = AT + timedelta(seconds=seconds)
    inside = AT - timedelta(days=10) <= at <= AT + timedelta(days=60)
    code = refusal(lambda: open_bundle(bundle, car, pcid=PCID, trust=made.trust, at=at))
    assert code in ((None,) if inside else ("expired", "not-yet-valid"))


PARTS = st.builds(
    Part,
    st.text(max_size=4),
    st.text(max_size=4),
    st.lists(st.builds(Value, st.text(max_size=4), st.binary(max_size=8)), max_size=4).map(tuple),
)


@given(PARTS, PARTS)
def test_the_plain_encoding_is_one_to_one(one: Part, two: Part) -> None:
    assert (plain_part(one) == plain_part(two)) == (one == two)


@given(st.lists(PARTS, max_size=3), st.lists(PARTS, max_size=3), st.sampled_from([KeyKind.P256, KeyKind.P521]))
def test_what_is_signed_tells_number_and_order_of_the_parts(one: list[Part], two: list[Part], kind: KeyKind) -> None:
    first, second = (plain_signed_info(references_to(parts, kind), kind) for parts in (one, two))
    assert (first == second) == (one == two)


@settings(max_examples=300)
@given(st.data())
def test_no_octet_of_a_root_list_may_change(data: st.DataObject) -> None:
    made, der = listed()
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    if bytes(changed) == der:
        return
    code = refusal(lambda: verify_trust_list(bytes(changed), trust=made.trust, at=AT, floor_version=0))
    assert code is not None
    assert code.startswith("trust-list-")


@given(st.data())
def test_a_root_list_that_is_cut_or_lengthened_is_refused(data: st.DataObject) -> None:
    made, der = listed()
    cut = der[: data.draw(st.integers(0, len(der) - 1))]
    for octets in (cut, der + data.draw(st.binary(min_size=1, max_size=4)), data.draw(st.binary(max_size=64))):
        judged = partial(verify_trust_list, octets, trust=made.trust, at=AT, floor_version=0)
        assert refusal(judged) == "trust-list-malformed"


@given(st.integers(1, 2**40), st.integers(0, 2**40))
def test_a_root_list_is_taken_iff_its_version_is_not_below_the_floor(version: int, floor: int) -> None:
    made, _ = listed()
    der = sign_trust_list(content(version=version), made.signer)
    code = refusal(lambda: verify_trust_list(der, trust=made.trust, at=AT, floor_version=floor))
    assert code == (None if version >= floor else "trust-list-old")
