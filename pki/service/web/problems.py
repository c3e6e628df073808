"""Errors as RFC 9457 problem bodies, and bodies read within bounds of size and time.

A problem names the rule that was broken, what was found, and what to do; it never echoes a code, a key or the inside of
the service. `type` is a stable URN whose last part is the error's kebab-case code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from pki.errors import PKIError

PROBLEM_TYPE = "application/problem+json"
REALM = "pnc-pki"
_TITLES = {
    400: "Malformed request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    409: "In conflict with what is held",
    413: "Request too large",
    414: "Path too long",
    415: "Media type not taken",
    429: "Too many requests",
    501: "Not implemented",
    503: "Not available now",
}
_SHOWN = 200
"""Characters of a foreign text that a problem repeats."""

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details with three members of our own: the code, the clause of the rule, and the remedy."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    clause: str | None = None
    remedy: str | None = None


class Problem(PKIError):
    """Raised when a request is to be answered with an error status; `str(problem)` is the detail.

    `remedy` says in one sentence what the client can do. `retry_after_s` is told as Retry-After.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        clause: str | None = None,
        remedy: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(code, detail, clause=clause)
        self.status, self.remedy, self.retry_after_s = status, remedy, retry_after_s


def problem_response(problem: Problem) -> web.Response:
    """The answer that tells of `problem`."""
    body = ProblemBody(
        type=f"urn:pncgate:problem:{problem.code}",
        title=_TITLES.get(problem.status, "Request failed"),
        status=problem.status,
        detail=str(problem),
        code=problem.code,
        clause=problem.clause,
        remedy=problem.remedy,
    )
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        headers["WWW-Authenticate"] = f'Basic realm="{REALM}", charset="UTF-8"'
    response = web.Response(
        status=problem.status, body=msgspec.json.encode(body), content_type=PROBLEM_TYPE, headers=headers
    )
    if problem.status in (408, 413):
        response.force_close()  # what is left of the body must not be taken for the next request
    return response


def telling(handler: Respond) -> Respond:
    """The handler, its problems told as bodies. For routes that must be fast: a middleware costs all routes of an
    application a tenth of what an answer costs."""

    async def told(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem_response(problem)

    return told


def seal(app: web.Application) -> None:
    """Answer every path and every method that have no route with a problem; `app` has all its routes and no middleware.

    The handlers have to tell their own problems (`telling`).
    """
    for resource in [found for found in app.router.resources() if isinstance(found, web.Resource)]:
        methods = ",".join(sorted(route.method for route in resource))

        async def wrong_method(request: web.Request, methods: str = methods) -> web.Response:
            response = problem_response(_http_problem(request, 405, "Method Not Allowed"))
            response.headers["Allow"] = methods
            return response

        resource.add_route("*", wrong_method)

    async def nothing(request: web.Request) -> web.Response:
        return problem_response(_http_problem(request, 404, "Not Found"))

    app.router.add_route("*", "/{path:(?s:.*)}", nothing)


@web.middleware
async def tell_problems(request: web.Request, handler: Respond) -> web.StreamResponse:
    """Every error a handler raises on purpose, as a problem body; others are aiohttp's 500 without a body of ours."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem_response(problem)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problem_response(_http_problem(request, error.status, error.reason))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


_HTTP_CODES = {404: "not-found", 405: "method"}


def _http_problem(request: web.Request, status: int, reason: str) -> Problem:
    detail = f"{request.method} {shown(request.path)}: {reason}"
    return Problem(status, _HTTP_CODES.get(status, "http"), detail)


def shown(text: str) -> str:
    """A foreign text for a message: ASCII, control characters escaped, cut to 200 characters."""
    return ascii(text[:_SHOWN])


def require_media_type(request: web.Request, expected: str) -> None:
    """Refuse a body of another type; parameters behind the type do not matter.

    Raises:
        Problem: 415 "media-type".
    """
    found = request.headers.get("Content-Type", "")
    if found.split(";")[0].strip().casefold() != expected:
        raise Problem(
            415,
            "media-type",
            f"Content-Type: expected {expected}, found {shown(found)}",
            remedy=f"Send the body with Content-Type: {expected}.",
        )


async def read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    """The request's body, inflated if it came compressed.

    Raises:
        Problem: 413 "too-large" when it has more than `max_bytes`, 408 "too-slow" when it takes longer than
            `timeout_s`.
    """
    whole = read_arrived(request, max_bytes)
    if whole is not None:
        return whole
    if request.content_length is not None and request.content_length > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except TimeoutError:
        raise Problem(408, "too-slow", f"the body took longer than {timeout_s:g} s") from None
    return bytes(body)


def read_arrived(request: web.Request, max_bytes: int) -> bytes | None:
    """The body when it came whole with its head, as small ones do; None when it must be waited for.

    Raises:
        Problem: 413 "too-large".
    """
    if not request.content.is_eof():
        return None
    whole = request.content.read_nowait()
    if len(whole) > max_bytes:
        raise _too_large(max_bytes)
    return whole


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "too-large", f"the body has more than {max_bytes} bytes")
