"""Plug & Charge over OCPP 1.6: 2.0.1 messages wrapped in DataTransfer, `data` being JSON as text in both directions.

Source: Open Charge Alliance, "ISO 15118 Plug & Charge with OCPP 1.6", v1.0.
"""

from __future__ import annotations

import msgspec

from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Camel
from wire.ocpp.v16 import DataTransfer
from wire.ocpp.v201 import CertificateHash
from wire.records import decode

VENDOR_ID = "org.openchargealliance.iso15118pnc"


class IdToken(Camel, frozen=True, kw_only=True):
    """The wrapped idToken: the eMAID; some stations add the 2.x `type`, which says nothing more."""

    id_token: str
    type: str | None = None


class Authorize(Camel, frozen=True, kw_only=True):
    """The wrapped Authorize request: contract chain as PEM, or hash data, or both."""

    id_token: IdToken
    certificate: str | None = None
    iso15118_certificate_hash_data: tuple[CertificateHash, ...] | None = msgspec.field(
        default=None, name="iso15118CertificateHashData"
    )


class IdTokenInfo(Camel, frozen=True, kw_only=True):
    """The wrapped idTokenInfo; status is of the 1.6 set."""

    status: str


class AuthorizeAnswer(Camel, frozen=True, kw_only=True):
    """The wrapped Authorize answer."""

    id_token_info: IdTokenInfo
    certificate_status: str | None = None


def unwrap_authorize(request: DataTransfer) -> Authorize:
    """The Authorize inside a DataTransfer with messageId Authorize; `data` as text or, as some send it, as an object.

    Raises:
        CallRejected: `data` is missing or is not such a request; names the field.
    """
    raw = bytes(request.data)
    if not raw:
        raise CallRejected(OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "DataTransfer Authorize: data is missing")
    try:
        inner = decode(str, raw, "DataTransfer.data").encode() if raw.startswith(b'"') else raw
        return decode(Authorize, inner, "DataTransfer.data")
    except MalformedValue as error:
        raise CallRejected(OCPPErrorCode.FORMAT_VIOLATION, str(error)) from error
