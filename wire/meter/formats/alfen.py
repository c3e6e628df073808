"""ALFEN: one line of six parts, `AP;type;version;public key;dataset;signature`, the last three in base32.

The signature covers the dataset of 82 bytes alone; its numbers are little-endian:

     0  adapter id, 10        26  status, 4          44  unit              54  user id, 20
    10  adapter firmware, 4   30  second index, 4    45  scaler            74  session id, 4
    14  its checksum, 2       34  seconds 1970, 4    46  value, 8          78  page, 4
    16  meter id, 10          38  OBIS, 6

Whether a record is the first or the last of its session stands in `type`, which is not signed: the session id, the
pages and the register must bear it out (`wire.meter.session`). The key inside is a claim.
Source: the ALFEN reader of the transparency software of the S.A.F.E. association, 1.4.1.
"""

from __future__ import annotations

import struct

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog
from wire.meter.formats.terms import (
    bare_signature,
    decoded_base32,
    energy,
    foreign_record,
    identification,
    instant,
    obis_text,
)
from wire.meter.record import DeviationClass, MeterClock, MeterFormat, MeterRecord, MeterStatus, Reading, ReadingReason

MAX_ALFEN_BYTES = 4 * 1024
DATASET = struct.Struct("<10s4s2s10sIII6sBbQ20sII")
SIGNATURE_BYTES = 48

_PARTS = 6
_REASONS = {b"0": ReadingReason.BEGIN, b"1": ReadingReason.END, b"2": ReadingReason.CHARGING}
_METER_ERRORS = 1 << 1 | 1 << 2
_ADAPTER_ERRORS = 1 << 16 | 1 << 30 | 1 << 31
_REGISTER_MISMATCH = 1 << 26


def parse_alfen(raw: bytes) -> MeterRecord:
    """The record that `raw` holds, from `AP;` to the end of the signature; one reading. Signatures are not checked.

    The adapter is the gateway. `meter_serial` and `gateway_serial` are the two ids in hex. A `;` behind the last part
    is accepted, as it occurs.

    Raises:
        MeterRecordError: `too-large`, `not-alfen`, `sections`, `encoding`, `dataset-length`, `signature-length`,
            `scaler`.
    """
    if len(raw) > MAX_ALFEN_BYTES:
        raise MeterRecordError("too-large", "record", f"{len(raw)} bytes; at most {MAX_ALFEN_BYTES}")
    parts = raw.split(b";")
    if parts[0] != b"AP":
        raise MeterRecordError("not-alfen", "record", "expected the record to begin with 'AP;'")
    if len(parts) == _PARTS + 1 and not parts[-1]:
        parts.pop()
    if len(parts) != _PARTS:
        raise MeterRecordError("sections", "record", f"expected {_PARTS} parts separated by ';', found {len(parts)}")
    reason = _REASONS.get(parts[1])
    if reason is None:
        raise MeterRecordError("sections", "type", "expected 0, 1 or 2")
    dataset = decoded_base32(parts[4], "dataset")
    if len(dataset) != DATASET.size:
        raise MeterRecordError("dataset-length", "dataset", f"expected {DATASET.size} bytes, found {len(dataset)}")
    signature = decoded_base32(parts[5], "signature")
    if len(signature) != SIGNATURE_BYTES:
        message = f"expected {SIGNATURE_BYTES} bytes, found {len(signature)}"
        raise MeterRecordError("signature-length", "signature", message)
    return _record(raw, parts, dataset, signature, reason)


def _record(raw: bytes, parts: list[bytes], dataset: bytes, signature: bytes, reason: ReadingReason) -> MeterRecord:
    fields = DATASET.unpack(dataset)
    adapter, firmware, _, meter, status, _, seconds, obis, unit, scaler, value, user, session, page = fields
    log = DeviationLog()
    register_value, register_unit = energy(value, scaler, unit, log)
    reading = Reading(
        at=instant(seconds),
        clock=MeterClock.INFORMATIVE,
        reason=reason,
        value=register_value,
        register=obis_text(obis),
        unit=register_unit,
        status=_status(status, log),
    )
    return foreign_record(
        MeterFormat.ALFEN,
        raw,
        dataset,
        bare_signature(signature, "ECDSA-secp192r1-SHA256", "base32"),
        page=page,
        meter_serial=meter.hex().upper(),
        gateway_serial=adapter.hex().upper(),
        gateway_version=firmware.rstrip(b"\0").decode("ascii", "backslashreplace") or None,
        format_version=parts[2].decode("ascii", "replace"),
        user=identification(user),
        readings=(reading,),
        log=log,
        embedded_key=_claim(parts[3]),
        transaction=str(session),
    )


def _claim(text: bytes) -> bytes | None:
    """The key's bytes, or its text when that is no base32: whether it is a key is for the judge to say."""
    try:
        return decoded_base32(text, "public key") or None
    except MeterRecordError:
        return text


def _status(status: int, log: DeviationLog) -> MeterStatus:
    if status & _REGISTER_MISMATCH:
        message = "the adapter says that the meter's register did not fit its own at the start"
        log.add("register-mismatch", "/payload/status", message, DeviationClass.ADVISORY)
    if status & (_METER_ERRORS | _ADAPTER_ERRORS):
        which = "meter" if status & _METER_ERRORS else "adapter"
        log.add("meter-error", "/payload/status", f"the {which} reports an error (status {status:#010x})")
        return MeterStatus.OTHER_ERROR
    return MeterStatus.GOOD
