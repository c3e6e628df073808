"""The pages of a running hub: what each shows, that it is whole and can be read by everybody, and that ids stay ids."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import quote

import pytest

from hub.roles import Role
from tests.hub.pages.conftest import HOSTILE
from tests.hub.pages.site import Browser, Page, PageSite

LISTS = (
    "/gateways",
    "/sessions",
    "/cdrs",
    "/meter-keys",
    "/commands",
    "/partners",
    "/tariffs",
    "/judged",
    "/disputes",
    "/settlements",
    "/users",
    "/audit",
)


@pytest.fixture
def admin(browsers: dict[Role, Browser]) -> Browser:
    return browsers[Role.ADMIN]


def links(text: str, under: str) -> list[str]:
    return list(dict.fromkeys(re.findall(rf'href="({under}/[^"?]+)"', text)))


def every_page(admin: Browser) -> dict[str, str]:
    """Each kind of page once, as an admin sees it."""
    found = {path: admin.get(path).text for path in ("/", "/account", "/search?q=nothing-like-it", *LISTS)}
    for under in LISTS[:-1]:
        for path in links(found[under], under)[:2]:
            found[path] = admin.get(path).text
    found["/gateways/site-1/command"] = admin.get("/gateways/site-1/command").text
    found["/no-such-page"] = admin.get("/no-such-page").text
    return found


def test_every_page_is_whole_and_has_labels_and_headings(admin: Browser, site: PageSite) -> None:
    pages = every_page(admin) | {"/sign-in": site.browser().get("/sign-in").text}
    assert len(pages) > 20
    for path, text in pages.items():
        page = Page(text)
        assert not page.faults, (path, page.faults)
        assert [one.get("lang") for one in page.all("html")] == ["en"]
        assert len(page.all("h1")) == len(page.all("main")) == 1, path
        labelled = {one.get("for") for one in page.all("label")}
        ids = [one["id"] for _, one in page.elements if "id" in one]
        assert len(ids) == len(set(ids)), path
        for tag in ("input", "select"):
            for one in page.all(tag):
                assert one.get("type") == "hidden" or one.get("id") in labelled, (path, one)
        for one in page.all("form"):
            assert (one.get("method"), str(one.get("action"))[:1]) in (("get", "/"), ("post", "/")), path
        forms = [one for one in page.all("form") if one.get("method") == "post"]
        assert text.count('name="form_token"') == len(forms), path
        assert not page.all("script"), path
        assert not re.search(r'\s(on\w+|style)="|(src|href|action)="(?!/|#)', text), path
        assert "Instants as in Europe/Berlin" in page.text


def test_headers_forbid_what_pages_do_not_need(admin: Browser) -> None:
    for path in ("/", "/style.css", "/nothing", "/sign-in"):
        headers = admin.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "script-src" not in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
        assert headers["Cache-Control"] == ("public, max-age=300" if path == "/style.css" else "no-store")


def test_a_gateway_shows_what_it_is_and_what_is_wrong(admin: Browser) -> None:
    text = Page(admin.get("/gateways").text).text
    assert "never seen" in text
    assert "certificate ends soon" in text
    one = Page(admin.get("/gateways/site-1").text).text
    assert "Epochs" in one
    assert re.search(r"[0-9-]{10} [0-9:]{8} CES?T", one)
    assert admin.get("/gateways/site-9").status == 404


def test_a_session_leads_to_its_bill_and_its_evidence(admin: Browser, site: PageSite) -> None:
    listed = admin.get("/sessions?status=COMPLETED").text
    path = links(listed, "/sessions")[0]
    page = Page(admin.get(path).text)
    assert "Begin" in page.text
    assert "signed value" in page.text
    assert "valid" in page.text
    (cdr,) = links(admin.get(path).text, "/cdrs")
    bill = Page(admin.get(cdr).text).text
    assert "How the price comes about" in bill
    assert "EUR" in bill
    evidence = admin.get(f"{path}/evidence")
    assert (evidence.status, evidence.headers["Content-Type"]) == (200, "application/zip")
    assert evidence.body[:2] == b"PK"
    running = links(admin.get("/sessions?status=ACTIVE").text, "/sessions")[0]
    assert admin.get(f"{running}/evidence").status == 409
    assert "Stop this session" in admin.get(running).text


def test_lists_sort_filter_page_and_say_what_they_cannot(admin: Browser) -> None:
    rising = links(admin.get("/sessions?sort=session").text, "/sessions")
    falling = links(admin.get("/sessions?sort=-session").text, "/sessions")
    assert rising == sorted(rising)
    assert falling == rising[::-1]
    assert len(rising) == 3
    assert 'aria-sort="ascending"' in admin.get("/sessions?sort=session").text
    assert links(admin.get("/sessions?charger=cp-1").text, "/sessions") != rising
    assert "No session fits" in admin.get("/sessions?gateway=site-2").text
    assert "No session fits" in admin.get("/sessions?id=%25").text, "a wildcard is a sign like others"
    assert "No session fits" in admin.get("/sessions?page=2").text
    for bad in ("sort=cost", "page=0", "page=x", "status=BROKEN", "format=xml", "colour=red"):
        answer = admin.get(f"/sessions?{bad}")
        assert answer.status == 400, bad
        assert "expected" in answer.text
    with_findings = admin.get("/cdrs?findings=with").text.count('<td data-label="CDR"')
    without = admin.get("/cdrs?findings=without").text.count('<td data-label="CDR"')
    assert with_findings + without == 2


@pytest.mark.parametrize("path", LISTS)
def test_every_list_is_csv_as_well(admin: Browser, path: str) -> None:
    answer = admin.get(f"{path}?format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert len(head) >= 4
    assert all(len(row) == len(head) for row in rows)
    assert answer.body.count(b"\r\n") >= len(rows) + 1


@pytest.mark.parametrize("path", LISTS)
def test_every_list_sorts_by_each_column_that_offers_it(admin: Browser, path: str) -> None:
    keys = re.findall(r'<th[^>]*><a href="[^"]*sort=(-?[a-z_]+)', admin.get(path).text)
    for key in keys:
        assert admin.get(f"{path}?sort={key}").status == 200
        assert admin.get(f"{path}?sort=-{key.lstrip('-')}").status == 200


def test_the_search_finds_anything_by_its_id(admin: Browser) -> None:
    session = links(admin.get("/sessions?status=COMPLETED").text, "/sessions")[0]
    id_ = session.rpartition("/")[2]
    assert admin.get("/search?q=site-1").location == "/gateways/site-1"
    several = admin.get(f"/search?q={id_}")
    assert several.location == session or session in several.text
    key = links(admin.get("/meter-keys").text, "/meter-keys")[0]
    fingerprint = re.search(r"<pre>([0-9a-f]{64})</pre>", admin.get(key).text)
    assert fingerprint is not None
    assert admin.get(f"/search?q={fingerprint[1]}").location == key
    assert "Nothing has" in admin.get("/search?q=zzzzzz").text


def test_a_hostile_id_is_a_text(admin: Browser) -> None:
    for path in ("/sessions", "/meter-keys", f"/search?q={quote(HOSTILE)}", f"/sessions?id={quote(HOSTILE)}"):
        text = admin.get(path).text
        assert "<script" not in text, path
    assert "&lt;script&gt;" in admin.get("/sessions").text
    for path in (f"/sessions/{quote(HOSTILE, safe='')}", f"/{quote(HOSTILE)}", f"/gateways/{quote(HOSTILE, safe='')}"):
        answer = admin.get(path)
        assert answer.status == 404
        assert "<script" not in answer.text
