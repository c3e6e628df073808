"""Verdicts as a person reads them. Everything that a record says is printed with its control characters escaped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from rich.console import Console
from rich.text import Text

from gateway.metering.judged import Judged, JudgedRecord, JudgedSession
from gateway.metering.steps import StepOutcome, carrier_words, explain, whose_key
from gateway.wording import counted
from pki.service.naming import printable
from pki.service.screen import listing, print_hanging, print_listing
from wire.meter.record import Deviation, DeviationClass, MeterFormat, MeterRecord, Reading, UserAssignment
from wire.meter.safe import SafePrediction
from wire.meter.verdict import KeySource, RecordVerdict, Severity, SignatureVerdict

_GOOD, _ODD, _BAD, _QUIET = "bold green", "yellow", "bold red", "dim"
_VERDICT_STYLES = {
    SignatureVerdict.VALID: _GOOD,
    SignatureVerdict.INVALID: _BAD,
    SignatureVerdict.UNDECODABLE: _BAD,
}
_STEP_STYLES = {
    StepOutcome.PASSED: "green",
    StepOutcome.ODD: _ODD,
    StepOutcome.FAILED: _BAD,
    StepOutcome.NOT_REACHED: _QUIET,
}
_CLASS_STYLES = {
    DeviationClass.SPEC: _ODD,
    DeviationClass.ADVISORY: _QUIET,
    DeviationClass.SAFE_REJECT: _BAD,
}
_SEVERITY_STYLES = {Severity.FATAL: _BAD, Severity.HOLD: _ODD, Severity.NOTE: _QUIET}
_LABEL = 13
_MOST_READINGS = 50
_SAFE = "SAFE"


def show(console: Console, judged: Judged, *, with_steps: bool) -> None:
    """Every record, then every session."""
    for number, record in enumerate(judged.records, start=1):
        if number > 1:
            console.print()
        _show_record(
            console, record, f"record {number} of {len(judged.records)}" if len(judged.records) > 1 else "record"
        )
        if with_steps:
            _show_steps(console, record)
    for session in judged.sessions:
        console.print()
        _show_session(console, session)
    if not judged.sessions and len(judged.records) > 1:
        console.print()
        console.print(Text("Nothing says which of these records make a session; none was judged.", _QUIET))
    if console.is_terminal:
        _show_legend(console, judged)


def _show_legend(console: Console, judged: Judged) -> None:
    """What the letters mean that stand in the tables of readings."""
    readings = [
        reading
        for each in judged.records
        if each.verdict.record is not None
        for reading in each.verdict.record.readings[:_MOST_READINGS]
    ]
    columns: dict[str, set[StrEnum | None]] = {
        "CLOCK": {reading.clock for reading in readings},
        "WHY": {reading.reason for reading in readings},
        "STATUS": {reading.status for reading in readings},
    }
    told = []
    for heading, found in columns.items():
        letters = sorted((each.value, each.name.replace("_", " ").lower()) for each in found if each is not None)
        if letters:
            told.append(f"{heading}: {', '.join(f'{letter} {meaning}' for letter, meaning in letters)}")
    if told:
        console.print()
        print_hanging(console, Text(), "; ".join(told), _QUIET)


def _show_record(console: Console, judged: JudgedRecord, name: str) -> None:
    verdict = judged.verdict
    head = Text.assemble((verdict.signature.value, _VERDICT_STYLES.get(verdict.signature, "bold yellow")), "  ")
    print_hanging(console, head, f"{name}: {verdict.detail or _trust(verdict)}")
    _row(console, "carried as", carrier_words(judged))
    record = verdict.record
    if record is not None:
        for label, value in _who(record):
            _row(console, label, value)
    if verdict.key_fingerprint is not None:
        _row(console, "key", f"{verdict.key_fingerprint} on {verdict.curve}; {whose_key(verdict)}")
    if verdict.fallbacks:
        _row(console, "read as", ", ".join(verdict.fallbacks))
    if record is not None and record.readings:
        _show_readings(console, record.readings)
    for deviation in verdict.deviations:
        _show_deviation(console, deviation)
    if verdict.signature is SignatureVerdict.NO_KEY:
        _row(console, "next", "give the key with --public-key")
    if verdict.format is MeterFormat.UNKNOWN and _is_batch(judged.given.raw):
        _row(console, "next", "this looks like a JSON object on each line: if each asks for a verdict, give --batch")
    _show_safe(console, verdict.safe)


def _is_batch(raw: bytes | str) -> bool:
    """Whether there are several lines, each of them an object."""
    lines = raw.splitlines() if isinstance(raw, str) else raw.decode("latin-1").splitlines()
    return len(lines) > 1 and all(line.startswith("{") for line in lines)


def _trust(verdict: RecordVerdict) -> str:
    if verdict.key_source is KeySource.REGISTRY:
        return "signed with the key that you gave"
    return "fits the key that came along with it, which proves nothing: compare that key with the meter's nameplate"


def _who(record: MeterRecord) -> Iterator[tuple[str, str]]:
    """What signed, where, for whom."""
    page = record.pagination
    numbered = "without a page number" if page is None else f"page {page.context.value}{page.number}"
    yield "record", _joined(_beside(record.format.value, record.format_version), numbered)
    yield "algorithm", record.signature.algorithm
    firmware = None if record.meter_firmware is None else f"firmware {record.meter_firmware}"
    yield "meter", _joined(record.meter_serial, _beside(record.meter_vendor, record.meter_model), firmware)
    loss = record.loss_compensation
    if loss is not None:
        resistance = "" if loss.resistance is None else _beside(str(loss.resistance), loss.unit)
        yield "cable loss", _joined(loss.name, resistance)
    yield "gateway", _joined(record.gateway_serial, record.gateway_id, record.gateway_version)
    yield "charge point", _beside(record.charge_point_type, record.charge_point_id)
    yield "driver", _driver(record.user)
    yield "tariff", record.tariff_text or ""


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _driver(user: UserAssignment) -> str:
    level = None if user.level is None else f"level {user.level}"
    return _joined(_beside(user.type, user.data), level, " ".join(user.flags))


def _row(console: Console, label: str, value: str) -> None:
    if value:
        print_hanging(console, Text(f"  {label:<{_LABEL}}", _QUIET), value)


def _show_readings(console: Console, readings: tuple[Reading, ...]) -> None:
    table = listing("TIME", "CLOCK", "WHY", "REGISTER", "VALUE", "STATUS")
    for reading in readings[:_MOST_READINGS]:
        cells = (
            None if reading.at is None else reading.at.isoformat(sep=" ", timespec="seconds"),
            None if reading.clock is None else reading.clock.value,
            None if reading.reason is None else reading.reason.value,
            reading.register,
            _beside(None if reading.value is None else str(reading.value), reading.unit),
            _beside(None if reading.status is None else reading.status.value, reading.error_flags),
        )
        table.add_row(*(Text(printable(cell or "")) for cell in cells))
    print_listing(console, table)
    if len(readings) > _MOST_READINGS:
        console.print(Text(f"  and {counted(len(readings) - _MOST_READINGS, 'more reading')}, see --json", _QUIET))


def _beside(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _show_deviation(console: Console, deviation: Deviation) -> None:
    kind = deviation.deviation_class
    head = Text.assemble("  ", (f"{kind.value:<{_LABEL}}", _CLASS_STYLES[kind]))
    print_hanging(console, head, f"{deviation.code} at {deviation.pointer}: {deviation.message}")


def _show_safe(console: Console, prediction: SafePrediction | None) -> None:
    if prediction is None:
        return
    if prediction.accepts:
        _row(console, _SAFE, "the transparency software would take it")
        return
    _row(console, _SAFE, "the transparency software would refuse it:")
    for reason in prediction.reasons:
        _row(console, "", reason)


def _show_steps(console: Console, judged: JudgedRecord) -> None:
    console.print()
    for report in explain(judged):
        head = Text.assemble(f"{report.step:>3} ", (f"{report.outcome.value:<12}", _STEP_STYLES[report.outcome]))
        told = f"{report.rule}: {report.said}" if report.said else report.rule
        print_hanging(console, head, told, _QUIET if report.outcome is StepOutcome.NOT_REACHED else "")


def _shown_duration(length: timedelta) -> str:
    """`3 s`, `4 min 05 s`, `1 h 02 min`: whole seconds, and whole minutes from an hour on. --json has all of it."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _show_session(console: Console, session: JudgedSession) -> None:
    verdict = session.verdict
    word, style = ("billable", _GOOD) if verdict.is_billable else ("not billable", _BAD)
    name = "session" if session.transaction is None else f"session {session.transaction}"
    energy = "no energy can be told" if verdict.energy_wh is None else f"{verdict.energy_wh:f} Wh"
    took = "" if verdict.duration is None else f" in {_shown_duration(verdict.duration)}"
    print_hanging(console, Text.assemble((word, style), "  "), f"{name}: {energy}{took}")
    for finding in verdict.findings:
        head = Text.assemble("  ", (f"{finding.severity.value:<{_LABEL}}", _SEVERITY_STYLES[finding.severity]))
        print_hanging(console, head, f"{finding.code}: {finding.message}")
    _show_safe(console, verdict.safe)
