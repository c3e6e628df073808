"""A verdict as JSON tells it: one object a record, one a session. Only the shape is decided here.

Texts of the meter keep its digits: `value` and `energy_wh` of a reading are strings. A session's `energy_wh` and
`duration_s` are exact numbers, without exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec

from wire.meter.carrier import Unwrapped
from wire.meter.record import Deviation, LossCompensation, MeterRecord, Reading, UserAssignment
from wire.meter.safe import SafePrediction
from wire.meter.verdict import KeySource, RecordVerdict, SessionVerdict, SignatureVerdict
from wire.records import Value

_MICROSECONDS = Decimal(1_000_000)


class ToldDeviation(msgspec.Struct, frozen=True, kw_only=True, rename={"deviation_class": "class"}):
    """One deviation; `class` is `spec`, `advisory` or `safe-reject`."""

    code: str
    pointer: str
    deviation_class: str
    message: str


class ToldSafe(msgspec.Struct, frozen=True, kw_only=True):
    """What the SAFE transparency software would say if the signature holds."""

    accepts: bool
    reasons: tuple[str, ...]


class ToldReading(Value, frozen=True, kw_only=True):
    """One reading, carry-forward resolved; what the record does not say is left out. `time` is ISO 8601 in the meter's
    offset, `clock` its state, `value` has the digits as written, `energy_wh` is the same in Wh."""

    time: str | None = None
    clock: str | None = None
    reason: str | None = None
    value: str | None = None
    unit: str | None = None
    register: str | None = None
    energy_wh: str | None = None
    current: str | None = None
    cumulated_loss: str | None = None
    event_counter: str | None = None
    error_flags: str | None = None
    status: str | None = None


class ToldIdentification(Value, frozen=True, kw_only=True):
    """Whom the transaction was assigned to; `data` only where it was asked for."""

    assigned: bool | None = None
    level: str | None = None
    flags: tuple[str, ...] = ()
    type: str | None = None
    data: str | None = None


class ToldLoss(Value, frozen=True, kw_only=True):
    """The cable whose loss the meter takes off."""

    resistance: str | None = None
    unit: str | None = None
    name: str | None = None
    number: str | None = None


class ToldContent(Value, frozen=True, kw_only=True):
    """What a record says, in OCMF's terms; what it does not say is left out."""

    format_version: str | None = None
    algorithm: str
    pagination: str | None = None
    meter_serial: str | None = None
    meter_vendor: str | None = None
    meter_model: str | None = None
    meter_firmware: str | None = None
    charge_controller_firmware: str | None = None
    loss_compensation: ToldLoss | None = None
    gateway_id: str | None = None
    gateway_serial: str | None = None
    gateway_version: str | None = None
    charge_point_type: str | None = None
    charge_point_id: str | None = None
    tariff_text: str | None = None
    transaction: str | None = None
    identification: ToldIdentification | None = None
    readings: tuple[ToldReading, ...] = ()
    vendor_extensions: tuple[str, ...] = ()


class ToldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one record. `id` is whatever the asker called it, and left out where nobody asked by an id."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    format: str
    signature: SignatureVerdict
    key_source: KeySource
    curve: str | None
    key_fingerprint: str | None
    fallbacks: tuple[str, ...]
    layers: tuple[str, ...]
    cut: bool
    detail: str
    deviations: tuple[ToldDeviation, ...]
    safe: ToldSafe | None
    record: ToldContent | None


class ToldFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of a session; `severity` is `fatal`, `hold` or `note`."""

    code: str
    severity: str
    message: str


class ToldSession(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a session; None where the records do not say it."""

    findings: tuple[ToldFinding, ...]
    energy_wh: Decimal | None
    duration_s: Decimal | None
    billable: bool
    safe: ToldSafe | None


class ToldSessionRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a session and on its records. `signature` is `valid` if that of every record is, else that of the
    first that is not; `key_source` is the weakest."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    signature: SignatureVerdict
    key_source: KeySource
    records: tuple[ToldRecord, ...]
    session: ToldSession


_BY_TRUST = (KeySource.NONE, KeySource.CLAIMED, KeySource.LEARNED, KeySource.REGISTRY)


def told_record(
    verdict: RecordVerdict,
    carried: Unwrapped | None = None,
    *,
    id_: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET,
    with_identification: bool = False,
) -> ToldRecord:
    """The verdict for JSON. `carried` is what the record was unwrapped from. The user's identification is personal, and
    is in it only `with_identification`."""
    record = verdict.record
    return ToldRecord(
        id=id_,
        format=verdict.format.value,
        signature=verdict.signature,
        key_source=verdict.key_source,
        curve=verdict.curve,
        key_fingerprint=verdict.key_fingerprint,
        fallbacks=tuple(str(fallback) for fallback in verdict.fallbacks),
        layers=() if carried is None else tuple(layer.value for layer in carried.layers),
        cut=carried is not None and carried.cut,
        detail=verdict.detail,
        deviations=tuple(map(_deviation, verdict.deviations)),
        safe=_safe(verdict.safe),
        record=None if record is None else _content(record, with_identification),
    )


def told_session(verdict: SessionVerdict) -> ToldSession:
    """The verdict for JSON."""
    return ToldSession(
        findings=tuple(
            ToldFinding(code=found.code, severity=found.severity.value, message=found.message)
            for found in verdict.findings
        ),
        energy_wh=None if verdict.energy_wh is None else Decimal(f"{verdict.energy_wh:f}"),
        duration_s=None if verdict.duration is None else _seconds(verdict.duration),
        billable=verdict.is_billable,
        safe=_safe(verdict.safe),
    )


def told_session_records(
    records: Sequence[ToldRecord], session: ToldSession, *, id_: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
) -> ToldSessionRecords:
    """Both verdicts in one; at least one record."""
    bad = (record.signature for record in records if record.signature is not SignatureVerdict.VALID)
    return ToldSessionRecords(
        id=id_,
        signature=next(bad, SignatureVerdict.VALID),
        key_source=min((record.key_source for record in records), key=_BY_TRUST.index),
        records=tuple(records),
        session=session,
    )


def _deviation(deviation: Deviation) -> ToldDeviation:
    return ToldDeviation(
        code=deviation.code,
        pointer=deviation.pointer,
        deviation_class=deviation.deviation_class.value,
        message=deviation.message,
    )


def _safe(prediction: SafePrediction | None) -> ToldSafe | None:
    return None if prediction is None else ToldSafe(accepts=prediction.accepts, reasons=prediction.reasons)


def _content(record: MeterRecord, with_identification: bool) -> ToldContent:
    page = record.pagination
    return ToldContent(
        format_version=record.format_version,
        algorithm=record.signature.algorithm,
        pagination=None if page is None else f"{page.context.value}{page.number}",
        meter_serial=record.meter_serial,
        meter_vendor=record.meter_vendor,
        meter_model=record.meter_model,
        meter_firmware=record.meter_firmware,
        charge_controller_firmware=record.charge_controller_firmware,
        loss_compensation=None if record.loss_compensation is None else _loss(record.loss_compensation),
        gateway_id=record.gateway_id,
        gateway_serial=record.gateway_serial,
        gateway_version=record.gateway_version,
        charge_point_type=record.charge_point_type,
        charge_point_id=record.charge_point_id,
        tariff_text=record.tariff_text,
        transaction=record.transaction,
        identification=_identification(record.user, with_identification),
        readings=tuple(map(_reading, record.readings)),
        vendor_extensions=record.vendor_extensions,
    )


def _identification(user: UserAssignment, with_data: bool) -> ToldIdentification | None:
    if user == UserAssignment():
        return None
    return ToldIdentification(
        assigned=user.assigned,
        level=user.level,
        flags=user.flags,
        type=user.type,
        data=user.data if with_data else None,
    )


def _loss(loss: LossCompensation) -> ToldLoss:
    return ToldLoss(resistance=_digits(loss.resistance), unit=loss.unit, name=loss.name, number=_digits(loss.number))


def _reading(reading: Reading) -> ToldReading:
    return ToldReading(
        time=None if reading.at is None else reading.at.isoformat(timespec="milliseconds"),
        clock=None if reading.clock is None else reading.clock.value,
        reason=None if reading.reason is None else reading.reason.value,
        value=_digits(reading.value),
        unit=reading.unit,
        register=reading.register,
        energy_wh=None if reading.energy_wh is None else f"{reading.energy_wh:f}",
        current=None if reading.current is None else reading.current.value,
        cumulated_loss=_digits(reading.cumulated_loss),
        event_counter=_digits(reading.event_counter),
        error_flags=reading.error_flags,
        status=None if reading.status is None else reading.status.value,
    )


def _seconds(duration: timedelta) -> Decimal:
    """Exact; whole seconds without a fraction."""
    seconds = Decimal(duration // timedelta(microseconds=1)) / _MICROSECONDS
    return seconds.to_integral_value() if duration.microseconds == 0 else seconds


def _digits(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
