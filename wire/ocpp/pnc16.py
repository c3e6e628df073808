"""Plug & Charge over OCPP 1.6: 2.0.1 messages wrapped in DataTransfer, `data` being JSON as text in both directions.

Source: Open Charge Alliance, "ISO 15118 Plug & Charge with OCPP 1.6", v1.0.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Instant, Message, String20, String5500, String10000, read_message
from wire.ocpp.quirks import Noticed, to_nobody
from wire.ocpp.v16 import DataTransfer, DataTransferAnswer
from wire.ocpp.v201 import OCSPRequestData
from wire.records import encode

T = TypeVar("T")

VENDOR_ID = "org.openchargealliance.iso15118pnc"
OLD_VENDOR_ID = "iso15118"
"""Of stations that are older than the note."""
_OLD_NAMES = {
    "15118CertificateHashData": "iso15118CertificateHashData",
    "15118SchemaVersion": "iso15118SchemaVersion",
}
_OLD_MESSAGES = frozenset({"Authorize", "GetCertificateStatus", "Get15118EVCertificate"})
_NAMED = ("iso15118CertificateHashData", "ocspRequestData")


class IdToken(Message, frozen=True, kw_only=True):
    """The wrapped idToken: the eMAID; some stations add the 2.x `type`, which says nothing more."""

    id_token: String20
    type: str | None = None


class Authorize(Message, frozen=True, kw_only=True):
    """The wrapped Authorize request: contract chain as PEM, or hash data (none to four, says the note), or both."""

    id_token: IdToken
    certificate: String5500 | None = None
    iso15118_certificate_hash_data: Annotated[tuple[OCSPRequestData, ...], msgspec.Meta(max_length=4)] = msgspec.field(
        default=(), name="iso15118CertificateHashData"
    )


class IdTokenInfo(Message, frozen=True, kw_only=True):
    """The wrapped idTokenInfo; status is of the 1.6 set."""

    status: str
    cache_expiry_date_time: Instant | None = None


class AuthorizeAnswer(Message, frozen=True, kw_only=True):
    """The wrapped Authorize answer."""

    id_token_info: IdTokenInfo
    certificate_status: str | None = None


class SignCertificate(Message, frozen=True, kw_only=True):
    """The wrapped SignCertificate request. The note's text has the CSR alone, its example and some stations add the
    type; only certificates for ISO 15118 are asked for in this way."""

    csr: String5500
    certificate_type: str | None = None


class CertificateSigned(Message, frozen=True, kw_only=True):
    """The wrapped CertificateSigned request of the gateway."""

    certificate_chain: String10000


def inner(request: DataTransfer) -> bytes:
    """The JSON inside a DataTransfer.

    Raises:
        CallRejected: `data` is missing.
    """
    if request.data is None:
        message = f"DataTransfer {request.message_id}: data is missing"
        raise CallRejected(OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, message)
    return request.data.encode()


def translated(message_id: str, old: bytes) -> bytes | None:
    """The JSON of a message as the note has it, from what a station of OLD_VENDOR_ID wrapped; None for a message that
    is not taken in that form. Only what differs is touched; what is no such message is told when it is read.

    Source: thoughtworks/maeve-csms manager/ocpp/has2be describes the form.
    """
    if message_id not in _OLD_MESSAGES:
        return None
    try:
        fields = msgspec.json.decode(old, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return old
    found = {_OLD_NAMES.get(name, name): value for name, value in fields.items()}
    for name in _NAMED:
        named = found.get(name)
        for entry in named if isinstance(named, list) else [named]:
            if isinstance(entry, dict):
                entry.setdefault("responderURL", "")
    if message_id == "Get15118EVCertificate":
        found = {"iso15118SchemaVersion": "urn:iso:15118:2:2013:MsgDef", "action": "Install"} | found
    return encode(found)


def wrap(message_id: str, inner: object) -> DataTransfer:
    """The DataTransfer that carries `inner` to a station."""
    return DataTransfer(vendor_id=VENDOR_ID, message_id=message_id, data=encode(inner).decode())


def unwrap_answer(
    type_: type[T], answer: DataTransferAnswer, message_id: str, noticed: Noticed = to_nobody
) -> T | None:
    """The answer inside DataTransfer.conf; None when the station knows no such message.

    Raises:
        MalformedValue: the outer status is Accepted, and there is no such answer inside.
    """
    if answer.status != "Accepted" and answer.data is None:
        return None
    if answer.data is None:
        raise MalformedValue(f"DataTransfer {message_id} answer", "$.data", "missing")
    try:
        return read_message(type_, answer.data.encode(), f"DataTransfer {message_id} answer", noticed)
    except CallRejected as error:
        raise MalformedValue("DataTransfer answer", "$.data", str(error)) from error
