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

from tests.wire.ocmf_text import BEGIN as FIRST_MEMBERS, ocmf_text, without
from wire.meter.draft import SignatureEncoding, derive_private_key, sign_payload
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


Change = dict[str, object]

REFUSED_BY_BOTH: dict[str, Change] = {
    "no page": {"PG": None},
    "leading zeros": {"PG": "T007"},
    "no serial": {"MS": None},
    "no IS": {"IS": None},
    "five flags": {"IF": ["RFID_NONE"] * 5},
    "the OCCP_AUTH of one vendor": {"IF": ["OCCP_AUTH"]},
    "level": {"IL": "ROYAL"},
    "card number of one byte": {"IT": "ISO14443", "ID": "12"},
    "EMAID with hyphens": {"IT": "EMAID", "ID": "DE-8AA-C12345678-9"},
    "phone number without country": {"IT": "PHONE_NUMBER", "ID": "030123"},
    "long tariff": {"TT": "7" * 251},
    "long firmware": {"FV": "1.3", "CF": "7" * 26},
    "charge point type": {"CT": "EVSE", "CI": "1"},
    "cable without resistance": {"LC": {"LU": "mOhm"}},
    "cable in kWh": {"LC": {"LR": 1, "LU": "kWh"}},
    "long cable name": {"LC": {"LR": 1, "LU": "mOhm", "LN": "7" * 21}},
    "flags not in an array": {"IF": "RFID_NONE"},
}
"""Fields outside the readings that pyocmf's strict mode refuses too."""

REFUSED_BY_BOTH_IN_READINGS: dict[str, Change] = {
    "no state": without(FIRST_MEMBERS, "ST"),
    "register without unit": without(FIRST_MEMBERS, "RU"),
    "unit without register": without(FIRST_MEMBERS, "RI"),
    "no time": without(FIRST_MEMBERS, "TM"),
    "state": {**FIRST_MEMBERS, "ST": "Z"},
    "reason": {**FIRST_MEMBERS, "TX": "Z"},
    "error flag": {**FIRST_MEMBERS, "EF": "q"},
    "current": {**FIRST_MEMBERS, "RT": "q"},
    "the unit sec": {**FIRST_MEMBERS, "RU": "sec"},
    "clock state": {**FIRST_MEMBERS, "TM": "2026-11-23T08:30:15,250+0100 Q"},
    "a day that does not exist": {**FIRST_MEMBERS, "TM": "2026-02-30T08:30:15,250+0100 S"},
}

SEEN_BY_US_ALONE: dict[str, Change] = {
    "version that is none": {"FV": "one"},
    "no version": {"FV": None},
    "mandatory IT": {"IT": None},
    "mandatory MS": {"MS": None, "GS": "G"},
    "IS as text": {"IS": "yes"},
    "user in a fiscal record": {"PG": "F1"},
    "connector without charge box": {"CT": "CBIDC", "CI": "1"},
    "field of a later version": {"FV": "1.0", "TT": "tariff"},
    "field of no version": {"QQ": 1},
    "value as text": {"RD": [{**FIRST_MEMBERS, "RV": "1.5"}]},
    "no value and no error": {"RD": [without(FIRST_MEMBERS, "RV")]},
    "no reason": {"RD": [without(FIRST_MEMBERS, "TX")]},
    "register that is no code": {"RD": [{**FIRST_MEMBERS, "RI": "energy"}]},
    "no clock state": {"RD": [{**FIRST_MEMBERS, "TM": "2026-11-23T08:30:15,250+0100"}]},
    "loss that is not reset": {"RD": [{**FIRST_MEMBERS, "CL": 1}]},
}
"""What pyocmf's strict mode lets pass, though the tables forbid or advise against it."""


def foreign_refuses(raw: bytes) -> bool:
    try:
        foreign(raw)
    except pyocmf.exceptions.PyOCMFError:
        return True
    return False


@pytest.mark.parametrize("change", REFUSED_BY_BOTH.values(), ids=REFUSED_BY_BOTH)
def test_what_pyocmf_refuses_of_the_fields_is_a_deviation(change: Change) -> None:
    raw = ocmf_text(**change)
    assert foreign_refuses(raw)
    assert parse_ocmf(raw).deviations


@pytest.mark.parametrize("reading", REFUSED_BY_BOTH_IN_READINGS.values(), ids=REFUSED_BY_BOTH_IN_READINGS)
def test_what_pyocmf_refuses_of_a_reading_is_a_deviation(reading: Change) -> None:
    raw = ocmf_text(reading)
    assert foreign_refuses(raw)
    assert parse_ocmf(raw).deviations


@pytest.mark.parametrize("change", SEEN_BY_US_ALONE.values(), ids=SEEN_BY_US_ALONE)
def test_what_pyocmf_does_not_see(change: Change) -> None:
    raw = ocmf_text(**change)
    assert not foreign_refuses(raw)
    assert parse_ocmf(raw).deviations


def test_a_clean_text_is_clean_to_both() -> None:
    assert not foreign_refuses(ocmf_text())
    assert parse_ocmf(ocmf_text()).deviations == ()


# Of the seven curves pyocmf knows the brainpool ones by the name with P alone, brainpool384r1 by no name, and secp192k1
# only with a further package that is not installed here.
RIGHT_CURVES = ("secp192r1", "secp256k1", "secp256r1", "secp384r1", "brainpoolP256r1")


@pytest.mark.parametrize("curve", RIGHT_CURVES)
@pytest.mark.parametrize("encoding", SignatureEncoding)
def test_pyocmf_and_we_verify_every_curve_and_encoding_alike(curve: str, encoding: SignatureEncoding) -> None:
    private, other = derive_private_key(curve, 0xC0FFEE), derive_private_key(curve, 0xBEEF)
    key, wrong = public_key_of(private.public_key()), public_key_of(other.public_key())
    for version in ("1.0", "1.4"):
        signed = ocmf_text(FV=version).split(b"|")[1]
        raw = sign_payload(signed, private, algorithm=f"ECDSA-{curve}-SHA256", encoding=encoding)
        assert foreign(raw).verify_signature(key.spki.hex()) is True
        assert foreign(raw).verify_signature(wrong.spki.hex()) is False
        assert judge_record(raw, key, None).signature == "valid"
        assert judge_record(raw, wrong, None).signature == "invalid"


@pytest.mark.parametrize("algorithm", ["ECDSA-brainpool256r1-SHA256", "ECDSA-brainpool384r1-SHA256"])
def test_pyocmf_cannot_verify_the_brainpool_names_of_the_specification(algorithm: str) -> None:
    private = derive_private_key(algorithm.split("-")[1], 0xC0FFEE)
    key = public_key_of(private.public_key())
    raw = sign_payload(ocmf_text().split(b"|")[1], private, algorithm=algorithm)
    with pytest.raises(pyocmf.exceptions.SignatureVerificationError):
        foreign(raw).verify_signature(key.spki.hex())
    assert judge_record(raw, key, None).signature == "valid"


def test_pyocmf_takes_no_key_but_a_subject_public_key_info() -> None:
    raw = sign_ocmf(BEGIN, PRIVATE)
    point = KEY.spki[-65:]
    with pytest.raises(pyocmf.exceptions.SignatureVerificationError):
        foreign(raw).verify_signature(point.hex())
    assert judge_record(raw, parse_public_key(point.hex()), None).signature == "valid"


def test_pyocmf_does_not_see_a_meter_swapped_behind_one_gateway() -> None:
    begin, end = sign_ocmf(BEGIN, PRIVATE), sign_ocmf(replace(END, meter_serial="MS-2"), PRIVATE)
    assert foreign(begin).check_eichrecht(foreign(end)) == []
    verdicts = judge_record(begin, KEY, None), judge_record(end, KEY, None)
    assert "meter-serial" in [finding.code for finding in judge_session(verdicts).findings]


def test_pyocmf_lets_the_last_of_two_equal_keys_win_in_silence() -> None:
    raw = ocmf_text().replace(b'"RV": 10.5', b'"RV": 10.5, "RV": 99.5')
    assert str(foreign(raw).payload.RD[0].RV) == "99.5"
    assert [found.code for found in parse_ocmf(raw).deviations] == ["duplicate-key"]


def test_both_read_a_fourth_section_and_neither_trusts_it() -> None:
    raw = sign_ocmf(BEGIN, PRIVATE) + b"|" + OTHER.spki.hex().encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pyocmf.OCMF.from_string(raw.decode())
    assert theirs.verify_signature(KEY.spki.hex()) is True
    assert judge_record(raw, KEY, None).signature == "valid"
    assert "fourth-section" in [found.code for found in parse_ocmf(raw).deviations]


def test_both_carry_fields_forward_alike() -> None:
    rows = [FIRST_MEMBERS, {"TX": "C", "RV": 11}, {"RV": 12, "ST": "T"}, {"TX": "E", "RV": 13, "EF": "t"}]
    raw = ocmf_text(*rows)
    theirs = [
        (r.timestamp, r.RV, str(r.RI), str(r.RU), str(r.RT), r.EF or "", str(r.TX), str(r.ST))
        for r in foreign(raw).payload.RD
    ]
    ours = [
        (r.at, r.value, r.register, r.unit, r.current, r.error_flags, r.reason, r.status)
        for r in parse_ocmf(raw).readings
    ]
    assert ours == theirs


OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl program here: our signatures go uncrossed by it")


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, timeout=60, check=False)


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
