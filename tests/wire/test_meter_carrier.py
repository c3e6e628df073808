"""What OCPP wraps around a meter record comes off; what is no record stays as it came."""

from __future__ import annotations

import base64
import json
import textwrap
import time
from collections.abc import Callable
from xml.sax.saxutils import escape

import pytest

from wire.meter.carrier import MAX_CARRIER_BYTES, Layer, join_split, split_records, unwrap
from wire.meter.record import MeterFormat

RECORD = b'OCMF|{"PG":"T1","RD":[{"RV":1}]}|{"SD":"00"}'
TEXT = RECORD.decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def envelope(data: str, **more: object) -> str:
    members = {"signedMeterData": data, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "a2V5"}
    return json.dumps({**members, **more})


def safe(data: str) -> str:
    return (
        '<?xml version="1.0"?><values><value><signedData format="OCMF" encoding="plain">'
        f"{escape(data)}</signedData><publicKey encoding='hex'> a2V5\n</publicKey></value></values>"
    )


CARRIED: list[tuple[bytes | str, tuple[Layer, ...]]] = [
    (RECORD, ()),
    (TEXT, ()),
    (f"\r\n {TEXT}\n", (Layer.WHITE_SPACE,)),
    (RECORD.hex(), (Layer.HEX,)),
    (RECORD.hex().upper().encode(), (Layer.HEX,)),
    (b64(RECORD), (Layer.BASE64,)),
    (b64(RECORD).rstrip("="), (Layer.BASE64,)),
    (base64.urlsafe_b64encode(RECORD), (Layer.BASE64,)),
    (base64.encodebytes(RECORD), (Layer.BASE64,)),
    (b64(b64(RECORD).encode()), (Layer.BASE64, Layer.BASE64)),
    (b64(RECORD.hex().encode()), (Layer.BASE64, Layer.HEX)),
    (b64(RECORD).encode().hex(), (Layer.HEX, Layer.BASE64)),
    (envelope(b64(RECORD)), (Layer.JSON, Layer.BASE64)),
    (envelope(TEXT), (Layer.JSON,)),
    (envelope(b64(b64(RECORD).encode())), (Layer.JSON, Layer.BASE64, Layer.BASE64)),
    (b64(envelope(b64(RECORD)).encode()), (Layer.BASE64, Layer.JSON, Layer.BASE64)),
    (b64(b64(b64(b64(RECORD).encode()).encode()).encode()), (Layer.BASE64,) * 4),
    (b"\xef\xbb\xbf" + RECORD, (Layer.BYTE_ORDER_MARK,)),
    ("\ufeff \n" + TEXT, (Layer.BYTE_ORDER_MARK, Layer.WHITE_SPACE)),
    ("0x" + RECORD.hex(), (Layer.HEX,)),
    ("0X" + RECORD.hex().upper(), (Layer.HEX,)),
    ("\r\n".join(textwrap.wrap(RECORD.hex(), 64)), (Layer.HEX,)),
    ("\n".join(textwrap.wrap(b64(RECORD), 64)), (Layer.BASE64,)),
    (base64.urlsafe_b64encode(RECORD).rstrip(b"="), (Layer.BASE64,)),
    (json.dumps(TEXT), (Layer.JSON,)),
    (b"\xef\xbb\xbf" + envelope(b64(RECORD)).encode(), (Layer.BYTE_ORDER_MARK, Layer.JSON, Layer.BASE64)),
    (safe(TEXT), (Layer.XML,)),
    (safe(RECORD.hex()), (Layer.XML, Layer.HEX)),
]


@pytest.mark.parametrize(("raw", "layers"), CARRIED)
def test_every_carrier_gives_back_the_exact_record_and_names_its_layers(
    raw: bytes | str, layers: tuple[Layer, ...]
) -> None:
    unwrapped = unwrap(raw)
    assert unwrapped.payload == RECORD
    assert unwrapped.layers == layers
    assert unwrapped.format is MeterFormat.OCMF
    assert not unwrapped.cut
    beside_key = Layer.XML in layers or (Layer.JSON in layers and raw != json.dumps(TEXT))
    assert unwrapped.public_key_claim == ("a2V5" if beside_key else None)


def test_bytes_that_are_no_text_pass_through_base64_unchanged() -> None:
    latin = RECORD.replace(b"T1", b"\xfc\r\n")
    assert unwrap(b64(latin)).payload == latin


@pytest.mark.parametrize("key", ["", "  ", None, 7, "ключ"])
def test_an_empty_or_unusable_key_is_no_claim(key: object) -> None:
    assert unwrap(envelope(b64(RECORD), publicKey=key)).public_key_claim is None


def test_an_envelope_without_a_key_is_fine() -> None:
    unwrapped = unwrap(json.dumps({"signedMeterData": b64(RECORD)}))
    assert (unwrapped.payload, unwrapped.public_key_claim) == (RECORD, None)


UNKNOWN: list[bytes | str] = [
    "",
    b"",
    "  ",
    "0",
    "abcd",
    "<a/>",
    "<a",
    "<!DOCTYPE values [<!ENTITY a 'b'>]><values>&a;</values>",
    "AP",
    "128.8.0",
    "1b1b1b",
    b"\x00\xff",
    "{",
    "[" * 100_000,
    "{" * 100_000,
    '{"a":' * 50_000,
    "\ud800",
    '"OCMF|',
    json.dumps("nothing"),
    envelope("nothing"),
    json.dumps({"signedMeterData": 7}),
    "OCM",
    b64(b64(b64(b64(b64(RECORD).encode()).encode()).encode()).encode()),
    b64(RECORD) + "!",
    "A" * (MAX_CARRIER_BYTES + 1),
]


@pytest.mark.parametrize("raw", UNKNOWN, ids=range(len(UNKNOWN)))
def test_what_is_no_record_is_kept_as_it_came(raw: bytes | str) -> None:
    unwrapped = unwrap(raw)
    assert unwrapped.format is MeterFormat.UNKNOWN
    assert unwrapped.payload == (raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw)
    assert unwrapped.layers == ()


def test_the_claim_of_an_envelope_around_something_unknown_is_kept() -> None:
    unwrapped = unwrap(envelope("nothing", signingMethod="ECDSA-secp256r1-SHA256"))
    assert unwrapped.format is MeterFormat.UNKNOWN
    assert unwrapped.public_key_claim == "a2V5"
    assert unwrapped.encoding_method == "OCMF"
    assert unwrapped.signing_method == "ECDSA-secp256r1-SHA256"


# --- formats ----------------------------------------------------------------------------------------------------------

ALFEN = b"AP;0;2;" + b"A" * 40 + b";" + b"B" * 132 + b";" + b"C" * 80
SML = bytes.fromhex("1b1b1b1b01010101") + b"\x76\x02 0100011100FF \x00" + bytes.fromhex("1b1b1b1b1a000d0a")
ISA = SML.replace(b"0100011100FF", bytes.fromhex("8180c7f040ff"))
PCDF = b"128.8.0(ST:210902105044)(SG:3045)"
EDL40_SIG = b"<signedMeterValue><publicKey encoding='hex'>00</publicKey></signedMeterValue>"
SEALED = b"<values><value><encodedData format='OCMF' encoding='hex'>3082</encodedData></value></values>"
TWO = safe(TEXT).replace("</values>", "<value><signedData>x</signedData></value></values>").encode()

FORMATS = {
    ALFEN: MeterFormat.ALFEN,
    SML: MeterFormat.EDL40,
    ISA: MeterFormat.ISA_EDL_40P,
    PCDF: MeterFormat.PCDF,
    EDL40_SIG: MeterFormat.EDL40_SIG,
    b"<?xml version='1.0'?>\n<!-- a --><m:ChargingProcess xmlns:m='urn:a'/>": MeterFormat.EDL40_MENNEKES,
    b"<Billing xmlns='urn:a'><BillingPeriods/></Billing>": MeterFormat.EDL40_MENNEKES,
    SEALED: MeterFormat.SEALED_OCMF,
    TWO: MeterFormat.SAFE_VALUES,
    b'{"placeInfo":{},"signedMeterValues":[]}': MeterFormat.CHARGEIT,
    b'{"@context":"https://example.org/contexts/bsm-ws36a-json-v1"}': MeterFormat.BSM,
    b'{"session_id":55,"meter_serial":"2","meter_startreading":74.6}': MeterFormat.CHARGEPOINT,
    b'{"signedData":"ab","signature":"cd"}': MeterFormat.SNAPSHOT,
}


@pytest.mark.parametrize("record", FORMATS, ids=[format_.value for format_ in FORMATS.values()])
@pytest.mark.parametrize(
    ("carry", "layers"),
    [
        (bytes, ()),
        (lambda record: record.hex(), (Layer.HEX,)),
        (b64, (Layer.BASE64,)),
        (lambda record: b64(b64(record).encode()), (Layer.BASE64, Layer.BASE64)),
        (lambda record: envelope(b64(record)), (Layer.JSON, Layer.BASE64)),
    ],
    ids=["bare", "hex", "base64", "twice", "envelope"],
)
def test_every_format_is_told_by_its_own_bytes_and_kept_exactly(
    record: bytes, carry: Callable[[bytes], bytes | str], layers: tuple[Layer, ...]
) -> None:
    unwrapped = unwrap(carry(record))
    assert (unwrapped.format, unwrapped.layers, unwrapped.payload) == (FORMATS[record], layers, record)
    assert not unwrapped.cut


@pytest.mark.parametrize(
    "framed", [b"\x02" + PCDF + b"\x03", b"\\u0002" + PCDF + b"\\u0003", b"\x02" + PCDF + b"\x03A"]
)
def test_the_frame_of_a_serial_line_comes_off(framed: bytes) -> None:
    unwrapped = unwrap(framed)
    assert (unwrapped.format, unwrapped.layers, unwrapped.payload) == (MeterFormat.PCDF, (Layer.FRAME,), PCDF)


@pytest.mark.parametrize("text", [b"<!---->" * 40_000, b"<!-- " * 40_000, b"<?xml " * 40_000, b"<a:" * 40_000])
def test_a_text_that_only_begins_like_xml_costs_what_its_length_costs(text: bytes) -> None:
    begun = time.process_time()
    assert unwrap(text).format is MeterFormat.UNKNOWN
    assert time.process_time() - begun < 1


def test_white_space_that_ends_binary_data_is_data() -> None:
    assert unwrap(b" " + SML).payload == SML
    assert SML.endswith(b"\r\n")


def test_the_payload_stays_out_of_logs() -> None:
    assert "PG" not in repr(unwrap(RECORD))
    assert "OCMF" in repr(unwrap(RECORD))


# --- cut, split, several ----------------------------------------------------------------------------------------------

LONG = b'OCMF|{"PG":"T1","TT":"' + b"a" * 3000 + b'","RD":[{"RV":1}]}|{"SD":"00"}'


@pytest.mark.parametrize("limit", [255, 500, 512, 2500])
@pytest.mark.parametrize("carry", [bytes.decode, b64, bytes.hex], ids=["bare", "base64", "hex"])
def test_a_record_cut_at_a_limit_is_kept_and_marked(limit: int, carry: Callable[[bytes], str]) -> None:
    unwrapped = unwrap(carry(LONG)[:limit])
    assert unwrapped.format is MeterFormat.OCMF
    assert unwrapped.cut
    assert LONG.startswith(unwrapped.payload)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_text_that_ends_inside_a_quantum_or_a_byte_is_cut(kept: int) -> None:
    assert unwrap(b64(RECORD)[: 40 + kept]).cut
    assert unwrap(RECORD.hex()[: 40 + kept]).cut


@pytest.mark.parametrize(
    "raw",
    [
        "OCMF|",
        'OCMF|{"PG":"T1"}',
        'OCMF|{"PG":"T1"}|',
        'OCMF|{"PG":"T1"}|{"SD":"0',
        envelope(b64(RECORD))[:-9],
        "x" * 2500,
        ALFEN[:-4],
        ALFEN[:50],
        SML[:-8],
        PCDF[:20],
        PCDF[:-1],
        TWO[:-3],
        EDL40_SIG[:30],
    ],
)
def test_what_lacks_its_end_is_cut(raw: bytes | str) -> None:
    assert unwrap(raw).cut


@pytest.mark.parametrize(
    "raw", ["abcde", "x" * 2499, "\x00\xff?" * 85 + "?", "?!" * 256, "OCM", 'OCMF|{}|{"SD":"00"}|key', "abc", "<a>"]
)
def test_what_is_only_strange_is_not_called_cut(raw: str) -> None:
    assert not unwrap(raw).cut


def parts_of(text: str, size: int = 1000) -> list[str]:
    return [text[begin : begin + size] for begin in range(0, len(text), size)]


@pytest.mark.parametrize(
    ("parts", "layers"),
    [
        (parts_of(LONG.decode()), (Layer.SPLIT,)),
        (parts_of(b64(LONG)), (Layer.SPLIT, Layer.BASE64)),
        (parts_of(LONG.hex()), (Layer.SPLIT, Layer.HEX)),
        ([part + "\n" for part in parts_of(b64(LONG))], (Layer.SPLIT, Layer.BASE64)),
        ([b64(part.encode()) for part in parts_of(LONG.decode())], (Layer.SPLIT, Layer.BASE64)),
        ([envelope(part) for part in parts_of(b64(LONG))], (Layer.SPLIT, Layer.JSON, Layer.BASE64)),
        ([envelope(b64(part.encode())) for part in parts_of(LONG.decode())], (Layer.SPLIT, Layer.JSON, Layer.BASE64)),
        (parts_of(envelope(b64(LONG))), (Layer.SPLIT, Layer.JSON, Layer.BASE64)),
    ],
    ids=["text", "base64", "hex", "lines", "each-base64", "envelopes", "envelopes-each", "envelope"],
)
def test_a_divided_record_comes_together(parts: list[str], layers: tuple[Layer, ...]) -> None:
    joined = join_split(parts)
    assert joined is not None
    assert (joined.payload, joined.layers, joined.cut) == (LONG, layers, False)
    assert joined.public_key_claim == ("a2V5" if Layer.JSON in layers else None)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [LONG],
        [RECORD, RECORD],
        [RECORD, b"more"],
        list(reversed(parts_of(LONG.decode()))),
        parts_of(LONG.decode())[:-1],
        ["A" * MAX_CARRIER_BYTES, "A"],
        ["a"] * 65,
    ],
    ids=range(8),
)
def test_parts_that_are_no_record_together_are_not_joined(parts: list[bytes | str]) -> None:
    assert join_split(parts) is None


PRETTY = RECORD.replace(b",", b",\n  ").replace(b"{", b"{\n  ").replace(b'1"', b'1}"')


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"", []),
        (b" \n", []),
        (RECORD, [RECORD]),
        (b"\xef\xbb\xbf" + RECORD + b"\r\n\r\n" + RECORD + b"\n", [RECORD, RECORD]),
        (PRETTY + b"\n\n" + PRETTY, [PRETTY, PRETTY]),
        (PRETTY + PRETTY + RECORD, [PRETTY, PRETTY, RECORD]),
        (b64(RECORD) + "\n" + RECORD.hex() + "\r\n", [b64(RECORD).encode(), RECORD.hex().encode()]),
        (envelope(b64(RECORD)) + "\n" + ALFEN.decode(), [envelope(b64(RECORD)).encode(), ALFEN]),
        (base64.encodebytes(LONG), [base64.encodebytes(LONG).strip()]),
        (b"one\ntwo", [b"one\ntwo"]),
    ],
    ids=range(10),
)
def test_the_records_of_a_file_come_apart_exactly(text: bytes | str, records: list[bytes]) -> None:
    assert list(split_records(text)) == records


def test_a_record_named_inside_of_a_record_does_not_divide_it() -> None:
    hostile = RECORD.replace(b'"T1"', b'"OCMF|"')
    assert split_records(hostile) == (hostile,)
