"""One reading of transaction messages, whatever OCPP version carries them. The gateway and the hub use the same one.

Rules
1. Nothing is refused for a length, an unknown enumeration value or an extra field; only a missing or mistyped field
   that the meaning hangs on makes a message unreadable.
2. Signed values keep the exact text that was carried; unpacking it is the business of wire.meter.
3. `content_key` names what a message says, not how it was sent: a resend under a new message id has the same key.

Source: OCPP 1.6 4.8, 4.10, 6.31, 6.45, 6.49; OCPP 2.0.1 Part 2 E; OCA "Signed Meter Values in OCPP" 3 and 4.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from wire.errors import MalformedValue
from wire.ocpp import v16, v201
from wire.records import TokenRef, TokenType, TransactionEvent, Value, decode

MAX_DIGITS = 40


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
            return _start16(decode(v16.StartTransaction, payload, action))
        if action == "StopTransaction":
            return _stop16(decode(v16.StopTransaction, payload, action))
        return _values16(decode(v16.MeterValues, payload, action))
    if action == "TransactionEvent":
        return _event201(decode(v201.TransactionEvent, payload, action))
    return _values201(decode(v201.MeterValues, payload, action))


def content_key(action: str, payload: bytes) -> bytes:
    """16 bytes that name the content of a message: equal for a resend, whatever its message id and white space.

    StartTransaction and StopTransaction are named by the fields that cannot be repeated by another session, because
    stations rebuild these messages after a reboot with the rest changed; everything else by the whole payload.
    """
    try:
        fields = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        fields = None
    if isinstance(fields, dict) and action == "StartTransaction":
        named: object = [fields.get(k) for k in ("connectorId", "idTag", "timestamp", "meterStart")]
    elif isinstance(fields, dict) and action == "StopTransaction":
        named = [fields.get(k) for k in ("transactionId", "idTag", "timestamp", "meterStop")]
    else:
        named = fields
    text = payload if named is None else msgspec.json.encode(named, order="deterministic")
    return hashlib.sha256(action.encode() + b"\0" + text).digest()[:16]


def _start16(request: v16.StartTransaction) -> TransactionMessage:
    return TransactionMessage(
        event=TransactionEvent.STARTED,
        at=_utc(request.timestamp),
        evse_id=request.connector_id,
        connector_id=request.connector_id,
        token=TokenRef(uid=request.id_tag, type=TokenType.RFID),
        register_wh=Decimal(request.meter_start),
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
    return tuple(_sample16(_utc(value.timestamp), sample) for value in values for sample in value.sampled_value)


def _sample16(at: datetime, sample: v16.SampledValue) -> Sampled:
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
}


def token_of(id_token: str, type_: str) -> TokenRef:
    """The token that an OCPP 2.0.1 idToken presents; types OCPI has no word for are OTHER."""
    return TokenRef(uid=id_token, type=_TOKEN_TYPES.get(type_.casefold(), TokenType.OTHER))


def _event201(request: v201.TransactionEvent) -> TransactionMessage:
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
    )


def _values201(request: v201.MeterValues) -> TransactionMessage:
    samples = _samples201(request.meter_value)
    if not samples:
        raise MalformedValue("MeterValues", "$.meterValue", "holds no sampled value")
    return TransactionMessage(
        event=TransactionEvent.METER_VALUES, at=samples[0].at, evse_id=request.evse_id, samples=samples
    )


def _samples201(values: tuple[v201.MeterValue, ...]) -> tuple[Sampled, ...]:
    return tuple(_sample201(_utc(value.timestamp), sample) for value in values for sample in value.sampled_value)


def _sample201(at: datetime, sample: v201.SampledValue) -> Sampled:
    signed = sample.signed_meter_value
    unit = sample.unit_of_measure or v201.UnitOfMeasure()
    return Sampled(
        at=at,
        context=sample.context,
        measurand=sample.measurand,
        value=sample.value,
        unit=unit.unit,
        energy_wh=_energy_wh(sample.measurand, sample.phase, sample.value, unit.unit, unit.multiplier),
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
    if len(text) > MAX_DIGITS:
        return None
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _energy_wh(measurand: str, phase: str | None, value: Decimal | None, unit: str, multiplier: int) -> Decimal | None:
    if value is None or phase is not None or measurand != "Energy.Active.Import.Register":
        return None
    if abs(value.adjusted()) > MAX_DIGITS or abs(multiplier) > MAX_DIGITS:
        return None
    scale = {"wh": 0, "kwh": 3}.get(unit.casefold())
    return None if scale is None else value.scaleb(scale + multiplier)


def _utc(at: datetime) -> datetime:
    """The instant in UTC; a charger's time without an offset is taken as UTC, as OCPP asks for (2.0.1 Part 2 2.1.4)."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
