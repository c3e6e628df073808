"""Evidence files over HTTP, as of the moment they are asked for.

GET /api/v1/sessions/{id}/evidence     the ZIP file; 404 for an unknown session, 409 where there is none to be had
"""

from __future__ import annotations

from aiohttp import web

from hub.clock import now
from hub.errors import EvidenceRefused
from hub.evidence.gather import Maker, make_evidence
from hub.store.database import Database
from hub.web.problems import Problem


class OperatorEvidence:
    """Makes evidence files for operators."""

    def __init__(self, database: Database, maker: Maker) -> None:
        self._database, self._maker = database, maker

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/api/v1/sessions/{id}/evidence", self.evidence)]

    async def evidence(self, request: web.Request) -> web.Response:
        """The evidence file of one session."""
        id_, at = request.match_info["id"], now()
        try:
            made = await self._database.read(lambda connection: make_evidence(connection, id_, self._maker, at))
        except EvidenceRefused as error:
            raise Problem(404 if error.code == "unknown-session" else 409, error.code, str(error)) from error
        name = f'attachment; filename="evidence-{made.session_id}.zip"'
        return web.Response(body=made.data, content_type="application/zip", headers={"Content-Disposition": name})
