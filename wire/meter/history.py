"""What shows only across a meter's sessions: records removed, replayed, reordered, counters and registers put back.

Rules of this file
1. A counter belongs to whoever signs: a page stands in the book of its key, under the meter it names. A key that came
   along with a record therefore never touches the history of another key, and a swapped meter opens a new history.
2. Where one gateway signs for several meters it may count for all of them together. Numbers that other meters of the
   same key hold fill a gap, unless a number near it is held twice: then each meter has a counter of its own.
3. Only what verified is a page. An altered record is none, so its number is missing until a good copy comes.
4. The same content again is a copy, whatever its signature section says and however its text was encoded on the way:
   no finding within one session.
5. Judging is repeatable, before and after the page was kept; a gap that was filled meanwhile is then no longer found.
   Numbers before the first page of a book are unknown, not missing.
6. A register that never restarts must not fall between sessions; one that counts a transaction starts anew with it.

Source: OCMF 1.4.1, PG and its section on cohesion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from wire.meter.obis import parse_obis, register_name
from wire.meter.record import MeterClock, MeterRecord, PaginationContext
from wire.meter.verdict import RecordVerdict, SessionFinding, Severity, SignatureVerdict
from wire.records import Value

CLOCK_STEP = timedelta(minutes=2)
"""A meter whose clock is set may say an earlier time in a later record; more than this is no correction."""

MAX_RANGES = 20
"""Ranges of missing numbers that one finding lists."""

_NEIGHBOURS = 8
"""How many pages back a register is looked for; an intermediate record need not hold every register."""


class PageRegister(Value, frozen=True, kw_only=True):
    """The first and the last value of one lifetime register in a record, in Wh."""

    register: str
    first_wh: Decimal
    last_wh: Decimal


class Page(Value, frozen=True, kw_only=True):
    """What is kept of a verified record so that later ones can be held against it.

    `signer` is the fingerprint of the key it verified with, `meter` the meter serial, or the gateway serial or charge
    point id where it names none. `began_at` and `at` are TM of the first and the last reading that has one;
    `synchronised` says whether both rest on a synchronised clock. `place` is the caller's name for where it came from.
    """

    signer: str
    meter: str
    context: PaginationContext
    number: int
    payload_sha256: str
    session_id: str | None = None
    place: str | None = None
    gateway_serial: str | None = None
    began_at: datetime | None = None
    at: datetime | None = None
    synchronised: bool = False
    registers: tuple[PageRegister, ...] = ()

    @property
    def name(self) -> str:
        """PG as the record says it: `T17`."""
        return f"{self.context.value}{self.number}"


class Pages(Protocol):
    """The pages that are held. A number may be held more than once: a copy for another session, or other content."""

    def copies(self, payload_sha256: str) -> Iterable[Page]:
        """The pages with exactly this content (`MeterRecord.content_sha256`), whoever signed it."""

    def at_number(self, page: Page) -> Iterable[Page]:
        """The pages of the same signer, meter, context and number."""

    def below(self, page: Page) -> Page | None:
        """The page with the next lower number of the same signer, meter and context."""

    def above(self, page: Page) -> Page | None:
        """The page with the next higher number of the same signer, meter and context."""

    def newest(self, page: Page) -> Page | None:
        """The page with the highest number of the same signer, meter and context."""

    def numbers(self, signer: str, context: PaginationContext, low: int, high: int) -> Iterable[tuple[int, str]]:
        """Number and meter of every page of the signer from `low` to `high`, both included, in order of numbers."""

    def before(self, place: str, at: datetime) -> Page | None:
        """The page from this place with the latest `at` before the given one."""


class Gap(Value, frozen=True, kw_only=True):
    """Numbers that no held page has, from `first` to `last`, both included."""

    meter: str
    context: PaginationContext
    first: int
    last: int

    def __str__(self) -> str:
        first = f"{self.context.value}{self.first}"
        return first if self.first == self.last else f"{first} to {self.context.value}{self.last}"


def page_of(verdict: RecordVerdict, session_id: str | None, place: str | None = None) -> Page | None:
    """The page to keep for a judged record; None when it did not verify or has no number. Rule 3."""
    record, signer = verdict.record, verdict.key_fingerprint
    if record is None or signer is None or record.pagination is None:
        return None
    if verdict.signature is not SignatureVerdict.VALID:
        return None
    timed = [reading for reading in record.readings if reading.at is not None]
    return Page(
        signer=signer,
        meter=record.meter_serial or record.gateway_serial or record.charge_point_id or "",
        context=record.pagination.context,
        number=record.pagination.number,
        payload_sha256=record.content_sha256,
        session_id=session_id,
        place=place,
        gateway_serial=record.gateway_serial,
        began_at=timed[0].at if timed else None,
        at=timed[-1].at if timed else None,
        synchronised=bool(timed) and timed[0].clock is timed[-1].clock is MeterClock.SYNCHRONISED,
        registers=_registers(record),
    )


def judge_history(
    record: RecordVerdict, session_id: str | None, pages: Pages, place: str | None = None
) -> tuple[SessionFinding, ...]:
    """What the record is found guilty of against everything held; () when clean, or when it is no page (rule 3).

    | code | severity | what |
    |---|---|---|
    | record-replayed | fatal | a transaction's record stands in two sessions |
    | page-twice | fatal | a number with two contents |
    | pagination-back | fatal | a record newer than the newest, both by a synchronised clock, has no higher number |
    | page-order | hold | the time is not between those of the neighbours; a note without a synchronised clock |
    | register-lower | hold | a lifetime register is lower than in an earlier record, or higher than in a later one |
    | pagination-gap | hold | numbers below this one are missing; the message lists them |
    | meter-swapped | note | another meter was at this place before |
    """
    page = page_of(record, session_id, place)
    if page is None:
        return ()
    below, above = pages.below(page), pages.above(page)
    return (
        *_twice(page, pages),
        *_order(page, below, above, pages),
        *_fallen(page, pages),
        *_gap(page, below, pages),
        *_swapped(page, pages),
    )


def gaps_below(page: Page, pages: Pages) -> tuple[Gap, ...]:
    """The numbers missing between a page and the next lower one of its book, lowest first; () for the first page."""
    below = pages.below(page)
    return () if below is None else tuple(_missing(page, below, pages))


def _registers(record: MeterRecord) -> tuple[PageRegister, ...]:
    first: dict[str, Decimal] = {}
    last: dict[str, Decimal] = {}
    for reading in record.readings:
        code = None if reading.register is None else parse_obis(reading.register)
        energy = reading.energy_wh
        if code is None or not code.is_lifetime or energy is None:
            continue
        name = register_name(reading.register or "")
        first.setdefault(name, energy)
        last[name] = energy
    return tuple(PageRegister(register=name, first_wh=first[name], last_wh=last[name]) for name in first)


def _finding(code: str, severity: Severity, message: str) -> SessionFinding:
    return SessionFinding(code=code, severity=severity, message=message)


def _twice(page: Page, pages: Pages) -> Iterator[SessionFinding]:
    if page.context is PaginationContext.TRANSACTION and page.session_id is not None:
        same = (copy for copy in pages.copies(page.payload_sha256) if copy.signer == page.signer)
        others = {copy.session_id for copy in same if copy.session_id not in (None, page.session_id)}
        if others:
            elsewhere = min(str(session) for session in others)
            message = f"{page.name} of {page.meter[:60]!a} stands in session {page.session_id} and in {elsewhere}"
            yield _finding("record-replayed", Severity.FATAL, message)
    for other in pages.at_number(page):
        if other.payload_sha256 != page.payload_sha256:
            message = (
                f"{page.name} of {page.meter[:60]!a} has two contents: SHA-256 {other.payload_sha256[:16]} "
                f"(session {other.session_id or 'none'}) and {page.payload_sha256[:16]}"
            )
            yield _finding("page-twice", Severity.FATAL, message)
            return


def _order(page: Page, below: Page | None, above: Page | None, pages: Pages) -> Iterator[SessionFinding]:
    newest = pages.newest(page)
    # By a clock that was put back meanwhile, or lost the time, an old record looks newer than all that came after it.
    sure = newest is not None and newest.synchronised and page.synchronised
    if sure and newest is not None and newest.number >= page.number and _later(page, newest):
        message = f"{page.name} of {_when(page.began_at)} is newer than {newest.name} of {_when(newest.at)}"
        yield _finding("pagination-back", Severity.FATAL, message)
        return
    for lower, upper in ((below, page), (page, above)):
        if lower is not None and upper is not None and _later(lower, upper):
            sure = lower.synchronised and upper.synchronised
            message = f"{upper.name} says {_when(upper.began_at)}, {lower.name} before it {_when(lower.at)}"
            yield _finding("page-order", Severity.HOLD if sure else Severity.NOTE, message)


def _later(one: Page, other: Page) -> bool:
    """Whether `one` was surely signed after `other`."""
    return one.began_at is not None and other.at is not None and one.began_at - other.at > CLOCK_STEP


def _when(at: datetime | None) -> str:
    return "no time" if at is None else at.isoformat()


def _fallen(page: Page, pages: Pages) -> Iterator[SessionFinding]:
    for register in page.registers:
        lower = _nearest(page, register.register, pages.below)
        if lower is not None and register.first_wh < lower[1].last_wh:
            yield _lower(lower[0], lower[1].last_wh, page, register)
        upper = _nearest(page, register.register, pages.above)
        if upper is not None and upper[1].first_wh < register.last_wh:
            yield _lower(page, register.last_wh, *upper)


def _nearest(page: Page, name: str, step: Callable[[Page], Page | None]) -> tuple[Page, PageRegister] | None:
    """The nearest page in one direction that holds the register."""
    neighbour = step(page)
    for _ in range(_NEIGHBOURS):
        if neighbour is None:
            return None
        for register in neighbour.registers:
            if register.register == name:
                return neighbour, register
        neighbour = step(neighbour)
    return None


def _lower(before: Page, before_wh: Decimal, after: Page, register: PageRegister) -> SessionFinding:
    message = (
        f"register {register.register[:60]!a}: {before.name} ends at {before_wh} Wh, "
        f"{after.name} begins at {register.first_wh} Wh"
    )
    return _finding("register-lower", Severity.HOLD, message)


def _gap(page: Page, below: Page | None, pages: Pages) -> Iterator[SessionFinding]:
    if below is None or below.number + 1 >= page.number:
        return
    gaps = _missing(page, below, pages)
    if gaps:
        more = f" and {len(gaps) - MAX_RANGES} ranges more" if len(gaps) > MAX_RANGES else ""
        count = sum(gap.last - gap.first + 1 for gap in gaps)
        names = ", ".join(str(gap) for gap in gaps[:MAX_RANGES]) + more
        message = f"{count} missing between {below.name} and {page.name} of {page.meter[:60]!a}: {names}"
        yield _finding("pagination-gap", Severity.HOLD, message)


def _missing(page: Page, below: Page, pages: Pages) -> list[Gap]:
    """The numbers missing between a page and the next lower one of its meter, lowest first. Rule 2."""
    others = [
        number
        for number, meter in pages.numbers(page.signer, page.context, below.number, page.number)
        if meter != page.meter
    ]
    if others and (others[0] == below.number or others[-1] == page.number):
        others = []
    gaps = []
    first = below.number + 1
    for number in (*others, page.number):
        if number > first:
            gaps.append(Gap(meter=page.meter, context=page.context, first=first, last=number - 1))
        first = max(first, number + 1)
    return gaps


def _swapped(page: Page, pages: Pages) -> Iterator[SessionFinding]:
    if page.place is None or page.at is None:
        return
    before = pages.before(page.place, page.at)
    if before is not None and before.meter != page.meter:
        message = f"{page.place}: meter {before.meter[:60]!a} until {_when(before.at)}, now {page.meter[:60]!a}"
        yield _finding("meter-swapped", Severity.NOTE, message)
