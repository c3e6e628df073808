"""The API for operators: what the hub holds, as JSON, behind bearer tokens; and the token list to be put.

Lists are cut into pages as hub.web.lists says.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Collection, Sequence

from aiohttp import web

from hub.clock import now
from hub.config import APIClient
from hub.desk import CommandDesk
from hub.erasing import Erasing
from hub.evidence.gather import Maker
from hub.store import commands, heads, readings, whitelist
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.readings import Page
from hub.tokens import parse_tokens
from hub.web.announcements import OperatorAnnouncements
from hub.web.audited import Audited
from hub.web.commands import OperatorCommands
from hub.web.disputes import OperatorDisputes
from hub.web.erasures import OperatorErasures
from hub.web.evidence import OperatorEvidence
from hub.web.ledger import OperatorLedger, required_chain
from hub.web.lists import cut_of, page_response
from hub.web.meters import CLIENT, OperatorMeters
from hub.web.people import OperatorPeople
from hub.web.problems import Problem, json_response, read_body, tell_problems
from hub.web.reconciliation import OperatorReconciliation
from hub.web.settlement import OperatorSettlement
from hub.web.settling import Settling
from wire.records import encode

MAX_TOKENS_BYTES = 16 * 1024 * 1024
TOKENS_TIMEOUT_S = 60.0

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH_HEALTH = "/healthz"


class OperatorAPI:
    """Answers operators. One instance per hub."""

    def __init__(
        self,
        database: Database,
        clients: Sequence[APIClient],
        admitted: Collection[str],
        desk: CommandDesk | None = None,
        maker: Maker | None = None,
        erasing: Erasing | None = None,
        roaming: Sequence[web.RouteDef] = (),
        settling: Settling | None = None,
    ) -> None:
        """Without a `desk` there are no commands, without a `maker` no evidence files, without `erasing` nothing is let
        go, without `settling` no money: their routes are not served. `roaming` are the routes of roaming."""
        self._database, self._clients, self._admitted = database, tuple(clients), tuple(admitted)
        self._desk, self._maker, self._erasing, self._roaming = desk, maker, erasing, tuple(roaming)
        self._settling = settling

    def application(self) -> web.Application:
        """The aiohttp application with all routes; every one but the health check asks for a token."""
        audited = Audited(self._database)
        app = web.Application(middlewares=[tell_problems, self._authenticated, audited.watch])
        app.add_routes(
            [
                web.get(PATH_HEALTH, self.health),
                web.get("/api/v1/gateways", self.gateways),
                web.get("/api/v1/sessions", self.sessions),
                web.get("/api/v1/sessions/{id}", self.session),
                web.get("/api/v1/cdrs", self.cdrs),
                web.get("/api/v1/cdrs/{id}", self.cdr),
                web.get("/api/v1/records", self.records),
                web.get("/api/v1/conflicts", self.conflicts),
                web.get("/api/v1/quarantine", self.quarantine),
                web.get("/api/v1/tombstones", self.tombstones),
                web.get("/api/v1/tokens", self.tokens),
                web.put("/api/v1/tokens", self.put_tokens),
                web.get("/api/v1/commands", self.commands),
                web.get("/api/v1/tree-heads", self.tree_heads),
                *OperatorAnnouncements(self._database).routes(),
                *OperatorLedger(self._database).routes(),
                *OperatorMeters(self._database).routes(),
                *OperatorPeople(self._database, self._admitted).routes(),
            ]
        )
        if self._desk is not None:
            app.add_routes(OperatorCommands(self._desk).routes())
        if self._maker is not None:
            app.add_routes(OperatorEvidence(self._database, self._maker).routes())
        if self._erasing is not None:
            app.add_routes(OperatorErasures(self._database, self._erasing).routes())
        app.add_routes(self._roaming)
        if self._settling is not None:
            for routed in (OperatorReconciliation, OperatorSettlement, OperatorDisputes):
                app.add_routes(routed(self._settling).routes())
        return app

    @web.middleware
    async def _authenticated(self, request: web.Request, handler: Respond) -> web.StreamResponse:
        client = self._client(request)
        if request.path != PATH_HEALTH and client is None:
            raise Problem(401, "bad-token", "expected the header `Authorization: Bearer <token>` with a known token")
        request[CLIENT] = "" if client is None else client.name
        return await handler(request)

    def _client(self, request: web.Request) -> APIClient | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer" or not token:
            return None
        presented = token.strip().encode("utf-8", "surrogateescape")
        return next((client for client in self._clients if holds_token(client, presented)), None)

    async def health(self, request: web.Request) -> web.Response:
        """200 when the database commits; says nothing else, for it asks for no token."""
        await self._database.probe()
        return json_response(b'{"status":"ok"}')

    async def gateways(self, request: web.Request) -> web.Response:
        """Every chain held, and the admitted gateways that never connected."""
        found = await self._database.read(lambda connection: readings.gateways(connection, self._admitted))
        return json_response(b'{"gateways":' + encode(found) + b"}")

    async def sessions(self, request: web.Request) -> web.Response:
        """Sessions, oldest first."""
        gateway_id, cut = request.query.get("gateway_id"), cut_of(request)
        return await self._listed("sessions", lambda connection: readings.sessions(connection, gateway_id, cut))

    async def cdrs(self, request: web.Request) -> web.Response:
        """Charge detail records, oldest first."""
        gateway_id, cut = request.query.get("gateway_id"), cut_of(request)
        return await self._listed("cdrs", lambda connection: readings.cdrs(connection, gateway_id, cut))

    async def session(self, request: web.Request) -> web.Response:
        """One session."""
        id_ = request.match_info["id"]
        return _one("session", id_, await self._database.read(lambda connection: readings.session(connection, id_)))

    async def cdr(self, request: web.Request) -> web.Response:
        """One charge detail record."""
        id_ = request.match_info["id"]
        return _one("CDR", id_, await self._database.read(lambda connection: readings.cdr(connection, id_)))

    async def records(self, request: web.Request) -> web.Response:
        """The records of one chain, by sequence."""
        chain, cut = required_chain(request, "records are numbered in a chain"), cut_of(request)
        return await self._listed("records", lambda connection: readings.records(connection, chain, cut))

    async def conflicts(self, request: web.Request) -> web.Response:
        """What gateways offered against what is held."""
        cut = cut_of(request)
        return await self._listed("conflicts", lambda connection: readings.conflicts(connection, cut))

    async def tree_heads(self, request: web.Request) -> web.Response:
        """Tree heads with their countersignatures, in the order in which they came."""
        gateway_id, epoch, cut = request.query.get("gateway_id"), request.query.get("epoch"), cut_of(request)
        return await self._listed("tree_heads", lambda connection: heads.heads_page(connection, gateway_id, epoch, cut))

    async def quarantine(self, request: web.Request) -> web.Response:
        """Records that are held but could not be used, each with the reason."""
        cut = cut_of(request)
        return await self._listed("quarantine", lambda connection: readings.quarantine(connection, cut))

    async def tombstones(self, request: web.Request) -> web.Response:
        """What gateways say that is missing, and why, in the order in which they said it."""
        gateway_id, cut = request.query.get("gateway_id"), cut_of(request)
        return await self._listed(
            "tombstones", lambda connection: readings.tombstones_page(connection, gateway_id, cut)
        )

    async def commands(self, request: web.Request) -> web.Response:
        """Commands with their reports, oldest first."""
        gateway_id, cut, at = request.query.get("gateway_id"), cut_of(request), now()

        def reading(connection: Connection) -> Page:
            found, next_ = commands.listed(connection, gateway_id, cut.after, cut.limit, at)
            return Page(tuple(encode(state).decode() for state in found), next_)

        return await self._listed("commands", reading)

    async def tokens(self, request: web.Request) -> web.Response:
        """The token list, and its version."""
        cut = cut_of(request)

        def both(connection: Connection) -> tuple[Page, int]:
            return readings.tokens(connection, cut), whitelist.list_version(connection)

        page, version = await self._database.read(both)
        return page_response("tokens", page, f',"version":{version}')

    async def put_tokens(self, request: web.Request) -> web.Response:
        """Insert or replace tokens: all of them or, when one is malformed, none."""
        tokens = parse_tokens(await read_body(request, MAX_TOKENS_BYTES, TOKENS_TIMEOUT_S))
        version = await self._database.put_tokens(tokens, now())
        return json_response(encode({"version": version, "tokens": len(tokens)}))

    async def _listed(self, name: str, reading: Callable[[Connection], Page]) -> web.Response:
        return page_response(name, await self._database.read(reading))


def holds_token(client: APIClient, token: bytes) -> bool:
    """Whether `token` is the client's; takes the same time for every wrong one."""
    return hmac.compare_digest(hashlib.sha256(client.salt + token).digest(), client.digest)


def _one(what: str, id_: str, text: str | None) -> web.Response:
    if text is None:
        raise Problem(404, "not-found", f"no {what} {id_[:64]!a} here")
    return json_response(text.encode())
