"""The pages of meters in the database, and the tickets for the numbers that are missing.

Rules
1. What a page is and what is found on it says wire.meter.history; here pages are found and kept.
2. A ticket is a range of numbers that no held page has. It is opened when the page above it comes, cut or closed when
   one of its numbers comes, and closed by the operator with a reason. A closed ticket stays.
3. Tickets follow the order in which records arrive; cutting them into batches changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.errors import HubError
from hub.store.engine import Connection, Value as Cell
from wire.meter.history import Gap, Page, gaps_below
from wire.meter.record import PaginationContext
from wire.records import Value, decode, encode

FILLED = "filled"


class GapTicket(Value, frozen=True, kw_only=True):
    """Missing numbers of one counter: noticed in `session_id`, where that is known. `closed_by` is who closed it and
    `why`; `filled` when a record with the number came."""

    number: int
    signer: str
    meter: str
    context: PaginationContext
    first: int
    last: int
    noticed_at: datetime
    session_id: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    why: str | None = None

    @property
    def gap(self) -> Gap:
        """The range."""
        return Gap(meter=self.meter, context=self.context, first=self.first, last=self.last)


class NoSuchGap(HubError):
    """Raised when a ticket is to be closed that is not open."""


@dataclass(frozen=True, slots=True)
class StoredPages:
    """`wire.meter.history.Pages` over the database."""

    connection: Connection

    def copies(self, payload_sha256: str) -> Iterable[Page]:
        """The pages with exactly this payload."""
        return self._all("payload_sha256 = ? ORDER BY number", payload_sha256)

    def at_number(self, page: Page) -> Iterable[Page]:
        """The pages of the same signer, meter, context and number."""
        return self._all(f"{_BOOK} AND page = ? ORDER BY number", *_book(page), page.number)

    def below(self, page: Page) -> Page | None:
        """The page with the next lower number."""
        return self._one(f"{_BOOK} AND page < ? ORDER BY page DESC, number LIMIT 1", *_book(page), page.number)

    def above(self, page: Page) -> Page | None:
        """The page with the next higher number."""
        return self._one(f"{_BOOK} AND page > ? ORDER BY page, number LIMIT 1", *_book(page), page.number)

    def newest(self, page: Page) -> Page | None:
        """The page with the highest number."""
        return self._one(f"{_BOOK} ORDER BY page DESC, number LIMIT 1", *_book(page))

    def numbers(self, signer: str, context: PaginationContext, low: int, high: int) -> Iterable[tuple[int, str]]:
        """Number and meter of every page of the signer from `low` to `high`, in order of numbers."""
        rows = self.connection.execute(
            "SELECT DISTINCT page, meter FROM meter_pages WHERE signer = ? AND context = ? AND page BETWEEN ? AND ? "
            "ORDER BY page, meter",
            (signer, context.value, low, high),
        )
        return [(number, meter) for number, meter in rows.fetchall()]

    def before(self, place: str, at: datetime) -> Page | None:
        """The page from this place with the latest `at` before the given one."""
        return self._one("place = ? AND at < ? ORDER BY at DESC, number LIMIT 1", place, _text(at))

    def _one(self, where: str, *values: Cell) -> Page | None:
        row = self.connection.execute(f"SELECT body FROM meter_pages WHERE {where}", values).fetchone()
        return None if row is None else decode(Page, row[0], "stored page")

    def _all(self, where: str, *values: Cell) -> Iterator[Page]:
        """One by one: a meter that gives thousands of records one number is found out by the first of them."""
        for (text,) in self.connection.execute(f"SELECT body FROM meter_pages WHERE {where}", values):
            yield decode(Page, text, "stored page")


_BOOK = "signer = ? AND meter = ? AND context = ?"


def _book(page: Page) -> tuple[str, str, str]:
    return page.signer, page.meter, page.context.value


def _text(at: datetime) -> str:
    """An instant as text that sorts as instants do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def keep_page(connection: Connection, page: Page, at: datetime) -> None:
    """Keep a page, and bring the tickets of its counter to what is missing now; a copy in the same session is none."""
    cursor = connection.execute(
        "INSERT INTO meter_pages (signer, meter, context, page, payload_sha256, session_id, place, at, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *_book(page),
            page.number,
            page.payload_sha256,
            page.session_id,
            page.place,
            None if page.at is None else _text(page.at),
            encode(page).decode(),
        ),
    )
    if cursor.rowcount == 0:
        return
    pages = StoredPages(connection)
    rows = connection.execute(
        f"SELECT {_TICKET} WHERE closed_at IS NULL AND signer = ? AND context = ? AND last >= ? AND first <= ?",
        (page.signer, page.context.value, page.number, page.number),
    )
    touched = [_ticket(row) for row in rows.fetchall()]
    for ticket in touched:
        _fill(connection, ticket, page, pages, at)
    if not any(ticket.meter == page.meter for ticket in touched):
        for gap in gaps_below(page, pages):
            _open(connection, page.signer, gap, page.session_id, at)


def _fill(connection: Connection, ticket: GapTicket, page: Page, pages: StoredPages, at: datetime) -> None:
    """Close a ticket whose number came, and open what is left of it. The number of another meter with the same key may
    leave it as it is (wire.meter.history, rule 2)."""
    end = Page(signer=ticket.signer, meter=ticket.meter, context=ticket.context, number=ticket.last, payload_sha256="")
    upper = pages.above(end)
    missing = list(gaps_below(page, pages)) if page.meter == ticket.meter else []
    missing += [] if upper is None else gaps_below(upper, pages)
    left = [gap for gap in missing if ticket.first <= gap.first and gap.last <= ticket.last]
    if left == [ticket.gap]:
        return
    _close(connection, ticket.number, at, FILLED, f"{page.name} came")
    for gap in left:
        _open(connection, ticket.signer, gap, ticket.session_id, ticket.noticed_at)


def _open(connection: Connection, signer: str, gap: Gap, session_id: str | None, at: datetime) -> None:
    connection.execute(
        "INSERT INTO meter_gaps (signer, meter, context, first, last, session_id, noticed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (signer, gap.meter, gap.context.value, gap.first, gap.last, session_id, _text(at)),
    )


def _close(connection: Connection, number: int, at: datetime, by_whom: str, why: str) -> None:
    connection.execute(
        "UPDATE meter_gaps SET closed_at = ?, closed_by = ?, why = ? WHERE number = ?",
        (_text(at), by_whom, why, number),
    )


def close_gap(connection: Connection, number: int, at: datetime, by_whom: str, why: str) -> GapTicket:
    """Close a ticket that will not be filled; the ticket as it is then.

    Raises:
        NoSuchGap: there is no open ticket of this number.
    """
    row = connection.execute(f"SELECT {_TICKET} WHERE number = ?", (number,)).fetchone()
    if row is None or _ticket(row).closed_at is not None:
        state = "no ticket" if row is None else "the ticket is closed already:"
        raise NoSuchGap("unknown-gap", f"{state} {number}; `pnc-hub meters gaps` lists the open ones")
    _close(connection, number, at, by_whom, why)
    return _ticket(connection.execute(f"SELECT {_TICKET} WHERE number = ?", (number,)).fetchone())


def gap_tickets(
    connection: Connection, after: int, limit: int, *, meter: str | None = None, closed_too: bool = False
) -> tuple[GapTicket, ...]:
    """The tickets beyond number `after`, the oldest first, of one meter or of all."""
    rows = connection.execute(
        f"SELECT {_TICKET} WHERE number > ?1 AND (?2 = 1 OR closed_at IS NULL) AND (?3 IS NULL OR meter = ?3) "
        "ORDER BY number LIMIT ?4",
        (after, int(closed_too), meter, limit),
    )
    return tuple(_ticket(row) for row in rows.fetchall())


def is_explained(connection: Connection, signer: str, gap: Gap) -> str | None:
    """Why the operator closed the ticket on all of a gap; None when none is closed so."""
    row = connection.execute(
        "SELECT closed_by, why FROM meter_gaps WHERE signer = ? AND meter = ? AND context = ? AND first <= ? "
        "AND last >= ? AND closed_at IS NOT NULL AND closed_by <> ? ORDER BY number DESC LIMIT 1",
        (signer, gap.meter, gap.context.value, gap.first, gap.last, FILLED),
    ).fetchone()
    return None if row is None else f"{row[0]}: {row[1]}"


_TICKET = (
    "number, signer, meter, context, first, last, noticed_at, session_id, closed_at, closed_by, why FROM meter_gaps"
)


def _ticket(row: tuple[object, ...]) -> GapTicket:
    number, signer, meter, context, first, last, noticed_at, session_id, closed_at, closed_by, why = row
    return GapTicket(
        number=int(str(number)),
        signer=str(signer),
        meter=str(meter),
        context=PaginationContext(str(context)),
        first=int(str(first)),
        last=int(str(last)),
        noticed_at=datetime.fromisoformat(str(noticed_at)),
        session_id=None if session_id is None else str(session_id),
        closed_at=None if closed_at is None else datetime.fromisoformat(str(closed_at)),
        closed_by=None if closed_by is None else str(closed_by),
        why=None if why is None else str(why),
    )
