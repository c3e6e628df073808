"""The signed meter values in the records of a session: exact bytes, verdicts, and which of them count. Pure.

The bytes are those in the frames that the charger sent. A copy elsewhere is compared with them, never judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hub.evidence.content import SignedText, TextPart
from wire.errors import MeterExportError
from wire.meter.export import SafeValue, ValueContext, safe_key_text, safe_xml
from wire.meter.record import MeterFormat
from wire.meter.registry import KeyPlace, KeyRegistry
from wire.meter.told import told_record
from wire.settling.arrival import Arrival
from wire.settling.judging import JudgedValue, judge_values
from wire.settling.signed import Ends


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedText:
    """A signed value, judged, and the number of the record that carries it."""

    seq: int
    value: JudgedValue = field(repr=False)


def carried_texts(arrival: Arrival, registry: KeyRegistry, place: KeyPlace | None) -> list[CarriedText]:
    """The signed values in a record of the session, in order; `place` is their meter's, None where it is not known."""
    judged = judge_values(arrival.values, place, lambda record, place: registry)
    return [CarriedText(seq=arrival.record.seq, value=value) for value in judged]


def told_texts(carried: Iterable[CarriedText], ends: Ends) -> Iterator[tuple[SignedText, bytes]]:
    """What the file says of each text, and its exact bytes; copies of one text are told once."""
    copies: dict[bytes, list[CarriedText]] = {}
    for one in carried:
        copies.setdefault(one.value.unwrapped.payload, []).append(one)
    for number, (payload, same) in enumerate(copies.items(), start=1):
        value = next((one.value for one in same if one.value in ends.in_order), same[0].value)
        text = SignedText(
            member=f"records/{number:04}.{_extension(value.unwrapped.format, payload)}",
            sha256=hashlib.sha256(payload).hexdigest(),
            seqs=tuple(dict.fromkeys(one.seq for one in same)),
            part=_part(value, ends),
            verdict=told_record(value.verdict, value.unwrapped),
            registered=None if value.known is None else value.known.fingerprint,
        )
        yield text, payload


def _part(value: JudgedValue, ends: Ends) -> TextPart:
    if value is ends.begin:
        return TextPart.BOTH if value is ends.end else TextPart.BEGIN
    if value is ends.end:
        return TextPart.END
    return TextPart.BETWEEN if value in ends.between else TextPart.NONE


def _extension(format_: MeterFormat, payload: bytes) -> str:
    if format_ is MeterFormat.OCMF:
        return "ocmf"
    return "txt" if payload.isascii() else "bin"


def values_xml(ends: Ends) -> bytes | None:
    """The texts at both ends as the transparency software imports them; None where it has no form for them."""
    if ends.end is None:
        return None
    if ends.begin is None or ends.begin is ends.end:
        values = [_safe_value(ends.end, None)]
    else:
        values = [_safe_value(ends.begin, ValueContext.BEGIN), _safe_value(ends.end, ValueContext.END)]
    try:
        return safe_xml(values)
    except MeterExportError:
        return None


def _safe_value(value: JudgedValue, context: ValueContext | None) -> SafeValue:
    key, format_ = value.known or value.offered, value.unwrapped.format
    return SafeValue(
        payload=value.unwrapped.payload,
        format=format_,
        public_key=None if key is None else safe_key_text(format_, key),
        transaction_id=None if context is None else 1,
        context=context,
    )
