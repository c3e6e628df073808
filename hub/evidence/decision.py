"""Was the token of a bill allowed to charge, here and then? Step 7 of a verification. Pure.

Source: OCPP 2.0.1 C and E02: a station asks before a session, or tells afterwards of one that it began by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.clock import utc
from hub.evidence.content import Check, Step
from hub.evidence.derive import Derived
from hub.evidence.notes import Notes
from wire.records import Basis, Cdr, Decision, Verdict
from wire.settling.arrival import Arrival
from wire.settling.ingest import DECISION_HOLDS
from wire.tokens import bearer_key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resting:
    """The decision that a session rests on, the record that holds it, and the message of the session that repeats it:
    None where no message says of a decision."""

    held_in: Arrival
    decision: Decision
    repeated: Decision | None = None


def decision_check(derived: Derived, cdr: Cdr) -> Check:
    """Step 7 for the bill `cdr`."""
    notes = Notes()
    strange = [seq for seq, decision in derived.decisions if not _is_about(decision, cdr)]
    notes.broken += [f"record {seq} decides about another token or charger" for seq in strange]
    resting = _resting_on(derived.arrivals, cdr)
    notes.open += [f"record {seq}: {_told(decision)}" for seq, decision in _refusals(derived.arrivals, cdr, resting)]
    if resting is None:
        if any(text.startswith("no-decision:") for text in cdr.findings):
            notes.open.append("no decision is known that let this token charge, as the bill says")
        else:
            notes.broken.append("no decision in the log let this token charge")
        return notes.check(Step.DECISION)
    decision, seq = resting.decision, resting.held_in.record.seq
    notes.broken += _against(resting, derived.arrivals, cdr)
    notes.held.append(f"record {seq}: {_told(decision)}")
    if resting.held_in.decision is None:
        notes.held.append("it was made when the station told of the session, which it had begun by itself")
    if decision.chain is not None:
        certificate = decision.chain.leaf_sha256 or "not known"
        notes.held.append(
            f"contract chain: {decision.chain.code}, revocation {decision.chain.revocation}, certificate {certificate}"
        )
    return notes.check(Step.DECISION)


def _resting_on(arrivals: Sequence[Arrival], cdr: Cdr) -> _Resting | None:
    """The accepted decision that the session rests on.

    A message of the session carries one that was made when it came: for a session that the station had begun by itself
    that is the decision, otherwise it repeats the last one before it, which stands in the log as a record of its own.
    Where no message carries any, it is the last one before the session; one that refuses takes back those before it.
    """
    before: _Resting | None = None
    found: _Resting | None = None
    is_refused = False
    for arrival in arrivals:
        carried = None if arrival.entry is None else arrival.entry.decision
        made = arrival.decision or carried
        if made is not None and _is_about(made, cdr):
            is_refused = made.verdict is not Verdict.ACCEPTED
        if arrival.decision is not None and _lets(arrival.decision, cdr):
            before = _Resting(held_in=arrival, decision=arrival.decision)
        elif carried is None or not _lets(carried, cdr):
            if found is None and arrival.decision is None and not is_refused:
                found = before
        elif carried.basis is not Basis.EARLIER_DECISION:
            found = _Resting(held_in=arrival, decision=carried)
        elif before is not None:
            found = _Resting(held_in=before.held_in, decision=before.decision, repeated=carried)
        else:
            return None  # What it repeats is not here.
    return found


def _refusals(arrivals: Sequence[Arrival], cdr: Cdr, resting: _Resting | None) -> Iterator[tuple[int, Decision]]:
    """What refused the token, by record: in the session's messages before the decision that it rests on, and without
    such a decision all that did. A card that is shown again before the session may well be refused once."""
    for arrival in arrivals:
        if resting is not None and arrival is resting.held_in:
            return
        entry = None if arrival.entry is None else arrival.entry.decision
        refused = entry if resting is not None else entry or arrival.decision
        if refused is not None and refused.verdict is not Verdict.ACCEPTED and _is_about(refused, cdr):
            yield arrival.record.seq, refused


def _told(decision: Decision) -> str:
    return f"{decision.verdict.value} at {utc(decision.at)}, {decision.reason}, by {decision.basis.value}"


def _lets(decision: Decision, cdr: Cdr) -> bool:
    return decision.verdict is Verdict.ACCEPTED and _is_about(decision, cdr)


def _is_about(decision: Decision, cdr: Cdr) -> bool:
    same_place = decision.charger_id.casefold() == cdr.charger_id.casefold()
    return same_place and bearer_key(decision.token.uid) == bearer_key(cdr.cdr_token.uid)


def _against(resting: _Resting, arrivals: Sequence[Arrival], cdr: Cdr) -> Iterator[str]:
    """What speaks against a decision as this bill's. Times are the gateway's: a station's clock may be wrong."""
    decision, held_in, repeated = resting.decision, resting.held_in, resting.repeated
    if repeated is not None and (repeated.reason, repeated.contract_id) != (decision.reason, decision.contract_id):
        yield f"the session's message repeats another one: {repeated.reason}"
    if decision.contract_id is not None and decision.contract_id != cdr.cdr_token.contract_id:
        yield f"it is about the contract {decision.contract_id}, the bill about {cdr.cdr_token.contract_id}"
    if decision.basis is Basis.CONTRACT_CHAIN and (decision.chain is None or decision.chain.code != "accepted"):
        yield "it rests on a contract chain that was not accepted"
    first = next((arrival.record for arrival in arrivals if arrival.decision is None), None)
    unsaid = repeated is None and held_in.decision is not None
    if unsaid and first is not None and abs(first.at - held_in.record.at) > DECISION_HOLDS:
        yield f"it was made more than {DECISION_HOLDS} before the session"
