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
8. a pair of records          no-pair, begin-in-end, end-in-begin, two-keys, values-crossed
Not compared by the software: serials, page numbers, identification, units, registers of the two ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from wire.meter.record import ID_ERROR_LEVELS, MeterFormat, MeterRecord
from wire.meter.safe_view import SafeView, WrittenReading, number_at, text_at, view_record

_DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
_CURVES = frozenset(
    {
        *("secp192k1", "secp192r1", "secp224k1", "secp224r1", "secp256k1", "secp256r1", "secp384r1", "secp521r1"),
        *(f"brainpoolp{bits}{kind}1" for bits in (160, 192, 224, 256, 320, 384, 512) for kind in "rt"),
    }
)
_ENCODINGS = ("hex", "base64", "base32", "plain")

_OLDEST, _NEWEST = Decimal("0.1"), Decimal("1.3")

_TEXTS = ("FV", "GI", "GV", "GS", "PG", "MV", "MM", "MS", "MF", "CF", "IT", "ID", "TT")
_OLDER_TEXTS = (*_TEXTS, "VI", "VV", "IS")
_NEWER_TEXTS = (*_TEXTS, "IL", "CT", "CI")
_READING_TEXTS = ("TM", "TX", "RV", "RI", "RU", "ST")
_LOSS_TEXTS = ("LN", "LI", "LR", "LU")

_SEQUENCE, _INTEGER = 0x30, 0x02


OTHER_TEXT = "text-encoding: the software hashes the text in UTF-8; the meter signed or sent another encoding"
NO_SIGNATURE = "signature: the record does not fit its key, and the software says so too"
NO_KEY = "no-key: the software asks for the meter's key"
"""Reasons that only verifying tells; the texts alone do not."""


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

    def refused_for(self, *reasons: str) -> SafePrediction:
        """The same with further reasons, each once."""
        return SafePrediction(reasons=tuple(dict.fromkeys((*self.reasons, *reasons))))


def predict_record(record: MeterRecord) -> SafePrediction | None:
    """What the software says of one record by itself: a record with one end is checked for its form and signature only,
    one with both ends as a session. None for another format than OCMF: not predicted. About 25 us."""
    if record.format is not MeterFormat.OCMF:
        return None
    return SafePrediction(reasons=tuple(_alone(view_record(record))))


def predict_session(
    records: Sequence[MeterRecord], key_fingerprints: Sequence[str | None] = ()
) -> SafePrediction | None:
    """What the software says of a session: the first record is given to it as its begin, the last as its end; one
    record (or twice the same) must hold both ends. `key_fingerprints` name the keys that the records verify with, in
    their order; the software takes one key for a pair. None when there is no record or one is not OCMF."""
    if not records or any(record.format is not MeterFormat.OCMF for record in records):
        return None
    begin, end = view_record(records[0]), view_record(records[-1])
    if records[0].payload_bytes == records[-1].payload_bytes:
        alone = list(_alone(begin))
        if not begin.is_whole_transaction:
            alone.append("no-pair: a record alone must hold a begin and an end, on a page of context T")
        return SafePrediction(reasons=tuple(alone))
    reasons = [*_form(begin), *_form(end), *_pair(begin, end, key_fingerprints)]
    reasons += _law(begin.readings + end.readings, (begin.level, end.level))
    return SafePrediction(reasons=tuple(dict.fromkeys(reasons)))


def _alone(view: SafeView) -> Iterator[str]:
    yield from _form(view)
    if view.is_whole_transaction:
        yield from _law(view.readings, (view.level,))


def _form(view: SafeView) -> Iterator[str]:
    """Rules 1 to 6: what the software asks of every record."""
    if not view.payload.is_utf8:
        yield OTHER_TEXT
    yield from _version(view)
    yield from _types(view)
    yield from _signature(view)
    if len(view.page) < 2:
        yield "pagination: the software fails on a record without PG"
    for item, reading in zip(view.objects, view.readings, strict=True):
        if item.get("RV") is not None and reading.value is None:
            yield "value-form: RV is no number"


def _version(view: SafeView) -> Iterator[str]:
    written = text_at(view.payload.members, "FV")
    if written is None:
        yield "version-missing: the record names no format version"
    elif view.version is None:
        yield f"version-form: {written[:40]!a} is no number"
    elif not _OLDEST <= view.version <= _NEWEST:
        yield f"version-new: the software reads format 0.1 to 1.3, found {written[:40]!a}"


def _types(view: SafeView) -> Iterator[str]:
    members = view.payload.members
    if view.payload.own_duplicates:
        keys = ", ".join(ascii(key[:40]) for key in view.payload.own_duplicates[:8])
        yield f"duplicate-key: {keys} stands twice in the payload"
    objects: list[tuple[Mapping[str, object], tuple[str, ...]]] = [
        (members, _OLDER_TEXTS if view.is_older else _NEWER_TEXTS),
        (view.signature.members, ("SA", "SE", "SM", "SD")),
        *((item, _READING_TEXTS if view.is_older else (*_READING_TEXTS, "EF", "RT")) for item in view.objects),
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
    if view.is_older and any(item.get("EI") is not None and number_at(item, "EI") is None for item in view.objects):
        wrong.add("EI")
    if wrong:
        yield f"wrong-type: {', '.join(sorted(wrong))}"


def _signature(view: SafeView) -> Iterator[str]:
    members = view.signature.members
    yield from _algorithm(text_at(members, "SA"), view.algorithm)
    encoding = text_at(members, "SE")
    if encoding is not None and encoding not in _ENCODINGS:
        yield f"signature-encoding: SE must be hex or base64 in lower case, found {encoding[:40]!a}"
    if not _is_pair_of_integers(view.signature_value):
        yield "signature-form: SD is no ASN.1 SEQUENCE of two INTEGERs"


def _algorithm(written: str | None, meant: str) -> Iterator[str]:
    if written is None and meant.lower() != _DEFAULT_ALGORITHM.lower():
        yield "algorithm-in-payload: the software does not look for SA in the payload and takes secp256r1"
    parts = _algorithm_parts(written)
    if len(parts) != 3 or parts[0] != "ECDSA":
        yield f"algorithm: expected ECDSA-<curve>-SHA256, found {(written or '')[:60]!a}"
        return
    if _curve(parts) not in _CURVES:
        yield f"curve: the software knows no curve {parts[1][:40]!a}"
    if parts[2].upper() != "SHA256":
        yield f"hash: the software always hashes with SHA-256, the record names {parts[2][:40]!a}"


def _algorithm_parts(written: str | None) -> list[str]:
    return (_DEFAULT_ALGORITHM if written is None else written).rstrip("-").split("-")


def _curve(parts: Sequence[str]) -> str:
    """The curve in the one spelling of the software: lower case, brainpool with p."""
    curve = parts[1].lower() if len(parts) > 1 else ""
    return curve if "brainpoolp" in curve else curve.replace("brainpool", "brainpoolp")


def _is_pair_of_integers(data: bytes) -> bool:
    """Whether `data` begins with a definite-length SEQUENCE of at least two INTEGERs."""
    content = _element(data, _SEQUENCE)
    first = None if content is None else _element(content[0], _INTEGER)
    return first is not None and bool(first[0]) and bool((_element(first[1], _INTEGER) or (b"", b""))[0])


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


def _pair(begin: SafeView, end: SafeView, key_fingerprints: Sequence[str | None]) -> Iterator[str]:
    if any(reading.is_begin for reading in end.readings):
        yield "begin-in-end: the end record holds a begin reading"
    if any(reading.is_end for reading in begin.readings):
        yield "end-in-begin: the begin record holds an end reading"
    curves = {_curve(_algorithm_parts(text_at(view.signature.members, "SA"))) for view in (begin, end)}
    if len(curves) > 1 or len({key for key in key_fingerprints if key is not None}) > 1:
        yield "two-keys: both records must verify with one key"
    first = [reading.energy_kwh for reading in begin.readings if reading.is_counted]
    last = [reading.energy_kwh for reading in end.readings if reading.is_counted]
    if first and last and max(first) > min(last):
        yield f"values-crossed: {max(first)} kWh in the begin record is above {min(last)} kWh in the end record"


def _law(readings: Sequence[WrittenReading], levels: Sequence[str | None]) -> Iterator[str]:
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


def _counted(readings: Sequence[WrittenReading]) -> Iterator[WrittenReading]:
    """The readings of the registers that count; a missing ST is that of the one before it among them."""
    compensated = [reading for reading in readings if reading.is_compensated]
    status = None
    for reading in compensated or [reading for reading in readings if reading.is_counted]:
        status = reading.status if reading.status is not None else status
        yield replace(reading, status=status)


def _ends(begin: WrittenReading, end: WrittenReading) -> Iterator[str]:
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
