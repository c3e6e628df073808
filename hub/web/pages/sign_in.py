"""Signing in and out, and one's own password.

Rules
1. Whether the name or the password was wrong shows neither in the answer nor in the time it takes.
2. Tries are counted (hub.web.pages.throttle) before a password is looked at; `AT_ONCE` at a time.
3. At sign-in the browser gets a new id; a sign-out, a new password or another role ends the session in the database.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from aiohttp import web

from hub.clock import now
from hub.passwords import MOST, NOBODY, BadPassword, fits, hash_password
from hub.store import audit, users
from hub.store.database import Database
from hub.store.engine import Connection
from hub.web.pages.guard import COOKIE, Visitor, form_of, new_id, see_other, set_cookie, visitor_of
from hub.web.pages.render import Renderer
from hub.web.pages.throttle import Throttle
from hub.web.pages.ways import Route, deed
from hub.web.problems import Problem

_log = logging.getLogger(__name__)

AT_ONCE, MOST_WAITING = 2, 20
WRONG = "Name or password is not right."


class SignIn:
    """The way in and out."""

    def __init__(self, database: Database, renderer: Renderer) -> None:
        self._database, self._renderer = database, renderer
        self._throttle, self._turns, self._waiting = Throttle(), asyncio.Semaphore(AT_ONCE), 0

    def routes(self) -> list[Route]:
        """The sign-in page asks for nobody; the rest for somebody, whoever it is."""
        return [
            Route("GET", "/sign-in", None, self.ask, public=True),
            Route("POST", "/sign-in", None, self.sign_in, public=True),
            Route("POST", "/sign-out", None, self.sign_out),
            Route("GET", "/account", None, self.account),
            Route("POST", "/account/password", None, self.change_password),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        """The form. A browser without an id gets one."""
        return self._form(visitor_of(request), request.query.get("next", ""))

    async def sign_in(self, request: web.Request) -> web.Response:
        """303 to where the person wanted to go; 403 for a wrong name or password, 429 after too many tries."""
        form, address = form_of(request), request.remote or ""
        given, password, goal = form.get("name", "")[:200], form.get("password", ""), form.get("next", "")
        name = given.strip().casefold()
        wait_s = self._throttle.wait_s(name, address, time.monotonic())
        if wait_s:
            return self._refused(
                request, 429, f"Too many tries. Try again in {math.ceil(wait_s / 60)} minutes.", wait_s
            )
        kept = await self._database.read(lambda connection: users.password_of(connection, name))
        right = await self._fits(password, NOBODY if kept is None else kept)
        if kept is None or not right:
            _log.warning("sign-in-refused", extra={"fields": {"peer": address}})
            return self._refused(request, 403, WRONG)
        self._throttle.succeeded(name, address)
        id_, at = new_id(), now()
        entry = deed(request, "sign-in", name, who=name)

        def work(connection: Connection) -> bool:
            if users.password_of(connection, name) != kept:
                return False
            users.end_session(connection, request.cookies.get(COOKIE, ""))
            users.begin_session(connection, name, id_, at)
            audit.note(connection, entry, at)
            return True

        if not await self._database.write(work):
            return self._refused(request, 403, WRONG)
        response = see_other(_own(goal))
        set_cookie(response, id_)
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """303 to the sign-in page; the session is over."""
        id_, entry = visitor_of(request).id, deed(request, "sign-out", visitor_of(request).name)

        def work(connection: Connection) -> None:
            users.end_session(connection, id_)
            audit.note(connection, entry, now())

        await self._database.write(work)
        response = see_other("/sign-in")
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    async def account(self, request: web.Request) -> web.Response:
        """Who is signed in, and a form for another password."""
        return self._account(request)

    async def change_password(self, request: web.Request) -> web.Response:
        """303 to sign in with the new one; 403 when the old one is not right."""
        form, name, address = form_of(request), visitor_of(request).name, request.remote or ""
        if form.get("new", "") != form.get("again", ""):
            return self._account(request, "The two new passwords differ.", 400)
        if self._throttle.wait_s(name, address, time.monotonic()):
            return self._account(request, "Too many tries. Try again in some minutes.", 429)
        kept = await self._database.read(lambda connection: users.password_of(connection, name))
        if not await self._fits(form.get("old", ""), kept or NOBODY):
            return self._account(request, "The present password is not right.", 403)
        self._throttle.succeeded(name, address)
        try:
            hashed, entry = await asyncio.to_thread(hash_password, form.get("new", "")), deed(request, "password", name)
        except BadPassword as error:
            return self._account(request, f"{error}.", 400)

        def work(connection: Connection) -> None:
            audit.note(connection, entry, now())
            users.set_password(connection, name, hashed, now())

        await self._database.write(work)
        return see_other("/sign-in")

    async def _fits(self, password: str, kept: str) -> bool:
        if self._waiting >= MOST_WAITING:
            raise Problem(503, "busy", "Too many people sign in at this moment. Try again soon.", retry_after_s=5)
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(fits, password[: MOST + 1], kept)
        finally:
            self._waiting -= 1

    def _form(self, visitor: Visitor, goal: str, message: str = "", status: int = 200) -> web.Response:
        shown = visitor if visitor.id else Visitor(new_id(), None)
        facts = {"title": "Sign in", "goal": _own(goal), "message": message}
        response = self._renderer.page(Visitor(shown.id, None), "sign_in.html.j2", facts, status)
        if not visitor.id:
            set_cookie(response, shown.id)
        return response

    def _refused(self, request: web.Request, status: int, message: str, wait_s: float = 0.0) -> web.Response:
        response = self._form(visitor_of(request), form_of(request).get("next", ""), message, status)
        if wait_s:
            response.headers["Retry-After"] = str(math.ceil(wait_s))
        return response

    def _account(self, request: web.Request, message: str = "", status: int = 200) -> web.Response:
        facts = {"title": "Your account", "message": message, "path": "/account"}
        return self._renderer.page(visitor_of(request), "account.html.j2", facts, status)


def _own(goal: str) -> str:
    """Where to go after sign-in: a path of these pages, else the first page."""
    is_own = goal.startswith("/") and not goal.startswith(("//", "/\\", "/sign-in")) and goal.isprintable()
    return goal if is_own and len(goal) <= 2000 and goal.isascii() else "/"
