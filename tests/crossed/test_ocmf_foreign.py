"""Our OCMF before foreign eyes: pyocmf and the openssl program, neither of which shares a line with ours."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyocmf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wire.meter.judge import judge_record
from wire.meter.keys import parse_public_key, public_key_of
from wire.meter.ocmf import MeterRecordError, OCMFPayload, ReadingDraft, parse_ocmf, sign_ocmf
from wire.meter.record import CurrentType, Pagination, PaginationContext, ReadingReason
from wire.meter.session import judge_session

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEY = public_key_of(PRIVATE.public_key())
OTHER = public_key_of(ec.derive_private_key(0xBEEF, ec.SECP256R1()).public_key())

FIRST = ReadingDraft(
    at=datetime(2026, 11, 23, 8, 30, 15, 250_000, timezone(timedelta(hours=1))),
    reason=ReadingReason.BEGIN,
    value=Decimal("2935.600"),
    register="01-00:B2.08.00*FF",
    unit="kWh",
    current=CurrentType.AC,
    error_flags="",
)
BEGIN = OCMFPayload(
    pagination=Pagination(context=PaginationContext.TRANSACTION, number=7),
    gateway_id="SIM",
    gateway_serial="GS-1",
    meter_vendor="V",
    meter_model="M",
    meter_serial="MS-1",
    meter_firmware="1",
    id_assigned=True,
    id_level="SECURE",
    id_flags=("ISO15118_PNC",),
    id_type="EMAID",
    id_data="DE8AAC12345678",
    charge_point_type="EVSEID",
    charge_point_id="DE*8AA*E1*1",
    readings=(FIRST,),
)
LAST = replace(
    FIRST, at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC), reason=ReadingReason.END, value=Decimal("2942.7251")
)
END = replace(BEGIN, pagination=Pagination(context=PaginationContext.TRANSACTION, number=8), readings=(LAST,))

DRAFTS = {
    "begin": BEGIN,
    "end": END,
    "one record": replace(BEGIN, readings=(FIRST, LAST)),
    "fields carried forward": replace(
        BEGIN, readings=(FIRST, ReadingDraft(reason=ReadingReason.END, value=Decimal("2940"), status=None))
    ),
    "separator and umlaut": replace(BEGIN, id_type="CENTRAL", id_data="a|b ü"),
    "tariff": replace(BEGIN, tariff_text="001;EUR;0.59"),
    "exponent": replace(BEGIN, readings=(replace(FIRST, value=Decimal("2.9E+3")),)),
}


def foreign(raw: bytes) -> pyocmf.OCMF:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pyocmf.OCMF.from_string(raw.decode(), strict=True)


@pytest.mark.parametrize("name", DRAFTS)
def test_pyocmf_in_strict_mode_verifies_what_we_sign(name: str) -> None:
    raw = sign_ocmf(DRAFTS[name], PRIVATE)
    record = foreign(raw)
    assert record.verify_signature(KEY.spki.hex()) is True
    assert record.verify_signature(OTHER.spki.hex()) is False
    ours = parse_ocmf(raw)
    assert ours.meter_serial == record.payload.MS
    assert ours.user.data == record.payload.ID
    theirs = [
        (reading.RV, reading.timestamp, str(reading.RI), str(reading.TX), str(reading.ST))
        for reading in record.payload.RD
    ]
    assert theirs == [
        (reading.value, reading.at, reading.register, reading.reason, reading.status) for reading in ours.readings
    ]


@pytest.mark.parametrize(
    ("old", "new"), [(b"2935.600", b"2935.601"), (b"T7", b"T8"), (b"MS-1", b"MS-2"), (b'"FV"', b' "FV"')]
)
def test_pyocmf_and_we_refuse_what_was_tampered_with(old: bytes, new: bytes) -> None:
    raw = sign_ocmf(BEGIN, PRIVATE).replace(old, new)
    assert foreign(raw).verify_signature(KEY.spki.hex()) is False
    assert judge_record(raw, KEY, None).signature == "invalid"


def test_pyocmf_finds_our_clean_pair_compliant_as_we_do() -> None:
    begin, end = sign_ocmf(BEGIN, PRIVATE), sign_ocmf(END, PRIVATE)
    assert foreign(begin).check_eichrecht(foreign(end)) == []
    verdicts = judge_record(begin, KEY, None), judge_record(end, KEY, None)
    assert judge_session(verdicts).findings == ()
    assert judge_session(verdicts).energy_wh == Decimal("7125.1")


def test_pyocmf_and_we_reject_a_falling_register() -> None:
    falling = sign_ocmf(replace(END, readings=(replace(LAST, value=Decimal(1)),)), PRIVATE)
    begin = sign_ocmf(BEGIN, PRIVATE)
    assert foreign(begin).check_eichrecht(foreign(falling), errors_only=True)
    findings = judge_session((judge_record(begin, KEY, None), judge_record(falling, KEY, None))).findings
    assert [(finding.code, finding.severity) for finding in findings] == [("register-falling", "fatal")]


OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl program here: our signatures go uncrossed by it")


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, timeout=30, check=False)


@needs_openssl
@pytest.mark.parametrize("name", DRAFTS)
def test_openssl_verifies_our_payload_bytes_and_no_others(name: str, tmp_path: Path) -> None:
    record = parse_ocmf(sign_ocmf(DRAFTS[name], PRIVATE))
    key, signature, payload = tmp_path / "key.pem", tmp_path / "signature", tmp_path / "payload"
    key.write_bytes(KEY.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signature.write_bytes(record.signature.value)
    payload.write_bytes(record.payload_bytes)
    verify = ("dgst", "-sha256", "-verify", key, "-signature", signature, payload)
    assert openssl(*verify).returncode == 0
    payload.write_bytes(record.payload_bytes + b" ")
    assert openssl(*verify).returncode == 1


@needs_openssl
def test_we_verify_what_openssl_signs_with_a_key_it_made(tmp_path: Path) -> None:
    private, payload, signature = tmp_path / "key.pem", tmp_path / "payload", tmp_path / "signature"
    made = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    assert made.returncode == 0, made.stderr
    signed = b'{"FV":"1.2","PG":"T1","MS":"M","IS":false,"IT":"NONE",\r\n "RD":[{"RV":1.50,"RU":"kWh","ST":"G"}]} '
    payload.write_bytes(signed)
    assert openssl("dgst", "-sha256", "-sign", private, "-out", signature, payload).returncode == 0
    raw = b"OCMF|" + signed + b'|{"SD":"' + signature.read_bytes().hex().encode() + b'"}'
    for arguments in (("-outform", "DER"), ("-outform", "PEM"), ("-outform", "DER", "-conv_form", "compressed")):
        public = openssl("ec", "-in", private, "-pubout", *arguments)
        spki_or_point = public.stdout[-33:] if "compressed" in arguments else public.stdout
        key = parse_public_key(spki_or_point)
        assert judge_record(raw, key, None).is_trusted
    explicit = openssl("ec", "-in", private, "-pubout", "-param_enc", "explicit", "-outform", "DER").stdout
    with pytest.raises(MeterRecordError, match="named curve"):
        parse_public_key(explicit)
