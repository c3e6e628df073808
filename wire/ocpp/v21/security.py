"""OCPP 2.1, block A. Security: certificates of the station, security events."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String50, String255, String5500, String10000
from wire.ocpp.v21.types import StatusInfo
from wire.ocpp.v201.security import CertificateSignedStatusEnum
from wire.ocpp.v201.types import CertificateHashData, GenericStatusEnum

CertificateSigningUseEnum = Literal["ChargingStationCertificate", "V2GCertificate", "V2G20Certificate"]


class SignCertificate(Message, frozen=True, kw_only=True):
    """SignCertificateRequest."""

    csr: String5500
    certificate_type: CertificateSigningUseEnum | None = None
    hash_root_certificate: CertificateHashData | None = None
    request_id: int | None = None
    custom_data: msgspec.Raw = ABSENT


class SignCertificateAnswer(Message, frozen=True, kw_only=True):
    """SignCertificateResponse."""

    status: GenericStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class CertificateSigned(Message, frozen=True, kw_only=True):
    """CertificateSignedRequest."""

    certificate_chain: String10000
    certificate_type: CertificateSigningUseEnum | None = None
    request_id: int | None = None
    custom_data: msgspec.Raw = ABSENT


class CertificateSignedAnswer(Message, frozen=True, kw_only=True):
    """CertificateSignedResponse."""

    status: CertificateSignedStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class SecurityEventNotification(Message, frozen=True, kw_only=True):
    """SecurityEventNotificationRequest."""

    type: String50
    timestamp: Instant
    tech_info: String255 | None = None
    custom_data: msgspec.Raw = ABSENT
