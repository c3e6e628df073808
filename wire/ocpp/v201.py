"""OCPP 2.0.1: the requests and answers a charging session needs.

TransactionEvent and MeterValues are read tolerantly (lengths unchecked, enumerations as text): a refusal loses money.
Source: OCPP 2.0.1 edition 3 Part 2 chapters 1-3 of the messages section, and its errata 2025-09.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from wire.ocpp.payload import Camel

VERSION = "2.0.1"
SUBPROTOCOL = "ocpp2.0.1"
TRANSACTION_ACTIONS = frozenset({"TransactionEvent", "MeterValues"})

String20 = Annotated[str, msgspec.Meta(max_length=20)]
String25 = Annotated[str, msgspec.Meta(max_length=25)]
String36 = Annotated[str, msgspec.Meta(max_length=36)]
String50 = Annotated[str, msgspec.Meta(max_length=50)]
String255 = Annotated[str, msgspec.Meta(max_length=255)]
String5500 = Annotated[str, msgspec.Meta(max_length=5500)]
CERTIFICATE_CHAIN_MAX = 10_000
"""Characters of the PEM chain in CertificateSigned."""


class ChargingStation(Camel, frozen=True, kw_only=True):
    """ChargingStationType."""

    model: String20
    vendor_name: String50
    serial_number: String25 | None = None
    firmware_version: String50 | None = None


class BootNotification(Camel, frozen=True, kw_only=True):
    """BootNotificationRequest."""

    reason: str
    charging_station: ChargingStation


class BootAnswer(Camel, frozen=True, kw_only=True):
    """BootNotificationResponse; `interval` is the heartbeat interval in whole seconds."""

    current_time: datetime
    interval: int
    status: str


class StatusNotification(Camel, frozen=True, kw_only=True):
    """StatusNotificationRequest."""

    timestamp: datetime
    connector_status: str
    evse_id: int
    connector_id: int


class IdToken(Camel, frozen=True, kw_only=True):
    """IdTokenType: additionalInfo plays no part in authorization (errata 2.18 C01.FR.25)."""

    id_token: str
    type: str


class AuthorizeIdToken(Camel, frozen=True, kw_only=True):
    """IdTokenType with the schema's limit."""

    id_token: String36
    type: String20


class CertificateHash(Camel, frozen=True, kw_only=True):
    """OCSPRequestDataType."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    responder_url: str | None = msgspec.field(default=None, name="responderURL")


class GetCertificateStatus(Camel, frozen=True, kw_only=True):
    """GetCertificateStatusRequest (M06)."""

    ocsp_request_data: CertificateHash


class GetCertificateStatusAnswer(Camel, frozen=True, kw_only=True):
    """GetCertificateStatusResponse: status is Accepted or Failed, `ocsp_result` the DER of the answer in base64."""

    status: str
    ocsp_result: str | None = None


class SignCertificate(Camel, frozen=True, kw_only=True):
    """SignCertificateRequest (A02, A03): `csr` is PEM. A missing type means ChargingStationCertificate (A02.FR.19)."""

    csr: String5500
    certificate_type: str | None = None


class SignCertificateAnswer(Camel, frozen=True, kw_only=True):
    """SignCertificateResponse: status is Accepted or Rejected; the certificate comes with CertificateSigned."""

    status: str


class CertificateSigned(Camel, frozen=True, kw_only=True):
    """CertificateSignedRequest: the chain as PEM, leaf first, without the root."""

    certificate_chain: str
    certificate_type: str | None = None


class CertificateSignedAnswer(Camel, frozen=True, kw_only=True):
    """CertificateSignedResponse: status is Accepted or Rejected."""

    status: str


class Authorize(Camel, frozen=True, kw_only=True):
    """AuthorizeRequest. `certificate` is the contract chain as PEM, leaf first; the verifier bounds its size."""

    id_token: AuthorizeIdToken
    certificate: str | None = None
    iso15118_certificate_hash_data: tuple[CertificateHash, ...] | None = msgspec.field(
        default=None, name="iso15118CertificateHashData"
    )


class GroupToken(Camel, frozen=True, kw_only=True):
    """IdTokenType in an answer."""

    id_token: str
    type: str


class IdTokenInfo(Camel, frozen=True, kw_only=True):
    """IdTokenInfoType."""

    status: str
    cache_expiry_date_time: datetime | None = None
    group_id_token: GroupToken | None = None


class AuthorizeAnswer(Camel, frozen=True, kw_only=True):
    """AuthorizeResponse; certificateStatus only when contract evidence was presented (C07)."""

    id_token_info: IdTokenInfo
    certificate_status: str | None = None


class SignedMeterValue(Camel, frozen=True, kw_only=True):
    """SignedMeterValueType: publicKey and signingMethod may be empty."""

    signed_meter_data: str
    encoding_method: str
    signing_method: str = ""
    public_key: str = ""


class UnitOfMeasure(Camel, frozen=True, kw_only=True):
    """UnitOfMeasureType: the value is to be multiplied by 10 to the power of `multiplier`."""

    unit: str = "Wh"
    multiplier: int = 0


class SampledValue(Camel, frozen=True, kw_only=True):
    """SampledValueType; some stations send the number as text."""

    value: Decimal
    context: str = "Sample.Periodic"
    measurand: str = "Energy.Active.Import.Register"
    phase: str | None = None
    location: str = "Outlet"
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Camel, frozen=True, kw_only=True):
    """MeterValueType."""

    timestamp: datetime
    sampled_value: tuple[SampledValue, ...]


class EVSE(Camel, frozen=True, kw_only=True):
    """EVSEType."""

    id: int
    connector_id: int | None = None


class Transaction(Camel, frozen=True, kw_only=True):
    """TransactionType."""

    transaction_id: str
    charging_state: str | None = None
    stopped_reason: str | None = None
    remote_start_id: int | None = None


class TransactionEvent(Camel, frozen=True, kw_only=True):
    """TransactionEventRequest; eventType is Started, Updated or Ended."""

    event_type: str
    timestamp: datetime
    trigger_reason: str
    seq_no: int
    transaction_info: Transaction
    offline: bool | None = None
    id_token: IdToken | None = None
    evse: EVSE | None = None
    meter_value: tuple[MeterValue, ...] = ()


class TransactionAnswer(Camel, frozen=True, kw_only=True):
    """TransactionEventResponse; idTokenInfo is required when the request carried an idToken (E03.FR.05)."""

    id_token_info: IdTokenInfo | None = None


class MeterValues(Camel, frozen=True, kw_only=True):
    """MeterValuesRequest: values outside a transaction."""

    evse_id: int
    meter_value: tuple[MeterValue, ...]
