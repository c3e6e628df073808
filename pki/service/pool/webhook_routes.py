"""The calls for webhook endpoints.

Source: OPCP 1.0, webhooks.v1.
"""

from __future__ import annotations

from pki.errors import PoolRefused
from pki.service.pool.answering import Answer, Call, Route
from pki.service.pool.clients import Role
from pki.service.pool.endpoints import (
    Described,
    Endpoint,
    add_endpoint,
    change_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
)
from pki.service.pool.messages import EndpointBody, read_body
from pki.service.pool.pools import Pools

_STATES = {"enabled": True, "disabled": False}
_PATH = "/v1/webhook/endpoints"


def create(pools: Pools, call: Call) -> Answer:
    """A new endpoint, with its secret."""
    body = read_body(call.body, EndpointBody)
    enabled = _enabled(body.status)
    made = add_endpoint(
        pools,
        call.client,
        body.url,
        body.enabled_events or [],
        enabled=True if enabled is None else enabled,
        described=_described(body),
    )
    return Answer(endpoint_object(call, made), status=201)


def get_all(pools: Pools, call: Call) -> Answer:
    """The caller's endpoints."""
    return Answer([endpoint_object(call, endpoint) for endpoint in list_endpoints(pools, call.client)])


def get_one(pools: Pools, call: Call) -> Answer:
    """One of the caller's endpoints."""
    return Answer(endpoint_object(call, get_endpoint(pools, call.client, call.path["id"])))


def update(pools: Pools, call: Call) -> Answer:
    """Change one of the caller's endpoints; what the body leaves out stays."""
    body = read_body(call.body, EndpointBody)
    changed = change_endpoint(
        pools,
        call.client,
        call.path["id"],
        body.url,
        body.enabled_events,
        enabled=_enabled(body.status),
        described=_described(body),
    )
    return Answer(endpoint_object(call, changed))


def delete(pools: Pools, call: Call) -> Answer:
    """Delete one of the caller's endpoints."""
    delete_endpoint(pools, call.client, call.path["id"])
    return Answer()


ROUTES = (
    Route(method="POST", path=_PATH, act=create),
    Route(method="GET", path=_PATH, act=get_all),
    Route(method="GET", path=f"{_PATH}/{{id}}", act=get_one),
    Route(method="PUT", path=f"{_PATH}/{{id}}", act=update),
    Route(method="DELETE", path=f"{_PATH}/{{id}}", act=delete),
)


def endpoint_object(call: Call, endpoint: Endpoint) -> dict[str, object]:
    """An endpoint as OPCP writes it."""
    client, described = call.client, endpoint.described
    found: dict[str, object] = {
        "id": endpoint.id,
        "created": int(endpoint.made_at.timestamp()),
        "enabledEvents": [kind.value for kind in endpoint.events],
        "status": "enabled" if endpoint.enabled else "disabled",
        "url": endpoint.url,
        "secret": endpoint.secret,
        "userRole": ", ".join(sorted(role.value.upper() for role in client.roles)),
        "userName": client.id,
    }
    if Role.MO in client.roles:
        found["providerIds"] = client.providers
    if Role.OEM in client.roles:
        found["wmis"] = client.wmis
    notes = {
        "apiVersion": described.api_version,
        "description": described.description,
        "metadata": described.metadata,
    }
    return {**found, **{key: value for key, value in notes.items() if value is not None}}


def _enabled(status: str | None) -> bool | None:
    if status is None:
        return None
    if status not in _STATES:
        raise PoolRefused("webhook-status", f"status is enabled or disabled, not {status[:20]!a}")
    return _STATES[status]


def _described(body: EndpointBody) -> Described:
    return Described(description=body.description, api_version=body.api_version, metadata=body.metadata)
