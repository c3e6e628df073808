"""The local interface, on loopback or a socket in the file system. All but one question is GET, without side effects.

    POST /v1/authorize                may a contract or a token charge (`gateway.local.authorize`)
    GET /v1/openapi.json              this interface, described
    GET /v1/health                    whether the gateway is well
    GET /v1/chains                    the site's own chains, by the SHA-256 (hex) of their leafs
    GET /v1/chains/{leaf}/ocsp        the answers for a whole chain, leaf first, in JSON (base64)
    GET /v1/ocsp/{certificate}        the answer for one certificate of these chains, by its SHA-256 (hex), as DER

What is served was verified and has not run out. 404: the certificate is none of this site. 503 with Retry-After: it is,
but there is no answer that counts now. The name in Host must be ours, and a foreign Origin is refused: a web page that
the operator looks at must not reach this by a name that it makes point here.

Source: RFC 6960 4.2; RFC 9457.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import hdrs, web

from gateway.clock import Clock
from gateway.errors import ConfigurationError
from gateway.local.authorize import MAX_BODY, PATH as AUTHORIZE_PATH, AuthorizeDesk
from gateway.local.openapi import PATH as OPENAPI_PATH, description
from gateway.local.problems import Respond, problem, tell_problems
from gateway.log import log_server_errors
from gateway.store.evidence import KeptAnswer
from gateway.uplink.staples import Staples

RETRY_AFTER_S = 30
_OCSP = "application/ocsp-response"
_SHA256 = "{sha256:[0-9a-fA-F]{64}}"
_MISSING = "no answer for it that counts now; it is asked for"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the gateway is well. `ok`: what is stored is durable. `online`: the hub answers."""

    ok: bool
    online: bool
    clock: str
    chargers: int
    certificate_not_after: datetime | None = None


class Staple(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: the certificate's SHA-256 (hex), how long it counts, and its DER in base64."""

    certificate: str
    this_update: datetime
    next_update: datetime
    ocsp: str


class LocalServer:
    """Serves `staples` and `health` at `where`: host and port, or the path of a socket."""

    def __init__(
        self,
        where: tuple[str, int] | Path,
        staples: Staples,
        clock: Clock,
        health: Callable[[], Health],
        authorize: AuthorizeDesk,
    ) -> None:
        self._where, self._staples, self._clock, self._health = where, staples, clock, health
        app = web.Application(middlewares=[tell_problems, self._check_host], client_max_size=MAX_BODY)
        self.application = app
        app.router.add_post(AUTHORIZE_PATH, authorize.answer)
        app.router.add_get(OPENAPI_PATH, self._tell_description)
        app.router.add_get("/v1/health", self._tell_health)
        app.router.add_get("/v1/chains", self._tell_chains)
        app.router.add_get(f"/v1/chains/{_SHA256}/ocsp", self._tell_chain)
        app.router.add_get(f"/v1/ocsp/{_SHA256}", self._tell_answer)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=15, shutdown_timeout=2, lingering_time=1.0)
        self._hosts: frozenset[str] = frozenset()

    async def start(self) -> str:
        """Listen; the address that is served. Raises ConfigurationError when it cannot be taken."""
        await self._runner.setup()
        log_server_errors()
        try:
            if isinstance(self._where, Path):
                await web.UnixSite(self._runner, _free_path(self._where)).start()
                os.chmod(self._where, 0o660)
                self._hosts = frozenset({"localhost"})
                return str(self._where)
            await web.TCPSite(self._runner, *self._where).start()
        except OSError as error:
            await self._runner.cleanup()
            why = error.strerror or error
            raise ConfigurationError(f"[local] {self._where}: {why}") from error
        host, port = self._runner.addresses[0][:2]
        names = {"localhost", "127.0.0.1", "[::1]", self._where[0]}
        self._hosts = frozenset(f"{name}:{port}".casefold() for name in names)
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening; a socket in the file system is removed."""
        await self._runner.cleanup()
        if isinstance(self._where, Path):
            _free_path(self._where)

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Respond) -> web.StreamResponse:
        host, origin = request.headers.get(hdrs.HOST, ""), request.headers.get(hdrs.ORIGIN)
        if host.casefold() not in self._hosts:
            return problem(421, "foreign-host", "Misdirected request", f"Host {host[:100]!a} is not served here")
        if origin is not None and origin.casefold() not in {f"http://{name}" for name in self._hosts}:
            return problem(403, "foreign-origin", "Not allowed", f"Origin {origin[:100]!a} may not ask here")
        answer = await handler(request)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    async def _tell_description(self, _request: web.Request) -> web.Response:
        return _json(description())

    async def _tell_health(self, _request: web.Request) -> web.Response:
        health = self._health()
        return _json(health, status=200 if health.ok else 503)

    async def _tell_chains(self, _request: web.Request) -> web.Response:
        return _json({"chains": self._staples.chains()})

    async def _tell_chain(self, request: web.Request) -> web.Response:
        sha256, at = request.match_info["sha256"].lower(), self._clock.now().at
        try:
            found = self._staples.chain(sha256, at)
        except KeyError:
            return problem(404, "chain-unknown", "Not found", f"no chain of this site has the leaf {sha256}")
        staples = [_staple(certificate, answer) for certificate, answer in found if answer is not None]
        missing = [certificate for certificate, answer in found if answer is None]
        if missing:
            detail = f"certificate {missing[0]} of the chain: {_MISSING}"
            return problem(503, "no-answer", "Not available now", detail, retry_after_s=RETRY_AFTER_S)
        return _json({"chain": staples}, until=min(staple.next_update for staple in staples), at=at)

    async def _tell_answer(self, request: web.Request) -> web.Response:
        sha256, at = request.match_info["sha256"].lower(), self._clock.now().at
        try:
            answer = self._staples.certificate(sha256, at)
        except KeyError:
            detail = f"no chain of this site holds the certificate {sha256}"
            return problem(404, "certificate-unknown", "Not found", detail)
        if answer is None:
            detail = f"certificate {sha256}: {_MISSING}"
            return problem(503, "no-answer", "Not available now", detail, retry_after_s=RETRY_AFTER_S)
        headers = {hdrs.CACHE_CONTROL: _cache(answer.next_update, at)}
        return web.Response(body=answer.der, content_type=_OCSP, headers=headers)


def _free_path(path: Path) -> Path:
    """The path, without the socket of a gateway that ended; the state directory's lock says there is no other."""
    if path.is_socket():
        path.unlink()
    return path


def _staple(certificate: str, answer: KeptAnswer) -> Staple:
    return Staple(
        certificate=certificate,
        this_update=answer.this_update,
        next_update=answer.next_update,
        ocsp=base64.b64encode(answer.der).decode(),
    )


def _json(
    value: object, *, status: int = 200, until: datetime | None = None, at: datetime | None = None
) -> web.Response:
    cache = "no-store" if until is None or at is None else _cache(until, at)
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: cache})


def _cache(until: datetime, at: datetime) -> str:
    return f"private, max-age={max(0, int((until - at).total_seconds()))}"
