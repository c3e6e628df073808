"""The page in an evidence file, for the driver who is asked to pay. Pure but for reading its template.

Rules
1. It says what `evidence.json` says and nothing else, so it can be made again and compared, byte by byte.
2. It asks nobody for anything: no script, no picture, no font, no link. A policy in its head says so to the browser.
3. Every value is escaped by the template engine, and what does not print is spelt out before that.
4. Green, amber and red differ in shape and in words as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from hub.evidence.checks import log_keys, shown_amount
from hub.evidence.content import Evidence, SignedText, Step, StepOutcome, TextPart
from hub.evidence.wording import key_words, plain_words, token_words
from wire.meter.registry import KeyState, RegisteredKey
from wire.meter.told import ToldReading
from wire.ocpi.pricing_amounts import after_taxes, plus
from wire.ocpi.tariffs import TaxIncluded
from wire.records import Cdr, PriceComponent, TariffDimension

EDITION = 4
"""Raised with every change of the bytes of a page or of `values.xml`: those of another edition are not compared."""

_QUESTIONS = {
    Step.RECORDS: "Are the records unchanged?",
    Step.LOG: "Are they in the log of the site, and is that log whole?",
    Step.METER: "Did the meter sign its readings?",
    Step.SESSION: "Do the records make this session, with nothing left out?",
    Step.DECISION: "Was this contract or card allowed to charge?",
    Step.BILL: "Do energy, time and price follow from that?",
}
_ANSWERS = {StepOutcome.HOLDS: "Yes.", StepOutcome.OPEN: "Not proven.", StepOutcome.BROKEN: "No."}
_OVERALL = {
    StepOutcome.HOLDS: ("Everything fits", "checked by the hub that made this file, from meter to price"),
    StepOutcome.OPEN: (
        "Nothing speaks against it, but not everything is proven",
        "checked by the hub that made this file",
    ),
    StepOutcome.BROKEN: ("This does not fit", "checked by the hub that made this file"),
}
_CLOCKS = {
    "S": "clock synchronised",
    "R": "good for durations",
    "I": "clock informative only",
    "U": "clock state unknown",
}
_REASONS = {"B": "begin", **dict.fromkeys("ELRAP", "end"), "T": "tariff change"}
_WEIGHT = (KeyState.PINNED, KeyState.RETIRED, KeyState.LEARNED, KeyState.QUARANTINED)
_LONGEST_TEXT = 20_000
"""Characters of a signed value that a page shows; a longer one is in its own member."""


def render_page(evidence: Evidence, contents: Mapping[str, bytes], digest: str) -> bytes:
    """The page (UTF-8) for what `evidence` says; `contents` are its signed texts by member, `digest` is the SHA-256 of
    `evidence.json`. About 2 ms."""
    facts = {
        **_facts(evidence),
        "readings": list(_readings(evidence.texts)),
        "price_lines": list(_price_lines(evidence.cdr)),
        "taxes": list(_taxes(evidence.cdr)),
        "checks": [
            {
                "outcome": check.outcome.value,
                "question": _QUESTIONS.get(check.step, check.step.value),
                "answer": _ANSWERS[check.outcome],
                "details": [plain_words(detail) for detail in check.details],
            }
            for check in evidence.checks
        ],
        "signers": list(_signers(evidence)),
        "keys": list(_keys(evidence)),
        "texts": [_text(text, contents.get(text.member, b"")) for text in evidence.texts],
        "has_values": evidence.has_values,
        "digest": digest,
    }
    return _template().render(facts).encode()


def _printable(value: object) -> str:
    """The value as text in which everything prints: control characters and marks of direction are spelt out."""
    if isinstance(value, Markup):  # What a macro made: its parts went through here.
        return value
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode() for each in str(value)
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2")


def _facts(evidence: Evidence) -> dict[str, object]:
    session, cdr = evidence.session, evidence.cdr
    zone, signed_s = _zone(evidence.texts), evidence.outcome.duration_s
    seconds = cdr.end_date_time - cdr.start_date_time if signed_s is None else timedelta(seconds=int(signed_s))
    unsigned = any(finding.startswith("unsigned-energy:") for finding in cdr.findings)
    overall = max((check.outcome for check in evidence.checks), key=list(StepOutcome).index, default=StepOutcome.OPEN)
    return {
        "session_id": session.id,
        "overall": overall.value,
        "overall_word": _OVERALL[overall][0],
        "overall_words": _OVERALL[overall][1],
        "began": _shown_time(cdr.start_date_time, zone),
        "ended": _shown_time(cdr.end_date_time, zone),
        "charger_id": session.charger_id,
        "evse_id": session.evse_id,
        "gateway_id": session.gateway_id,
        "contract": f"contract {cdr.cdr_token.contract_id}",
        "token": token_words(cdr.cdr_token.type, cdr.cdr_token.uid),
        "duration": _shown_duration(seconds),
        "duration_source": "as the station told it" if signed_s is None else "by the meter's clock",
        "energy": f"{cdr.total_energy:f}",
        "energy_source": "not signed by the meter" if unsigned else "signed by the meter",
        "cost": shown_amount(cdr.total_cost.before_taxes),
        "with_taxes": shown_amount(after_taxes(cdr.total_cost)),
        "shown": None if cdr.quote is None else cdr.quote.text,
        "currency": cdr.currency,
        "bill_findings": [plain_words(finding) for finding in _bill_findings(cdr.findings)],
        "reviews": [text.partition(": ")[2] for text in session.findings if text.startswith("reviewed: ")],
        "made_at": _shown_time(evidence.made_at, UTC),
        "issuer": evidence.issuer or "whoever sent you the bill",
        "program": evidence.program,
        "version": evidence.version,
    }


def _bill_findings(findings: Sequence[str]) -> Iterator[str]:
    """The first finding of each kind, and how many more there are: each of them stands below what was checked."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        kinds.setdefault(finding.partition(":")[0], []).append(finding)
    for first, *more in kinds.values():
        yield f"{first}, and {len(more)} more like it" if more else first


def _zone(texts: Sequence[SignedText]) -> tzinfo:
    """The offset of the meter's own clock, UTC without one."""
    times = (_instant(reading.time) for text in texts for reading in _readings_of(text))
    return next((at.tzinfo for at in times if at is not None and at.tzinfo is not None), UTC)


def _readings_of(text: SignedText) -> Sequence[ToldReading]:
    return () if text.verdict.record is None else text.verdict.record.readings


def _instant(text: str | None) -> datetime | None:
    """The instant in `text`, None where there is none."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None


def _shown_time(at: datetime, zone: tzinfo) -> str:
    try:
        there = at.astimezone(zone)
    except OverflowError:  # At an end of the calendar: a station whose clock was never set.
        there = at
    offset = there.strftime("%z")
    return f"{there:%Y-%m-%d %H:%M:%S} {'UTC' if offset == '+0000' else f'UTC{offset[:3]}:{offset[3:5]}'}"


def _shown_duration(length: timedelta) -> str:
    minutes, seconds = divmod(max(int(length.total_seconds()), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"


def _readings(texts: Sequence[SignedText]) -> Iterator[dict[str, str]]:
    """The readings at both ends of the session, the begin first."""
    order = list(TextPart)
    for text in sorted((text for text in texts if text.part.is_end), key=lambda text: order.index(text.part)):
        for reading in _readings_of(text):
            yield _reading(text, reading)


def _reading(text: SignedText, reading: ToldReading) -> dict[str, str]:
    at, content = _instant(reading.time), text.verdict.record
    serial = None if content is None else content.meter_serial or content.gateway_serial
    return {
        "what": _REASONS.get(reading.reason or "", "in between") if text.part is TextPart.BOTH else text.part.value,
        "value": f"{reading.value or 'none'} {reading.unit or ''}".strip(),
        "at": reading.time or "none" if at is None else _shown_time(at, at.tzinfo or UTC),
        "clock": _CLOCKS.get(reading.clock or "", "clock state not told"),
        "register": reading.register or "not named",
        "page": _page_of(text),
        "serial": serial or "without a serial",
    }


def _page_of(text: SignedText) -> str:
    content = text.verdict.record
    return "no number" if content is None or content.pagination is None else content.pagination


def _price_lines(cdr: Cdr) -> Iterator[dict[str, str]]:
    """What each component costs, before taxes; a bill of an earlier version names one price of each kind alone."""
    for line in cdr.price_components:
        due = _due(line, cdr)
        unit = cdr.currency if line.type is TariffDimension.FLAT else f"{cdr.currency} per {_PER[line.type]}"
        if cdr.tariff is not None and cdr.tariff.tax_included is TaxIncluded.YES:
            unit += ", taxes included"
        if due or line.type is TariffDimension.ENERGY:
            yield {
                "what": _WHAT[line.part or "", line.type] if line.part == _RESERVED else _WHAT["", line.type],
                "amount": _amount(line, cdr),
                "price": f"{line.price:f} {unit}",
                "sum": shown_amount(due),
            }
    listed = plus(*(_due(line, cdr) for line in cdr.price_components))
    if cdr.tariff is not None and listed != cdr.total_cost.before_taxes:
        rest = plus(cdr.total_cost.before_taxes, -listed)
        yield {"what": "Limit of the tariff", "amount": "", "price": "", "sum": shown_amount(rest)}


_RESERVED = "reservation"
_PER = {TariffDimension.ENERGY: "kWh", TariffDimension.TIME: "h", TariffDimension.PARKING_TIME: "h"}
_WHAT = {
    ("", TariffDimension.ENERGY): "Energy",
    ("", TariffDimension.TIME): "Time of charging",
    ("", TariffDimension.PARKING_TIME): "Time of parking",
    ("", TariffDimension.FLAT): "Session fee",
    (_RESERVED, TariffDimension.TIME): "Time of reservation",
    (_RESERVED, TariffDimension.FLAT): "Reservation fee",
}


def _due(line: PriceComponent, cdr: Cdr) -> Decimal:
    if line.cost is not None:
        return line.cost.before_taxes
    return line.price * cdr.total_energy if line.type is TariffDimension.ENERGY else line.price


def _amount(line: PriceComponent, cdr: Cdr) -> str:
    """What was billed, and what was used where a step rounded it up."""
    if line.type is TariffDimension.FLAT:
        return "once"
    unit = "kWh" if line.type is TariffDimension.ENERGY else "h"
    billed = cdr.total_energy if line.billed is None else line.billed
    step = "" if line.used in (None, billed) else f", {line.used:f} used"
    return f"{billed:f} {unit}{step}"


def _taxes(cdr: Cdr) -> Iterator[dict[str, str]]:
    """Each tax of the total, with its rate."""
    for tax in cdr.total_cost.taxes:
        rate = "" if tax.percentage is None else f" {tax.percentage:f} %"
        yield {"what": f"{tax.name}{rate}", "sum": shown_amount(tax.amount)}


def _signers(evidence: Evidence) -> Iterator[dict[str, str]]:
    for key in _each_key(evidence):
        yield {"who": "Meter", "what": "the readings; its key stands below", "key": f"fingerprint {key.fingerprint}"}
    roles = {
        "log": ("Site", f"the log of {evidence.gateway_id}, where the session was recorded"),
        "hub": ("Hub", "that it saw the same log, and this file"),
    }
    for role, public_key in dict.fromkeys(log_keys(evidence.chains)):
        yield {"who": roles[role][0], "what": roles[role][1], "key": f"key {public_key}"}


def _keys(evidence: Evidence) -> Iterator[dict[str, object]]:
    for key in _each_key(evidence):
        yield {"words": key_words(key), "text": key.public_key}


def _each_key(evidence: Evidence) -> Iterable[RegisteredKey]:
    """Each meter key once, by the row of the registry that says most for it: a key that a station told and that was
    then read off its nameplate has two."""
    best: dict[str, RegisteredKey] = {}
    for row in sorted(evidence.keys, key=lambda row: _WEIGHT.index(row.state)):
        best.setdefault(row.public_key, row)
    return best.values()


def _text(text: SignedText, content: bytes) -> dict[str, str]:
    shown = ""
    if len(content) <= _LONGEST_TEXT:
        try:
            shown = content.decode()
        except UnicodeDecodeError:
            shown = ""
    if not shown.isprintable():
        shown = ""  # Copied from a page, a line end would be another one.
    where = "record" if len(text.seqs) == 1 else "records"
    words = f"member {text.member}, in {where} {', '.join(map(str, text.seqs))} of the log"
    words = f"{words}; {text.verdict.format}, signature {text.verdict.signature.value}"
    if text.verdict.safe is not None and not text.verdict.safe.accepts:
        words += f"; the transparency software is expected to refuse it: {', '.join(text.verdict.safe.reasons)}"
    return {
        "page": _page_of(text),
        "what": text.part.value,
        "words": words if shown else f"{words}. It is no plain line of text: take the member of this file.",
        "text": shown,
    }
