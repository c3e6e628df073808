"""Formats other than OCMF, verified against meters that write and sign by a second reading of the layouts."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings, strategies as st

from tests.wire.foreign_meters import (
    ABSENT,
    AT,
    AlfenMeter,
    EDL40Meter,
    ISAMeter,
    entry,
    list_answer,
    local_time,
    meter_key,
    octets,
    pcdf_record,
    several,
    signed,
    sml_file,
    unsigned,
    x25,
)
from wire.errors import MeterRecordError
from wire.meter.carrier import unwrap
from wire.meter.formats import READERS
from wire.meter.formats.alfen import MAX_ALFEN_BYTES, parse_alfen
from wire.meter.formats.edl40 import parse_edl40, parse_edl40_sig
from wire.meter.formats.isa import parse_isa
from wire.meter.formats.pcdf import MAX_PCDF_BYTES, parse_pcdf
from wire.meter.formats.sml import MAX_SML_BYTES, crc16, parse_list_response
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.record import (
    MeterClock,
    MeterFormat,
    MeterRecord,
    MeterStatus,
    PaginationContext,
    Reading,
    ReadingReason,
)
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict


def public(key: ec.EllipticCurvePrivateKey) -> PublicKey:
    return public_key_of(key.public_key())


STATION_KEY = public(meter_key(4, ec.SECP256R1()))

COMPENSATING = EDL40Meter(
    wide=True, status=0x8002_0104, before=11, compensated=192_106, resistance=1000, stopwatch=9, price=300
)

RECORDS: dict[str, tuple[MeterFormat, bytes, PublicKey, bytes]] = {
    "alfen": (MeterFormat.ALFEN, AlfenMeter().record(), public(AlfenMeter().key), AlfenMeter().dataset()),
    "edl40": (MeterFormat.EDL40, EDL40Meter().record(), public(EDL40Meter().key), EDL40Meter().buffer()),
    "edl40-wide": (
        MeterFormat.EDL40,
        COMPENSATING.record(),
        public(COMPENSATING.key),
        COMPENSATING.buffer(),
    ),
    "edl40-sig": (MeterFormat.EDL40_SIG, EDL40Meter().document(), public(EDL40Meter().key), EDL40Meter().buffer()),
    "edl40-sig-hex": (
        MeterFormat.EDL40_SIG,
        EDL40Meter(wide=True).document("hex"),
        public(EDL40Meter(wide=True).key),
        EDL40Meter(wide=True).buffer(),
    ),
    "isa": (MeterFormat.ISA_EDL_40P, ISAMeter().record(), public(ISAMeter().key), ISAMeter().buffer()),
    "pcdf": (MeterFormat.PCDF, pcdf_record(), STATION_KEY, pcdf_record().split(b"(SG:")[0]),
}
WITH_KEY = {"alfen", "edl40-sig", "edl40-sig-hex", "pcdf"}


def judged(record: bytes, key: PublicKey | None = None) -> RecordVerdict:
    return judge_record(unwrap(record), key)


def read(record: bytes) -> MeterRecord:
    unwrapped = unwrap(record)
    return READERS[unwrapped.format](unwrapped.payload)


def only_reading(record: bytes) -> Reading:
    (reading,) = read(record).readings
    return reading


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_verifies_with_its_meters_key_over_the_bytes_that_were_signed(name: str) -> None:
    format_, record, key, content = RECORDS[name]
    verdict = judged(record, key)
    assert (verdict.format, verdict.signature, verdict.key_source) == (
        format_,
        SignatureVerdict.VALID,
        KeySource.REGISTRY,
    )
    assert verdict.fallbacks == ()
    assert verdict.record is not None
    assert (verdict.record.payload_bytes, verdict.record.raw) == (content, record)


@pytest.mark.parametrize("name", RECORDS)
def test_a_key_inside_of_a_record_is_a_claim(name: str) -> None:
    verdict = judged(RECORDS[name][1])
    if name in WITH_KEY:
        assert (verdict.signature, verdict.key_source) == (SignatureVerdict.VALID, KeySource.CLAIMED)
    else:
        assert verdict.signature is SignatureVerdict.NO_KEY
    other = public(meter_key(9, ec.SECP192R1() if "192" in RECORDS[name][2].curve else ec.SECP256R1()))
    assert not judged(RECORDS[name][1], other).is_trusted


@pytest.mark.parametrize("name", RECORDS)
def test_no_byte_that_was_signed_can_change(name: str) -> None:
    _, record, key, _ = RECORDS[name]
    sound = read(record)
    for position in range(0, len(record), 7):
        altered = bytearray(record)
        altered[position] ^= 1
        verdict = judged(bytes(altered), key)
        if verdict.signature is SignatureVerdict.VALID:
            assert verdict.record is not None
            assert verdict.record.payload_bytes == sound.payload_bytes
            assert (verdict.record.meter_serial, verdict.record.pagination) == (sound.meter_serial, sound.pagination)
            assert [reading.value for reading in verdict.record.readings] == [
                reading.value for reading in sound.readings
            ]


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (AlfenMeter().record().replace(b"AP;0;3;", b"AP;0;3;!"), AlfenMeter().key),
        (EDL40Meter().document("hex").replace(b'<publicKey encoding="hex">', b"<publicKey>0"), EDL40Meter().key),
    ],
)
def test_an_unreadable_key_inside_does_not_cost_the_record(record: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    verdict = judged(record, public(key))
    assert verdict.is_trusted
    assert "key-unreadable" in [deviation.code for deviation in verdict.deviations]


# --- what they say ----------------------------------------------------------------------------------------------------


def test_alfen_in_ocmfs_terms() -> None:
    record = read(AlfenMeter().record())
    assert record.meter_serial == "0A01445A47003300ABCD"
    assert (record.gateway_serial, record.gateway_version) == ("0A54414C460000A1B2C3", "v010")
    assert record.format_version == "3"
    assert record.pagination is not None
    assert (record.pagination.context, record.pagination.number) == (PaginationContext.TRANSACTION, 13)
    assert (record.user.assigned, record.user.data) == (True, "04AABBCC")
    assert record.readings == (
        Reading(
            at=AT,
            clock=MeterClock.INFORMATIVE,
            reason=ReadingReason.BEGIN,
            value=Decimal(22423),
            register="01-00:01.08.00*FF",
            unit="Wh",
            status=MeterStatus.GOOD,
        ),
    )
    assert only_reading(AlfenMeter(kind="1").record()).reason is ReadingReason.END
    assert only_reading(AlfenMeter(kind="2").record()).reason is ReadingReason.CHARGING
    assert only_reading(AlfenMeter(seconds=0).record()).at is None


@pytest.mark.parametrize(
    ("bit", "status", "code"),
    [
        (0, MeterStatus.GOOD, None),
        (1, MeterStatus.OTHER_ERROR, "meter-error"),
        (2, MeterStatus.OTHER_ERROR, "meter-error"),
        (16, MeterStatus.OTHER_ERROR, "meter-error"),
        (26, MeterStatus.GOOD, "register-mismatch"),
        (30, MeterStatus.OTHER_ERROR, "meter-error"),
        (31, MeterStatus.OTHER_ERROR, "meter-error"),
    ],
)
def test_alfen_status_bits(bit: int, status: MeterStatus, code: str | None) -> None:
    record = read(AlfenMeter(status=1 << bit).record())
    assert record.readings[0].status is status
    assert [deviation.code for deviation in record.deviations] == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("value", "scaler", "text"),
    [(29_356_001, -1, "2935600.1"), (29_356_000, -1, "2935600.0"), (7, 3, "7E+3"), (0, -4, "0.0000")],
)
def test_values_are_exact_to_the_last_digit(value: int, scaler: int, text: str) -> None:
    for record in (AlfenMeter(value=value, scaler=scaler).record(), EDL40Meter(value=value, scaler=scaler).record()):
        reading = only_reading(record)
        assert str(reading.value) == text
        assert reading.energy_wh == Decimal(text)


@pytest.mark.parametrize("record", [AlfenMeter(unit=27).record(), EDL40Meter(unit=27).record()])
def test_another_unit_is_no_energy(record: bytes) -> None:
    assert only_reading(record).energy_wh is None
    assert "unknown-value" in [deviation.code for deviation in read(record).deviations]


def test_edl40_in_ocmfs_terms() -> None:
    record = read(EDL40Meter().record())
    assert record.meter_serial == "0901454D480000123456"
    assert record.pagination is not None
    assert record.pagination.number == 40
    assert record.user.data == "DEABC000000001"
    assert [deviation.code for deviation in record.deviations] == ["offset-unsigned"]
    assert record.readings == (
        Reading(
            at=AT,
            clock=MeterClock.INFORMATIVE,
            value=Decimal("2935600.1"),
            register="01-00:01.11.00*FF",
            unit="Wh",
            event_counter=Decimal(7),
            status=MeterStatus.GOOD,
        ),
    )
    reading = only_reading(EDL40Meter().record())
    assert reading.at is not None
    assert reading.at.utcoffset() == timedelta(hours=2)


def test_edl40_reads_the_compensated_register_where_there_is_one() -> None:
    reading = only_reading(EDL40Meter(wide=True, compensated=192_106).record())
    assert (reading.value, reading.register) == (Decimal("19210.6"), "01-00:01.11.00*C8")
    assert only_reading(EDL40Meter(wide=True).record()).register == "01-00:01.11.00*FF"


@pytest.mark.parametrize(
    ("meter", "status"),
    [
        (EDL40Meter(status=0x01), MeterStatus.OTHER_ERROR),
        (EDL40Meter(status=0x40), MeterStatus.MANIPULATED),
        (EDL40Meter(status=0xB0), MeterStatus.GOOD),
        (EDL40Meter(wide=True, status=1 << 17), MeterStatus.OTHER_ERROR),
        (EDL40Meter(wide=True, status=1 << 9), MeterStatus.MANIPULATED),
        (EDL40Meter(wide=True, status=0x41), MeterStatus.GOOD),
    ],
)
def test_edl40_status(meter: EDL40Meter, status: MeterStatus) -> None:
    assert judged(meter.record(), public(meter.key)).is_trusted
    assert only_reading(meter.record()).status is status


@pytest.mark.parametrize(
    ("contract", "data"),
    [(b"", None), (b"04AABB", "04AABB"), (b"\x01AB", "014142"), (b"\xff\xfe", "FFFE"), (b"x" * 128, "x" * 128)],
)
def test_an_identification_is_text_or_hex(contract: bytes, data: str | None) -> None:
    meter = EDL40Meter(contract=contract)
    record = read(meter.record())
    assert (record.user.data, record.user.assigned) == (data, data is not None)
    assert judged(meter.record(), public(meter.key)).is_trusted


@pytest.mark.parametrize("hours", [-11, 13, 16])
def test_the_offset_beside_a_signed_local_time_is_anybodys_word_and_is_said_so(hours: int) -> None:
    meter = EDL40Meter()
    moved = replace(
        meter,
        seconds=meter.seconds - hours * 3600 + 7200,
        contract_seconds=meter.contract_seconds - hours * 3600 + 7200,
        offset=hours * 60,
        season=0,
    )
    assert moved.buffer() == meter.buffer()
    verdict = judged(list_answer(meter.server_id, moved.entries(), meter.signature()), public(meter.key))
    assert verdict.is_trusted
    assert "offset-unsigned" in [deviation.code for deviation in verdict.deviations]
    assert verdict.record is not None
    (reading,) = verdict.record.readings
    if hours > 15:
        assert reading.at is None
    else:
        assert reading.at is not None
        assert reading.at.replace(tzinfo=UTC) == AT + timedelta(hours=2)
    assert verdict.record.at_slack == timedelta(days=1)
    assert read(AlfenMeter().record()).at_slack == timedelta(0)


def test_edl40_sig_knows_no_zone() -> None:
    record = read(EDL40Meter().document())
    assert [deviation.code for deviation in record.deviations] == ["offset-unsigned"]
    (reading,) = record.readings
    assert reading.clock is MeterClock.UNKNOWN
    assert reading.at == AT + timedelta(hours=2)
    assert reading.value == Decimal("2935600.1")


def test_isa_holds_both_ends() -> None:
    record = read(ISAMeter().record())
    assert record.meter_serial == "09014953410000000009"
    assert record.user.data == "04AABBCCDD1122"
    begin, end = record.readings
    assert (begin.reason, end.reason) == (ReadingReason.BEGIN, ReadingReason.END)
    assert (begin.value, end.value) == (Decimal("25695931.6"), Decimal("25695950.0"))
    assert begin.register == end.register == "01-00:01.08.00*FF"
    assert (begin.at, end.at) == (AT, AT + timedelta(minutes=30))
    assert begin.status is end.status is None


@pytest.mark.parametrize(
    ("number", "reasons"),
    [
        (0, [ReadingReason.BEGIN]),
        (1, [ReadingReason.BEGIN, ReadingReason.CHARGING]),
        (2, [ReadingReason.BEGIN, ReadingReason.END]),
    ],
)
def test_isas_list_name_says_when_in_the_session_it_was_made(number: int, reasons: list[ReadingReason]) -> None:
    record = read(ISAMeter(list_name=bytes.fromhex(f"81808162{number:02x}FF")).record())
    assert [reading.reason for reading in record.readings] == reasons


def test_pcdf_is_a_whole_session() -> None:
    record = read(pcdf_record())
    assert (record.meter_serial, record.meter_firmware) == ("39202000189", "513f627b")
    assert (record.user.type, record.user.data) == ("EMAID", "DEABC000000001")
    assert record.pagination is not None
    assert record.pagination.number == 18
    begin, end = record.readings
    assert (begin.reason, str(begin.value), begin.at) == (ReadingReason.BEGIN, "0.000", AT)
    assert (end.reason, str(end.value), end.unit) == (ReadingReason.END, "3.276", "kWh")
    assert end.at == datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
    assert begin.clock is end.clock is MeterClock.SYNCHRONISED


def test_pcdf_of_an_open_session_or_a_faulty_meter_is_valid_and_says_so() -> None:
    open_, faulty = judged(pcdf_record(SP="0"), STATION_KEY), judged(pcdf_record(BV="0", TV="0"), STATION_KEY)
    assert open_.is_trusted
    assert faulty.is_trusted
    assert open_.record is not None
    assert open_.record.readings[1].reason is ReadingReason.CHARGING
    assert faulty.record is not None
    reading = faulty.record.readings[1]
    assert (reading.status, reading.error_flags, reading.clock) == (MeterStatus.OTHER_ERROR, "E", MeterClock.UNKNOWN)


def test_formats_that_are_only_recognised_are_unsupported() -> None:
    for record in (b"<ChargingProcess/>", b'{"signedMeterValues":[]}', b'{"signedData":"ab","signature":"cd"}'):
        verdict = judged(record)
        assert (verdict.signature, verdict.record) == (SignatureVerdict.UNSUPPORTED, None)


# --- the frame of SML ------------------------------------------------------------------------------------------------


def test_crc_by_table_and_by_bits() -> None:
    assert crc16(b"123456789") == 0x906E
    for data in (b"", b"\x00", b"\x1b" * 9, bytes(range(256))):
        assert crc16(data).to_bytes(2, "little") == x25(data)


def test_a_checksum_that_does_not_hold_is_a_deviation_and_the_signature_decides() -> None:
    record = EDL40Meter().record()
    record = record[:-1] + bytes([record[-1] ^ 1])
    verdict = judged(record, public(EDL40Meter().key))
    assert verdict.is_trusted
    assert [deviation.code for deviation in verdict.deviations] == ["checksum", "offset-unsigned"]


def test_an_escape_sequence_inside_the_data_is_doubled_on_the_line() -> None:
    meter = EDL40Meter(contract=b"a" + b"\x1b" * 4 + b"b")
    assert b"\x1b" * 8 in meter.record()
    assert judged(meter.record(), public(meter.key)).is_trusted


def test_what_stands_behind_the_file_is_not_looked_at() -> None:
    meter = EDL40Meter()
    assert judged(meter.record() + b"\x00\xff", public(meter.key)).is_trusted


# --- what is refused --------------------------------------------------------------------------------------------------


def edl40(*, without: str = "", **changed: bytes) -> bytes:
    meter = EDL40Meter(wide=True)
    kept = [part for part in meter.entries() if not without or bytes.fromhex(without) not in part]
    return list_answer(changed.get("server", meter.server_id), kept, changed.get("signature", meter.signature()))


BEGIN, END = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01", b"\x1b\x1b\x1b\x1b\x1a\x00\x00\x00"
NESTED = BEGIN + b"\x71" * 40 + b"\x01" + END
VALUE = entry("0100011100FF", ABSENT)

REFUSED_SML = {
    "not-sml": b"\x1b\x1b\x1b\x1b\x02\x02\x02\x02" + END,
    "sml-cut": EDL40Meter().record()[:-8],
    "sml-form": BEGIN + b"\x76\x01" + END,
    "too-deep": NESTED,
    "too-large": BEGIN + bytes(MAX_SML_BYTES),
    "no-list": sml_file(),
    "duplicate-entry": list_answer(b"x" * 10, [VALUE, VALUE], b"s" * 50),
    "missing-entry": edl40(without="8180817101FF"),
    "signature-length": edl40(signature=b"s" * 48),
    "server-id-length": edl40(server=b"x" * 9),
    "contract-id-length": list_answer(
        b"x" * 10,
        [*EDL40Meter().entries()[:3], entry("8182815401FF", octets(b"y" * 129), time=local_time(1, 0, 0))],
        b"s" * 50,
    ),
    "out-of-range": list_answer(
        b"x" * 10,
        [
            entry(
                "0100011100FF",
                signed(-1, 8),
                status=unsigned(0, 1),
                time=local_time(1, 0, 0),
                unit=unsigned(30, 1),
                scaler=signed(0, 1),
            ),
            *EDL40Meter().entries()[1:],
        ],
        b"s" * 50,
    ),
    "sml-time": list_answer(
        b"x" * 10,
        [entry("0100011100FF", unsigned(1, 1), status=unsigned(0, 1)), *EDL40Meter().entries()[1:]],
        b"s" * 50,
    ),
    "scaler": EDL40Meter(scaler=60).record(),
}


@pytest.mark.parametrize("code", REFUSED_SML)
def test_sml_that_is_no_edl40_is_refused_with_a_reason(code: str) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_edl40(REFUSED_SML[code])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"\x71",
        b"\x76",
        b"\x8f\x8f\x8f\x8f\x8f\x0f",
        b"\x80",
        b"\x80\x70",
        b"\x43\x01\x01",
        b"\x5a" + bytes(9),
        b"\x31",
    ],
)
def test_fields_that_are_none_are_refused(content: bytes) -> None:
    with pytest.raises(MeterRecordError):
        parse_list_response(BEGIN + content + END)


def test_an_answer_that_is_none_is_refused() -> None:
    for body in (several(ABSENT), several(*[ABSENT] * 7), several(ABSENT, *[several(several(ABSENT))] * 6)):
        message = several(
            octets(b"1"), unsigned(0, 1), unsigned(0, 1), several(unsigned(0x0701, 4), body), ABSENT, b"\x00"
        )
        with pytest.raises(MeterRecordError):
            parse_list_response(sml_file(message))


REFUSED_ISA = {
    "list-name": ISAMeter(list_name=bytes.fromhex("8180816203FF")).record(),
    "field-length": ISAMeter(station=b"short").record(),
    "missing-entry": EDL40Meter().record(),
}


@pytest.mark.parametrize("code", REFUSED_ISA)
def test_sml_that_is_no_isa_record_is_refused_with_a_reason(code: str) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_isa(REFUSED_ISA[code])
    assert caught.value.code == code


ALFEN = AlfenMeter().record().rstrip(b";").split(b";")


def alfen(**changed: bytes) -> bytes:
    names = ("identifier", "type", "version", "key", "dataset", "signature")
    return b";".join(changed.get(name, part) for name, part in zip(names, ALFEN, strict=True))


REFUSED_ALFEN = [
    ("not-alfen", alfen(identifier=b"AX")),
    ("sections", alfen(type=b"3")),
    ("sections", alfen() + b";more"),
    ("sections", b"AP;0;3"),
    ("encoding", alfen(dataset=b"0189")),
    ("encoding", alfen(signature=b"A")),
    ("dataset-length", alfen(dataset=base64.b32encode(bytes(81)))),
    ("signature-length", alfen(signature=base64.b32encode(bytes(47)))),
    ("too-large", b"AP;" + b"A" * MAX_ALFEN_BYTES),
    ("scaler", AlfenMeter(scaler=-128).record()),
]


@pytest.mark.parametrize(("code", "record"), REFUSED_ALFEN)
def test_text_that_is_no_alfen_record_is_refused_with_a_reason(code: str, record: bytes) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_alfen(record)
    assert caught.value.code == code


REFUSED_PCDF = [
    ("not-pcdf", b"128.8.0(ST)"),
    ("not-pcdf", b"128.8.0"),
    ("not-pcdf", pcdf_record(HW="a(b")),
    ("not-utf8", b"128.8.0(ST:\xff)"),
    ("too-large", b"128.8.0(ST:" + b"0" * MAX_PCDF_BYTES + b")"),
    ("missing-field", pcdf_record(CS="")),
    ("duplicate-field", pcdf_record().replace(b"(TV:1)", b"(TV:1)(TV:1)")),
    ("signature-not-last", pcdf_record() + b"(XX:1)"),
    ("field-form", pcdf_record(ST="261301120000")),
    ("field-form", pcdf_record(ST="2607011200")),
    ("field-form", pcdf_record(CT="26070112000٣")),
    ("field-form", pcdf_record(SP="3")),
    ("field-form", pcdf_record(BV="2")),
    ("field-form", pcdf_record(TV="x")),
    ("field-form", pcdf_record(RV="3.276*kWh")),
    ("field-form", pcdf_record(RV="0003.276*Wh")),
    ("field-form", pcdf_record(SI="nobody")),
    ("field-form", pcdf_record(CSC="-1")),
    ("field-form", pcdf_record(PK="04")),
    ("encoding", pcdf_record(PK="0x")),
]


@pytest.mark.parametrize(("code", "record"), REFUSED_PCDF)
def test_text_that_is_no_pcdf_record_is_refused_with_a_reason(code: str, record: bytes) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_pcdf(record)
    assert caught.value.code == code


def document(value: bytes = bytes(320), signature: bytes = bytes(48), encoding: str = "hex") -> bytes:
    return (
        f'<signedMeterValue><encodedMeterValue encoding="{encoding}">{value.hex()}</encodedMeterValue>'
        f'<meterValueSignature encoding="hex">{signature.hex()}</meterValueSignature></signedMeterValue>'
    ).encode()


REFUSED_XML = [
    ("not-xml", b"<signedMeterValue>"),
    ("xml-doctype", b"<!DOCTYPE a [<!ENTITY b 'c'>]><signedMeterValue>&b;</signedMeterValue>"),
    ("not-edl40-sig", b"<signedMeterValue/>"),
    ("dataset-length", document(value=bytes(319))),
    ("signature-length", document(signature=bytes(47))),
    ("encoding", document(encoding="base32")),
    ("encoding", document(encoding="base64").replace(b"00", b"%%")),
    ("encoding", document().replace(b"00", b"xx")),
    ("scaler", document(value=bytes(30) + b"\x7f" + bytes(289))),
]


@pytest.mark.parametrize(("code", "record"), REFUSED_XML)
def test_xml_that_is_no_signed_value_is_refused_with_a_reason(code: str, record: bytes) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_edl40_sig(record)
    assert caught.value.code == code


SOUND = [record for _, record, _, _ in RECORDS.values()]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    record = bytearray(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(record) - 1))
        record[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(record)


@given(damaged() | st.binary(max_size=200).map(lambda data: BEGIN + data + END))
@settings(max_examples=150, deadline=None)
def test_readers_refuse_what_they_cannot_read_and_nothing_else_happens(record: bytes) -> None:
    for reader in READERS.values():
        with contextlib.suppress(MeterRecordError):
            reader(record)
    unwrap(record)
