"""RD: the readings of an OCMF payload, carry-forward resolved.

A reading without TM, TX, RI, RU, RT, EF or ST has that of the reading before it in the same record. RV, CL and EI are
measured each time and never carried forward.

Source: OCMF 1.4.1, tables 7, 10, 19 to 21 and 25.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog, Fields, printable
from wire.meter.obis import is_spelled_as_specified, parse_obis
from wire.meter.ocmf_fields import DIALECT_CHANGED, Version
from wire.meter.ocmf_time import parse_time
from wire.meter.record import CurrentType, MeterClock, MeterStatus, Reading, ReadingReason

MAX_READINGS = 512

UNITS = frozenset({"kWh", "Wh", "mOhm", "uOhm"})
"""RU (table 20)."""

_CARRIED = frozenset({"TM", "TX", "RI", "RU", "RT", "EF", "ST"})
_MUST = frozenset({"TM", "ST", "TX"})
_KNOWN_KEYS = _CARRIED | {"RV", "CL"}
_CUMULATED_LOSS_SINCE = (1, 2)

_REASONS = {reason.value: reason for reason in ReadingReason}
_CURRENTS = {current.value: current for current in CurrentType}
_STATUSES = {status.value: status for status in MeterStatus}


def read_readings(
    payload: Mapping[str, object], is_fiscal: bool, version: Version | None, log: DeviationLog
) -> tuple[Reading, ...]:
    """The readings of `payload`, at least one, at most 512.

    Raises:
        MeterRecordError: `no-readings`, `too-many-readings`, `reading-not-an-object`.
    """
    found = payload.get("RD")
    if not isinstance(found, list) or not found:
        raise MeterRecordError("no-readings", "/payload/RD", "expected an array of at least one reading")
    if len(found) > MAX_READINGS:
        raise MeterRecordError("too-many-readings", "/payload/RD", f"{len(found)} readings; at most {MAX_READINGS}")
    readings = []
    before: Mapping[str, object] = {}
    for number, members in enumerate(found):
        pointer = f"/payload/RD/{number}"
        if not isinstance(members, dict):
            raise MeterRecordError("reading-not-an-object", pointer, "expected an object")
        if before and not members.keys() >= _CARRIED:
            members = {**{key: before[key] for key in _CARRIED if key in before}, **members}
        readings.append(_reading(Fields(members, _CARRIED, pointer, log), is_fiscal, version))
        before = members
    return tuple(readings)


def _reading(fields: Fields, is_fiscal: bool, version: Version | None) -> Reading:
    members, texts = fields.members, fields.texts
    is_older = version is not None and version < DIALECT_CHANGED
    if is_fiscal or is_older or not _MUST <= members.keys() <= _KNOWN_KEYS:
        _check_keys(fields, is_fiscal, is_older)
    at, clock = _time(fields)
    flags = texts.get("EF")
    if flags and set(flags) - {"E", "t"}:
        fields.note("unknown-value", "EF", "only E and t are error flags")
    register, unit, value = texts.get("RI"), fields.known("RU", UNITS), fields.number("RV")
    if (register is None) != (unit is None) or (value is not None and unit is None):
        fields.note("register-group", "RI", "RI and RU stand together, and a value needs its unit")
    _check_register(fields, register)
    reading = Reading(
        at=at,
        clock=clock,
        reason=fields.choice("TX", _REASONS),
        value=value,
        register=register,
        unit=unit,
        current=fields.choice("RT", _CURRENTS),
        cumulated_loss=fields.number("CL") if "CL" in members else None,
        error_flags=flags,
        event_counter=fields.number("EI") if is_older else None,
        status=fields.choice("ST", _STATUSES),
    )
    if value is None and "RV" not in members:
        _check_event(fields, reading)
    if reading.cumulated_loss is not None:
        _check_loss(fields, reading, reading.cumulated_loss, version)
    return reading


def _check_keys(fields: Fields, is_fiscal: bool, is_older: bool) -> None:
    """What must be there and is not, and what the format or its version does not have."""
    for key in ("TM", "ST") if is_fiscal else ("TM", "ST", "TX"):
        if key not in fields.members:
            fields.note("reading-incomplete", key, f"{key} is missing and no reading before it has one")
    if is_fiscal and "TX" in fields.members:
        fields.note("reason-without-transaction", "TX", "a fiscal reading belongs to no transaction")
    known = _KNOWN_KEYS | {"EI"} if is_older else _KNOWN_KEYS
    fields.note_unknown(key for key in fields.members if key not in known)
    for key in ("RT", "EF") if is_older else ():
        if key in fields.members:
            fields.advise("key-before-version", key, f"{key} exists since format 0.5")


def _time(fields: Fields) -> tuple[datetime | None, MeterClock | None]:
    text = fields.texts.get("TM")
    if text is None:
        return None, None
    time = parse_time(text)
    if time is None:
        fields.note("time-unreadable", "TM", f"expected YYYY-MM-DDThh:mm:ss,mmm+hhmm S, found {printable(text)}")
        return None, None
    at, clock, as_specified = time
    if not as_specified:
        fields.note("time-form", "TM", f"expected YYYY-MM-DDThh:mm:ss,mmm+hhmm S, found {printable(text)}")
    return at, clock


def _check_register(fields: Fields, register: str | None) -> None:
    if register is None:
        return
    code = parse_obis(register)
    if code is None:
        fields.note("register-form", "RI", f"{printable(register)} is no OBIS code")
    elif code.is_reserved:
        fields.advise("register-reserved", "RI", f"{printable(register)} is kept for later use")
    elif not is_spelled_as_specified(register):
        fields.advise("register-spelling", "RI", f"expected a code like 01-00:B2.08.00*FF, found {printable(register)}")


def _check_event(fields: Fields, reading: Reading) -> None:
    """RV may be missing only where the reading reports an error (table 7 and the text before it)."""
    is_event = (
        reading.error_flags or reading.reason is ReadingReason.EXCEPTION or reading.status is not MeterStatus.GOOD
    )
    if not is_event:
        fields.note("value-missing", "RV", "a reading without a value must report an error")


def _check_loss(fields: Fields, reading: Reading, loss: Decimal, version: Version | None) -> None:
    if version is not None and version < _CUMULATED_LOSS_SINCE:
        fields.advise("key-before-version", "CL", "CL exists since format 1.2")
    if loss < 0:
        fields.note("loss-negative", "CL", f"expected at least 0, found {loss}")
    if loss and reading.reason is ReadingReason.BEGIN:
        fields.note("loss-not-reset", "CL", f"expected 0 at TX B, found {loss}")
    code = None if reading.register is None else parse_obis(reading.register)
    if code is None or not code.is_accumulation:
        fields.note("loss-register", "CL", "only a register that accumulates has a cumulated loss")
