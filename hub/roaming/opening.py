"""When a location is open, from the words of the configuration: `24/7`, `Mon-Fri 07:00-20:00`, `Sun 10:00-16:00`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from wire.ocpi.locations import Hours, RegularHours

ALWAYS = "24/7"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SPAN = re.compile(rf"([A-Za-z]{{3}})(?:-([A-Za-z]{{3}}))? +({_TIME})-({_TIME}|24:00)")


def hours_of(spans: Sequence[str]) -> Hours:
    """The hours of a week, in the location's own time.

    Raises:
        ValueError: a text is no span.
    """
    if tuple(spans) == (ALWAYS,):
        return Hours(twentyfourseven=True)
    return Hours(twentyfourseven=False, regular_hours=tuple(one for span in spans for one in _regular(span)))


def _regular(span: str) -> list[RegularHours]:
    parts = _SPAN.fullmatch(span)
    first, last = (None, None) if parts is None else (_day(parts[1]), _day(parts[2] or parts[1]))
    if parts is None or first is None or last is None or not parts[3] < parts[4]:
        raise ValueError(f"expected {ALWAYS!r} or spans such as 'Mon-Fri 07:00-20:00', found {span!r}")
    count = (last - first) % len(_DAYS) + 1
    days = [(first + more) % len(_DAYS) + 1 for more in range(count)]
    return [RegularHours(weekday=day, period_begin=parts[3], period_end=parts[4]) for day in days]


def _day(name: str) -> int | None:
    return _DAYS.index(name.lower()) if name.lower() in _DAYS else None
