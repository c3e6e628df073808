"""SML, the language of electronic meters: bytes of a serial line to the answer that holds the signed values.

A file is framed by escape sequences and a CRC, holds messages, and each message is a tree of type-length-value fields.
Source: BSI TR-03109-1 annex IV (Smart Message Language 1.04): 6 (encoding), 8 (transport protocol 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from wire.errors import MeterRecordError

MAX_SML_BYTES = 64 * 1024
MAX_DEPTH = 16

Field = bytes | int | bool | tuple["Field", ...] | None
"""A field: octets, a number, a truth value, a list; None for an optional field that is left out."""

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_BEGIN = _ESCAPE + b"\x01\x01\x01\x01"
_END = 0x1A
_END_OF_MESSAGE = 0x00
_GET_LIST_RESPONSE = 0x0701
_OCTETS, _BOOLEAN, _INTEGER, _UNSIGNED, _LIST = 0x00, 0x40, 0x50, 0x60, 0x70
_LIST_FIELDS = 7
_ENTRY_FIELDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """An instant as SML says it: seconds since 1970 in UTC, and the minutes by which local time is ahead of that."""

    seconds: int
    offset_minutes: int = 0

    @property
    def local_seconds(self) -> int:
        """Seconds since 1970 on the local clock: what is signed."""
        return self.seconds + 60 * self.offset_minutes

    @property
    def at(self) -> datetime | None:
        """The instant; None for an offset of more than 15 hours, which no place on earth has."""
        if abs(self.offset_minutes) > 15 * 60:
            return None
        return datetime.fromtimestamp(self.seconds, timezone(timedelta(minutes=self.offset_minutes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value of a list, under its OBIS name of six bytes."""

    status: Field
    time: Field
    unit: Field
    scaler: Field
    value: Field
    signature: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class ListResponse:
    """A GetList.Res: who answers, the list's name, its entries by OBIS name, its signature. `checksum_holds` says
    whether the CRC of the file does."""

    server_id: Field
    name: Field
    entries: dict[bytes, Entry]
    signature: Field
    checksum_holds: bool


def parse_list_response(data: bytes) -> ListResponse:
    """The first GetList.Res of the SML file `data`; at most 64 KiB, nested 16 deep. What stands behind the file's end
    is not looked at.

    Raises:
        MeterRecordError: `too-large`, `not-sml`, `sml-cut`, `sml-form`, `too-deep`, `duplicate-entry`, `no-list`.
    """
    if len(data) > MAX_SML_BYTES:
        raise MeterRecordError("too-large", "SML", f"{len(data)} bytes; at most {MAX_SML_BYTES}")
    content, checksum_holds = _unframed(data)
    reader = _Reader(content)
    while not reader.at_end:
        body = _message_body(reader.field(0), reader.position)
        if body is not None:
            return _list_response(body, checksum_holds)
    raise MeterRecordError("no-list", "SML", "no message answers with a list of values")


def parse_time(field: Field, where: str) -> LocalTime:
    """The time that a choice of timestamp (tag 2) or local timestamp (tag 3) says.

    Raises:
        MeterRecordError: `sml-time`: another choice, or not in its form.
    """
    match field:
        case (2, int(seconds)) if 0 <= seconds < 2**32:
            return LocalTime(seconds=seconds)
        case (3, (int(seconds), int(offset), int(season))) if 0 <= seconds < 2**32:
            return LocalTime(seconds=seconds, offset_minutes=offset + season)
    raise MeterRecordError("sml-time", where, "expected a timestamp")


def parse_second_index(field: Field, where: str) -> int:
    """The meter's own count of seconds, from a list type (tag 1) that holds a time of seconds index (tag 1).

    Raises:
        MeterRecordError: `sml-time`.
    """
    match field:
        case (1, (1, int(seconds))) if 0 <= seconds < 2**32:
            return seconds
    raise MeterRecordError("sml-time", where, "expected a seconds index")


def entry_of(answer: ListResponse, name: bytes, what: str) -> Entry:
    """The entry under that OBIS name.

    Raises:
        MeterRecordError: `missing-entry`.
    """
    entry = answer.entries.get(name)
    if entry is None:
        raise MeterRecordError("missing-entry", f"SML/{name.hex()}", f"the answer holds no {what}")
    return entry


def octets(field: Field, what: str) -> bytes:
    """The octets of a field that must hold some.

    Raises:
        MeterRecordError: `missing-entry`.
    """
    if not isinstance(field, bytes):
        raise MeterRecordError("missing-entry", "SML", f"the answer holds no {what}")
    return field


def number(field: Field, what: str) -> int:
    """The number of a field that must be one.

    Raises:
        MeterRecordError: `missing-entry`.
    """
    if not isinstance(field, int) or isinstance(field, bool):
        raise MeterRecordError("missing-entry", "SML", f"the answer holds no {what}")
    return field


def _unframed(data: bytes) -> tuple[bytes, bool]:
    """The messages between the escape sequences, padding removed, and whether the CRC behind them holds."""
    if not data.startswith(_BEGIN):
        raise MeterRecordError("not-sml", "SML", "expected the start sequence of transport version 1")
    pieces, position = [], len(_BEGIN)
    while True:
        escape = data.find(_ESCAPE, position)
        following = data[escape + 4 : escape + 8]
        if escape < 0 or len(following) < 4:
            raise MeterRecordError("sml-cut", "SML", "no end sequence")
        pieces.append(data[position:escape])
        position = escape + 8
        if following == _ESCAPE:
            pieces.append(_ESCAPE)
            continue
        break
    if following[0] != _END or following[1] > 3:
        raise MeterRecordError("sml-form", "SML", f"unknown escape sequence at byte {escape}")
    content = b"".join(pieces)
    checksum = int.from_bytes(following[2:], "little")
    return content[: len(content) - following[1]], crc16(data[: escape + 6]) == checksum


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x8408 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes) -> int:
    """The CRC of SML's transport: DIN EN 62056-46, the 16 bits of X.25."""
    register = 0xFFFF
    for byte in data:
        register = register >> 8 ^ _CRC_TABLE[(register ^ byte) & 0xFF]
    return register ^ 0xFFFF


class _Reader:
    """Reads fields from the front of `content`; every field takes at least one byte, so the work is bounded."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self._content)

    def _take(self, count: int) -> bytes:
        taken = self._content[self.position : self.position + count]
        if count < 0 or len(taken) < count:
            raise MeterRecordError("sml-form", "SML", f"a field at byte {self.position} is longer than the file")
        self.position += count
        return taken

    def field(self, depth: int) -> Field:
        """The next field, with everything in it; the mark that ends a message is its last field, and None."""
        if depth > MAX_DEPTH:
            raise MeterRecordError("too-deep", "SML", f"fields nested more than {MAX_DEPTH} deep")
        start = self.position
        head = self._take(1)[0]
        if head == _END_OF_MESSAGE:
            return None
        kind, length = head & 0x70, head & 0x0F
        while head & 0x80:
            head = self._take(1)[0]
            length = length << 4 | head & 0x0F
            if head & 0x70 or self.position - start > 4:
                raise MeterRecordError("sml-form", "SML", f"a length at byte {start} is none")
        if kind == _LIST:
            return tuple(self.field(depth + 1) for _ in range(length))
        return self._value(kind, length - (self.position - start), start)

    def _value(self, kind: int, size: int, start: int) -> Field:
        content = self._take(size)
        if kind == _OCTETS:
            return content or None
        if kind in (_INTEGER, _UNSIGNED) and 1 <= size <= 8:
            return int.from_bytes(content, "big", signed=kind == _INTEGER)
        if kind == _BOOLEAN and size == 1:
            return content != b"\x00"
        raise MeterRecordError("sml-form", "SML", f"a field of type {kind:#04x} and {size} bytes at byte {start}")


def _message_body(message: Field, position: int) -> tuple[Field, ...] | None:
    """The body of a message that answers with a list, None for another message."""
    match message:
        case (_, _, _, (int(tag), tuple(body)), _, _):
            return body if tag == _GET_LIST_RESPONSE else None
    raise MeterRecordError("sml-form", "SML", f"no message before byte {position}")


def _list_response(body: tuple[Field, ...], checksum_holds: bool) -> ListResponse:
    if len(body) != _LIST_FIELDS or not isinstance(body[4], tuple):
        raise MeterRecordError("sml-form", "SML", "the answer has not the fields of a list of values")
    entries: dict[bytes, Entry] = {}
    for found in body[4]:
        if not isinstance(found, tuple) or len(found) != _ENTRY_FIELDS:
            raise MeterRecordError("sml-form", "SML", "an entry has not the fields of a value")
        name, status, time, unit, scaler, value, signature = found
        if not isinstance(name, bytes):
            continue
        if name in entries:
            raise MeterRecordError("duplicate-entry", f"SML/{name.hex()}", "one value stands twice in the list")
        entries[name] = Entry(status=status, time=time, unit=unit, scaler=scaler, value=value, signature=signature)
    return ListResponse(
        server_id=body[1], name=body[2], entries=entries, signature=body[5], checksum_holds=checksum_holds
    )
