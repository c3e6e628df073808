"""What OCPP wraps around a meter record comes off; what is no record stays as it came."""

from __future__ import annotations

import base64
import json

import pytest

from wire.meter.carrier import MAX_CARRIER_BYTES, Layer, unwrap
from wire.meter.record import MeterFormat

RECORD = b'OCMF|{"PG":"T1","RD":[{"RV":1}]}|{"SD":"00"}'
TEXT = RECORD.decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def envelope(data: str, **more: object) -> str:
    members = {"signedMeterData": data, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "a2V5"}
    return json.dumps({**members, **more})


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
]


@pytest.mark.parametrize(("raw", "layers"), CARRIED)
def test_every_carrier_gives_back_the_exact_record_and_names_its_layers(
    raw: bytes | str, layers: tuple[Layer, ...]
) -> None:
    unwrapped = unwrap(raw)
    assert unwrapped.payload == RECORD
    assert unwrapped.layers == layers
    assert unwrapped.format is MeterFormat.OCMF
    assert unwrapped.public_key_claim == ("a2V5" if Layer.JSON in layers else None)


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
    "AP;0;3;ALFEN;;",
    "<values/>",
    "1b1b1b1b01010101",
    b"\x00\xff",
    "{",
    "[" * 100_000,
    "{" * 100_000,
    '{"a":' * 50_000,
    "\ud800",
    json.dumps({"signedData": "ab", "signature": "cd"}),
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
    assert unwrap(envelope("AP;0;3;")).public_key_claim == "a2V5"
