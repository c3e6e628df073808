"""The signed values of a session: which begin and end it, and what they say together. Pure.

Rules
1. All values of the session count, whatever message brought them and in whatever order. Of several copies of one record
   the best counts, once: a spoiled copy does not hide a good one.
2. What a record says of itself is its part in the session. Where it says nothing, or cannot be read, its message does.
3. A record that holds begin and end is the session by itself (OCMF allows it).
4. Energy is the difference of the signed registers when both ends verify and nothing fatal is found. Where the registry
   knows the meter's key, only that key counts: a record that fits merely the key that came with it was perhaps written
   by whoever sent it.
5. What is only held (a claimed or learned key, missing numbers) leaves the signed energy in place, for there is no
   better, and says that it may not be billed before somebody has looked.
6. A CDR carries every value whole. One that is longer than OCPI allows is a note, for a receiver may refuse it.

Source: OCMF 1.4.1, its section on cohesion; OCA "Signed Meter Values in OCPP" 3.1.4, 4.1.2; OCPI 2.3.0 mod_cdrs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from wire.meter.export import Nature, ocpi_signed_values
from wire.meter.record import ReadingReason
from wire.meter.session import judge_session
from wire.meter.verdict import Expected, KeySource, SessionFinding, SessionVerdict, Severity, SignatureVerdict, note
from wire.records import SignedData, Value
from wire.settling.judging import JudgedValue

_BEGIN, _END = "Transaction.Begin", "Transaction.End"
_TRUST = (KeySource.REGISTRY, KeySource.LEARNED, KeySource.CLAIMED, KeySource.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionValues:
    """The signed values of a session, each judged, and what registry and history have against them."""

    values: tuple[JudgedValue, ...] = ()
    against: tuple[SessionFinding, ...] = ()


class Outcome(Value, frozen=True, kw_only=True):
    """What the signed values of a session come to. `energy_wh` is None when they give no energy that may count, and
    `refusal` says why. `findings` are "code: message [severity]"."""

    billable: bool
    energy_wh: Decimal | None = None
    duration_s: Decimal | None = None
    refusal: str | None = None
    findings: tuple[str, ...] = ()

    @property
    def duration(self) -> timedelta | None:
        """The time between the signed ends, where their clock is good for it."""
        return None if self.duration_s is None else timedelta(microseconds=int(self.duration_s.scaleb(6)))

    @property
    def codes(self) -> frozenset[str]:
        """The codes of the findings that stand in the way of billing."""
        note = f"[{Severity.NOTE.value}]"
        return frozenset(finding.partition(":")[0] for finding in self.findings if not finding.endswith(note))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The values that begin and end a session, one and the same when a record holds both, and what lies between.
    `copies` are those of which a better or an equal copy is among the others."""

    begin: JudgedValue | None = None
    end: JudgedValue | None = None
    between: tuple[JudgedValue, ...] = ()
    copies: tuple[JudgedValue, ...] = ()

    @property
    def in_order(self) -> tuple[JudgedValue, ...]:
        """Every value once, from the begin to the end."""
        ends = [self.begin, *self.between, self.end]
        return tuple(dict.fromkeys(value for value in ends if value is not None))


def ends_of(values: Iterable[JudgedValue]) -> Ends:
    """Which value is what in the session, in whatever order they are given. Rules 1 to 3."""
    given = tuple(values)
    distinct = sorted(_distinct(given), key=_place_in_session)
    best = {id(value) for value in distinct}
    whole = [value for value in distinct if _begins(value) and _ends(value)]
    begins = whole or [value for value in distinct if _begins(value)]
    ends = whole or [value for value in distinct if _ends(value)]
    begin, end = (begins[0] if begins else None), (ends[-1] if ends else None)
    if whole:
        begin = end
    return Ends(
        begin=begin,
        end=end,
        between=tuple(value for value in distinct if value is not begin and value is not end),
        copies=tuple(value for value in given if id(value) not in best),
    )


def judge_signed(signed: SessionValues, expected: Expected) -> tuple[Outcome, SignedData | None]:
    """What the signed values come to, and what a CDR carries of them; no data without any value."""
    ends = ends_of(signed.values)
    data, long = _signed_data(ends)
    against = (*signed.against, *long)
    if ends.end is None:
        missing = "no signed value came" if ends.begin is None else "no signed value came at the end"
        if ends.begin is None and ends.between:
            missing = "no signed value came at the begin and the end"
        return Outcome(billable=False, refusal=missing, findings=_told(against)), data
    records: tuple[JudgedValue, ...] = (ends.end,)
    if ends.begin is not ends.end:
        records = (*filter(None, (ends.begin,)), *ends.between, *ends.copies, ends.end)
    verdict = judge_session([value.verdict for value in records], expected)
    found = (*verdict.findings, *against)
    refusal = _refusal(ends.begin or ends.end, ends.end, verdict, found)
    outcome = Outcome(
        billable=refusal is None and verdict.is_billable and all(one.severity is Severity.NOTE for one in found),
        energy_wh=None if refusal else verdict.energy_wh,
        duration_s=None if refusal or verdict.duration is None else _seconds(verdict.duration),
        refusal=refusal,
        findings=_told(found),
    )
    return outcome, data


def review(before: Outcome, after: Outcome) -> str | None:
    """What changed between two outcomes of one session, as a finding on it; None when nothing that matters did."""
    if (before.billable, before.energy_wh, before.codes) == (after.billable, after.energy_wh, after.codes):
        return None
    parts = []
    if settled := sorted(before.codes - after.codes):
        parts.append(f"settled: {', '.join(settled)}")
    if found := sorted(after.codes - before.codes):
        parts.append(f"found: {', '.join(found)}")
    if before.energy_wh != after.energy_wh:
        energy = "no signed energy counts" if after.energy_wh is None else f"{after.energy_wh} Wh are signed"
        parts.append(f"{energy}, the CDR stays as it is")
    parts.append("may be billed" if after.billable else "still held" if after.refusal is None else after.refusal)
    return f"reviewed: {'; '.join(parts)}"


def _told(found: Sequence[SessionFinding]) -> tuple[str, ...]:
    texts = (f"{finding.code}: {finding.message} [{finding.severity.value}]" for finding in found)
    return tuple(dict.fromkeys(texts))


def _seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // timedelta(microseconds=1)).scaleb(-6)


def _refusal(
    begin: JudgedValue, end: JudgedValue, verdict: SessionVerdict, found: Sequence[SessionFinding]
) -> str | None:
    """Why the signed energy may not count, None if it may: rule 4."""
    for which, value in (("begin", begin), ("end", end)):
        if value.verdict.signature is not SignatureVerdict.VALID:
            return f"the signature at the {which} is {value.verdict.signature.value}"
        if value.known is not None and value.verdict.key_source is KeySource.CLAIMED:
            return f"the record at the {which} does not fit the registered key of this meter"
    if any(finding.severity is Severity.FATAL for finding in found):
        return "the signed records do not make one session"
    return "the signed registers cannot be compared" if verdict.energy_wh is None else None


# --- which value is what --------------------------------------------------------------------------------------------


def _distinct(values: Iterable[JudgedValue]) -> list[JudgedValue]:
    best: dict[str, JudgedValue] = {}
    for value in values:
        held = best.setdefault(value.payload_sha256, value)
        best[value.payload_sha256] = min(held, value, key=_worth)
    return list(best.values())


def _worth(value: JudgedValue) -> tuple[bool, int, str, str]:
    """The better of two copies is less; whatever came first, the same one is."""
    verdict, carried = value.verdict, value.carried
    valid = verdict.signature is SignatureVerdict.VALID
    return not valid, _TRUST.index(verdict.key_source), carried.context, carried.signed.raw


def _place_in_session(value: JudgedValue) -> tuple[int, int, str, str]:
    part = 0 if _begins(value) else 2 if _ends(value) else 1
    at = "" if value.carried.at is None else value.carried.at.isoformat()
    return part, value.number or 0, at, value.carried.signed.raw


def _begins(value: JudgedValue) -> bool:
    return _says(value, ReadingReason.BEGIN, _BEGIN)


def _ends(value: JudgedValue) -> bool:
    return _says(value, ReadingReason.END, _END)


def _says(value: JudgedValue, reason: ReadingReason, context: str) -> bool:
    record = value.verdict.record
    said = [] if record is None else [reading.reason for reading in record.readings if reading.reason is not None]
    if not said:
        return value.carried.context == context
    return any(one is reason or (reason.is_end and one.is_end) for one in said)


# --- what a CDR carries ---------------------------------------------------------------------------------------------


def _signed_data(ends: Ends) -> tuple[SignedData | None, tuple[SessionFinding, ...]]:
    """The values from the begin to the end, each with its exact bytes, and what OCPI has no room for; one that holds
    both ends is an End."""
    values = ends.in_order
    if not values:
        return None, ()
    natures = {id(ends.begin): Nature.START, id(ends.end): Nature.END}
    lead = ends.end or ends.begin or values[-1]
    key = next((value.known for value in (lead, *values) if value.known is not None), None)
    claims = (value.carried.signed.public_key or value.unwrapped.public_key_claim for value in (lead, *values))
    data, excess = ocpi_signed_values(
        [(natures.get(id(value), Nature.INTERMEDIATE), value.unwrapped) for value in values],
        base64.b64encode(key.spki).decode() if key is not None else next(filter(None, claims), None),
        lead.carried.signed.encoding_method or lead.unwrapped.encoding_method,
    )
    return data, tuple(note("signed-data-long", str(field)) for field in excess)
