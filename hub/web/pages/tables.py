"""Lists that are sorted, filtered and cut into pages by the parameters of their URL, and given as CSV.

    ?sort=KEY or -KEY   by that column, falling with a minus
    ?page=N             the N-th page of PER_PAGE rows
    ?NAME=VALUE         only what fits the filter of that name
    ?format=csv         all that fits, as CSV (RFC 4180), a column for each of the table

Rules
1. A parameter that the list does not know, or a value that it cannot use, is answered with what was expected.
2. A cell of a CSV file that a spreadsheet would compute gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from hub.store.engine import Connection, Value
from hub.web.problems import Problem

PER_PAGE = 50
MAX_PAGE = 100_000
MAX_FILTER = 200
CSV_AT_ONCE = 500
MAX_CSV = 100_000
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, where it leads to, and how it is meant: `good`, `wait`, `bad`, `soft` or "". `order` is what it is
    sorted by where rows are sorted here."""

    text: str
    href: str = ""
    tone: str = ""
    order: str | int | None = None


Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column under its key. `sorted_by`: the column of the database; "" where it cannot be sorted by."""

    key: str
    title: str
    sorted_by: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter under its name in the URL; with `choices` one of them, else what somebody types."""

    name: str
    label: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """Which rows, in which order."""

    sort: Column
    falling: bool
    given: Mapping[str, str] = field(default_factory=dict)
    limit: int = PER_PAGE + 1
    offset: int = 0

    @property
    def order(self) -> str:
        """The end of a statement: the chosen column, then the number, and the cut. All of it is ours."""
        way = "DESC" if self.falling else "ASC"
        column = self.sort.sorted_by
        by = f"number {way}" if column == "number" else f"{column} {way}, number {way}"
        return f"ORDER BY {by} LIMIT {int(self.limit)} OFFSET {int(self.offset)}"

    def fitting(self, conditions: Mapping[str, str], values: Mapping[str, Value]) -> tuple[str, list[Value]]:
        """The WHERE of a statement, of the `conditions` whose filters are given, and its values."""
        names = [name for name in conditions if name in self.given]
        parts = " AND ".join(conditions[name] for name in names)
        return (f"WHERE {parts}" if parts else ""), [values.get(name, self.given[name]) for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list at `path`. `rows` gives what a wish asks for; the first column that can be sorted by is the usual one,
    falling where `newest_first`. `empty` says what to do where there is nothing."""

    path: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Connection, Wish], Sequence[Row]]
    empty: str
    filters: tuple[Filter, ...] = ()
    newest_first: bool = True
    about: str = ""

    def wish(self, query: Mapping[str, str]) -> Wish:
        """What a URL asks for. Raises Problem (400)."""
        known = {"sort", "page", "format", *(one.name for one in self.filters)}
        for name in query:
            if name not in known:
                raise _bad(name, f"one of {', '.join(sorted(known))} as a parameter", name)
        sort, falling = self._sort(query.get("sort", ""))
        given = {one.name: self._filter(one, query) for one in self.filters if query.get(one.name, "").strip()}
        page = query.get("page", "1")
        if not (page.isascii() and page.isdecimal() and len(page) <= 6 and 1 <= int(page) <= MAX_PAGE):
            raise _bad("page", f"1 to {MAX_PAGE}", page)
        if query.get("format", "csv") != "csv":
            raise _bad("format", "csv", query["format"])
        return Wish(sort, falling, given, PER_PAGE + 1, (int(page) - 1) * PER_PAGE)

    def _sort(self, text: str) -> tuple[Column, bool]:
        able = {column.key: column for column in self.columns if column.sorted_by}
        if not text:
            return next(iter(able.values())), self.newest_first
        if text.removeprefix("-") not in able:
            raise _bad("sort", f"one of {', '.join(able)}, with or without a minus", text)
        return able[text.removeprefix("-")], text.startswith("-")

    def _filter(self, wanted: Filter, query: Mapping[str, str]) -> str:
        text = query[wanted.name].strip()
        if wanted.choices and text not in wanted.choices:
            raise _bad(wanted.name, f"one of {', '.join(wanted.choices)}", text)
        if len(text) > MAX_FILTER:
            raise _bad(wanted.name, f"at most {MAX_FILTER} characters", text[:40])
        return text

    def url(self, wish: Wish, **changed: str) -> str:
        """The URL of the same rows, with some parameters changed; an empty one is left out."""
        sort = f"-{wish.sort.key}" if wish.falling else wish.sort.key
        parameters = {**wish.given, "sort": sort, **changed}
        return f"{self.path}?{urlencode({name: value for name, value in parameters.items() if value})}"

    def sort_url(self, wish: Wish, column: Column) -> str:
        """The URL of the same rows by another column, or the other way round."""
        falling = column == wish.sort and not wish.falling
        return self.url(wish, sort=f"-{column.key}" if falling else column.key)


def by_cells(rows: Sequence[Row], listing: Sequence[Column], wish: Wish) -> list[Row]:
    """Rows that are all in memory, sorted by the cells of the chosen column and cut."""
    index = [column.key for column in listing].index(wish.sort.key)

    def order(row: Row) -> tuple[bool, int, str]:
        cell = row[index]
        key = cell.text if cell.order is None else cell.order
        return (isinstance(key, str), 0, key) if isinstance(key, str) else (False, key, "")

    return sorted(rows, key=order, reverse=wish.falling)[wish.offset : wish.offset + wish.limit]


def containing(text: str) -> str:
    """The pattern of `lower(column) LIKE ? ESCAPE '!'` for what holds this text, whatever its case."""
    escaped = text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def csv_line(cells: Sequence[str]) -> bytes:
    """One line of a CSV file. Rule 2."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_harmless(text) for text in cells])
    return out.getvalue().encode("utf-8", "backslashreplace")


def _harmless(text: str) -> str:
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and _NUMBER.fullmatch(text) is None:
        return f"'{text}"
    return text


def csv_of(connection: Connection, listing: Listing, wish: Wish) -> Iterator[bytes]:
    """The lines of all rows that fit. Raises Problem (413) when there are more than MAX_CSV."""
    offset = 0
    while True:
        rows = listing.rows(connection, Wish(wish.sort, wish.falling, wish.given, CSV_AT_ONCE, offset))
        yield from (csv_line([cell.text for cell in row]) for row in rows)
        if len(rows) < CSV_AT_ONCE:
            return
        offset += CSV_AT_ONCE
        if offset >= MAX_CSV:
            message = (
                f"more than {MAX_CSV} rows fit; narrow them down with a filter, or read them page by page by the API"
            )
            raise Problem(413, "too-many-rows", message)


def _bad(name: str, expected: str, found: str) -> Problem:
    return Problem(400, "bad-query", f"parameter {name[:40]!a}: expected {expected}, found {found[:80]!a}")
