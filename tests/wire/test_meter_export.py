"""Records for others to check carry the exact bytes, are well-formed whatever is in them, and are never shortened."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings, strategies as st

from tests.wire.foreign_meters import AlfenMeter, EDL40Meter, ISAMeter, pcdf_record, point_of
from wire.errors import MeterExportError, MeterRecordError
from wire.meter.carrier import Layer, unwrap
from wire.meter.export import (
    OCPI_DATA_CHARS,
    Nature,
    OverLimit,
    SafeValue,
    ValueContext,
    ocpi_signed_values,
    parse_safe_xml,
    read_ocpi_value,
    safe_key_text,
    safe_xml,
)
from wire.meter.keys import public_key_of
from wire.meter.record import MeterFormat
from wire.meter.xml_text import MAX_ELEMENTS, MAX_XML_BYTES, parse_xml
from wire.records import SignedValue

BEGIN = b'OCMF|{"PG":"T1","RD":[{"TX":"B","RV":1}]}|{"SD":"00"}'
END = b'OCMF|{"PG":"T2","RD":[{"TX":"E","RV":2}]}|{"SD":"01"}'
BOTH = b'OCMF|{"PG":"T3","RD":[{"TX":"B","RV":1},{"TX":"E","RV":2}]}|{"SD":"02"}'


def value(payload: bytes, number: int | None = None, context: ValueContext | None = None) -> SafeValue:
    format_ = MeterFormat.OCMF
    return SafeValue(payload=payload, format=format_, public_key="00ff", transaction_id=number, context=context)


PAIR = [value(BEGIN, 7, ValueContext.BEGIN), value(END, 7, ValueContext.END)]


def read_back(document: bytes) -> list[SafeValue]:
    """The values of the file as they were before they were written."""
    return [
        SafeValue(
            payload=each.record.payload,
            format=each.record.format,
            public_key=each.public_key,
            transaction_id=None if each.transaction is None else int(each.transaction),
            context=None if each.context is None else ValueContext(each.context),
        )
        for each in parse_safe_xml(document)
    ]


def texts(document: bytes, name: str) -> list[str]:
    """Read by another parser than the one under test."""
    return [element.text or "" for element in ElementTree.fromstring(document).iter(name)]


# --- the transparency software --------------------------------------------------------------------------------------


def test_the_file_holds_pairs_and_single_records_as_they_are() -> None:
    document = safe_xml([*PAIR, value(BOTH)])
    root = ElementTree.fromstring(document)
    assert root.tag == "values"
    assert [element.attrib for element in root] == [
        {"transactionId": "7", "context": "Transaction.Begin"},
        {"transactionId": "7", "context": "Transaction.End"},
        {},
    ]
    assert [element.attrib for element in root.iter("signedData")] == [{"format": "OCMF", "encoding": "plain"}] * 3
    assert [element.attrib for element in root.iter("publicKey")] == [{"encoding": "hex"}] * 3
    assert texts(document, "signedData") == [BEGIN.decode(), END.decode(), BOTH.decode()]
    assert texts(document, "publicKey") == ["00ff"] * 3
    assert read_back(document) == [*PAIR, value(BOTH)]


def test_every_format_goes_and_comes_back() -> None:
    records = [
        AlfenMeter().record(),
        EDL40Meter().record(),
        EDL40Meter().document(),
        ISAMeter().record(),
        pcdf_record(),
    ]
    values = [SafeValue(payload=record, format=unwrap(record).format) for record in records]
    document = safe_xml(values)
    assert read_back(document) == values
    names = [element.attrib["format"] for element in ElementTree.fromstring(document).iter("signedData")]
    assert names == ["ALFEN", "EDL_40_P", "EDL_40_SIG", "ISA_EDL_40_P", "PCDF"]
    assert texts(document, "signedData")[1] == records[1].hex().upper()


def test_carriage_returns_and_markup_survive_any_reader() -> None:
    record = b'OCMF|{"PG":"T1",\r\n"TT":"<a>&amp;]]>\'\xc3\xa4"}|{\r"SD":"00"}'
    document = safe_xml([value(record)])
    assert texts(document, "signedData") == [record.decode()]
    assert parse_safe_xml(document)[0].record.payload == record


@pytest.mark.parametrize("hostile", [b"\x00", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbf\xbf"])
def test_what_xml_cannot_say_stands_in_base64(hostile: bytes) -> None:
    record = b'OCMF|{"PG":"' + hostile + b'"}|{"SD":"00"}'
    document = safe_xml([value(record)])
    assert [element.attrib["encoding"] for element in ElementTree.fromstring(document).iter("signedData")] == ["base64"]
    assert parse_safe_xml(document)[0].record.payload == record


@given(st.binary(max_size=60), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_file_is_well_formed_and_exact_for_every_record_and_key(inside: bytes, key: str) -> None:
    record = b"OCMF|" + inside.replace(b"|", b"") + b'|{"SD":"00"}'
    document = safe_xml([SafeValue(payload=record, format=MeterFormat.OCMF, public_key=key)])
    ElementTree.fromstring(document)
    assert parse_safe_xml(document)[0].record.payload == record


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("no-values", []),
        ("transaction-pair", PAIR[:1]),
        ("transaction-pair", [*PAIR, PAIR[0]]),
        ("transaction-pair", [PAIR[0], PAIR[0]]),
        ("transaction-pair", [value(BEGIN, 7)]),
        ("transaction-pair", [value(BEGIN, None, ValueContext.BEGIN)]),
        ("format-unknown", [SafeValue(payload=b"{}", format=MeterFormat.CHARGEIT)]),
        ("format-unknown", [SafeValue(payload=b"{}", format=MeterFormat.UNKNOWN)]),
        ("too-large", [value(b"OCMF|" + b"a" * MAX_XML_BYTES)]),
    ],
)
def test_what_the_software_cannot_import_is_refused(code: str, values: list[SafeValue]) -> None:
    with pytest.raises(MeterExportError) as caught:
        safe_xml(values)
    assert caught.value.code == code


def test_keys_are_spelled_as_the_software_takes_them() -> None:
    old, new, alfen = EDL40Meter().key, ISAMeter().key, AlfenMeter().key
    assert (
        safe_key_text(MeterFormat.OCMF, public_key_of(new.public_key())) == public_key_of(new.public_key()).spki.hex()
    )
    assert safe_key_text(MeterFormat.EDL40, public_key_of(old.public_key())) == point_of(old)[1:].hex()
    assert safe_key_text(MeterFormat.ISA_EDL_40P, public_key_of(new.public_key())) == point_of(new)[1:].hex()
    assert safe_key_text(MeterFormat.PCDF, public_key_of(new.public_key())) == point_of(new).hex()
    compressed = point_of(alfen, compressed=True).hex()
    assert safe_key_text(MeterFormat.ALFEN, public_key_of(alfen.public_key())) == compressed


@pytest.mark.parametrize(
    ("key", "encoding"), [("0xab", "base64"), ("AB CD", "hex"), ("a b+/=", "base64"), ("ä", "plain")]
)
def test_the_encoding_of_a_key_is_named(key: str, encoding: str) -> None:
    document = safe_xml([SafeValue(payload=BOTH, format=MeterFormat.OCMF, public_key=key)])
    assert [element.attrib["encoding"] for element in ElementTree.fromstring(document).iter("publicKey")] == [encoding]


LAUGHS = (
    b'<!DOCTYPE values [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    b"<values><value><signedData>&c;</signedData></value></values>"
)


@pytest.mark.parametrize(
    ("code", "document"),
    [
        ("not-safe-xml", b"<a/>"),
        ("not-safe-xml", b"<values/>"),
        ("not-xml", b""),
        ("not-xml", b"<values>"),
        ("not-xml", b"<values>&a;</values>"),
        ("not-xml", b'<?xml version="1.0" encoding="no-such"?><values/>'),
        ("xml-doctype", LAUGHS),
        ("xml-doctype", b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><values/>'),
        ("too-deep", b"<values>" * 33),
        ("too-many-elements", b"<values>" + b"<a/>" * MAX_ELEMENTS + b"</values>"),
        ("too-large", b"<values>" + b" " * MAX_XML_BYTES),
    ],
)
def test_hostile_or_other_xml_is_refused_with_a_reason(code: str, document: bytes) -> None:
    with pytest.raises(MeterRecordError) as caught:
        parse_safe_xml(document)
    assert caught.value.code == code


def test_what_others_write_is_read_and_what_is_unknown_is_kept() -> None:
    document = (
        "<?xml version='1.0' encoding='UTF-8'?>\n<values xmlns='urn:x'>\n"
        f"<value transactionId=' 12 ' context='Transaction.Begin'><publicKey> 00 </publicKey>"
        f"<signedData format='OCMF'>\n {BEGIN.hex()}\n</signedData></value>"
        "<value transactionId='x' context='Other'><signedData>who knows</signedData></value>"
        "<value><encodedData encoding='hex'> 3082 </encodedData></value><value/></values>"
    ).encode()
    first, unknown, sealed, empty = parse_safe_xml(document)
    assert (first.record.payload, first.public_key, first.transaction) == (BEGIN, "00", "12")
    assert first.context == ValueContext.BEGIN
    assert (unknown.record.payload, unknown.record.format) == (b"who knows", MeterFormat.UNKNOWN)
    assert (unknown.transaction, unknown.context) == ("x", "Other")
    assert (sealed.record.payload, sealed.record.format) == (b"3082", MeterFormat.SEALED_OCMF)
    assert (empty.record.payload, empty.record.format, empty.public_key) == (b"", MeterFormat.UNKNOWN, None)


def test_an_element_knows_its_children_and_text() -> None:
    root = parse_xml(b"<p:a x='1'>one<b>two</b>three<b/></p:a>", "test")
    assert (root.name, root.attributes, root.text) == ("a", {"x": "1"}, "onethree")
    assert [element.text for element in root.all_named("b")] == ["two", ""]
    assert root.child("c") is None


# --- OCPI -----------------------------------------------------------------------------------------------------------


def test_ocpi_carries_the_whole_record_and_base64_of_the_same_bytes() -> None:
    data, excess = ocpi_signed_values([(Nature.START, unwrap(BEGIN)), (Nature.END, unwrap(END))], "a2V5")
    assert excess == ()
    assert (data.encoding_method, data.public_key) == ("OCMF", "a2V5")
    assert [entry.nature for entry in data.signed_values] == ["Start", "End"]
    for entry, record in zip(data.signed_values, (BEGIN, END), strict=True):
        assert entry.plain_data == record.decode()
        assert base64.b64decode(entry.signed_data) == record
        assert read_ocpi_value(entry).record.payload == record
        assert read_ocpi_value(entry).agrees


def test_one_record_that_came_at_both_ends_is_one_end_value() -> None:
    data, _ = ocpi_signed_values([(Nature.START, unwrap(BOTH)), (Nature.END, unwrap(BOTH))], None)
    assert [entry.nature for entry in data.signed_values] == ["End"]


@pytest.mark.parametrize(
    ("record", "given", "name"),
    [
        (AlfenMeter().record(), None, "Alfen Eichrecht"),
        (EDL40Meter().record(), "other", "EDL40 E-Mobility Extension"),
        (b"<ChargingProcess/>", None, "EDL40 Mennekes"),
        (b"what", "Their Own", "Their Own"),
        (pcdf_record(), None, "PCDF"),
    ],
)
def test_ocpi_names_the_format(record: bytes, given: str | None, name: str) -> None:
    data, _ = ocpi_signed_values([(Nature.END, unwrap(record))], None, given)
    assert data.encoding_method == name
    assert base64.b64decode(data.signed_values[0].signed_data) == record


def test_over_a_limit_everything_is_kept_and_said() -> None:
    long = b'OCMF|{"TT":"' + b"a" * 4000 + b'"}|{"SD":"00"}'
    data, excess = ocpi_signed_values([(Nature.END, unwrap(long))], "k" * 600)
    assert data.signed_values[0].plain_data == long.decode()
    size = len(data.signed_values[0].signed_data)
    assert excess == (
        OverLimit(field="public_key", size=600, limit=512),
        OverLimit(field="signed_values[0].signed_data", size=size, limit=OCPI_DATA_CHARS),
    )
    assert str(excess[0]) == "public_key has 600 characters, at most 512 are allowed"


def test_no_record_is_no_signed_data() -> None:
    with pytest.raises(MeterExportError) as caught:
        ocpi_signed_values([], None)
    assert caught.value.code == "no-values"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PAYLOAD, SIGNATURE = BEGIN.split(b"|")[1:]


@pytest.mark.parametrize(
    ("plain", "signed", "layers"),
    [
        (BEGIN.decode(), b64(BEGIN), (Layer.BASE64,)),
        (PAYLOAD.decode(), b64(BEGIN), (Layer.BASE64,)),
        ("", b64(BEGIN), (Layer.BASE64,)),
        (BEGIN.decode(), BEGIN.decode(), ()),
        (BEGIN.decode(), "", ()),
        (BEGIN.decode(), "3045", ()),
        (b64(BEGIN), "", (Layer.BASE64,)),
        (PAYLOAD.decode(), b64(SIGNATURE), (Layer.SPLIT,)),
        (PAYLOAD.decode(), SIGNATURE.decode(), (Layer.SPLIT,)),
    ],
)
def test_ocpi_is_read_in_every_way_in_which_senders_fill_it(plain: str, signed: str, layers: tuple[Layer, ...]) -> None:
    found = read_ocpi_value(SignedValue(nature="Start", plain_data=plain, signed_data=signed))
    assert (found.record.payload, found.record.layers, found.agrees) == (BEGIN, layers, True)


def test_a_plain_text_that_says_something_else_is_told() -> None:
    for plain in (END.decode(), "something", PAYLOAD.decode() + " "):
        found = read_ocpi_value(SignedValue(nature="?", plain_data=plain, signed_data=b64(BEGIN)))
        assert found.record.payload == BEGIN
        assert found.agrees == (plain.strip() == PAYLOAD.decode())


@pytest.mark.parametrize(
    ("plain", "signed"),
    [("", ""), ("x", "y"), ("{}", "{}"), ("{", b64(SIGNATURE)), ("{}", b64(b"\xff")), ("\ud800", "\ud800")],
)
def test_what_is_no_record_is_unknown_as_it_stood(plain: str, signed: str) -> None:
    found = read_ocpi_value(SignedValue(nature="End", plain_data=plain, signed_data=signed))
    assert found.record.format is MeterFormat.UNKNOWN
    assert found.record.payload == signed.encode("utf-8", "surrogatepass")
