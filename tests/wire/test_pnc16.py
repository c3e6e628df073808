"""Plug & Charge over 1.6: the Authorize inside DataTransfer, as text, as an object, and broken."""

from __future__ import annotations

import json
from typing import TypeVar

import pytest

from wire.errors import MalformedValue
from wire.ocpp import v16
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import read_request
from wire.ocpp.pnc16 import (
    VENDOR_ID,
    Authorize,
    AuthorizeAnswer,
    CertificateSigned,
    IdToken,
    IdTokenInfo,
    SignCertificate,
    inner,
    unwrap_answer,
    wrap,
)
from wire.ocpp.v201 import CertificateSignedAnswer
from wire.records import decode, encode

T = TypeVar("T")

INNER = {"idToken": {"idToken": "DEABCC00000001", "type": "eMAID"}, "certificate": "-----BEGIN CERTIFICATE-----\nä"}


def unwrap(type_: type[T], transfer: v16.DataTransfer) -> T:
    """As the gateway reads it: the inner request is one like any other."""
    return read_request(type_, inner(transfer), "DataTransfer.data")


def request(**fields: object) -> v16.DataTransfer:
    payload = {"vendorId": VENDOR_ID, "messageId": "Authorize"} | fields
    return read_request(v16.DataTransfer, json.dumps(payload).encode(), "DataTransfer")


@pytest.mark.parametrize("data", [json.dumps(INNER), json.dumps(INNER, indent=2, ensure_ascii=False), INNER])
def test_text_and_object_say_the_same(data: object) -> None:
    assert unwrap(Authorize, request(data=data)) == Authorize(
        id_token=IdToken(id_token="DEABCC00000001", type="eMAID"), certificate="-----BEGIN CERTIFICATE-----\nä"
    )


def test_hash_data_has_its_odd_name() -> None:
    digest = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1"}
    asked = {"idToken": {"idToken": "X"}, "iso15118CertificateHashData": [digest | {"responderURL": "http://o/"}]}
    hashes = unwrap(Authorize, request(data=json.dumps(asked))).iso15118_certificate_hash_data
    assert (hashes[0].serial_number, hashes[0].responder_url) == ("1", "http://o/")


@pytest.mark.parametrize(
    ("data", "code", "named"),
    [
        ("", OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
        ("{", OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
        ('{"a":' + "[" * 50_000, OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
        ('{"idToken":"X"}', OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.idToken"),
        ("{}", OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "idToken"),
        ('{"idToken":{"idToken":"123456789012345678901"}}', OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "<= 20"),
        ("null", OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "Expected `object`, got `null`"),
        (5, OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "Expected `object`, got `int`"),
        (None, OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "data is missing"),
        ([], OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "data is missing"),
        ([1], OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "Expected `object`, got `array`"),
        ({"idToken": {}}, OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "$.idToken"),
        (json.dumps(json.dumps(INNER)), OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "Expected `object`, got `str`"),
    ],
)
def test_data_that_is_no_authorize_is_refused(data: object, code: OCPPErrorCode, named: str) -> None:
    with pytest.raises(CallRejected) as caught:
        unwrap(Authorize, request(data=data))
    assert caught.value.ocpp_code is code
    assert "DataTransfer" in str(caught.value)
    assert named in str(caught.value)


def test_missing_data_is_named() -> None:
    with pytest.raises(CallRejected, match="data is missing") as caught:
        unwrap(Authorize, request())
    assert caught.value.ocpp_code is OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION


def test_the_answer_leaves_out_what_is_unset() -> None:
    answer = AuthorizeAnswer(id_token_info=IdTokenInfo(status="Invalid"), certificate_status="CertificateRevoked")
    assert encode(answer) == b'{"idTokenInfo":{"status":"Invalid"},"certificateStatus":"CertificateRevoked"}'
    assert (
        encode(AuthorizeAnswer(id_token_info=IdTokenInfo(status="Accepted")))
        == b'{"idTokenInfo":{"status":"Accepted"}}'
    )


def test_what_is_wrapped_is_unwrapped_and_an_unknown_message_is_none() -> None:
    call = wrap("CertificateSigned", CertificateSigned(certificate_chain="PEM"))
    sent = decode(v16.DataTransfer, encode(call), "test")
    assert (sent.vendor_id, sent.message_id) == (VENDOR_ID, "CertificateSigned")
    assert unwrap(CertificateSigned, sent).certificate_chain == "PEM"
    accepted = v16.DataTransferAnswer(status="Accepted", data='{"status":"Rejected"}')
    found = unwrap_answer(CertificateSignedAnswer, accepted, "CertificateSigned")
    assert found is not None
    assert found.status == "Rejected"
    unknown = v16.DataTransferAnswer(status="UnknownMessageId")
    assert unwrap_answer(CertificateSignedAnswer, unknown, "CertificateSigned") is None
    for broken in (None, "", "{}", "[]", "null"):
        with pytest.raises(MalformedValue, match="CertificateSigned"):
            unwrap_answer(
                CertificateSignedAnswer, v16.DataTransferAnswer(status="Accepted", data=broken), "CertificateSigned"
            )


def test_request_for_a_certificate_is_read_within_its_bounds() -> None:
    assert unwrap(SignCertificate, request(data=json.dumps({"csr": "x" * 5500}))).certificate_type is None
    for asked in ({}, {"csr": 5}, {"csr": "x" * 22_001}):
        with pytest.raises(CallRejected):
            unwrap(SignCertificate, request(data=json.dumps(asked)))
