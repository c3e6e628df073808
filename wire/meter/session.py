"""Do records make one session that may be billed?

The begin and the end may stand in two records or in one; records given in between are judged too. A session is billable
when there is an energy and no finding of severity fatal or hold; no findings are the clean case. What shows only across
sessions needs the pages that came before: `wire.meter.history`.

What the records say themselves is compared in `wire.meter.coherence`, what is known from elsewhere (the token, OCPP's
values, our clock, what a cable can carry) in `wire.meter.agreement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import chain

from wire.meter import agreement, coherence
from wire.meter.record import MeterClock
from wire.meter.signed_session import SignedSession, assemble, best_of_copies, difference_wh, in_order, without_fiscal
from wire.meter.verdict import Expected, RecordVerdict, SessionFinding, SessionVerdict, Severity, fatal

_COHERENCE = (
    coherence.identity,
    coherence.pagination,
    coherence.assignment,
    coherence.shape,
    coherence.conditions,
    coherence.registers,
    coherence.time,
    coherence.constants,
)
_AGREEMENT = (agreement.authorised, agreement.power, agreement.plain_register, agreement.times)


def judge_session(records: Sequence[RecordVerdict], expected: Expected | None = None) -> SessionVerdict:
    """The verdict on the session that `records` make: the begin first, the end last, any others between; one record, or
    twice the same, if it holds both ends. Never raises. About 0.1 ms for a pair.

    Signatures and key sources count: an end that is not valid is fatal, one that is valid only by a claimed or a
    learned key is a hold. `energy_wh` is taken from one register: what reached the vehicle before what left the mains,
    the transaction's own register before the one that counts a meter's life (1.4: B3, B1, 98, B2, B0, then 1.8.0);
    never from one that counts energy given back.

    Source: OCMF 1.4.1, tables 2 to 7; OCA "Signed Meter Values in OCPP" 2.3.2.
    """
    if not records:
        return SessionVerdict(findings=(fatal("no-records", "no signed record came"),))
    counted, left = best_of_copies(records)
    counted = without_fiscal(in_order(counted))
    findings = [*coherence.trust(counted), *coherence.copies(left)]
    read = [verdict.record for verdict in counted if verdict.record is not None]
    if counted[0].record is None or counted[-1].record is None:
        return SessionVerdict(findings=tuple(findings), records=counted)
    session = assemble(read)
    findings += _repeated(records, session)
    told = {check: tuple(check(session)) for check in _COHERENCE}
    findings += chain.from_iterable(told.values())
    against = chain(told[coherence.identity], told[coherence.shape], told[coherence.registers])
    for compare in _AGREEMENT:
        findings += compare(session, expected or Expected())
    return SessionVerdict(
        findings=tuple(findings),
        pairs={pair.begin.register: pair for pair in session.pairs.values()},
        energy_wh=_energy_wh(session, against),
        duration=_duration(session),
        records=counted,
    )


def _repeated(records: Sequence[RecordVerdict], session: SignedSession) -> Iterator[SessionFinding]:
    """One record given as the begin and as the end that does not hold both."""
    first, last = records[0].record, records[-1].record
    if len(records) == 1 or first is None or last is None or first.content != last.content:
        return
    if not session.begins or not session.ends:
        yield fatal("record-repeated", f"{coherence.page_name(first)} is given as the begin and as the end")


def _energy_wh(session: SignedSession, against: Iterable[SessionFinding]) -> Decimal | None:
    """The exact energy in Wh of the register that is billed; says nothing about trust. `against` are the findings on
    meter, shape and registers.

    None unless the records hold a begin and after it an end of it, name the same meter and gateway, carry Wh or kWh,
    and no register falls. Never negative.
    """
    if session.billed is None or any(finding.severity is not Severity.NOTE for finding in against):
        return None
    return difference_wh(session.billed)


def _duration(session: SignedSession) -> timedelta | None:
    """The time between the first begin and the last end reading, if both rest on a clock fit for billing and carry no
    flag against it (OCMF table 7)."""
    if not session.begins or not session.ends:
        return None
    first, last = session.begins[0], session.ends[-1]
    if first.at is None or last.at is None:
        return None
    fit = (MeterClock.SYNCHRONISED, MeterClock.RELATIVE)
    flagged = "t" in (first.error_flags or "") + (last.error_flags or "")
    return last.at - first.at if first.clock in fit and last.clock in fit and not flagged else None
