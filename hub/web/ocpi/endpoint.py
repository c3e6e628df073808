"""The HTTP side of OCPI: who asks, in which version, about what; and every answer in an envelope.

Rules
1. No known token: HTTP 401. A token for registration, or one whose registration is not done, opens versions and
   credentials only; anything else with it is 401 too.
2. HTTP says what became of the transport: 400 no JSON, 401, 404 an unknown URL or object, 405 a method that is not
   there, 413, 5xx ours. Everything else is 200 or 201 with OCPI's status inside.
3. Request and correlation id are echoed; routing headers come back the other way round, with errors too.
4. A party in the routing headers that the partner does not speak for is refused; one to be reached that is not ours is
   unknown (4001), unless this is a hub: then all requests of functional modules go through its forwarding.

Source: OCPI 2.3.0 transport_and_format, status_codes.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import web

from hub.clock import now
from hub.errors import HubError, StoreError
from hub.roaming.own import RoamingConfig
from hub.roaming.registration import Registrar, not_allowed
from hub.roaming.speech import SPOKEN
from hub.store import partners as store
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.partners import Presented
from hub.web.ocpi import openapi
from hub.web.ocpi.exchange import Answer, Exchange, Forwarding, Sides
from hub.web.problems import Problem, read_body
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.authorization import HEADER, hashes, presented
from wire.ocpi.document import encode_document
from wire.ocpi.envelope import StatusCode
from wire.ocpi.headers import MessageIds, read_message_ids
from wire.ocpi.instants import instant_text
from wire.ocpi.routing import ROUTED, Routing, read_routing, refuse_routing
from wire.ocpi.types import InterfaceRole, Module, Version
from wire.ocpi.urls import unquoted

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 20.0
SEEN_EVERY = timedelta(seconds=30)
_IDS, _ROUTING, _PRESENTED = "message ids", "routing", "presented"
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OCPIEndpoint:
    """Answers partners. One per hub."""

    def __init__(
        self,
        database: Database,
        config: RoamingConfig,
        registrar: Registrar,
        sides: Sides,
        forwarding: Forwarding | None = None,
    ) -> None:
        self._database, self._config, self._registrar = database, config, registrar
        self._sides, self._forwarding = sides, forwarding
        self._base = unquoted(urlsplit(config.url).path).rstrip("/")

    def application(self) -> web.Application:
        """The aiohttp application below the path of the public URL."""
        app = web.Application(middlewares=[self._enveloped])
        version, base = "{version:" + "|".join(one.value.replace(".", r"\.") for one in SPOKEN) + "}", self._base
        for slash in ("", "/"):
            app.router.add_get(f"{base}/versions{slash}", self._versions, allow_head=False)
            app.router.add_get(f"{base}{openapi.PATH}{slash}", self._description, allow_head=False)
            app.router.add_get(f"{base}/{version}{slash}", self._details, allow_head=False)
            app.router.add_route("*", f"{base}/{version}/credentials{slash}", self._credentials)
        app.router.add_route("*", f"{base}/{version}/{{side:sender|receiver}}/{{module}}{{tail:(/.*)?}}", self._module)
        return app

    # --- around every request

    @web.middleware
    async def _enveloped(self, request: web.Request, handler: Respond) -> web.StreamResponse:
        request[_IDS] = read_message_ids(request.headers, str(uuid.uuid4()))
        try:
            request[_PRESENTED] = await self._authenticated(request)
            return await handler(request)
        except OCPIRefused as error:
            return self._response(request, _refusal(error.status, error.http, str(error)))
        except MalformedValue as error:
            return self._response(request, _refusal(StatusCode.INVALID_PARAMETERS, 200, str(error)))
        except Problem as error:
            return self._response(request, _refusal(StatusCode.CLIENT_ERROR, error.status, str(error)))
        except StoreError as error:
            _log.error("ocpi-store-failed", extra={"fields": {"path": request.path, "reason": str(error)}})
            return self._response(request, _refusal(StatusCode.SERVER_ERROR, 503, "not available now; try again"))
        except HubError as error:
            _log.error(
                "ocpi-failed", extra={"fields": {"path": request.path, "code": error.code, "reason": str(error)}}
            )
            return self._response(request, _refusal(StatusCode.SERVER_ERROR, 500, str(error)))
        except web.HTTPException as error:
            told = f"{request.method} {request.path[:200]!a}: {error.reason}"
            return self._response(request, _refusal(StatusCode.CLIENT_ERROR, error.status, told, dict(error.headers)))

    async def _authenticated(self, request: web.Request) -> Presented:
        """Who asks. Raises OCPIRefused (401)."""
        tokens = hashes(request.headers.get(HEADER))
        found = await self._database.read(lambda connection: store.partner_of_token(connection, tokens))
        if found is None:
            raise _unauthorized("expected the header `Authorization: Token <base64 of a token>` with a known token")
        await self._note_seen(found)
        return found

    async def _note_seen(self, found: Presented) -> None:
        at, seen = now(), found.partner.last_seen
        if seen is None or abs(at - seen) >= SEEN_EVERY:
            await self._database.write(lambda connection: store.note_seen(connection, found.partner.id, at))

    def _response(self, request: web.Request, answer: Answer) -> web.Response:
        ids: MessageIds = request[_IDS]
        body: dict[str, object] = {
            "status_code": int(answer.status),
            "timestamp": instant_text(now().replace(microsecond=0)),
        }
        if answer.message is not None:
            body["status_message"] = answer.message
        if answer.data is not None:
            body["data"] = answer.data
        routing: Routing = request.get(_ROUTING, Routing())
        headers = {**answer.headers, **ids.headers(), **routing.answer().headers()}
        headers = {name: value for name, value in headers.items() if name.lower() not in _OURS}
        if answer.http == 401:
            headers["WWW-Authenticate"] = "Token"
        response = web.Response(
            status=answer.http, body=encode_document(body), content_type="application/json", headers=headers
        )
        if answer.http in (408, 413):
            response.force_close()  # what is left of the body must not be taken for the next request
        return response

    # --- versions and credentials

    async def _versions(self, request: web.Request) -> web.StreamResponse:
        refuse_routing(request.headers)
        found = [{"version": one.value, "url": f"{self._config.url}/{one.value}"} for one in SPOKEN]
        return self._response(request, Answer(found))

    async def _description(self, request: web.Request) -> web.StreamResponse:
        ids: MessageIds = request[_IDS]
        body = encode_document(openapi.description(self._sides))
        return web.Response(body=body, content_type="application/json", headers=ids.headers())

    async def _details(self, request: web.Request) -> web.StreamResponse:
        refuse_routing(request.headers)
        version, url = request.match_info["version"], self._config.url
        endpoints = [{"identifier": "credentials", "role": "SENDER", "url": f"{url}/{version}/credentials"}]
        for module, side in self._sides:
            endpoint = f"{url}/{version}/{side.value.lower()}/{module.value}"
            endpoints.append({"identifier": module.value, "role": side.value, "url": endpoint})
        return self._response(request, Answer({"version": version, "endpoints": endpoints}))

    async def _credentials(self, request: web.Request) -> web.StreamResponse:
        """GET, POST, PUT and DELETE of our credentials, each in the state that it is for."""
        refuse_routing(request.headers)
        exchange = await self._exchange(request, Module.CREDENTIALS, InterfaceRole.RECEIVER, ())
        partner, version = exchange.partner, exchange.version
        if exchange.method == "GET":
            return self._response(request, Answer(self._registrar.credentials(exchange.token, version)))
        if exchange.method not in ("POST", "PUT", "DELETE"):
            raise _no_method(exchange.method, ("GET", "POST", "PUT", "DELETE"))
        if partner.registered is (exchange.method == "POST"):
            raise not_allowed(registered=partner.registered)
        if exchange.method == "DELETE":
            await self._registrar.withdraw(partner)
            return self._response(request, Answer())
        document = exchange.json_object()
        answer = await self._registrar.accept(partner, document, version, anew=partner.registered)
        _log.info("partner-registered", extra={"fields": {"partner": partner.id, "version": version.value}})
        return self._response(request, Answer(answer))

    # --- modules

    async def _module(self, request: web.Request) -> web.StreamResponse:
        who: Presented = request[_PRESENTED]
        if not who.partner.registered:
            raise _unauthorized("this token is for registration: it opens versions and credentials only")
        side = InterfaceRole(request.match_info["side"].upper())
        module = next((one for one in Module if one.value == request.match_info["module"]), None)
        methods = None if module is None else self._sides.get((module, side))
        if module is None or methods is None:
            raise web.HTTPNotFound
        await self._read_routing(request, module, who)
        exchange = await self._exchange(request, module, side, self._below(request))
        handle = methods.get(request.method)
        if handle is None:
            raise _no_method(request.method, tuple(methods))
        if module in ROUTED:
            if self._forwarding is not None:
                return self._response(request, await self._forwarding.answered(exchange, handle))
            to = exchange.routing.to
            if to is not None and not self._config.owns(to):
                raise OCPIRefused(
                    "unknown-receiver", "OCPI-to-party-id", f"{to} is not here", status=StatusCode.UNKNOWN_RECEIVER
                )
        return self._response(request, await handle(exchange))

    async def _read_routing(self, request: web.Request, module: Module, who: Presented) -> None:
        if module not in ROUTED:
            refuse_routing(request.headers)
            return
        request[_ROUTING] = routing = read_routing(request.headers)
        if routing.from_ is not None and not await self._speaks_for(who, routing):
            raise OCPIRefused("foreign-party", "OCPI-from-party-id", f"you do not speak for {routing.from_}")

    async def _speaks_for(self, who: Presented, routing: Routing) -> bool:
        def reading(connection: Connection) -> bool:
            return routing.from_ is not None and store.speaks_for(connection, who.partner, routing.from_)

        ours = routing.from_ is not None and self._config.owns(routing.from_)
        return not ours and await self._database.read(reading)

    def _below(self, request: web.Request) -> tuple[str, ...]:
        """The segments below the module; each decoded by itself, so that an id may hold a slash."""
        raw = request.rel_url.raw_path.removeprefix(self._base).strip("/").split("/")
        return tuple(unquoted(part) for part in raw[3:] if part)

    async def _exchange(
        self, request: web.Request, module: Module, side: InterfaceRole, path: tuple[str, ...]
    ) -> Exchange:
        who: Presented = request[_PRESENTED]
        has_body = request.method in ("POST", "PUT", "PATCH")
        return Exchange(
            partner=who.partner,
            version=Version(request.match_info["version"]),
            module=module,
            side=side,
            method=request.method,
            path=path,
            query=dict(request.query),
            url=self._public(request),
            body=await read_body(request, MAX_BODY_BYTES, BODY_TIMEOUT_S) if has_body else b"",
            ids=request[_IDS],
            routing=request.get(_ROUTING, Routing()),
            token=presented(request.headers.get(HEADER), who.hash) or "",
            at=now(),
        )

    def _public(self, request: web.Request) -> str:
        """The URL of the request as partners see it, whatever a proxy made of it."""
        return self._config.url + str(request.rel_url).removeprefix(self._base)


_OURS = frozenset({"content-type", "content-length"})


def _refusal(status: int, http: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(http=http, status=status, message=message, headers=headers or {})


def _unauthorized(message: str) -> OCPIRefused:
    return OCPIRefused("bad-token", HEADER, message, status=StatusCode.CLIENT_ERROR, http=401)


def _no_method(method: str, there: tuple[str, ...]) -> web.HTTPMethodNotAllowed:
    return web.HTTPMethodNotAllowed(method, there)
