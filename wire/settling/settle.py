"""A session and the charge detail record that it makes when it ends. Pure.

Rules
1. Energy is the difference of the signed registers, as far as they count (wire.settling.signed). Otherwise it is the
   difference of the plain registers, and the CDR says `unsigned-energy` and why.
2. The signed text goes into the CDR character for character, also when it was not good enough to count.
3. A register that its message calls the transaction's begin or end is that, whatever its clock says; without one, the
   register of the earliest or latest instant is. So the order in which messages arrive does not matter.
4. Decimals throughout. Energy and money are exact (wire.ocpi.pricing); only time, which hours cannot always express, is
   rounded: to 4 decimals, half even (OCPI 2.3.0 types: number).
5. The price is that of the tariff that was pinned when the session began (wire.settling.billing). Where the signed
   values say how long the session was, that time is billed, and not the station's.

Source: OCPI 2.3.0 mod_cdrs, mod_tariffs; OCMF 1.4.1; rounding for an invoice is the invoice's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum

import msgspec

from wire.meter.verdict import Expected
from wire.ocpp.transaction import TransactionMessage
from wire.records import (
    AuthMethod,
    Cdr,
    CdrToken,
    Price,
    Session,
    TokenType,
    TransactionEvent,
    Value,
)
from wire.settling.billing import UNPRICED, Pricing, billed
from wire.settling.signed import Outcome, SessionValues, judge_signed
from wire.settling.terms import MeterPlace, Terms
from wire.settling.timeline import Course

_BEGIN, _END = "Transaction.Begin", "Transaction.End"
_WH_PER_KWH = Decimal(1000)
_FOUR_PLACES = Decimal("0.0001")
_SECONDS_PER_HOUR = Decimal(3600)


class Part(IntEnum):
    """Where in the transaction a register was read, as its message says."""

    BEGIN = 0
    BETWEEN = 1
    END = 2


class Register(Value, frozen=True, kw_only=True):
    """One reading of the plain register, in Wh."""

    part: Part
    at: datetime
    wh: Decimal

    @property
    def rank(self) -> tuple[Part, datetime, Decimal]:
        """Where it stands among the readings of its session: rule 3."""
        return self.part, self.at, self.wh


class MeterState(Value, frozen=True, kw_only=True):
    """What the plain register has said in a session: its first and its last reading, one and the same after one.

    `start_missing`: the session was opened by another message than its start, and the start has not come since.
    `ended_by` is the content key of the message that ended the session, None before; `end_seen_at` is when its gateway
    received it, if the gateway trusted its clock. `late_values` counts the signed values that came after the
    settlement, `judged_again` those that were judged again on their account: rule 6 of wire.settling.ingest. `begun_by`
    is the content key of the start, where the gateway gave the transaction its number; `second_start` says that another
    start came under that number: rule 7. `tariff` is the hash of the tariff that was pinned when the session began.
    """

    begin: Register | None = None
    latest: Register | None = None
    start_missing: bool = False
    ended_by: str | None = None
    end_seen_at: datetime | None = None
    late_values: int = 0
    judged_again: int = 0
    begun_by: str | None = None
    second_start: bool = False
    tariff: str | None = None

    @property
    def register_wh(self) -> Decimal | None:
        """The difference of the plain registers in Wh, negative when they fall; None without two readings."""
        if self.begin is None or self.latest is None or self.begin == self.latest:
            return None
        return self.latest.wh - self.begin.wh

    @property
    def energy_kwh(self) -> Decimal | None:
        """The energy between the plain registers, never negative; None without two readings."""
        difference = self.register_wh
        return None if difference is None else max(difference, Decimal(0)) / _WH_PER_KWH


_PARTS = {_BEGIN: Part.BEGIN, _END: Part.END}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledSession:
    """A completed session, its CDR, and what its signed values came to."""

    session: Session
    cdr: Cdr
    outcome: Outcome


def read_meter(meter: MeterState, message: TransactionMessage) -> MeterState:
    """The meter's state after one more transaction message, in whatever order they come."""
    begin, latest = meter.begin, meter.latest
    for register in _registers(message):
        rank = register.rank
        if begin is None or rank < begin.rank:
            begin = register
        if latest is None or rank > latest.rank:
            latest = register
    if begin is meter.begin and latest is meter.latest:
        return meter
    return msgspec.structs.replace(meter, begin=begin, latest=latest)


def _registers(message: TransactionMessage) -> Iterator[Register]:
    """What the plain register shows in a message, in the order of its parts."""
    if message.register_wh is not None:
        part = Part.END if message.event is TransactionEvent.ENDED else Part.BEGIN
        yield Register(part=part, at=message.at, wh=message.register_wh)
    for sample in message.samples:
        if sample.energy_wh is not None:
            yield Register(part=_PARTS.get(sample.context, Part.BETWEEN), at=sample.at, wh=sample.energy_wh)


def settle(
    session: Session,
    meter: MeterState,
    signed: SessionValues,
    terms: Terms,
    settled_at: datetime,
    pricing: Pricing = UNPRICED,
) -> SettledSession:
    """The completed `session` (its end set) with its final energy and findings, and its CDR.

    `settled_at` becomes the CDR's `last_updated`: peers that poll by date would miss an older stamp.
    """
    outcome, data = judge_signed(signed, expected_of(session, meter, terms))
    energy_kwh, energy_findings = _energy_kwh(meter, outcome)
    begin, end = session.start_date_time, session.end_date_time or session.last_updated
    hours, time_findings = _hours(begin, end, outcome.duration)
    token, auth_method, token_findings = _authorized_by(session)
    snapshot = pricing.pinned or terms.tariff_at(place_of(session), session.cdr_token, begin)
    course = Course(
        begin=begin,
        end=_billed_end(begin, end, outcome.duration),
        energy_wh=energy_kwh * _WH_PER_KWH,
        messages=pricing.messages,
    )
    refusal = () if outcome.refusal is None else (f"unsigned-energy: {outcome.refusal}",)
    found = (*session.findings, *token_findings, *outcome.findings, *refusal, *energy_findings, *time_findings)
    cdr = Cdr(
        id=session.id,
        session_id=session.id,
        gateway_id=session.gateway_id,
        charger_id=session.charger_id,
        evse_id=session.evse_id,
        connector_id=session.connector_id,
        start_date_time=begin,
        end_date_time=end,
        cdr_token=token,
        auth_method=auth_method,
        authorization_reference=session.authorization_reference,
        currency=snapshot.tariff.currency,
        total_cost=Price(before_taxes=Decimal(0)),
        total_energy=energy_kwh,
        total_time=hours,
        last_updated=settled_at,
        signed_data=data,
        findings=tuple(dict.fromkeys(found)),
    )
    cdr = billed(cdr, course, snapshot, terms.zone_named(snapshot.time_zone), pricing.quote)
    session = msgspec.structs.replace(session, kwh=energy_kwh, last_updated=settled_at, findings=cdr.findings)
    return SettledSession(session=session, cdr=cdr, outcome=outcome)


def _billed_end(begin: datetime, end: datetime, signed: timedelta | None) -> datetime:
    """When the session ended as it is billed: rule 5."""
    try:
        return end if signed is None else begin + signed
    except OverflowError:  # At the end of the calendar: a station whose clock was never set.
        return end


def place_of(session: Session | Cdr) -> MeterPlace:
    """Where the session's meter is."""
    return MeterPlace(session.gateway_id, session.charger_id.casefold(), session.evse_id)


def expected_of(session: Session, meter: MeterState, terms: Terms) -> Expected:
    """What is known of the session from elsewhere than its signed values."""
    token = session.cdr_token
    both = meter.register_wh is not None
    return Expected(
        identifications=frozenset() if token is None else frozenset({token.uid, token.contract_id}),
        begin_wh=meter.begin.wh if both and meter.begin is not None else None,
        end_wh=meter.latest.wh if both and meter.latest is not None else None,
        began_at=session.start_date_time,
        ended_at=session.end_date_time,
        max_power_w=terms.max_power_w.get(place_of(session)),
        received_at=meter.end_seen_at,
    )


def _energy_kwh(meter: MeterState, signed: Outcome) -> tuple[Decimal, list[str]]:
    findings = []
    plain_wh = meter.register_wh
    if plain_wh is not None and plain_wh < 0:
        findings.append(f"register-falls: the plain register fell by {-plain_wh} Wh")
    if signed.energy_wh is not None:
        return signed.energy_wh / _WH_PER_KWH, findings
    if plain_wh is None:
        findings.append("no-energy: no register at the begin and the end, signed or plain")
    return meter.energy_kwh or Decimal(0), findings


def _hours(start: datetime, end: datetime, signed: timedelta | None) -> tuple[Decimal, list[str]]:
    duration = end - start if signed is None else signed
    findings = []
    if duration < timedelta(0):
        findings.append(f"time-falls: the end {end.isoformat()} is before the start {start.isoformat()}")
        duration = timedelta(0)
    seconds = Decimal(duration // timedelta(microseconds=1)).scaleb(-6)
    return (seconds / _SECONDS_PER_HOUR).quantize(_FOUR_PLACES, ROUND_HALF_EVEN), findings


def _authorized_by(session: Session) -> tuple[CdrToken, AuthMethod, list[str]]:
    """OCPI requires both in a CDR; `#NA` stands where no token was presented at all (OCPI types)."""
    findings = []
    token, method = session.cdr_token, session.auth_method
    if token is None:
        findings.append("no-token: nobody was named for this session")
        token = CdrToken(uid="#NA", type=TokenType.OTHER, contract_id="#NA")
    if method is None:
        findings.append("no-decision: no accepted authorization is known for this session")
        method = AuthMethod.WHITELIST
    return token, method, findings
