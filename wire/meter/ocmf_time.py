"""TM: when a meter took a reading, and what its clock is worth.

Source: OCMF 1.4.1, tables 7 and 19.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from wire.meter.record import MeterClock

_TM = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?P<ms>[,.][0-9]{3})?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})(?: (?P<state>[A-Za-z]))?"
)
_AS_SPECIFIED = re.compile(r"[0-9-]{10}T[0-9:]{8},[0-9]{3}[+-][0-9]{4} [UISR]")

_CLOCKS = {clock.value: clock for clock in MeterClock}
# The offsets that places on earth use (whole quarters of an hour); any other goes the long way.
_OFFSETS = frozenset(
    f"{sign}{hours:02}{minutes:02}" for sign in "+-" for hours in range(15) for minutes in (0, 15, 30, 45)
)


def parse_time(text: str) -> tuple[datetime, MeterClock | None, bool] | None:
    """The instant (aware, in the meter's own offset), the clock's state (None: absent or unknown), and whether `text`
    is spelled as specified, `2018-07-24T13:22:04,000+0200 S`. A point for the comma, no milliseconds, `Z` or a colon in
    the offset and a missing state are read too. None for anything else, for a date that does not exist, and outside the
    years 1900 to 2199 and offsets of 15 hours (nothing real, and the ends of the calendar overflow when converted)."""
    # The spelling of nearly every record: the separators at their places, an everyday offset. Digits are C's to check.
    if len(text) == 30 and text[4:20:3] == "--T::," and text[28] == " " and text[23:28] in _OFFSETS:
        clock = _CLOCKS.get(text[29])
        if clock is not None and "1900" <= text[:4] < "2200":
            try:
                return datetime.fromisoformat(f"{text[:19]}.{text[20:28]}"), clock, True
            except ValueError:
                return None
    return parse_time_carefully(text)


def parse_time_carefully(text: str) -> tuple[datetime, MeterClock | None, bool] | None:
    """What `parse_time` says, worked out for any text; about six times the cost."""
    match = _TM.fullmatch(text)
    at = None if match is None else _instant(match)
    if match is None or at is None:
        return None
    return at, _CLOCKS.get(match["state"] or ""), _AS_SPECIFIED.fullmatch(text) is not None


def _instant(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    if not 1900 <= year < 2200:
        return None
    zone = match["zone"].replace(":", "")
    sign = -1 if zone.startswith("-") else 1
    minutes = 0 if zone == "Z" else sign * (int(zone[1:3]) * 60 + int(zone[3:5]))
    if abs(minutes) > 15 * 60 or (zone != "Z" and int(zone[3:5]) > 59):
        return None
    micros = int(match["ms"][1:]) * 1000 if match["ms"] else 0
    try:
        return datetime(year, month, day, hour, minute, second, micros, timezone(timedelta(minutes=minutes)))
    except ValueError:
        return None
