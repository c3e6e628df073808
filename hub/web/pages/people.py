"""People and what they did: users with their roles, and the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from hub.clock import now
from hub.passwords import hash_password
from hub.roles import PERMISSIONS, Permission, Role
from hub.store import audit, users
from hub.store.audit import AuditBroken
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.users import BadUser, User
from hub.user_orders import Asker, UserAct, UserOrder, carry_out
from hub.web.pages.guard import form_of, see_other, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Row, Wish, by_cells, containing
from hub.web.pages.ways import PAGES, Lists, Route, path_part
from hub.web.problems import Problem

_CONDITIONS = {
    "who": "who = ?",
    "way": "way = ?",
    "act": "lower(act) LIKE ? ESCAPE '!'",
    "object": "lower(object) LIKE ? ESCAPE '!'",
}


class UserPages:
    """Who may sign in. Rule: whatever is done to a person stands in the audit log, in the same commit."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/users",
            title="Users",
            columns=(
                Column("name", "Name", "here"),
                Column("role", "Role", "here"),
                Column("added", "Added", "here"),
                Column("signed_in", "Signed in last", "here"),
            ),
            filters=(Filter("role", "Role", tuple(role.value for role in Role)),),
            rows=self._rows,
            empty="Nobody has this role.",
            newest_first=False,
        )

    def routes(self) -> list[Route]:
        """The list with the form to add somebody, one person, and what may be done to one."""
        asked = Permission.USERS
        return [
            Route("GET", "/users", asked, self.all),
            Route("POST", "/users", asked, self.add),
            Route("GET", "/users/{name}", asked, self.one),
            Route("POST", "/users/{name}/role", asked, self.set_role),
            Route("POST", "/users/{name}/password", asked, self.set_password),
            Route("POST", "/users/{name}/remove", asked, self.remove),
        ]

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        tells, role = self._renderer.instant, wish.given.get("role")
        rows = [
            (
                Cell(one.name, f"/users/{path_part(one.name)}"),
                Cell(one.role.value),
                Cell(tells(one.added_at), order=one.added_at.isoformat()),
                Cell(
                    tells(one.signed_in_at) or "never", order="" if one.signed_in_at is None else str(one.signed_in_at)
                ),
            )
            for one in users.users(connection)
            if role is None or one.role.value == role
        ]
        return by_cells(rows, self.listing.columns, wish)

    async def all(self, request: web.Request) -> web.Response:
        """Everybody."""
        return await self._lists.answer(request, self.listing, "users.html.j2", roles=list(Role), allows=_allows())

    async def one(self, request: web.Request) -> web.Response:
        """One person."""
        name = request.match_info["name"]
        user = await self._database.read(lambda connection: users.user(connection, name))
        facts = {"title": f"User {user.name}", "path": "/users", "user": user, "roles": list(Role), "allows": _allows()}
        return self._renderer.page(visitor_of(request), "user.html.j2", facts)

    async def add(self, request: web.Request) -> web.Response:
        """303 to the new person."""
        form = form_of(request)
        order = UserOrder(
            act=UserAct.ADD, name=form.get("name", ""), role=_role(form), password=await self._hashed(form)
        )
        return see_other(_path(await self._carried_out(request, order)))

    async def set_role(self, request: web.Request) -> web.Response:
        """303 to the person, whose sessions have ended."""
        order = UserOrder(act=UserAct.ROLE, name=request.match_info["name"], role=_role(form_of(request)))
        return see_other(_path(await self._carried_out(request, order)))

    async def set_password(self, request: web.Request) -> web.Response:
        """303 to the person, whose sessions have ended."""
        hashed = await self._hashed(form_of(request))
        order = UserOrder(act=UserAct.PASSWORD, name=request.match_info["name"], password=hashed)
        return see_other(_path(await self._carried_out(request, order)))

    async def remove(self, request: web.Request) -> web.Response:
        """303 to the list; the person is gone."""
        await self._carried_out(request, UserOrder(act=UserAct.REMOVE, name=request.match_info["name"]))
        return see_other("/users")

    async def _carried_out(self, request: web.Request, order: UserOrder) -> User:
        asker = Asker(visitor_of(request).name, PAGES, request.remote or "")
        return await self._database.write(lambda connection: carry_out(connection, order, asker, now()))

    async def _hashed(self, form: dict[str, str]) -> str:
        return await asyncio.to_thread(hash_password, form.get("password", ""))


def _path(user: User) -> str:
    return f"/users/{path_part(user.name)}"


def _role(form: dict[str, str]) -> Role:
    text = form.get("role", "")
    if text not in [*Role]:
        raise BadUser("bad-role", f"A role is one of {', '.join(Role)}; found {text[:40]!a}.")
    return Role(text)


def _allows() -> dict[str, str]:
    """What each role may, in words."""
    return {role.value: ", ".join(one.value for one in Permission if one in may) for role, may in PERMISSIONS.items()}


class AuditPages:
    """Who did what."""

    def __init__(self, database: Database, renderer: Renderer, lists: Lists) -> None:
        self._database, self._renderer, self._lists = database, renderer, lists
        self.listing = Listing(
            path="/audit",
            title="Audit log",
            columns=(
                Column("number", "Entry", "number", number=True),
                Column("at", "When"),
                Column("who", "Who", "who"),
                Column("way", "By", "way"),
                Column("address", "From", "address"),
                Column("act", "Act", "act"),
                Column("object", "On", "object"),
                Column("before", "Before"),
                Column("after", "After"),
            ),
            filters=(
                Filter("who", "Who"),
                Filter("way", "By", ("pages", "api", "command-line")),
                Filter("act", "Act contains"),
                Filter("object", "On contains"),
            ),
            rows=self._rows,
            empty="No entry fits. Whatever people and API clients change stands here.",
        )

    def routes(self) -> list[Route]:
        """The list, and the check of all of it."""
        return [
            Route("GET", "/audit", Permission.AUDIT, self.all),
            Route("POST", "/audit/verify", Permission.AUDIT, self.verify),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """The list."""
        return await self._lists.answer(request, self.listing, "audit.html.j2")

    def _rows(self, connection: Connection, wish: Wish) -> Sequence[Row]:
        given = wish.given
        values = {name: containing(given[name]) for name in ("act", "object") if name in given}
        where, found = wish.fitting(_CONDITIONS, values)
        return [
            (
                Cell(str(one.number)),
                Cell(self._renderer.instant(one.at)),
                *(Cell(text) for text in (one.who, one.way, one.address, one.act, one.object, one.before, one.after)),
            )
            for one in audit.fitting(connection, f"{where} {wish.order}", found)
        ]

    async def verify(self, request: web.Request) -> web.Response:
        """What the check of every entry comes to."""
        try:
            head = await self._database.read(audit.verify)
        except AuditBroken as error:
            raise Problem(409, error.code, f"The audit log is not whole: {error}.") from error
        facts = {"title": "The audit log is whole", "path": "/audit", "head": head}
        return self._renderer.page(visitor_of(request), "verified.html.j2", facts)
