"""Contract bundles: the vectors of the fact sheet, every refusal of the receiver, every reading of an open point."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import product

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from pki.certificate import KeyKind, parse_certificate
from pki.errors import BundleRejected, ChainRejected, IssueError, PKIError
from pki.issue.contract import (
    BUNDLE_CAP,
    ContractBundle,
    ContractData,
    OpenedBundle,
    check_contract_data,
    encode_bundle,
    make_contract_data,
    open_bundle,
    parse_bundle,
    sign_contract,
)
from pki.issue.keys import generate_key
from pki.issue.sealing import (
    Ed448Plain,
    IdentifierText,
    Readings,
    Suite,
    X448Point,
    additional_data,
    field_octets,
    generate_contract_key,
    read_public_key,
    seal_private_key,
    suite_of,
)
from pki.issue.signed_parts import PLAIN, Encoding, Part, Value, plain_part, references_to, sign_parts, verify_parts
from pki.profile import AnchorRole
from pki.verify import TrustStore
from tests.pki.bundles import EMAID, PCID, House, car_key, chain_of, flipped, house, p256_of, p521_of
from tests.pki.mint import AT, Spec, name_of, sound_branch

SUITES = list(Suite)


@pytest.fixture(scope="module", params=SUITES, ids=[suite.value for suite in SUITES])
def made(request: pytest.FixtureRequest) -> House:
    return house(request.param)


@pytest.fixture(scope="module")
def made_2() -> House:
    return house(Suite.P256)


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(PKIError) as caught:
        yield
    assert caught.value.code == code


def opened(made: House, bundle: ContractBundle, car: object, **changed: object) -> OpenedBundle:
    values: dict[str, object] = {"pcid": PCID, "trust": made.trust, "at": AT, **changed}
    return open_bundle(bundle, car, **values)  # type: ignore[arg-type]  # a test's own table of values


# --- the vectors


def test_the_vector_of_iso15118_2() -> None:
    sealed = seal_private_key(
        p256_of("contract"), p256_of("oem").public_key(), iv=bytes(range(16)), ephemeral=p256_of("eph")
    )
    assert sealed.encrypted[:16] == bytes(range(16))
    assert sealed.encrypted[16:].hex() == "868984e55e7366e953a71bd3c6708d6250725c8f0c3f04e2c694c2c174afe1d7"
    assert sealed.dh_public_key.hex().startswith("0411724ca6d0c82031")


def test_the_vector_of_iso15118_20() -> None:
    aad = additional_data("WPX12345678901234A", bytes.fromhex("4A5B6C7D8E9F0A1B"))
    assert aad == b"WPX12345678901234A4A5B6C7D8E9F0A1B"
    sealed = seal_private_key(
        p521_of("contract"), p521_of("oem").public_key(), aad=aad, iv=bytes(range(12)), ephemeral=p521_of("eph")
    )
    assert len(sealed.encrypted) == 94
    digest = hashlib.sha256(sealed.encrypted).hexdigest()
    assert digest == "31555ea102772fd385058dc94cca6cb56bdda009806d26f6ff9f60595e2a1690"


# --- made, signed, opened


def test_a_bundle_opens_in_its_car(made: House) -> None:
    car = car_key(made.suite)
    bundle = made.bundle(car)
    assert parse_bundle(encode_bundle(bundle)) == bundle
    found = opened(made, bundle, car)
    assert found.private_key.public_key() == found.contract.public_key
    assert found.emaid.normal == EMAID
    assert found.cps.leaf.der == made.service_chain[0]
    assert len(bundle.data.encrypted_private_key) == {"secp256r1": 48, "secp521r1": 94, "x448": 84}[made.suite]
    assert len(bundle.data.dh_public_key) == {"secp256r1": 65, "secp521r1": 133, "x448": 57}[made.suite]
    assert len(bundle.signature) == {"secp256r1": 64, "secp521r1": 132, "x448": 114}[made.suite]
    assert "private" not in repr(found)


def test_the_parts_have_the_names_and_order_of_the_standard(made: House) -> None:
    parts = made.data(car_key(made.suite)).parts()
    if made.suite is Suite.P256:
        assert [(part.id, part.name) for part in parts] == [
            ("id1", "ContractSignatureCertChain"),
            ("id2", "ContractSignatureEncryptedPrivateKey"),
            ("id3", "DHpublickey"),
            ("id4", "eMAID"),
        ]
        return
    field = "SECP521_EncryptedPrivateKey" if made.suite is Suite.P521 else "X448_EncryptedPrivateKey"
    (part,) = parts
    assert (part.id, part.name) == ("id1", "SignedInstallationData")
    assert [value.name for value in part.values] == [
        "Certificate",
        "SubCertificates",
        "SubCertificates",
        "ECDHCurve",
        "DHPublicKey",
        field,
    ]


def test_nothing_but_open_bundle_builds_an_opened_one(made_2: House) -> None:
    found = opened(made_2, made_2.bundle(car := car_key(Suite.P256)), car)
    with pytest.raises(TypeError, match="open_bundle only"):
        OpenedBundle(
            private_key=found.private_key,
            contract=found.contract,
            contract_chain=found.contract_chain,
            emaid=found.emaid,
            cps=found.cps,
            token=found.token,
        )


def test_the_same_contract_is_never_sealed_the_same_way_twice(made: House) -> None:
    car, key = car_key(made.suite).public_key(), generate_contract_key(made.suite)
    iv = bytes(16 if made.suite is Suite.P256 else 12)
    one, two = (seal_private_key(key, car, iv=iv) for _ in range(2))
    assert one.dh_public_key != two.dh_public_key
    assert one.encrypted != two.encrypted


# --- the receiver refuses


def test_another_car_or_pcid_does_not_open_it(made: House) -> None:
    car = car_key(made.suite)
    bundle = made.bundle(car)
    with pytest.raises(BundleRejected) as caught:
        opened(made, bundle, car_key(made.suite))
    if made.suite is Suite.P256:
        assert caught.value.code in ("bundle-key", "bundle-scalar")
        return
    assert caught.value.code == "bundle-decryption"
    with refused("bundle-decryption"):
        opened(made, bundle, car, pcid="WVWABCDEFGH1234568")
    with refused("bundle-chain"):
        opened(made, bundle, car, pcid="SHORT")


@pytest.mark.parametrize("field", ["contract_chain", "encrypted_private_key", "dh_public_key", "emaid"])
def test_what_was_changed_after_signing_is_refused(made_2: House, field: str) -> None:
    car = car_key(Suite.P256)
    bundle, other = made_2.bundle(car), made_2.data(car_key(Suite.P256))
    value = "DEABC000000002" if field == "emaid" else getattr(other, field)
    changed = msgspec.structs.replace(bundle.data, **{field: value})
    with refused("bundle-signature"):
        opened(made_2, msgspec.structs.replace(bundle, data=changed), car)


def test_every_octet_of_the_signature_counts(made: House) -> None:
    car = car_key(made.suite)
    bundle = made.bundle(car)
    for at in (0, len(bundle.signature) // 2, len(bundle.signature) - 1):
        with refused("bundle-signature"):
            opened(made, msgspec.structs.replace(bundle, signature=flipped(bundle.signature, at)), car)
    for signature in (bundle.signature[:-1], bundle.signature + b"\0", b"", bytes(len(bundle.signature))):
        with refused("bundle-signature"):
            opened(made, msgspec.structs.replace(bundle, signature=signature), car)


def test_only_a_provisioning_service_below_a_v2g_root_may_sign(made_2: House) -> None:
    car, key = car_key(Suite.P256), generate_key()
    data = made_2.data(car)
    contract = chain_of(made_2.contracts, key.public_key(), "DEABC000000007", "MO")
    with pytest.raises(ChainRejected):
        opened(made_2, sign_contract(data, contract, key), car)
    branch = sound_branch()
    branch.leaf = Spec(name_of("CPS"), False, None, frozenset({"digital_signature"}), key=key)
    with refused("subject"):  # DC=CPS is missing
        trust = TrustStore.from_der({AnchorRole.V2G: [branch.anchor()]})
        opened(made_2, sign_contract(data, branch.mint(), key), car, trust=trust)
    elsewhere = TrustStore({AnchorRole.MO: [made_2.root.certificate]})
    with refused("anchor-role"):
        opened(made_2, made_2.sign(data), car, trust=elsewhere)
    with refused("expired"):
        opened(made_2, made_2.sign(data), car, at=AT + timedelta(days=61))
    with refused("revocation-unknown"):
        opened(made_2, made_2.sign(data), car, require_revocation=True)
    with refused("contract"):
        sign_contract(data, made_2.service_chain, key)


def test_a_service_that_signs_nonsense_is_found_out(made_2: House) -> None:
    """What the signature cannot show: the key in it is another one, no scalar, or of another account."""
    car = car_key(Suite.P256)
    data = made_2.data(car)
    other = made_2.data(car)
    swapped = msgspec.structs.replace(
        data, encrypted_private_key=other.encrypted_private_key, dh_public_key=other.dh_public_key
    )
    with refused("bundle-key"):
        opened(made_2, made_2.sign(swapped), car)
    with refused("bundle-emaid"):
        opened(made_2, made_2.sign(msgspec.structs.replace(data, emaid="DEABC000000002")), car)
    with refused("bundle-emaid"):
        opened(made_2, made_2.sign(msgspec.structs.replace(data, emaid="?")), car)
    assert isinstance(car, ec.EllipticCurvePrivateKey)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for scalar in (0, order, 2**256 - 1):
        with refused("bundle-scalar"):
            opened(made_2, made_2.sign(with_scalar(data, car, scalar)), car)


def with_scalar(data: ContractData, car: ec.EllipticCurvePrivateKey, scalar: int) -> ContractData:
    """The data with another plain key, encrypted as it should be."""
    peer = read_public_key(Suite.P256, data.dh_public_key)
    assert isinstance(peer, ec.EllipticCurvePublicKey)
    key = ConcatKDFHash(SHA256(), 16, b"\x01\x55\x56").derive(car.exchange(ec.ECDH(), peer))
    iv = data.encrypted_private_key[:16]
    encryptor = Cipher(AES(key), modes.CBC(iv)).encryptor()
    return msgspec.structs.replace(
        data, encrypted_private_key=iv + encryptor.update(scalar.to_bytes(32, "big")) + encryptor.finalize()
    )


def test_fields_of_other_lengths_and_points_off_the_curve_are_refused(made: House) -> None:
    car = car_key(made.suite)
    data = made.data(car)
    for field, code in (("encrypted_private_key", "bundle-field"), ("dh_public_key", "bundle-point")):
        octets = getattr(data, field)
        for changed in (octets[:-1], octets + b"\0", b""):
            bad = msgspec.structs.replace(data, **{field: changed})
            with refused(code):
                opened(made, made.sign(bad), car)
            with refused(code):
                check_contract_data(bad)
    off = flipped(data.dh_public_key, -1 % len(data.dh_public_key))
    with refused("bundle-point"):
        check_contract_data(msgspec.structs.replace(data, dh_public_key=off))


def test_an_x448_point_of_low_order_is_refused() -> None:
    made, car = house(Suite.X448), car_key(Suite.X448)
    bad = msgspec.structs.replace(made.data(car), dh_public_key=bytes(57))
    with refused("bundle-point"):
        opened(made, made.sign(bad), car)


def test_a_bundle_of_another_curve_is_refused(made_2: House) -> None:
    with refused("bundle-field"):
        opened(made_2, made_2.bundle(car_key(Suite.P256)), car_key(Suite.P521))
    with refused("key-kind"):
        seal_private_key(generate_key(KeyKind.P521), car_key(Suite.P256).public_key(), iv=bytes(16))
    with refused("key-kind"):
        suite_of(ec.generate_private_key(ec.SECP384R1()))
    with refused("sealing"):
        seal_private_key(generate_key(), car_key(Suite.P256).public_key(), iv=bytes(12))
    with refused("sealing"):
        seal_private_key(generate_key(), car_key(Suite.P256).public_key(), iv=bytes(16), ephemeral=car_key(Suite.X448))


def test_the_chain_in_a_bundle_must_be_a_contract(made_2: House) -> None:
    car, data = car_key(Suite.P256), made_2.data(car_key(Suite.P256))
    for chain in ((), data.contract_chain * 2, (b"\x30\x00",), made_2.service_chain):
        with refused("bundle-chain"):
            opened(made_2, made_2.sign(msgspec.structs.replace(data, contract_chain=chain)), car)
    other = house(Suite.P521)
    with refused("bundle-chain"):
        opened(
            made_2,
            made_2.sign(msgspec.structs.replace(data, contract_chain=other.data(car_key(Suite.P521)).contract_chain)),
            car,
        )
    with refused("contract"):
        make_contract_data(
            car.public_key(), lambda _: made_2.certify(generate_key().public_key()), pcid=PCID, iv=bytes(16)
        )


def test_a_written_bundle_is_bounded_and_of_one_form(made_2: House) -> None:
    written = encode_bundle(made_2.bundle(car_key(Suite.P256)))
    for bad in (
        b"",
        b"[]",
        written[:-1],
        written.replace(b"signature", b"signatura"),
        b"x" * (BUNDLE_CAP + 1),
        b"\xff",
    ):
        with refused("bundle-format"):
            parse_bundle(bad)


# --- what is signed can be EXI


def test_an_encoder_of_exi_can_be_plugged_in(made_2: House) -> None:
    seen: list[Part] = []

    def fragment(part: Part) -> bytes:
        seen.append(part)
        return b"fragment of " + part.id.encode()

    exi = Encoding("exi", fragment, lambda references, kind: b"".join(r.digest for r in references))
    car = car_key(Suite.P256)
    bundle = made_2.bundle(car, encoding=exi)
    assert [part.id for part in seen] == ["id1", "id2", "id3", "id4"]
    assert opened(made_2, bundle, car, encoding=exi).emaid.normal == EMAID
    with refused("bundle-encoding"):
        opened(made_2, bundle, car)
    (reference, *_) = references_to(bundle.data.parts(), KeyKind.P256, exi)
    assert reference.digest == hashlib.sha256(b"fragment of id1").digest()


def test_the_plain_encoding_tells_all_parts_apart() -> None:
    parts = [
        Part("a", "b", (Value("c", b"d"),)),
        Part("ab", "", (Value("c", b"d"),)),
        Part("a", "b", (Value("c", b""), Value("", b"d"))),
        Part("a", "b", (Value("cd", b""),)),
        Part("a", "b", ()),
    ]
    assert len({plain_part(part) for part in parts}) == len(parts)


def test_a_key_of_another_kind_signs_nothing(made_2: House) -> None:
    with refused("key-kind"):
        sign_parts([], ec.generate_private_key(ec.SECP384R1()))
    root = parse_certificate(made_2.root.certificate.der)
    with refused("bundle-signature"):
        verify_parts([], b"", root, PLAIN)


# --- the open points of ISO 15118-20


@pytest.mark.parametrize(("plain", "point"), list(product(Ed448Plain, X448Point)))
def test_each_reading_of_x448_opens_with_itself_only(plain: Ed448Plain, point: X448Point) -> None:
    made, car = house(Suite.X448), car_key(Suite.X448)
    readings = Readings(plain=plain, point=point)
    bundle = made.bundle(car, readings)
    assert len(bundle.data.encrypted_private_key) == field_octets(Suite.X448, plain)
    assert len(bundle.data.dh_public_key) == (57 if point is X448Point.OCTETS_57 else 56)
    assert opened(made, bundle, car, readings=readings).emaid.normal == EMAID
    for other in (Readings(plain=p, point=q) for p, q in product(Ed448Plain, X448Point)):
        if other != readings:
            with pytest.raises(BundleRejected):
                opened(made, bundle, car, readings=other)


def test_a_seed_that_does_not_fit_56_octets_is_refused() -> None:
    key = ed448.Ed448PrivateKey.from_private_bytes(b"\1" * 57)
    with refused("sealing"):
        seal_private_key(key, car_key(Suite.X448).public_key(), iv=bytes(12))


def test_both_readings_of_the_additional_data() -> None:
    short, long = bytes(range(8)), bytes(range(16))
    assert additional_data("wvwabcdefgh1234567", short) == b"WVWABCDEFGH12345670001020304050607"
    assert additional_data(PCID, long, IdentifierText.RAW) == PCID.encode() + long
    assert len(additional_data(PCID[:17], short)) == 33
    for pcid, identifier, reading in (
        (PCID, long, IdentifierText.HEX),
        (PCID, short, IdentifierText.RAW),
        (PCID, bytes(20), IdentifierText.HEX),
        (PCID + "8", short, IdentifierText.HEX),
        (PCID[:16], short, IdentifierText.HEX),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}" * 18, short, IdentifierText.HEX),
    ):
        with pytest.raises(IssueError) as caught:
            additional_data(pcid, identifier, reading)
        assert caught.value.clause == "ISO 15118-20 V2G20-2492"
