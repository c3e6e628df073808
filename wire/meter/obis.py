"""Which register a reading speaks of: RI in the spellings of the field, and what kind of counter it names.

Rules of this file
1. `A-B:C.D.E*F` with every group in hexadecimal. A missing `A-B:` means electricity on channel 0; a missing F, `FF` and
   the decimal `255` are the same (all hold the current value); `.` and `&` occur in place of `*`.
2. Since OCMF 1.4, C of B0 to C3 says direction, side of the cable and whether the counter restarts with the
   transaction. Before, manufacturers used 98 for a transaction register; 1.8.0 and 2.8.0 count through a meter's life.

Source: OCMF 1.4.1, table 25 and its annex on OBIS codes; IEC 62056-61.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_OBIS = re.compile(
    r"(?:(?P<A>[0-9A-F]{1,2})-(?P<B>[0-9A-F]{1,2}):)?(?P<C>[0-9A-F]{1,2})\.(?P<D>[0-9A-F]{1,2})"
    r"(?:\.(?P<E>[0-9A-F]{1,2})(?:[*.&](?P<F>[0-9A-F]{1,3}))?)?"
)
_AS_SPECIFIED = re.compile(r"[0-9A-F]{2}-[0-9A-F]{2}:[0-9A-F]{2}[.][0-9A-F]{2}[.][0-9A-F]{2}[*][0-9A-F]{2}")
_LONGEST = 32

_IMPORTS = {0x01, 0x98, 0x9E, 0xB0, 0xB1, 0xB2, 0xB3}
_EXPORTS = {0x02, 0xC0, 0xC1, 0xC2, 0xC3}
_LIFETIME = {0x01, 0x02, 0xB0, 0xB1, 0xC0, 0xC1}
_DEVICE = {0x98, 0xB1, 0xB3, 0xC1, 0xC3}
_RESERVED = frozenset({*range(0xB4, 0xC0), *range(0xC4, 0xC8)})
_ENERGY = 0x08
_SIGNED_ENERGY = 0x11
"""D of the energy that an EDL40 meter signs: 1.17.0, written in hexadecimal here."""
_CURRENT = 0xFF


@dataclass(frozen=True, slots=True)
class OBIS:
    """A register's code; two spellings of one register are equal. `medium` to `storage` are the groups A to F."""

    medium: int
    channel: int
    quantity: int
    kind: int
    tariff: int
    storage: int

    @property
    def is_import(self) -> bool:
        """Whether it counts energy that goes into the vehicle."""
        return self._counts and self.quantity in _IMPORTS

    @property
    def is_export(self) -> bool:
        """Whether it counts energy that the vehicle gives back."""
        return self._counts and self.quantity in _EXPORTS

    @property
    def is_lifetime(self) -> bool:
        """Whether it never restarts: a value below an earlier one is then no new session but a fault."""
        return self._counts and self.quantity in _LIFETIME

    @property
    def is_device_side(self) -> bool:
        """Whether it counts at the vehicle's end of the cable, or for one transaction as the manufacturer's own 98."""
        return self.quantity in _DEVICE

    @property
    def is_accumulation(self) -> bool:
        """Whether it counts up over time: energy, not power."""
        return self.kind == _ENERGY

    @property
    def is_reserved(self) -> bool:
        """Whether OCMF keeps its quantity for later use: B4 to BF, C4 to C7."""
        return self.quantity in _RESERVED

    @property
    def _counts(self) -> bool:
        return self.medium == 1 and self.kind in (_ENERGY, _SIGNED_ENERGY)

    def __str__(self) -> str:
        head = f"{self.medium:02X}-{self.channel:02X}:{self.quantity:02X}.{self.kind:02X}.{self.tariff:02X}"
        return f"{head}*{self.storage:02X}"


def parse_obis(text: str) -> OBIS | None:
    """The code that `text` spells, None when it is none. Rule 1. Few registers are met again and again: the last 1024
    texts are remembered, longer ones than any code not."""
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _parse(text: str) -> OBIS | None:
    match = _OBIS.fullmatch(text.strip().upper())
    if match is None:
        return None
    storage = match["F"]
    current = storage is None or storage == "255" or int(storage, 16) == _CURRENT
    return OBIS(
        medium=int(match["A"] or "1", 16),
        channel=int(match["B"] or "0", 16),
        quantity=int(match["C"], 16),
        kind=int(match["D"], 16),
        tariff=int(match["E"] or "0", 16),
        storage=_CURRENT if current else int(storage, 16),
    )


def register_name(text: str) -> str:
    """One spelling for the register that `text` names: `01-00:B2.08.00*FF`; a text that is no OBIS code in capitals,
    without outer white space."""
    return _name(text) if len(text) <= _LONGEST else text.strip().upper()


@lru_cache(maxsize=1024)
def _name(text: str) -> str:
    code = _parse(text)
    return text.strip().upper() if code is None else str(code)


@lru_cache(maxsize=512)
def is_spelled_as_specified(text: str) -> bool:
    """Whether `text`, an OBIS code, has the spelling of OCMF's table 25."""
    return _AS_SPECIFIED.fullmatch(text) is not None
