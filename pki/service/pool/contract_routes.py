"""The calls of the contract certificate pool.

`certificateInstallationReq` of OPCP is EXI, which is not read here. `RequestReader` is where a program that reads EXI
is plugged in; the one of this house takes the car's certificate in our own JSON (docs/decisions/0006).

Source: OPCP 1.0, ccp.v1.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import msgspec

from pki.certificate import parse_certificate
from pki.errors import PoolRefused
from pki.profile import Generation
from pki.service.pool.answering import Act, Answer, Call, Route
from pki.service.pool.clients import Role
from pki.service.pool.contracts import (
    PoolContract,
    choose,
    delete_contract,
    deliver,
    find_contracts,
    prefer_contract,
)
from pki.service.pool.identities import account, common_name, generation_of, namespace_of, vehicle_id
from pki.service.pool.messages import InstallationBody, SignedBody, octets_of, read_body
from pki.service.pool.pools import Pools
from pki.service.pool.root_routes import written_instant
from pki.service.pool.signing import store_signed
from pki.service.pool.vehicles import get_vehicle

RequestReader = Callable[[bytes, Generation], bytes]
"""From an installation request to the DER of the provisioning certificate in it, its signature verified. Raises
PoolRefused."""

_OEM, _MO, _CPO, _CPS = (frozenset({role}) for role in (Role.OEM, Role.MO, Role.CPO, Role.CPS))
_EXI_CLAUSE = "OPCP 1.0, ccp.v1: getSignedContractData"


class PlainRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An installation request of this house: the provisioning certificate as DER in base64. It is not signed; the
    answer is sealed for the car, so that it is of no use to anybody else."""

    oem_provisioning_certificate: bytes


def read_plain_request(octets: bytes, generation: Generation) -> bytes:
    """The certificate of a plain request.

    Raises:
        PoolRefused: "exi" for anything that is not JSON; "body".
    """
    if octets.lstrip()[:1] != b"{":
        message = (
            "EXI is not read here; ask with oem_provisioning_certificate in JSON, or with provideSignedContractData"
        )
        raise PoolRefused("exi", f"{message} ({generation.value})", clause=_EXI_CLAUSE)
    return read_body(octets, PlainRequest).oem_provisioning_certificate


def put(pools: Pools, call: Call) -> Answer:
    """addSignedContractData."""
    body = read_body(call.body, SignedBody)
    store_signed(
        pools,
        octets_of(body.signed_data, "signedContractDataXML"),
        generation_of(body.xsd_msg_def_namespace),
        body.emaid,
        body.pcid,
        body.cps_root,
        call.client,
    )
    return Answer(status=201)


def installation(read: RequestReader) -> Act:
    """getSignedContractData, for requests that `read` reads: the preferred contract of the car."""

    def act(pools: Pools, call: Call) -> Answer:
        body = read_body(call.body, InstallationBody)
        generation = generation_of(body.xsd_msg_def_namespace)
        shown = parse_certificate(
            read(octets_of(body.certificate_installation_req, "certificateInstallationReq"), generation)
        )
        vehicle = get_vehicle(pools, common_name(shown))
        if shown.spki_der != vehicle.leaf.spki_der:
            message = f"the pool holds another key of {vehicle.pcid} than the one that asks"
            raise PoolRefused("vehicle-changed", message, clause=_EXI_CLAUSE)

        def none() -> PoolRefused:
            return PoolRefused("contract-unknown", f"no preferred contract for {vehicle.pcid} is in the pool")

        chosen = choose(find_contracts(pools, pcid=vehicle.pcid, generation=generation), none)
        content: dict[str, object] = {
            "messageDef": {
                "certificateInstallationRes": base64.b64encode(deliver(pools, chosen)).decode(),
                "emaid": chosen.emaid,
                **_root_of(chosen),
            }
        }
        return Answer({"CCPResponse": {"emaidContent": [content]}})

    return act


def delete(pools: Pools, call: Call) -> Answer:
    """deleteSignedContractData; what was issued here is revoked unless the header says to skip it."""
    call.client.require_provider(account(call.path["emaid"]).normal)
    skip = call.flag("X-Skip-Revocation")
    actor = call.client.actor("contract deleted" + (", revocation skipped" if skip else ""))
    delete_contract(pools, call.path["emaid"], actor, skip_revocation=skip)
    return Answer()


def provide(pools: Pools, call: Call) -> Answer:
    """provideSignedContractData: a maker fetches a contract of its car."""
    emaid, pcid = account(call.path["emaid"]).normal, vehicle_id(call.path["pcid"])
    call.client.require_maker(pcid.normal)
    generation = generation_of(call.query.get("xsdMsgDefNamespace"))
    found = _below(call, find_contracts(pools, emaid=emaid, pcid=pcid.written, generation=generation))
    if not found:
        message = f"no contract {emaid} of {generation.value} for car {pcid.written} is in the pool"
        raise PoolRefused("contract-unknown", message)
    body = {
        "certificateInstallationRes": base64.b64encode(deliver(pools, found[0])).decode(),
        "xsdMsgDefNamespace": namespace_of(generation),
        **_root_of(found[0]),
    }
    return Answer(body)


def prefer(pools: Pools, call: Call) -> Answer:
    """setDefaultContract."""
    call.client.require_maker(vehicle_id(call.path["pcid"]).normal)
    prefer_contract(pools, call.path["pcid"], call.path["emaid"], call.client.actor("contract preferred"))
    return Answer()


def look_up(pools: Pools, call: Call) -> Answer:
    """lookupContract: an operator sees its own accounts, a maker its own cars, a charge point operator all."""
    client, emaid = call.client, account(call.path["emaid"]).normal
    found = _below(
        call, find_contracts(pools, emaid=emaid, generation=generation_of(call.query.get("xsdMsgDefNamespace")))
    )
    if Role.CPO not in client.roles:
        if Role.OEM not in client.roles:
            client.require_provider(emaid)
        found = [entry for entry in found if entry.pcid[:3] in client.wmis or emaid[:5] in client.providers]
    if not found:
        raise PoolRefused("contract-unknown", f"no contract {emaid} is in the pool")
    return Answer({"XMLContracts": [contract_object(entry) for entry in found]})


def list_of_car(pools: Pools, call: Call) -> Answer:
    """getContracts: all contracts of a car, which may be none."""
    call.client.require_maker(vehicle_id(call.path["pcid"]).normal)
    generation = generation_of(call.query.get("xsdMsgDefNamespace"))
    found = find_contracts(pools, pcid=call.path["pcid"], generation=generation)
    return Answer({"XMLContracts": [contract_object(entry) for entry in found]})


def routes(read: RequestReader = read_plain_request) -> tuple[Route, ...]:
    """The calls, with the reader of installation requests."""
    path = "/v1/ccp/signedContractData"
    return (
        Route(method="POST", path=path, act=installation(read), roles=_CPO),
        Route(method="PUT", path=path, act=put, roles=_CPS),
        Route(method="DELETE", path=f"{path}/{{emaid}}", act=delete, roles=_MO),
        Route(method="GET", path=f"{path}/{{pcid}}", act=list_of_car, roles=_OEM),
        Route(method="POST", path=f"{path}/{{pcid}}/{{emaid}}/default", act=prefer, roles=_OEM, missing=400),
        Route(method="GET", path="/v1/ccp/provideSignedContractData/{emaid}/{pcid}", act=provide, roles=_OEM),
        Route(method="GET", path="/v1/ccp/lookupContract/{emaid}", act=look_up, roles=_OEM | _CPO | _MO),
    )


def contract_object(contract: PoolContract) -> dict[str, object]:
    """A contract as OPCP lists it."""
    found: dict[str, object] = {
        "pcid": contract.written,
        "emaid": contract.emaid,
        "xsdMsgDefNamespace": namespace_of(contract.generation),
        "defaultContract": contract.preferred,
        **_root_of(contract),
    }
    if contract.chain:
        found["contractCertificate"] = base64.b64encode(contract.chain[0]).decode()
    if contract.begins_at is not None and contract.expires_at is not None:
        found["certValidFrom"] = written_instant(contract.begins_at)
        found["certValidTo"] = written_instant(contract.expires_at)
    return found


def _root_of(contract: PoolContract) -> dict[str, str]:
    return {} if contract.cps_root is None else {"cpsV2GRootCertificateFingerprint": contract.cps_root}


def _below(call: Call, found: list[PoolContract]) -> list[PoolContract]:
    """Those whose signer stands below the root that the query names, if it names one."""
    wanted = call.query.get("cpsV2GRootCertificateFingerprint")
    if wanted is None:
        return found
    return [contract for contract in found if contract.cps_root == wanted.replace(":", "").lower()]
