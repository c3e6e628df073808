"""Would the SAFE transparency software accept it?

A customer checks a bill with that software, so a record that it refuses is worth little to him however valid it is.
What is said here was read in its source, version 1.4.1, and holds for a signature that verifies. Like the software, and
unlike `wire.meter.ocmf`, this reads every reading as it was written: of the fields carried forward it knows ST and RU.

The rules, and the codes of those that refuse:
1. sections and text          text-encoding
2. the format's version       version-missing, version-form, version-new
3. types of the fields        wrong-type, duplicate-key
4. the signature section      algorithm, algorithm-in-payload, curve, hash, signature-encoding, signature-form
5. the page                   pagination
6. the readings               value-form; for a record with both ends, and for a pair, all below
7. both ends that count       begin-count, end-count, status-missing, unit-missing, value-missing, register-falling,
                              time-falling, identification-level, meter-status, clock-missing, clock-relative,
                              event-counter, energy-unusable
8. a pair of records          no-pair, begin-in-end, end-in-begin, two-keys
Not compared by the software: serials, page numbers, identification, units, registers of the two ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from wire.meter.json_text import JSONObject, parse_number, parse_section
from wire.meter.record import ID_ERROR_LEVELS, MeterFormat, MeterRecord

_DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
_CURVES = frozenset(
    {
        *("secp192k1", "secp192r1", "secp224k1", "secp224r1", "secp256k1", "secp256r1", "secp384r1", "secp521r1"),
        *(f"brainpoolp{bits}{kind}1" for bits in (160, 192, 224, 256, 320, 384, 512) for kind in "rt"),
    }
)
_ENCODINGS = ("hex", "base64", "base32", "plain")

_VERSION = re.compile(r"\s*[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}[+-][0-9]{4}")
_HEX = "([0-9a-f]*)"
_OBIS = re.compile(f"{_HEX}(?:-{_HEX}(?::{_HEX}(?:[.]{_HEX}(?:[.]{_HEX}(?:[.*]{_HEX})?)?)?)?)?")

_TEXTS = ("FV", "GI", "GV", "GS", "PG", "MV", "MM", "MS", "MF", "CF", "IT", "ID", "TT")
_OLDER_TEXTS = (*_TEXTS, "VI", "VV", "IS")
_NEWER_TEXTS = (*_TEXTS, "IL", "CT", "CI")
_READING_TEXTS = ("TM", "TX", "RV", "RI", "RU", "ST")
_LOSS_TEXTS = ("LN", "LI", "LR", "LU")

_ENDS = frozenset("ELRAP")
_COMPENSATED = frozenset({0x98, 0xB1, 0xB3, 0xC1, 0xC3})
_COUNTED = frozenset({0x01, 0x98, 0x9E, *range(0xB0, 0xC8)})
_COUNTED_STORAGES = frozenset({0, 0x200, 0x255, 0xFF})


@dataclass(frozen=True, slots=True, kw_only=True)
class SafePrediction:
    """What the SAFE transparency software would say; `reasons` are the rules that refuse, () when it accepts, each as
    `code: words`."""

    reasons: tuple[str, ...]

    @property
    def accepts(self) -> bool:
        """Whether a customer can check this with the software."""
        return not self.reasons

    @property
    def codes(self) -> tuple[str, ...]:
        """The stable codes of `reasons`, in their order."""
        return tuple(reason.partition(":")[0] for reason in self.reasons)


def predict_record(record: MeterRecord) -> SafePrediction | None:
    """What the software says of one record by itself: a record with one end is checked for its form and signature only,
    one with both ends as a session. None for another format than OCMF: not predicted. About 40 us."""
    if record.format is not MeterFormat.OCMF:
        return None
    view = _view(record)
    reasons = list(_form(view))
    if view.is_whole_transaction:
        reasons += _law(view.readings, (view.level,))
    return SafePrediction(reasons=tuple(reasons))


def predict_session(
    records: Sequence[MeterRecord], key_fingerprints: Sequence[str | None] = ()
) -> SafePrediction | None:
    """What the software says of a session: the first record is given to it as its begin, the last as its end; one
    record (or twice the same) must hold both ends. `key_fingerprints` name the keys that the records verify with, in
    their order; the software takes one key for a pair. None when there is no record or one is not OCMF."""
    if not records or any(record.format is not MeterFormat.OCMF for record in records):
        return None
    begin, end = _view(records[0]), _view(records[-1])
    if records[0].payload_bytes == records[-1].payload_bytes:
        reasons = list(_form(begin))
        if begin.is_whole_transaction:
            reasons += _law(begin.readings, (begin.level,))
        else:
            reasons.append("no-pair: a record alone must hold a begin and an end, on a page of context T")
        return SafePrediction(reasons=tuple(reasons))
    reasons = [*_form(begin), *_form(end), *_pair(begin, end, key_fingerprints)]
    reasons += _law(begin.readings + end.readings, (begin.level, end.level))
    return SafePrediction(reasons=tuple(dict.fromkeys(reasons)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """One reading as written; None where the key is missing or null."""

    time: str | None
    reason: str
    value: Decimal | None
    register: str | None
    unit: str | None
    status: str | None
    error_flags: str
    event_counter: Decimal | None

    @property
    def is_begin(self) -> bool:
        return self.reason == "B"

    @property
    def is_end(self) -> bool:
        return self.reason in _ENDS

    @property
    def clock(self) -> str | None:
        """The clock state: what follows the first blank of TM, whatever it is."""
        parts = (self.time or "").rstrip(" ").split(" ")
        return parts[1] if len(parts) > 1 else None

    @property
    def at(self) -> datetime | None:
        """TM, None in any other spelling than the specified one: the software then compares no times."""
        text = (self.time or "").partition(" ")[0]
        if self.clock is None or _TIME.fullmatch(text) is None:
            return None
        try:
            return datetime.fromisoformat(text.replace(",", "."))
        except ValueError:
            return None

    def has_register(self, channels: frozenset[int], storages: frozenset[int] | None) -> bool:
        """Whether RI names an energy of one of `channels` (OBIS C), every group read as hexadecimal; group F one of
        `storages`, None: any."""
        match = None if self.register is None else _OBIS.fullmatch(self.register.lower().strip())
        if match is None:
            return False
        a, _, c, d, _, f = (int(group or "0", 16) for group in match.groups())
        return a == 1 and c in channels and d == 8 and (storages is None or f in storages)


@dataclass(frozen=True, slots=True)
class _View:
    """A record in the eyes of the software."""

    payload: JSONObject
    signature: JSONObject
    sd: bytes
    version: Decimal | None
    readings: tuple[_Written, ...]

    @property
    def is_older(self) -> bool:
        """Whether it is read with the field layout before format 0.5."""
        return self.version is not None and self.version < Decimal("0.5")

    @property
    def level(self) -> str | None:
        return _text(self.payload.members, "IS" if self.is_older else "IL")

    @property
    def page(self) -> str:
        return _text(self.payload.members, "PG") or ""

    @property
    def is_whole_transaction(self) -> bool:
        begins = any(reading.is_begin for reading in self.readings)
        return self.page.startswith("T") and begins and any(reading.is_end for reading in self.readings)


def _view(record: MeterRecord) -> _View:
    sections = record.raw.split(b"|")
    payload, signature = parse_section(sections[1], "payload"), parse_section(sections[2], "signature")
    match = _VERSION.fullmatch(_text(payload.members, "FV") or "")
    version = Decimal(match[0].strip()) if match is not None else None
    found = payload.members.get("RD")
    older = version is not None and version < Decimal("0.5")
    readings = (
        tuple(_written(item, older) for item in found if isinstance(item, dict)) if isinstance(found, list) else ()
    )
    return _View(payload, signature, record.signature.value, version, readings)


def _written(members: Mapping[str, object], older: bool) -> _Written:
    value = _text(members, "RV")
    counter = members.get("EI")
    return _Written(
        time=_text(members, "TM"),
        reason=(_text(members, "TX") or "").strip(),
        value=None if value is None else _number(value),
        register=_text(members, "RI"),
        unit=_text(members, "RU"),
        status=_text(members, "ST"),
        error_flags="" if older else _text(members, "EF") or "",
        event_counter=counter if older and isinstance(counter, Decimal) else None,
    )


def _number(text: str) -> Decimal | None:
    return parse_number(text.strip())


def _text(members: Mapping[str, object], key: str) -> str | None:
    """The string at `key`; a number or boolean as its text."""
    value = members.get(key)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | Decimal) else None


def _form(view: _View) -> Iterator[str]:
    """Rules 1 to 6: what the software asks of every record."""
    if not (view.payload.is_utf8 and view.signature.is_utf8):
        yield "text-encoding: the record is not UTF-8, so the software hashes other bytes than were signed"
    yield from _version(view)
    yield from _types(view)
    yield from _signature(view)
    if len(view.page) < 2:
        yield "pagination: the software fails on a record without PG"
    for item, reading in zip(_objects(view), view.readings, strict=True):
        if item.get("RV") is not None and reading.value is None:
            yield "value-form: RV is no number"


def _objects(view: _View) -> list[dict[str, object]]:
    found = view.payload.members.get("RD")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _version(view: _View) -> Iterator[str]:
    written = _text(view.payload.members, "FV")
    if written is None:
        yield "version-missing: the record names no format version"
    elif view.version is None:
        yield f"version-form: {written[:40]!a} is no number"
    elif not Decimal("0.1") <= view.version <= Decimal("1.3"):
        yield f"version-new: the software reads format 0.1 to 1.3, found {written[:40]!a}"


def _types(view: _View) -> Iterator[str]:
    members = view.payload.members
    if view.payload.own_duplicates:
        keys = ", ".join(ascii(key[:40]) for key in view.payload.own_duplicates[:8])
        yield f"duplicate-key: {keys} stands twice in the payload"
    objects: list[tuple[Mapping[str, object], tuple[str, ...]]] = [
        (members, _OLDER_TEXTS if view.is_older else _NEWER_TEXTS),
        (view.signature.members, ("SA", "SE", "SM", "SD")),
        *((item, _READING_TEXTS if view.is_older else (*_READING_TEXTS, "EF", "RT")) for item in _objects(view)),
    ]
    loss, flags, assigned = members.get("LC"), members.get("IF"), members.get("IS")
    if isinstance(loss, dict) and not view.is_older:
        objects.append((loss, _LOSS_TEXTS))
    wrong = {key for item, keys in objects for key in keys if isinstance(item.get(key), list | dict)}
    if not view.is_older:
        wrong |= {"LC"} if not isinstance(loss, dict | None) else set()
        wrong |= {"IS"} if not isinstance(assigned, bool | str | None) else set()
    if not isinstance(flags, list | None) or any(isinstance(flag, list | dict) for flag in flags or ()):
        wrong.add("IF")
    if view.is_older and any(not isinstance(item.get("EI"), Decimal | None) for item in _objects(view)):
        wrong.add("EI")
    if wrong:
        yield f"wrong-type: {', '.join(sorted(wrong))}"


def _signature(view: _View) -> Iterator[str]:
    members = view.signature.members
    written = _text(members, "SA")
    parts = (written if written is not None else _DEFAULT_ALGORITHM).rstrip("-").split("-")
    if len(parts) != 3 or parts[0] != "ECDSA":
        yield f"algorithm: expected ECDSA-<curve>-SHA256, found {(written or '')[:60]!a}"
    else:
        curve = parts[1].lower()
        if _spelled_with_p(curve) not in _CURVES:
            yield f"curve: the software knows no curve {curve[:40]!a}"
        if parts[2].upper().replace("-", "") not in ("SHA256", ""):
            yield f"hash: the software always hashes with SHA-256, the record names {parts[2][:40]!a}"
    inside = _text(view.payload.members, "SA")
    if written is None and inside is not None and inside.lower() != _DEFAULT_ALGORITHM.lower():
        yield "algorithm-in-payload: the software does not look for SA in the payload and takes secp256r1"
    encoding = _text(members, "SE")
    if encoding is not None and encoding not in _ENCODINGS:
        yield f"signature-encoding: SE must be hex or base64 in lower case, found {encoding[:40]!a}"
    if not _is_pair_of_integers(view.sd):
        yield "signature-form: SD is no ASN.1 SEQUENCE of two INTEGERs"


def _spelled_with_p(curve: str) -> str:
    return curve if "brainpoolp" in curve else curve.replace("brainpool", "brainpoolp")


def _is_pair_of_integers(data: bytes) -> bool:
    """Whether `data` begins with a definite-length SEQUENCE of at least two INTEGERs."""
    content = _element(data, 0x30)
    first = None if content is None else _element(content[0], 0x02)
    return first is not None and bool(first[0]) and bool((_element(first[1], 0x02) or (b"", b""))[0])


def _element(data: bytes, tag: int) -> tuple[bytes, bytes] | None:
    """The content of the ASN.1 element at the start of `data`, and what follows it; None: another tag, or cut."""
    if len(data) < 2 or data[0] != tag:
        return None
    size, start = data[1], 2
    if size > 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    elif size == 0x80:
        return None
    return (data[start : start + size], data[start + size :]) if start + size <= len(data) else None


def _pair(begin: _View, end: _View, key_fingerprints: Sequence[str | None]) -> Iterator[str]:
    if any(reading.is_begin for reading in end.readings):
        yield "begin-in-end: the end record holds a begin reading"
    if any(reading.is_end for reading in begin.readings):
        yield "end-in-begin: the begin record holds an end reading"
    known = {key for key in key_fingerprints if key is not None}
    if len(known) > 1:
        yield "two-keys: both records must verify with one key"


def _law(readings: Sequence[_Written], levels: Sequence[str | None]) -> Iterator[str]:
    """Rule 7, on the readings that count."""
    counted = list(_counted(readings))
    if counted and counted[0].status is None:
        yield "status-missing: the first reading that counts names no ST"
    if counted and counted[0].unit is None:
        yield "unit-missing: the first reading that counts names no RU"
    begins = [reading for reading in counted if reading.is_begin]
    ends = [reading for reading in counted if reading.is_end]
    for code, found in (("begin-count", begins), ("end-count", ends)):
        if len(found) != 1:
            yield f"{code}: expected one among the readings of a register that counts, found {len(found)}"
    if any((level or "").strip() in ID_ERROR_LEVELS for level in levels):
        yield "identification-level: the identification of the user failed"
    if len(begins) == len(ends) == 1:
        yield from _ends(begins[0], ends[0])


def _counted(readings: Sequence[_Written]) -> Iterator[_Written]:
    """The readings of the registers that count; a missing ST is that of the one before it among them."""
    compensated = [reading for reading in readings if reading.has_register(_COMPENSATED, None)]
    status = None
    for reading in compensated or readings:
        if compensated or reading.has_register(_COUNTED, _COUNTED_STORAGES):
            status = reading.status if reading.status is not None else status
            yield replace(reading, status=status)


def _ends(begin: _Written, end: _Written) -> Iterator[str]:
    if begin.value is None or end.value is None:
        yield "value-missing: an end has no RV"
    elif begin.value > end.value:
        yield f"register-falling: {begin.value}, then {end.value}; bare numbers are compared, whatever their units"
    if begin.at is not None and end.at is not None and begin.at > end.at:
        yield f"time-falling: {begin.at.isoformat()}, then {end.at.isoformat()}"
    if {begin.status, end.status} != {"G"}:
        yield "meter-status: ST must be G at both ends"
    if begin.clock is None:
        yield "clock-missing: TM of the begin carries no clock state"
    elif begin.clock == "R" and end.clock != "R":
        yield "clock-relative: the clock is relative at the begin and not at the end"
    if end.event_counter is not None and end.event_counter != begin.event_counter:
        yield f"event-counter: EI {begin.event_counter}, then {end.event_counter}"
    if "E" in begin.error_flags + end.error_flags:
        yield "energy-unusable: an end carries the error flag E"
