"""The running service: two listeners, and what has to happen by itself.

Every second it looks whether the registry has changed: new authorities become trust for client certificates without a
socket being closed, lists that are due are published (half of their life, or something was revoked), answers that are
due are made anew. Each of these goes on when another one fails; what failed stands in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping

from aiohttp import web

from pki.errors import PKIError
from pki.service.acts.publishing import refresh
from pki.service.registry import Actor, HeldAuthority, Registry
from pki.service.settings import parse_listen
from pki.service.web import openapi
from pki.service.web.answers import Answers
from pki.service.web.desk import Desk
from pki.service.web.enrolment import Enrolment
from pki.service.web.est import EST, decode_request
from pki.service.web.journal import tell
from pki.service.web.lists import Lists
from pki.service.web.ocsp import OCSP
from pki.service.web.problems import Problem, tell_problems
from pki.service.web.refusals import RefusalLog
from pki.service.web.server import Listener, ServerTLS
from pki.service.web.standing import Standing

_log = logging.getLogger(__name__)

TICK_S = 1.0
REFRESH_S = 60.0
"""Lists are looked at after this time at the latest, and with the next tick when the registry has changed."""
_SLICE = 16
"""Answers that are made before others have their turn: some 2 ms."""
_ACTOR = Actor(who="service", why="due")


class Site:
    """The service over an open registry. `run` until the event is set."""

    def __init__(self, registry: Registry) -> None:
        """Raises ListenError when the server's certificate or key cannot be used, StateError."""
        self._registry, settings = registry, registry.settings
        self._standing = Standing(registry)
        self._desk = Desk()
        self._answers = Answers(registry, self._standing)
        self._trusted = self._standing.authorities()
        https = settings.https
        files = registry.folder / https.certificate, registry.folder / https.key
        self._tls = ServerTLS(*files, _trusted(self._trusted))
        address, plain = parse_listen(https.listen, "[https] listen"), parse_listen(settings.http.listen, "[http] listen")
        self._listeners = {
            "https": Listener("https", self.https_application(), *address, self._tls),
            "http": Listener("http", self.http_application(), *plain),
        }
        self._published_s = float("-inf")
        self._change: int | None = None

    def https_application(self) -> web.Application:
        """Enrolment, and all that is on plain HTTP too."""
        app = self.http_application()
        refusals = RefusalLog(self._registry, time.monotonic)
        enrolment = Enrolment(self._registry, refusals, decode_request)
        EST(self._standing, enrolment, self._desk).add_routes(app)
        openapi.add_routes(app)
        return app

    def http_application(self) -> web.Application:
        """OCSP, lists and certificates of authorities: signed by themselves, so they need no TLS."""
        app = web.Application(middlewares=[tell_problems])
        OCSP(self._answers, self._standing).add_routes(app)
        Lists(self._standing).add_routes(app)
        return app

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, tell that it is ready, do what is due until `stop` is set, end. Raises ListenError."""
        preparing: asyncio.Task[None] | None = None
        try:
            await self._guarded("lists", self._publish)
            listen = {name: await listener.start() for name, listener in self._listeners.items()}
            tell(_log, "ready", listen=listen, pid=os.getpid())
            preparing = asyncio.create_task(self._prepare())
            while not await _set_within(stop, TICK_S):
                await self._tick()
        finally:
            if preparing is not None:
                preparing.cancel()
                await asyncio.gather(preparing, return_exceptions=True)
            for listener in self._listeners.values():
                await listener.close()
            self._desk.close()
            self._standing.close()
        tell(_log, "stopped")
