"""Lists over HTTP: {"<name>": [...], "next": cursor or null}; the cursor goes back as `after`, `limit` is 1 to 1000."""

from __future__ import annotations

from aiohttp import web

from hub.store.readings import MAX_PAGE, Cut, Page
from hub.web.problems import integer_query, json_response

_LARGEST = 2**63 - 1


def cut_of(request: web.Request) -> Cut:
    """The page that a request asks for. Raises Problem (400)."""
    after = integer_query(request, "after", 0, 0, _LARGEST)
    return Cut(after, integer_query(request, "limit", MAX_PAGE, 1, MAX_PAGE))


def page_response(name: str, page: Page, extra: str = "") -> web.Response:
    """The answer with a page; `extra` are further members as JSON text, each after a comma."""
    next_ = "null" if page.next is None else str(page.next)
    return json_response(f'{{"{name}":[{",".join(page.objects)}],"next":{next_}{extra}}}'.encode())
