"""What chargers in the field do wrong, each as a switch of a simulated charger.

Only the way of telling is wrong: what the meter signed stays as it is, and the journals hold what was really sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from firmware_sim.outbox import Draft
from wire.records import encode


class Misdeed(StrEnum):
    """One misbehaviour."""

    SEQ_NO_ZERO = "seq-no-zero"
    """Every TransactionEvent has seqNo 0."""
    SAME_IDS = "same-ids"
    """A message that is sent again has its old message id."""
    TRANSACTION_ID_LOST = "transaction-id-lost"
    """A 1.6 charger names its transactions -1, though it was given their ids."""
    START_REPEATED = "start-repeated"
    STOP_REPEATED = "stop-repeated"
    """What begins or ends a transaction is said twice, under two message ids."""
    HISTORY_DUMPED = "history-dumped"
    """At its first connection it tells all transactions of its past once more."""
    PIPELINED = "pipelined"
    """It sends several CALLs without waiting for answers."""
    ODD_UNITS = "odd-units"
    """Values in Hz and Celcius, which 1.6 has no or another word for."""
    EXTRA_FIELDS = "extra-fields"
    """Fields that no schema knows."""
    DECIMALS_AS_TEXT = "decimals-as-text"
    """Numbers in quotes, with the digits of a binary fraction."""
    NO_REASON = "no-reason"
    """An end without its reason."""
    TYPE_CHANGES = "type-changes"
    """One card is of type Local in Authorize and of another in TransactionEvent."""
    CLOCK_AHEAD = "clock-ahead"
    CLOCK_BEHIND = "clock-behind"
    """Its clock is ten years off."""
    FRAMES_CUT = "frames-cut"
    """Every fifth frame is cut in the middle, when it is sent first."""
    BOOT_ON_RECONNECT = "boot-on-reconnect"
    """BootNotification after each lost connection."""
    FLOOD = "flood"
    """It sends heartbeats as fast as it can, and does not care for the answers."""


CLOCK_ERROR = timedelta(days=3652)
PIPELINE = 8
"""CALLs that a charger with `PIPELINED` has open at once."""
CUT_EVERY = 5

_any_json = msgspec.json.Decoder(float_hook=Decimal)


def misled(clock: Callable[[], datetime], faults: Collection[Misdeed]) -> Callable[[], datetime]:
    """The clock as the charger has it."""
    off = timedelta()
    if Misdeed.CLOCK_AHEAD in faults:
        off += CLOCK_ERROR
    if Misdeed.CLOCK_BEHIND in faults:
        off -= CLOCK_ERROR
    return lambda: clock() + off


def misspoken(drafts: Iterable[Draft], faults: Collection[Misdeed]) -> tuple[Draft, ...]:
    """The transaction messages as the charger says them."""
    if not faults:
        return tuple(drafts)
    return tuple(replace(_warped(draft, faults), repeats=int(_is_said_twice(draft, faults))) for draft in drafts)


def _is_said_twice(draft: Draft, faults: Collection[Misdeed]) -> bool:
    first = draft.action == "StartTransaction" or b'"Started"' in draft.payload
    return (draft.last and Misdeed.STOP_REPEATED in faults) or (first and Misdeed.START_REPEATED in faults)


def _warped(draft: Draft, faults: Collection[Misdeed]) -> Draft:
    fields = _any_json.decode(draft.payload)
    for misdeed, warp in _WARPS.items():
        if misdeed in faults:
            warp(fields)
    return replace(draft, payload=encode(fields))


def misnamed(payload: object, faults: Collection[Misdeed]) -> object:
    """The payload of Authorize as the charger says it."""
    if Misdeed.TYPE_CHANGES not in faults or not isinstance(payload, dict) or "idToken" not in payload:
        return payload
    return payload | {"idToken": payload["idToken"] | {"type": "Local"}}


def cut(frame: str, number: int, faults: Collection[Misdeed]) -> str:
    """The text that really leaves; `number` counts the frames of a charger from 1."""
    return frame[: len(frame) // 2] if Misdeed.FRAMES_CUT in faults and number % CUT_EVERY == 0 else frame


Fields = dict[str, object]


def _samples(fields: Fields) -> list[tuple[list[Fields], Fields]]:
    """Every list of sampled values with each value in it."""
    found = []
    for name in ("meterValue", "transactionData"):
        values = fields.get(name)
        for value in values if isinstance(values, list) else []:
            sampled = value["sampledValue"]
            found += [(sampled, sample) for sample in sampled]
    return found


def _seq_no_zero(fields: Fields) -> None:
    if "seqNo" in fields:
        fields["seqNo"] = 0


def _odd_units(fields: Fields) -> None:
    for sampled in {id(values): values for values, _ in _samples(fields)}.values():
        is_text = isinstance(sampled[0]["value"], str)
        for measurand, number, unit in (("Frequency", "49.98", "Hz"), ("Temperature", "31.5", "Celcius")):
            if is_text:
                sampled.append({"value": number, "measurand": measurand, "unit": unit})
            elif measurand == "Frequency":
                sampled.append({"value": Decimal(number), "measurand": measurand, "unitOfMeasure": {"unit": unit}})


def _extra_fields(fields: Fields) -> None:
    fields["vendorSpecific"] = {"boardTemperature": 41, "note": "not in any schema"}
    for _, sample in _samples(fields):
        sample["vendorQuality"] = "good"


def _decimals_as_text(fields: Fields) -> None:
    for _, sample in _samples(fields):
        if sample.get("format") == "SignedData":
            continue
        value = Decimal(str(sample["value"]))
        sample["value"] = f"{value}00000000002" if "." in f"{value}" else str(value)


def _no_reason(fields: Fields) -> None:
    fields.pop("reason", None)
    info = fields.get("transactionInfo")
    if isinstance(info, dict):
        info.pop("stoppedReason", None)


_WARPS: dict[Misdeed, Callable[[Fields], None]] = {
    Misdeed.SEQ_NO_ZERO: _seq_no_zero,
    Misdeed.ODD_UNITS: _odd_units,
    Misdeed.EXTRA_FIELDS: _extra_fields,
    Misdeed.DECIMALS_AS_TEXT: _decimals_as_text,
    Misdeed.NO_REASON: _no_reason,
}
