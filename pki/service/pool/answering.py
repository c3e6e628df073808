"""The way of a call: its body within bounds, its client, its role, its act in a thread, its answer or its refusal.

Rules of this file
1. Every refusal is OPCP's error body, `{"errorMessages": [...], "traceId": ...}`; a message begins with the rule's
   code. What is wrong inside the service is told by its trace id only, and written to the log.
   A connection whose body was not read to its end is closed: what is left must not be taken for the next request.
2. What a known client was refused is in the audit log, if it was to change something or if it may not act at all.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web

from pki.errors import KeyStoreError, PKIError, PoolRefused, StateError
from pki.service.pool.clients import EVERYONE, Client, Role
from pki.service.pool.messages import BODY_CAP
from pki.service.pool.pools import Pools
from pki.service.pool.tokens import read_token

_LOG = logging.getLogger(__name__)
_SAFE = frozenset({"GET", "HEAD"})
_STATUS = {
    "token": 401,
    "client-secret": 401,
    "role": 403,
    "provider": 403,
    "wmi": 403,
    "root-unknown": 404,
    "vehicle-unknown": 404,
    "vehicle-unusable": 404,
    "contract-unknown": 404,
    "endpoint-unknown": 404,
    "no-signer": 404,
    "contract-held": 409,
    "too-slow": 408,
}
_UNREAD = frozenset({"too-slow", "body-size"})
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as an act sees it; `query` holds one value of each name."""

    client: Client
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def flag(self, name: str) -> bool:
        """Whether a header says true. Raises PoolRefused "header" for anything but true and false."""
        text = self.headers.get(name, "false").strip().lower()
        if text not in ("true", "false"):
            raise PoolRefused("header", f"{name} is true or false, not {text[:20]!a}")
        return text == "true"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `body` is written as JSON, or as it is when it is octets; None: nothing."""

    body: object = None
    status: int = 200
    content_type: str = _JSON


Act = Callable[[Pools, Call], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A call of OPCP: who may make it and what it does. `missing` is the status for what is not in the pool: some calls
    have no 404 in their description."""

    method: str
    path: str
    act: Act
    roles: frozenset[Role] = EVERYONE
    missing: int = 404


def handler_of(pools: Pools, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route."""

    async def answer(request: web.Request) -> web.StreamResponse:
        client: Client | None = None
        try:
            client = await asyncio.to_thread(read_token, pools, bearer_of(request))
            client.require_role(route.roles)
            body = await read_bounded(request, pools.settings.body_timeout_s)
            call = Call(
                client=client,
                path=request.match_info,
                query=dict(request.query),
                headers=request.headers,
                body=body,
            )
            return written(await asyncio.to_thread(route.act, pools, call))
        except PKIError as error:
            status = status_of(error, route.missing)
            if client is not None and (request.method not in _SAFE or status == 403):
                await asyncio.to_thread(_note, pools, client, route, error)
            return refusal(error, status)

    return answer


def _note(pools: Pools, client: Client, route: Route, error: PKIError) -> None:
    """Write a refusal into the audit log; when that fails, into the service's own."""
    act = f"{route.method} {route.path}"
    try:
        pools.note_refusal(client.actor(act), act, error)
    except StateError as fault:
        _LOG.error("a refusal of %s to %s is not in the audit log: %s", act, client.id, fault)


def open_handler(
    pools: Pools, act: Callable[[Pools, web.Request], Answer]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of a call that needs no client: what it answers is public and signed."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return written(await asyncio.to_thread(act, pools, request))
        except PKIError as error:
            return refusal(error, status_of(error))

    return answer


async def read_bounded(request: web.Request, timeout_s: float) -> bytes:
    """The body.

    Raises:
        PoolRefused: "body-size" beyond BODY_CAP bytes, without reading the rest; "too-slow" when it is not whole after
            `timeout_s` seconds.
    """
    found = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in request.content.iter_any():
                found += piece
                if len(found) > BODY_CAP:
                    raise PoolRefused("body-size", f"a body of more than {BODY_CAP} bytes")
    except TimeoutError:
        raise PoolRefused("too-slow", f"the body took longer than {timeout_s:g} s", clause="RFC 9110 15.5.9") from None
    return bytes(found)


def hang_up_after(error: PKIError, response: web.Response) -> web.Response:
    """The response to a refusal; the connection is closed behind it when the body was not read to its end."""
    if error.code in _UNREAD:
        response.force_close()
    return response


def bearer_of(request: web.Request) -> str:
    """The bearer token. Raises PoolRefused "token" when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        message = "no bearer token; POST /oauth/token gives one for a client id and secret"
        raise PoolRefused("token", message, clause="RFC 6750 2.1")
    return token.strip()


def status_of(error: PKIError, missing: int = 404) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, StateError | KeyStoreError):
        return 500
    found = _STATUS.get(error.code, 400)
    return missing if found == 404 else found


def refusal(error: PKIError, status: int) -> web.Response:
    """OPCP's error body."""
    trace = str(uuid.uuid4())
    if status >= 500:
        _LOG.error("%s: %s: %s", trace, error.code, error)
        message = f"{error.code}: the service cannot do this now; its log says why under this trace id"
    else:
        message = f"{error.code}: {error}" + (f" ({error.clause})" if error.clause else "")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = msgspec.json.encode({"errorMessages": [message], "traceId": trace})
    return hang_up_after(error, web.Response(status=status, body=body, content_type=_JSON, headers=headers))


def written(answer: Answer) -> web.Response:
    """The response of an answer."""
    if answer.body is None:
        return web.Response(status=answer.status)
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    return web.Response(status=answer.status, body=body, headers={"Content-Type": answer.content_type})
