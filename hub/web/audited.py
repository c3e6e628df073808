"""What API clients change, in the audit log: noted before it is done, and again when it was refused.

The body of a request is not kept: it may name who charged, or hold a secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from hub.clock import now
from hub.errors import HubError
from hub.store import audit
from hub.store.audit import AuditEntry, Deed
from hub.store.database import Database
from hub.web.meters import CLIENT
from wire.errors import WireError

API = "api"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
NOTES_ITSELF = frozenset({"/api/v1/users"})
"""Paths of what notes more than that it was asked for, in its own commit."""


class Audited:
    """The middleware of the API, behind the one that knows who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @web.middleware
    async def watch(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every request."""
        resource = request.match_info.route.resource
        if request.method in _READING or resource is None or resource.canonical in NOTES_ITSELF:
            return await handler(request)
        act, object_ = f"{request.method} {resource.canonical}", " ".join(request.match_info.values())
        await self._note(request, act, object_)
        try:
            return await handler(request)
        except (HubError, WireError) as error:
            await self._note(request, act, object_, f"refused: {error.code}")
            raise

    async def _note(self, request: web.Request, act: str, object_: str, after: str = "") -> AuditEntry:
        deed = Deed(
            who=str(request[CLIENT]), way=API, address=request.remote or "", act=act, object=object_, after=after
        )
        return await self._database.write(lambda connection: audit.note(connection, deed, now()))
