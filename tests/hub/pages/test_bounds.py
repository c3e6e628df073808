"""What bounds the pages, without a server: tries, passwords, lists, hostile texts."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings, strategies as st

from hub.passwords import LEAST, MOST, NOBODY, BadPassword, fits, hash_password, require_hash
from hub.web.pages import throttle
from hub.web.pages.render import Renderer
from hub.web.pages.tables import Cell, Column, Filter, Listing, Wish, by_cells, containing, csv_line
from hub.web.pages.throttle import LIMITS, WINDOW_S, Throttle
from hub.web.problems import Problem
from tests.hub.pages.site import Page

COLUMNS = (Column("id", "Id", "id"), Column("energy", "Energy", "energy", number=True), Column("note", "Note"))


def listing(*rows: tuple[Cell, ...]) -> Listing:
    return Listing(
        path="/things",
        title="Things",
        columns=COLUMNS,
        filters=(Filter("id", "Id"), Filter("state", "State", ("on", "off"))),
        rows=lambda connection, wish: by_cells(rows, COLUMNS, wish),
        empty="Nothing.",
    )


def test_a_password_fits_itself_only() -> None:
    kept = hash_password("correct horse battery")
    assert kept != hash_password("correct horse battery")
    assert fits("correct horse battery", kept)
    assert not fits("correct horse batterz", kept)
    assert not fits("x" * (MOST + 1), kept)
    assert not any(fits(text, NOBODY) for text in ("", "\0", "correct horse battery"))
    assert not fits("correct horse battery", "plain$correct horse battery")
    for text in ("x" * (LEAST - 1), "x" * (MOST + 1)):
        with pytest.raises(BadPassword, match="12 to 128 characters"):
            hash_password(text)
    assert require_hash(kept) == kept
    for bad in (None, "", "scrypt$99$8$1$00$00"):
        with pytest.raises(BadPassword):
            require_hash(bad)


def test_tries_are_counted_for_the_pair_the_address_and_the_name() -> None:
    tries = Throttle()
    assert [tries.wait_s("nina", "192.0.2.1", 0.0) for _ in range(LIMITS["pair"])] == [0.0] * 5
    assert tries.wait_s("nina", "192.0.2.1", 10.0) == WINDOW_S - 10
    assert tries.wait_s("nina", "192.0.2.2", 10.0) == 0.0, "somebody elsewhere is not kept out"
    others = [tries.wait_s(f"name-{number}", "192.0.2.1", 10.0) for number in range(LIMITS["address"])]
    assert others.count(0.0) == LIMITS["address"] - 5
    assert tries.wait_s("nina", "192.0.2.1", WINDOW_S) == 0.0
    spread = [tries.wait_s("paul", f"198.51.100.{number}", 0.0) for number in range(60)]
    assert spread.count(0.0) == LIMITS["name"]


def test_a_success_does_not_count_and_a_network_is_one_address() -> None:
    tries = Throttle()
    for _ in range(100):
        assert tries.wait_s("nina", "192.0.2.1", 0.0) == 0.0
        tries.succeeded("nina", "192.0.2.1")
    for number in range(LIMITS["address"]):
        assert tries.wait_s(f"name-{number}", f"2001:db8::{number:x}", 0.0) == 0.0
    assert tries.wait_s("other", "2001:db8::ffff", 0.0) > 0
    assert tries.wait_s("other", "not an address", 0.0) == 0.0


def test_what_is_remembered_of_tries_is_bounded() -> None:
    tries = Throttle()
    for number in range(throttle.MOST):
        tries.wait_s(f"name-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(tries) == throttle.MOST


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_csv_comes_back_and_nothing_in_it_is_computed(cells: list[str]) -> None:
    line = csv_line(cells)
    (row,) = csv.reader(io.StringIO(line.decode(), newline=""))
    assert len(row) == len(cells)
    for cell, text in zip(row, cells, strict=True):
        written = text.encode("utf-8", "backslashreplace").decode()
        assert cell in (written, f"'{written}")
        assert cell[:1] not in ("=", "@", "\t", "\r")
        assert cell[:1] not in ("+", "-") or cell[1:].replace(".", "", 1).isdigit()


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_id_is_a_text_in_a_list(id_: str, note: str) -> None:
    from datetime import UTC

    from hub.web.pages.guard import Visitor

    one = listing((Cell(id_, f"/things/{id_}"), Cell("1"), Cell(note)))
    wish = Wish(COLUMNS[0], False, {"id": id_} if id_.strip() else {})
    facts = {
        "title": id_,
        "listing": one,
        "wish": wish,
        "rows": one.rows(None, wish),  # type: ignore[arg-type]  # rows of memory
        "page": 1,
        "has_more": True,
    }
    response = Renderer(UTC).page(Visitor("id", None), "list.html.j2", facts)
    assert response.text is not None
    page = Page(response.text)
    assert not page.faults
    assert not page.all("script")
    assert len(page.all("h1")) == 1
    assert all(not str(name).startswith("on") for _, attributes in page.elements for name in attributes)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["sort", "page", "format", "id", "state", "x"]), st.text(max_size=300)))
def test_any_query_is_a_wish_or_told_what_is_expected(query: dict[str, str]) -> None:
    problem: Problem | None = None
    try:
        wish = listing().wish(query)
    except Problem as told:
        problem = told
    if problem is not None:
        assert (problem.status, "expected" in str(problem)) == (400, True)
        return
    assert wish.sort in COLUMNS[:2]
    assert wish.offset >= 0
    assert "ORDER BY" in wish.order
    assert set(wish.given) <= {"id", "state"}


def test_rows_in_memory_are_sorted_and_cut() -> None:
    one = listing(*((Cell(f"id-{number}"), Cell(str(number), order=number), Cell("")) for number in (3, 10, 2)))
    rising = one.rows(None, Wish(COLUMNS[1], False))  # type: ignore[arg-type]
    assert [row[1].text for row in rising] == ["2", "3", "10"]
    assert [row[1].text for row in one.rows(None, Wish(COLUMNS[1], True, limit=1, offset=1))] == ["3"]  # type: ignore[arg-type]
    wish = one.wish({"sort": "-energy", "id": "a b"})
    assert one.url(wish, page="2") == "/things?id=a+b&sort=-energy&page=2"
    assert one.sort_url(wish, COLUMNS[1]) == "/things?id=a+b&sort=energy"
    assert containing("5%_!") == "%5!%!_!!%"
