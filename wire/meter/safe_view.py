"""An OCMF record in the eyes of the SAFE transparency software, version 1.4.1.

Unlike `wire.meter.ocmf`, it takes every reading as it was written, and before format 0.5 other fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from wire.meter.json_text import JSONObject, parse_number, parse_section
from wire.meter.record import EXACT, MeterRecord

_VERSION = re.compile(r"\s*\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*")
_LAYOUT_CHANGED = Decimal("0.5")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}[+-][0-9]{4}")
_HEX = "([0-9a-f]*)"
_OBIS = re.compile(f"{_HEX}(?:-{_HEX}(?::{_HEX}(?:[.]{_HEX}(?:[.]{_HEX}(?:[.*]{_HEX})?)?)?)?)?")

_ELECTRICITY, _INTEGRAL = 1, 8
_ENDS = frozenset("ELRAP")
_COMPENSATED = frozenset({0x98, 0xB1, 0xB3, 0xC1, 0xC3})
_COUNTED = frozenset({0x01, 0x98, 0x9E, *range(0xB0, 0xC8)})
_COUNTED_PERIODS = frozenset({0, 0x200, 0x255, 0xFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReading:
    """One reading as written; None or "" where the key is missing or null."""

    time: str | None
    reason: str
    value: Decimal | None
    register: str | None
    unit: str | None
    status: str | None
    error_flags: str
    event_counter: Decimal | None

    @property
    def is_begin(self) -> bool:
        """TX B."""
        return self.reason == "B"

    @property
    def is_end(self) -> bool:
        """TX E, L, R, A or P."""
        return self.reason in _ENDS

    @property
    def clock(self) -> str | None:
        """The clock state: what follows the first blank of TM, whatever it is."""
        parts = (self.time or "").rstrip(" ").split(" ")
        return parts[1] if len(parts) > 1 else None

    @property
    def at(self) -> datetime | None:
        """TM, None in any other spelling than the specified one: the software then compares no times."""
        text = (self.time or "").partition(" ")[0]
        if self.clock is None or _TIME.fullmatch(text) is None:
            return None
        try:
            return datetime.fromisoformat(text.replace(",", "."))
        except ValueError:
            return None

    @property
    def is_compensated(self) -> bool:
        """Whether its register is one from which the loss of the cable was taken off."""
        return self._is_energy(_COMPENSATED)

    @property
    def is_counted(self) -> bool:
        """Whether its register is one that bills rest on: OBIS C of 01, 98, 9E or B0 to C7 for the current period."""
        return self._is_energy(_COUNTED, _COUNTED_PERIODS)

    def _is_energy(self, quantities: frozenset[int], periods: frozenset[int] | None = None) -> bool:
        """Whether RI names an energy of one of `quantities` (OBIS C) and `periods` (F; None: any). Every group is read
        as hexadecimal, one that is missing or empty as 0."""
        match = None if self.register is None else _OBIS.fullmatch(self.register.lower().strip())
        if match is None:
            return False
        a, _, c, d, _, f = (int(group or "0", 16) for group in match.groups())
        return a == _ELECTRICITY and c in quantities and d == _INTEGRAL and (periods is None or f in periods)

    @property
    def energy_kwh(self) -> Decimal:
        """RV in kWh as the software shows it: any unit but Wh is taken for kWh, a missing value for 0."""
        value = Decimal(0) if self.value is None else self.value
        return value.scaleb(-3, EXACT) if (self.unit or "").strip().lower() == "wh" else value


@dataclass(frozen=True, slots=True)
class SafeView:
    """A record in the eyes of the software; `algorithm` is the one that it was signed with. `objects` are the readings'
    members, `version` is None when FV is missing or no number."""

    payload: JSONObject
    signature: JSONObject
    algorithm: str
    signature_value: bytes
    version: Decimal | None
    objects: tuple[Mapping[str, object], ...]
    readings: tuple[WrittenReading, ...]

    @property
    def is_older(self) -> bool:
        """Whether it is read with the fields before format 0.5."""
        return _is_older(self.version)

    @property
    def level(self) -> str | None:
        """The level of the user's identification."""
        return text_at(self.payload.members, "IS" if self.is_older else "IL")

    @property
    def page(self) -> str:
        """PG."""
        return text_at(self.payload.members, "PG") or ""

    @property
    def is_whole_transaction(self) -> bool:
        """Whether it holds a begin and an end, of whatever register, on a page of context T."""
        begins = any(reading.is_begin for reading in self.readings)
        return self.page.startswith("T") and begins and any(reading.is_end for reading in self.readings)


def view_record(record: MeterRecord) -> SafeView:
    """`record`, which is OCMF, as the software reads its text."""
    sections = record.raw.split(b"|")
    payload, signature = parse_section(sections[1], "payload"), parse_section(sections[2], "signature")
    match = _VERSION.fullmatch(text_at(payload.members, "FV") or "")
    version = Decimal(match[1]) if match is not None else None
    found = payload.members.get("RD")
    objects = tuple(item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()
    readings = tuple(_written(item, _is_older(version)) for item in objects)
    return SafeView(payload, signature, record.signature.algorithm, record.signature.value, version, objects, readings)


def _is_older(version: Decimal | None) -> bool:
    return version is not None and version < _LAYOUT_CHANGED


def _written(members: Mapping[str, object], is_older: bool) -> WrittenReading:
    return WrittenReading(
        time=text_at(members, "TM"),
        reason=(text_at(members, "TX") or "").strip(),
        value=number_at(members, "RV"),
        register=text_at(members, "RI"),
        unit=text_at(members, "RU"),
        status=text_at(members, "ST"),
        error_flags="" if is_older else text_at(members, "EF") or "",
        event_counter=number_at(members, "EI") if is_older else None,
    )


def text_at(members: Mapping[str, object], key: str) -> str | None:
    """The string at `key`; a number or boolean as its text."""
    value = members.get(key)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | Decimal) else None


def number_at(members: Mapping[str, object], key: str) -> Decimal | None:
    """The number at `key`, written as one or as a string."""
    value = members.get(key)
    return parse_number(value.strip()) if isinstance(value, str) else value if isinstance(value, Decimal) else None
