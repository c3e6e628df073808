"""OCPI's DateTime: RFC 3339 in UTC, with `Z` or without any offset, fractions of a second allowed.

Source: OCPI 2.3.0 types (DateTime).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wire.errors import OCPIRefused

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_USUAL = tuple("--T::Z")


def parse_instant(text: str, where: str) -> datetime:
    """An instant in UTC; without an offset it is in UTC already, another offset than zero is converted.

    Raises:
        OCPIRefused: no DateTime (`bad-instant`, HTTP 400); so is `1970-1-1T00:00:00Z`, which some send for "unknown".
    """
    try:
        if len(text) == 20 and (text[4], text[7], text[10], text[13], text[16], text[19]) == _USUAL:
            # As nearly all are written; with its marks in these places `fromisoformat` reads no other notation.
            return datetime.fromisoformat(text)
        match = _INSTANT.fullmatch(text)
        if match is None:
            raise ValueError("not YYYY-MM-DDTHH:MM:SS")
        date, time, fraction, offset = match.groups()
        at = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{(offset or 'Z').upper()}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise OCPIRefused("bad-instant", where, f"{text[:40]!r} is no DateTime: {error}", http=400) from error


def instant_text(at: datetime) -> str:
    """An aware instant as OCPI writes it: in UTC, with `Z`, a fraction only where there is one."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
