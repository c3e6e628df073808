"""OBIS codes of energy registers, in the spellings that meter records use.

Source: OCMF 1.4.1, table 25 (`01-00:B2.08.00*FF`, groups in hexadecimal); IEC 62056-6-1.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_GROUP = "([0-9A-Fa-f]{1,2})"
_CODE = re.compile(f"{_GROUP}-{_GROUP}:{_GROUP}[.]{_GROUP}[.]{_GROUP}(?:[*.]([0-9A-Fa-f]{{1,2}}|[0-9]{{3}}))?")
_AS_SPECIFIED = re.compile(r"[0-9A-F]{2}-[0-9A-F]{2}:[0-9A-F]{2}[.][0-9A-F]{2}[.][0-9A-F]{2}[*][0-9A-F]{2}")

_RESERVED = frozenset({*range(0xB4, 0xC0), *range(0xC4, 0xC8)})
_INTEGRAL = 8
_CURRENT_PERIOD = 0xFF
_LONGEST = len("01-00:B2.08.00*255")


class OBIS(msgspec.Struct, frozen=True, gc=False):
    """A register: medium A, channel B, quantity C, processing D, tariff E, period F. Two spellings of one register are
    equal: every group is read as hexadecimal, but three digits in F as decimal (`*255`), and a missing F is 255."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int

    @property
    def is_accumulation(self) -> bool:
        """Whether it counts up over time: energy, not power."""
        return self.d == _INTEGRAL

    @property
    def is_reserved(self) -> bool:
        """Whether OCMF keeps C for later use: B4 to BF, C4 to C7."""
        return self.c in _RESERVED


def parse_obis(text: str) -> OBIS | None:
    """The register that `text` spells, None when it is no OBIS code: `01-00:B2.08.00*FF`, `1-0:1.8.0`, `1-b:1.8.0*255`,
    with `.` for `*` too. Few registers are met again and again: the last 512 texts are remembered."""
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=512)
def _parse(text: str) -> OBIS | None:
    match = _CODE.fullmatch(text)
    if match is None:
        return None
    period = match[6]
    f = _CURRENT_PERIOD if period is None else int(period, 10 if len(period) == len("255") else 16)
    a, b, c, d, e = (int(group, 16) for group in match.groups()[:5])
    return OBIS(a, b, c, d, e, f) if f <= _CURRENT_PERIOD else None


@lru_cache(maxsize=512)
def is_spelled_as_specified(text: str) -> bool:
    """Whether `text`, an OBIS code, has the spelling of OCMF's table 25."""
    return _AS_SPECIFIED.fullmatch(text) is not None
