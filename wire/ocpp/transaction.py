"""One reading of transaction messages, whatever OCPP version carries them. The gateway and the hub use the same one.

Rules
1. Nothing is refused for a length, an unknown enumeration value or an extra field; only a missing or mistyped field
   that the meaning hangs on makes a message unreadable.
2. Signed values keep the exact text that was carried; unpacking it is the business of wire.meter.
3. `content_key` names what a message says, not how it was sent: a resend under a new message id has the same key.
4. An optional field that is null was left out: the standard forbids it, stations do it (2.0.1 Part 4 4.1.5).

Source: OCPP 1.6 4.8, 4.10, 6.31, 6.45, 6.49; OCPP 2.0.1 Part 2 E; OCA "Signed Meter Values in OCPP" 3 and 4.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp import tolerant, v16, v201
from wire.records import TokenRef, TokenType, TransactionEvent, Value, decode

T = TypeVar("T")

MAX_DIGITS = 40
"""No meter shows more; a longer number, or one with a larger exponent, is no value."""

_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*")
_NAMED_BY = {
    "StartTransaction": (("connectorId", "idTag", "timestamp", "meterStart"), ()),
    "StopTransaction": (("transactionId", "timestamp", "meterStop"), ("idTag",)),
}
"""The fields that no other session can repeat: those that must be there, and those that may be."""

_any_json = msgspec.json.Decoder(float_hook=Decimal)
_one_text = msgspec.json.Encoder(decimal_format="number", order="deterministic")


class SignedSample(Value, frozen=True, kw_only=True):
    """A signed meter value as it was carried: `raw` is the exact text, still in its envelope."""

    raw: str
    encoding_method: str = ""
    signing_method: str = ""
    public_key: str = ""


class Sampled(Value, frozen=True, kw_only=True):
    """One sampled value. `energy_wh` is set for the total imported energy register only, in Wh."""

    at: datetime
    context: str
    measurand: str
    value: Decimal | None = None
    unit: str | None = None
    energy_wh: Decimal | None = None
    signed: SignedSample | None = None


class TransactionMessage(Value, frozen=True, kw_only=True):
    """What a transaction message says. `register_wh` is 1.6's meterStart or meterStop.

    `transaction_id` is None for a 1.6 StartTransaction (the gateway gives the id) and for values outside a transaction.
    A 1.6 tag is typed RFID: the version has one kind of token; only an earlier Plug & Charge decision can tell more.
    """

    event: TransactionEvent
    at: datetime
    evse_id: int
    transaction_id: str | None = None
    connector_id: int | None = None
    token: TokenRef | None = None
    seq_no: int | None = None
    offline: bool | None = None
    register_wh: Decimal | None = None
    samples: tuple[Sampled, ...] = ()
    stop_reason: str | None = None
    remote_start_id: int | None = None


def is_transaction_action(ocpp: str, action: str) -> bool:
    """Whether `action` is one whose loss costs money: it is stored before it is answered, and never refused."""
    return action in (v16.TRANSACTION_ACTIONS if ocpp == v16.VERSION else v201.TRANSACTION_ACTIONS)


def read_transaction(ocpp: str, action: str, payload: bytes) -> TransactionMessage:
    """What the transaction message `action` with `payload` says.

    Raises:
        MalformedValue: a field the meaning hangs on is missing or of another type; names the JSON path.
    """
    if ocpp == v16.VERSION:
        if action == "StartTransaction":
            return _start16(_read(tolerant.StartTransaction, payload, action))
        if action == "StopTransaction":
            return _stop16(_read(tolerant.StopTransaction, payload, action))
        return _values16(_read(tolerant.MeterValues16, payload, action))
    if action == "TransactionEvent":
        return _event201(_read(tolerant.TransactionEvent, payload, action))
    return _values201(_read(tolerant.MeterValues, payload, action))


def content_key(action: str, payload: bytes) -> bytes:
    """16 bytes that name the content of a message: equal for a resend, whatever its message id and white space.

    StartTransaction and StopTransaction are named by the fields that cannot be repeated by another session, because
    stations rebuild these messages after a reboot with the rest changed. Everything else, and one of these that lacks
    such a field, is named by the whole payload, its numbers with all their digits; what is not JSON by its bytes.
    """
    try:
        fields = _tree(payload)
        required, optional = _NAMED_BY.get(action, ((), ()))
        if required and isinstance(fields, dict) and all(fields.get(key) is not None for key in required):
            fields = {key: fields.get(key) for key in required + optional}
        text = _one_text.encode(fields)
    except (MalformedValue, RecursionError):
        text = payload
    return hashlib.sha256(action.encode() + b"\0" + text).digest()[:16]


def payload_key(action: str, payload: bytes) -> bytes:
    """16 bytes that name a whole payload, whatever its white space and the order of its keys."""
    try:
        text = _one_text.encode(_tree(payload))
    except (MalformedValue, RecursionError):
        text = payload
    return hashlib.sha256(b"whole\0" + action.encode() + b"\0" + text).digest()[:16]


def _read(type_: type[T], payload: bytes, action: str) -> T:
    """The request in `payload`, read once more without its nulls when they may be what stands in the way."""
    try:
        return decode(type_, payload, action)
    except MalformedValue:
        if b"null" not in payload:
            raise
    return decode(type_, _one_text.encode(_without_nulls(_tree(payload))), action)


def _tree(payload: bytes) -> object:
    """Whatever JSON value `payload` holds, numbers with all their digits. Raises MalformedValue."""
    try:
        value: object = _any_json.decode(payload)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        raise MalformedValue("payload", "$", f"not JSON: {error}") from error
    return value


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(held) for key, held in value.items() if held is not None}
    return [_without_nulls(held) for held in value] if isinstance(value, list) else value


def _start16(request: tolerant.StartTransaction) -> TransactionMessage:
    return TransactionMessage(
        event=TransactionEvent.STARTED,
        at=_utc(request.timestamp),
        evse_id=request.connector_id,
        connector_id=request.connector_id,
        token=TokenRef(uid=request.id_tag, type=TokenType.RFID),
        register_wh=Decimal(request.meter_start),
    )


def _stop16(request: tolerant.StopTransaction) -> TransactionMessage:
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


def _values16(request: tolerant.MeterValues16) -> TransactionMessage:
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


def _samples16(values: tuple[tolerant.MeterValue16, ...]) -> tuple[Sampled, ...]:
    return tuple(_sample16(_utc(value.timestamp), sample) for value in values for sample in value.sampled_value)


def _sample16(at: datetime, sample: tolerant.SampledValue16) -> Sampled:
    signed = SignedSample(raw=sample.value) if sample.format == "SignedData" else None
    measurand = sample.measurand or "Energy.Active.Import.Register"
    value = None if signed else _decimal(sample.value)
    return Sampled(
        at=at,
        context=sample.context or "Sample.Periodic",
        measurand=measurand,
        value=value,
        unit=sample.unit,
        energy_wh=_energy_wh(measurand, sample.phase, value, sample.unit or "Wh", 0),
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
    """The token that an OCPP 2.0.1 idToken presents; types OCPI has no word for are OTHER."""
    return TokenRef(uid=id_token, type=_TOKEN_TYPES.get(type_.casefold(), TokenType.OTHER))


def _event201(request: tolerant.TransactionEvent) -> TransactionMessage:
    if request.event_type not in _EVENTS:
        raise MalformedValue("TransactionEvent", "$.eventType", f"is {request.event_type!r}, not one of {[*_EVENTS]}")
    token = request.id_token
    # NoAuthorization carries an empty idToken: a session without a driver, not a driver's token.
    presented = token is not None and token.type.casefold() != "noauthorization" and token.id_token
    return TransactionMessage(
        event=_EVENTS[request.event_type],
        at=_utc(request.timestamp),
        evse_id=request.evse.id if request.evse else 0,
        connector_id=request.evse.connector_id if request.evse else None,
        transaction_id=request.transaction_info.transaction_id,
        token=token_of(token.id_token, token.type) if token is not None and presented else None,
        seq_no=request.seq_no,
        offline=request.offline,
        samples=_samples201(request.meter_value),
        stop_reason=request.transaction_info.stopped_reason,
        remote_start_id=request.transaction_info.remote_start_id,
    )


def _values201(request: tolerant.MeterValues) -> TransactionMessage:
    samples = _samples201(request.meter_value)
    if not samples:
        raise MalformedValue("MeterValues", "$.meterValue", "holds no sampled value")
    return TransactionMessage(
        event=TransactionEvent.METER_VALUES, at=samples[0].at, evse_id=request.evse_id, samples=samples
    )


def _samples201(values: tuple[tolerant.MeterValue, ...]) -> tuple[Sampled, ...]:
    return tuple(_sample201(_utc(value.timestamp), sample) for value in values for sample in value.sampled_value)


def _sample201(at: datetime, sample: tolerant.SampledValue) -> Sampled:
    signed = sample.signed_meter_value
    unit = sample.unit_of_measure or tolerant.UnitOfMeasure()
    value = _bounded(sample.value)
    return Sampled(
        at=at,
        context=sample.context,
        measurand=sample.measurand,
        value=value,
        unit=unit.unit,
        energy_wh=_energy_wh(sample.measurand, sample.phase, value, unit.unit, unit.multiplier),
        signed=None
        if signed is None
        else SignedSample(
            raw=signed.signed_meter_data,
            encoding_method=signed.encoding_method,
            signing_method=signed.signing_method,
            public_key=signed.public_key,
        ),
    )


def _decimal(text: str) -> Decimal | None:
    """The number in `text`, None when there is none or it is too long to be a meter's."""
    return _bounded(Decimal(text.strip())) if len(text) <= MAX_DIGITS and _NUMBER.fullmatch(text) else None


def _bounded(value: Decimal) -> Decimal | None:
    """The number as it is, None for what no meter shows: not a number, or out of all proportion."""
    if not value.is_finite() or len(value.as_tuple().digits) > MAX_DIGITS or abs(value.adjusted()) > MAX_DIGITS:
        return None
    return value


def _energy_wh(measurand: str, phase: str | None, value: Decimal | None, unit: str, multiplier: int) -> Decimal | None:
    if value is None or phase is not None or measurand != "Energy.Active.Import.Register":
        return None
    scale = {"wh": 0, "kwh": 3}.get(unit.casefold())
    if scale is None or abs(multiplier) > MAX_DIGITS:
        return None
    sign, digits, exponent = value.as_tuple()
    # Not scaleb: it rounds to the context's precision, and every digit of a meter counts.
    return Decimal((sign, digits, int(exponent) + scale + multiplier))


def _utc(at: datetime) -> datetime:
    """The instant in UTC; a charger's time without an offset is taken as UTC, as OCPP asks for (2.0.1 Part 2 2.1.4).

    Raises:
        MalformedValue: the instant lies before the year 1 or after 9999 in UTC.
    """
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise MalformedValue("timestamp", "$..timestamp", f"{at.isoformat()} lies outside the calendar") from error
