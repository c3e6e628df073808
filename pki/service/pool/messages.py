"""The bodies of OPCP, read. A field that OPCP does not name is ignored, because clients send more than is described;
one that is missing, of another type or not base64 refuses the whole body, and is named.

Source: OPCP 1.0, pcp.v1, rcp.v1, cps.v1, ccp.v1, webhooks.v1.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from pki.errors import PoolRefused

BODY_CAP = 256 * 1024
"""Bytes of a request's body beyond which it is not read."""
_IDENTIFIERS_MAX = 64
_IDENTIFIER = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){3,31}")


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A body with OPCP's spelling of names."""


class ProvisioningBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/oem/provCerts."""

    sub_ca1: str = msgspec.field(name="subCA1Certificate")
    sub_ca2: str | None = msgspec.field(name="subCA2Certificate", default=None)
    vehicle_certificate: str
    xsd_msg_def_namespace: str | None = None
    v2g_root_authority_key_identifiers: list[str] = []
    previous_pcid: str | None = None


class RootBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/root/rootCerts."""

    ca_certificate: str
    root_type: str


class ContractDataBody(_Body, frozen=True, kw_only=True):
    """`contractData` of PUT /v1/cps/contractData/signed."""

    contract_certificate: str
    contract_sub_ca1_certificate: str
    contract_sub_ca2_certificate: str | None = None
    contract_signature_encrypted_private_key: str
    dh_public_key: str = msgspec.field(name="dHpublickey")


class SignBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/cps/contractData/signed."""

    contract_data: ContractDataBody
    xsd_msg_def_namespace: str
    pcid: str | None = None
    cps_root: str | None = msgspec.field(name="cpsV2GRootCertificateFingerprint", default=None)


class OldChainBody(_Body, frozen=True, kw_only=True):
    """The chain of the deprecated calls: the sub-CAs begin with the one that issued the contract."""

    leaf: str = msgspec.field(name="contractSignatureCertChainCertificate")
    subs: list[str] = msgspec.field(name="contractSignatureCertChainSubCertificates")


class OldContractDataBody(_Body, frozen=True, kw_only=True):
    """`contractData` of the deprecated calls."""

    contract_signature_cert_chain: OldChainBody
    contract_signature_encrypted_private_key: str
    dh_public_key: str = msgspec.field(name="dHpublickey")
    emaid: str


class OldSignBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/cps/signedContractData and /v1/cps/forward/signedContractData."""

    contract_data: OldContractDataBody
    xsd_msg_def_namespace: str
    pcid: str
    emaid: str
    cps_root: str | None = msgspec.field(name="cpsV2GRootCertificateFingerprint", default=None)


class GenerateBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/cps/generate/signedContractData."""

    contract_begins: str
    contract_ends: str
    emaid: str
    pcid: str
    xsd_msg_def_namespace: str
    cps_root: str | None = msgspec.field(name="cpsV2GRootCertificateFingerprint", default=None)


class SignedBody(_Body, frozen=True, kw_only=True):
    """PUT /v1/ccp/signedContractData."""

    xsd_msg_def_namespace: str
    emaid: str
    pcid: str
    signed_data: str = msgspec.field(name="signedContractDataXML")
    cps_root: str | None = msgspec.field(name="cpsV2GRootCertificateFingerprint", default=None)


class InstallationBody(_Body, frozen=True, kw_only=True):
    """POST /v1/ccp/signedContractData."""

    certificate_installation_req: str
    xsd_msg_def_namespace: str


class EndpointBody(_Body, frozen=True, kw_only=True):
    """POST and PUT /v1/webhook/endpoints."""

    url: str
    enabled_events: list[str] | None = None
    status: str | None = None
    description: str | None = None
    api_version: str | None = None
    metadata: dict[str, str] | None = None


class TokenBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /oauth/token."""

    client_id: str
    client_secret: str
    grant_type: str
    audience: str = ""


B = TypeVar("B", bound=msgspec.Struct)


def read_body(octets: bytes, kind: type[B]) -> B:
    """The body as a value of that kind.

    Raises:
        PoolRefused: "body": not JSON, or not of that form; says where.
    """
    try:
        return msgspec.json.decode(octets, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoolRefused("body", f"the body is not what this call takes: {error}") from error


def octets_of(text: str, field: str) -> bytes:
    """The octets that a field holds in base64.

    Raises:
        PoolRefused: "base64"; names the field.
    """
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PoolRefused("base64", f"{field} is not base64: {error}") from error
    if not found:
        raise PoolRefused("base64", f"{field} is empty")
    return found


def instant_of(text: str, field: str) -> datetime:
    """The instant that a field holds; without an offset it is UTC.

    Raises:
        PoolRefused: "instant"; names the field.
    """
    try:
        found = msgspec.convert(text, datetime)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (msgspec.ValidationError, OverflowError, ValueError) as error:
        raise PoolRefused("instant", f"{field} {text[:40]!a} is no instant like 2026-11-23T00:00:00Z") from error


def key_identifiers_of(texts: list[str]) -> tuple[str, ...]:
    """Key identifiers in hexadecimal digits with colons, as OPCP writes them, in small letters.

    Raises:
        PoolRefused: "key-identifier".
    """
    if len(texts) > _IDENTIFIERS_MAX or len(set(texts)) != len(texts):
        message = f"v2gRootAuthorityKeyIdentifiers: at most {_IDENTIFIERS_MAX}, each once"
        raise PoolRefused("key-identifier", message)
    for text in texts:
        if not _IDENTIFIER.fullmatch(text):
            message = f"v2gRootAuthorityKeyIdentifiers: {text[:80]!a} is not hexadecimal octets with colons"
            raise PoolRefused("key-identifier", message)
    return tuple(text.lower() for text in texts)
