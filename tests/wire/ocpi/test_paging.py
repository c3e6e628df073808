"""Pages: the query, the headers, and crawls of lists that change while they are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from wire.errors import OCPIRefused
from wire.ocpi.document import Document
from wire.ocpi.paging import Crawl, Page, PageQuery, next_date_from, next_link, page_headers, read_page, read_query
from wire.ocpi.urls import query_of

LIST = "https://cpo.example/cdrs"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def objects(*numbers: int) -> list[Document]:
    return [{"id": str(n), "last_updated": f"2026-01-01T00:00:{n % 60:02d}Z"} for n in numbers]


def test_a_query_is_read_with_its_bounds() -> None:
    read = read_query({"date_from": "2026-01-01T00:00:00", "limit": "2000", "offset": "10"}, most=100)
    assert read == PageQuery(date_from=AT, offset=10, limit=100)
    assert read_query({}, most=50) == PageQuery(limit=50)
    assert read_query(read.parameters(), most=100) == read


@pytest.mark.parametrize("text", ["2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00 01:00", "2026-01-01T00:00:00.000Z"])
def test_a_date_is_read_in_each_spelling(text: str) -> None:
    assert read_query({"date_from": text}, most=1).date_from == AT


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "٣"}, "offset"),
        ({"offset": "9" * 19}, "offset"),
        ({"date_from": "yesterday"}, "date_from"),
        ({"date_from": "1970-1-1T00:00:00Z"}, "date_from"),
        ({"date_to": "2026-13-01T00:00:00Z"}, "date_to"),
        ({"date_from": "2026-01-01T00:00:00Z", "date_to": "2026-01-01T00:00:00Z"}, "date_to"),
    ],
)
def test_a_bad_query_is_refused_with_its_place(parameters: dict[str, str], where: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        read_query(parameters, most=100)
    assert (refused.value.where, refused.value.status, refused.value.http) == (where, 2001, 400)


def test_sessions_need_a_date() -> None:
    with pytest.raises(OCPIRefused, match="required"):
        read_query({}, most=100, needs_date_from=True)


def test_the_link_keeps_the_filters() -> None:
    url = LIST + "?date_from=2016-01-01T00:00:00Z&limit=2000"
    sent = page_headers(url, PageQuery(offset=0, limit=100), total=101, most=100)
    assert sent == {
        "X-Total-Count": "101",
        "X-Limit": "100",
        "Link": f'<{LIST}?date_from=2016-01-01T00:00:00Z&offset=100&limit=100>; rel="next"',
    }
    assert "Link" not in page_headers(url, PageQuery(offset=1, limit=100), total=101, most=100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        ('<https://a/x?offset=1>; rel="next"', "https://a/x?offset=1"),
        ("<https://a/x>;rel=next", "https://a/x"),
        ('<https://a/p>; rel="prev", <https://a/n>; title="a"; rel="next last"', "https://a/n"),
        ('<https://a/p>; rel="prev"', None),
        ('<>; rel="next"', ""),
        ("https://a/x", ""),
    ],
)
def test_a_link_is_read(value: str | None, expected: str | None) -> None:
    assert next_link(value) == expected


class Shop:
    """A list that pages as it should, or as `link` and `counted` say, and that can change between pages."""

    def __init__(self, size: int, *, page: int = 3, counted: bool = True, linked: bool = True) -> None:
        self.stock, self.page, self.counted, self.linked = list(range(size)), page, counted, linked

    def answer(self, url: str) -> Page:
        query = read_query(query_of(url), most=self.page)
        found = self.stock[query.offset : query.offset + query.limit]
        headers = page_headers(url, query, total=len(self.stock), most=self.page)
        if not self.counted:
            del headers["X-Total-Count"]
        if not self.linked and "Link" in headers:
            headers["Link"] = ""
        return read_page(headers, objects(*found))


def crawled(crawl: Crawl, shop: Shop, **changes: int) -> set[int]:
    seen: set[int] = set()
    while crawl.url is not None:
        page = shop.answer(crawl.url)
        crawl.received(page)
        seen |= {int(document["id"]) for document in page.objects}
        gone = changes.get(f"after_{crawl.pages}")
        if gone is not None:
            shop.stock = [n for n in shop.stock if n >= gone]
    return seen


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 3, 7])
def test_all_is_read(size: int, linked: bool, counted: bool) -> None:
    crawl = Crawl(LIST)
    assert crawled(crawl, Shop(size, counted=counted, linked=linked)) == set(range(size))
    assert crawl.complete
    assert crawl.watermark == (AT + timedelta(seconds=size - 1) if size else None)


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 12), st.integers(0, 12))
def test_nothing_is_missed_when_the_total_falls(size: int, page: int, when: int, gone: int) -> None:
    """Objects that drop out in front move all others forward; each that stays is read."""
    crawl = Crawl(LIST)
    seen = crawled(crawl, Shop(size, page=page), **{f"after_{when}": gone})
    assert seen >= set(range(gone, size))
    assert crawl.complete


def test_a_falling_total_asks_for_the_page_before_again() -> None:
    crawl = Crawl(LIST, limit=2)
    crawl.received(Page(objects(0, 1), LIST + "?offset=2&limit=2", total=6))
    crawl.received(Page(objects(2, 3), LIST + "?offset=4&limit=2", total=6))
    crawl.received(Page(objects(5), None, total=5))
    assert crawl.url is not None
    assert query_of(crawl.url) == {"offset": "1", "limit": "2"}


def test_a_repeated_page_ends_the_crawl_as_incomplete() -> None:
    """A partner that ignores the offset."""
    crawl = Crawl(LIST)
    for offset in (2, 4):
        assert crawl.url is not None
        crawl.received(Page(objects(0, 1), f"{LIST}?offset={offset}"))
    assert crawl.url is None
    assert not crawl.complete


def test_a_link_that_leads_in_a_circle_ends_the_crawl() -> None:
    crawl = Crawl(LIST + "?offset=0")
    crawl.received(Page(objects(0), LIST + "?offset=1"))
    crawl.received(Page(objects(1), LIST + "?offset=0"))
    assert crawl.url is None
    assert not crawl.complete


def test_an_empty_page_before_the_end_is_no_complete_crawl() -> None:
    crawl = Crawl(LIST)
    crawl.received(Page(objects(0), LIST + "?offset=1", total=5))
    crawl.received(Page([], LIST + "?offset=2", total=5))
    assert crawl.url is None
    assert not crawl.complete


def test_a_link_that_jumps_leaves_a_hole() -> None:
    crawl = Crawl(LIST)
    crawl.received(Page(objects(0), LIST + "?offset=3"))
    crawl.received(Page(objects(3)))
    assert not crawl.complete


def test_absence_means_nothing_after_a_filter_a_skipped_object_or_a_failure() -> None:
    filtered, skipped, failed = Crawl(LIST, date_from=AT), Crawl(LIST), Crawl(LIST)
    assert filtered.url == LIST + "?date_from=2026-01-01T00:00:00Z"
    skipped.skipped()
    failed.failed()
    for crawl in (filtered, skipped):
        crawl.received(Page(objects(0), total=1))
    assert failed.url is None
    assert not any(crawl.complete for crawl in (filtered, skipped, failed))


@pytest.mark.parametrize("link", ["https://evil.example/cdrs?offset=1", "http://cpo.example/cdrs?offset=1"])
def test_a_link_never_leaves_the_place(link: str) -> None:
    crawl = Crawl(LIST)
    with pytest.raises(OCPIRefused) as refused:
        crawl.received(Page(objects(0), link))
    assert refused.value.code == "foreign-host"
    assert crawl.url is None
    assert not crawl.complete
    own = Crawl(LIST, own_place=True)
    own.received(Page(objects(0), link))
    assert own.url == LIST + "?offset=1"


def test_a_crawl_without_end_ends() -> None:
    crawl = Crawl(LIST, most_pages=5)
    while crawl.url is not None:
        crawl.received(Page(objects(crawl.pages), f"{LIST}?offset={crawl.pages + 1}"))
    assert crawl.pages == 5
    assert not crawl.complete
    with pytest.raises(OCPIRefused, match="after the last"):
        crawl.received(Page([]))


def test_the_next_crawl_starts_before_the_watermark() -> None:
    assert next_date_from(AT, timedelta(minutes=5)) == AT - timedelta(minutes=5)
    assert next_date_from(None, timedelta(minutes=5)) is None
    first = datetime.min.replace(tzinfo=UTC)
    assert next_date_from(first, timedelta(minutes=5)) == first, "no partner's date leads out of the calendar"
