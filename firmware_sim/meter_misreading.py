"""What a meter takes down wrongly, before it signs: its readings, what it says of itself and its user, its numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import LIFETIME_REGISTER, TRANSACTION_REGISTER
from wire.meter.draft import OCMFPayload, ReadingDraft
from wire.meter.record import MeterClock, MeterStatus, Pagination, PaginationContext, ReadingReason

_GWH_IN_KWH = Decimal(1_000_000)
_HOSTILE = "<script>alert(1)</script>\u001b[31m'; DROP TABLE cdr;--\u202e\u0000${7*7}\U0001f50c"
_VENDOR_TEXT = "Z\u00e4hlerstand"
_LONG = 1620
"""Characters that make an ordinary record 2.2 kB long."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading is taken: in which transaction (from 1), why, which one of it (the begin is 0), and what the
    registers said at its begin."""

    transaction: int
    reason: ReadingReason
    place: int
    begin_values: tuple[Decimal, ...]

    @property
    def is_begin(self) -> bool:
        """Whether the transaction begins."""
        return self.reason is ReadingReason.BEGIN

    @property
    def is_end(self) -> bool:
        """Whether it ends."""
        return self.reason.is_end

    @property
    def is_second(self) -> bool:
        """Whether the transaction is every second one."""
        return self.transaction % 2 == 0


def misread(
    readings: tuple[ReadingDraft, ...], moment: Moment, faults: Collection[MeterFault]
) -> tuple[ReadingDraft, ...]:
    """The readings of one moment, one for each register, as the meter takes them down."""
    if not faults:
        return readings
    warps = [warp for fault, warp in _READING_WARPS.items() if fault in faults]
    found = []
    for number, reading in enumerate(readings):
        for warp in warps:
            reading = warp(reading, moment)
        if MeterFault.VALUE_STALE in faults:
            reading = _stale(reading, moment, moment.begin_values[number])
        found.append(reading)
    return tuple(found)


def misstate(payload: OCMFPayload, moment: Moment, faults: Collection[MeterFault]) -> OCMFPayload:
    """A record as the meter fills it in."""
    for fault, warp in _PAYLOAD_WARPS.items():
        if fault in faults:
            payload = warp(payload, moment)
    return payload


def misnumber(page: Pagination, before: Pagination, moment: Moment, faults: Collection[MeterFault]) -> Pagination:
    """The page that the meter states where `page` would be right; `before` is the last of the fiscal counter."""
    if page.context is PaginationContext.FISCAL:
        return page
    if MeterFault.PAGE_GAP in faults and moment.is_begin and moment.transaction > 1:
        return Pagination(context=page.context, number=page.number + 2)
    if MeterFault.PAGE_ROLLBACK in faults and moment.is_begin and moment.is_second:
        return Pagination(context=page.context, number=1)
    if MeterFault.PAGE_REPEATED in faults and moment.is_end:
        return Pagination(context=page.context, number=page.number - 1)
    if MeterFault.PAGE_CONTEXT in faults and moment.is_end:
        return Pagination(context=PaginationContext.FISCAL, number=before.number + 1)
    return page


# --- readings ---------------------------------------------------------------------------------------------------------

ReadingWarp = Callable[[ReadingDraft, Moment], ReadingDraft]
PayloadWarp = Callable[[OCMFPayload, Moment], OCMFPayload]


def _always(**changes: object) -> ReadingWarp:
    return lambda reading, moment: _with(reading, changes)


def _at_end(**changes: object) -> ReadingWarp:
    return lambda reading, moment: _with(reading, changes) if moment.is_end else reading


def _with(reading: ReadingDraft, changes: Mapping[str, object]) -> ReadingDraft:
    fields = {name: getattr(reading, name) for name in ReadingDraft.__dataclass_fields__}
    return ReadingDraft(**{**fields, **changes})


def _falling(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    if not moment.is_end or reading.value is None:
        return reading
    return replace(reading, value=(reading.value / 2).quantize(reading.value))


def _implausible(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    if not moment.is_end or reading.value is None:
        return reading
    return replace(reading, value=reading.value + (_GWH_IN_KWH if reading.unit == "kWh" else _GWH_IN_KWH * 1000))


def _reset(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    """As much below the truth as makes the begin 0."""
    if not moment.is_second or reading.value is None:
        return reading
    return replace(reading, value=reading.value - moment.begin_values[0])


def _other_unit(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    if not moment.is_end or reading.value is None:
        return reading
    if reading.unit == "kWh":
        return replace(reading, unit="Wh", value=reading.value.scaleb(3))
    return replace(reading, unit="kWh", value=reading.value.scaleb(-3))


def _other_label(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    return replace(reading, unit="Wh" if reading.unit == "kWh" else "kWh") if moment.is_end else reading


def _other_register(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    other = LIFETIME_REGISTER if reading.register == TRANSACTION_REGISTER else TRANSACTION_REGISTER
    return replace(reading, register=other) if moment.is_end else reading


def _backwards(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    return replace(reading, at=reading.at - timedelta(days=1)) if moment.is_end and reading.at is not None else reading


def _other_clock(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    return replace(reading, clock=MeterClock.RELATIVE if moment.is_begin else MeterClock.SYNCHRONISED)


def _exception(reading: ReadingDraft, moment: Moment) -> ReadingDraft:
    between = not moment.is_begin and not moment.is_end
    return replace(reading, reason=ReadingReason.EXCEPTION) if between and reading.reason is not None else reading


def _stale(reading: ReadingDraft, moment: Moment, begin_value: Decimal) -> ReadingDraft:
    if moment.is_begin:
        return reading
    if moment.is_end:
        return replace(reading, value=begin_value)
    return replace(reading, value=None, status=MeterStatus.DISCONNECTED)


_READING_WARPS: Mapping[MeterFault, ReadingWarp] = {
    MeterFault.VALUE_FALLING: _falling,
    MeterFault.VALUE_IMPLAUSIBLE: _implausible,
    MeterFault.REGISTER_RESET: _reset,
    MeterFault.REGISTER_CHANGES: _other_register,
    MeterFault.REGISTER_OMITTED: _always(register=None),
    MeterFault.UNIT_CHANGES: _other_unit,
    MeterFault.UNIT_MISLABELLED: _other_label,
    MeterFault.UNIT_OMITTED: _always(unit=None),
    MeterFault.TIME_OMITTED: _always(at=None),
    MeterFault.TIME_BACKWARDS: _backwards,
    MeterFault.CLOCK_CHANGES: _other_clock,
    MeterFault.REASON_OMITTED: _at_end(reason=None),
    MeterFault.STATUS_OMITTED: _always(status=None),
    MeterFault.STATUS_EXCHANGED: _at_end(status=MeterStatus.EXCHANGED),
    MeterFault.STATUS_SUBSTITUTE: _at_end(status=MeterStatus.SUBSTITUTE),
    MeterFault.FLAG_ENERGY: _at_end(error_flags="E"),
    MeterFault.FLAG_TIME: _at_end(error_flags="t"),
    MeterFault.EXCEPTION: _exception,
}


# --- what else a record says ------------------------------------------------------------------------------------------


def _no_identity(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, meter_serial=None, gateway_serial=None)


def _other_user(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, id_data="04FFFFFFFFFFFF") if moment.is_end else payload


def _user_of_another(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, id_data="04EEEEEEEEEEEE")


def _mismatch(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, id_level="MISMATCH") if moment.is_end else payload


def _other_tariff(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, tariff_text=f"{payload.tariff_text or ''};0.99") if moment.is_end else payload


def _long(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, extensions={**payload.extensions, "U": "0123456789" * (_LONG // 10)})


def _vendor_text(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(payload, extensions={**payload.extensions, "V": _VENDOR_TEXT})


def _hostile(payload: OCMFPayload, moment: Moment) -> OCMFPayload:
    return replace(
        payload,
        gateway_id=_HOSTILE,
        gateway_version=_HOSTILE,
        meter_vendor=_HOSTILE,
        meter_model=_HOSTILE,
        meter_firmware=_HOSTILE,
        charge_point_type="CBIDC",
        charge_point_id=_HOSTILE.replace(" ", ""),
        extensions={**payload.extensions, "Z": {_HOSTILE: [_HOSTILE]}},
    )


_PAYLOAD_WARPS: Mapping[MeterFault, PayloadWarp] = {
    MeterFault.NO_IDENTITY: _no_identity,
    MeterFault.ID_DIFFERS: _other_user,
    MeterFault.ID_OF_ANOTHER: _user_of_another,
    MeterFault.ID_MISMATCH: _mismatch,
    MeterFault.TARIFF_UNTOLD: _other_tariff,
    MeterFault.LONG_RECORD: _long,
    MeterFault.CUT_2500: _long,
    MeterFault.LATIN_1: _vendor_text,
    MeterFault.LATIN_1_AS_UTF_8: _vendor_text,
    MeterFault.HOSTILE_TEXT: _hostile,
}
