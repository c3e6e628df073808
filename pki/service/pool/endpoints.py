"""Webhook endpoints: where a client wants to be told of which events.

Rules of this file
1. An endpoint is its owner's alone; others are told that it does not exist.
2. Its URL is https, its host one that the operator allows, written as a name: an address in any spelling is refused.
3. Its secret is made here and shown to its owner, who needs it to check what arrives (OPCP); so it is stored as it is,
   in a file that only the service can read.

Source: OPCP 1.0, webhooks.v1.
"""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import SplitResult, urlsplit

import msgspec

from pki.errors import PoolRefused
from pki.service.pool.clients import Client
from pki.service.pool.events import EventType
from pki.service.pool.pools import Pools
from pki.service.store.tables import instant, stamp

ENDPOINTS_MAX = 16
"""Endpoints of one client."""
_URL_MAX, _TEXT_MAX, _METADATA_MAX = 1024, 1024, 16
_NUMERIC = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)")
_CLAUSE = "OPCP 1.0, webhooks.v1"


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a client notes about its endpoint; it decides nothing."""

    description: str | None = None
    api_version: str | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A registered endpoint."""

    id: str
    owner: str
    url: str
    events: tuple[EventType, ...]
    enabled: bool
    described: Described
    secret: str
    made_at: datetime


def add_endpoint(
    pools: Pools, client: Client, url: str, events: list[str], *, enabled: bool, described: Described
) -> Endpoint:
    """A new endpoint of that client.

    Raises:
        PoolRefused: "webhook-url", "webhook-host", "webhook-event", "webhook-limit", "webhook-text".
    """
    made = Endpoint(
        id=str(uuid.uuid4()),
        owner=client.id,
        url=url,
        events=_events(events),
        enabled=enabled,
        described=_described(described),
        secret=secrets.token_urlsafe(32),
        made_at=pools.now(),
    )
    check_url(pools, url)
    with pools.writing() as connection:
        count = connection.execute("SELECT count(*) FROM endpoint WHERE owner = ?", (client.id,)).fetchone()[0]
        if count >= ENDPOINTS_MAX:
            raise PoolRefused("webhook-limit", f"client {client.id} has {count} endpoints, at most {ENDPOINTS_MAX}")
        connection.execute("INSERT INTO endpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _row(made))
        pools.note(connection, "endpoint-added", client.actor("webhook"), made.id, url)
    return made


def change_endpoint(
    pools: Pools,
    client: Client,
    endpoint_id: str,
    url: str,
    events: list[str] | None,
    *,
    enabled: bool | None,
    described: Described,
) -> Endpoint:
    """Change an endpoint of that client; None leaves a value as it is, the secret always stays.

    Raises:
        PoolRefused: "endpoint-unknown", and as `add_endpoint`.
    """
    check_url(pools, url)
    with pools.writing() as connection:
        former = get_endpoint(pools, client, endpoint_id)
        kept = former.described
        changed = Endpoint(
            id=former.id,
            owner=former.owner,
            url=url,
            events=former.events if events is None else _events(events),
            enabled=former.enabled if enabled is None else enabled,
            described=_described(
                Described(
                    description=kept.description if described.description is None else described.description,
                    api_version=kept.api_version if described.api_version is None else described.api_version,
                    metadata=kept.metadata if described.metadata is None else described.metadata,
                )
            ),
            secret=former.secret,
            made_at=former.made_at,
        )
        connection.execute(
            "UPDATE endpoint SET url = ?3, events = ?4, enabled = ?5, described = ?6 WHERE id = ?1 AND owner = ?2",
            _row(changed)[:6],
        )
        pools.note(connection, "endpoint-changed", client.actor("webhook"), former.id, url)
    return changed


def get_endpoint(pools: Pools, client: Client, endpoint_id: str) -> Endpoint:
    """An endpoint of that client. Raises PoolRefused "endpoint-unknown"."""
    for endpoint in list_endpoints(pools, client):
        if endpoint.id == endpoint_id:
            return endpoint
    raise PoolRefused("endpoint-unknown", f"client {client.id} has no endpoint {endpoint_id[:40]!a}")


def list_endpoints(pools: Pools, client: Client) -> list[Endpoint]:
    """The endpoints of that client, the oldest first."""
    with pools.reading() as connection:
        rows = connection.execute(
            "SELECT id, owner, url, events, enabled, described, secret, made_at FROM endpoint WHERE owner = ? "
            "ORDER BY made_at, id",
            (client.id,),
        ).fetchall()
    return [
        Endpoint(
            id=endpoint_id,
            owner=owner,
            url=url,
            events=tuple(msgspec.json.decode(events, type=list[EventType])),
            enabled=bool(enabled),
            described=msgspec.json.decode(described, type=Described),
            secret=secret,
            made_at=instant(made_at),
        )
        for endpoint_id, owner, url, events, enabled, described, secret, made_at in rows
    ]


def delete_endpoint(pools: Pools, client: Client, endpoint_id: str) -> None:
    """Delete an endpoint of that client, with what still waits for it. Raises PoolRefused "endpoint-unknown"."""
    with pools.writing() as connection:
        found = get_endpoint(pools, client, endpoint_id)
        connection.execute("DELETE FROM endpoint WHERE id = ?", (found.id,))
        pools.note(connection, "endpoint-deleted", client.actor("webhook"), found.id)


def check_url(pools: Pools, url: str) -> SplitResult:
    """The parts of a URL that events may be sent to. Asked when it is registered and again before each delivery: the
    operator may have changed the list.

    Raises:
        PoolRefused: "webhook-url": not https, or with a user, a fragment or an address in place of a name;
            "webhook-host": not on the operator's list.
    """
    if len(url) > _URL_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise PoolRefused("webhook-url", f"{url[:80]!a} is no URL of printable ASCII and at most {_URL_MAX} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PoolRefused("webhook-url", f"{url[:80]!a} is no URL: {error}") from error
    host = parts.hostname or ""
    if parts.scheme != "https" or not host or "@" in parts.netloc or parts.fragment:
        raise PoolRefused("webhook-url", f"{url[:80]!a}: events are sent to https://HOST[:PORT]/PATH", clause=_CLAUSE)
    if ":" in host or _NUMERIC.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
        raise PoolRefused("webhook-url", f"{host[:80]!a} is an address; a webhook host is a name", clause=_CLAUSE)
    named = host if port in (None, 443) else f"{host}:{port}"
    if named not in pools.settings.webhook_hosts:
        message = f"{named[:80]!a} is not a host that the operator of this service allows for webhooks"
        raise PoolRefused("webhook-host", message, clause=_CLAUSE)
    return parts


def _events(names: list[str]) -> tuple[EventType, ...]:
    known = {kind.value for kind in EventType}
    for name in names:
        if name not in known:
            message = f"no event {name[:60]!a}; known: {', '.join(sorted(known))}"
            raise PoolRefused("webhook-event", message, clause=_CLAUSE)
    if not names:
        raise PoolRefused("webhook-event", "an endpoint without an event is never told anything", clause=_CLAUSE)
    return tuple(dict.fromkeys(EventType(name) for name in names))


def _described(given: Described) -> Described:
    texts = [given.description or "", given.api_version or ""]
    metadata = given.metadata or {}
    texts += [*metadata.keys(), *metadata.values()]
    if len(metadata) > _METADATA_MAX or any(len(text) > _TEXT_MAX for text in texts):
        message = f"description, apiVersion and metadata: at most {_METADATA_MAX} pairs, {_TEXT_MAX} characters each"
        raise PoolRefused("webhook-text", message)
    return given


def _row(endpoint: Endpoint) -> tuple[str, str, str, str, int, str, str, int]:
    return (
        endpoint.id,
        endpoint.owner,
        endpoint.url,
        msgspec.json.encode(endpoint.events).decode(),
        int(endpoint.enabled),
        msgspec.json.encode(endpoint.described).decode(),
        endpoint.secret,
        stamp(endpoint.made_at),
    )
