"""OCPP 2.1, block M. ISO 15118 certificates."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from wire.ocpp.payload import (
    ABSENT,
    Instant,
    Message,
    String50,
    String255,
    String2000,
    String10000,
    String11000,
    String17000,
    String18000,
)
from wire.ocpp.v21.types import OCSPRequestData, StatusInfo
from wire.ocpp.v201.certificates import (
    CertificateActionEnum,
    DeleteCertificateStatusEnum,
    GetCertificateStatusEnum,
    GetInstalledCertificateStatusEnum,
    InstallCertificateStatusEnum,
    Iso15118EVCertificateStatusEnum,
)
from wire.ocpp.v201.types import CertificateHashData

CertificateStatusEnum = Literal["Good", "Revoked", "Unknown", "Failed"]


CertificateStatusSourceEnum = Literal["CRL", "OCSP"]


GetCertificateIdUseEnum = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "CSMSRootCertificate",
    "V2GCertificateChain",
    "ManufacturerRootCertificate",
    "OEMRootCertificate",
]


InstallCertificateUseEnum = Literal[
    "V2GRootCertificate",
    "MORootCertificate",
    "ManufacturerRootCertificate",
    "CSMSRootCertificate",
    "OEMRootCertificate",
]


class CertificateHashDataChain(Message, frozen=True, kw_only=True):
    """CertificateHashDataChainType."""

    certificate_hash_data: CertificateHashData
    certificate_type: GetCertificateIdUseEnum
    child_certificate_hash_data: Annotated[
        tuple[CertificateHashData, ...], msgspec.Meta(min_length=1, max_length=4)
    ] = ()
    custom_data: msgspec.Raw = ABSENT


class CertificateStatusRequestInfo(Message, frozen=True, kw_only=True):
    """CertificateStatusRequestInfoType."""

    certificate_hash_data: CertificateHashData
    source: CertificateStatusSourceEnum
    urls: Annotated[tuple[String2000, ...], msgspec.Meta(min_length=1, max_length=5)]
    custom_data: msgspec.Raw = ABSENT


class CertificateStatus(Message, frozen=True, kw_only=True):
    """CertificateStatusType."""

    certificate_hash_data: CertificateHashData
    source: CertificateStatusSourceEnum
    status: CertificateStatusEnum
    next_update: Instant
    custom_data: msgspec.Raw = ABSENT


class DeleteCertificateAnswer(Message, frozen=True, kw_only=True):
    """DeleteCertificateResponse."""

    status: DeleteCertificateStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class Get15118EVCertificate(Message, frozen=True, kw_only=True):
    """Get15118EVCertificateRequest."""

    iso15118_schema_version: String50
    action: CertificateActionEnum
    exi_request: String11000
    maximum_contract_certificate_chains: Annotated[int, msgspec.Meta(ge=0)] | None = None
    prioritized_emai_ds: Annotated[tuple[String255, ...], msgspec.Meta(min_length=1, max_length=8)] = msgspec.field(
        default=(), name="prioritizedEMAIDs"
    )
    custom_data: msgspec.Raw = ABSENT


class Get15118EVCertificateAnswer(Message, frozen=True, kw_only=True):
    """Get15118EVCertificateResponse."""

    status: Iso15118EVCertificateStatusEnum
    exi_response: String17000
    status_info: StatusInfo | None = None
    remaining_contracts: Annotated[int, msgspec.Meta(ge=0)] | None = None
    custom_data: msgspec.Raw = ABSENT


class GetCertificateStatus(Message, frozen=True, kw_only=True):
    """GetCertificateStatusRequest."""

    ocsp_request_data: OCSPRequestData
    custom_data: msgspec.Raw = ABSENT


class GetCertificateStatusAnswer(Message, frozen=True, kw_only=True):
    """GetCertificateStatusResponse."""

    status: GetCertificateStatusEnum
    status_info: StatusInfo | None = None
    ocsp_result: String18000 | None = None
    custom_data: msgspec.Raw = ABSENT


class GetInstalledCertificateIds(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIdsRequest."""

    certificate_type: Annotated[tuple[GetCertificateIdUseEnum, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class GetInstalledCertificateIdsAnswer(Message, frozen=True, kw_only=True):
    """GetInstalledCertificateIdsResponse."""

    status: GetInstalledCertificateStatusEnum
    status_info: StatusInfo | None = None
    certificate_hash_data_chain: Annotated[tuple[CertificateHashDataChain, ...], msgspec.Meta(min_length=1)] = ()
    custom_data: msgspec.Raw = ABSENT


class InstallCertificate(Message, frozen=True, kw_only=True):
    """InstallCertificateRequest."""

    certificate_type: InstallCertificateUseEnum
    certificate: String10000
    custom_data: msgspec.Raw = ABSENT


class InstallCertificateAnswer(Message, frozen=True, kw_only=True):
    """InstallCertificateResponse."""

    status: InstallCertificateStatusEnum
    status_info: StatusInfo | None = None
    custom_data: msgspec.Raw = ABSENT


class GetCertificateChainStatus(Message, frozen=True, kw_only=True):
    """GetCertificateChainStatusRequest."""

    certificate_status_requests: Annotated[
        tuple[CertificateStatusRequestInfo, ...], msgspec.Meta(min_length=1, max_length=4)
    ]
    custom_data: msgspec.Raw = ABSENT


class GetCertificateChainStatusAnswer(Message, frozen=True, kw_only=True):
    """GetCertificateChainStatusResponse."""

    certificate_status: Annotated[tuple[CertificateStatus, ...], msgspec.Meta(min_length=1, max_length=4)]
    custom_data: msgspec.Raw = ABSENT
