"""The first page: how much there is and what waits for a person; and the search, which finds anything by its id."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from aiohttp import web

from hub.clock import now
from hub.meters import RECENT
from hub.roles import Permission
from hub.store import alarms, meter_keys, meters, readings, registry
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.pages.gateways import ALARM_WORDS
from hub.web.pages.guard import see_other, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import MAX_FILTER, containing
from hub.web.pages.ways import Route, path_part

MAX_FOUND = 20
_SOUGHT = (
    ("session", "/sessions/", "SELECT id FROM sessions WHERE lower(id) LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?"),
    ("CDR", "/cdrs/", "SELECT id FROM cdrs WHERE lower(id) LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?"),
    (
        "command",
        "/commands/",
        "SELECT command_id FROM commands WHERE lower(command_id) LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?",
    ),
    (
        "dispute",
        "/disputes/",
        "SELECT id FROM disputes WHERE lower(id) LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?",
    ),
    (
        "invoice",
        "/settlements/",
        "SELECT invoice_id FROM settlements WHERE lower(invoice_id) LIKE ? ESCAPE '!' ORDER BY number DESC LIMIT ?",
    ),
    ("partner", "/partners/", "SELECT id FROM partners WHERE lower(id) LIKE ? ESCAPE '!' ORDER BY id LIMIT ?"),
    (
        "gateway",
        "/gateways/",
        "SELECT DISTINCT gateway_id FROM gateways WHERE lower(gateway_id) LIKE ? ESCAPE '!'"
        " ORDER BY gateway_id LIMIT ?",
    ),
    (
        "sessions at station",
        "/sessions?charger=",
        "SELECT DISTINCT charger_key FROM sessions WHERE charger_key LIKE ? ESCAPE '!' ORDER BY charger_key LIMIT ?",
    ),
)
"""What the search looks through: what it is, where it leads to, and where it stands."""
_JUDGED = (
    "SELECT owner, id FROM cdr_judgements WHERE lower(id) LIKE ? ESCAPE '!'"
    " GROUP BY owner, id ORDER BY max(number) DESC LIMIT ?"
)

Found = tuple[str, str, str]


class OverviewPages:
    """The way in, and the search."""

    def __init__(self, database: Database, renderer: Renderer, admitted: Collection[str]) -> None:
        self._database, self._renderer, self._admitted = database, renderer, tuple(admitted)

    def routes(self) -> list[Route]:
        """The first page and the search."""
        return [
            Route("GET", "/", Permission.VIEW, self.overview),
            Route("GET", "/search", Permission.VIEW, self.search),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        """How much there is, and what waits."""
        at = now()

        def reading(connection: Connection) -> dict[str, object]:
            gateways = registry.registry(connection, self._admitted, at)
            return {
                "totals": readings.totals(connection),
                "gateways": len(gateways),
                "alarming": [one for one in gateways if one.alarms],
                "attention": meters.attention(connection, at - RECENT),
                "partner_alarms": len(alarms.alarms(connection, 0, MAX_FOUND)),
            }

        facts = await self._database.read(reading)
        words = {"title": "Overview", "path": "/", "alarm_words": ALARM_WORDS, "at": at}
        return self._renderer.page(visitor_of(request), "overview.html.j2", {**words, **facts})

    async def search(self, request: web.Request) -> web.Response:
        """303 to the only thing that has this id; else what comes near."""
        wanted = request.query.get("q", "").strip()[:MAX_FILTER]
        found = await self._database.read(lambda connection: list(_found(connection, wanted))) if wanted else []
        exact = [href for _, name, href in found if name.casefold() == wanted.casefold()]
        if len(found) == 1 or len(exact) == 1:
            return see_other(exact[0] if exact else found[0][2])
        facts = {"title": "Search", "path": "/search", "wanted": wanted, "found": found}
        return self._renderer.page(visitor_of(request), "search.html.j2", facts)


def _found(connection: Connection, wanted: str) -> Iterator[Found]:
    """What holds a text in its id: what it is, the id, where it leads to."""
    for what, path, statement in _SOUGHT:
        for (id_,) in connection.execute(statement, (containing(wanted), MAX_FOUND)).fetchall():
            yield what, id_, f"{path}{path_part(id_)}"
    for owner, id_ in connection.execute(_JUDGED, (containing(wanted), MAX_FOUND)).fetchall():
        yield f"CDR of {owner}, as it was judged", id_, f"/judged/{path_part(owner)}/{path_part(id_)}"
    if len(wanted) >= 8:
        for kept in meter_keys.keys_with(connection, wanted)[:MAX_FOUND]:
            yield "meter key", kept.fingerprint, f"/meter-keys/{kept.number}"
