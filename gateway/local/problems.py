"""Errors of the local interface as RFC 9457 problem bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import hdrs, web

PROBLEM_TYPE = "application/problem+json"
_SHOWN = 100

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with a kebab-case code for machines, and the JSON path of what is wrong in a body."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    where: str | None = None


def problem(
    status: int, code: str, title: str, detail: str, *, where: str | None = None, retry_after_s: int | None = None
) -> web.Response:
    """The answer with that status; `detail` names what and where."""
    kind = f"urn:pncgate:problem:{code}"
    body = ProblemBody(type=kind, title=title, status=status, detail=detail, code=code, where=where)
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    if retry_after_s is not None:
        headers[hdrs.RETRY_AFTER] = str(retry_after_s)
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=PROBLEM_TYPE, headers=headers)


@web.middleware
async def tell_problems(request: web.Request, handler: Respond) -> web.StreamResponse:
    """What aiohttp refuses by itself (no such path, another method), as a problem."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        detail = f"{request.method} {request.path[:_SHOWN]!a}: {error.reason}"
        answer = problem(error.status, f"http-{error.status}", error.reason, detail)
        if hdrs.ALLOW in error.headers:
            answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
        return answer
