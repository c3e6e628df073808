"""Do two records make one session that may be billed?

The begin and the end may stand in two records or in one (then both arguments are the same verdict). Everything is
compared on values with carry-forward resolved. A session is billable when there is no finding of severity fatal or
hold; an empty answer is the clean case. Gaps of the pagination across sessions need the store and are not judged here.

Source: OCMF 1.4.1, tables 2 to 7 and its section on cohesion. The SAFE software compares less: not the serials, not
the pagination, not the identification, not the register.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import islice, pairwise

from wire.meter.record import (
    EXACT,
    ID_ERROR_LEVELS,
    MeterClock,
    MeterRecord,
    MeterStatus,
    PaginationContext,
    Reading,
    ReadingReason,
)
from wire.meter.verdict import (
    Expected,
    KeySource,
    RecordVerdict,
    SessionFinding,
    SessionVerdict,
    Severity,
    SignatureVerdict,
)

_MOST_OF_A_KIND = 8
"""A hostile record of 512 readings does not earn 512 findings of one kind."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both records, their readings in order (once, if they are one record), and the readings that begin and end."""

    begin: MeterRecord
    end: MeterRecord
    one_record: bool
    readings: tuple[Reading, ...]
    begins: tuple[Reading, ...]
    ends: tuple[Reading, ...]

    @property
    def bounds(self) -> tuple[Reading, Reading] | None:
        """The begin and the end reading, when there is exactly one of each."""
        return (self.begins[0], self.ends[0]) if len(self.begins) == len(self.ends) == 1 else None


def judge_session(records: Sequence[RecordVerdict], expected: Expected | None = None) -> SessionVerdict:
    """The verdict on the session that `records` make: one record that holds both ends, or two, the begin first.

    Signatures and key sources count: a record that is not valid is fatal, one that is valid only by a claimed key is a
    hold.

    Source: OCMF 1.4.1, tables 2 to 7.
    """
    begin, end = records[0], records[-1]
    findings = [*_trust("begin", begin)]
    if begin is not end:
        findings += _trust("end", end)
    if begin.record is None or end.record is None:
        return SessionVerdict(findings=tuple(findings))
    pair = _pair(begin.record, end.record)
    for check in (_identity, _pagination, _assignment, _shape, _conditions, _register, _time):
        findings += check(pair)
    return SessionVerdict(findings=tuple(findings), energy_wh=_energy_wh(pair), duration=_duration(pair))


def _energy_wh(pair: _Pair) -> Decimal | None:
    """The exact energy in Wh between the begin and the end register; says nothing about trust.

    None unless the records hold exactly one begin and after it one end between them, name the same meter, gateway and
    register, carry Wh or kWh, and the register does not fall. Never negative.
    """
    against = (*_identity(pair), *_shape(pair), *_register(pair))
    bounds = pair.bounds
    if bounds is None or any(finding.severity is not Severity.NOTE for finding in against):
        return None
    first, last = bounds[0].energy_wh, bounds[1].energy_wh
    return None if first is None or last is None else EXACT.subtract(last, first)


def _duration(pair: _Pair) -> timedelta | None:
    """The time between the begin and the end reading, if both rest on a clock fit for billing (OCMF table 7)."""
    if pair.bounds is None:
        return None
    first, last = pair.bounds
    if first.at is None or last.at is None:
        return None
    fit = (MeterClock.SYNCHRONISED, MeterClock.RELATIVE)
    return last.at - first.at if first.clock in fit and last.clock in fit else None


def _pair(begin: MeterRecord, end: MeterRecord) -> _Pair:
    one_record = begin.payload_bytes == end.payload_bytes
    readings = begin.readings if one_record else begin.readings + end.readings
    return _Pair(
        begin,
        end,
        one_record,
        readings,
        begins=tuple(reading for reading in readings if reading.reason is ReadingReason.BEGIN),
        ends=tuple(reading for reading in readings if reading.reason is not None and reading.reason.is_end),
    )


def _fatal(code: str, message: str) -> SessionFinding:
    return SessionFinding(code=code, severity=Severity.FATAL, message=message)


def _hold(code: str, message: str) -> SessionFinding:
    return SessionFinding(code=code, severity=Severity.HOLD, message=message)


def _note(code: str, message: str) -> SessionFinding:
    return SessionFinding(code=code, severity=Severity.NOTE, message=message)


def _differ(first: str | None, last: str | None) -> str:
    """Both values, each cut to 60 characters."""
    return f"begin {_short(first)}, end {_short(last)}"


def _short(text: str | None) -> str:
    return "none" if text is None else ascii(text[:60])


def _trust(which: str, verdict: RecordVerdict) -> Iterator[SessionFinding]:
    if verdict.signature is not SignatureVerdict.VALID:
        yield _fatal("signature", f"the {which} record is {verdict.signature.value}: {verdict.detail}")
    elif verdict.key_source is not KeySource.REGISTRY:
        yield _hold("key-claimed", f"the {which} record is valid only by the key that came with it")
    codes = {deviation.code for deviation in verdict.deviations}
    if "duplicate-key" in codes:
        yield _hold("duplicate-key", f"the {which} record says one thing twice; readers differ on which counts")
    if "key-changed" in codes:
        yield _note("key-changed", f"the {which} record came with another key than the registry's")


def _identity(pair: _Pair) -> Iterator[SessionFinding]:
    for code, first, last in (
        ("meter-serial", pair.begin.meter_serial, pair.end.meter_serial),
        ("gateway-serial", pair.begin.gateway_serial, pair.end.gateway_serial),
    ):
        if first != last:
            yield _fatal(code, _differ(first, last))
    if not any((pair.begin.meter_serial, pair.begin.gateway_serial)):
        yield _hold("no-identity", "the records name neither a meter nor a gateway")


def _pagination(pair: _Pair) -> Iterator[SessionFinding]:
    first, last = pair.begin.pagination, pair.end.pagination
    if first is None or last is None:
        yield _fatal("pagination-missing", f"begin {_page(pair.begin)}, end {_page(pair.end)}")
        return
    if {first.context, last.context} != {PaginationContext.TRANSACTION}:
        yield _fatal("pagination-context", f"expected T and T; begin {_page(pair.begin)}, end {_page(pair.end)}")
    elif not pair.one_record and last.number <= first.number:
        yield _fatal("pagination-order", f"begin {_page(pair.begin)}, end {_page(pair.end)}")


def _page(record: MeterRecord) -> str:
    return "none" if record.pagination is None else f"{record.pagination.context.value}{record.pagination.number}"


def _assignment(pair: _Pair) -> Iterator[SessionFinding]:
    first, last = pair.begin.user, pair.end.user
    if (first.assigned, first.type, first.data) != (last.assigned, last.type, last.data):
        yield _fatal("identification", f"IS, IT or ID differ; IT: {_differ(first.type, last.type)}")
    failed = sorted({first.level, last.level} & ID_ERROR_LEVELS, key=str)
    if failed:
        yield _fatal("identification-level", f"IL: {_differ(first.level, last.level)}")


def _shape(pair: _Pair) -> Iterator[SessionFinding]:
    if not pair.begins:
        yield _fatal("begin-count", "expected one begin reading, found none")
    if not pair.ends:
        yield _fatal("end-count", "expected one end reading, found none")
    if not pair.begins or not pair.ends:
        return
    if pair.bounds is None:
        yield from islice(_counts_by_register(pair), _MOST_OF_A_KIND)
    ordered = pair.readings[0].reason is ReadingReason.BEGIN and pair.readings[-1] in pair.ends
    crossed = not pair.one_record and (
        any(reading.reason is ReadingReason.BEGIN for reading in pair.end.readings)
        or any(reading.reason is not None and reading.reason.is_end for reading in pair.begin.readings)
    )
    if not ordered or crossed:
        yield _fatal("reading-order", f"expected a begin first and an end last, found {_reasons(pair)}")


def _reasons(pair: _Pair) -> str:
    return "".join("-" if reading.reason is None else reading.reason.value for reading in pair.readings[:40])


def _counts_by_register(pair: _Pair) -> Iterator[SessionFinding]:
    registers = list(dict.fromkeys(reading.register for reading in pair.begins + pair.ends))
    clean = True
    for register in registers:
        for code, readings in (("begin-count", pair.begins), ("end-count", pair.ends)):
            count = sum(reading.register == register for reading in readings)
            if count != 1:
                clean = False
                yield _fatal(code, f"expected one for register {_short(register)}, found {count}")
    if clean:
        yield _hold("several-registers", f"the session runs over {len(registers)} registers")


def _conditions(pair: _Pair) -> Iterator[SessionFinding]:
    flags = "".join(reading.error_flags or "" for reading in pair.readings)
    if "E" in flags:
        yield _fatal("energy-unusable", "a reading carries the error flag E")
    if "t" in flags:
        yield _note("time-unusable", "a reading carries the error flag t: time is not billable")
    if any(reading.reason is ReadingReason.EXCEPTION for reading in pair.readings):
        yield _fatal("exception", f"an error condition stands between begin and end: {_reasons(pair)}")
    bounds = pair.begins + pair.ends
    for finding, readings in ((_fatal, bounds), (_hold, pair.readings)):
        statuses = {reading.status for reading in readings} - {MeterStatus.GOOD}
        if statuses:
            names = ", ".join(sorted("none" if status is None else status.value for status in statuses))
            yield finding("meter-status", f"expected ST G, found {names}")
            return


def _register(pair: _Pair) -> Iterator[SessionFinding]:
    if pair.bounds is not None:
        first, last = pair.bounds
        if first.register != last.register:
            yield _fatal("register", _differ(first.register, last.register))
        elif first.register is None:
            yield _hold("register-unnamed", "the readings do not name their register")
        if first.unit != last.unit and first.energy_wh is not None and last.energy_wh is not None:
            yield _note("unit", f"{_differ(first.unit, last.unit)}; converted exactly")
    for which, readings in (("begin", pair.begins), ("end", pair.ends)):
        for reading in readings:
            if reading.energy_wh is None:
                yield _fatal("value-unreadable", f"{which} reading {reading.value} {_short(reading.unit)} is no energy")
    for before, after in islice(_falls(pair), _MOST_OF_A_KIND):
        yield _fatal("register-falling", f"{before} Wh, then {after} Wh")


def _falls(pair: _Pair) -> Iterator[tuple[Decimal, Decimal]]:
    latest: dict[str | None, Decimal] = {}
    for reading in pair.readings:
        energy = reading.energy_wh
        if energy is None:
            continue
        if reading.register in latest and energy < latest[reading.register]:
            yield latest[reading.register], energy
        latest[reading.register] = energy


def _time(pair: _Pair) -> Iterator[SessionFinding]:
    times = pairwise(reading.at for reading in pair.readings if reading.at is not None)
    falls = ((before, after) for before, after in times if after < before)
    for before, after in islice(falls, _MOST_OF_A_KIND):
        yield _fatal("time-falling", f"{before.isoformat()}, then {after.isoformat()}")
    bounds = pair.begins + pair.ends
    if any(reading.at is None for reading in bounds):
        yield _hold("time-unreadable", "a begin or end reading has no readable time")
    relative = [reading.clock is MeterClock.RELATIVE for reading in bounds]
    if any(relative) and not all(relative):
        yield _fatal("clock-relative", "begin and end are timed by different clocks")
    elif any(reading.clock not in (MeterClock.SYNCHRONISED, MeterClock.RELATIVE) for reading in bounds):
        yield _note("clock-informative", "the meter's clock was not synchronised: time is not billable")
