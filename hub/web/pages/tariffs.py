"""Tariffs: those of hub.toml in the order in which they are asked, and those that sessions were pinned to."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from hub.quotes import component_text, tariff_text, when_text
from hub.roles import Permission
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.tariffs import snapshots_kept
from hub.tariff_screens import KnownTariff, known_tariffs
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, by_cells
from hub.web.pages.ways import Lists, Route
from hub.web.problems import Problem


class TariffPages:
    """What a session costs."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/tariffs",
            title="Tariffs",
            columns=(
                Column("order", "Asked", "here", number=True),
                Column("tariff", "Tariff", "here"),
                Column("where", "For", "here"),
                Column("price", "Price"),
                Column("pinned", "First session", "here"),
                Column("hash", "Hash", "here"),
            ),
            filters=(Filter("id", "Tariff or hash contains"),),
            rows=self._rows,
            empty="No tariff fits. Tariffs stand in hub.toml, [price] and [[tariff]].",
            newest_first=False,
        )

    def routes(self) -> list[Route]:
        """The list, and one tariff by its hash."""
        return [self._lists.route(self.listing), Route("GET", "/tariffs/{hash}", Permission.VIEW, self.one)]

    def _known(self, connection: Connection) -> list[KnownTariff]:
        return known_tariffs(self._database.terms, snapshots_kept(connection))

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        wanted = wish.given.get("id", "").lower()
        rows = [
            self._row(number, one)
            for number, one in enumerate(self._known(connection), start=1)
            if wanted in one.snapshot.tariff.id.lower() or wanted in one.snapshot.hash
        ]
        return by_cells(rows, self.listing.columns, wish)

    def _row(self, number: int, one: KnownTariff) -> Row:
        pinned = one.pinned_at
        return (
            Cell("no more" if one.earlier else str(number), tone="soft" if one.earlier else "", order=number),
            Cell(one.snapshot.tariff.id, f"/tariffs/{one.snapshot.hash}"),
            Cell(one.where),
            Cell(tariff_text(one.snapshot)),
            Cell(self._renderer.instant(pinned) or "none yet", order="" if pinned is None else pinned.isoformat()),
            Cell(one.snapshot.hash[:12]),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One tariff, element by element."""
        hash_ = request.match_info["hash"]
        found = [one for one in await self._database.read(self._known) if one.snapshot.hash == hash_]
        if not found:
            raise Problem(404, "unknown-tariff", f"No tariff with the hash {hash_[:64]!a} is known here.")
        tariff = found[0].snapshot.tariff
        elements = [
            (
                [component_text(one, tariff.currency, element.restrictions) for one in element.price_components],
                when_text(element.restrictions).strip(" ()") or "always",
            )
            for element in tariff.elements
        ]
        facts = {"title": f"Tariff {tariff.id}", "path": "/tariffs", "known": found[0], "elements": elements}
        return self._renderer.page(visitor_of(request), "tariff.html.j2", facts)
