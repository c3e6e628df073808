"""Do signed records make one session? What they say themselves, held against each other.

One function for each group of rules; each yields findings with both values, none of them the user's identification, and
at most 8 of a kind. Everything is compared with carry-forward resolved.

Source: OCMF 1.4.1, tables 2 to 7 and its section on cohesion. The SAFE software compares less: not the serials, not the
pagination, not the identification, not the register.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from wire.meter.obis import parse_obis
from wire.meter.record import (
    ID_ERROR_LEVELS,
    MeterClock,
    MeterRecord,
    MeterStatus,
    PaginationContext,
    Reading,
    ReadingReason,
)
from wire.meter.signed_session import SignedSession, difference_wh, disagreeing, name_of
from wire.meter.verdict import KeySource, RecordVerdict, SessionFinding, SignatureVerdict, fatal, hold, note

MOST_OF_A_KIND = 8
"""A hostile record of 512 readings does not earn 512 findings of one kind."""

_GOOD_CLOCKS = (MeterClock.SYNCHRONISED, MeterClock.RELATIVE)
_LOST = frozenset(
    {
        MeterStatus.NOT_PRESENT,
        MeterStatus.TIMEOUT,
        MeterStatus.DISCONNECTED,
        MeterStatus.REMOVED,
        MeterStatus.READ_ERROR,
    }
)


def short(text: str | None) -> str:
    """A text of a record for a message: ASCII, at most 60 characters of it."""
    return "none" if text is None else ascii(text[:60])


def differ(first: str | None, last: str | None) -> str:
    """Both values for a message."""
    return f"begin {short(first)}, end {short(last)}"


def page_name(record: MeterRecord) -> str:
    """PG as the record says it."""
    return "none" if record.pagination is None else f"{record.pagination.context.value}{record.pagination.number}"


# --- trust ----------------------------------------------------------------------------------------------------------


def trust(records: Sequence[RecordVerdict]) -> Iterator[SessionFinding]:
    """Each record is valid by a key of its own that the operator pinned; one that is no end holds the session only."""
    for number, verdict in enumerate(records):
        which = "begin" if number == 0 else "end" if number == len(records) - 1 else f"{number + 1}."
        broken = fatal if number in (0, len(records) - 1) else hold
        if verdict.signature is not SignatureVerdict.VALID:
            yield broken("signature", f"the {which} record is {verdict.signature.value}: {verdict.detail}")
        elif verdict.key_source is KeySource.LEARNED:
            yield hold("key-learned", f"the {which} record is valid by a key that nobody has confirmed")
        elif verdict.key_source is not KeySource.REGISTRY:
            yield hold("key-claimed", f"the {which} record is valid only by the key that came with it")
        codes = {deviation.code for deviation in verdict.deviations}
        if "duplicate-key" in codes:
            yield hold("duplicate-key", f"the {which} record says one thing twice; readers differ on which counts")
        if "key-changed" in codes:
            yield note("key-changed", f"the {which} record came with another key than the registry's")
    keys = {
        verdict.key_fingerprint: None
        for verdict in records
        if verdict.signature is SignatureVerdict.VALID and verdict.key_fingerprint is not None
    }
    if len(keys) > 1:
        first, other = list(keys)[:2]
        yield hold("two-keys", f"one session is signed by keys {first[:16]} and {other[:16]}")


def copies(left: Sequence[RecordVerdict]) -> Iterator[SessionFinding]:
    """Copies that verify less well than the one that counts."""
    for verdict in left[:MOST_OF_A_KIND]:
        if verdict.record is not None and verdict.signature is not SignatureVerdict.VALID:
            yield note("bad-copy", f"a copy of {page_name(verdict.record)} is {verdict.signature.value}")


# --- who ------------------------------------------------------------------------------------------------------------


def identity(session: SignedSession) -> Iterator[SessionFinding]:
    """The same format, meter and gateway in all records, and where the format numbers transactions the same one."""
    first = session.begin
    formats = dict.fromkeys(record.format.value for record in session.records)
    if len(formats) > 1:
        yield fatal("format", " and ".join(formats))
    for code, values in (
        ("meter-serial", [record.meter_serial for record in session.records]),
        ("gateway-serial", [record.gateway_serial for record in session.records]),
        ("transaction", [record.transaction for record in session.records]),
    ):
        other = next((value for value in reversed(values) if value != values[0]), values[0])
        if other != values[0]:
            yield fatal(code, differ(values[0], other))
    if not first.meter_serial and not first.gateway_serial:
        yield hold("no-identity", "the records name neither a meter nor a gateway")


def pagination(session: SignedSession) -> Iterator[SessionFinding]:
    """Both ends stand in the counter of transactions, the end behind the begin, the rest between them."""
    first, last = session.begin.pagination, session.end.pagination
    pages = f"begin {page_name(session.begin)}, end {page_name(session.end)}"
    if first is None or last is None:
        missing = note if session.is_foreign else fatal
        yield missing("pagination-missing", pages)
        return
    if {first.context, last.context} != {PaginationContext.TRANSACTION}:
        yield fatal("pagination-context", f"expected T and T; {pages}")
        return
    if len(session.records) > 1 and last.number <= first.number:
        yield fatal("pagination-order", pages)
        return
    for record in session.records[1:-1]:
        page = record.pagination
        if page is None:
            yield fatal("pagination-missing", f"a record between {pages} has no number")
            return
        inside = first.number < page.number < last.number
        if page.context is PaginationContext.TRANSACTION and not inside:
            yield fatal("pagination-order", f"{page_name(record)} is not between {pages}")
            return


def assignment(session: SignedSession) -> Iterator[SessionFinding]:
    """One user for the transaction, told to the meter once, and no level that says the identification failed."""
    ends = session.begin, session.end
    users = [
        record.user for record in session.records if _is_transactional(record) or any(record is end for end in ends)
    ]
    first = users[0]
    for user in users[1:]:
        if (first.assigned, first.type, first.data) != (user.assigned, user.type, user.data):
            yield fatal("identification", f"IS, IT or ID differ; IT: {differ(first.type, user.type)}")
            break
    failed = next((user.level for user in users if user.level in ID_ERROR_LEVELS), None)
    if failed is not None:
        yield fatal("identification-level", f"IL: {differ(first.level, users[-1].level)}; one says {failed}")
    told, again = session.begin.contract_set, session.end.contract_set
    if told != again:
        message = f"the meter was told the contract more than once: {differ(told, again)}; compare with the session"
        yield hold("contract-time", message)


def _is_transactional(record: MeterRecord) -> bool:
    return record.pagination is not None and record.pagination.context is PaginationContext.TRANSACTION


# --- what is read ---------------------------------------------------------------------------------------------------


def shape(session: SignedSession) -> Iterator[SessionFinding]:
    """One begin and one end for each register, the begins first and the ends last."""
    if not session.begins:
        yield fatal("begin-count", "expected one begin reading, found none")
    if not session.ends:
        yield fatal("end-count", "expected one end reading, found none")
    if not session.begins or not session.ends:
        return
    names = dict.fromkeys(name_of(reading) for reading in session.begins + session.ends)
    if len(session.begins) == len(session.ends) == 1:
        first, last = (reading.register for reading in session.begins + session.ends)
        if len(names) > 1:
            yield fatal("register", differ(first, last))
    else:
        yield from islice(_counts(session, list(names)), MOST_OF_A_KIND)
    if not session.is_foreign and not _is_ordered(session):
        yield fatal("reading-order", f"expected the begin first and the end last, found {_reasons(session)}")


def _counts(session: SignedSession, names: Sequence[str | None]) -> Iterator[SessionFinding]:
    counts = [
        (code, Counter(map(name_of, readings)))
        for code, readings in (("begin-count", session.begins), ("end-count", session.ends))
    ]
    for name in names:
        for code, count in counts:
            if count[name] != 1:
                yield fatal(code, f"expected one for register {short(name)}, found {count[name]}")


def _is_ordered(session: SignedSession) -> bool:
    kinds = [_place(reading) for reading in session.readings]
    crossed = any(_place(reading) == 0 for record in session.records[1:] for reading in record.readings) or any(
        _place(reading) == 2 for record in session.records[:-1] for reading in record.readings
    )
    return kinds == sorted(kinds) and kinds[0] == 0 and kinds[-1] == 2 and not crossed


def _place(reading: Reading) -> int:
    """0 for a begin, 1 for what lies between, 2 for an end."""
    if reading.reason is ReadingReason.BEGIN:
        return 0
    return 2 if reading.reason is not None and reading.reason.is_end else 1


def _reasons(session: SignedSession) -> str:
    return "".join("-" if reading.reason is None else reading.reason.value for reading in session.readings[:40])


def conditions(session: SignedSession) -> Iterator[SessionFinding]:
    """No error flags, no error condition, the meter's state good."""
    flags = "".join(reading.error_flags or "" for reading in session.readings)
    if "E" in flags:
        yield fatal("energy-unusable", "a reading carries the error flag E")
    if "t" in flags:
        yield note("time-unusable", "a reading carries the error flag t: time is not billable")
    if any(reading.reason is ReadingReason.EXCEPTION for reading in session.readings):
        yield fatal("exception", f"an error condition stands between begin and end: {_reasons(session)}")
    good = {MeterStatus.GOOD, None} if session.is_foreign else {MeterStatus.GOOD}
    for finding, readings in ((fatal, session.begins + session.ends), (hold, session.readings)):
        statuses = {reading.status for reading in readings} - good
        if statuses:
            names = ", ".join(sorted("none" if status is None else status.value for status in statuses))
            yield finding("meter-status", f"expected ST G, found {names}")
            break
    yield from islice(_repeated(session), MOST_OF_A_KIND)


def _repeated(session: SignedSession) -> Iterator[SessionFinding]:
    """A meter that was lost and then says its last value again was perhaps not asked again. A reading without a value,
    an error's, is about every register."""
    last: dict[str | None, tuple[Reading, int]] = {}
    lost: set[str | None] = set()
    losses = 0
    for reading in session.readings:
        name, energy = name_of(reading), reading.energy_wh
        if reading.status in _LOST:
            losses += reading.value is None
            lost |= set() if reading.value is None else {name}
        elif energy is not None:
            before, losses_before = last.get(name, (reading, losses))
            was_lost = name in lost or losses > losses_before
            if was_lost and energy == before.energy_wh and reading.at != before.at:
                yield hold("value-repeated", f"{short(name)}: {energy} Wh before the meter was lost and after")
            last[name] = reading, losses
            lost.discard(name)


def registers(session: SignedSession) -> Iterator[SessionFinding]:
    """Values that are energies, not below zero, and do not fall, one register to bill, registers agreeing."""
    for which, readings in (("begin", session.begins), ("end", session.ends)):
        for reading in islice((one for one in readings if one.energy_wh is None), MOST_OF_A_KIND):
            yield fatal("value-unreadable", f"{which} reading {reading.value} {short(reading.unit)} is no energy")
    runs = session.runs.values()
    if (least := min((energy for run in runs for _, energy in run), default=0)) < 0:
        yield hold("value-negative", f"{least} Wh: a register that counts up is below zero")
    falls = ((before, after) for run in runs for (_, before), (_, after) in pairwise(run) if after < before)
    for before, after in islice(falls, MOST_OF_A_KIND):
        yield fatal("register-falling", f"{before} Wh, then {after} Wh")
    for pair in islice(session.pairs.values(), MOST_OF_A_KIND):
        if pair.begin.unit != pair.end.unit and difference_wh(pair) is not None:
            yield note("unit", f"{differ(pair.begin.unit, pair.end.unit)}; converted exactly")
    yield from _choice(session)
    for first, second in islice(disagreeing(session), MOST_OF_A_KIND):
        yield hold("registers-disagree", f"{short(first)} and {short(second)} count different energies")


def _choice(session: SignedSession) -> Iterator[SessionFinding]:
    if not session.pairs:
        return
    if session.billed is None:
        codes = [None if name is None else parse_obis(name) for name in session.pairs]
        if all(code is not None and code.is_export for code in codes):
            yield hold("export-only", "the records count only energy that was given back")
        else:
            yield hold("several-registers", f"none of {len(session.pairs)} registers is the one to bill")
    elif session.billed.begin.register is None:
        if not session.is_foreign:
            yield hold("register-unnamed", "the readings do not name their register")
    elif (code := parse_obis(session.billed.begin.register)) is None or not code.is_import:
        yield hold("register-unfit", f"{short(session.billed.begin.register)} counts no energy that was drawn")


# --- when -----------------------------------------------------------------------------------------------------------


def time(session: SignedSession) -> Iterator[SessionFinding]:
    """Times that do not fall, and clocks that are good for billing."""
    times = pairwise(reading.at for reading in session.readings if reading.at is not None)
    falls = ((before, after) for before, after in times if after < before)
    for before, after in islice(falls, MOST_OF_A_KIND):
        yield fatal("time-falling", f"{before.isoformat()}, then {after.isoformat()}")
    bounds = session.begins + session.ends
    if any(reading.at is None for reading in bounds):
        yield hold("time-unreadable", "a begin or end reading has no readable time")
    relative = [reading.clock is MeterClock.RELATIVE for reading in bounds]
    if any(relative) and not all(relative):
        yield fatal("clock-relative", "begin and end are timed by different clocks")
    elif any(reading.clock not in _GOOD_CLOCKS for reading in session.readings):
        weakest = min((reading.clock for reading in session.readings), key=_quality)
        state = "none" if weakest is None else weakest.value
        yield note("clock-informative", f"weakest clock {state}: time is not billable where S or R is needed")


def _quality(clock: MeterClock | None) -> int:
    return 0 if clock is None else 2 if clock in _GOOD_CLOCKS else 1 if clock is MeterClock.INFORMATIVE else 0


# --- what must stay ---------------------------------------------------------------------------------------------------


def constants(session: SignedSession) -> Iterator[SessionFinding]:
    """A tariff that changes has its reading; loss compensation stays; an old meter's event counter stays."""
    texts = dict.fromkeys(record.tariff_text for record in session.records if _is_transactional(record))
    if len(texts) > 1 and not any(reading.reason is ReadingReason.TARIFF_CHANGE for reading in session.readings):
        first, other = list(texts)[:2]
        yield hold("tariff-change", f"no reading of a tariff change, yet TT {short(first)}, then {short(other)}")
    yield from _losses(session)
    counters = {reading.event_counter for reading in session.begins + session.ends}
    if len(counters) > 1:
        yield fatal("event-counter", f"EI: {' and '.join(sorted(str(one) for one in counters)[:2])}")


def _losses(session: SignedSession) -> Iterator[SessionFinding]:
    """CL begins at 0 and does not fall; what it is worked out from (LC) is one for the session."""
    compensations = dict.fromkeys(record.loss_compensation for record in session.records if _is_transactional(record))
    if len(compensations) > 1:
        yield hold("loss-compensation", "the records work out the cable's loss (LC) differently")
    for reading in islice((one for one in session.begins if one.cumulated_loss), MOST_OF_A_KIND):
        yield hold("loss-begin", f"CL is {reading.cumulated_loss} at the begin; expected 0")
    falls = (
        (before.cumulated_loss, after.cumulated_loss)
        for run in session.runs.values()
        for (before, _), (after, _) in pairwise(run)
        if before.cumulated_loss is not None
        and after.cumulated_loss is not None
        and after.cumulated_loss < before.cumulated_loss
    )
    for before, after in islice(falls, MOST_OF_A_KIND):
        yield hold("loss-falling", f"CL {before}, then {after}")
