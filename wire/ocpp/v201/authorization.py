"""OCPP 2.0.1, block C. Authorization."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String5500
from wire.ocpp.v201.types import IdToken, IdTokenInfo, OCSPRequestData, StatusInfo

AuthorizeCertificateStatusEnum = Literal[
    "Accepted",
    "SignatureError",
    "CertificateExpired",
    "CertificateRevoked",
    "NoCertificateAvailable",
    "CertChainError",
    "ContractCancelled",
]


ClearCacheStatusEnum = Literal["Accepted", "Rejected"]


class Authorize(Message, frozen=True, kw_only=True):
    """AuthorizeRequest."""

    id_token: IdToken
    custom_data: msgspec.Raw = ABSENT
    certificate: String5500 | None = None
    iso15118_certificate_hash_data: Annotated[
        tuple[OCSPRequestData, ...], msgspec.Meta(min_length=1, max_length=4)
    ] = ()


class AuthorizeAnswer(Message, frozen=True, kw_only=True):
    """AuthorizeResponse."""

    id_token_info: IdTokenInfo
    custom_data: msgspec.Raw = ABSENT
    certificate_status: AuthorizeCertificateStatusEnum | None = None


class ClearCache(Message, frozen=True, kw_only=True):
    """ClearCacheRequest."""

    custom_data: msgspec.Raw = ABSENT


class ClearCacheAnswer(Message, frozen=True, kw_only=True):
    """ClearCacheResponse."""

    status: ClearCacheStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
