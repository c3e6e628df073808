"""OCMF: bytes to record.

Rules of this file
1. `OCMF|payload|signature`: the signed bytes are exactly those between the first two `|`. They are sliced, never
   re-serialised, trimmed or re-encoded.
2. What cannot be read at all raises (size, UTF-8, sections, JSON, numbers out of bounds, no readings, no signature).
   Everything else that the field gets wrong is a deviation on a readable record: a verdict needs the record.
3. Carry-forward is resolved here and nowhere else: a reading without TM, TX, RI, RU, RT, EF or ST has that of the
   reading before it in the same record. RV is never carried forward.

Source: OCMF 1.4.1 (SAFE-eV), tables 1 to 24. FV below 0.4 (other layout) is read as far as its keys agree.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from wire.errors import MeterRecordError
from wire.meter.draft import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.json_text import JSONObject, parse_number, parse_object
from wire.meter.record import (
    ID_FLAGS,
    ID_LEVELS,
    ID_TYPES,
    UNITS,
    CurrentType,
    DeviationClass,
    DeviationLog,
    MeterClock,
    MeterRecord,
    MeterStatus,
    Pagination,
    PaginationContext,
    Reading,
    ReadingReason,
    RecordSignature,
    UserAssignment,
)

__all__ = [
    "MAX_READINGS",
    "MAX_RECORD_BYTES",
    "MeterRecord",
    "MeterRecordError",
    "OCMFPayload",
    "Reading",
    "ReadingDraft",
    "parse_ocmf",
    "sign_ocmf",
]

MAX_RECORD_BYTES = 64 * 1024
MAX_READINGS = 512
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"

_PREFIX = b"OCMF|"
_CARRIED = ("TM", "TX", "RI", "RU", "RT", "EF", "ST")
_PG = re.compile(r"([TF])([0-9]{1,20})")
_FV = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]{1,3})?")
_TM = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?P<ms>[,.][0-9]{3})?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})(?: (?P<state>[A-Za-z]))?"
)
_TM_STRICT = re.compile(r"[0-9-]{10}T[0-9:]{8},[0-9]{3}[+-][0-9]{4} [UISR]")

E = TypeVar("E", bound=StrEnum)


def parse_ocmf(raw: bytes) -> MeterRecord:
    """The record that `raw` holds, from `OCMF|` to the end of the signature section; at most 64 KiB, 512 readings.

    Signatures are not checked here (`wire.meter.judge`). A fourth section, once used for a public key, is reported and
    otherwise ignored. `raw` begins with `OCMF|` itself: white space around it is the carrier's (`wire.meter.carrier`).

    Raises:
        MeterRecordError: `too-large`, `not-ocmf`, `not-utf8`, `sections`, the codes of `json_text.parse_object`,
            `no-readings`, `too-many-readings`, `reading-not-an-object`, `no-signature`, `signature-encoding`.

    Source: OCMF 1.4.1, tables 1 to 8.
    """
    if len(raw) > MAX_RECORD_BYTES:
        raise MeterRecordError("too-large", "record", f"{len(raw)} bytes; at most {MAX_RECORD_BYTES}")
    if not raw.startswith(_PREFIX):
        raise MeterRecordError("not-ocmf", "record", "expected the record to begin with 'OCMF|'")
    sections = raw.split(b"|", 4)
    if len(sections) not in (3, 4):
        raise MeterRecordError(
            "sections", "record", f"expected 3 sections separated by '|', found {len(sections)} or more"
        )
    log = DeviationLog()
    if len(sections) == 4:
        log.add("fourth-section", "/signature", "a fourth section stands behind the signature; it is not trusted")
    payload = _section(sections[1], "payload", log)
    signature = _section(sections[2], "signature", log)
    fields = _Fields(payload.members, "/payload", log)
    version = _format_version(fields)
    user = _user(fields)
    pagination = _pagination(fields)
    _check_group(fields, pagination, user)
    return MeterRecord(
        raw=raw,
        payload_bytes=sections[1],
        format_version=version,
        pagination=pagination,
        gateway_id=fields.text("GI"),
        gateway_serial=fields.text("GS"),
        meter_vendor=fields.text("MV"),
        meter_model=fields.text("MM"),
        meter_serial=fields.text("MS"),
        meter_firmware=fields.text("MF"),
        charge_point_type=fields.text("CT"),
        charge_point_id=fields.text("CI"),
        tariff_text=fields.text("TT"),
        user=user,
        readings=_readings(payload.members, pagination, log),
        signature=_signature(signature.members, payload.members, log),
        deviations=log.found(),
    )


def _section(data: bytes, name: str, log: DeviationLog) -> JSONObject:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MeterRecordError("not-utf8", name, f"byte {error.start} of the section is not UTF-8") from error
    section = parse_object(text, name)
    for key in section.duplicate_keys:
        log.add("duplicate-key", f"/{name}", f"key {_printable(key)} stands twice in one object; the last one is read")
    if section.control_characters:
        log.add("control-character", f"/{name}", "a string holds a raw control character")
    return section


def _printable(text: str) -> str:
    return ascii(text[:40])


class _Fields:
    """Reads the members of one object by type; what is of another type becomes a deviation."""

    def __init__(self, members: dict[str, object], pointer: str, log: DeviationLog) -> None:
        self.members, self.pointer, self.log = members, pointer, log

    def note(self, code: str, key: str, message: str, kind: DeviationClass = DeviationClass.SPEC) -> None:
        """A deviation at `key`."""
        self.log.add(code, f"{self.pointer}/{key}", message, kind)

    def text(self, key: str) -> str | None:
        """The string at `key`; a number is taken as its text, anything else as absent."""
        value = self.members.get(key)
        if value is None and key not in self.members:
            return None
        if isinstance(value, str):
            return self._unicode(key, value)
        self.note("wrong-type", key, "expected a string")
        return str(value) if isinstance(value, Decimal) else None

    def _unicode(self, key: str, value: str) -> str | None:
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.note("lone-surrogate", key, "half of a surrogate pair is no text")
            return None
        return value

    def flag(self, key: str) -> bool | None:
        """The boolean at `key`."""
        value = self.members.get(key)
        if isinstance(value, bool):
            return value
        if key in self.members:
            self.note("wrong-type", key, "expected true or false")
        return None

    def choice(self, key: str, kind: type[E]) -> E | None:
        """The member of the closed set `kind` at `key`; another value is a deviation and None."""
        text = self.text(key)
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            self.note("unknown-value", key, f"{_printable(text)} is not a {kind.__name__}")
            return None

    def known(self, key: str, values: frozenset[str]) -> str | None:
        """The text at `key`, kept as written; a deviation when it is not of `values`."""
        text = self.text(key)
        if text is not None and text not in values:
            self.note("unknown-value", key, f"{_printable(text)} is not a value of {key}")
        return text


def _format_version(fields: _Fields) -> str | None:
    version = fields.text("FV")
    if version is None:
        fields.note("version-missing", "FV", "the record names no format version", DeviationClass.SAFE_REJECT)
        return None
    match = _FV.fullmatch(version)
    if match is None:
        fields.note("version-form", "FV", f"expected <major>.<minor>, found {_printable(version)}")
        return version
    numbers = int(match[1]), int(match[2])
    if numbers < (0, 4):
        fields.note("version-old", "FV", f"format {version} has another layout; read as far as its keys agree")
    elif numbers > (1, 3):
        fields.note("version-new", "FV", f"SAFE 1.4.1 refuses format {version}", DeviationClass.SAFE_REJECT)
    return version


def _pagination(fields: _Fields) -> Pagination | None:
    text = fields.text("PG")
    match = _PG.fullmatch(text) if text is not None else None
    if text is None or match is None:
        fields.note("pagination-missing" if text is None else "pagination-form", "PG", "expected T<n> or F<n>")
        return None
    if match[2] != str(int(match[2])):
        fields.note("pagination-form", "PG", "the number has leading zeros")
    return Pagination(context=PaginationContext(match[1]), number=int(match[2]))


def _user(fields: _Fields) -> UserAssignment:
    flags = fields.members.get("IF", [])
    names = tuple(name for name in flags if isinstance(name, str)) if isinstance(flags, list) else ()
    if not isinstance(flags, list) or len(names) != len(flags) or len(flags) > 4:
        fields.note("identification-flags", "IF", "expected an array of at most four strings")
    for name in names:
        if name not in ID_FLAGS:
            fields.note("unknown-value", "IF", f"{_printable(name)} is not an identification flag")
    level = fields.known("IL", ID_LEVELS)
    return UserAssignment(
        assigned=fields.flag("IS"),
        level=level.strip() if level is not None else None,
        flags=tuple(name for name in names if name.isascii()),
        type=fields.known("IT", ID_TYPES),
        data=fields.text("ID"),
    )


def _check_group(fields: _Fields, pagination: Pagination | None, user: UserAssignment) -> None:
    present = fields.members.keys()
    if "MS" not in present:
        code = "meter-serial-missing" if "GS" in present else "no-identity"
        fields.note(code, "MS", "the record does not name its meter")
    fiscal = pagination is not None and pagination.context is PaginationContext.FISCAL
    group = present & {"IS", "IL", "IF", "IT", "ID", "TT"}
    if fiscal and group:
        fields.note("assignment-without-transaction", sorted(group)[0], "a fiscal record has no user assignment")
    if not fiscal:
        for key in ("IS", "IT"):
            if key not in present:
                fields.note("assignment-missing", key, f"{key} is mandatory in a transaction's record")
    if user.data is not None and len(user.data.encode()) > 40:
        fields.note("identification-long", "ID", "more than 40 bytes", DeviationClass.ADVISORY)


def _readings(members: dict[str, object], pagination: Pagination | None, log: DeviationLog) -> tuple[Reading, ...]:
    found = members.get("RD")
    if not isinstance(found, list) or not found:
        raise MeterRecordError("no-readings", "/payload/RD", "expected an array of at least one reading")
    if len(found) > MAX_READINGS:
        raise MeterRecordError("too-many-readings", "/payload/RD", f"{len(found)} readings; at most {MAX_READINGS}")
    transaction = pagination is None or pagination.context is PaginationContext.TRANSACTION
    readings = []
    carried: dict[str, object] = {}
    for number, members_here in enumerate(found):
        pointer = f"/payload/RD/{number}"
        if not isinstance(members_here, dict):
            raise MeterRecordError("reading-not-an-object", pointer, "expected an object")
        resolved = {**carried, **members_here}
        carried = {key: resolved[key] for key in _CARRIED if key in resolved}
        readings.append(_reading(_Fields(resolved, pointer, log), transaction))
    return tuple(readings)


def _reading(fields: _Fields, transaction: bool) -> Reading:
    for key in ("TM", "ST", "TX") if transaction else ("TM", "ST"):
        if key not in fields.members:
            fields.note("reading-incomplete", key, f"{key} is missing and no reading before it has one")
    at, clock = _time(fields)
    flags = fields.text("EF")
    if flags is not None and set(flags) - {"E", "t"}:
        fields.note("unknown-value", "EF", "only E and t are error flags")
    register, unit = fields.text("RI"), fields.known("RU", UNITS)
    value = _value(fields)
    if (register is None) != (unit is None) or (value is not None and unit is None):
        fields.note("register-group", "RI", "RI and RU stand together, and a value needs its unit")
    return Reading(
        at=at,
        clock=clock,
        reason=fields.choice("TX", ReadingReason),
        value=value,
        register=register,
        unit=unit,
        current=fields.choice("RT", CurrentType),
        error_flags=flags,
        status=fields.choice("ST", MeterStatus),
    )


def _value(fields: _Fields) -> Decimal | None:
    value = fields.members.get("RV")
    if isinstance(value, Decimal) or (value is None and "RV" not in fields.members):
        return value
    number = parse_number(value) if isinstance(value, str) else None
    message = "expected a JSON number" + ("; the string is read as one" if number is not None else "")
    fields.note("value-not-a-number", "RV", message)
    return number


def _time(fields: _Fields) -> tuple[datetime | None, MeterClock | None]:
    text = fields.text("TM")
    if text is None:
        return None, None
    match = _TM.fullmatch(text)
    at = _instant(match) if match is not None else None
    if match is None or at is None:
        fields.note("time-unreadable", "TM", f"expected YYYY-MM-DDThh:mm:ss,mmm+hhmm S, found {_printable(text)}")
        return None, None
    if _TM_STRICT.fullmatch(text) is None:
        fields.note("time-form", "TM", f"expected YYYY-MM-DDThh:mm:ss,mmm+hhmm S, found {_printable(text)}")
    state = match["state"]
    return at, MeterClock(state) if state in set(MeterClock) else None


def _instant(match: re.Match[str]) -> datetime | None:
    """None for a date that does not exist or lies outside the years 1900 to 2199 (nothing real, and near the ends of
    datetime a conversion to UTC would overflow)."""
    numbers = [int(match[group]) for group in range(1, 7)]
    if not 1900 <= numbers[0] < 2200:
        return None
    zone = match["zone"].replace(":", "")
    sign = -1 if zone.startswith("-") else 1
    minutes = 0 if zone == "Z" else sign * (int(zone[1:3]) * 60 + int(zone[3:5]))
    if abs(minutes) > 15 * 60 or (zone != "Z" and int(zone[3:5]) > 59):
        return None
    micros = int(match["ms"][1:]) * 1000 if match["ms"] else 0
    year, month, day, hour, minute, second = numbers
    try:
        return datetime(year, month, day, hour, minute, second, micros, timezone(timedelta(minutes=minutes)))
    except ValueError:
        return None


def _signature(members: dict[str, object], payload: dict[str, object], log: DeviationLog) -> RecordSignature:
    fields = _Fields(members, "/signature", log)
    algorithm = fields.text("SA")
    if algorithm is None:
        # FV 0.4 and 0.5 kept SA in the signed section.
        inside = payload.get("SA")
        algorithm = inside if isinstance(inside, str) else DEFAULT_ALGORITHM
    media_type = fields.text("SM")
    if media_type not in (None, "application/x-der"):
        fields.note("signature-media-type", "SM", f"expected application/x-der, found {_printable(media_type or '')}")
    encoding = fields.text("SE") or "hex"
    text = fields.text("SD")
    if not text:
        raise MeterRecordError("no-signature", "/signature/SD", "expected the signature as text")
    return RecordSignature(algorithm=algorithm, encoding=encoding, value=_decode_signature(text, encoding))


def _decode_signature(text: str, encoding: str) -> bytes:
    try:
        if encoding == "hex":
            return bytes.fromhex(text)
        if encoding == "base64":
            return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise MeterRecordError("signature-encoding", "/signature/SD", f"not {encoding}") from error
    raise MeterRecordError("signature-encoding", "/signature/SE", f"unknown encoding {_printable(encoding)}")
