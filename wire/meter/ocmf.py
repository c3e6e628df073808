"""OCMF: bytes to record.

Rules of this file
1. `OCMF|payload|signature`: the signed bytes are exactly those between the first two `|`. They are sliced, never
   re-serialised, trimmed or re-encoded.
2. What cannot be read at all raises (size, sections, JSON, numbers out of bounds, no readings, no signature).
   Everything else that the field gets wrong is a deviation on a readable record: a verdict needs the record.
3. The format's version decides which fields there are (`wire.meter.ocmf_fields`); none is refused for its version.
4. Carry-forward is resolved in `wire.meter.ocmf_readings` and nowhere else.

Source: OCMF 1.4.1 (SAFE-eV), tables 1 to 25.
"""

from __future__ import annotations

import base64
import binascii

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog, Fields, is_plain_name, printable
from wire.meter.draft import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.json_text import JSONObject, parse_section
from wire.meter.ocmf_fields import (
    ALGORITHM_LEFT_PAYLOAD,
    TEXT_KEYS,
    Version,
    check_members,
    read_extensions,
    read_gateway,
    read_loss,
    read_pagination,
    read_user,
    read_version,
)
from wire.meter.ocmf_readings import MAX_READINGS, read_readings
from wire.meter.record import DeviationClass, MeterRecord, PaginationContext, Reading, RecordSignature

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
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"

_PREFIX = b"OCMF|"
_DEFAULT_SINCE = (0, 4)
_MEDIA_TYPE = "application/x-der"
_SIGNATURE_TEXTS = frozenset({"SA", "SE", "SM", "SD"})
_RESERVED_IN_SIGNATURE = tuple("ABCDEFUVWXYZ")
_ENCODINGS = ("hex", "base64")


def parse_ocmf(raw: bytes) -> MeterRecord:
    """The record that `raw` holds, from `OCMF|` to the end of the signature section; at most 64 KiB, 512 readings.

    Every format from 0.1 to 1.4 is read; one that does not exist is read as the nearest that does. Signatures are not
    checked here (`wire.meter.judge`). A fourth section, once used for a public key, is reported; what stands there is
    the `embedded_key`, a claim. `raw` begins with `OCMF|` itself: white space around it is the carrier's
    (`wire.meter.carrier`). About 20 us.

    A section that is not UTF-8 is read as latin-1, with the deviation `text-encoding`; `payload_bytes` stay the bytes
    that came. A text that was re-encoded on its way is verified over `MeterRecord.payload_reencoded`.

    Raises:
        MeterRecordError: `too-large`, `not-ocmf`, `sections`, the codes of `json_text.parse_object`, `no-readings`,
            `too-many-readings`, `reading-not-an-object`, `no-signature`, `signature-encoding`.

    Source: OCMF 1.4.1, tables 1 to 8.
    """
    sections = _split(raw)
    log = DeviationLog()
    log.has_escapes = b"\\u" in raw
    if len(sections) == 4:
        log.add("fourth-section", "/signature", "a fourth section stands behind the signature; it is not trusted")
    members = _section(sections[1], "payload", log).members
    signature_members = _section(sections[2], "signature", log).members
    fields = Fields(members, TEXT_KEYS, "/payload", log)
    version = read_version(fields)
    pagination = read_pagination(fields)
    is_fiscal = pagination is not None and pagination.context is PaginationContext.FISCAL
    check_members(fields, is_fiscal)
    user = read_user(fields, version)
    readings = read_readings(members, is_fiscal, version, log)
    extensions = read_extensions(fields, version)
    loss = read_loss(fields, log) if "LC" in members else None
    signature = _signature(signature_members, fields.texts, version, log)
    text = fields.texts.get
    gateway_id, gateway_version = read_gateway(fields, version)
    return MeterRecord(
        raw=raw,
        payload_bytes=sections[1],
        format_version=text("FV"),
        pagination=pagination,
        gateway_id=gateway_id,
        gateway_serial=text("GS"),
        gateway_version=gateway_version,
        meter_vendor=text("MV"),
        meter_model=text("MM"),
        meter_serial=text("MS"),
        meter_firmware=text("MF"),
        charge_controller_firmware=text("CF"),
        loss_compensation=loss,
        charge_point_type=text("CT"),
        charge_point_id=text("CI"),
        tariff_text=text("TT"),
        user=user,
        readings=readings,
        signature=signature,
        deviations=log.found(),
        embedded_key=sections[3].strip() if len(sections) > 3 else None,
        vendor_extensions=extensions,
    )


def _split(raw: bytes) -> list[bytes]:
    """What the `|` separate, `OCMF` first: three sections or four."""
    if len(raw) > MAX_RECORD_BYTES:
        raise MeterRecordError("too-large", "record", f"{len(raw)} bytes; at most {MAX_RECORD_BYTES}")
    if not raw.startswith(_PREFIX):
        raise MeterRecordError("not-ocmf", "record", "expected the record to begin with 'OCMF|'")
    sections = raw.split(b"|", 4)
    if len(sections) not in (3, 4):
        raise MeterRecordError(
            "sections", "record", f"expected 3 sections separated by '|', found {len(sections)} or more"
        )
    return sections


def _section(data: bytes, name: str, log: DeviationLog) -> JSONObject:
    section = parse_section(data, name)
    if section.duplicate_keys:
        _note_duplicates(section, name, log)
    if section.control_characters:
        log.add("control-character", f"/{name}", "a string holds a raw control character")
    if not section.is_utf8:
        kind = DeviationClass.SAFE_REJECT if name == "payload" else DeviationClass.SPEC
        log.add("text-encoding", f"/{name}", "not UTF-8; read as latin-1", kind)
    return section


def _note_duplicates(section: JSONObject, name: str, log: DeviationLog) -> None:
    """SAFE refuses a key that stands twice in the payload itself; deeper down it takes the last, as we do."""
    refused = frozenset(section.own_duplicates) if name == "payload" else frozenset()
    for key in section.duplicate_keys:
        message = f"key {printable(key)} stands twice in one object; the last one is read"
        if key in refused:
            pointer = f"/{name}/{key}" if is_plain_name(key) else f"/{name}"
            log.add("duplicate-key", pointer, message, DeviationClass.SAFE_REJECT)
        else:
            log.add("duplicate-key", f"/{name}", message)


def _signature(
    members: dict[str, object], payload: dict[str, str], version: Version | None, log: DeviationLog
) -> RecordSignature:
    fields = Fields(members, _SIGNATURE_TEXTS, "/signature", log)
    texts = fields.texts
    if texts.get("SM", _MEDIA_TYPE) != _MEDIA_TYPE:
        fields.note("signature-media-type", "SM", f"expected {_MEDIA_TYPE}, found {printable(texts['SM'])}")
    if not _SIGNATURE_TEXTS.issuperset(members):
        names = (key for key in members if not key.startswith(_RESERVED_IN_SIGNATURE))
        fields.note_unknown(key for key in names if key not in _SIGNATURE_TEXTS)
    text = texts.get("SD")
    if not text:
        raise MeterRecordError("no-signature", "/signature/SD", "expected the signature as text")
    encoding = _encoding(fields)
    value = _decode(text, encoding)
    if value is None:
        raise MeterRecordError("signature-encoding", "/signature/SD", f"not {encoding}")
    return RecordSignature(algorithm=_algorithm(fields, payload, version), encoding=encoding, value=value)


def _algorithm(fields: Fields, payload: dict[str, str], version: Version | None) -> str:
    """SA, or its default; before format 1.0 it stood in the signed section."""
    written = fields.texts.get("SA")
    inside = payload.get("SA") if version is None or version < ALGORITHM_LEFT_PAYLOAD else None
    if written is None and inside is None and version is not None and version < _DEFAULT_SINCE:
        fields.note("algorithm-missing", "SA", "SA has a default since format 0.4 only; the default is taken")
    if inside is None:
        return DEFAULT_ALGORITHM if written is None else written
    if written is None and inside.lower() != DEFAULT_ALGORITHM.lower():
        message = "SAFE 1.4.1 does not look for SA in the payload"
        fields.note("algorithm-in-payload", "SA", message, DeviationClass.SAFE_REJECT)
    elif written is not None and written.lower() != inside.lower():
        fields.note("algorithm-differs", "SA", f"the payload names {printable(inside)}; the signature section counts")
    return inside if written is None else written


def _encoding(fields: Fields) -> str:
    written = fields.texts.get("SE", "hex")
    encoding = written.strip().lower()
    if encoding not in _ENCODINGS:
        raise MeterRecordError("signature-encoding", "/signature/SE", f"unknown encoding {printable(written)}")
    if written != encoding:
        message = f"expected hex or base64 in lower case, found {printable(written)}"
        fields.note("signature-encoding", "SE", message, DeviationClass.SAFE_REJECT)
    return encoding


def _decode(text: str, encoding: str) -> bytes | None:
    """SD, white space in it ignored; None when it is not of `encoding`."""
    try:
        if encoding == "hex":
            return bytes.fromhex(text)
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        return None
