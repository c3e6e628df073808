"""Records as simulated meters write them: every curve, encoding and version, and exactly the bytes asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from wire.errors import MeterRecordError
from wire.meter.curves import CURVES
from wire.meter.draft import (
    OCMFPayload,
    ReadingDraft,
    SignatureEncoding,
    derive_private_key,
    sign_ocmf,
    sign_payload,
)
from wire.meter.judge import judge_record
from wire.meter.keys import public_key_of
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import LossCompensation, Pagination, PaginationContext, ReadingReason
from wire.meter.signature import Fallback
from wire.meter.verdict import SignatureVerdict

READING = ReadingDraft(
    at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
    reason=ReadingReason.BEGIN,
    value=Decimal("2935.600"),
    register="01-00:B2.08.00*FF",
    unit="kWh",
)
DRAFT = OCMFPayload(
    pagination=Pagination(context=PaginationContext.TRANSACTION, number=7),
    meter_serial="MS-1",
    gateway_id="GW",
    gateway_version="2.1",
    id_assigned=True,
    id_level="VERIFIED",
    id_type="CENTRAL",
    id_data="APP-4711",
    readings=(READING,),
)
PRIVATE = derive_private_key("secp256r1", 0xC0FFEE)
KEY = public_key_of(PRIVATE.public_key())


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@pytest.mark.parametrize("encoding", SignatureEncoding)
@pytest.mark.parametrize("hash_name", ["SHA256", "SHA512"])
def test_every_curve_encoding_and_hash_is_signed_the_same_each_time_and_verifies(
    curve: object, encoding: SignatureEncoding, hash_name: str
) -> None:
    private = derive_private_key(curve.name, 0xC0FFEE)
    algorithm = f"ECDSA-{curve.name}-{hash_name}"
    raw = sign_ocmf(DRAFT, private, algorithm=algorithm, encoding=encoding)
    assert raw == sign_ocmf(DRAFT, private, algorithm=algorithm, encoding=encoding)
    record = parse_ocmf(raw)
    assert (record.signature.algorithm, record.signature.encoding) == (algorithm, encoding)
    verdict = judge_record(raw, public_key_of(private.public_key()))
    assert verdict.is_trusted, verdict.detail
    assert (verdict.curve, verdict.fallbacks) == (curve.name, ())


def test_the_algorithm_is_that_of_the_key_or_as_given_or_left_out() -> None:
    def section(raw: bytes) -> dict[str, str]:
        return json.loads(raw.split(b"|")[2])

    assert section(sign_ocmf(DRAFT, PRIVATE))["SA"] == "ECDSA-secp256r1-SHA256"
    assert section(sign_ocmf(DRAFT, PRIVATE, algorithm="ECDSA-prime256v1-SHA256"))["SA"] == "ECDSA-prime256v1-SHA256"
    assert "SA" not in section(sign_ocmf(DRAFT, PRIVATE, algorithm=""))
    assert judge_record(sign_ocmf(DRAFT, PRIVATE, algorithm=""), KEY).is_trusted


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.4", "0.5", "1.0", "1.1", "1.2", "1.3", "1.4"])
def test_every_version_has_its_layout_and_reads_back(version: str) -> None:
    raw = sign_ocmf(replace(DRAFT, format_version=version), PRIVATE)
    members = json.loads(raw.split(b"|")[1])
    older, inside = version < "0.5", version in ("0.4", "0.5")
    assert ("VI" in members, "GI" in members) == (older, not older)
    assert members["IS"] == ("VERIFIED" if older else True)
    assert ("SA" in members, b'"SA"' in raw.split(b"|")[2]) == (inside, not inside)
    record = judge_record(raw, KEY).record
    assert record is not None
    assert (record.format_version, record.gateway_id, record.gateway_version) == (version, "GW", "2.1")
    assert record.user.level == "VERIFIED"
    assert judge_record(raw, KEY).is_trusted


def test_the_newer_fields_read_back() -> None:
    loss = LossCompensation(name="cable 5 m", number=Decimal(1), resistance=Decimal("12.5"), unit="mOhm")
    draft = replace(
        DRAFT,
        format_version="1.3",
        charge_controller_firmware="CF-1",
        loss_compensation=loss,
        extensions={"U": [1, {"x": "|"}]},
        readings=(replace(READING, cumulated_loss=Decimal("0.0")),),
    )
    raw = sign_ocmf(draft, PRIVATE)
    record = parse_ocmf(raw)
    assert raw.count(b"|") == 2
    assert record.deviations == ()
    assert (record.charge_controller_firmware, record.loss_compensation) == ("CF-1", loss)
    assert record.vendor_extensions == ("U",)
    assert str(record.readings[0].cumulated_loss) == "0.0"


def test_an_event_counter_reads_back_in_the_older_dialect() -> None:
    draft = replace(DRAFT, format_version="0.3", readings=(replace(READING, event_counter=3),))
    assert parse_ocmf(sign_ocmf(draft, PRIVATE)).readings[0].event_counter == 3


@pytest.mark.parametrize("payload", [b'{"RD":[{"RV":1}]}', '{"RD":[{"RV":1}],"ID":"ü"}'.encode("latin-1")])
def test_any_bytes_can_be_signed_as_they_are(payload: bytes) -> None:
    raw = sign_payload(payload, PRIVATE, algorithm="ECDSA-secp256r1-SHA256")
    assert raw.startswith(b"OCMF|" + payload + b"|")
    assert judge_record(raw, KEY).is_trusted


def test_the_name_of_another_curve_does_not_change_the_key_that_signs() -> None:
    raw = sign_ocmf(DRAFT, PRIVATE, algorithm="ECDSA-secp256k1-SHA256")
    assert judge_record(raw, KEY).signature == "bad-key"


def test_a_private_key_is_derived_on_curves_of_meters_only() -> None:
    with pytest.raises(MeterRecordError) as caught:
        derive_private_key("secp224r1", 5)
    assert caught.value.code == "unsupported-curve"


def test_a_cable_that_no_meter_could_mean_is_not_signed() -> None:
    draft = replace(DRAFT, loss_compensation=LossCompensation(resistance=Decimal("NaN")))
    with pytest.raises(MeterRecordError, match="LR"):
        sign_ocmf(draft, PRIVATE)


def test_a_text_other_than_the_signed_one_does_not_verify_for_its_encoding() -> None:
    signed = sign_payload('{"RD":[{"RV":1}],"ID":"ü"}'.encode(), PRIVATE, algorithm="ECDSA-secp256r1-SHA256")
    assert judge_record(signed, KEY).is_trusted
    twice_encoded = signed.decode("latin-1").encode()
    assert judge_record(twice_encoded, KEY).signature is SignatureVerdict.INVALID


def test_latin_1_that_travelled_as_utf_8_is_told() -> None:
    payload = '{"PG":"T1","MS":"M","RD":[{"RV":1}],"TT":"Gebühr"}'
    raw = sign_payload(payload.encode("latin-1"), PRIVATE, algorithm="ECDSA-secp256r1-SHA256")
    verdict = judge_record(raw.decode("latin-1").encode(), KEY)
    assert verdict.is_trusted
    assert verdict.fallbacks == (Fallback.LATIN_1,)
    back = sign_payload(payload.encode(), PRIVATE, algorithm="ECDSA-secp256r1-SHA256")
    assert judge_record(back.decode().encode("latin-1"), KEY).fallbacks == (Fallback.UTF_8,)
