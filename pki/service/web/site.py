"""The running service: two listeners, and what has to happen by itself.

Every second it looks whether the registry has changed: new authorities become trust for client certificates without a
socket being closed, answers that are due are made anew, and lists when something was revoked. Every minute it makes the
responders, the lists and its own certificate anew of which two thirds or half of their life are over; every hour pools
lose what has ended. Each of these goes on when another one fails; what failed stands in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from pki.errors import PKIError
from pki.service.acts.publishing import Published, refresh
from pki.service.acts.responding import Delegated, delegate
from pki.service.pool.delivery import Courier
from pki.service.pool.own_pki import open_pools
from pki.service.pool.purging import purge
from pki.service.pool.routes import add_pool_routes
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
from pki.service.web.own_certificate import renew_own_certificate
from pki.service.web.problems import seal, tell_problems
from pki.service.web.refusals import RefusalLog
from pki.service.web.server import Listener, ServerTLS
from pki.service.web.standing import Standing

_log = logging.getLogger(__name__)

TICK_S = 1.0
REFRESH_S = 60.0
"""Lists are looked at after this time at the latest, and with the next tick when the registry has changed."""
PURGE_S = 3600.0
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
        self._refusals = RefusalLog(registry, time.monotonic)
        self._answers = Answers(registry, self._standing)
        self._trusted = self._standing.authorities()
        self._pools = open_pools(registry)
        https = settings.https
        files = registry.folder / https.certificate, registry.folder / https.key
        self._tls = ServerTLS(*files, _trusted(self._trusted))
        address, plain = (
            parse_listen(https.listen, "[https] listen"),
            parse_listen(settings.http.listen, "[http] listen"),
        )
        self._listeners = {
            "https": Listener("https", self.https_application(), *address, self._tls),
            "http": Listener("http", self.http_application(), *plain),
        }
        self._delegated_s = self._purged_s = float("-inf")
        self._missing: dict[str, tuple[str, ...]] = {}
        self._change: int | None = None

    def https_application(self) -> web.Application:
        """Enrolment, and all that is on plain HTTP too."""
        app = web.Application(middlewares=[tell_problems])
        self._add_public_routes(app)
        enrolment = Enrolment(self._registry, self._refusals, decode_request)
        EST(self._standing, enrolment, self._desk, self._refusals).add_routes(app)
        add_pool_routes(app, self._pools)
        openapi.add_routes(app)
        return app

    def http_application(self) -> web.Application:
        """OCSP, lists and certificates of authorities: signed by themselves, so they need no TLS."""
        app = web.Application()
        self._add_public_routes(app)
        seal(app)
        return app

    def _add_public_routes(self, app: web.Application) -> None:
        OCSP(self._answers, self._standing, self._refusals, self._desk).add_routes(app)
        Lists(self._standing).add_routes(app)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, tell that it is ready, do what is due until `stop` is set, end. Raises ListenError."""
        beside: list[asyncio.Task[None]] = []
        try:
            await self._desk.run(self._check_keys)
            await self._guarded("own-certificate", self._renew_own)
            await self._guarded("responders", self._delegate)
            await self._guarded("lists", self._publish)
            listen = {name: await listener.start() for name, listener in self._listeners.items()}
            tell(_log, "ready", listen=listen, pid=os.getpid())
            beside = [asyncio.create_task(self._prepare()), asyncio.create_task(self._deliver())]
            while not await _set_within(stop, TICK_S):
                await self._tick()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            for listener in self._listeners.values():
                await listener.close()
            self.close()
        tell(_log, "stopped")

    def _check_keys(self) -> None:
        """Tell which authorities could not sign, before somebody waits for it. Keys of roots may lie offline."""
        for name, held in self._registry.authorities().items():
            try:
                self._registry.signer(held)
            except PKIError as error:
                if error.code != "key-missing" or not held.is_root:
                    tell(_log, "key-unusable", level=logging.ERROR, authority=name, code=error.code, reason=str(error))

    def close(self) -> None:
        """Let go of the stores; `run` does it at its end."""
        self._desk.close()
        self._pools.close()
        self._standing.close()

    async def _tick(self) -> None:
        await self._guarded("trust", self._exchange_trust)
        await self._guarded("answers", self._renew)
        if time.monotonic() - self._delegated_s >= REFRESH_S:
            await self._guarded("own-certificate", self._renew_own)
            await self._guarded("responders", self._delegate)
            await self._guarded("lists", self._publish)
            await self._guarded("pools", self._purge)
        elif self._change != self._standing.change():
            await self._guarded("lists", self._publish)

    async def _exchange_trust(self) -> None:
        """Let new handshakes meet the authorities and the certificate files as they are now."""
        held = self._standing.authorities()
        if held is self._trusted and not self._tls.files_changed():
            return
        self._tls.reload(_trusted(held))
        self._trusted = held
        tell(_log, "trust-exchanged", authorities=len(held))

    async def _renew_own(self) -> None:
        """Renew the service's own certificate in time; the next tick takes it up."""
        made = await self._desk.run(renew_own_certificate, self._registry)
        if made is not None:
            tell(_log, "own-certificate-renewed", not_after=made.not_after.isoformat())

    async def _renew(self) -> None:
        renewed = _SLICE
        while renewed == _SLICE:
            renewed = self._answers.renew(self._standing.now().timestamp(), _SLICE)
            await asyncio.sleep(0)  # others have their turn

    async def _publish(self) -> None:
        """Make the lists that are due, in the thread of the registry."""
        self._change = self._standing.change()
        self._tell("lists-published", await self._desk.run(refresh, self._registry, _ACTOR))

    async def _purge(self) -> None:
        """Once an hour, take out of the pools what has ended or was revoked."""
        if time.monotonic() - self._purged_s >= PURGE_S:
            self._purged_s = time.monotonic()
            await asyncio.to_thread(purge, self._pools, _ACTOR)

    async def _deliver(self) -> None:
        """Send events for as long as the service runs."""
        courier = Courier(self._pools)
        while True:
            await self._guarded("webhooks", courier.run)
            await asyncio.sleep(REFRESH_S)

    async def _delegate(self) -> None:
        """Make the responders that are due, in the thread of the registry."""
        self._delegated_s = time.monotonic()
        self._tell("responders-made", await self._desk.run(delegate, self._registry, _ACTOR))

    def _tell(self, event: str, done: Published | Delegated) -> None:
        """What was made, and once for each set of names what could not be, because the keys are elsewhere."""
        missing = done.without_key if self._missing.get(event) != done.without_key else ()
        self._missing[event] = done.without_key
        if done.made or missing:
            level = logging.WARNING if missing else logging.INFO
            tell(_log, event, level=level, made=done.made, without_key=done.without_key)

    async def _prepare(self) -> None:
        """Make an answer for every certificate that lives, a few at a time."""
        await self._guarded("answers", self._prepare_all)

    async def _prepare_all(self) -> None:
        begun, count = time.monotonic(), 0
        for asked in self._answers.living():
            if len(self._answers) >= self._answers.max_kept:
                break
            if asked not in self._answers:
                self._answers.make(asked)
                count += 1
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
        tell(_log, "answers-prepared", count=count, seconds=round(time.monotonic() - begun, 1))

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; what the PKI refuses stands in the log, and is tried again."""
        try:
            await work()
        except PKIError as error:
            tell(_log, "failed", level=logging.ERROR, what=what, code=error.code, reason=str(error))


def _trusted(authorities: Mapping[str, HeldAuthority]) -> list[str]:
    """The PEM of every authority: of a client's chain only the leaf need be sent."""
    certificates = [certificate for held in authorities.values() for certificate in (held.certificate, *held.former)]
    return [certificate.pem() for certificate in dict.fromkeys(certificates)]


async def _set_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event was set within that time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
