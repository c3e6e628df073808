"""The signed meter values in the messages of a session: exact bytes, verdicts, what the meter showed. Pure.

The bytes are those in the frames that the charger sent. A copy elsewhere is compared with them, never judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from hub.arrival import Arrival
from hub.evidence.content import JudgedFinding, Judgement, ReadingShown, SignedText
from hub.judging import JudgedValue
from hub.signed import ends_of
from wire.errors import WireError
from wire.meter.carrier import unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.record import MeterFormat, MeterRecord, Reading
from wire.meter.registry import KeyPlace, KeyRegistry, RegisteredKey
from wire.meter.session import judge_session
from wire.meter.verdict import RecordVerdict
from wire.ocpp.transaction import SignedSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One signed text: its exact bytes, the first value that carried it, the records that hold it, its verdict."""

    payload: bytes = field(repr=False)
    sample: SignedSample = field(repr=False)
    seqs: tuple[int, ...]
    verdict: RecordVerdict


def carried_texts(arrivals: Iterable[Arrival], keys: Sequence[RegisteredKey], place: KeyPlace) -> tuple[Carried, ...]:
    """The signed texts in the session's records, in the order in which they came, each once. `place` is the meter's."""
    found: dict[bytes, tuple[SignedSample, list[int]]] = {}
    for arrival in arrivals:
        for value in arrival.values:
            _, seqs = found.setdefault(unwrap(value.signed.raw).payload, (value.signed, []))
            seqs.append(arrival.record.seq)
    registry = KeyRegistry(keys)
    return tuple(
        Carried(
            payload=payload,
            sample=sample,
            seqs=tuple(dict.fromkeys(seqs)),
            verdict=judge_record(
                unwrap(sample.raw), lambda record: registry.key_for(record, place), sample.public_key or None
            ),
        )
        for payload, (sample, seqs) in found.items()
    )


def parsed_key(text: str) -> PublicKey | None:
    """The key in `text`, None where there is none that can be read."""
    try:
        return parse_public_key(text)
    except WireError:
        return None


def counted(values: Iterable[JudgedValue]) -> tuple[bytes | None, bytes | None]:
    """The exact bytes that count as the begin and as the end of a session."""
    ends = ends_of(values)
    begin, end = (None if one is None else one.unwrapped.payload for one in (ends.begin, ends.end))
    return begin, end


def judgement_of(texts: Iterable[Carried], ends: tuple[bytes | None, bytes | None]) -> Judgement | None:
    """The verdict on the texts that count; None when there is no signed end."""
    verdicts = {one.payload: one.verdict for one in texts}
    begin, end = ends
    if end is None:
        return None
    session = judge_session((verdicts[end if begin is None else begin], verdicts[end]))
    duration = session.duration
    return Judgement(
        findings=tuple(
            JudgedFinding(code=found.code, severity=found.severity, message=found.message) for found in session.findings
        ),
        energy_wh=session.energy_wh,
        duration_s=None if duration is None else Decimal(duration // timedelta(microseconds=1)).scaleb(-6),
    )


def told_text(number: int, carried: Carried, ends: tuple[bytes | None, bytes | None]) -> SignedText:
    """What the file says of the text that is number `number` in it."""
    verdict, record = carried.verdict, carried.verdict.record
    return SignedText(
        member=f"records/{number:04}.{_extension(verdict.format, carried.payload)}",
        sha256=hashlib.sha256(carried.payload).hexdigest(),
        format=verdict.format,
        seqs=carried.seqs,
        part=_part(carried, ends),
        signature=verdict.signature,
        key_source=verdict.key_source,
        detail=verdict.detail,
        key_fingerprint=verdict.key_fingerprint,
        meter_serial=None if record is None else record.meter_serial or record.gateway_serial,
        pagination=None if record is None else _page(record),
        readings=() if record is None else tuple(_shown(reading) for reading in record.readings),
        deviations=tuple(dict.fromkeys(deviation.code for deviation in verdict.deviations)),
    )


def _part(carried: Carried, ends: tuple[bytes | None, bytes | None]) -> str | None:
    begin, end = ends
    if carried.payload == end:
        return "both" if begin in (None, end) else "end"
    return "begin" if carried.payload == begin else None


def _extension(format_: MeterFormat, payload: bytes) -> str:
    if format_ is MeterFormat.OCMF:
        return "ocmf"
    return "txt" if payload.isascii() else "bin"


def _page(record: MeterRecord) -> str | None:
    return None if record.pagination is None else f"{record.pagination.context.value}{record.pagination.number}"


def _shown(reading: Reading) -> ReadingShown:
    return ReadingShown(
        value=None if reading.value is None else f"{reading.value:f}",
        unit=reading.unit,
        register=reading.register,
        at=reading.at,
        clock=None if reading.clock is None else reading.clock.value,
        reason=None if reading.reason is None else reading.reason.value,
        status=None if reading.status is None else reading.status.value,
    )
