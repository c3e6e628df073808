"""PCDF: one text for a whole session, `128.8.0(ST:..)(CT:..)...(PK:..)(SG:..)`, signed on secp256r1.

The signature covers everything from `128.8.0` up to `(SG:`, the key inside included, which is a claim all the same. The
register is one of the session: nothing at ST, RV at CT.

    ST, CT  begin and time of the record, YYMMDDhhmmss in UTC      SI      user * type of identification * transaction
    CD      duration, hhmmss      TV  clock valid                  CS, HW  checksum of the software, serial of the meter
    SP      session over          BV  meter without error          DT      kind of meter
    RV      energy, 0003.276*kWh  CSC number of the session        PK, SG  65 byte point and DER signature, in hex

Source: the PCDF reader of the transparency software of the S.A.F.E. association, 1.4.1.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog
from wire.meter.formats.terms import decoded_hex, foreign_record
from wire.meter.record import (
    MeterClock,
    MeterFormat,
    MeterRecord,
    MeterStatus,
    Reading,
    ReadingReason,
    RecordSignature,
    UserAssignment,
)

MAX_PCDF_BYTES = 8 * 1024

_NAMES = frozenset({"ST", "CT", "CD", "TV", "SP", "RV", "SI", "CS", "HW", "DT", "BV", "CSC", "PK", "SG"})
_BEGIN = "128.8.0"
_PAIR = re.compile(r"\(([A-Z]{2,3}):([^():]*)\)")
_FORM = re.compile(r"128\.8\.0(?:\([A-Z]{2,3}:[^():]*\))+")
_VALUE = re.compile(r"([0-9]{4}\.[0-9]{3})\*kWh")
_IDENTIFICATION = re.compile(r"([^*]{1,36})\*([0-9])\*([^*]{1,36})")
_TIME = re.compile(r"[0-9]{12}")
_IDENTIFICATION_TYPES = {"2": "EMAID"}
_KEY_BYTES = 65
_MOST_PAGE_DIGITS = 18


def parse_pcdf(raw: bytes) -> MeterRecord:
    """The record that `raw` holds, from `128.8.0(` to the last bracket: begin and end of a session that is over
    (`SP:1`), begin and a reading during charging of one that is not. With `BV:0` no reading is good for billing.

    Raises:
        MeterRecordError: `too-large`, `not-utf8`, `not-pcdf`, `duplicate-field`, `missing-field`, `field-form`,
            `signature-not-last`, `encoding`.
    """
    if len(raw) > MAX_PCDF_BYTES:
        raise MeterRecordError("too-large", "record", f"{len(raw)} bytes; at most {MAX_PCDF_BYTES}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MeterRecordError("not-utf8", "record", f"byte {error.start} is not UTF-8") from error
    if _FORM.fullmatch(text) is None:
        raise MeterRecordError("not-pcdf", "record", f"expected {_BEGIN}(NAME:value)(NAME:value)...")
    fields = _fields(text)
    log = DeviationLog()
    signed = text[: text.rindex("(SG:")].encode()
    return foreign_record(
        MeterFormat.PCDF,
        raw,
        signed,
        RecordSignature(algorithm="ECDSA-secp256r1-SHA256", encoding="hex", value=decoded_hex(fields["SG"], "SG")),
        page=_page(fields["CSC"]),
        meter_serial=fields["HW"],
        meter_firmware=fields["CS"],
        user=_user(fields["SI"]),
        readings=_readings(fields, log),
        log=log,
        embedded_key=_key(fields["PK"]),
    )


def _fields(text: str) -> dict[str, str]:
    """All fourteen, each once, the signature last: what stands behind it is not signed."""
    fields: dict[str, str] = {}
    for name, value in _PAIR.findall(text):
        if name in fields:
            raise MeterRecordError("duplicate-field", name, "stands twice in the record")
        fields[name] = value
    if missing := sorted(_NAMES - fields.keys()):
        raise MeterRecordError("missing-field", "record", f"{', '.join(missing)} missing")
    if next(reversed(fields)) != "SG":
        raise MeterRecordError("signature-not-last", "SG", "fields behind the signature are not signed")
    return fields


def _form(name: str, value: str) -> MeterRecordError:
    return MeterRecordError("field-form", name, f"{value[:40]!a} is not of the form that {name} has")


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_PAGE_DIGITS):
        raise _form("CSC", text)
    return int(text)


def _key(text: str) -> bytes:
    key = decoded_hex(text, "PK")
    if len(key) != _KEY_BYTES:
        raise MeterRecordError("field-form", "PK", f"expected {_KEY_BYTES} bytes, found {len(key)}")
    return key


def _user(text: str) -> UserAssignment:
    match = _IDENTIFICATION.fullmatch(text)
    if match is None:
        raise MeterRecordError("field-form", "SI", "expected user * type * transaction")
    return UserAssignment(assigned=True, type=_IDENTIFICATION_TYPES.get(match[2]), data=match[1])


def _flag(fields: dict[str, str], name: str) -> bool:
    if fields[name] not in ("0", "1"):
        raise _form(name, fields[name])
    return fields[name] == "1"


def _instant(fields: dict[str, str], name: str) -> datetime:
    text = fields[name]
    if _TIME.fullmatch(text) is None:
        raise _form(name, text)
    try:
        return datetime.strptime("20" + text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise _form(name, text) from error


def _readings(fields: dict[str, str], log: DeviationLog) -> tuple[Reading, ...]:
    match = _VALUE.fullmatch(fields["RV"])
    if match is None:
        raise _form("RV", fields["RV"])
    over, good = _flag(fields, "SP"), _flag(fields, "BV")
    if not over:
        log.add("session-open", "/payload/SP", "the record was made before the session was over")
    if not good:
        log.add("meter-error", "/payload/BV", "the station says that the meter had an error")
    clock = MeterClock.SYNCHRONISED if _flag(fields, "TV") else MeterClock.UNKNOWN
    status, flags = (MeterStatus.GOOD, "") if good else (MeterStatus.OTHER_ERROR, "E")
    last = ReadingReason.END if over else ReadingReason.CHARGING
    ends = (("ST", ReadingReason.BEGIN, Decimal("0.000")), ("CT", last, Decimal(match[1])))
    return tuple(
        Reading(
            at=_instant(fields, name),
            clock=clock,
            reason=reason,
            value=value,
            unit="kWh",
            error_flags=flags,
            status=status,
        )
        for name, reason, value in ends
    )
