"""Errors as RFC 9457 problem bodies, and bodies read within bounds of size and time.

A problem names what and where; it never echoes a token, a key or the inside of the hub. `type` is a stable URN whose
last part is the error's kebab-case code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from hub.errors import HubError, StoreError
from wire.errors import WireError
from wire.records import Value, encode
from wire.sync_messages import HEADER_UNPACKED

_MEDIA_TYPE = "application/problem+json"
_BROKEN = "broken-body"
_TITLES = {
    400: "Malformed request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Request too slow",
    409: "Conflict",
    413: "Request too large",
    429: "Too many requests",
    503: "Not available now",
}


class ProblemBody(Value, frozen=True, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


class Problem(HubError):
    """Raised when a request is to be answered with an error status; `str(problem)` is the detail."""

    def __init__(self, status: int, code: str, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(code, detail)
        self.status, self.retry_after_s = status, retry_after_s


def problem_response(problem: Problem) -> web.Response:
    """The answer that tells of `problem`."""
    title = _TITLES.get(problem.status, "Request failed")
    body = ProblemBody(
        type=f"urn:pncgate:problem:{problem.code}", title=title, status=problem.status, detail=str(problem)
    )
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="pnc-hub"'
    response = web.Response(status=problem.status, body=encode(body), content_type=_MEDIA_TYPE, headers=headers)
    if problem.status in (408, 413) or problem.code == _BROKEN:
        response.force_close()  # what is left of the body must not be taken for the next request
    return response


def json_response(body: bytes, status: int = 200) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(status=status, body=body, content_type="application/json")


@web.middleware
async def tell_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error a handler raises on purpose, as a problem body; others are aiohttp's 500 without a body of ours."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem_response(problem)
    except WireError as error:
        return problem_response(Problem(400, error.code, str(error)))
    except StoreError as error:
        return problem_response(Problem(503, error.code, str(error), retry_after_s=5))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        detail = f"{request.method} {request.path[:200]!a}: {error.reason}"
        return problem_response(Problem(error.status, "http", detail))


async def read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    """The request's body, inflated if it came compressed.

    Raises:
        Problem: 413 when it has more than `max_bytes`, 408 when it takes longer than `timeout_s`, 400 when it cannot
            be inflated.
    """
    too_large = Problem(413, "too-large", f"the body has more than {max_bytes} bytes")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "too-slow", f"the body took longer than {timeout_s:g} s") from None
    except web.RequestPayloadError as error:
        encoding = request.headers.get("Content-Encoding", "")[:20]
        message = f"the body is not whole, or not what its Content-Encoding {encoding!a} says"
        raise Problem(400, _BROKEN, message) from error
    return bytes(body)


def body_bound(request: web.Request, most: int) -> int:
    """How many bytes the body may come to, unpacked, by what its head says; `most` where it does not say, and at most
    that. To be given to `read_body`: then what comes compressed cannot come to more than it was counted for."""
    if request.content_length is None and HEADER_UNPACKED not in request.headers:
        return most
    if "Content-Encoding" not in request.headers:
        return most if request.content_length is None else min(request.content_length, most)
    told = request.headers.get(HEADER_UNPACKED, "")
    if told.isascii() and told.isdecimal() and len(told) <= 12:
        if int(told) > most:
            raise Problem(413, "too-large", f"the body has more than {most} bytes")
        return int(told)
    return most


def integer_query(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """The query parameter `name` as an integer within its bounds, `default` when absent. Raises Problem (400)."""
    text = request.query.get(name)
    if text is None:
        return default
    # isdecimal also holds for other scripts' digits; the length bound keeps int() cheap.
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and least <= int(text) <= most):
        raise Problem(400, "bad-query", f"query parameter {name}: expected {least} to {most}, found {text[:40]!a}")
    return int(text)
