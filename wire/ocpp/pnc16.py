"""Plug & Charge over OCPP 1.6: 2.0.1 messages wrapped in DataTransfer, `data` being JSON as text in both directions.

Source: Open Charge Alliance, "ISO 15118 Plug & Charge with OCPP 1.6", v1.0.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp import tolerant
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Camel, String5500
from wire.ocpp.v16 import DataTransfer, DataTransferAnswer
from wire.ocpp.v201 import OCSPRequestData
from wire.records import decode, encode

T = TypeVar("T")

VENDOR_ID = "org.openchargealliance.iso15118pnc"


class IdToken(Camel, frozen=True, kw_only=True):
    """The wrapped idToken: the eMAID; some stations add the 2.x `type`, which says nothing more."""

    id_token: str
    type: str | None = None


class Authorize(Camel, frozen=True, kw_only=True):
    """The wrapped Authorize request: contract chain as PEM, or hash data, or both."""

    id_token: IdToken
    certificate: str | None = None
    iso15118_certificate_hash_data: tuple[OCSPRequestData, ...] | None = msgspec.field(
        default=None, name="iso15118CertificateHashData"
    )


class IdTokenInfo(Camel, frozen=True, kw_only=True):
    """The wrapped idTokenInfo; status is of the 1.6 set."""

    status: str


class AuthorizeAnswer(Camel, frozen=True, kw_only=True):
    """The wrapped Authorize answer."""

    id_token_info: IdTokenInfo
    certificate_status: str | None = None


class SignCertificate(Camel, frozen=True, kw_only=True):
    """The wrapped SignCertificate request. The note's text has the CSR alone, its example and some stations add the
    type; only certificates for ISO 15118 are asked for in this way."""

    csr: String5500
    certificate_type: str | None = None


class CertificateSigned(Camel, frozen=True, kw_only=True):
    """The wrapped CertificateSigned request of the gateway."""

    certificate_chain: str


def unwrap(type_: type[T], request: tolerant.DataTransfer) -> T:
    """The request inside a DataTransfer; `data` as text or, as some send it, as an object.

    Raises:
        CallRejected: `data` is missing or is not such a request; names the field.
    """
    try:
        return decode(type_, inner(request), "DataTransfer.data")
    except MalformedValue as error:
        raise CallRejected(OCPPErrorCode.FORMAT_VIOLATION, str(error)) from error


def inner(request: tolerant.DataTransfer) -> bytes:
    """The JSON inside a DataTransfer; `data` as text or, as some send it, as an object.

    Raises:
        CallRejected: `data` is missing or not even text.
    """
    raw = bytes(request.data)
    if not raw:
        message = f"DataTransfer {request.message_id}: data is missing"
        raise CallRejected(OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, message)
    if not raw.startswith(b'"'):
        return raw
    try:
        return decode(str, raw, "DataTransfer.data").encode()
    except (MalformedValue, UnicodeError) as error:
        raise CallRejected(OCPPErrorCode.FORMAT_VIOLATION, str(error)) from error


def wrap(message_id: str, inner: object) -> DataTransfer:
    """The DataTransfer that carries `inner` to a station."""
    return DataTransfer(vendor_id=VENDOR_ID, message_id=message_id, data=encode(inner).decode())


def unwrap_answer(type_: type[T], answer: DataTransferAnswer, message_id: str) -> T | None:
    """The answer inside DataTransfer.conf; None when the station knows no such message.

    Raises:
        MalformedValue: the outer status is Accepted, and there is no such answer inside.
    """
    if answer.status != "Accepted" and answer.data is None:
        return None
    if answer.data is None:
        raise MalformedValue(f"DataTransfer {message_id} answer", "$.data", "missing")
    return decode(type_, answer.data, f"DataTransfer {message_id} answer")
