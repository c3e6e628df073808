"""What the table of quirks lets through: with which meaning, noted where, and what it does not let through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from wire.ocpp import v16, v21, v201
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.mend import MAX_NOTES
from wire.ocpp.payload import Message, read_message
from wire.ocpp.quirks import QUIRKS, Quirk
from wire.records import encode

HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a",
    "issuerKeyHash": "b",
    "serialNumber": "1",
    "responderURL": "u",
}
STATUS16: dict[str, object] = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
BOOT16: dict[str, object] = {"chargePointVendor": "V", "chargePointModel": "M"}
TOKEN: dict[str, object] = {"idToken": {"idToken": "X", "type": "ISO14443"}}
SAMPLE: dict[str, Any] = {
    "evseId": 1,
    "meterValue": [{"timestamp": "2026-03-01T00:00:00Z", "sampledValue": [{"value": 1}]}],
}


def sampled(**fields: object) -> dict[str, object]:
    (value,) = SAMPLE["meterValue"]
    return SAMPLE | {"meterValue": [value | {"sampledValue": [{"value": 1}, {"value": 1} | fields]}]}


Notes = list[tuple[Quirk, str]]


def read(type_: type[Message], payload: object, action: str = "A") -> tuple[Message, Notes]:
    notes: Notes = []
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return read_message(type_, text.encode(), action, lambda quirk, where: notes.append((quirk, where))), notes


MENDED: list[tuple[type[Message], object, object, Notes]] = [
    (v16.Authorize, {"idTag": "X", "vendor": 1}, {"idTag": "X"}, [(Quirk.EXTRA_FIELD, "A $.vendor")]),
    (v16.Authorize, {"idTag": "X", "a b": 1}, {"idTag": "X"}, [(Quirk.EXTRA_FIELD, "A $.'a b'")]),
    (
        v201.Authorize,
        {"idToken": {"idToken": "X", "type": "Local", "extra": {}}},
        {"idToken": {"idToken": "X", "type": "Local"}},
        [(Quirk.EXTRA_FIELD, "A $.idToken.extra")],
    ),
    (v16.StatusNotification, STATUS16 | {"info": None}, STATUS16, [(Quirk.EMPTY_FIELD, "A $.info")]),
    (v16.StatusNotification, STATUS16 | {"timestamp": ""}, STATUS16, [(Quirk.EMPTY_FIELD, "A $.timestamp")]),
    (
        v201.Authorize,
        TOKEN | {"iso15118CertificateHashData": [], "customData": None},
        TOKEN,
        [(Quirk.EMPTY_FIELD, "A $.customData"), (Quirk.EMPTY_FIELD, "A $.iso15118CertificateHashData")],
    ),
    (
        v201.StatusNotification,
        '{"timestamp":"2026-03-01T00:00:00Z","connectorStatus":"Available","evseId":"1","connectorId":2.0}',
        {"timestamp": "2026-03-01T00:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 2},
        [(Quirk.NUMBER_AS_TEXT, "A $.evseId"), (Quirk.INTEGRAL_FLOAT, "A $.connectorId")],
    ),
    (
        v201.MeterValues,
        sampled(value="0.15003999999999998"),
        sampled(value=Decimal("0.15003999999999998")),
        [(Quirk.NUMBER_AS_TEXT, "A $.meterValue[].sampledValue[].value")],
    ),
    (
        v16.StatusNotification,
        STATUS16 | {"timestamp": "2026-03-01T12:00:00"},
        STATUS16 | {"timestamp": "2026-03-01T12:00:00Z"},
        [(Quirk.LOCAL_TIME, "A $.timestamp")],
    ),
    (
        v16.BootNotification,
        BOOT16 | {"firmwareVersion": "v" * 51},
        BOOT16 | {"firmwareVersion": "v" * 51},
        [(Quirk.LONG_TEXT, "A $.firmwareVersion")],
    ),
    (
        v201.Authorize,
        TOKEN | {"certificate": "c" * 6600},
        TOKEN | {"certificate": "c" * 6600},
        [(Quirk.LONG_TEXT, "A $.certificate")],
    ),
    (
        v201.GetCertificateStatus,
        {"ocspRequestData": HASH | {"responderURL": "u" * 513, "hashAlgorithm": "sha-256"}},
        {"ocspRequestData": HASH | {"responderURL": "u" * 513}},
        [(Quirk.SPELLING, "A $.ocspRequestData.hashAlgorithm"), (Quirk.LONG_TEXT, "A $.ocspRequestData.responderURL")],
    ),
    (
        v201.Authorize,
        {"idToken": {"idToken": "X", "type": "emaid"}},
        {"idToken": {"idToken": "X", "type": "eMAID"}},
        [(Quirk.SPELLING, "A $.idToken.type")],
    ),
    (
        v201.Authorize,
        {"idToken": {"idToken": "X", "type": "EVCCID"}},
        {"idToken": {"idToken": "X", "type": "Local"}},
        [(Quirk.UNKNOWN_VALUE, "A $.idToken.type")],
    ),
    (
        v16.StatusNotification,
        STATUS16 | {"errorCode": "CoffeeEmpty"},
        STATUS16 | {"errorCode": "OtherError"},
        [(Quirk.UNKNOWN_VALUE, "A $.errorCode")],
    ),
    (
        v201.MeterValues,
        sampled(context="Sometimes"),
        sampled(),
        [(Quirk.UNKNOWN_VALUE, "A $.meterValue[].sampledValue[].context")],
    ),
    (
        v16.DataTransfer,
        '{"vendorId":"v","data":{"a": 1.10}}',
        {"vendorId": "v", "data": '{"a": 1.10}'},
        [(Quirk.DATA_AS_OBJECT, "A $.data")],
    ),
    (
        v16.DataTransfer,
        '{"vendorId":"v","data":5}',
        {"vendorId": "v", "data": "5"},
        [(Quirk.DATA_AS_OBJECT, "A $.data")],
    ),
    (
        v16.DataTransferAnswer,
        '{"status":"Accepted","data":{}}',
        {"status": "Accepted"},
        [(Quirk.EMPTY_FIELD, "A $.data")],
    ),
]


@pytest.mark.parametrize(("type_", "payload", "meant", "noted"), MENDED)
def test_a_quirk_is_read_with_its_meaning_and_noted_at_its_place(
    type_: type[Message], payload: object, meant: object, noted: Notes
) -> None:
    message, notes = read(type_, payload)
    assert json.loads(encode(message), parse_float=Decimal) == meant
    assert sorted(notes) == sorted(noted)


def test_every_shape_of_the_table_is_shown_here() -> None:
    shown = {quirk for _, _, _, notes in MENDED for quirk, _ in notes}
    assert shown == {quirk for quirk, row in QUIRKS.items() if row.kind == "shape"}


SIGN = {"csr": "c", "certificateType": "V2G20Certificate"}
REFUSED: list[tuple[type[Message], object, OCPPErrorCode, str]] = [
    (v16.Authorize, {"idTag": "x" * 21, "extra": 1}, OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "(at $.idTag)"),
    (
        v201.Authorize,
        {"idToken": {"idToken": "X", "type": None}},
        OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION,
        "$.idToken.type",
    ),
    (v201.SignCertificate, SIGN, OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "$.certificateType"),
    (v201.Authorize, {"extra": 1}, OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "`idToken` (at $)"),
    (
        v201.Authorize,
        TOKEN | {"iso15118CertificateHashData": [HASH] * 5},
        OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
        "$.iso15118CertificateHashData",
    ),
    (
        v201.Authorize,
        TOKEN | {"iso15118CertificateHashData": [HASH, HASH | {"hashAlgorithm": "MD5"}]},
        OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
        "$.iso15118CertificateHashData[1].hashAlgorithm",
    ),
    (
        v201.Authorize,
        TOKEN | {"certificate": "c" * 22_001},
        OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
        "$.certificate",
    ),
    (v201.MeterValues, sampled(value="NaN"), OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "sampledValue[1].value"),
    (v201.MeterValues, sampled(value="1" * 50), OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "sampledValue[1].value"),
    (v16.StatusNotification, STATUS16 | {"connectorId": 1.5}, OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.connectorId"),
    (
        v16.StatusNotification,
        STATUS16 | {"connectorId": "one"},
        OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION,
        "$.connectorId",
    ),
    (v16.StatusNotification, STATUS16 | {"status": "Dancing"}, OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "$.status"),
    (v16.StatusNotification, STATUS16 | {"timestamp": "noon"}, OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.timestamp"),
    (v16.DataTransfer, '{"vendorId":"v","data":{"a":\x01}}', OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
    (
        v16.Authorize,
        {"idTag": "X"} | {f"x{n}": n for n in range(MAX_NOTES + 1)},
        OCPPErrorCode.FORMAT_VIOLATION,
        "64 places",
    ),
]


@pytest.mark.parametrize(("type_", "payload", "code", "named"), REFUSED)
def test_what_the_table_does_not_allow_is_refused(
    type_: type[Message], payload: object, code: OCPPErrorCode, named: str
) -> None:
    with pytest.raises(CallRejected) as caught:
        read(type_, payload)
    assert caught.value.ocpp_code is code
    assert named in str(caught.value)


def test_what_is_refused_is_noted_nowhere() -> None:
    notes: Notes = []
    with pytest.raises(CallRejected):
        read_message(v16.Authorize, b'{"x":1}', "Authorize", lambda quirk, where: notes.append((quirk, where)))
    assert notes == []


def test_one_quirk_at_one_place_is_noted_once_however_often_it_is_repeated() -> None:
    values = [{"timestamp": "2026-03-01T00:00:00", "sampledValue": [{"value": "1"}] * 500}] * 4
    message, notes = read(v21.MeterValues, {"evseId": 1, "meterValue": values})
    assert isinstance(message, v21.MeterValues)
    assert len(message.meter_value[3].sampled_value) == 500
    assert message.meter_value[3].timestamp == datetime(2026, 3, 1, tzinfo=UTC)
    assert {quirk for quirk, _ in notes} == {Quirk.LOCAL_TIME, Quirk.NUMBER_AS_TEXT}
    assert len(notes) == 2


def test_a_long_text_inside_a_list_is_no_long_list() -> None:
    long = HASH | {"responderURL": "u" * 600}
    message, notes = read(v201.Authorize, TOKEN | {"iso15118CertificateHashData": [HASH, long]})
    assert notes == [(Quirk.LONG_TEXT, "A $.iso15118CertificateHashData[].responderURL")]
    assert len(message.iso15118_certificate_hash_data) == 2  # type: ignore[attr-defined]  # it is an Authorize


def test_words_that_look_like_a_quirk_are_none() -> None:
    told = {"vendorId": "null", "messageId": "null", "data": {"value": None, "held": '"value":"1"'}}
    message, notes = read(v201.DataTransfer, told)
    assert json.loads(encode(message)) == told
    assert notes == []
