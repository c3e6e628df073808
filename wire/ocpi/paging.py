"""Lists in pages: the query of a request, the headers of its answer, and the crawl of who reads them all.

Rules of a crawl
1. It follows the `next` links, on the place of its first URL only, one page after the other.
2. It stops at a page that is empty or the same as the one before, at a link that it has followed already, and after
   `most_pages`. A partner may forget the link, or send an empty one: while X-Total-Count says that there is more, or
   the link is unusable, the next page is asked for by its offset.
3. X-Total-Count that rises is ignored. When it falls by n, objects moved forward by n at most: the page before is asked
   for again, with its offset lowered by n, and the crawl goes on from there. Objects come twice then; upserts bear it.
4. `complete` says that all was seen: the end was reached in order, nothing was skipped, and no filter was set.
   Only then does absence mean anything.
5. `watermark` is the greatest `last_updated` that was received, never a clock; the next crawl starts at it, less an
   overlap.

Source: OCPI 2.3.0 transport_and_format (Pagination).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.headers import header
from wire.ocpi.instants import instant_text, parse_instant
from wire.ocpi.urls import place_of, query_of, resolved, with_query

LINK, TOTAL_COUNT, LIMIT = "Link", "X-Total-Count", "X-Limit"
_LINK = re.compile(r'<\s*([^<>]*?)\s*>((?:\s*;\s*[\w*]+\s*=\s*(?:"[^"]*"|[^";,\s]*))*)')
_REL = re.compile(r';\s*rel\s*=\s*"?([^";]*)"?', re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,18}")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_FILTERS = frozenset({"date_from", "date_to"})


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a list is asked for: `last_updated` from `date_from` on and before `date_to`; at most `limit` objects,
    the first `offset` of the matching ones left out."""

    date_from: datetime | None = None
    date_to: datetime | None = None
    offset: int = 0
    limit: int = 100

    def parameters(self) -> dict[str, str]:
        """As they stand in a URL."""
        dates = {"date_from": self.date_from, "date_to": self.date_to}
        return {name: instant_text(at) for name, at in dates.items() if at is not None} | {
            "offset": str(self.offset),
            "limit": str(self.limit),
        }


def read_query(parameters: Mapping[str, str], *, most: int, needs_date_from: bool = False) -> PageQuery:
    """What a request asks for; `limit` is `most` where none or more is asked for.

    `needs_date_from`: the Sender interface of Sessions requires it.

    Raises:
        OCPIRefused: no DateTime (`bad-instant`), no whole number of 18 digits at most, a limit of 0, an empty span, or
            no date_from where it is required (`bad-page`); all HTTP 400, status 2001.
    """
    since, until = (_date(parameters, name) for name in ("date_from", "date_to"))
    if needs_date_from and since is None:
        raise OCPIRefused("bad-page", "date_from", "it is required here", http=400)
    if since is not None and until is not None and until <= since:
        raise OCPIRefused("bad-page", "date_to", "it is exclusive and has to lie after date_from", http=400)
    limit = _whole(parameters, "limit", most)
    if limit == 0:
        raise OCPIRefused("bad-page", "limit", "at least 1 is expected", http=400)
    return PageQuery(since, until, _whole(parameters, "offset", 0), min(limit, most))


def page_headers(url: str, query: PageQuery, *, total: int, most: int) -> dict[str, str]:
    """The headers of an answer: `total` objects match, this server sends `most` at once.

    `url` is the absolute one of the request, with its query: the link keeps every filter of it, and is absent on the
    last page.
    """
    sent = {TOTAL_COUNT: str(total), LIMIT: str(most)}
    after = query.offset + query.limit
    if after < total:
        following = with_query(url, {"offset": str(after), "limit": str(query.limit)})
        sent[LINK] = f'<{following}>; rel="next"'
    return sent


def next_link(value: str | None) -> str | None:
    """The URL with `rel="next"` in a Link header. None without one; an empty text for a header that cannot be read."""
    if value is None:
        return None
    for url, parameters in _LINK.findall(value):
        relations = _REL.search(parameters)
        if relations is not None and "next" in relations[1].casefold().split():
            return str(url)
    return None if _LINK.search(value) else ""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer with a list: `following` as `next_link` gives it; the counts are None where none can be read."""

    objects: Sequence[Document]
    following: str | None = None
    total: int | None = None
    limit: int | None = None


def read_page(headers: Mapping[str, str], objects: Sequence[Document]) -> Page:
    """A page from the headers of an answer and the objects in it."""
    return Page(objects, next_link(header(headers, LINK)), _count(headers, TOTAL_COUNT), _count(headers, LIMIT))


class Crawl:
    """All pages of a list, in the order in which to ask for them; does no I/O.

        while (url := crawl.url) is not None:
            crawl.received(read_page(...))      # or crawl.failed(), which ends it

    `own_place`: take only the query of the links, because the partner names another host or scheme in them
    (quirk `foreign_links`).
    """

    def __init__(
        self,
        endpoint: str,
        *,
        date_from: datetime | None = None,
        limit: int | None = None,
        own_place: bool = False,
        most_pages: int = 100_000,
    ) -> None:
        first = {} if date_from is None else {"date_from": instant_text(date_from)}
        if limit is not None:
            first |= {"offset": "0", "limit": str(limit)}
        self.url: str | None = with_query(endpoint, first)
        self.watermark: datetime | None = None
        self.pages = 0
        self._filtered = bool(_FILTERS & query_of(self.url).keys())
        self._endpoint, self._own_place, self._most_pages = endpoint, own_place, most_pages
        self._total: int | None = None
        self._offset = self._offset_before = 0
        self._seen: set[str] = set()
        self._last: Sequence[Document] = ()
        self._reached_end = self._skipped = False

    @property
    def complete(self) -> bool:
        """Whether every object that the partner shows was received."""
        return self._reached_end and not self._skipped and not self._filtered

    def received(self, page: Page) -> None:
        """The answer to `url`; afterwards `url` is the next one to ask for, None at the end.

        Raises:
            OCPIRefused: the link leads to another place (`foreign-host`) or nowhere (`bad-url`); the crawl has ended.
        """
        asked = self.url
        if asked is None:
            raise OCPIRefused("crawl-ended", self._endpoint, "a page came after the last one")
        self.url = None
        self.pages += 1
        self._seen.add(asked)
        self._note(page.objects)
        fell = 0 if page.total is None or self._total is None else self._total - page.total
        self._total = page.total if page.total is not None else self._total
        if self.pages >= self._most_pages:
            return
        if fell > 0 and self._offset > 0:
            self._go_back(asked, fell)
        elif not page.objects:
            self._reached_end = self._total is None or self._offset >= self._total
        elif self.pages > 1 and page.objects == self._last:
            self._reached_end = self._total is not None and self._offset >= self._total
        else:
            self._go_on(asked, page)
        self._last = page.objects

    def skipped(self) -> None:
        """An object could not be used: what is absent afterwards proves nothing."""
        self._skipped = True

    def failed(self) -> None:
        """No answer, or an error: the crawl ends, incomplete."""
        self.url, self._skipped = None, True

    def _go_on(self, asked: str, page: Page) -> None:
        end = self._offset + len(page.objects)
        more = self._total is not None and self._total > end
        if page.following:
            url = self._linked(asked, page.following)
        elif page.following == "" or more:
            url = with_query(asked, {"offset": str(end)})
        else:
            self._reached_end = True
            return
        if url in self._seen:
            self._reached_end = self._total is not None and end >= self._total
            return
        offset = query_of(url).get("offset", "")
        self._offset_before, self._offset = self._offset, int(offset) if _WHOLE.fullmatch(offset) else end
        # A link that jumps over objects leaves a hole.
        self._skipped |= self._offset > end
        self.url = url

    def _go_back(self, asked: str, fell: int) -> None:
        self._offset = max(0, self._offset_before - fell)
        self._offset_before = self._offset
        self._seen.clear()
        self.url = with_query(asked, {"offset": str(self._offset)})

    def _linked(self, asked: str, link: str) -> str:
        if self._own_place:
            return with_query(asked.partition("?")[0], query_of(link))
        url = resolved(asked, link)
        if place_of(url) != place_of(self._endpoint):
            raise OCPIRefused("foreign-host", url[:120], "a next link leads to another host than its list")
        return url

    def _note(self, objects: Sequence[object]) -> None:
        for document in objects:
            at = _last_updated(document)
            if at is not None and (self.watermark is None or at > self.watermark):
                self.watermark = at


def next_date_from(watermark: datetime | None, overlap: timedelta) -> datetime | None:
    """Where the next crawl starts: `overlap` before the watermark; at the beginning without one."""
    return None if watermark is None else max(watermark, _EARLIEST + overlap) - overlap


def _last_updated(document: object) -> datetime | None:
    text = document.get("last_updated") if isinstance(document, dict) else None
    try:
        return parse_instant(text, "/last_updated") if isinstance(text, str) else None
    except OCPIRefused:
        return None


def _date(parameters: Mapping[str, str], name: str) -> datetime | None:
    text = parameters.get(name)
    # A `+` that was not percent-encoded arrives as a space.
    return parse_instant(text.strip().replace(" ", "+"), name) if text else None


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name) or ""
    if not text:
        return default
    if not _WHOLE.fullmatch(text):
        raise OCPIRefused("bad-page", name, f"{text[:40]!r} is no whole number", http=400)
    return int(text)


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = header(headers, name) or ""
    return int(text) if _WHOLE.fullmatch(text) else None
