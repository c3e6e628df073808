"""Plug & Charge over 1.6: the Authorize inside DataTransfer, as text, as an object, and broken."""

from __future__ import annotations

import json

import pytest

from wire.errors import MalformedValue
from wire.ocpp import tolerant, v16
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
    unwrap,
    unwrap_answer,
    wrap,
)
from wire.ocpp.v201 import CertificateSignedAnswer
from wire.records import decode, encode

INNER = {"idToken": {"idToken": "DEABCC00000001", "type": "eMAID"}, "certificate": "-----BEGIN CERTIFICATE-----\nä"}


def request(**fields: object) -> tolerant.DataTransfer:
    payload = {"vendorId": VENDOR_ID, "messageId": "Authorize"} | fields
    return read_request(tolerant.DataTransfer, json.dumps(payload).encode(), "DataTransfer")


@pytest.mark.parametrize("data", [json.dumps(INNER), json.dumps(INNER, indent=2, ensure_ascii=False), INNER])
def test_text_and_object_say_the_same(data: object) -> None:
    assert unwrap(Authorize, request(data=data)) == Authorize(
        id_token=IdToken(id_token="DEABCC00000001", type="eMAID"), certificate="-----BEGIN CERTIFICATE-----\nä"
    )


def test_hash_data_has_its_odd_name() -> None:
    digest = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1"}
    inner = {"idToken": {"idToken": "X"}, "iso15118CertificateHashData": [digest | {"responderURL": "http://o/"}]}
    hashes = unwrap(Authorize, request(data=json.dumps(inner))).iso15118_certificate_hash_data
    assert hashes is not None
    assert (hashes[0].serial_number, hashes[0].responder_url) == ("1", "http://o/")


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a":' + "[" * 50_000, "not JSON"),
        ('{"idToken":"X"}', "$.idToken"),
        ("{}", "idToken"),
        ("null", "Expected `object`, got `null`"),
        (5, "Expected `object`, got `int`"),
        (None, "Expected `object`, got `null`"),
        ([], "Expected `object`, got `array`"),
        ({"idToken": {}}, "$.idToken"),
        (json.dumps(json.dumps(INNER)), "Expected `object`, got `str`"),
    ],
)
def test_data_that_is_no_authorize_is_refused(data: object, named: str) -> None:
    with pytest.raises(CallRejected) as caught:
        unwrap(Authorize, request(data=data))
    assert caught.value.ocpp_code is OCPPErrorCode.FORMAT_VIOLATION
    assert "DataTransfer.data" in str(caught.value)
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
    sent = decode(tolerant.DataTransfer, encode(call), "test")
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
    for inner in ({}, {"csr": 5}, {"csr": "x" * 5501}):
        with pytest.raises(CallRejected):
            unwrap(SignCertificate, request(data=json.dumps(inner)))
