"""One reading of transaction messages, whatever OCPP version carries them. The gateway and the hub use the same one.

Rules
1. A message that conforms to its schema is decoded once. One that does not is kept all the same, as `wire.ocpp.mend`
   has it: nothing is refused for a length, an unknown word or an extra field; only a missing or mistyped field that the
   meaning hangs on makes a message unreadable. Every quirk is told to `noticed`.
2. Signed values keep the exact text that was carried; unpacking it is the business of wire.meter.
3. What `wire.ocpp.content` calls the same message is read here to the same meaning.

Source: OCPP 1.6 4.8, 4.10, 6.31, 6.45, 6.49; OCPP 2.0.1 and 2.1 Part 2 E, J; OCA "Signed Meter Values in OCPP" 3, 4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp import v16, v21, v201
from wire.ocpp.mend import conforms, decoder_of, mend_transaction
from wire.ocpp.quirks import Noticed, Quirk, to_nobody
from wire.records import TokenRef, TokenType, TransactionEvent, Value

T = TypeVar("T")

MAX_DIGITS = 40
"""No meter shows more; a longer number, or one with a larger exponent, is no value."""
_EXACT = Context(prec=MAX_DIGITS)
"""Scaling rounds to the precision of its context, and every digit of a meter counts."""

_ENERGY = "Energy.Active.Import.Register"
"""The measurand where none is named."""
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")


class SignedSample(Value, frozen=True, kw_only=True):
    """A signed meter value as it was carried: `raw` is the exact text, still in its envelope."""

    raw: str
    encoding_method: str = ""
    signing_method: str = ""
    public_key: str = ""


class Sampled(Value, frozen=True, kw_only=True):
    """One sampled value, of `phase` or of all together. `energy_wh` is set for the total imported energy register only,
    in Wh."""

    at: datetime
    context: str
    measurand: str
    value: Decimal | None = None
    unit: str | None = None
    phase: str | None = None
    energy_wh: Decimal | None = None
    signed: SignedSample | None = None


class Unnamed(StrEnum):
    """A token that names nobody: the driver was not asked for one (NoAuthorization), or it has no characters."""

    NO_AUTHORIZATION = "no-authorization"
    EMPTY_TOKEN = "empty-token"


class TransactionMessage(Value, frozen=True, kw_only=True):
    """What a transaction message says. `register_wh` is 1.6's meterStart or meterStop. `unnamed` is why there is no
    `token` where the message has a place for one and it is filled.

    `transaction_id` is None for a 1.6 StartTransaction (the gateway gives the id) and for values outside a transaction.
    A 1.6 tag is typed RFID: the version has one kind of token; only an earlier Plug & Charge decision can tell more.
    `charging_state` is 2.x's word for what the EVSE does (Charging, SuspendedEV ...); 1.6 tells it elsewhere.
    `remote_start_id` and `reservation_id` name the command that the transaction came from, where there was one.
    """

    event: TransactionEvent
    at: datetime
    evse_id: int
    transaction_id: str | None = None
    connector_id: int | None = None
    token: TokenRef | None = None
    unnamed: Unnamed | None = None
    seq_no: int | None = None
    offline: bool | None = None
    register_wh: Decimal | None = None
    samples: tuple[Sampled, ...] = ()
    stop_reason: str | None = None
    trigger: str | None = None
    charging_state: str | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None


_ACTIONS = {
    v16.VERSION: v16.TRANSACTION_ACTIONS,
    v201.VERSION: v201.TRANSACTION_ACTIONS,
    v21.VERSION: v21.TRANSACTION_ACTIONS,
}


_LARGEST = 2**63 - 1
"""OCPP integers have 32 bits (2.0.1 Part 2 2.1.3); what no database holds says nothing, and is taken as left out."""
_NUMBERS = (
    ("evse_id", 0),
    ("connector_id", None),
    ("seq_no", None),
    ("remote_start_id", None),
    ("reservation_id", None),
)


def is_transaction_action(ocpp: str, action: str) -> bool:
    """Whether `action` is one whose loss costs money: it is stored before it is answered, and never refused."""
    return action in _ACTIONS[ocpp]


def read_transaction(ocpp: str, action: str, payload: bytes, noticed: Noticed = to_nobody) -> TransactionMessage:
    """What the transaction message `action` with `payload` says.

    Raises:
        MalformedValue: a field the meaning hangs on is missing or of another type; names the JSON path.
    """
    message = _meaning(ocpp, action, payload, noticed)
    for name, instead in _NUMBERS:
        number: int | None = getattr(message, name)
        if number is not None and abs(number) > _LARGEST:
            noticed(Quirk.OUT_OF_BOUNDS, f"{action} {name}")
            message = msgspec.structs.replace(message, **{name: instead})
    return message


def _meaning(ocpp: str, action: str, payload: bytes, noticed: Noticed) -> TransactionMessage:
    if ocpp == v16.VERSION:
        if action == "StartTransaction":
            return _start16(_read(v16.StartTransaction, payload, action, noticed), noticed)
        if action == "StopTransaction":
            return _stop16(_read(v16.StopTransaction, payload, action, noticed))
        return _values16(_read(v16.MeterValues, payload, action, noticed))
    messages = v21 if ocpp == v21.VERSION else v201
    if action == "TransactionEvent":
        return _event(_read(messages.TransactionEvent, payload, action, noticed), noticed)
    return _values(_read(messages.MeterValues, payload, action, noticed))


def _read(type_: type[T], payload: bytes, action: str, noticed: Noticed) -> T:
    try:
        message = decoder_of(type_).decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return mend_transaction(type_, payload, action, noticed)
    if not conforms(type_, payload):
        return mend_transaction(type_, payload, action, noticed)
    return message


def _start16(request: v16.StartTransaction, noticed: Noticed) -> TransactionMessage:
    named = bool(request.id_tag.strip())
    if not named:
        noticed(Quirk.EMPTY_TOKEN, "StartTransaction $.idTag")
    return TransactionMessage(
        event=TransactionEvent.STARTED,
        at=_utc(request.timestamp),
        evse_id=request.connector_id,
        connector_id=request.connector_id,
        token=TokenRef(uid=request.id_tag, type=TokenType.RFID) if named else None,
        unnamed=None if named else Unnamed.EMPTY_TOKEN,
        register_wh=Decimal(request.meter_start),
        reservation_id=request.reservation_id,
    )


def _stop16(request: v16.StopTransaction) -> TransactionMessage:
    return TransactionMessage(
        event=TransactionEvent.ENDED,
        at=_utc(request.timestamp),
        evse_id=0,
        transaction_id=str(request.transaction_id),
        token=TokenRef(uid=request.id_tag, type=TokenType.RFID) if request.id_tag else None,
        register_wh=Decimal(request.meter_stop),
        samples=_samples16(request.transaction_data),
        stop_reason=request.reason or "Local",
    )


def _values16(request: v16.MeterValues) -> TransactionMessage:
    samples = _samples16(request.meter_value)
    if not samples:
        raise MalformedValue("MeterValues", "$.meterValue", "holds no sampled value")
    return TransactionMessage(
        event=TransactionEvent.METER_VALUES,
        at=samples[0].at,
        evse_id=request.connector_id,
        connector_id=request.connector_id,
        transaction_id=None if request.transaction_id is None else str(request.transaction_id),
        samples=samples,
    )


def _samples16(values: tuple[v16.MeterValue, ...]) -> tuple[Sampled, ...]:
    stamped = ((_utc(value.timestamp), value.sampled_value) for value in values)
    return tuple([_sample16(at, sample) for at, samples in stamped for sample in samples])


def _sample16(at: datetime, sample: v16.SampledValue) -> Sampled:
    signed = SignedSample(raw=sample.value) if sample.format == "SignedData" else None
    measurand = sample.measurand or _ENERGY
    value = None if signed else _decimal(sample.value)
    return Sampled(
        at=at,
        context=sample.context or "Sample.Periodic",
        measurand=measurand,
        value=value,
        unit=sample.unit,
        phase=sample.phase,
        energy_wh=_energy_wh(sample.phase, value, sample.unit or "Wh", 0) if measurand == _ENERGY else None,
        signed=signed,
    )


_EVENTS = {
    "Started": TransactionEvent.STARTED,
    "Updated": TransactionEvent.UPDATED,
    "Ended": TransactionEvent.ENDED,
}
_TOKEN_TYPES = {
    "emaid": TokenType.EMAID,
    "iso14443": TokenType.RFID,
    "iso15693": TokenType.RFID,
    "central": TokenType.APP_USER,
    "directpayment": TokenType.AD_HOC_USER,
}


def token_of(id_token: str, type_: str) -> TokenRef:
    """The token that an OCPP 2.x idToken presents; types OCPI has no word for (VIN, EVCCID, ...) are OTHER."""
    return TokenRef(uid=id_token, type=_TOKEN_TYPES.get(type_.casefold(), TokenType.OTHER))


def _unnamed(token: v201.IdToken | v21.IdToken | None, noticed: Noticed) -> Unnamed | None:
    """NoAuthorization with an empty idToken is a start without a driver; with characters it is a token like another."""
    if token is None or token.id_token.strip():
        return None
    if token.type.casefold() == "noauthorization":
        return Unnamed.NO_AUTHORIZATION
    noticed(Quirk.EMPTY_TOKEN, "TransactionEvent $.idToken.idToken")
    return Unnamed.EMPTY_TOKEN


def _event(request: v201.TransactionEvent | v21.TransactionEvent, noticed: Noticed) -> TransactionMessage:
    if request.event_type not in _EVENTS:
        raise MalformedValue("TransactionEvent", "$.eventType", f"is {request.event_type!r}, not one of {[*_EVENTS]}")
    token, info = request.id_token, request.transaction_info
    unnamed = _unnamed(token, noticed)
    return TransactionMessage(
        event=_EVENTS[request.event_type],
        at=_utc(request.timestamp),
        evse_id=request.evse.id if request.evse else 0,
        connector_id=request.evse.connector_id if request.evse else None,
        transaction_id=info.transaction_id,
        token=token_of(token.id_token, token.type) if token is not None and unnamed is None else None,
        unnamed=unnamed,
        seq_no=request.seq_no,
        offline=request.offline,
        samples=_samples(request.meter_value),
        stop_reason=info.stopped_reason,
        trigger=request.trigger_reason,
        charging_state=info.charging_state,
        remote_start_id=info.remote_start_id,
        reservation_id=request.reservation_id,
    )


def _values(request: v201.MeterValues | v21.MeterValues) -> TransactionMessage:
    samples = _samples(request.meter_value)
    if not samples:
        raise MalformedValue("MeterValues", "$.meterValue", "holds no sampled value")
    return TransactionMessage(
        event=TransactionEvent.METER_VALUES, at=samples[0].at, evse_id=request.evse_id, samples=samples
    )


def _samples(values: Sequence[v201.MeterValue | v21.MeterValue]) -> tuple[Sampled, ...]:
    stamped = ((_utc(value.timestamp), value.sampled_value) for value in values)
    return tuple([_sample(at, sample) for at, samples in stamped for sample in samples])


def _sample(at: datetime, sample: v201.SampledValue | v21.SampledValue) -> Sampled:
    signed, of_measure = sample.signed_meter_value, sample.unit_of_measure
    unit = "Wh" if of_measure is None else of_measure.unit or "Wh"
    measurand, energy_wh = sample.measurand or _ENERGY, None
    value = _bounded(sample.value)
    if measurand == _ENERGY:
        energy_wh = _energy_wh(sample.phase, value, unit, (of_measure.multiplier if of_measure else None) or 0)
    return Sampled(
        at=at,
        context=sample.context or "Sample.Periodic",
        measurand=measurand,
        value=value,
        unit=unit,
        phase=sample.phase,
        energy_wh=energy_wh,
        signed=None
        if signed is None
        else SignedSample(
            raw=signed.signed_meter_data,
            encoding_method=signed.encoding_method,
            signing_method=signed.signing_method or "",
            public_key=signed.public_key or "",
        ),
    )


def _decimal(text: str) -> Decimal | None:
    """The number in `text`, None when there is none or it is too long to be a meter's."""
    if len(text) > MAX_DIGITS:
        return None
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number = Decimal(text.strip())
    return number if match[3] is None else _bounded(number)  # Without exponent it has no more digits than characters.


def _bounded(value: Decimal) -> Decimal | None:
    """The number as it is, None for what no meter shows: not a number, or out of all proportion."""
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
        return None
    # Counting digits takes ten times as long as writing them.
    return value if len(str(value)) <= MAX_DIGITS or len(value.as_tuple().digits) <= MAX_DIGITS else None


def _energy_wh(phase: str | None, value: Decimal | None, unit: str, multiplier: int) -> Decimal | None:
    """What the energy register shows, of all phases together."""
    if value is None or phase is not None:
        return None
    scale = {"wh": 0, "kwh": 3}.get(unit.casefold())
    if scale is None or abs(multiplier) > MAX_DIGITS:
        return None
    return value.scaleb(scale + multiplier, _EXACT)


def _utc(at: datetime) -> datetime:
    """The instant in UTC; a charger's time without an offset is taken as UTC, as OCPP asks for (2.0.1 Part 2 2.1.4).

    Raises:
        MalformedValue: the instant lies before the year 1 or after 9999 in UTC.
    """
    if at.tzinfo is UTC:
        return at
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise MalformedValue("timestamp", "$..timestamp", f"{at.isoformat()} lies outside the calendar") from error
