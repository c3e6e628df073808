"""`add_pool_routes`: every call of the pools into an aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from pki.errors import PKIError, PoolRefused
from pki.service.pool import root_routes, signing_routes, vehicle_routes, webhook_routes
from pki.service.pool.answering import handler_of, hang_up_after, open_handler, read_bounded, refusal, status_of
from pki.service.pool.contract_routes import RequestReader, read_plain_request, routes as contract_routes
from pki.service.pool.messages import TokenBody, read_body
from pki.service.pool.pools import Pools
from pki.service.pool.tokens import issue_token

TOKEN_PATH = "/oauth/token"
_OAUTH_ERRORS = {"client-secret": "invalid_client", "grant-type": "unsupported_grant_type"}


def add_pool_routes(app: web.Application, pools: Pools, read_request: RequestReader = read_plain_request) -> None:
    """Add the calls under /v1/root, /v1/oem, /v1/cps, /v1/ccp, /v1/webhook, /cps and /oauth.

    `read_request` reads the installation requests of cars; the default one takes no EXI.
    """
    listed = (
        *root_routes.ROUTES,
        *vehicle_routes.ROUTES,
        *signing_routes.ROUTES,
        *contract_routes(read_request),
        *webhook_routes.ROUTES,
    )
    for route in listed:
        # Any segment is a value: what it is not is said by the rule that it breaks, not by a missing page.
        path = route.path.replace("}", ":[^/]+}")
        app.router.add_route(route.method, path, handler_of(pools, route))
    for path, act in root_routes.open_routes(pools):
        app.router.add_route("GET", path, open_handler(pools, act))
    app.router.add_route("POST", TOKEN_PATH, _token_handler(pools))


def _token_handler(pools: Pools) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The token endpoint: JSON as OPCP has it, or a form as RFC 6749 has it."""

    async def answer(request: web.Request) -> web.Response:
        try:
            octets = await read_bounded(request, pools.settings.body_timeout_s)
            asked = _read_token_body(octets, request.content_type)
            if asked.grant_type != "client_credentials":
                raise PoolRefused("grant-type", f"grant_type is client_credentials, not {asked.grant_type[:40]!a}")
            token = await asyncio.to_thread(issue_token, pools, asked.client_id, asked.client_secret, asked.audience)
        except PKIError as error:
            status = status_of(error)
            if status >= 500:
                return refusal(error, status)
            body = {"error": _OAUTH_ERRORS.get(error.code, "invalid_request"), "error_description": str(error)}
            return hang_up_after(error, _json(body, status))
        return _json(token, 200)

    return answer


def _read_token_body(body: bytes, content_type: str) -> TokenBody:
    if content_type != "application/x-www-form-urlencoded":
        return read_body(body, TokenBody)
    try:
        fields = {name: values[-1] for name, values in parse_qs(body.decode(), max_num_fields=16).items()}
        return msgspec.convert(fields, TokenBody)
    except (UnicodeDecodeError, ValueError, msgspec.ValidationError) as error:
        raise PoolRefused("body", f"the form is not what this call takes: {error}", clause="RFC 6749 4.4.2") from error


def _json(value: object, status: int) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )
