"""The calls of the provisioning certificate pool.

Source: OPCP 1.0, pcp.v1.
"""

from __future__ import annotations

import base64

from pki.errors import PoolRefused
from pki.service.pool.answering import Answer, Call, Route
from pki.service.pool.clients import Role
from pki.service.pool.identities import (
    distinguished_name,
    generation_of,
    key_identifier_text,
    namespace_of,
    vehicle_id,
)
from pki.service.pool.messages import ProvisioningBody, key_identifiers_of, octets_of, read_body
from pki.service.pool.pools import Pools
from pki.service.pool.vehicles import Vehicle, VehicleChain, delete_vehicle, get_vehicle, has_vehicle, put_vehicle

_OEM = frozenset({Role.OEM})
_READERS = frozenset({Role.OEM, Role.MO})


def put(pools: Pools, call: Call) -> Answer:
    """addOEMProvCert."""
    body = read_body(call.body, ProvisioningBody)
    published = VehicleChain(
        generation=generation_of(body.xsd_msg_def_namespace),
        leaf=octets_of(body.vehicle_certificate, "vehicleCertificate"),
        sub2=None if body.sub_ca2 is None else octets_of(body.sub_ca2, "subCA2Certificate"),
        sub1=octets_of(body.sub_ca1, "subCA1Certificate"),
        v2g_roots=key_identifiers_of(body.v2g_root_authority_key_identifiers),
        previous=None if body.previous_pcid is None else vehicle_id(body.previous_pcid).written,
    )
    return Answer(vehicle_object(put_vehicle(pools, published, call.client)))


def get(pools: Pools, call: Call) -> Answer:
    """getOEMProvCert: verified again now."""
    _require_own(call)
    return Answer({"OEMMessage": vehicle_object(get_vehicle(pools, call.path["pcid"]))})


def delete(pools: Pools, call: Call) -> Answer:
    """deleteOEMProvCert, with the contracts of the car."""
    call.client.require_maker(vehicle_id(call.path["pcid"]).normal)
    delete_vehicle(pools, call.path["pcid"], call.client.actor("provisioning certificate deleted"))
    return Answer()


def look_up(pools: Pools, call: Call) -> Answer:
    """lookupVehicle: whether there is one."""
    _require_own(call)
    if not has_vehicle(pools, call.path["pcid"]):
        raise PoolRefused("vehicle-unknown", f"no provisioning certificate of {call.path['pcid']} is in the pool")
    return Answer()


ROUTES = (
    Route(method="PUT", path="/v1/oem/provCerts", act=put, roles=_OEM, missing=400),
    Route(method="GET", path="/v1/oem/provCerts/lookupVehicle/{pcid}", act=look_up, roles=_READERS),
    Route(method="GET", path="/v1/oem/provCerts/{pcid}", act=get, roles=_READERS),
    Route(method="DELETE", path="/v1/oem/provCerts/{pcid}", act=delete, roles=_OEM),
)


def vehicle_object(vehicle: Vehicle) -> dict[str, object]:
    """A car as OPCP writes it (ProvisioningCertificateData)."""
    published = vehicle.published
    found: dict[str, object] = {
        "subCA1Certificate": base64.b64encode(published.sub1).decode(),
        "vehicleCertificate": base64.b64encode(published.leaf).decode(),
        "xsdMsgDefNamespace": namespace_of(published.generation),
        "rootIssuerDistinguishedName": distinguished_name(vehicle.root),
        "rootIssuerSerialNumber": f"{vehicle.root.serial:x}",
        "rootAuthorityKeyIdentifier": key_identifier_text(vehicle.root),
        "fingerprint": vehicle.leaf.sha256,
    }
    if published.sub2 is not None:
        found["subCA2Certificate"] = base64.b64encode(published.sub2).decode()
    if published.v2g_roots:
        found["v2gRootAuthorityKeyIdentifiers"] = published.v2g_roots
    if published.previous is not None:
        found["previousPcid"] = published.previous
    return found


def _require_own(call: Call) -> None:
    """An operator reads any car whose PCID it knows, a car maker its own."""
    if Role.MO not in call.client.roles:
        call.client.require_maker(vehicle_id(call.path["pcid"]).normal)
