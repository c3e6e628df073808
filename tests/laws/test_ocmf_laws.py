"""Laws of the meter records: what is signed verifies, what is changed does not, and no bytes do harm."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given, settings, strategies as st

from wire.meter.carrier import unwrap
from wire.meter.json_text import parse_carefully, parse_object
from wire.meter.judge import judge_record
from wire.meter.keys import encode_public_key_oca, parse_public_key, public_key_of
from wire.meter.ocmf import MeterRecordError, OCMFPayload, ReadingDraft, parse_ocmf, sign_ocmf
from wire.meter.ocmf_time import parse_time, parse_time_carefully
from wire.meter.record import (
    CurrentType,
    DeviationClass,
    MeterClock,
    MeterFormat,
    MeterStatus,
    Pagination,
    PaginationContext,
    ReadingReason,
)
from wire.meter.safe import predict_record, predict_session
from wire.meter.session import judge_session
from wire.meter.verdict import SignatureVerdict

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEY = public_key_of(PRIVATE.public_key())
OTHER = public_key_of(ec.derive_private_key(0xBEEF, ec.SECP256R1()).public_key())

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.decimals(min_value=-(10**12), max_value=10**12, places=4) | st.sampled_from(
    [Decimal("0.000"), Decimal("1E+9"), Decimal("1.2300E-5"), Decimal("-0")]
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(
    lambda seconds, micros, zone: (
        datetime(1970, 1, 2, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micros)
    ).astimezone(zone),
    st.integers(0, 5_000_000_000),
    st.integers(0, 999_999),
    zones,
)
readings = st.builds(
    ReadingDraft,
    at=instants,
    clock=st.sampled_from(MeterClock),
    reason=st.sampled_from(ReadingReason),
    value=values,
    register=texts,
    unit=st.sampled_from(["kWh", "Wh"]),
    current=st.none() | st.sampled_from(CurrentType),
    error_flags=st.none() | st.sampled_from(["", "E", "t", "Et"]),
    status=st.sampled_from(MeterStatus),
)
payloads = st.builds(
    OCMFPayload,
    pagination=st.builds(Pagination, context=st.just(PaginationContext.TRANSACTION), number=st.integers(0, 10**18 - 1)),
    readings=st.lists(readings, min_size=1, max_size=4).map(tuple),
    meter_serial=st.none() | texts,
    gateway_serial=texts,
    id_assigned=st.booleans(),
    id_type=st.sampled_from(["NONE", "EMAID"]),
    id_data=st.none() | texts,
    charge_point_id=st.none() | texts,
)


@given(payloads)
@settings(max_examples=100, deadline=None)
def test_what_is_signed_verifies_and_reads_back(payload: OCMFPayload) -> None:
    raw = sign_ocmf(payload, PRIVATE)
    assert judge_record(raw, KEY, None).is_trusted
    assert judge_record(raw, OTHER, None).signature is SignatureVerdict.INVALID
    record = parse_ocmf(raw)
    assert (record.meter_serial, record.gateway_serial) == (payload.meter_serial, payload.gateway_serial)
    assert (record.user.data, record.charge_point_id) == (payload.id_data, payload.charge_point_id)
    assert record.pagination == payload.pagination
    for read, written in zip(record.readings, payload.readings, strict=True):
        assert str(read.value) == str(written.value)
        assert written.at is not None
        cut = written.at.replace(microsecond=written.at.microsecond // 1000 * 1000)
        assert (read.at, read.clock, read.reason) == (cut, written.clock, written.reason)
        assert (read.register, read.unit, read.status) == (written.register, written.unit, written.status)


PLAIN = sign_ocmf(
    OCMFPayload(
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=4),
        meter_serial="MS-1",
        id_assigned=True,
        id_type="EMAID",
        id_data="DE8AAC12345678",
        readings=(
            ReadingDraft(
                at=datetime(2026, 11, 23, 8, tzinfo=UTC),
                reason=ReadingReason.BEGIN,
                value=Decimal("10.000"),
                register="01-00:B2.08.00*FF",
                unit="kWh",
            ),
        ),
    ),
    PRIVATE,
)
SIGNED_FROM, SIGNED_TO = 5, 5 + len(parse_ocmf(PLAIN).payload_bytes)


ORIGINAL = parse_ocmf(PLAIN)

BYTE_CLASSES = (b'{}[]":,', b"0129", b"Aaz_", b" \t\r\n", b"+-.*eE", b"\\/|", b"\x00\x1f\x7f", b"\x80\xc3\xff")
"""Structure, digits, letters, white space, what numbers and codes are made of, escapes and the separator, control
characters, and bytes that are no ASCII: each byte of the record is replaced by some of each class."""


def is_valid(raw: bytes) -> bool:
    """Whether the record verifies with the registry's key or a claimed one; the verdict always stands."""
    verdict = judge_record(raw, KEY, KEY)
    assert (verdict.record is None) == (verdict.signature is SignatureVerdict.UNDECODABLE)
    return verdict.signature is SignatureVerdict.VALID


def replacements(byte: int) -> set[int]:
    """One of each class, and every byte at a distance of one bit."""
    return ({group[byte % len(group)] for group in BYTE_CLASSES} | {byte ^ 1 << bit for bit in range(8)}) - {byte}


def test_no_byte_of_the_payload_or_around_it_may_change() -> None:
    for position in range(SIGNED_TO + 1):
        for byte in replacements(PLAIN[position]):
            changed = PLAIN[:position] + bytes([byte]) + PLAIN[position + 1 :]
            assert not is_valid(changed), (position, byte)


def test_no_byte_may_be_added_to_the_payload_and_none_left_out() -> None:
    for position in range(SIGNED_FROM, SIGNED_TO + 1):
        for added in (b" ", b"\n", b"0", b'"', b"\x00", b"\xff"):
            assert not is_valid(PLAIN[:position] + added + PLAIN[position:]), (position, added)
    for position in range(SIGNED_TO):
        assert not is_valid(PLAIN[:position] + PLAIN[position + 1 :]), position


def test_a_changed_signature_section_verifies_only_while_it_says_the_same() -> None:
    kept = 0
    for position in range(SIGNED_TO + 1, len(PLAIN)):
        for byte in replacements(PLAIN[position]):
            changed = PLAIN[:position] + bytes([byte]) + PLAIN[position + 1 :]
            if is_valid(changed):
                record = parse_ocmf(changed)
                assert record.signature.value == ORIGINAL.signature.value
                assert record.payload_bytes == ORIGINAL.payload_bytes
                kept += 1
    assert kept, "hex digits may change their case"


payload_keys = st.sampled_from(
    ["FV", "GI", "PG", "MS", "GS", "IS", "IL", "IF", "IT", "ID", "TT", "CT", "CI", "SA", "RD", "U"]
)
reading_keys = st.sampled_from(["TM", "TX", "RV", "RI", "RU", "RT", "ST", "EF"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(payload_keys | reading_keys, inner, max_size=3),
    max_leaves=8,
)


def record_text(payload: object, signature: object) -> bytes:
    return f"OCMF|{json.dumps(payload)}|{json.dumps(signature)}".encode()


readable = st.builds(
    lambda fields, found: record_text({**fields, "RD": found}, {"SD": "3006020101020101"}),
    st.dictionaries(payload_keys, scalars | st.lists(scalars, max_size=3), max_size=6),
    st.lists(st.dictionaries(reading_keys, scalars, max_size=6), min_size=1, max_size=3),
)
overwritten = st.builds(
    lambda at, data: PLAIN[:at] + data + PLAIN[at + len(data) :],
    st.integers(0, len(PLAIN)),
    st.binary(min_size=1, max_size=12),
)
hostile = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda first, second: b"OCMF|" + first + b"|" + second, st.binary(max_size=99), st.binary(max_size=99)),
    st.builds(record_text, json_values, json_values),
    readable,
    overwritten,
    st.integers(0, len(PLAIN)).map(lambda cut: PLAIN[:cut]),
)


@given(hostile)
@settings(max_examples=200, deadline=None)
def test_reading_raises_nothing_but_a_meter_record_error(raw: bytes) -> None:
    try:
        record = parse_ocmf(raw)
    except MeterRecordError:
        return
    assert raw.startswith(b"OCMF|" + record.payload_bytes + b"|")
    assert record.readings


@given(hostile)
@settings(max_examples=200, deadline=None)
def test_what_the_reader_calls_refused_by_safe_the_predictor_refuses_and_it_never_raises(raw: bytes) -> None:
    try:
        record = parse_ocmf(raw)
    except MeterRecordError:
        return
    prediction = predict_record(record)
    assert prediction is not None
    if any(found.deviation_class is DeviationClass.SAFE_REJECT for found in record.deviations):
        assert not prediction.accepts
    assert predict_session((record, ORIGINAL)) is not None


@given(
    st.builds(json.dumps, json_values)
    | st.text(st.sampled_from('{}[]":,0129.eE+-ab\\u\n nulltrfs'), max_size=30)
    | st.builds(lambda inner: f'{{"a":1,"a":{json.dumps(inner)}}}', json_values)
)
@settings(max_examples=200, deadline=None)
def test_the_plain_reading_of_json_says_what_the_careful_one_says(text: str) -> None:
    read = []
    for parse in (parse_object, parse_carefully):
        try:
            read.append((parse(text, "here"), None))
        except MeterRecordError as error:
            read.append((None, (error.code, str(error))))
    assert read[0] == read[1]


spelled = st.builds(
    lambda at, text: GOOD_TIME[:at] + text + GOOD_TIME[at + len(text) :],
    st.integers(0, 29),
    st.text(st.sampled_from("0129-+:,. TWSRIUZ٣"), min_size=1, max_size=3),
)
GOOD_TIME = "2026-11-23T08:30:15,250+0100 S"


@given(spelled | st.text(max_size=32))
@example(GOOD_TIME)
@example("2026-W47-1T08:30:15,250+0100 S")
@example("2026-11-23T24:00:00,000+0000 S")
@example("2026-02-29T08:30:15,250+0100 S")
@example("2026-11-23T08:30:15,250-0000 S")
@example("1899-11-23T08:30:15,250+0100 S")
@settings(max_examples=300, deadline=None)
def test_the_fast_reading_of_a_time_says_what_the_careful_one_says(text: str) -> None:
    fast, careful = parse_time(text), parse_time_carefully(text)
    assert fast == careful
    assert fast is None or careful is None or fast[0].utcoffset() == careful[0].utcoffset()


@given(hostile, hostile)
@settings(max_examples=200, deadline=None)
def test_judging_never_raises_and_never_trusts_what_was_not_signed(first: bytes, second: bytes) -> None:
    begin, end = judge_record(first, KEY, OTHER), judge_record(second, KEY, None)
    for raw, verdict in ((first, begin), (second, end)):
        assert (verdict.record is None) == (verdict.signature is SignatureVerdict.UNDECODABLE)
        if verdict.signature is SignatureVerdict.VALID:
            assert raw[SIGNED_FROM : SIGNED_TO + 1] == PLAIN[SIGNED_FROM : SIGNED_TO + 1]
    for finding in judge_session((begin, end)).findings:
        assert finding.message.encode()
    energy = judge_session((begin, end)).energy_wh
    assert energy is None or energy >= 0


@given(hostile | st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_unwrapping_never_raises_and_keeps_what_it_does_not_know(raw: bytes | str) -> None:
    unwrapped = unwrap(raw)
    if unwrapped.format is MeterFormat.UNKNOWN:
        assert unwrapped.payload == (raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)
    elif unwrapped.format is MeterFormat.OCMF:
        assert unwrapped.payload.startswith(b"OCMF|")


wrappings = st.lists(
    st.sampled_from([base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes, lambda data: data.hex().encode()]),
    max_size=4,
)


@given(st.binary(max_size=80).map(lambda data: b"OCMF|" + data.strip() + b"|"), wrappings)
@settings(max_examples=200, deadline=None)
def test_up_to_four_wrappings_come_off_without_a_trace(record: bytes, wraps: list[object]) -> None:
    carried = record
    for wrap in wraps:
        assert callable(wrap)
        carried = wrap(carried)
    assert unwrap(carried).payload == record


@given(st.binary(max_size=120) | st.text(max_size=120) | st.binary(max_size=90).map(lambda tail: KEY.spki[:-9] + tail))
@settings(max_examples=200, deadline=None)
def test_reading_a_key_raises_nothing_but_a_bad_key(data: bytes | str) -> None:
    try:
        key = parse_public_key(data)
    except MeterRecordError as error:
        if error.code != "bad-key":
            raise
        return
    assert parse_public_key(encode_public_key_oca(key)) == key


@given(st.integers(1, 2**250))
@settings(max_examples=50, deadline=None)
def test_every_key_comes_back_from_its_spellings(secret: int) -> None:
    key = public_key_of(ec.derive_private_key(secret, ec.SECP256R1()).public_key())
    point = key.spki[-65:]
    for spelling in (key.spki, key.spki.hex(), point, point[1:], point[1:].hex(), encode_public_key_oca(key)):
        assert parse_public_key(spelling) == key


@given(st.lists(values.map(abs), min_size=2, max_size=2).map(sorted), st.sampled_from(["kWh", "Wh"]))
@settings(max_examples=100, deadline=None)
def test_session_energy_is_the_exact_difference(registers: list[Decimal], unit: str) -> None:
    start = datetime(2026, 11, 23, 8, tzinfo=UTC)
    verdicts = []
    for number, (value, reason) in enumerate(zip(registers, [ReadingReason.BEGIN, ReadingReason.END], strict=True)):
        payload = OCMFPayload(
            pagination=Pagination(context=PaginationContext.TRANSACTION, number=number),
            meter_serial="MS-1",
            id_assigned=False,
            id_type="NONE",
            readings=(ReadingDraft(at=start, reason=reason, value=value, register="1-0:1.8.0", unit=unit),),
        )
        verdicts.append(judge_record(sign_ocmf(payload, PRIVATE), KEY, None))
    assert {finding.code for finding in judge_session(verdicts).findings} <= {"power-implausible"}
    numerators = [int(value.scaleb(12)) * (1000 if unit == "kWh" else 1) for value in registers]
    energy = judge_session(verdicts).energy_wh
    assert energy is not None
    assert int(energy.scaleb(12)) == numerators[1] - numerators[0]
