"""What the hub has fetched of revocation lists, OCSP answers and lists of roots, for gateways (wire.revocation).

GET /sync/v1/revocation?kind=&url=&request=     the octets; 304 when they are those of If-None-Match; 404 when the hub
                                                has none, 403 when it does not ask at that host
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from hub.config_revocation import RevocationConfig
from hub.revocation.fetching import EvidenceFetching
from hub.store.database import Database
from hub.store.revocation import NotKept, octets_of
from hub.web.problems import Problem
from wire.allowed_hosts import HostRefused
from wire.revocation import EvidenceSource, etag_of, read_source
from wire.sync_messages import PATH_REVOCATION, SLOWEST_BYTES_PER_S

MAX_BYTES_AT_ONCE = 256 * 1024 * 1024
"""Of all that is being sent."""
MAX_OF_ONE = 8
"""A gateway fetches four side by side; what it left half read is counted until that is noticed."""
SEND_WITHIN_S = 10.0
"""And what it takes over the poorest link."""
AGAIN_S = 30


class GatewayEvidence:
    """`gateway_of`: who asks, by its certificate."""

    def __init__(
        self,
        database: Database,
        config: RevocationConfig,
        fetching: EvidenceFetching,
        gateway_of: Callable[[web.Request], str],
    ) -> None:
        self._database, self._config, self._fetching, self._gateway_of = database, config, fetching, gateway_of
        self._asking = Counter[str]()
        self._sending = 0

    def routes(self) -> list[web.RouteDef]:
        """The one of it."""
        return [web.get(PATH_REVOCATION, self.evidence)]

    async def evidence(self, request: web.Request) -> web.StreamResponse:
        """What is held."""
        gateway_id = self._gateway_of(request)
        query = request.query
        source = read_source(query.get("kind", ""), query.get("url", ""), query.get("request", ""))
        try:
            self._config.allowed.url(source.url)
        except HostRefused as error:
            raise Problem(403, error.code, f"{error}; [revocation] hosts of this hub") from error
        if self._asking[gateway_id] >= MAX_OF_ONE:
            message = f"{self._asking[gateway_id]} questions of this gateway are being answered"
            raise Problem(429, "busy", message, retry_after_s=2)
        self._asking[gateway_id] += 1
        try:
            return await self._answered(request, source, gateway_id)
        finally:
            self._asking[gateway_id] -= 1

    async def _answered(self, request: web.Request, source: EvidenceSource, gateway_id: str) -> web.StreamResponse:
        try:
            found = await self._fetching.asked(source, gateway_id)
        except NotKept as error:
            raise Problem(503, error.code, str(error), retry_after_s=AGAIN_S) from error
        if found.sha256 is None:
            trouble = "it was not fetched yet" if found.error is None else f"{found.error_code}: {found.error}"
            raise Problem(404, "not-held", f"the hub has nothing from {source.url}: {trouble}", retry_after_s=AGAIN_S)
        known = request.headers.get("If-None-Match", "")
        if known == f'"{found.sha256}"':
            return web.Response(status=304, headers={"ETag": known})
        if self._sending + found.octets > MAX_BYTES_AT_ONCE:
            raise Problem(429, "busy", f"{self._sending} bytes are being sent", retry_after_s=2)
        self._sending += found.octets
        try:
            return await self._sent(request, source)
        finally:
            self._sending -= found.octets

    async def _sent(self, request: web.Request, source: EvidenceSource) -> web.StreamResponse:
        """The answer once it is sent; a peer that takes longer than the poorest link is cut off."""
        der = await self._database.read(lambda connection: octets_of(connection, source))
        if der is None:
            raise Problem(404, "not-held", f"the hub has let go of what was from {source.url}", retry_after_s=AGAIN_S)
        answer = web.Response(body=der, content_type="application/octet-stream", headers={"ETag": etag_of(der)})
        try:
            async with asyncio.timeout(SEND_WITHIN_S + len(der) / SLOWEST_BYTES_PER_S):
                await answer.prepare(request)
                await answer.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        return answer
