"""Announcements over HTTP: gateways tell of begins, ends and decisions ahead of their turn; operators look at them.

    POST /sync/v1/announcements     Announcement -> Noted, once it is durable
    GET  /api/v1/announced          sessions known by announcement only, oldest first; ?gateway_id=

An announcement moves no position and enters no book (`hub.store.announced`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiohttp import web

from hub.clock import now
from hub.store.announced import TooManyAnnounced, announced_sessions, note_announced
from hub.store.database import Database
from hub.web.lists import cut_of, page_response
from hub.web.problems import Problem, body_bound, json_response, read_body
from hub.web.told import chain_named, require_own, require_range, tell_conflict
from wire.errors import MalformedValue
from wire.records import decode, encode
from wire.sync_messages import MAX_ANNOUNCED_RECORDS, PATH_ANNOUNCEMENTS, Announcement, Noted

MAX_BYTES = 8 * 1024 * 1024
TIMEOUT_S = 60.0
BUSY_S = 60

_log = logging.getLogger(__name__)


class GatewayAnnouncements:
    """The gateways' side. `gateway_of`: who speaks, by its certificate."""

    def __init__(self, database: Database, gateway_of: Callable[[web.Request], str]) -> None:
        self._database, self._gateway_of = database, gateway_of

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.post(PATH_ANNOUNCEMENTS, self.announce)]

    async def announce(self, request: web.Request) -> web.Response:
        """200 Noted when it is durable, also the second time."""
        gateway_id = self._gateway_of(request)
        body = await read_body(request, body_bound(request, MAX_BYTES), TIMEOUT_S)
        told = decode(Announcement, body, "announcement")
        require_own(gateway_id, told.gateway_id)
        chain = chain_named(gateway_id, told.epoch, "announcement")
        seqs = [record.seq for record in told.records]
        if not 0 < len(seqs) <= MAX_ANNOUNCED_RECORDS or seqs != sorted(set(seqs)):
            message = f"expected 1 to {MAX_ANNOUNCED_RECORDS} records by rising seq"
            raise MalformedValue("announcement", "$.records", message)
        require_range("announcement", "$.records[0].seq", seqs[0], 1)
        require_range("announcement", f"$.records[{len(seqs) - 1}].seq", seqs[-1], 1)
        at = now()
        try:
            found = await self._database.write(lambda connection: note_announced(connection, chain, told.records, at))
        except TooManyAnnounced as error:
            raise Problem(429, error.code, str(error), retry_after_s=BUSY_S) from error
        for conflict in found:
            tell_conflict(chain, conflict)
        fields = {"gateway_id": gateway_id, "epoch": chain.epoch, "records": len(seqs), "last_seq": seqs[-1]}
        _log.info("announcement", extra={"fields": fields})
        return json_response(encode(Noted(seq=seqs[-1], at=now())))


class OperatorAnnouncements:
    """The operators' side."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/api/v1/announced", self.sessions)]

    async def sessions(self, request: web.Request) -> web.Response:
        """Sessions that are known by announcement."""
        gateway_id, cut = request.query.get("gateway_id"), cut_of(request)
        page = await self._database.read(lambda connection: announced_sessions(connection, gateway_id, cut))
        return page_response("announced", page)
