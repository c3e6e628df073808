"""OCPP 2.0.1, block M. ISO 15118 certificates."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import ABSENT, Message, String50, String5500, String5600, String7500
from wire.ocpp.v201.types import CertificateHashData, OCSPRequestData, StatusInfo

CertificateActionEnum = Literal["Install", "Update"]


DeleteCertificateStatusEnum = Literal["Accepted", "Failed", "NotFound"]


GetCertificateIdUseEnum = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "V2GCertificateChain",
    "ManufacturerRootCertificate",
]


GetCertificateStatusEnum = Literal["Accepted", "Failed"]


GetInstalledCertificateStatusEnum = Literal["Accepted", "NotFound"]


InstallCertificateStatusEnum = Literal["Accepted", "Rejected", "Failed"]


InstallCertificateUseEnum = Literal[
    "V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "ManufacturerRootCertificate"
]


Iso15118EVCertificateStatusEnum = Literal["Accepted", "Failed"]


class CertificateHashDataChain(Message, frozen=True, kw_only=True):
    """CertificateHashDataChainType."""

    certificate_hash_data: CertificateHashData
    certificate_type: GetCertificateIdUseEnum
    custom_data: msgspec.Raw = ABSENT
    child_certificate_hash_data: Annotated[
        tuple[CertificateHashData, ...], msgspec.Meta(min_length=1, max_length=4)
    ] = ()


class DeleteCertificate(Message, frozen=True, kw_only=True):
    """DeleteCertificateRequest."""

    certificate_hash_data: CertificateHashData
    custom_data: msgspec.Raw = ABSENT


class DeleteCertificateAnswer(Message, frozen=True, kw_only=True):
    """DeleteCertificateResponse."""

    status: DeleteCertificateStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class Get15118EVCertificate(Message, frozen=True, kw_only=True):
    """Get15118EVCertificateRequest."""

    iso15118_schema_version: String50
    action: CertificateActionEnum
    exi_request: String5600
    custom_data: msgspec.Raw = ABSENT


class Get15118EVCertificateAnswer(Message, frozen=True, kw_only=True):
    """Get15118EVCertificateResponse."""

    status: Iso15118EVCertificateStatusEnum
    exi_response: String7500
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None


class GetCertificateStatus(Message, frozen=True, kw_only=True):
    """GetCertificateStatusRequest."""

    ocsp_request_data: OCSPRequestData
    custom_data: msgspec.Raw = ABSENT


class GetCertificateStatusAnswer(Message, frozen=True, kw_only=True):
    """GetCertificateStatusResponse."""

    status: GetCertificateStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
    ocsp_result: String5500 | None = None


class GetInstalledCertificateIds(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIdsRequest."""

    custom_data: msgspec.Raw = ABSENT
    certificate_type: Annotated[tuple[GetCertificateIdUseEnum, ...], msgspec.Meta(min_length=1)] = ()


class GetInstalledCertificateIdsAnswer(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIdsResponse."""

    status: GetInstalledCertificateStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
    certificate_hash_data_chain: Annotated[tuple[CertificateHashDataChain, ...], msgspec.Meta(min_length=1)] = ()


class InstallCertificate(Message, frozen=True, kw_only=True):
    """InstallCertificateRequest."""

    certificate_type: InstallCertificateUseEnum
    certificate: String5500
    custom_data: msgspec.Raw = ABSENT


class InstallCertificateAnswer(Message, frozen=True, kw_only=True):
    """InstallCertificateResponse."""

    status: InstallCertificateStatusEnum
    custom_data: msgspec.Raw = ABSENT
    status_info: StatusInfo | None = None
