"""OCPP 2.0.1, block A. Security: certificates of the station, security events."""

from __future__ import annotations

from typing import Literal

import msgspec

from wire.ocpp.payload import ABSENT, Instant, Message, String50, String255, String5500, String10000
from wire.ocpp.v201.types import GenericStatusEnum, StatusInfo

CertificateSignedStatusEnum = Literal["Accepted", "Rejected"]


CertificateSigningUseEnum = Literal["ChargingStationCertificate", "V2GCertificate"]


class SignCertificate(Message, frozen=True, kw_only=True):
    """SignCertificateRequest."""

    csr: String5500
    custom_data: msgspec.Raw = ABSENT
    certificate_type: CertificateSigningUseEnum | None = None


class SignCertificateAnswer(Message, frozen=True, kw_only=True):
    """SignCertificateResponse."""

    status: GenericStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class CertificateSigned(Message, frozen=True, kw_only=True):
    """CertificateSignedRequest."""

    certificate_chain: String10000
    custom_data: msgspec.Raw = ABSENT
    certificate_type: CertificateSigningUseEnum | None = None


class CertificateSignedAnswer(Message, frozen=True, kw_only=True):
    """CertificateSignedResponse."""

    status: CertificateSignedStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class SecurityEventNotification(Message, frozen=True, kw_only=True):
    """SecurityEventNotificationRequest."""

    type: String50
    timestamp: Instant
    custom_data: msgspec.Raw = ABSENT
    tech_info: String255 | None = None


class SecurityEventNotificationAnswer(Message, frozen=True, kw_only=True):
    """SecurityEventNotificationResponse."""

    custom_data: msgspec.Raw = ABSENT
