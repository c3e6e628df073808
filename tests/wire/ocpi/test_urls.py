"""URLs of partners."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from wire.errors import OCPIRefused
from wire.ocpi.urls import joined, place_of, query_of, quoted, require_registered, resolved, unquoted, with_query

BASE = "https://cpo.example/ocpi/2.2.1/tokens"


@pytest.mark.parametrize("base", [BASE, BASE + "/", BASE + "//"])
def test_parts_are_joined_with_one_slash(base: str) -> None:
    assert joined(base, "NL", "TNM", "012/3 4") == BASE + "/NL/TNM/012%2F3%204"
    assert joined(base) == BASE
    assert joined(base, "a", slash=True) == BASE + "/a/"
    assert joined(base, "a", query={"type": "APP_USER"}) == BASE + "/a?type=APP_USER"


def test_the_query_of_an_endpoint_stays_at_its_end() -> None:
    assert joined(BASE + "/?key=1", "a", query={"type": "RFID"}) == BASE + "/a?key=1&type=RFID"


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_part_that_names_no_object_is_refused(segment: str) -> None:
    with pytest.raises(OCPIRefused, match="part of a URL"):
        joined(BASE, "NL", segment)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_quoted_comes_back(text: str) -> None:
    assert unquoted(quoted(text)) == text
    assert query_of(with_query(BASE, {"a": text, "b": "1"})) == {"a": text, "b": "1"}


def test_a_parameter_is_replaced() -> None:
    url = with_query(BASE + "?offset=0&date_from=2020-01-01T00:00:00Z", {"offset": "50"})
    assert url == BASE + "?date_from=2020-01-01T00:00:00Z&offset=50"
    assert with_query(BASE, {}) == BASE
    assert query_of(BASE + "?a=x+y&a=z%20w&b") == {"a": "z w", "b": ""}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://cpo.example/",
        "https://user@cpo.example/",
        "https://cpo.example:0/",
        "https://cpo.example:99999/",
        "https://cpo.example\\@evil.example/",
        "https://cpo.example /",
        "//cpo.example/",
        "https:///x",
        "https://ümlaut.example/",
        "https://cpo.example/" + "a" * 2048,
        "",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(OCPIRefused) as refused:
        place_of(url)
    assert refused.value.code == "bad-url"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://cpo.example:443/x", None),
        ("HTTPS://CPO.example./x", None),
        ("http://cpo.example/x", "not-https"),
        ("https://cpo.example:8443/x", "foreign-host"),
        ("https://cpo.example.evil.example/x", "foreign-host"),
        ("https://evil.example/#https://cpo.example/", "foreign-host"),
    ],
)
def test_only_registered_hosts_are_called(url: str, code: str | None) -> None:
    if code is None:
        assert require_registered(url, [BASE]) == url
        return
    with pytest.raises(OCPIRefused) as refused:
        require_registered(url, [BASE])
    assert refused.value.code == code


def test_a_lab_may_call_without_tls() -> None:
    assert require_registered("http://[::1]:80/x", ["http://[::1]/versions"], plain=True)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("?offset=5", BASE + "?offset=5"),
        ("/other?offset=5", "https://cpo.example/other?offset=5"),
        ("https://x.example/", "https://x.example/"),
    ],
)
def test_a_reference_is_resolved(reference: str, expected: str) -> None:
    assert resolved(BASE + "?limit=2", reference) == expected
    assert resolved("https://cpo.example", "/a") == "https://cpo.example/a"


@pytest.mark.parametrize("reference", ["", "next", "//evil.example/", "javascript:x"])
def test_other_references_are_refused(reference: str) -> None:
    with pytest.raises(OCPIRefused):
        resolved(BASE, reference)
