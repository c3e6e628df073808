"""All pages as one application: every route with what it asks for, behind the guard."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from hub.config_pages import PagesConfig
from hub.desk import CommandDesk
from hub.evidence.gather import Maker
from hub.store.database import Database
from hub.web.pages.cdrs import CdrPages
from hub.web.pages.commands import CommandPages
from hub.web.pages.gateways import GatewayPages
from hub.web.pages.guard import Guard
from hub.web.pages.meter_keys import MeterKeyPages
from hub.web.pages.money import DisputePages, JudgedPages, SettlementPages
from hub.web.pages.overview import OverviewPages
from hub.web.pages.partners import PartnerPages
from hub.web.pages.people import AuditPages, UserPages
from hub.web.pages.render import STYLE, Renderer
from hub.web.pages.sessions import SessionPages
from hub.web.pages.sign_in import SignIn
from hub.web.pages.tariffs import TariffPages
from hub.web.pages.ways import Lists, Route


class OperatorPages:
    """The pages of one hub."""

    def __init__(
        self, database: Database, config: PagesConfig, admitted: Collection[str], desk: CommandDesk, maker: Maker
    ) -> None:
        renderer = Renderer(config.zone)
        lists = Lists(database, renderer)
        self._guard = Guard(database, renderer)
        self._parts = (
            SignIn(database, renderer),
            OverviewPages(database, renderer, admitted),
            GatewayPages(database, renderer, lists, admitted),
            SessionPages(database, renderer, lists, maker),
            CdrPages(database, renderer, lists),
            JudgedPages(database, renderer, lists),
            DisputePages(database, renderer, lists),
            SettlementPages(database, renderer, lists),
            MeterKeyPages(database, renderer, lists),
            CommandPages(database, renderer, lists, desk),
            PartnerPages(database, renderer, lists),
            TariffPages(database, renderer, lists),
            UserPages(database, renderer, lists),
            AuditPages(database, renderer, lists),
        )

    def routes(self) -> list[Route]:
        """Every route, each once."""
        style = Route("GET", "/style.css", None, _style, public=True)
        return [style, *(route for part in self._parts for route in part.routes())]

    def application(self) -> web.Application:
        """The aiohttp application; what asks for nothing stands in its route, and nowhere else."""
        app = web.Application(middlewares=[self._guard.watch])
        for route in self.routes():
            app.router.add_route(route.method, route.path, route.answer)
            if route.public:
                self._guard.public.add(route.path)
            else:
                self._guard.permissions[route.method, route.path] = route.permission
        return app


async def _style(request: web.Request) -> web.Response:
    headers = {"Cache-Control": "public, max-age=300"}
    return web.Response(body=STYLE, content_type="text/css", charset="utf-8", headers=headers)
