"""What happens in the pools, told to those concerned: each event becomes a delivery to every endpoint that wants it.

Rules of this file
1. Deliveries are written in the transaction of the act, so that nothing happens untold and nothing is told that did not
   happen. `delivery` sends them.
2. Roots concern everyone. A car or contract concerns the mobility operators of the EMAID's provider (`mo.*`) and the
   makers of the PCID's WMI (`oem.*`), and nobody else.

Source: OPCP 1.0, webhooks.v1, webhook.payload.v1.
"""

from __future__ import annotations

import base64
import sqlite3
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from pki.certificate import Certificate
from pki.profile import AnchorRole, Generation
from pki.service.pool.clients import Client, Role, find_client
from pki.service.pool.identities import common_name, distinguished_name, namespace_of, provider
from pki.service.store.tables import stamp


class EventType(StrEnum):
    """The events of OPCP; two that its lists of names forget are here too, `root.cert.revoked` and
    `mo.prov.cert.factory.reset`."""

    ROOT_ADDED = "root.cert.added"
    ROOT_EXPIRED = "root.cert.expired"
    ROOT_REVOKED = "root.cert.revoked"
    VEHICLE_UPDATED = "mo.prov.cert.updated"
    VEHICLE_DELETED = "mo.prov.cert.deleted"
    FACTORY_RESET = "mo.prov.cert.factory.reset"
    UPDATED_FACTORY_RESET = "mo.prov.cert.updated.factory.reset"
    CREATED_SENT = "mo.contract.created.sent.to.oem"
    UPDATED_SENT = "mo.contract.updated.sent.to.oem"
    DELETED_SENT = "mo.contract.deleted.sent.to.oem"
    DELIVERED = "mo.contract.delivered.to.oem"
    REJECTED = "mo.contract.rejected.by.oem"
    QUEUED = "mo.contract.queued.to.oem"
    CREATED = "oem.contract.created"
    UPDATED = "oem.contract.updated"
    DELETED = "oem.contract.deleted"


SENT_TO_MAKER = {
    EventType.CREATED: EventType.CREATED_SENT,
    EventType.UPDATED: EventType.UPDATED_SENT,
    EventType.DELETED: EventType.DELETED_SENT,
}
"""What the operator is told once the maker has been told."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The contract that an event is about: normal EMAID, PCID as written, generation, certificate in base64 (None: the
    contract is opaque), fingerprint of the root above the provisioning service."""

    emaid: str
    pcid: str
    generation: Generation
    certificate: str | None = None
    cps_root: str | None = None


@dataclass(frozen=True, slots=True)
class _Envelope:
    """An event before it is addressed."""

    kind: EventType
    at: datetime
    body: bytes
    event_id: str
    about: str


def tell_of_root(
    connection: sqlite3.Connection, kind: EventType, at: datetime, root_id: str, role: AnchorRole, root: Certificate
) -> None:
    """An event of the root pool, to every endpoint that wants it; inside the transaction of the act."""
    payload = {
        "rootCertificateId": root_id,
        "distinguishedName": distinguished_name(root),
        "commonName": common_name(root),
        "rootType": role.value.upper(),
        "rootSerialNumber": f"{root.serial:x}",
        "signatureAlgorithm": root.key_kind.value,
        "fingerprintSHA256": root.sha256,
    }
    _address(connection, _envelope(kind, at, payload, None, ""), None)


def tell_of_contract(connection: sqlite3.Connection, kind: EventType, at: datetime, about: About) -> None:
    """An event of a car or contract, to the endpoints of those whom it concerns; inside the transaction of the act."""
    payload = {
        "emaid": about.emaid,
        "pcid": about.pcid,
        "contractCert": about.certificate,
        "cpsSignerRootFingerprint": about.cps_root,
    }
    said = {key: value for key, value in payload.items() if value is not None}
    text = msgspec.json.encode(about).decode()
    _address(connection, _envelope(kind, at, said, namespace_of(about.generation), text), about)


def certificate_text(der: bytes) -> str:
    """A certificate as events and bodies carry it."""
    return base64.b64encode(der).decode()


def _envelope(kind: EventType, at: datetime, payload: dict[str, str], namespace: str | None, about: str) -> _Envelope:
    event_id = str(uuid.uuid4())
    body: dict[str, object] = {
        "timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventId": event_id,
        "eventType": kind.value,
        "payload": payload,
    }
    if namespace is not None:
        body["xsdMsgDefNamespace"] = namespace
    return _Envelope(kind, at, msgspec.json.encode(body), event_id, about)


def _address(connection: sqlite3.Connection, envelope: _Envelope, about: About | None) -> None:
    rows = connection.execute("SELECT id, owner, events FROM endpoint WHERE enabled = 1").fetchall()
    for endpoint, owner, events in rows:
        client = find_client(connection, owner)
        if client is None or envelope.kind.value not in msgspec.json.decode(events, type=list[str]):
            continue
        if about is None or _concerns(client, envelope.kind, about):
            connection.execute(
                "INSERT INTO delivery (event_id, event_type, endpoint, body, about, made_at, attempts, due_at, "
                "outcome, last_said) VALUES (?, ?, ?, ?, ?, ?, 0, ?, 'waiting', '')",
                (
                    envelope.event_id,
                    envelope.kind.value,
                    endpoint,
                    envelope.body,
                    envelope.about,
                    stamp(envelope.at),
                    stamp(envelope.at),
                ),
            )


def _concerns(client: Client, kind: EventType, about: About) -> bool:
    if kind.value.startswith("oem."):
        return Role.OEM in client.roles and about.pcid[:3] in client.wmis
    return Role.MO in client.roles and provider(about.emaid) in client.providers
