"""Charge detail records: the list, and one with its price, findings and signed values."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.evidence.wording import plain_words
from hub.roles import Permission
from hub.store import readings
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, containing
from hub.web.pages.ways import Lists, Route, path_part
from hub.web.problems import Problem
from wire.records import Cdr, decode

_WITH, _WITHOUT = "with", "without"
_FOUND = 'cdr LIKE \'%"findings":["%\''
"""A CDR without findings has no such member, and a quotation mark within a text is escaped."""
_CONDITIONS = {"id": "lower(id) LIKE ? ESCAPE '!'", "session": "session_id = ?", "gateway": "gateway_id = ?"}


class CdrPages:
    """What was billed."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/cdrs",
            title="Charge detail records",
            columns=(
                Column("came", "Ended", "number"),
                Column("cdr", "CDR", "id"),
                Column("session", "Session", "session_id"),
                Column("gateway", "Gateway", "gateway_id"),
                Column("energy", "Energy (kWh)", number=True),
                Column("cost", "Cost before taxes", number=True),
                Column("tariff", "Tariff"),
                Column("findings", "Findings"),
            ),
            filters=(
                Filter("id", "CDR contains"),
                Filter("session", "Session"),
                Filter("gateway", "Gateway"),
                Filter("findings", "Findings", (_WITH, _WITHOUT)),
            ),
            rows=self._rows,
            empty="No CDR fits. One is made when a session ends; a filter may be too narrow.",
        )

    def routes(self) -> list[Route]:
        """The list, and one CDR."""
        return [self._lists.route(self.listing), Route("GET", "/cdrs/{id}", Permission.VIEW, self.one)]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given = wish.given
        where, values = wish.fitting(_CONDITIONS, {"id": containing(given["id"])} if "id" in given else {})
        if "findings" in given:
            condition = _FOUND if given["findings"] == _WITH else f"NOT {_FOUND}"
            where = f"{where} AND {condition}" if where else f"WHERE {condition}"
        rows = connection.execute(f"SELECT cdr FROM cdrs {where} {wish.order}", values).fetchall()
        return [self._row(decode(Cdr, text, "stored CDR")) for (text,) in rows]

    def _row(self, cdr: Cdr) -> Row:
        codes = ", ".join(dict.fromkeys(finding.partition(":")[0] for finding in cdr.findings))
        return (
            Cell(self._renderer.instant(cdr.end_date_time)),
            Cell(cdr.id, f"/cdrs/{path_part(cdr.id)}"),
            Cell(cdr.session_id, f"/sessions/{path_part(cdr.session_id)}"),
            Cell(cdr.gateway_id, f"/gateways/{path_part(cdr.gateway_id)}"),
            Cell(f"{cdr.total_energy:f}"),
            Cell(f"{cdr.total_cost.before_taxes:f} {cdr.currency}"),
            Cell("" if cdr.tariff is None else cdr.tariff.id),
            Cell(codes or "none", tone="wait" if codes else "soft"),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One CDR."""
        id_ = request.match_info["id"]
        text = await self._database.read(lambda connection: readings.cdr(connection, id_))
        if text is None:
            raise Problem(404, "unknown-cdr", f"No CDR {id_[:64]!a} is known here.")
        cdr = decode(Cdr, text, "stored CDR")
        facts = {"cdr": cdr, "findings": [plain_words(finding) for finding in cdr.findings]}
        words = {"title": f"CDR {id_}", "path": "/cdrs"}
        return self._renderer.page(visitor_of(request), "cdr.html.j2", {**words, **facts})
