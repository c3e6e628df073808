"""Roaming partners, the parties behind them, and what they did that somebody has to look at."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.roaming.partners import Partner
from hub.roles import Permission
from hub.store import alarms, partners
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, by_cells
from hub.web.pages.ways import Lists, Route, path_part
from wire.ocpi.partners import ConnectionStatus
from wire.ocpi.quirks import in_force

MAX_ALARMS = 1000
TONES = {
    ConnectionStatus.CONNECTED: "good",
    ConnectionStatus.PLANNED: "wait",
    ConnectionStatus.OFFLINE: "bad",
    ConnectionStatus.SUSPENDED: "bad",
}


class PartnerPages:
    """Who roams with us."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/partners",
            title="Roaming partners",
            columns=(
                Column("partner", "Partner", "here"),
                Column("name", "Name", "here"),
                Column("status", "Connection", "here"),
                Column("version", "OCPI", "here"),
                Column("parties", "Parties"),
                Column("registered", "Registered", "here"),
                Column("seen", "Last seen", "here"),
            ),
            filters=(
                Filter("id", "Partner, name or party contains"),
                Filter("status", "Connection", tuple(status.value for status in ConnectionStatus)),
            ),
            rows=self._rows,
            empty="No partner fits. One is added with `pnc-hub partners add`.",
            newest_first=False,
        )

    def routes(self) -> list[Route]:
        """The list, and one partner."""
        return [self._lists.route(self.listing), Route("GET", "/partners/{id}", Permission.VIEW, self.one)]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        wanted, status = wish.given.get("id", "").lower(), wish.given.get("status")
        rows = [
            self._row(one)
            for one in partners.partners(connection)
            if (status is None or one.status.value == status)
            and any(wanted in text.lower() for text in (one.id, one.name, *map(str, one.parties)))
        ]
        return by_cells(rows, self.listing.columns, wish)

    def _row(self, one: Partner) -> Row:
        tells = self._renderer.instant
        return (
            Cell(one.id, f"/partners/{path_part(one.id)}"),
            Cell(one.name),
            Cell(one.status.value, tone=TONES[one.status]),
            Cell("" if one.version is None else one.version.value),
            Cell(", ".join(map(str, one.parties)) or "none yet"),
            Cell(tells(one.registered_at) or "not yet", order=_order(one.registered_at)),
            Cell(tells(one.last_seen) or "never", order=_order(one.last_seen)),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One partner."""
        id_ = request.match_info["id"]

        def reading(connection: Connection) -> dict[str, object]:
            found = [one for one in alarms.alarms(connection, 0, MAX_ALARMS) if one.alarm.partner == id_]
            return {"partner": partners.partner_named(connection, id_), "alarms": found}

        facts = await self._database.read(reading)
        partner = facts["partner"]
        assert isinstance(partner, Partner)
        words = {"title": f"Partner {partner.name}", "path": "/partners", "tones": TONES}
        words["quirks"] = in_force(partner.quirks)
        return self._renderer.page(visitor_of(request), "partner.html.j2", {**words, **facts})


def _order(at: object) -> str:
    return "" if at is None else str(at)
