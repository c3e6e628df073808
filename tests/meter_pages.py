"""The pages of meters in memory: what the hub keeps in its database, for tests of what is judged against them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from datetime import datetime

from wire.meter.history import Page, judge_history, page_of
from wire.meter.record import PaginationContext
from wire.meter.verdict import RecordVerdict, SessionFinding

Book = tuple[str, str, PaginationContext]


def _book(page: Page) -> Book:
    return page.signer, page.meter, page.context


def _at(page: Page) -> datetime:
    assert page.at is not None
    return page.at


class KeptPages:
    """`wire.meter.history.Pages`, and `take` as the hub does it: judge, then keep."""

    def __init__(self) -> None:
        self._numbers: dict[Book, list[int]] = {}
        self._pages: dict[tuple[Book, int], list[Page]] = {}
        self._copies: dict[str, list[Page]] = {}
        self._signers: dict[tuple[str, PaginationContext], set[Book]] = {}
        self._places: dict[str, list[Page]] = {}

    def take(
        self, verdict: RecordVerdict, session_id: str | None, place: str | None = None
    ) -> tuple[SessionFinding, ...]:
        """What is found on the record, which is kept then."""
        findings = judge_history(verdict, session_id, self, place)
        page = page_of(verdict, session_id, place)
        if page is not None:
            self.keep(page)
        return findings

    def keep(self, page: Page) -> None:
        """One more page."""
        book = _book(page)
        held = self._pages.setdefault((book, page.number), [])
        if not held:
            bisect.insort(self._numbers.setdefault(book, []), page.number)
        held.append(page)
        self._copies.setdefault(page.payload_sha256, []).append(page)
        self._signers.setdefault((page.signer, page.context), set()).add(book)
        if page.place is not None and page.at is not None:
            bisect.insort(self._places.setdefault(page.place, []), page, key=_at)

    def copies(self, payload_sha256: str) -> Iterable[Page]:
        return self._copies.get(payload_sha256, ())

    def at_number(self, page: Page) -> Iterable[Page]:
        return self._pages.get((_book(page), page.number), ())

    def below(self, page: Page) -> Page | None:
        numbers = self._numbers.get(_book(page), [])
        at = bisect.bisect_left(numbers, page.number)
        return self._first(page, numbers[at - 1]) if at else None

    def above(self, page: Page) -> Page | None:
        numbers = self._numbers.get(_book(page), [])
        at = bisect.bisect_right(numbers, page.number)
        return self._first(page, numbers[at]) if at < len(numbers) else None

    def newest(self, page: Page) -> Page | None:
        numbers = self._numbers.get(_book(page), [])
        return self._first(page, numbers[-1]) if numbers else None

    def numbers(self, signer: str, context: PaginationContext, low: int, high: int) -> Iterable[tuple[int, str]]:
        return sorted(
            (number, book[1])
            for book in self._signers.get((signer, context), ())
            for number in self._between(self._numbers[book], low, high)
        )

    def before(self, place: str, at: datetime) -> Page | None:
        pages = self._places.get(place, [])
        earlier = bisect.bisect_left(pages, at, key=_at)
        return pages[earlier - 1] if earlier else None

    def _first(self, page: Page, number: int) -> Page:
        return self._pages[_book(page), number][0]

    def _between(self, numbers: list[int], low: int, high: int) -> list[int]:
        return numbers[bisect.bisect_left(numbers, low) : bisect.bisect_right(numbers, high)]
