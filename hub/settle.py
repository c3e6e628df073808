"""A session's meter values, and the charge detail record they make when the session ends. Pure.

Rules
1. Energy is the difference of the signed registers, if both records are valid and make one session. Otherwise it is the
   difference of the plain registers, and the CDR says `unsigned-energy` and why.
2. Where the registry knows the meter's key, only that key counts: a record that fits merely the key that came with it
   was perhaps written by whoever sent it. Without a registry entry the claimed key serves, and the CDR says so.
3. The signed text goes into the CDR character for character, also when it was not good enough to count.
4. A register that its message calls the transaction's begin or end is that, whatever its clock says; without one, the
   register of the earliest or latest instant is. So the order in which messages arrive does not matter.
5. Decimals throughout. Energy and money are exact products and differences; only time, which hours cannot always
   express, is rounded: to 4 decimals, half even (OCPI 2.3.0 types: number).

Source: OCPI 2.3.0 mod_cdrs; OCMF 1.4.1; rounding for an invoice is the invoice's business.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntEnum

import msgspec

from hub.terms import EnergyPrice, MeterPlace, Terms
from wire.errors import WireError
from wire.meter.carrier import Unwrapped, unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.record import MeterFormat
from wire.meter.session import judge_session
from wire.meter.verdict import KeySource, RecordVerdict, Severity, SignatureVerdict
from wire.ocpp.transaction import SignedSample, TransactionMessage
from wire.records import (
    AuthMethod,
    Cdr,
    CdrToken,
    Price,
    PriceComponent,
    Session,
    SignedData,
    SignedValue,
    TariffDimension,
    TokenType,
    TransactionEvent,
    Value,
)

_BEGIN, _END = "Transaction.Begin", "Transaction.End"
_WH_PER_KWH = Decimal(1000)
_FOUR_PLACES = Decimal("0.0001")
_SECONDS_PER_HOUR = Decimal(3600)
_REGISTER_TOLERANCE_WH = Decimal(2)
"""A plain register in whole Wh may differ by 1 Wh at either end."""


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
        """Where it stands among the readings of its session: rule 4."""
        return self.part, self.at, self.wh


class CarriedSample(Value, frozen=True, kw_only=True):
    """A signed value and the instant its message gives for it."""

    at: datetime
    signed: SignedSample

    @property
    def rank(self) -> tuple[datetime, str]:
        """Where it stands among the signed begins or ends of its session: by instant, and by its text only so that the
        order of arrival decides nothing."""
        return self.at, self.signed.raw


class MeterState(Value, frozen=True, kw_only=True):
    """What the meter has said in a session: the first and the last plain register (one and the same after one reading),
    the signed ends as carried.

    `start_missing`: the session was opened by another message than its start, and the start has not come since.
    `ended_by` is the content key of the message that ended the session, None before.
    """

    begin: Register | None = None
    latest: Register | None = None
    begin_signed: CarriedSample | None = None
    end_signed: CarriedSample | None = None
    start_missing: bool = False
    ended_by: str | None = None

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
    """A completed session, what its meter said, and its CDR."""

    session: Session
    meter: MeterState
    cdr: Cdr


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """What the signed records give: energy and duration only when they may count."""

    findings: tuple[str, ...]
    energy_wh: Decimal | None = None
    duration: timedelta | None = None
    data: SignedData | None = None


def read_meter(meter: MeterState, message: TransactionMessage) -> MeterState:
    """The meter's state after one more transaction message, in whatever order they come."""
    if message.register_wh is not None:
        part = Part.END if message.event is TransactionEvent.ENDED else Part.BEGIN
        meter = _with_register(meter, Register(part=part, at=message.at, wh=message.register_wh))
    for sample in message.samples:
        if sample.signed is not None:
            meter = _with_signed(meter, sample.context, CarriedSample(at=sample.at, signed=sample.signed))
        if sample.energy_wh is not None:
            part = _PARTS.get(sample.context, Part.BETWEEN)
            meter = _with_register(meter, Register(part=part, at=sample.at, wh=sample.energy_wh))
    return meter


def _with_signed(meter: MeterState, context: str, carried: CarriedSample) -> MeterState:
    if context == _BEGIN:
        begin = carried if meter.begin_signed is None else min(meter.begin_signed, carried, key=lambda held: held.rank)
        return msgspec.structs.replace(meter, begin_signed=begin)
    if context == _END:
        end = carried if meter.end_signed is None else max(meter.end_signed, carried, key=lambda held: held.rank)
        return msgspec.structs.replace(meter, end_signed=end)
    return meter


def _with_register(meter: MeterState, register: Register) -> MeterState:
    begin = register if meter.begin is None else min(meter.begin, register, key=lambda held: held.rank)
    latest = register if meter.latest is None else max(meter.latest, register, key=lambda held: held.rank)
    return msgspec.structs.replace(meter, begin=begin, latest=latest)


def settle(session: Session, meter: MeterState, terms: Terms, settled_at: datetime) -> SettledSession:
    """The completed `session` (its end set) with its final energy and findings, and its CDR.

    `settled_at` becomes the CDR's `last_updated`: peers that poll by date would miss an older stamp.
    """
    place = MeterPlace(session.gateway_id, session.charger_id.casefold(), session.evse_id)
    signed = _judge_signed(meter, terms.meter_keys.get(place))
    energy_kwh, energy_findings = _energy_kwh(meter, signed)
    end = session.end_date_time or session.last_updated
    hours, time_findings = _hours(session.start_date_time, end, signed.duration)
    token, auth_method, token_findings = _authorized_by(session)
    found = (*session.findings, *token_findings, *signed.findings, *energy_findings, *time_findings)
    findings = tuple(dict.fromkeys(found))
    session = msgspec.structs.replace(session, kwh=energy_kwh, last_updated=settled_at, findings=findings)
    cdr = Cdr(
        id=session.id,
        session_id=session.id,
        gateway_id=session.gateway_id,
        charger_id=session.charger_id,
        evse_id=session.evse_id,
        connector_id=session.connector_id,
        start_date_time=session.start_date_time,
        end_date_time=end,
        cdr_token=token,
        auth_method=auth_method,
        authorization_reference=session.authorization_reference,
        currency=terms.price.currency,
        total_cost=Price(before_taxes=_cost(terms.price, energy_kwh)),
        total_energy=energy_kwh,
        total_time=hours,
        last_updated=settled_at,
        signed_data=signed.data,
        findings=findings,
        price_components=(
            PriceComponent(type=TariffDimension.ENERGY, price=terms.price.energy_per_kwh),
            PriceComponent(type=TariffDimension.FLAT, price=terms.price.session_fee),
        ),
    )
    return SettledSession(session=session, meter=meter, cdr=cdr)


def _cost(price: EnergyPrice, energy_kwh: Decimal) -> Decimal:
    return price.energy_per_kwh * energy_kwh + price.session_fee


def _energy_kwh(meter: MeterState, signed: _Signed) -> tuple[Decimal, list[str]]:
    findings = []
    plain_wh = meter.register_wh
    if plain_wh is not None and plain_wh < 0:
        findings.append(f"register-falls: the plain register fell by {-plain_wh} Wh")
    if signed.energy_wh is not None:
        if plain_wh is not None and abs(signed.energy_wh - plain_wh) > _REGISTER_TOLERANCE_WH:
            findings.append(f"register-differs: {signed.energy_wh} Wh are signed, the plain register says {plain_wh}")
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


# --- signed records -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Judged:
    sample: SignedSample
    unwrapped: Unwrapped
    claimed_text: str | None
    verdict: RecordVerdict


def _judge_signed(meter: MeterState, registry_text: str | None) -> _Signed:
    registry = None if registry_text is None else parse_public_key(registry_text)
    begin = None if meter.begin_signed is None else _judge(meter.begin_signed.signed, registry)
    end = None if meter.end_signed is None else _judge(meter.end_signed.signed, registry)
    data = _signed_data(begin, end, registry_text)
    if end is None:
        missing = "no signed value came" if begin is None else "no signed value came at the end"
        return _Signed(findings=(f"unsigned-energy: {missing}",), data=data)
    # A record of the end alone may hold both readings: OCMF allows a whole session in one record.
    first = begin or end
    session = judge_session((first.verdict, end.verdict))
    found, energy_wh = session.findings, session.energy_wh
    findings = tuple(f"{finding.code}: {finding.message} [{finding.severity.value}]" for finding in found)
    refusal = _refusal(first.verdict, end.verdict, registry)
    if refusal is None and any(finding.severity is Severity.FATAL for finding in found):
        refusal = "the signed records do not make one session"
    if refusal is None and energy_wh is None:
        refusal = "the signed registers cannot be compared"
    if refusal is not None:
        return _Signed(findings=(*findings, f"unsigned-energy: {refusal}"), data=data)
    return _Signed(findings=findings, energy_wh=energy_wh, duration=session.duration, data=data)


def _judge(sample: SignedSample, registry: PublicKey | None) -> _Judged:
    unwrapped = unwrap(sample.raw)
    claimed_text = sample.public_key or unwrapped.public_key_claim
    claimed = None
    if claimed_text:
        try:
            claimed = parse_public_key(claimed_text)
        except WireError:
            claimed = None  # an unreadable claim is no key; the verdict then says no-key
    return _Judged(sample, unwrapped, claimed_text, judge_record(unwrapped.payload, registry, claimed))


def _refusal(begin: RecordVerdict, end: RecordVerdict, registry: PublicKey | None) -> str | None:
    """Why the pair may not count, None if it may: rules 1 and 2 of this file."""
    for which, verdict in (("begin", begin), ("end", end)):
        if verdict.signature is not SignatureVerdict.VALID:
            return f"the signature at the {which} is {verdict.signature.value}"
        if registry is not None and verdict.key_source is not KeySource.REGISTRY:
            return f"the record at the {which} does not fit the registered key of this meter"
    return None


def _signed_data(begin: _Judged | None, end: _Judged | None, registry_text: str | None) -> SignedData | None:
    values = [
        _signed_value(nature, judged) for nature, judged in (("Start", begin), ("End", end)) if judged is not None
    ]
    any_ = end or begin
    if any_ is None:
        return None
    method = any_.unwrapped.format
    named = method.value if method is MeterFormat.OCMF else any_.sample.encoding_method or method.value
    key = registry_text or next(
        (judged.claimed_text for judged in (end, begin) if judged and judged.claimed_text), None
    )
    return SignedData(encoding_method=named, signed_values=tuple(values), public_key=key)


def _signed_value(nature: str, judged: _Judged) -> SignedValue:
    payload = judged.unwrapped.payload
    try:
        plain = payload.decode()
    except UnicodeDecodeError:
        plain = judged.sample.raw
    return SignedValue(nature=nature, plain_data=plain, signed_data=base64.b64encode(payload).decode())
