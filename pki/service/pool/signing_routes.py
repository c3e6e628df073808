"""The calls of the provisioning service.

Source: OPCP 1.0, cps.v1.
"""

from __future__ import annotations

import base64

from cryptography.x509.oid import NameOID

from pki.certificate import parse_certificate
from pki.errors import PoolRefused
from pki.profile import Generation
from pki.service.pool.answering import Answer, Call, Route
from pki.service.pool.clients import Role
from pki.service.pool.identities import account, distinguished_name, generation_of, namespace_of
from pki.service.pool.messages import (
    GenerateBody,
    OldSignBody,
    SignBody,
    instant_of,
    octets_of,
    read_body,
)
from pki.service.pool.pools import Pools, Signer
from pki.service.pool.root_routes import written_instant
from pki.service.pool.signing import ContractWish, OfferedContract, SignedResult, generate_contract, sign_offered

_MO = frozenset({Role.MO})


def sign(pools: Pools, call: Call) -> Answer:
    """signContractData: signed, and stored if a car is named."""
    body = read_body(call.body, SignBody)
    data = body.contract_data
    offered = OfferedContract(
        generation=generation_of(body.xsd_msg_def_namespace),
        leaf=octets_of(data.contract_certificate, "contractCertificate"),
        sub2=_optional(data.contract_sub_ca2_certificate, "contractSubCa2Certificate"),
        sub1=octets_of(data.contract_sub_ca1_certificate, "contractSubCa1Certificate"),
        encrypted_private_key=octets_of(
            data.contract_signature_encrypted_private_key, "contractSignatureEncryptedPrivateKey"
        ),
        dh_public_key=octets_of(data.dh_public_key, "dHpublickey"),
        pcid=body.pcid,
        cps_root=body.cps_root,
    )
    result = sign_offered(pools, offered, call.client)
    return Answer(_result_object(result), status=201)


def sign_old(pools: Pools, call: Call) -> Answer:
    """createSignedContractData (deprecated): signed, not stored."""
    body = read_body(call.body, OldSignBody)
    result = sign_offered(pools, _old(body, None), call.client)
    return Answer({**_result_object(result), "pcid": body.pcid})


def sign_and_store_old(pools: Pools, call: Call) -> Answer:
    """createAndForwardSignedContractData (deprecated): signed and stored."""
    body = read_body(call.body, OldSignBody)
    result = sign_offered(pools, _old(body, body.pcid), call.client)
    return Answer(_result_object(result), status=201)


def generate(pools: Pools, call: Call) -> Answer:
    """generateSignedContractData: the contract is made here."""
    body = read_body(call.body, GenerateBody)
    wish = ContractWish(
        generation=generation_of(body.xsd_msg_def_namespace),
        emaid=body.emaid,
        pcid=body.pcid,
        begins=instant_of(body.contract_begins, "contractBegins"),
        ends=instant_of(body.contract_ends, "contractEnds"),
        cps_root=body.cps_root,
    )
    generate_contract(pools, wish, call.client)
    return Answer(status=201)


def list_signers(pools: Pools, call: Call) -> Answer:
    """getAllCpsSigners: the provisioning services of this operator."""
    actor = call.client.actor("signers asked for")
    found = {kind: pools.own.contract_signer(kind, actor) for kind in (Generation.ISO_2, Generation.ISO_20)}
    listed = [_signer_object(kind, signer) for kind, signer in found.items() if signer is not None]
    return Answer({"cpsCertificates": listed})


ROUTES = (
    Route(method="PUT", path="/v1/cps/contractData/signed", act=sign, roles=_MO),
    Route(method="PUT", path="/v1/cps/signedContractData", act=sign_old, roles=_MO, missing=400),
    Route(method="PUT", path="/v1/cps/forward/signedContractData", act=sign_and_store_old, roles=_MO, missing=400),
    Route(method="PUT", path="/v1/cps/generate/signedContractData", act=generate, roles=_MO, missing=400),
    Route(method="GET", path="/cps/signer", act=list_signers),
    Route(method="GET", path="/v1/cps/signer", act=list_signers),
)


def _old(body: OldSignBody, pcid: str | None) -> OfferedContract:
    """The deprecated form. The EMAID stands in it three times, and must be one."""
    data, chain = body.contract_data, body.contract_data.contract_signature_cert_chain
    if not 1 <= len(chain.subs) <= 2:
        raise PoolRefused("body", "contractSignatureCertChainSubCertificates holds one or two certificates")
    leaf = octets_of(chain.leaf, "contractSignatureCertChainCertificate")
    certified = parse_certificate(leaf).attributes(NameOID.COMMON_NAME)
    named = {account(text or "").normal for text in (body.emaid, data.emaid, *certified)}
    if len(named) != 1:
        raise PoolRefused("emaid-mismatch", f"the request names several EMAIDs: {', '.join(sorted(named))}")
    subs = [octets_of(text, "contractSignatureCertChainSubCertificates") for text in chain.subs]
    return OfferedContract(
        generation=generation_of(body.xsd_msg_def_namespace),
        leaf=leaf,
        sub2=subs[0] if len(subs) > 1 else None,
        sub1=subs[-1],
        encrypted_private_key=octets_of(
            data.contract_signature_encrypted_private_key, "contractSignatureEncryptedPrivateKey"
        ),
        dh_public_key=octets_of(data.dh_public_key, "dHpublickey"),
        pcid=pcid,
        cps_root=body.cps_root,
    )


def _result_object(result: SignedResult) -> dict[str, str | None]:
    return {
        "pcid": result.pcid,
        "emaid": result.emaid,
        "xsdMsgDefNamespace": namespace_of(result.generation),
        "signedData": base64.b64encode(result.signed).decode(),
        "cpsV2GRootCertificateFingerprint": result.root.sha256,
        "cpsRootDistinguishedName": distinguished_name(result.root),
    }


def _signer_object(generation: Generation, signer: Signer) -> dict[str, str]:
    leaf, *subs = [parse_certificate(der) for der in signer.chain]
    root = parse_certificate(signer.root)
    organizations = [text for text in leaf.attributes(NameOID.ORGANIZATION_NAME) if text]
    found = {
        "cpsDistinguishedName": distinguished_name(leaf),
        "cpsCertificate": base64.b64encode(leaf.der).decode(),
        "validFrom": written_instant(leaf.not_before),
        "validTo": written_instant(leaf.not_after),
        "organizationName": organizations[0] if organizations else "-",
        "cpsV2GRootCertificateFingerprint": root.sha256,
        "cpsRootDistinguishedName": distinguished_name(root),
        "cpsSubCa1Certificate": base64.b64encode(subs[-1].der).decode(),
        "xsdMsgDefNamespace": namespace_of(generation),
    }
    if len(subs) > 1:
        found["cpsSubCa2Certificate"] = base64.b64encode(subs[0].der).decode()
    return found


def _optional(text: str | None, field: str) -> bytes | None:
    return None if text is None else octets_of(text, field)
