"""What every part of the pages is made with: a route with its permission, a list's route, and the entry of an act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from hub.roles import Permission
from hub.store.audit import Deed
from hub.store.database import Database
from hub.web.pages.guard import visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import PER_PAGE, Listing, csv_line, csv_of

PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a page or an act: what it asks for, None for nothing but to be signed in; `public` not even that."""

    method: str
    path: str
    permission: Permission | None
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    public: bool = False


def deed(
    request: web.Request, act: str, object_: str = "", before: str = "", after: str = "", who: str | None = None
) -> Deed:
    """The entry of an act that a person does by the pages; `who` where nobody is signed in yet."""
    name = visitor_of(request).name if who is None else who
    return Deed(who=name, way=PAGES, address=request.remote or "", act=act, object=object_, before=before, after=after)


class Lists:
    """Answers with lists (hub.web.pages.tables)."""

    def __init__(self, database: Database, renderer: Renderer) -> None:
        self._database, self._renderer = database, renderer

    def route(self, listing: Listing, permission: Permission = Permission.VIEW) -> Route:
        """The route of a list."""

        async def answer(request: web.Request) -> web.Response:
            return await self.answer(request, listing)

        return Route("GET", listing.path, permission, answer)

    async def answer(
        self, request: web.Request, listing: Listing, template: str = "list.html.j2", **facts: object
    ) -> web.Response:
        """One page of the list, or all of it as CSV."""
        wish = listing.wish(request.query)
        if "format" in request.query:
            data = await self._database.read(lambda connection: b"".join(csv_of(connection, listing, wish)))
            head = csv_line([column.title for column in listing.columns])
            name = f'attachment; filename="{listing.path.strip("/")}.csv"'
            headers = {"Content-Disposition": name}
            return web.Response(body=head + data, content_type="text/csv", charset="utf-8", headers=headers)
        rows = await self._database.read(lambda connection: listing.rows(connection, wish))
        page = wish.offset // PER_PAGE + 1
        found = {
            "title": listing.title,
            "path": listing.path,
            "listing": listing,
            "wish": wish,
            "rows": rows[:PER_PAGE],
            "page": page,
            "has_more": len(rows) > PER_PAGE,
        }
        return self._renderer.page(visitor_of(request), template, {**found, **facts})


def path_part(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")
