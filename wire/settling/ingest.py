"""What a record changes: sessions opened, carried on and completed. Pure; the books are asked through
Holdings (wire.settling.holdings).

Rules
1. Records are judged in the order of their sequence, each once. How they were cut into batches changes nothing.
2. Nothing here refuses a record: what cannot be used is quarantined with a reason, and the record is kept.
3. A started event opens the session named by the record; any other event of a session never seen opens it too, with
   the finding `start-not-seen`: energy that flowed is not dropped for a lost message. When the start comes after all,
   the session begins with it, and the finding is `start-late`.
4. The token of a session is the one its first accepted decision names, as OCPI asks (the token at session start); a
   later accepted decision on the same token refines it. auth_method and authorization_reference: the last one wins.
5. An ended event completes the session and its CDR is settled once. What comes later is linked to the session and
   gives a finding; the CDR is never changed. While the start was not seen the settlement is held: the session has its
   end noted and the finding `settlement-held`, and is settled when the start comes. Until then it is INVALID: it does
   not run, is not billed, and OCPI lets no COMPLETED session change any more.
6. A signed value that comes late has all values of its session judged again, and they may be thousands: a session has
   `REVIEW_FREELY` of that, and `REVIEW_EACH` more with every late value. Beyond that what its values come to is held
   with the finding `review-due`, until another late value or `pnc-hub meters reverify` has them judged.
7. A transaction number of OCPP 1.6 is given by the gateway. Two starts of one number that do not say the same are two
   sessions that cannot be told apart, as of a gateway that forgot what it gave. The second start is quarantined, and
   what ends after it is held: it may be the end of either.
8. The tariff is pinned when a session begins, and once more when its start comes late; then never again.

Source: OCPI 2.3.0 mod_sessions, mod_cdrs; OCPP 1.6 4.8; OCPP 2.0.1 E; design of this project.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from wire.errors import WireError
from wire.meter.verdict import Severity, hold
from wire.ocpp.transaction import TransactionMessage
from wire.records import (
    CdrToken,
    ClockState,
    Decision,
    Session,
    SessionStatus,
    TokenRef,
    TransactionEntry,
    TransactionEvent,
    Verdict,
)
from wire.settling.arrival import Arrival
from wire.settling.billing import Pricing
from wire.settling.holdings import Change, Holdings, SessionState
from wire.settling.settle import MeterState, expected_of, place_of, read_meter, settle
from wire.settling.signed import Outcome, SessionValues, judge_signed, review
from wire.settling.tariffs import TariffSnapshot, needs_times
from wire.settling.terms import Terms
from wire.tokens import bearer_key

DECISION_HOLDS = timedelta(hours=1)
"""A stored decision speaks for a session of the same charger and token that starts this much later at most."""
MAX_FINDINGS = 50
REVIEW_FREELY, REVIEW_EACH = 2000, 4
"""Values that are judged again for those that come late to a session: about 0.4 ms each, while all gateways wait."""
_GIVES_NUMBER = "StartTransaction"
_TWICE = "started-twice"
_NOT_SEEN, _HELD = "start-not-seen", "settlement-held"
_DUE = f"review-due: signed values came late that were not judged with the others yet [{Severity.HOLD.value}]"


def ingest(arrival: Arrival, holdings: Holdings, terms: Terms) -> Change:
    """What the record changes; the same record must not be ingested twice. Never raises for a record's content."""
    if arrival.trouble is not None:
        return Change(quarantine=arrival.trouble, session_id=arrival.session_id)
    try:
        if arrival.decision is not None:
            return _decision(arrival, arrival.decision, holdings)
        if arrival.entry is not None and arrival.message is not None:
            return _transaction(arrival, arrival.entry, arrival.message, holdings, terms)
    except WireError as error:
        return Change(quarantine=str(error), session_id=arrival.session_id)
    except (ArithmeticError, ValueError) as error:
        # A date at the end of the calendar or a number no Decimal context holds: evidence all the same.
        return Change(quarantine=f"the content breaks arithmetic: {error}", session_id=arrival.session_id)
    return Change()


def _decision(arrival: Arrival, decision: Decision, holdings: Holdings) -> Change:
    """A decision is remembered for a session to come and applied to those that run with its token; one that a command
    made, or that rests on one, is for one session alone, whose own records hold it."""
    if decision.command_id is not None:
        return Change()
    touched = tuple(
        _touched(state, _decided(state.session, decision, holdings), arrival.received_at)
        for state in holdings.active_sessions(arrival.gateway_id, decision.charger_id)
        if state.meter.ended_by is None and _is_of(state.session, decision.token)
    )
    return Change(sessions=touched, decision=decision)


def _transaction(
    arrival: Arrival, entry: TransactionEntry, message: TransactionMessage, holdings: Holdings, terms: Terms
) -> Change:
    if arrival.session_id is None:
        return Change(decision=_remembered(entry))  # values outside of any transaction: evidence, not a session
    held = holdings.session(arrival.session_id)
    if held is not None and _is_second_start(arrival, entry, held):
        return _second_start(arrival, held, message)
    if held is not None and _is_late(held, message):
        return _late(arrival, held, message, holdings, terms)
    state = _carried_on(arrival, held or _opened(arrival, entry, message), entry, message, holdings)
    pinned = _to_pin(held, state, terms)
    if pinned is not None:
        state = replace(state, meter=msgspec.structs.replace(state.meter, tariff=pinned.hash))
    if message.event is TransactionEvent.ENDED:
        state = _ended(state, message, arrival)
    change = Change(sessions=(state,), decision=_remembered(entry), session_id=arrival.session_id, pinned=pinned)
    if state.meter.ended_by is None or state.meter.start_missing:
        return change
    session = msgspec.structs.replace(state.session, status=SessionStatus.COMPLETED)
    signed = _doubted(holdings.values_of(session), state.meter)
    pricing = _pricing(session, state.meter.tariff, pinned, message, holdings)
    settled = settle(session, state.meter, signed, terms, arrival.received_at, pricing)
    state = SessionState(session=settled.session, meter=state.meter)
    outcome = settled.outcome if signed.values or state.meter.second_start else None
    return replace(change, sessions=(state,), cdr=settled.cdr, outcome=outcome)


def _to_pin(held: SessionState | None, state: SessionState, terms: Terms) -> TariffSnapshot | None:
    """The tariff to pin, None while one is. Rule 8."""
    if held is not None and held.meter.start_missing == state.meter.start_missing:
        return None
    return terms.tariff_at(place_of(state.session), state.session.cdr_token, state.session.start_date_time)


def _pricing(
    session: Session, hash_: str | None, pinned: TariffSnapshot | None, message: TransactionMessage, holdings: Holdings
) -> Pricing:
    """What the session is priced by; its messages are read again only for a tariff that asks for times."""
    if pinned is None and hash_ is not None:
        pinned = holdings.snapshot(hash_)
    is_timed = pinned is not None and needs_times(pinned.tariff)
    messages = (*holdings.messages_of(session), message) if is_timed else ()
    return Pricing(pinned=pinned, messages=messages, quote=holdings.quote_for(session))


def _is_second_start(arrival: Arrival, entry: TransactionEntry, held: SessionState) -> bool:
    """Rule 7."""
    return entry.action == _GIVES_NUMBER and held.meter.begun_by not in (None, arrival.content)


def _second_start(arrival: Arrival, held: SessionState, message: TransactionMessage) -> Change:
    session = held.session
    told = f"a start of {message.at.isoformat()} has the transaction number {session.transaction_id} too"
    known = with_findings(session, f"{_TWICE}: {told}")
    runs = session.status is not SessionStatus.COMPLETED
    meter = msgspec.structs.replace(held.meter, second_start=held.meter.second_start or runs)
    state = _touched(SessionState(session=session, meter=meter), known, arrival.received_at)
    return Change(sessions=(state,), session_id=session.id, quarantine=f"{told}, which session {session.id} began with")


def _doubted(signed: SessionValues, meter: MeterState) -> SessionValues:
    """The values, with what rule 7 has against them."""
    if not meter.second_start:
        return signed
    finding = hold(_TWICE, "two sessions began under its number, and it may be either that has ended")
    return replace(signed, against=(*signed.against, finding))


def _remembered(entry: TransactionEntry) -> Decision | None:
    """The decision that may speak for other sessions of its token as well: not a command's, nor one that names none."""
    decision = entry.decision
    if decision is None or decision.command_id is not None or not decision.token.uid.strip():
        return None
    return decision


def _opened(arrival: Arrival, entry: TransactionEntry, message: TransactionMessage) -> SessionState:
    started = message.event is TransactionEvent.STARTED
    session = Session(
        id=entry.session_id or "",
        gateway_id=arrival.gateway_id,
        charger_id=entry.charger_id,
        evse_id=message.evse_id,
        connector_id=message.connector_id,
        transaction_id=entry.transaction_id or "",
        status=SessionStatus.ACTIVE,
        start_date_time=message.at,
        last_updated=arrival.received_at,
        kwh=Decimal(0),
        findings=() if started else (f"{_NOT_SEEN}: the first message seen is {message.event.value}",),
    )
    return SessionState(session=session, meter=MeterState(start_missing=not started))


def _carried_on(
    arrival: Arrival, state: SessionState, entry: TransactionEntry, message: TransactionMessage, holdings: Holdings
) -> SessionState:
    if state.meter.start_missing and message.event is TransactionEvent.STARTED:
        state = _begun_late(arrival, state, entry, message, holdings)
    else:
        session = _authorized(arrival, state.session, entry, message, holdings)
        state = SessionState(session=session, meter=state.meter)
    session, meter = state.session, read_meter(state.meter, message)
    if entry.action == _GIVES_NUMBER:
        meter = msgspec.structs.replace(meter, begun_by=arrival.content)
    session = msgspec.structs.replace(
        session,
        evse_id=session.evse_id or message.evse_id,
        connector_id=message.connector_id if session.connector_id is None else session.connector_id,
        kwh=meter.energy_kwh or Decimal(0),
        last_updated=arrival.received_at,
    )
    return SessionState(session=session, meter=meter)


def _authorized(
    arrival: Arrival, session: Session, entry: TransactionEntry, message: TransactionMessage, holdings: Holdings
) -> Session:
    """The session with what the message and its decision say of who charges."""
    decision = entry.decision
    if decision is None and message.token is not None and session.auth_method is None:
        decision = _earlier(arrival, entry.charger_id, message.token, holdings)
    if decision is not None:
        return _decided(session, decision, holdings)
    if message.token is not None and session.cdr_token is None:
        return msgspec.structs.replace(session, cdr_token=_cdr_token(message.token, None, holdings))
    return session


def _begun_late(
    arrival: Arrival, state: SessionState, entry: TransactionEntry, message: TransactionMessage, holdings: Holdings
) -> SessionState:
    """The session whose start came after other messages of it: it begins with it and is its token's (rule 4)."""
    known = state.session
    bare = msgspec.structs.replace(known, cdr_token=None, auth_method=None, authorization_reference=None)
    session = _authorized(arrival, bare, entry, message, holdings)
    findings = tuple(text for text in session.findings if not text.startswith((f"{_NOT_SEEN}:", f"{_HELD}:")))
    session = msgspec.structs.replace(
        session,
        start_date_time=message.at,
        cdr_token=session.cdr_token or known.cdr_token,
        auth_method=known.auth_method or session.auth_method,
        authorization_reference=known.authorization_reference or session.authorization_reference,
        findings=findings,
    )
    session = with_findings(session, "start-late: the start came after other messages of the session")
    return SessionState(session=session, meter=msgspec.structs.replace(state.meter, start_missing=False))


def _ended(state: SessionState, message: TransactionMessage, arrival: Arrival) -> SessionState:
    """The session with its end noted; that its settlement is held is a finding."""
    session = msgspec.structs.replace(state.session, end_date_time=message.at)
    if state.meter.start_missing:
        session = msgspec.structs.replace(session, status=SessionStatus.INVALID)
        session = with_findings(session, f"{_HELD}: the end came, the start was not seen")
    record = arrival.record
    seen_at = record.at if record.clock is ClockState.TRUSTED and record.at.tzinfo is not None else None
    meter = msgspec.structs.replace(state.meter, ended_by=arrival.content, end_seen_at=seen_at)
    return SessionState(session=session, meter=meter)


def _earlier(arrival: Arrival, charger_id: str, token: TokenRef, holdings: Holdings) -> Decision | None:
    decision = holdings.decision(arrival.gateway_id, charger_id, token)
    if decision is None or arrival.record.at.tzinfo is None:
        return None
    return decision if abs(arrival.record.at - decision.at) <= DECISION_HOLDS else None


def _is_late(held: SessionState, message: TransactionMessage) -> bool:
    """Whether a message has nothing to add: the CDR is made, or it is an end where one was noted already."""
    noted = held.meter.ended_by is not None and message.event is TransactionEvent.ENDED
    return noted or held.session.status is SessionStatus.COMPLETED


def _late(
    arrival: Arrival, held: SessionState, message: TransactionMessage, holdings: Holdings, terms: Terms
) -> Change:
    """A record after the end: linked and noted. The end itself, sent again, is no news; a signed value is, when it
    changes what the session's values come to."""
    session, meter, outcome = held.session, held.meter, None
    if session.gateway_id != arrival.gateway_id:
        return Change(quarantine=f"session {session.id} belongs to gateway {session.gateway_id}")
    if arrival.content != held.meter.ended_by:
        finding = f"late-record: {message.event.value} of {message.at.isoformat()} came after the end"
        session = with_findings(session, finding)
    if arrival.values and session.status is SessionStatus.COMPLETED:
        meter = msgspec.structs.replace(meter, late_values=meter.late_values + len(arrival.values))
        if meter.judged_again < REVIEW_FREELY + REVIEW_EACH * meter.late_values:
            signed = holdings.values_of(session)
            meter = msgspec.structs.replace(meter, judged_again=meter.judged_again + len(signed.values))
            session, outcome = reviewed(SessionState(session=session, meter=meter), signed, holdings, terms)
        else:
            session, outcome = _review_due(session, holdings.outcome(session.id))
    state = SessionState(session=held.session, meter=meter)
    if session != held.session or outcome is not None:
        state = _touched(state, session, arrival.received_at)
    return Change(sessions=() if state == held else (state,), outcome=outcome, session_id=session.id)


def _review_due(session: Session, before: Outcome | None) -> tuple[Session, Outcome | None]:
    """The session held with what its values came to before; None when it is held so already. Rule 6."""
    before = before or Outcome(billable=False)
    if _DUE in before.findings:
        return session, None
    outcome = msgspec.structs.replace(before, billable=False, findings=(*before.findings, _DUE))
    return _told(session, before, outcome), outcome


def reviewed(
    state: SessionState, signed: SessionValues, holdings: Holdings, terms: Terms
) -> tuple[Session, Outcome | None]:
    """A completed session and what its signed values come to now, with a finding on it when that is something else than
    before; None when it is the same. The CDR stays as it is."""
    session = state.session
    outcome, _ = judge_signed(_doubted(signed, state.meter), expected_of(session, state.meter, terms))
    before = holdings.outcome(session.id)
    if outcome == before:
        return session, None
    return (session if before is None else _told(session, before, outcome)), outcome


def _told(session: Session, before: Outcome, after: Outcome) -> Session:
    """The session with what changed between two outcomes of it as a finding, where that matters."""
    finding = review(before, after)
    return session if finding is None else with_findings(session, finding)


def _decided(session: Session, decision: Decision, holdings: Holdings) -> Session:
    """The session with what the decision says of it; one that refuses names the token only if nobody else does."""
    if decision.verdict is not Verdict.ACCEPTED:
        text = f"not-accepted: {decision.verdict.value} ({decision.reason}) at {decision.at.isoformat()}"
        session = with_findings(session, text)
        if session.cdr_token is not None or not decision.token.uid.strip():
            return session
        token = _cdr_token(decision.token, decision.contract_id, holdings)
        return msgspec.structs.replace(session, cdr_token=token)
    if decision.token.uid.strip() and (session.auth_method is None or _is_of(session, decision.token)):
        token = _cdr_token(decision.token, decision.contract_id, holdings)
        session = msgspec.structs.replace(session, cdr_token=token)
    return msgspec.structs.replace(
        session,
        auth_method=decision.auth_method,
        authorization_reference=decision.authorization_reference or session.authorization_reference,
    )


def _cdr_token(token: TokenRef, contract_id: str | None, holdings: Holdings) -> CdrToken:
    """The token as a CDR names it: the decision's contract first, then the list's, then the uid itself."""
    listed = holdings.listed(token)
    return CdrToken(
        uid=token.uid,
        type=token.type,
        contract_id=contract_id or (listed.contract_id if listed else token.uid),
        country_code=listed.country_code if listed else None,
        party_id=listed.party_id if listed else None,
    )


def _is_of(session: Session, token: TokenRef) -> bool:
    own = session.cdr_token
    return own is not None and bearer_key(own.uid) == bearer_key(token.uid)


def with_findings(session: Session, *findings: str) -> Session:
    """The session with further findings, each once, MAX_FINDINGS at most."""
    merged = tuple(dict.fromkeys((*session.findings, *findings)))[:MAX_FINDINGS]
    return msgspec.structs.replace(session, findings=merged)


def _touched(state: SessionState, session: Session, at: datetime) -> SessionState:
    """The state with the changed session, its `last_updated` set."""
    return SessionState(session=msgspec.structs.replace(session, last_updated=at), meter=state.meter)
