"""The verdict on one record: whether the meter signed it, and with whose key we know."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from wire.meter.carrier import Layer, Unwrapped, unwrap
from wire.meter.curves import CURVES, Curve
from wire.meter.draft import derive_private_key, sign_payload
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, encode_public_key_oca, parse_public_key, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, parse_ocmf, sign_ocmf
from wire.meter.record import DeviationClass, MeterFormat, MeterRecord, Pagination, PaginationContext, ReadingReason
from wire.meter.signature import Fallback
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEY = public_key_of(PRIVATE.public_key())
OTHER = public_key_of(ec.derive_private_key(0xBEEF, ec.SECP256R1()).public_key())
P384 = public_key_of(ec.derive_private_key(0xBEEF, ec.SECP384R1()).public_key())
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

RECORD = sign_ocmf(
    OCMFPayload(
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=1),
        meter_serial="MS-1",
        id_assigned=False,
        id_type="NONE",
        readings=(
            ReadingDraft(
                at=datetime(2026, 11, 23, 8, tzinfo=UTC),
                reason=ReadingReason.BEGIN,
                value=Decimal("1.000"),
                register="01-00:B2.08.00*FF",
                unit="kWh",
            ),
        ),
    ),
    PRIVATE,
)
PAYLOAD = parse_ocmf(RECORD).payload_bytes
SIGNATURE = parse_ocmf(RECORD).signature.value


def signed(payload: bytes = PAYLOAD, der: bytes | None = None, **members: str) -> bytes:
    """A record over `payload` with a true signature (or `der`), whose signature section has `members` besides SD."""
    value = der if der is not None else PRIVATE.sign(payload, ec.ECDSA(hashes.SHA256()))
    section = {"SA": "ECDSA-secp256r1-SHA256", "SD": value.hex(), **members}
    return b"OCMF|" + payload + b"|" + json.dumps(section).encode()


def codes(verdict: RecordVerdict) -> set[str]:
    return {deviation.code for deviation in verdict.deviations}


def test_a_record_with_the_registry_key_is_valid_and_trusted() -> None:
    verdict = judge_record(RECORD, KEY, None)
    assert (verdict.signature, verdict.key_source) == (SignatureVerdict.VALID, KeySource.REGISTRY)
    assert verdict.is_trusted
    assert (verdict.deviations, verdict.detail) == ((), "")
    assert verdict.record == parse_ocmf(RECORD)


@pytest.mark.parametrize(
    ("registry", "claimed", "signature", "source", "deviations"),
    [
        (KEY, KEY, "valid", "registry", set()),
        (KEY, OTHER, "valid", "registry", {"key-changed"}),
        (None, KEY, "valid", "claimed", set()),
        (OTHER, KEY, "valid", "claimed", {"key-changed"}),
        (P384, KEY, "valid", "claimed", {"key-changed"}),
        (None, OTHER, "invalid", "claimed", set()),
        (OTHER, None, "invalid", "registry", set()),
        (P384, None, "bad-key", "registry", set()),
        (None, P384, "bad-key", "claimed", set()),
        (None, None, "no-key", "none", set()),
    ],
)
def test_the_verdict_says_whose_key_it_rests_on(
    registry: PublicKey | None, claimed: PublicKey | None, signature: str, source: str, deviations: set[str]
) -> None:
    verdict = judge_record(RECORD, registry, claimed)
    assert (verdict.signature, verdict.key_source, codes(verdict)) == (signature, source, deviations)
    assert verdict.is_trusted == (signature == "valid" and source == "registry")
    assert (verdict.detail == "") == (signature == "valid")
    assert verdict.record is not None


def test_white_space_and_line_ends_are_part_of_what_was_signed() -> None:
    payload = PAYLOAD.replace(b",", b",\r\n ")
    assert judge_record(signed(b" " + payload), KEY, None).signature is SignatureVerdict.VALID
    normalised = signed(payload).replace(b"\r\n", b"\n")
    assert judge_record(normalised, KEY, None).signature is SignatureVerdict.INVALID


def test_the_same_values_serialised_anew_are_not_what_was_signed() -> None:
    again = json.dumps(json.loads(PAYLOAD)).encode()
    assert judge_record(signed(again, der=SIGNATURE), KEY, None).signature is SignatureVerdict.INVALID


def test_the_key_verified_with_is_named() -> None:
    verdict = judge_record(RECORD, KEY)
    assert (verdict.curve, verdict.key_fingerprint, verdict.fallbacks) == ("secp256r1", KEY.fingerprint, ())


def test_the_registry_is_asked_for_the_record_that_was_read() -> None:
    asked: list[MeterRecord] = []

    def key_for(record: MeterRecord) -> tuple[PublicKey, KeySource]:
        asked.append(record)
        return KEY, KeySource.LEARNED

    verdict = judge_record(RECORD, key_for, OTHER)
    assert (verdict.signature, verdict.key_source, codes(verdict)) == ("valid", "learned", {"key-changed"})
    assert not verdict.is_trusted
    assert asked == [parse_ocmf(RECORD)]


def test_a_meter_that_the_registry_does_not_know_is_judged_by_its_claim() -> None:
    assert judge_record(RECORD, lambda _: None).signature is SignatureVerdict.NO_KEY
    assert judge_record(RECORD, lambda _: None, KEY.spki.hex()).key_source is KeySource.CLAIMED


def test_a_registry_that_holds_no_readable_key_is_a_bad_key() -> None:
    def key_for(record: MeterRecord) -> tuple[PublicKey, KeySource]:
        return parse_public_key("nonsense"), KeySource.REGISTRY

    verdict = judge_record(RECORD, key_for)
    assert (verdict.signature, verdict.key_source) == ("bad-key", "registry")
    assert judge_record(RECORD, key_for, KEY).key_source is KeySource.CLAIMED


def test_keys_may_be_text_whose_curve_the_record_tells() -> None:
    private = derive_private_key("secp256k1", 5)
    point = public_key_of(private.public_key()).spki[-64:].hex()
    raw = sign_payload(PAYLOAD, private, algorithm="ECDSA-secp256k1-SHA256")
    assert judge_record(raw, point).is_trusted
    assert judge_record(raw, None, point).signature is SignatureVerdict.VALID
    assert judge_record(RECORD, point).signature is SignatureVerdict.BAD_KEY


@pytest.mark.parametrize("text", ["TESTPUBLICKEY1", "30", "ключ", "\ud800", "0" * 9000, b"\xff"])
def test_a_claim_that_cannot_be_read_is_a_deviation_and_no_exception(text: str | bytes) -> None:
    trusted = judge_record(RECORD, KEY, text)
    assert trusted.is_trusted
    assert codes(trusted) == {"key-unreadable"}
    alone = judge_record(RECORD, None, text)
    assert (alone.signature, alone.key_source, codes(alone)) == ("bad-key", "claimed", {"key-unreadable"})
    assert judge_record(RECORD, text).signature is SignatureVerdict.BAD_KEY
    assert judge_record(RECORD, text).key_source is KeySource.REGISTRY


@pytest.mark.parametrize("text", ["", b""])
def test_an_empty_claim_is_none(text: str | bytes) -> None:
    assert judge_record(RECORD, None, text).signature is SignatureVerdict.NO_KEY


def test_the_key_in_the_carrier_is_a_claim() -> None:
    envelope = {"signedMeterData": base64.b64encode(RECORD).decode(), "publicKey": encode_public_key_oca(KEY)}
    carried = unwrap(json.dumps(envelope))
    assert judge_record(carried, None).key_source is KeySource.CLAIMED
    changed = judge_record(carried, OTHER)
    assert (changed.signature, changed.key_source, codes(changed)) == ("valid", "claimed", {"key-changed"})
    assert judge_record(carried, KEY, KEY.spki.hex()).deviations == ()


def test_the_key_in_a_fourth_section_is_a_claim() -> None:
    raw = RECORD + b"|" + KEY.spki.hex().encode() + b"\n"
    claimed = judge_record(raw, None)
    assert (claimed.signature, claimed.key_source, codes(claimed)) == ("valid", "claimed", {"fourth-section"})
    assert codes(judge_record(raw, OTHER)) == {"fourth-section", "key-changed"}
    assert judge_record(RECORD + b"|garbage", KEY).is_trusted
    assert judge_record(RECORD + b"|", None).signature is SignatureVerdict.NO_KEY


@pytest.mark.parametrize("format_", [MeterFormat.CHARGEIT, MeterFormat.SEALED_OCMF])
def test_a_format_without_a_reader_is_unsupported_and_named(format_: MeterFormat) -> None:
    verdict = judge_record(Unwrapped(payload=b"anything", layers=(), format=format_), KEY)
    assert (verdict.signature, verdict.format, verdict.record) == ("unsupported", format_, None)
    assert format_.value in verdict.detail


def test_what_is_no_format_is_undecodable_and_what_was_cut_is_said_to_be() -> None:
    for cut in (False, True):
        for format_, payload in ((MeterFormat.UNKNOWN, b"?"), (MeterFormat.OCMF, RECORD[:255])):
            carried = Unwrapped(payload=payload, layers=(Layer.BASE64,), format=format_, cut=cut)
            verdict = judge_record(carried, KEY)
            assert (verdict.signature, verdict.format, verdict.record) == ("undecodable", format_, None)
            assert ("cut off" in verdict.detail) == cut


SPELLINGS = [(curve, name) for curve in CURVES for name in (curve.name, *curve.spellings)]


@pytest.mark.parametrize(("curve", "name"), SPELLINGS, ids=[name for _, name in SPELLINGS])
def test_every_name_of_every_curve_is_known_in_any_case(curve: Curve, name: str) -> None:
    private = derive_private_key(curve.name, 7)
    key = public_key_of(private.public_key())
    usual = f"ECDSA-{curve.name}-SHA256"
    for written in (f"ECDSA-{name}-SHA256", f"ecdsa-{name.upper()}-sha256"):
        verdict = judge_record(sign_payload(PAYLOAD, private, algorithm=written), key)
        assert verdict.is_trusted
        assert ("algorithm-spelling" in codes(verdict)) == (written != usual)
        assert ("algorithm-extension" in codes(verdict)) == (curve.name == "secp521r1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ecdsa-SECP256R1-sha256", DeviationClass.SPEC),
        ("ECDSA-prime256v1-SHA256", DeviationClass.SAFE_REJECT),
        ("ECDSA-P-256-SHA-256", DeviationClass.SAFE_REJECT),
        ("ECDSA_secp256r1_SHA256", DeviationClass.SAFE_REJECT),
        (" ECDSA-secp256r1-SHA256\n", DeviationClass.SAFE_REJECT),
    ],
)
def test_an_odd_name_of_the_algorithm_is_a_deviation(name: str, kind: DeviationClass) -> None:
    verdict = judge_record(signed(SA=name), KEY)
    assert verdict.is_trusted
    assert [(found.code, found.deviation_class) for found in verdict.deviations] == [("algorithm-spelling", kind)]


def test_sha_512_is_verified_as_an_extension() -> None:
    raw = sign_payload(PAYLOAD, PRIVATE, algorithm="ECDSA-secp256r1-SHA512")
    verdict = judge_record(raw, KEY)
    assert verdict.is_trusted
    assert [(found.code, found.deviation_class) for found in verdict.deviations] == [
        ("algorithm-extension", DeviationClass.SAFE_REJECT)
    ]
    assert judge_record(raw.replace(b"SHA512", b"SHA256"), KEY).signature is SignatureVerdict.INVALID


@pytest.mark.parametrize(
    "name",
    [
        "ECDSA-secp224r1-SHA256",
        "ECDSA-sect233k1-SHA256",
        "ECDSA-secp256r1-SHA384",
        "ECDSA-secp256r1",
        "ECDSA-SHA256",
        "secp256r1-SHA256",
        "RSA-2048-SHA256",
        "Ed25519",
        "none",
        "ECDSA-secp256r1-SHA256" + "-" * 64,
    ],
)
def test_an_algorithm_we_lack_is_said_to_be_lacking_and_is_never_valid(name: str) -> None:
    verdict = judge_record(signed(SA=name), KEY, KEY)
    assert (verdict.signature, verdict.key_source) == (SignatureVerdict.UNSUPPORTED, KeySource.NONE)
    assert verdict.record is not None


def test_without_an_algorithm_the_default_is_verified() -> None:
    raw = b"OCMF|" + PAYLOAD + b'|{"SD":"' + SIGNATURE.hex().encode() + b'"}'
    assert judge_record(raw, KEY, None).is_trusted


def test_a_signature_in_base64_is_verified() -> None:
    raw = signed(SE="base64", SD=base64.b64encode(SIGNATURE).decode())
    assert judge_record(raw, KEY, None).is_trusted


def element(tag: int, content: bytes, length: bytes | None = None) -> bytes:
    return bytes([tag]) + (length or bytes([len(content)])) + content


def number(value: int, pad: int = 0) -> bytes:
    """An INTEGER as unsigned octets without their sign's zero, after `pad` zeros."""
    octets = value.to_bytes((value.bit_length() + 7) // 8)
    return element(2, bytes(pad) + octets)


def with_high_bits(curve: Curve) -> tuple[object, bytes, int, int]:
    """A key of `curve` with a payload whose r and s both read as negative without their zero octets."""
    private = derive_private_key(curve.name, 0xC0FFEE)
    size = curve.coordinate_bytes
    for page in range(1000):
        payload = PAYLOAD.replace(b'"PG":"T1"', b'"PG":"T%d"' % page)
        r, s = decode_dss_signature(parse_ocmf(sign_payload(payload, private, algorithm="")).signature.value)
        if all(value.to_bytes(size)[0] >= 0x80 for value in (r, s)):
            return private, payload, r, s
    raise AssertionError("none of a thousand")


@pytest.mark.parametrize("name", ["secp192k1", "secp256r1", "brainpool256r1"])
def test_signatures_that_are_not_quite_der_verify_and_say_how(name: str) -> None:
    curve = next(curve for curve in CURVES if curve.name == name)
    private, payload, r, s = with_high_bits(curve)
    key, size = public_key_of(private.public_key()), curve.coordinate_bytes
    both = number(r, 1) + number(s, 1)
    unsigned, safe = element(0x30, number(r) + number(s)), DeviationClass.SPEC
    readings = {
        r.to_bytes(size) + s.to_bytes(size): (Fallback.BARE, DeviationClass.SAFE_REJECT),
        unsigned: (Fallback.UNSIGNED, safe),
        element(0x30, number(r, 1) + number(s)): (Fallback.UNSIGNED, safe),
        element(0x30, number(r, 2) + number(s, 1)): (Fallback.LOOSE, safe),
        element(0x30, both) + b"\0": (Fallback.LOOSE, safe),
        element(0x30, both + b"\5\0"): (Fallback.LOOSE, safe),
        element(0x30, both, b"\x81" + bytes([len(both)])): (Fallback.LOOSE, safe),
        element(0x30, both, b"\x82\0" + bytes([len(both)])): (Fallback.LOOSE, safe),
        unsigned + b"\0": (Fallback.LOOSE, safe),
    }
    for value, (fallback, kind) in readings.items():
        raw = signed(payload, value, SA=f"ECDSA-{name}-SHA256")
        verdict = judge_record(raw, key)
        assert verdict.is_trusted, value.hex()
        assert verdict.fallbacks == (fallback,), value.hex()
        assert [(found.code, found.deviation_class) for found in verdict.deviations] == [("signature-encoding", kind)]
        other = signed(payload.replace(b"1.000", b"1.001"), value, SA=f"ECDSA-{name}-SHA256")
        assert judge_record(other, key).signature is SignatureVerdict.INVALID


def test_the_mirrored_signature_verifies_too_and_so_is_no_identity() -> None:
    r, s = decode_dss_signature(SIGNATURE)
    assert judge_record(signed(der=encode_dss_signature(r, ORDER - s)), KEY).is_trusted


def test_no_altered_byte_of_what_was_signed_verifies() -> None:
    begin = len(b"OCMF|")
    for place in range(begin, begin + len(PAYLOAD)):
        for mask in (0x01, 0x20, 0x80):
            altered = RECORD[:place] + bytes([RECORD[place] ^ mask]) + RECORD[place + 1 :]
            assert judge_record(altered, KEY, KEY).signature is not SignatureVerdict.VALID, (place, mask)


def test_whatever_is_altered_behind_the_payload_the_verdict_is_one_and_the_payload_the_same() -> None:
    for place in range(len(b"OCMF|") + len(PAYLOAD), len(RECORD)):
        for mask in (0x01, 0x20, 0x80):
            altered = RECORD[:place] + bytes([RECORD[place] ^ mask]) + RECORD[place + 1 :]
            verdict = judge_record(altered, KEY)
            if verdict.signature is SignatureVerdict.VALID:
                assert verdict.record is not None
                assert verdict.record.payload_bytes == PAYLOAD


R, S = decode_dss_signature(SIGNATURE)


@pytest.mark.parametrize(
    "der",
    [
        SIGNATURE[:-1],
        encode_dss_signature(0, 0),
        encode_dss_signature(0, S),
        encode_dss_signature(R, 0),
        encode_dss_signature(R + ORDER, S),
        encode_dss_signature(R, S + ORDER),
        bytes(64),
        b"\xff" * 64,
        R.to_bytes(33) + S.to_bytes(33),
        b"\x05",
    ],
)
def test_signatures_that_are_malformed_or_out_of_range_are_invalid(der: bytes) -> None:
    assert judge_record(signed(der=der), KEY, OTHER).signature is SignatureVerdict.INVALID


@pytest.mark.parametrize(
    "raw", [b"", b"OCMF|", RECORD[:100], RECORD[:-2], b"\xff" + RECORD, RECORD + b"|a|b", b"OCMF|" + b"[" * 60_000]
)
def test_what_cannot_be_read_is_undecodable_with_the_reason(raw: bytes) -> None:
    verdict = judge_record(raw, KEY, KEY)
    assert (verdict.signature, verdict.key_source) == (SignatureVerdict.UNDECODABLE, KeySource.NONE)
    assert verdict.record is None
    assert verdict.detail
