"""Users, the audit log and the registry of gateways over the API.

GET  /api/v1/users                    {"users": [...]}
POST /api/v1/users                    UserOrder -> User
GET  /api/v1/audit                    {"entries": [...], "next"}
GET  /api/v1/gateways/registry        {"gateways": [...]}: last seen, backlog, versions, certificates, alarms
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from hub.clock import now
from hub.passwords import BadPassword
from hub.store import audit, registry, users
from hub.store.database import Database
from hub.store.users import BadUser
from hub.user_orders import Asker, UserOrder, carry_out
from hub.web.audited import API
from hub.web.lists import cut_of
from hub.web.meters import CLIENT
from hub.web.problems import Problem, json_response, read_body
from wire.records import decode, encode

MAX_BYTES, TIMEOUT_S = 16 * 1024, 20.0


class OperatorPeople:
    """The API's side of people and what they did."""

    def __init__(self, database: Database, admitted: Collection[str]) -> None:
        self._database, self._admitted = database, tuple(admitted)

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/api/v1/users", self.users),
            web.post("/api/v1/users", self.carry_out),
            web.get("/api/v1/audit", self.audit),
            web.get("/api/v1/gateways/registry", self.registry),
        ]

    async def users(self, request: web.Request) -> web.Response:
        """Everybody who may sign in."""
        return json_response(encode({"users": await self._database.read(users.users)}))

    async def carry_out(self, request: web.Request) -> web.Response:
        """One act on one person; 409 when it cannot be done."""
        order = decode(UserOrder, await read_body(request, MAX_BYTES, TIMEOUT_S), "user order")
        asker, at = Asker(str(request[CLIENT]), API, request.remote or ""), now()
        try:
            done = await self._database.write(lambda connection: carry_out(connection, order, asker, at))
        except (BadUser, BadPassword) as error:
            raise Problem(404 if error.code == "no-such-user" else 409, error.code, str(error)) from error
        return json_response(encode(done))

    async def audit(self, request: web.Request) -> web.Response:
        """The audit log, oldest first."""
        cut = cut_of(request)
        found = await self._database.read(lambda connection: audit.entries(connection, cut.after, cut.limit + 1))
        page = found[: cut.limit]
        return json_response(encode({"entries": page, "next": page[-1].number if len(found) > cut.limit else None}))

    async def registry(self, request: web.Request) -> web.Response:
        """Every gateway, as it is now."""
        at = now()
        found = await self._database.read(lambda connection: registry.registry(connection, self._admitted, at))
        return json_response(encode({"gateways": found}))
