"""Meter keys in every spelling the field uses, and the ones that must not pass."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from wire.meter.curves import CURVES, Curve, is_available
from wire.meter.draft import derive_private_key
from wire.meter.keys import MAX_KEY_BYTES, PublicKey, encode_public_key_oca, parse_public_key, public_key_of
from wire.meter.ocmf import MeterRecordError

KEY = public_key_of(ec.derive_private_key(0xC0FFEE, ec.SECP256R1()).public_key())
DER = KEY.spki
HEX = DER.hex()
BASE64 = base64.b64encode(DER).decode()
POINT = DER[-65:]
PEM = KEY.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
COMPRESSED = KEY.key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS: dict[str, str | bytes] = {
    "DER": DER,
    "hex": HEX,
    "upper-case hex in groups": " ".join(HEX.upper()[i : i + 8] for i in range(0, len(HEX), 8)),
    "0x": "0x" + HEX,
    "hex as bytes": HEX.encode(),
    "base64": BASE64,
    "base64 in lines": BASE64[:64] + "\r\n" + BASE64[64:] + "\n",
    "base64 without padding": BASE64.rstrip("="),
    "base64url": BASE64.replace("+", "-").replace("/", "_"),
    "PEM": PEM,
    "PEM as bytes": PEM.encode(),
    "PEM in base64": b64(PEM),
    "base64 of hex": b64(HEX),
    "oca base16": f"oca:base16:asn1:{HEX}",
    "oca base16 as printed": f"oca:BASE16:asn1:0x{HEX[:20]}:{HEX[20:50]} {HEX[50:].upper()}",
    "oca base64": f"oca:base64:asn1:{BASE64}",
    "oca base32": f"oca:base32:asn1:{base64.b32encode(DER).decode()}",
    "oca in base64": b64(f"oca:base16:asn1:{HEX}"),
    "point": POINT,
    "point in hex": POINT.hex(),
    "point in base64": base64.b64encode(POINT).decode(),
    "X||Y": POINT[1:],
    "X||Y in hex": POINT[1:].hex(),
    "compressed": COMPRESSED,
    "compressed in hex": COMPRESSED.hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_means_the_same_key(spelling: str) -> None:
    key = parse_public_key(SPELLINGS[spelling])
    assert key == KEY
    assert (key.curve, key.spki, key.fingerprint) == ("secp256r1", DER, KEY.fingerprint)


def key_on(curve: Curve, secret: int = 0xC0FFEE) -> PublicKey:
    return public_key_of(derive_private_key(curve.name, secret).public_key())


def bare_forms(key: PublicKey, curve: Curve) -> dict[str, bytes]:
    size = curve.coordinate_bytes
    point = key.spki[-2 * size - 1 :]
    return {
        "point": point,
        "X||Y": point[1:],
        "compressed": bytes([2 + point[-1] % 2]) + point[1 : size + 1],
    }


every_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)


@every_curve
def test_every_spelling_means_the_same_key_on_every_curve(curve: Curve) -> None:
    key = key_on(curve)
    forms = {**bare_forms(key, curve), "SPKI": key.spki}
    for name, octets in forms.items():
        text, digits = base64.b64encode(octets).decode(), octets.hex()
        for spelling in (
            octets,
            text,
            digits,
            "0x" + digits.upper(),
            b64(digits),
            f"oca:base16:asn1:{digits}",
            f"oca:base32:asn1:{base64.b32encode(octets).decode().lower()}",
            b64(f"oca:base64:asn1:{text}"),
        ):
            assert parse_public_key(spelling, curve.name) == key, name
    assert parse_public_key(encode_public_key_oca(key)) == key
    assert (key.curve, len(key.spki)) == (curve.name, len(curve.spki_prefix) + 2 * curve.coordinate_bytes + 1)


@every_curve
def test_without_a_curve_an_uncompressed_point_is_on_the_curve_that_it_lies_on(curve: Curve) -> None:
    key = key_on(curve)
    forms = bare_forms(key, curve)
    assert parse_public_key(forms["point"]) == parse_public_key(forms["X||Y"]) == key


@every_curve
def test_a_bare_point_of_another_curve_is_a_bad_key_and_says_which_curve_was_tried(curve: Curve) -> None:
    for other in CURVES:
        if other is not curve:
            for form in ("point", "X||Y"):
                with pytest.raises(MeterRecordError, match=curve.name):
                    parse_public_key(bare_forms(key_on(other), other)[form], curve.name)


@every_curve
def test_a_key_off_its_curve_is_a_bad_key_in_every_form(curve: Curve) -> None:
    key = key_on(curve)
    for octets in (key.spki, bare_forms(key, curve)["point"], bare_forms(key, curve)["X||Y"]):
        off = octets[:-1] + bytes([octets[-1] ^ 1])
        with pytest.raises(MeterRecordError, match="not on") as caught:
            parse_public_key(off, curve.name)
        assert caught.value.code == "bad-key"


@every_curve
def test_a_named_key_keeps_its_curve_whatever_the_record_names(curve: Curve) -> None:
    for name in ("secp256r1", "brainpoolP384r1", "no-curve"):
        assert parse_public_key(key_on(curve).spki.hex(), name) == key_on(curve)


def test_a_compressed_point_may_mean_keys_on_two_curves() -> None:
    x = (6).to_bytes(32)  # An x that points of both curves have.
    text = (b"\x02" + x).hex()
    nist, koblitz = (
        public_key_of(ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x02" + x))
        for curve in (ec.SECP256R1(), ec.SECP256K1())
    )
    assert parse_public_key(text) == parse_public_key(text, "secp256r1") == nist
    assert parse_public_key(text, "secp256k1") == koblitz


def test_a_curve_that_the_library_lacks_is_said_to_be_lacking() -> None:
    class Lacking(ec.EllipticCurve):
        name, key_size, group_order = "secp112r1", 112, 0xDB7C2ABF62E35E7628DFAC6561C5

    lacking = Curve(name="secp112r1", oid=bytes.fromhex("06052b81040006"), coordinate_bytes=14, implementation=Lacking)
    assert not is_available(lacking)
    assert all(map(is_available, CURVES))


def test_the_composite_that_is_sent_is_the_form_of_the_application_note() -> None:
    sent = encode_public_key_oca(KEY)
    assert base64.b64decode(sent, validate=True).decode() == f"oca:base16:asn1:{HEX}"
    assert parse_public_key(sent) == KEY


def test_keys_on_other_named_curves_are_read_with_their_curve() -> None:
    other = ec.derive_private_key(9, ec.SECP384R1()).public_key()
    key = parse_public_key(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert key.curve == "secp384r1"
    assert key != KEY


def explicit_parameters() -> bytes:
    """The key once more, its curve spelled out as parameters instead of named (X9.62 SpecifiedECDomain)."""

    def tlv(tag: int, *parts: bytes) -> bytes:
        body = b"".join(parts)
        length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
        return bytes([tag, len(body)] if len(body) < 128 else [tag, 0x80 | len(length), *length]) + body

    def integer(value: int) -> bytes:
        return tlv(2, value.to_bytes((value.bit_length() + 8) // 8))

    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    generator = (
        ec.derive_private_key(1, ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    prime_field, ec_public_key = bytes.fromhex("06072a8648ce3d0101"), bytes.fromhex("06072a8648ce3d0201")
    curve = tlv(
        0x30,
        integer(1),
        tlv(0x30, prime_field, integer(p)),
        tlv(0x30, tlv(4, (p - 3).to_bytes(32)), tlv(4, b.to_bytes(32))),
        tlv(4, generator),
        integer(n),
        integer(1),
    )
    return tlv(0x30, tlv(0x30, ec_public_key, curve), tlv(3, b"\0", POINT))


OFF_CURVE = POINT[:-1] + bytes([POINT[-1] ^ 1])
BAD: dict[str, str | bytes] = {
    "empty text": "",
    "empty bytes": b"",
    "white space": " \n",
    "words": "not a key at all",
    "TESTPUBLICKEY1": "TESTPUBLICKEY1",
    "unicode": "кey",
    "odd hex in composite": f"oca:base16:asn1:{HEX[:-1]}",
    "unknown encoding in composite": f"oca:base58:asn1:{HEX}",
    "bad base32": "oca:base32:asn1:1111",
    "unknown type in composite": f"oca:base16:pgp:{HEX}",
    "cut DER": DER[:-1],
    "DER with a trailing byte": DER + b"\0",
    "point off the curve": OFF_CURVE,
    "X||Y off the curve": OFF_CURVE[1:],
    "SPKI off the curve": DER[:-1] + bytes([DER[-1] ^ 1]),
    "point of zeros": b"\x04" + bytes(64),
    "explicit curve parameters": explicit_parameters(),
    "RSA": rsa.generate_private_key(65537, 1024)
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "secp224r1": ec.derive_private_key(5, ec.SECP224R1())
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "secp224r1, a bare point": ec.derive_private_key(5, ec.SECP224R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    "SPKI with X||Y in place of a point": DER[:1] + bytes([DER[1] - 1]) + DER[2:24] + b"\x41\0" + POINT[1:],
    "SPKI with unused bits": DER[:25] + b"\1" + DER[26:],
    "SPKI of another point's length": DER.replace(DER[13:23], bytes.fromhex("06082a8648ce3d030101")),
    "not an elliptic curve": ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "too many layers": b64(b64(b64(b64(b64(HEX))))),
    "too long": "0" * (MAX_KEY_BYTES + 1),
    "PEM of nothing": "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----",
    "private key header": PEM.replace("PUBLIC", "PRIVATE"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_key_on_a_named_curve_is_a_bad_key(what: str) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_public_key(BAD[what])
    assert caught.value.code == "bad-key"


def test_explicit_parameters_are_refused_although_the_curve_is_the_right_one() -> None:
    assert isinstance(load_der_public_key(explicit_parameters()), ec.EllipticCurvePublicKey)
    with pytest.raises(MeterRecordError, match="named curve"):
        parse_public_key(explicit_parameters())
