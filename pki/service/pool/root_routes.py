"""The calls of the root pool. The signed list and the feed of changes are open to everyone: they are public and, the
list, signed; gateways fetch them without a client id.

Source: OPCP 1.0, rcp.v1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from aiohttp import web
from cryptography.x509.oid import NameOID

from pki.certificate import Certificate
from pki.errors import PoolRefused
from pki.profile import AnchorRole
from pki.service.pool.answering import Answer, Call, Route
from pki.service.pool.clients import Role
from pki.service.pool.identities import (
    NAMESPACE_2,
    NAMESPACE_20,
    common_name,
    distinguished_name,
    key_identifier_text,
)
from pki.service.pool.messages import RootBody, octets_of, read_body
from pki.service.pool.pools import Pools
from pki.service.pool.roots import (
    CHANGES_MAX,
    PoolRoot,
    RootChange,
    changes_after,
    get_root,
    list_roots,
    put_root,
    remove_root,
)
from pki.service.pool.trust_lists import TrustLists

LIST_TYPE = "application/pkcs7-mime; smime-type=signed-data"
_ADMIN = frozenset({Role.ADMIN})
_CLAUSE = "OPCP 1.0, rcp.v1"


def get_all(pools: Pools, call: Call) -> Answer:
    """getAllRootCerts: every root, or those of one type."""
    text = call.query.get("rootType")
    found = list_roots(pools, None if text is None else _role(text))
    return Answer({"RootCertificateCollection": {"rootCertificates": [root_object(root) for root in found]}})


def get_one(pools: Pools, call: Call) -> Answer:
    """getRootCert."""
    return Answer({"RootResponse": root_object(get_root(pools, call.path["rootCertificateId"]))})


def put(pools: Pools, call: Call) -> Answer:
    """saveRootCa; 202 while it waits for a second administrator."""
    body = read_body(call.body, RootBody)
    actor = call.client.actor("root certificate put")
    stored = put_root(pools, octets_of(body.ca_certificate, "caCertificate"), _role(body.root_type), actor)
    if stored is None:
        return Answer({"waitsFor": "another administrator to put the same certificate"}, status=202)
    return Answer(root_object(stored))


def delete(pools: Pools, call: Call) -> Answer:
    """deleteRootCa: what stands below the root stays in the pools."""
    remove_root(pools, call.path["rootCertificateId"], call.client.actor("root certificate deleted"))
    return Answer()


def get_list(lists: TrustLists, pools: Pools, request: web.Request) -> Answer:
    """The signed list: CMS, or inside OPCP's JSON for who accepts only that."""
    der = lists.current()
    if request.headers.get("Accept", "*/*").split(";")[0].strip() != "application/json":
        return Answer(der, content_type=LIST_TYPE)
    signer = pools.own.list_signer()
    body = {
        "signerCertificate": base64.b64encode(signer.chain[0]).decode(),
        "timeStamp": written_instant(pools.now()),
        "CTL": {"contentType": LIST_TYPE, "content": base64.b64encode(der).decode()},
    }
    return Answer(body)


def get_changes(pools: Pools, request: web.Request) -> Answer:
    """The feed of changes behind number `after`; `more` says that another call is needed."""
    text = request.query.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise PoolRefused("after", f"after is the number of a change, not {text[:20]!a}")
    found = changes_after(pools, int(text))
    last = found[-1].number if found else int(text)
    more = len(found) == CHANGES_MAX
    return Answer({"changes": [_change_object(entry) for entry in found], "last": last, "more": more})


ROUTES = (
    Route(method="GET", path="/v1/root/rootCerts", act=get_all),
    Route(method="GET", path="/v1/root/rootCerts/{rootCertificateId}", act=get_one),
    Route(method="PUT", path="/v1/root/rootCerts", act=put, roles=_ADMIN),
    Route(method="DELETE", path="/v1/root/rootCerts/{rootCertificateId}", act=delete, roles=_ADMIN),
)


def open_routes(pools: Pools) -> tuple[tuple[str, Callable[[Pools, web.Request], Answer]], ...]:
    """The calls that need no client."""
    return (("/v1/root/ctl", partial(get_list, TrustLists(pools))), ("/v1/root/changes", get_changes))


def root_object(root: PoolRoot) -> dict[str, str]:
    """A root as OPCP writes it (RootCertV2)."""
    held = root.certificate
    names = [text for text in held.attributes(NameOID.ORGANIZATION_NAME) if text]
    key_identifier = held.subject_key_identifier or b""
    return {
        "rootCertificateId": root.id,
        "distinguishedName": distinguished_name(held),
        "rootType": root.role.value.upper(),
        "caCertificate": base64.b64encode(held.der).decode(),
        "commonName": common_name(held),
        "rootAuthorityKeyIdentifier": key_identifier_text(held),
        "rootAuthorityKeyIdentifierHex": key_identifier.hex(),
        "rootIssuerSerialNumber": f"{held.serial:x}",
        "validFrom": written_instant(held.not_before),
        "validTo": written_instant(held.not_after),
        "organizationName": names[0] if names else "",
        "fingerprint": held.sha256,
        "fingerprintSha1": hashlib.sha1(held.der, usedforsecurity=False).hexdigest(),
        "xsdMsgDefNamespace": _namespace(held),
        "signatureAlgorithm": held.key_kind.value,
    }


def written_instant(at: datetime) -> str:
    """An instant as OPCP's bodies carry it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _namespace(root: Certificate) -> str:
    """The generation that a root's key tells: P-256 is -2."""
    return NAMESPACE_2 if root.key_kind.value == "secp256r1" else NAMESPACE_20


def _change_object(entry: RootChange) -> dict[str, object]:
    return {
        "number": entry.number,
        "at": written_instant(entry.at),
        "change": entry.change.value,
        "root": root_object(entry.root),
    }


def _role(text: str) -> AnchorRole:
    """A root type in either case. Raises PoolRefused "root-type"."""
    try:
        role = AnchorRole(text.lower())
    except ValueError as error:
        message = f"root type {text[:20]!a}; known: MO, V2G, OEM, PE"
        raise PoolRefused("root-type", message, clause=_CLAUSE) from error
    if role is AnchorRole.BACKEND:
        raise PoolRefused("root-type", "root type BACKEND; known: MO, V2G, OEM, PE", clause=_CLAUSE)
    return role
