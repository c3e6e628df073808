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

from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, parse_ocmf, sign_ocmf
from wire.meter.record import Pagination, PaginationContext, ReadingReason
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


@pytest.mark.parametrize("name", ["ECDSA-secp256r1-SHA256", "ecdsa-SECP256R1-sha256", "ECDSA-prime256v1-SHA256"])
def test_every_name_of_the_curve_is_known(name: str) -> None:
    assert judge_record(signed(SA=name), KEY, None).signature is SignatureVerdict.VALID


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


def test_bare_r_and_s_verify_with_a_deviation() -> None:
    r, s = decode_dss_signature(SIGNATURE)
    verdict = judge_record(signed(der=r.to_bytes(32) + s.to_bytes(32)), KEY, None)
    assert verdict.signature is SignatureVerdict.VALID
    assert codes(verdict) == {"signature-encoding"}


def test_bare_r_and_s_of_another_payload_do_not() -> None:
    r, s = decode_dss_signature(PRIVATE.sign(b"other", ec.ECDSA(hashes.SHA256())))
    assert judge_record(signed(der=r.to_bytes(32) + s.to_bytes(32)), KEY, None).signature is SignatureVerdict.INVALID


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
