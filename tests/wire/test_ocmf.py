"""OCMF text in and out: what is read, what is a deviation, what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from wire.errors import WireError
from wire.meter.draft import OCMFPayload, ReadingDraft
from wire.meter.ocmf import MAX_READINGS, MAX_RECORD_BYTES, MeterRecordError, parse_ocmf, sign_ocmf
from wire.meter.record import (
    CurrentType,
    MeterClock,
    MeterStatus,
    Pagination,
    PaginationContext,
    ReadingReason,
)

KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
AT = datetime(2026, 11, 23, 8, 30, 15, 250_999, timezone(timedelta(hours=1)))
READING = '{"TM":"2026-11-23T08:30:15,250+0100 S","TX":"B","RV":2935.600,"RI":"01-00:B2.08.00*FF","RU":"kWh","ST":"G"}'
SIGNATURE = '{"SA":"ECDSA-secp256r1-SHA256","SD":"3006020101020101"}'


def draft(**changes: object) -> OCMFPayload:
    fields: dict[str, object] = {
        "pagination": Pagination(context=PaginationContext.TRANSACTION, number=7),
        "meter_serial": "MS-1",
        "gateway_serial": "GS-1",
        "gateway_id": "GW",
        "id_assigned": True,
        "id_level": "SECURE",
        "id_flags": ("ISO15118_PNC",),
        "id_type": "EMAID",
        "id_data": "DE8AAC12345678",
        "charge_point_type": "EVSEID",
        "charge_point_id": "DE*8AA*E1*1",
        "readings": (
            ReadingDraft(
                at=AT,
                reason=ReadingReason.BEGIN,
                value=Decimal("2935.600"),
                register="01-00:B2.08.00*FF",
                unit="kWh",
                current=CurrentType.AC,
                error_flags="",
            ),
        ),
    }
    return OCMFPayload(**{**fields, **changes})


def text(payload: str | None = None, *, rd: str = f"[{READING}]", head: str = "", signature: str = SIGNATURE) -> bytes:
    if payload is None:
        fields = head or '"FV":"1.2","PG":"T7","GS":"GS-1","MS":"MS-1","IS":true,"IT":"NONE",'
        payload = "{" + fields + f'"RD":{rd}' + "}"
    return f"OCMF|{payload}|{signature}".encode()


def codes(raw: bytes) -> set[str]:
    return {deviation.code for deviation in parse_ocmf(raw).deviations}


def refusal(raw: bytes) -> str:
    with pytest.raises(MeterRecordError) as caught:
        parse_ocmf(raw)
    return caught.value.code


def test_a_signed_draft_reads_back_with_every_field() -> None:
    raw = sign_ocmf(draft(tariff_text="001;EUR", meter_vendor="V", meter_model="M", meter_firmware="F"), KEY)
    record = parse_ocmf(raw)
    assert record.deviations == ()
    assert record.raw == raw
    assert raw == b"OCMF|" + record.payload_bytes + raw[5 + len(record.payload_bytes) :]
    assert record.pagination == Pagination(context=PaginationContext.TRANSACTION, number=7)
    assert (record.format_version, record.gateway_id, record.gateway_serial) == ("1.2", "GW", "GS-1")
    assert (record.meter_vendor, record.meter_model, record.meter_serial, record.meter_firmware) == (
        "V",
        "M",
        "MS-1",
        "F",
    )
    assert (record.charge_point_type, record.charge_point_id) == ("EVSEID", "DE*8AA*E1*1")
    assert record.tariff_text == "001;EUR"
    user = record.user
    assert (user.assigned, user.level, user.flags, user.type, user.data) == (
        True,
        "SECURE",
        ("ISO15118_PNC",),
        "EMAID",
        "DE8AAC12345678",
    )
    (reading,) = record.readings
    assert str(reading.value) == "2935.600"
    assert reading.energy_wh == Decimal(2935600)
    assert reading.at == datetime(2026, 11, 23, 7, 30, 15, 250_000, UTC)
    assert (reading.clock, reading.reason, reading.status, reading.current, reading.error_flags) == (
        MeterClock.SYNCHRONISED,
        ReadingReason.BEGIN,
        MeterStatus.GOOD,
        CurrentType.AC,
        "",
    )
    assert (record.signature.algorithm, record.signature.encoding) == ("ECDSA-secp256r1-SHA256", "hex")
    assert record.signature.value[0] == 0x30


def test_the_identification_is_in_no_repr() -> None:
    assert "DE8AAC12345678" not in repr(parse_ocmf(sign_ocmf(draft(), KEY)))


def test_signing_the_same_draft_twice_gives_the_same_bytes() -> None:
    assert sign_ocmf(draft(), KEY) == sign_ocmf(draft(), KEY)


def test_the_payload_has_a_fixed_key_order_and_the_digits_as_given() -> None:
    payload = parse_ocmf(sign_ocmf(draft(), KEY)).payload_bytes
    keys = ["FV", "GI", "GS", "PG", "MS", "IS", "IL", "IF", "IT", "ID", "CT", "CI", "RD"]
    assert list(json.loads(payload)) == keys
    assert b'"RV":2935.600,' in payload
    assert b'"TM":"2026-11-23T08:30:15,250+0100 S"' in payload


def test_a_separator_and_letters_beyond_ascii_inside_the_identification_survive() -> None:
    raw = sign_ocmf(draft(id_data="a|b ü €"), KEY)
    assert raw.isascii()
    assert raw.count(b"|") == 2
    assert parse_ocmf(raw).user.data == "a|b ü €"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"readings": (ReadingDraft(at=AT, value=Decimal("NaN"), unit="kWh"),)}, "bad-draft"),
        ({"readings": (ReadingDraft(at=AT, value=Decimal("Infinity"), unit="kWh"),)}, "bad-draft"),
        ({"readings": (ReadingDraft(at=AT, value=Decimal("1E+61"), unit="kWh"),)}, "bad-draft"),
        ({"readings": (ReadingDraft(at=AT.replace(tzinfo=None), value=Decimal(1), unit="kWh"),)}, "bad-draft"),
    ],
)
def test_a_draft_that_no_meter_could_mean_is_not_signed(changes: dict[str, object], code: str) -> None:
    with pytest.raises(MeterRecordError) as caught:
        sign_ocmf(draft(**changes), KEY)
    assert caught.value.code == code


def test_only_a_key_on_a_curve_of_meters_signs() -> None:
    with pytest.raises(MeterRecordError) as caught:
        sign_ocmf(draft(), ec.derive_private_key(5, ec.SECP224R1()))
    assert caught.value.code == "unsupported-curve"


def test_a_later_reading_inherits_all_but_its_value() -> None:
    rd = f'[{READING},{{"TX":"E","RV":2936.1}},{{"TX":"X","EF":"E"}}]'
    first, second, third = parse_ocmf(text(rd=rd)).readings
    assert (second.at, second.clock, second.register, second.unit, second.status) == (
        first.at,
        first.clock,
        first.register,
        first.unit,
        first.status,
    )
    assert str(second.value) == "2936.1"
    assert (third.value, third.energy_wh, third.error_flags, third.unit) == (None, None, "E", "kWh")


def test_carry_forward_ends_with_the_record() -> None:
    (reading,) = parse_ocmf(text(rd='[{"RV":1}]')).readings
    assert (reading.at, reading.register, reading.unit, reading.status, reading.reason) == (None,) * 5
    assert "reading-incomplete" in codes(text(rd='[{"RV":1}]'))


@pytest.mark.parametrize(
    ("unit", "value", "energy_wh"),
    [
        ("kWh", "0.636", "636"),
        ("Wh", "636.0", "636.0"),
        ("kWh", "1E+3", "1E+6"),
        ("kWh", "-0.001", "-1"),
        ("kWh", "123456789012345678901234567890.0001", "123456789012345678901234567890000.1"),
        ("mOhm", "5", None),
        ("sec", "5", None),
    ],
)
def test_energy_is_exact_and_only_for_units_of_energy(unit: str, value: str, energy_wh: str | None) -> None:
    rd = READING.replace("2935.600", value).replace("kWh", unit)
    (reading,) = parse_ocmf(text(rd=f"[{rd}]")).readings
    assert reading.energy_wh == (None if energy_wh is None else Decimal(energy_wh))


@pytest.mark.parametrize(
    ("written", "expected", "clock", "code"),
    [
        ("2026-11-23T08:30:15,250-0330 R", datetime(2026, 11, 23, 12, 0, 15, 250_000, UTC), MeterClock.RELATIVE, None),
        ("2026-11-23T08:30:15+01:00", datetime(2026, 11, 23, 7, 30, 15, tzinfo=UTC), None, "time-form"),
        ("2026-11-23T08:30:15.5+0100 S", None, None, "time-unreadable"),
        ("2026-11-23T08:30:15Z", datetime(2026, 11, 23, 8, 30, 15, tzinfo=UTC), None, "time-form"),
        ("2026-11-23T08:30:15,000+0000 Q", datetime(2026, 11, 23, 8, 30, 15, tzinfo=UTC), None, "time-form"),
        ("2026-02-30T08:30:15,000+0000 S", None, None, "time-unreadable"),
        ("0001-01-01T00:00:00,000+1400 S", None, None, "time-unreadable"),
        ("2026-11-23T08:30:15,000+2600 S", None, None, "time-unreadable"),
        ("٢٠٢٦-11-23T08:30:15,000+0000 S", None, None, "time-unreadable"),
        ("", None, None, "time-unreadable"),
    ],
)
def test_times_as_specified_as_seen_and_as_nonsense(
    written: str, expected: datetime | None, clock: MeterClock | None, code: str | None
) -> None:
    raw = text(rd=f"[{READING.replace('2026-11-23T08:30:15,250+0100 S', written)}]")
    (reading,) = parse_ocmf(raw).readings
    assert (reading.at, reading.clock) == (expected, clock)
    assert codes(raw) == ({code} if code else set())


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ('"PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-missing"),
        ('"FV":"1.4","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-new"),
        ('"FV":"1.10","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-unknown"),
        ('"FV":"2.0","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-unknown"),
        ('"FV":"1.0.1","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-form"),
        ('"FV":"0.3","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-old"),
        ('"FV":"one","PG":"T7","MS":"M","IS":true,"IT":"NONE",', "version-form"),
        ('"FV":1.2,"PG":"T7","MS":"M","IS":true,"IT":"NONE",', "wrong-type"),
        ('"FV":"1.2","MS":"M","IS":true,"IT":"NONE",', "pagination-missing"),
        ('"FV":"1.2","PG":"T007","MS":"M","IS":true,"IT":"NONE",', "pagination-form"),
        ('"FV":"1.2","PG":"X7","MS":"M","IS":true,"IT":"NONE",', "pagination-form"),
        ('"FV":"1.2","PG":"T7","IS":true,"IT":"NONE",', "no-identity"),
        ('"FV":"1.2","PG":"T7","GS":"G","IS":true,"IT":"NONE",', "meter-serial-missing"),
        ('"FV":"1.2","PG":"T7","MS":"M","IT":"NONE",', "assignment-missing"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":"yes","IT":"NONE",', "wrong-type"),
        ('"FV":"1.2","PG":"T7","MS":"M","MS":"N","IS":true,"IT":"NONE",', "duplicate-key"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","IF":"RFID_NONE",', "identification-flags"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","IF":["OCCP_AUTH"],', "unknown-value"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","IL":"ROYAL",', "unknown-value"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","ID":"' + "7" * 41 + '",', "identification-long"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","ID":"\\ud800",', "lone-surrogate"),
        ('"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","ID":"a\nb",', "control-character"),
    ],
)
def test_each_fault_of_the_payload_is_one_deviation(head: str, code: str) -> None:
    assert codes(text(head=head)) == {code}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"RV":2935.600', '"RV":"2935.600"', "value-not-a-number"),
        ('"RV":2935.600', '"RV":true', "value-not-a-number"),
        ('"ST":"G"', '"ST":"Z"', "unknown-value"),
        ('"ST":"G"', '"ST":"G","ST":"M"', "duplicate-key"),
        ('"TX":"B"', '"TX":"b"', "unknown-value"),
        ('"RU":"kWh"', '"RU":"sec"', "unknown-value"),
        ('"ST":"G"', '"ST":"G","EF":"Q"', "unknown-value"),
        ('"ST":"G"', '"ST":"G","RT":"ACDC"', "unknown-value"),
        ('"RI":"01-00:B2.08.00*FF",', "", "register-group"),
        ('"RI":"01-00:B2.08.00*FF"', '"RI":null', "wrong-type"),
        (',"ST":"G"', "", "reading-incomplete"),
    ],
)
def test_each_fault_of_a_reading_is_a_deviation(old: str, new: str, code: str) -> None:
    assert old in READING
    assert code in codes(text(rd=f"[{READING.replace(old, new)}]"))


def test_a_value_written_as_string_is_read_and_keeps_its_digits() -> None:
    (reading,) = parse_ocmf(text(rd="[" + READING.replace("2935.600", '"2935.600"') + "]")).readings
    assert str(reading.value) == "2935.600"


def test_of_two_equal_keys_the_last_is_read_and_the_first_is_not_forgotten() -> None:
    raw = text(rd="[" + READING.replace('"RV":2935.600', '"RV":1,"RV":9') + "]")
    record = parse_ocmf(raw)
    assert record.readings[0].value == 9
    assert [d.pointer for d in record.deviations if d.code == "duplicate-key"] == ["/payload"]


def test_vendor_fields_white_space_and_line_ends_are_kept_in_the_signed_bytes() -> None:
    payload = (
        ' {\r\n "FV" : "1.2", "PG":"T7","MS":"M","IS":false,"IT":"NONE","U":{"x":[1,{}]},\r\n'
        f' "RD":[{READING}]}}\n'
    )
    record = parse_ocmf(text(payload))
    assert record.payload_bytes == payload.encode()
    assert record.deviations == ()


def test_a_fourth_section_is_reported_and_not_trusted() -> None:
    raw = text() + b"|3059301306"
    assert codes(raw) == {"fourth-section"}


def test_many_deviations_are_cut_with_a_word_about_it() -> None:
    found = parse_ocmf(text(rd="[" + ",".join(["{}"] * MAX_READINGS) + "]")).deviations
    assert len(found) == 101
    assert found[-1].code == "many-deviations"


def test_the_algorithm_may_stand_in_the_payload_of_old_formats_or_nowhere() -> None:
    bare = '{"SD":"3006020101020101"}'
    assert parse_ocmf(text(signature=bare)).signature.algorithm == "ECDSA-secp256r1-SHA256"
    head = '"FV":"0.4","SA":"ECDSA-secp192k1-SHA256","PG":"T7","MS":"M","IS":true,"IT":"NONE",'
    assert parse_ocmf(text(head=head, signature=bare)).signature.algorithm == "ECDSA-secp192k1-SHA256"


def test_signatures_in_base64_are_decoded() -> None:
    signature = '{"SE":"base64","SD":"MAYCAQECAQE="}'
    assert parse_ocmf(text(signature=signature)).signature.value.hex() == "3006020101020101"


def test_a_foreign_media_type_is_a_deviation() -> None:
    assert codes(text(signature='{"SM":"text/plain","SD":"00"}')) == {"signature-media-type"}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not-ocmf"),
        (b"OCMF", "not-ocmf"),
        (b"ocmf|{}|{}", "not-ocmf"),
        (b"\xef\xbb\xbf" + text(), "not-ocmf"),
        (b" " + text(), "not-ocmf"),
        (b"OCMF|", "sections"),
        (b"OCMF|{}", "sections"),
        (text() + b"|a|b", "sections"),
        (b"OCMF||", "not-json"),
        (text()[:-1], "not-json"),
        (text()[: len(text()) // 2], "sections"),
        (text('{"ID":"a|b","RD":[{}]}'), "not-json"),
        (text("[]"), "not-an-object"),
        (text("null"), "not-an-object"),
        (text(signature="7"), "not-an-object"),
        (text("{}"), "no-readings"),
        (text(rd="[]"), "no-readings"),
        (text(rd="{}"), "no-readings"),
        (text(rd="[7]"), "reading-not-an-object"),
        (text(rd="[" + ",".join(["{}"] * (MAX_READINGS + 1)) + "]"), "too-many-readings"),
        (text(rd='[{"RV":NaN}]'), "number-out-of-bounds"),
        (text(rd='[{"RV":-Infinity}]'), "number-out-of-bounds"),
        (text(rd='[{"RV":1e999999999}]'), "number-out-of-bounds"),
        (text(rd='[{"RV":0e-61}]'), "number-out-of-bounds"),
        (text(rd='[{"RV":' + "9" * 5000 + "}]"), "number-out-of-bounds"),
        (text(rd='[{"RV":' + "9" * 41 + "}]"), "number-out-of-bounds"),
        (text(rd="[" * 20000), "too-deep"),
        (text(rd="[" + READING + ',{"U":' + "[" * 63 + "]" * 63 + "}]"), "too-deep"),
        (text(signature='{"SA":"x"}'), "no-signature"),
        (text(signature='{"SD":""}'), "no-signature"),
        (text(signature='{"SD":"3g"}'), "signature-encoding"),
        (text(signature='{"SD":"303"}'), "signature-encoding"),
        (text(signature='{"SE":"base64","SD":"M"}'), "signature-encoding"),
        (text(signature='{"SE":"base64","SD":"ü"}'), "signature-encoding"),
        (text(signature='{"SE":"base32","SD":"00"}'), "signature-encoding"),
        (text().replace(b"SD", b"\xc3\x28"), "no-signature"),
        (text().decode().encode("utf-16"), "not-ocmf"),
        (b"OCMF|" + b" " * MAX_RECORD_BYTES, "too-large"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_code(raw: bytes, code: str) -> None:
    assert refusal(raw) == code


def test_a_vendors_deep_structure_is_read_up_to_the_limit() -> None:
    deepest = '"FV":"1.2","PG":"T7","MS":"M","IS":true,"IT":"NONE","U":' + "[" * 63 + "]" * 63 + ","
    assert codes(text(head=deepest)) == set()
    assert refusal(text(head=deepest.replace("[]", "[[]]"))) == "too-deep"
    # Readers differ by the way to the end, not in what they allow.
    assert refusal(text(head=deepest.replace("[]", "[[]]") + '"V":1,"V":1,')) == "too-deep"


def test_a_refusal_names_what_and_where() -> None:
    with pytest.raises(WireError, match=r"expected an object \(at /payload/RD/1\)"):
        parse_ocmf(text(rd=f"[{READING},null]"))


def test_the_largest_record_that_is_allowed_is_read() -> None:
    raw = text()
    padded = raw.replace(b"|{", b"|" + b" " * (MAX_RECORD_BYTES - len(raw)) + b"{", 1)
    assert len(padded) == MAX_RECORD_BYTES
    assert len(parse_ocmf(padded).readings) == 1
