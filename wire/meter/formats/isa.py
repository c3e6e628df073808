"""ISA-EDL-40P: the answer of a meter in SML that holds both ends of a session, signed on secp256r1.

The meter signs 320 bytes that are built here of the fields of the answer, numbers little-endian, the rest zero.

     0  server id, 10         23  value, 8                231  station, 20         260  its value, 8
    10  local time, 4         31  log book, 2             251  status at begin     268  list name, 6
    14  status                33  signature of value, 66  252  its OBIS, 6         274  page, 4
    15  OBIS, 6               99  contract id, 128        258  its unit            278  zero
    21  unit, 22 scaler      227  local begin, 4          259  its scaler

The list's name says when in the session it was made: 81 80 81 62 00 FF at the begin, 01 during, 02 at the end.
Source: the ISA-EDL-40P reader of the transparency software of the S.A.F.E. association, 1.4.1; BSI TR-03109-1 annex IV.
"""

from __future__ import annotations

import struct

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog
from wire.meter.formats.sml import (
    Entry,
    ListResponse,
    LocalTime,
    entry_of,
    number,
    octets,
    parse_list_response,
    parse_time,
)
from wire.meter.formats.terms import bare_signature, energy, foreign_record, identification, note_offset, obis_text
from wire.meter.record import DeviationClass, MeterClock, MeterFormat, MeterRecord, Reading, ReadingReason

SIGNED = struct.Struct("<10sIB6sBbq2s66s128sI20sB6sBbq6sI42x")
SIGNED_BYTES = 320

_CONTRACT_ID = bytes.fromhex("8182815401FF")
_AT_BEGIN = bytes.fromhex("010001080080")
_NOW = bytes.fromhex("0100010800FF")
_PAGE = bytes.fromhex("8180C7F040FF")
_STATION = bytes.fromhex("8180816101FF")
_LIST_NAMES = {
    bytes.fromhex("8180816200FF"): ReadingReason.BEGIN,
    bytes.fromhex("8180816201FF"): ReadingReason.CHARGING,
    bytes.fromhex("8180816202FF"): ReadingReason.END,
}
_SIGNATURE_BYTES = 64
_LOG_BOOK_BYTES = 2
_LENGTHS = {"server id": 10, "signature of the value": 66, "station": 20, "list name": 6, "signature": 66}


def parse_isa(raw: bytes) -> MeterRecord:
    """The record that the SML file `raw` holds: the register at the begin, and unless the record was made there the
    register at its own time, both of 01-00:01.08.00*FF.

    The value at the begin is the same register as kept under 01-00:01.08.00*80 when the contract was set. The status
    that is signed is one byte whose bits are not public: the readings have none. Their `at` is the signed local time
    with the offset that stands beside it, which is not signed (`MeterRecord.at_slack`); a deviation says so.

    Raises:
        MeterRecordError: the codes of `parse_list_response` and `parse_time`, `missing-entry`, `field-length`,
            `list-name`, `out-of-range`, `scaler`.
    """
    answer = parse_list_response(raw)
    now, begin = entry_of(answer, _NOW, "register"), entry_of(answer, _AT_BEGIN, "register at the begin")
    name = _octets(answer.name, "list name")
    reason = _LIST_NAMES.get(name)
    if reason is None:
        raise MeterRecordError("list-name", "SML", f"list {name.hex()} is none of a session")
    signature = _octets(answer.signature, "signature")
    time, began = parse_time(now.time, "SML/register"), parse_time(begin.time, "SML/register at the begin")
    log = DeviationLog()
    if not answer.checksum_holds:
        log.add("checksum", "/payload", "the CRC of the SML file does not hold", DeviationClass.SAFE_REJECT)
    note_offset(log, "its offset stands beside it, unsigned" if time.offset_minutes else "it is read as UTC")
    signed = _signed_content(answer, now, begin, time, began)
    readings = [_reading(begin, began, ReadingReason.BEGIN, log)]
    if reason is not ReadingReason.BEGIN:
        readings.append(_reading(now, time, reason, log))
    server_id, contract = SIGNED.unpack(signed)[0], SIGNED.unpack(signed)[9]
    return foreign_record(
        MeterFormat.ISA_EDL_40P,
        raw,
        signed,
        bare_signature(signature[:_SIGNATURE_BYTES], "ECDSA-secp256r1-SHA256", "raw"),
        page=number(entry_of(answer, _PAGE, "page").value, "page"),
        meter_serial=server_id.hex().upper(),
        user=identification(contract),
        readings=readings,
        log=log,
    )


def _octets(field: object, what: str) -> bytes:
    """The octets of a field of fixed length."""
    found = octets(field if isinstance(field, bytes) else None, what)
    if len(found) != _LENGTHS[what]:
        raise MeterRecordError("field-length", "SML", f"{what}: expected {_LENGTHS[what]} bytes, found {len(found)}")
    return found


def _signed_content(answer: ListResponse, now: Entry, begin: Entry, time: LocalTime, began: LocalTime) -> bytes:
    """The 320 bytes that the meter signed."""
    contract = octets(entry_of(answer, _CONTRACT_ID, "contract id").value, "contract id")
    if len(contract) > 128:
        raise MeterRecordError("field-length", "SML", f"contract id: at most 128 bytes, found {len(contract)}")
    try:
        return SIGNED.pack(
            _octets(answer.server_id, "server id"),
            time.local_seconds,
            number(now.status, "status") & 0xFF,
            _NOW,
            number(now.unit, "unit"),
            number(now.scaler, "scaler"),
            number(now.value, "value"),
            _octets(answer.signature, "signature")[-_LOG_BOOK_BYTES:],
            _octets(now.signature, "signature of the value"),
            contract,
            began.local_seconds,
            _octets(entry_of(answer, _STATION, "station").value, "station"),
            number(begin.status, "status at the begin") & 0xFF,
            _AT_BEGIN,
            number(begin.unit, "unit at the begin"),
            number(begin.scaler, "scaler at the begin"),
            number(begin.value, "value at the begin"),
            _octets(answer.name, "list name"),
            number(entry_of(answer, _PAGE, "page").value, "page"),
        )
    except struct.error as error:
        raise MeterRecordError("out-of-range", "SML", f"a number does not fit its signed field: {error}") from error


def _reading(entry: Entry, time: LocalTime, reason: ReadingReason, log: DeviationLog) -> Reading:
    value, unit = energy(number(entry.value, "value"), number(entry.scaler, "scaler"), number(entry.unit, "unit"), log)
    return Reading(
        at=time.at, clock=MeterClock.INFORMATIVE, reason=reason, value=value, register=obis_text(_NOW), unit=unit
    )
