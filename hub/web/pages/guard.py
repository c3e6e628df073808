"""Who asks, and whether what is asked for was meant: the middleware of all pages.

Rules
1. A browser has one cookie: the id of its session or, before sign-in, of a visit. `__Host-`, Secure, HttpOnly,
   SameSite=Lax; at sign-in it is replaced, so that nobody can have prepared it.
2. Every POST names the token of its form: HMAC-SHA-256 of that id. Whoever cannot read the cookie cannot make it.
3. Whoever is not signed in sees the sign-in page and the style sheet, and nothing else. Each route asks for one
   permission (hub.roles), or for none but to be signed in.
4. No answer is stored on the way, framed, or runs a script; an error is a page that says what to do.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from aiohttp import web

from hub.clock import now
from hub.errors import HubError, StoreError
from hub.roles import PERMISSIONS, Permission
from hub.store import users
from hub.store.database import Database
from hub.store.users import User
from hub.web.pages.render import Renderer
from hub.web.problems import Problem, read_body
from wire.errors import WireError

_log = logging.getLogger(__name__)

COOKIE = "__Host-pncgate"
MAX_FORM_BYTES, MAX_FIELDS, FORM_TIMEOUT_S = 64 * 1024, 50, 20.0
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_VISITOR, _FORM = "visitor", "form"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the id of the cookie, and the person where somebody is signed in."""

    id: str
    user: User | None

    @property
    def token(self) -> str:
        """What the forms of this browser name. Rule 2."""
        return form_token(self.id)

    @property
    def name(self) -> str:
        """The name of the person, "" for nobody."""
        return "" if self.user is None else self.user.name

    def may(self, permission: Permission | None) -> bool:
        """Whether the person may do what asks for this; None asks for nothing but to be signed in."""
        return self.user is not None and (permission is None or permission in PERMISSIONS[self.user.role])


def form_token(id_: str) -> str:
    """The token for the forms of a browser with this id."""
    return hmac.new(id_.encode("utf-8", "surrogatepass"), b"form", hashlib.sha256).hexdigest()


def new_id() -> str:
    """An id for a cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def visitor_of(request: web.Request) -> Visitor:
    """Who asks, as the guard found."""
    found = request[_VISITOR]
    assert isinstance(found, Visitor)
    return found


def form_of(request: web.Request) -> dict[str, str]:
    """The fields of the form that was posted, the last of each name, without the token."""
    return dict(request[_FORM])


def set_cookie(response: web.StreamResponse, id_: str) -> None:
    """Give the browser an id. Rule 1."""
    response.set_cookie(COOKIE, id_, path="/", secure=True, httponly=True, samesite="Lax")


def see_other(location: str) -> web.Response:
    """The answer to a POST that was done: look there."""
    return web.Response(status=303, headers={"Location": location})


class Guard:
    """One for the pages. `public`: paths that ask for nobody; `permissions`: what each route asks for."""

    def __init__(self, database: Database, renderer: Renderer) -> None:
        self._database, self._renderer = database, renderer
        self.public: set[str] = set()
        self.permissions: dict[tuple[str, str], Permission | None] = {}

    @web.middleware
    async def watch(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        """Every request of the pages."""
        request[_VISITOR] = Visitor("", None)
        try:
            request[_VISITOR] = visitor = await self._visitor(request)
            response = await self._admitted(request, visitor, handler)
        except Problem as problem:
            response = self._told(request, problem)
        except web.HTTPException as error:
            response = self._told(request, Problem(error.status, "http", _WORDS.get(error.status, error.reason)))
        except StoreError as error:
            _log.error("pages-store", extra={"fields": {"reason": str(error)}})
            response = self._told(request, Problem(503, error.code, "The database cannot be used now. Try again soon."))
        except (HubError, WireError) as error:
            status = 404 if error.code.startswith("no-such-") else 409
            response = self._told(request, Problem(status, error.code, str(error)))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _visitor(self, request: web.Request) -> Visitor:
        id_, at = request.cookies.get(COOKIE, "")[:128], now()
        found = await self._database.read(lambda connection: users.session_user(connection, id_, at)) if id_ else None
        if found is None:
            return Visitor(id_, None)
        user, to_note = found
        if to_note:
            await self._database.write(lambda connection: users.note_seen(connection, id_, at))
        return Visitor(id_, user)

    async def _admitted(self, request: web.Request, visitor: Visitor, handler: Answer) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = request.path if resource is None else resource.canonical
        if path not in self.public and visitor.user is None:
            if request.method == "GET":
                return see_other(f"/sign-in?next={quote(request.path_qs, safe='')}")
            raise Problem(403, "not-signed-in", "You are not signed in any more. Sign in, then do it again.")
        if request.method == "POST":
            await self._require_meant(request, visitor)
        is_known = resource is None or path in self.public or (request.method, path) in self.permissions
        permission = self.permissions.get((request.method, path))
        if path not in self.public and not (is_known and visitor.may(permission)):
            role = "" if visitor.user is None else visitor.user.role.value
            raise Problem(403, "not-allowed", f"As {role} you may not do this. Ask somebody who is an admin here.")
        return await handler(request)

    async def _require_meant(self, request: web.Request, visitor: Visitor) -> None:
        """Read the form and return if it came from a page of ours, for this browser. Raises Problem."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise Problem(415, "no-form", "Expected a form, as the pages here send it.")
        body = await read_body(request, MAX_FORM_BYTES, FORM_TIMEOUT_S)
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError as error:
            raise Problem(400, "bad-form", f"The form cannot be read: {error}.") from error
        token = fields.pop("form_token", "")
        if not visitor.id or not hmac.compare_digest(token.encode("utf-8", "replace"), visitor.token.encode()):
            message = (
                "This form is too old, or came from elsewhere; nothing was done. Open the page again and repeat it."
            )
            raise Problem(403, "foreign-form", message)
        request[_FORM] = fields

    def _told(self, request: web.Request, problem: Problem) -> web.Response:
        title = _TITLES.get(problem.status, "That did not work")
        facts = {"title": title, "message": str(problem), "code": problem.code, "path": request.path}
        response = self._renderer.page(request[_VISITOR], "error.html.j2", facts, problem.status)
        if problem.retry_after_s is not None:
            response.headers["Retry-After"] = str(problem.retry_after_s)
        if problem.status in (408, 413):
            response.force_close()
        return response


_TITLES = {
    400: "That cannot be understood",
    403: "Not allowed",
    404: "There is nothing here",
    405: "Not this way",
    409: "That does not fit",
    429: "Too many tries",
    503: "Not available now",
}
_WORDS = {
    404: "There is no such page. The search finds everything by its id.",
    405: "This page is not asked for that way.",
}
