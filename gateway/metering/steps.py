"""How a verdict on a record came about, step by step, for people. Nothing is judged here: the steps are those of
`wire.meter.judge`, with the unwrapping before them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.metering.judged import JudgedRecord
from gateway.wording import counted
from wire.meter.record import MeterFormat, MeterRecord
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict

RULES = (
    "the carrier: what the record is wrapped in",
    "the record can be read",
    "the algorithm is one that is verified here",
    "there is a key",
    "the key is a point of the curve that the algorithm names",
    "the signature holds over exactly the bytes that were signed",
)
"""The steps in a few words, the first one being step 1."""

_CARRIER, _READ, _ALGORITHM, _KEY, _CURVE, _SIGNATURE = range(1, len(RULES) + 1)
_FAILED_AT = {
    SignatureVerdict.NO_KEY: _KEY,
    SignatureVerdict.BAD_KEY: _CURVE,
    SignatureVerdict.INVALID: _SIGNATURE,
}
_WHOSE = {
    KeySource.REGISTRY: "the key that you gave",
    KeySource.LEARNED: "a key that was learned and that nobody has confirmed",
    KeySource.CLAIMED: "only a claim: the key came along with the record, and whoever wrote the one wrote the other",
    KeySource.NONE: "none",
}


class StepOutcome(StrEnum):
    """How a step ended. ODD: passed, with a deviation or on a claim only."""

    PASSED = "passed"
    ODD = "odd"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step: its number, its rule, how it ended, and what it saw."""

    step: int
    rule: str
    outcome: StepOutcome
    said: str = ""


def explain(judged: JudgedRecord) -> tuple[StepReport, ...]:
    """All steps of one record, in order."""
    verdict = judged.verdict
    failed = failed_step(verdict)
    said = {
        _CARRIER: carrier_words(judged),
        _READ: _read_words(verdict.record),
        _ALGORITHM: "" if verdict.record is None else verdict.record.signature.algorithm,
        _KEY: whose_key(verdict),
        _CURVE: f"{verdict.curve}, key {verdict.key_fingerprint}",
        _SIGNATURE: ", ".join(verdict.fallbacks),
    }
    odd = _odd_steps(judged)
    reports = []
    for step, rule in enumerate(RULES, start=1):
        if failed is not None and step >= failed:
            at_fault = step == failed
            outcome = StepOutcome.FAILED if at_fault else StepOutcome.NOT_REACHED
            reports.append(StepReport(step=step, rule=rule, outcome=outcome, said=verdict.detail if at_fault else ""))
        else:
            outcome = StepOutcome.ODD if step in odd else StepOutcome.PASSED
            reports.append(StepReport(step=step, rule=rule, outcome=outcome, said=said[step]))
    return tuple(reports)


def failed_step(verdict: RecordVerdict) -> int | None:
    """The step that decided against the record; None for a valid one."""
    if verdict.signature is SignatureVerdict.VALID:
        return None
    if verdict.format is MeterFormat.UNKNOWN:
        return _CARRIER
    return _FAILED_AT.get(verdict.signature, _READ if verdict.record is None else _ALGORITHM)


def carrier_words(judged: JudgedRecord) -> str:
    """`OCMF, 540 bytes, out of base64`; whether it looks cut off."""
    carried = judged.given.carried
    layers = f", out of {', then '.join(layer.value for layer in carried.layers)}" if carried.layers else ""
    cut = ", cut off as it seems" if carried.cut else ""
    return f"{carried.format.value}, {counted(len(carried.payload), 'byte')}{layers}{cut}"


def whose_key(verdict: RecordVerdict) -> str:
    """Whose word the key is."""
    return _WHOSE[verdict.key_source]


def _read_words(record: MeterRecord | None) -> str:
    if record is None:
        return ""
    version = "" if record.format_version is None else f"format {record.format_version}, "
    return f"{version}{counted(len(record.readings), 'reading')}, {counted(len(record.deviations), 'deviation')}"


def _odd_steps(judged: JudgedRecord) -> set[int]:
    verdict = judged.verdict
    pointers = {deviation.pointer for deviation in verdict.deviations}
    found = {
        _CARRIER: judged.given.carried.cut,
        _READ: verdict.record is not None and bool(verdict.record.deviations),
        _ALGORITHM: "/signature/SA" in pointers,
        _KEY: verdict.key_source is not KeySource.REGISTRY or "/publicKey" in pointers,
        _SIGNATURE: bool(verdict.fallbacks),
    }
    return {step for step, is_odd in found.items() if is_odd}
