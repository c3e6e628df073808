"""The signed meter values that a record of evidence carries. Pure.

Rules
1. Every signed value counts, wherever it stands and whatever became of its message. It is named by its record and by
   its `part`: 0, 1, ... in the order in which they stand.
2. A message that could not be used is searched as far as it can be read: as JSON, else text by text for anything that
   is a meter record.
3. Nothing raises, and a record has `MAX_PARTS` at most: what stands behind them is kept as evidence, unjudged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import msgspec

from wire.errors import WireError
from wire.meter.carrier import unwrap
from wire.meter.record import MeterFormat
from wire.ocpp.salvage import parse_recorded
from wire.ocpp.transaction import SignedSample, TransactionMessage
from wire.records import TransactionEntry, Value

MAX_PARTS = 1000
_MAX_DEPTH = 24
_SHORTEST = 40
"""Characters. No signed record is as short."""
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\Z)', re.DOTALL)


class CarriedValue(Value, frozen=True, kw_only=True):
    """A signed value and what its message says of it; `at` is None where the message could not be read so far."""

    part: int
    context: str
    signed: SignedSample
    at: datetime | None = None


def carried_values(message: TransactionMessage) -> tuple[CarriedValue, ...]:
    """The signed values of a message that was read."""
    signed = ((sample, sample.signed) for sample in message.samples if sample.signed is not None)
    return tuple(
        CarriedValue(part=part, context=sample.context, signed=value, at=sample.at)
        for part, (sample, value) in enumerate(islice(signed, MAX_PARTS))
    )


def salvaged_values(entry: TransactionEntry) -> tuple[CarriedValue, ...]:
    """The signed values in a message that could not be used, as far as its frame can be read. Never raises."""
    try:
        payload = getattr(parse_recorded(entry.frame), "payload", b"")
        found = _in_json(msgspec.json.decode(payload), "", 0)
    except (WireError, msgspec.MsgspecError, UnicodeError, RecursionError):
        found = _in_text(entry.frame)
    return tuple(
        CarriedValue(part=part, context=context, signed=signed)
        for part, (context, signed) in enumerate(islice(found, MAX_PARTS))
    )


def _in_json(value: object, context: str, depth: int) -> Iterator[tuple[str, SignedSample]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _in_json(item, context, depth + 1)
    if not isinstance(value, dict):
        return
    context = _text_of(value, "context") or context
    if isinstance(value.get("signedMeterData"), str):
        yield context, _sample_of(value)
    elif value.get("format") == "SignedData" and isinstance(value.get("value"), str):
        yield context, SignedSample(raw=_text_of(value, "value"))
    for item in value.values():
        yield from _in_json(item, context, depth + 1)


def _sample_of(value: dict[str, object]) -> SignedSample:
    return SignedSample(
        raw=_text_of(value, "signedMeterData"),
        encoding_method=_text_of(value, "encodingMethod"),
        signing_method=_text_of(value, "signingMethod"),
        public_key=_text_of(value, "publicKey"),
    )


def _text_of(value: dict[str, object], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _in_text(frame: str) -> Iterator[tuple[str, SignedSample]]:
    """What stands in quotes and turns out to be a meter record; without the key and the context of its envelope."""
    for match in _TEXT.finditer(frame):
        if len(match[1]) < _SHORTEST:
            continue
        try:
            text = str(json.loads(f'"{match[1]}"', strict=False)).encode("utf-8", "replace").decode()
        except ValueError:
            text = match[1]
        if unwrap(text).format is not MeterFormat.UNKNOWN:
            yield "", SignedSample(raw=text)
