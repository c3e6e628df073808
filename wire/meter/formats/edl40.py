"""EDL40: the answer of an EMH eHZ meter in SML, and the same signed bytes in XML (EDL40_SIG).

The meter signs 320 bytes that are sent nowhere: they are built here of the fields of the answer, numbers
little-endian, the rest zero.

     0  server id, 10         23  OBIS, 6              169  its local time, 4       195  price, 2 (big-endian)
    10  local time, 4         29  unit                 173  register before, 8      197  zero
    14  status                30  scaler               181  compensated, 8
    15  second index, 4       31  value, 8             189  line resistance, 2
    19  page, 4               39  log book, 2          191  stopwatch, 4
                              41  contract id, 128

The contract's own time says when the meter was told the contract. On secp192r1 it is one for the whole session: it is
the record's `transaction`, and so the begin of one session does not go with the end of another of the same driver. The
only public pair of a newer meter was told its contract before each reading, so there it is but `contract_set`.

A signature of 50 bytes is one on secp192r1 with the two bytes of the log book behind it; one of 66 bytes is one on
secp256r1, of a newer meter whose status word is wider and which also measures behind the cable (`compensated`).
Source: the EDL40 readers of the transparency software of the S.A.F.E. association, 1.4.1; BSI TR-03109-1 annex IV. Of
the contract's time: its reader for Mennekes, which takes one for begin and end, and the signed pairs of sessions that
are public with it and with Chargy, three of Mennekes, one of EDL40, one of a newer meter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from wire.errors import MeterRecordError
from wire.meter.deviations import DeviationLog
from wire.meter.formats.sml import (
    ListResponse,
    entry_of,
    number,
    octets,
    parse_list_response,
    parse_second_index,
    parse_time,
)
from wire.meter.formats.terms import (
    bare_signature,
    decoded_base64,
    decoded_hex,
    energy,
    foreign_record,
    identification,
    instant,
    note_offset,
    obis_text,
)
from wire.meter.record import (
    DeviationClass,
    MeterClock,
    MeterFormat,
    MeterRecord,
    MeterStatus,
    Reading,
    RecordSignature,
)
from wire.meter.xml_text import Element, parse_xml

SIGNED = struct.Struct("<10sIBII6sBbQ2s128sIQQHI")
SIGNED_BYTES = 320

_PRICE = struct.Struct(">H")
_CONTRACT_ID = bytes.fromhex("8182815401FF")
_REGISTER = bytes.fromhex("0100011100FF")
_COMPENSATED = bytes.fromhex("0100011100C8")
_BEFORE = bytes.fromhex("010001110064")
_SECOND_INDEX = bytes.fromhex("810060080001")
_PAGE = bytes.fromhex("8180817101FF")
_RESISTANCE = bytes.fromhex("00AF6C6C72FF")
_STOPWATCH = bytes.fromhex("00AF647572FF")
_PRICE_NAME = bytes.fromhex("00AF707263FF")

_LOG_BOOK_BYTES = 2
_CURVES = {48: "secp192r1", 64: "secp256r1"}
_STATUS_OF_WIDE_WORD = ((0, 17), (3, 31), (4, 16), (5, 11), (6, 9), (7, 8))
_FATAL_ERROR, _MAGNETIC = 1 << 0, 1 << 6


def parse_edl40(raw: bytes) -> MeterRecord:
    """The record that the SML file `raw` holds: one reading of register 01-00:01.11.00*FF, the energy of A+ in Wh, or
    where a newer meter compensated for the cable that value instead (01-00:01.11.00*C8), for it is the one to bill.

    `meter_serial` is the server id in hex, the event counter the index of the log book. The reading has no reason: OCPP
    alone says whether it is the begin or the end. `at` is the signed local time with the offset that stands beside it,
    which is not signed (`MeterRecord.at_slack`), and None for one that no place has; a deviation says so.

    Raises:
        MeterRecordError: the codes of `parse_list_response`, `parse_time`, `missing-entry`, `signature-length`,
            `server-id-length`, `contract-id-length`, `out-of-range`, `scaler`.
    """
    answer = parse_list_response(raw)
    signature = octets(answer.signature, "signature")
    curve = _CURVES.get(len(signature) - _LOG_BOOK_BYTES)
    if curve is None:
        message = f"expected 50 bytes (secp192r1) or 66 (secp256r1), found {len(signature)}"
        raise MeterRecordError("signature-length", "SML/signature", message)
    log = DeviationLog()
    if not answer.checksum_holds:
        log.add("checksum", "/payload", "the CRC of the SML file does not hold", DeviationClass.SAFE_REJECT)
    note_offset(log, "its offset stands beside it, unsigned")
    content, at = _signed_content(answer, signature, wide=curve == "secp256r1")
    signed = _Signed(MeterFormat.EDL40, raw, content, signature, curve)
    return _record(signed, at=at, clock=MeterClock.INFORMATIVE, log=log)


def _signed_content(answer: ListResponse, signature: bytes, *, wide: bool) -> tuple[bytes, datetime | None]:
    """The 320 bytes that the meter signed, and the instant of the reading."""
    server_id = octets(answer.server_id, "server id")
    if len(server_id) != 10:
        raise MeterRecordError("server-id-length", "SML", f"expected 10 bytes, found {len(server_id)}")
    register, contract = entry_of(answer, _REGISTER, "register"), entry_of(answer, _CONTRACT_ID, "contract id")
    identity = b"" if contract.value is None else octets(contract.value, "contract id")
    if len(identity) > 128:
        raise MeterRecordError("contract-id-length", "SML", f"at most 128 bytes, found {len(identity)}")
    time = parse_time(register.time, "SML/register")
    status = number(register.status, "status")
    try:
        fixed = SIGNED.pack(
            server_id,
            time.local_seconds,
            (_narrow(status) if wide else status) & 0xFF,
            parse_second_index(entry_of(answer, _SECOND_INDEX, "second index").value, "SML/second index"),
            number(entry_of(answer, _PAGE, "page").value, "page"),
            _REGISTER,
            number(register.unit, "unit"),
            number(register.scaler, "scaler"),
            number(register.value, "value"),
            signature[-_LOG_BOOK_BYTES:],
            identity,
            parse_time(contract.time, "SML/contract id").local_seconds,
            *(_optional(answer, name) for name in (_BEFORE, _COMPENSATED, _RESISTANCE, _STOPWATCH)),
        )
        return (fixed + _PRICE.pack(_optional(answer, _PRICE_NAME))).ljust(SIGNED_BYTES, b"\0"), time.at
    except struct.error as error:
        raise MeterRecordError("out-of-range", "SML", f"a number does not fit its signed field: {error}") from error


def _optional(answer: ListResponse, name: bytes) -> int:
    """The number of a newer meter; 0 where an older one has none."""
    entry = answer.entries.get(name)
    return 0 if entry is None else number(entry.value, name.hex())


def _narrow(status: int) -> int:
    """The status byte of an older meter, of the bits of the wide word that mean the same."""
    return sum(1 << bit for bit, wide in _STATUS_OF_WIDE_WORD if status >> wide & 1)


def parse_edl40_sig(raw: bytes) -> MeterRecord:
    """The record of a `signedMeterValue` document: the 320 bytes themselves, their signature (with or without the two
    bytes of the log book), and a key, which is a claim. The signed time is local, and no zone stands beside it: it is
    read as UTC, its clock is unknown, and a deviation says so.

    Raises:
        MeterRecordError: the codes of `parse_xml`, `not-edl40-sig`, `encoding`, `dataset-length`, `signature-length`,
            `scaler`.
    """
    root = parse_xml(raw, "record")
    value, found = root.child("encodedMeterValue"), root.child("meterValueSignature")
    if root.name != "signedMeterValue" or value is None or found is None:
        raise MeterRecordError("not-edl40-sig", "record", "expected a signedMeterValue with a value and a signature")
    signed, signature = _decoded(value), _decoded(found)
    if len(signed) != SIGNED_BYTES:
        raise MeterRecordError("dataset-length", "value", f"expected {SIGNED_BYTES} bytes, found {len(signed)}")
    curve = _CURVES.get(len(signature)) or _CURVES.get(len(signature) - _LOG_BOOK_BYTES)
    if curve is None:
        message = f"expected 48 or 50 bytes (secp192r1), 64 or 66 (secp256r1), found {len(signature)}"
        raise MeterRecordError("signature-length", "signature", message)
    key = root.child("publicKey")
    log = DeviationLog()
    note_offset(log, "no offset stands beside it, and it is read as UTC")
    return _record(
        _Signed(MeterFormat.EDL40_SIG, raw, signed, signature, curve),
        at=instant(SIGNED.unpack(signed[: SIGNED.size])[1]),
        clock=MeterClock.UNKNOWN,
        log=log,
        embedded_key=None if key is None else _claim(key),
    )


def _claim(key: Element) -> bytes | None:
    """The key's bytes, or its text when that is in no encoding: whether it is a key is for the judge to say."""
    try:
        return _decoded(key) or None
    except MeterRecordError:
        return key.text.strip().encode() or None


def _decoded(element: Element) -> bytes:
    encoding = element.attributes.get("encoding", "")
    if encoding == "hex":
        return decoded_hex(element.text, element.name)
    if encoding == "base64":
        return decoded_base64(element.text, element.name)
    raise MeterRecordError("encoding", element.name, f"unknown encoding {encoding[:20]!a}")


@dataclass(frozen=True, slots=True)
class _Signed:
    """What was signed and how, of a record in one of the two forms."""

    format: MeterFormat
    raw: bytes
    content: bytes
    signature: bytes
    curve: str

    @property
    def proof(self) -> RecordSignature:
        """The signature itself, without the bytes of the log book behind it."""
        size = next(size for size, curve in _CURVES.items() if curve == self.curve)
        return bare_signature(self.signature[:size], f"ECDSA-{self.curve}-SHA256", "raw")


def _record(
    signed: _Signed, *, at: datetime | None, clock: MeterClock, log: DeviationLog, embedded_key: bytes | None = None
) -> MeterRecord:
    """The record, read from the signed bytes and from nothing else but the instant, whose zone is not signed."""
    unpacked = SIGNED.unpack(signed.content[: SIGNED.size])
    server_id, _, status, _, page, obis, unit, scaler, value, log_book, contract, told, _, compensated, _, _ = unpacked
    if compensated:
        obis, value = _COMPENSATED, compensated
    is_older = signed.curve == "secp192r1"
    register_value, register_unit = energy(value, scaler, unit, log)
    reading = Reading(
        at=at,
        clock=clock,
        value=register_value,
        register=obis_text(obis),
        unit=register_unit,
        event_counter=Decimal(int.from_bytes(log_book)),
        status=_status(status),
    )
    return foreign_record(
        signed.format,
        signed.raw,
        signed.content,
        signed.proof,
        page=page,
        meter_serial=server_id.hex().upper(),
        user=identification(contract),
        readings=(reading,),
        log=log,
        embedded_key=embedded_key,
        transaction=_local_text(told) if is_older else None,
        contract_set=None if is_older else _local_text(told),
    )


def _local_text(seconds: int) -> str | None:
    """A local time, whose zone nobody signed, as text; None for a clock that was never set."""
    at = instant(seconds)
    return None if at is None else at.replace(tzinfo=None).isoformat()


def _status(status: int) -> MeterStatus:
    """ST of the status byte: bit 0 is a fatal error, bit 6 a magnetic field."""
    if status & _FATAL_ERROR:
        return MeterStatus.OTHER_ERROR
    return MeterStatus.MANIPULATED if status & _MAGNETIC else MeterStatus.GOOD
