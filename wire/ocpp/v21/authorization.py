"""OCPP 2.1, block C. Authorization."""

from __future__ import annotations

from typing import Annotated

import msgspec

from wire.ocpp.payload import ABSENT, Message, String10000
from wire.ocpp.v21.types import EnergyTransferModeEnum, IdToken, IdTokenInfo, OCSPRequestData, StatusInfo, Tariff
from wire.ocpp.v201.authorization import AuthorizeCertificateStatusEnum, ClearCacheStatusEnum


class Authorize(Message, frozen=True, kw_only=True):
    """AuthorizeRequest."""

    id_token: IdToken
    certificate: String10000 | None = None
    iso15118_certificate_hash_data: Annotated[
        tuple[OCSPRequestData, ...], msgspec.Meta(min_length=1, max_length=4)
    ] = ()
    custom_data: msgspec.Raw = ABSENT


class AuthorizeAnswer(Message, frozen=True, kw_only=True):
    """AuthorizeResponse."""

    id_token_info: IdTokenInfo
    certificate_status: AuthorizeCertificateStatusEnum | None = None
    allowed_energy_transfer: Annotated[tuple[EnergyTransferModeEnum, ...], msgspec.Meta(min_length=1)] = ()
    tariff: Tariff | None = None
    custom_data: msgspec.Raw = ABSENT


class ClearCacheAnswer(Message, frozen=True, kw_only=True):
    """ClearCacheResponse."""

    status: ClearCacheStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT
