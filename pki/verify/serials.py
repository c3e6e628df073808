"""The serial numbers of a revocation list, packed: 25 bytes each, and found in about a microsecond.

A list of a million entries as Python objects takes hundreds of megabytes; here it is one sorted run of records of fixed
width (20 octets of serial number, 5 octets of revocation time), read from the DER in one walk that keeps only a
bounded part in the open. A look-up is a binary search over every 32nd record's key, then a search in those 32.

Source: RFC 5280 5.1.2.6 and 5.3.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from pki import der as outline
from pki.errors import TrustError
from pki.verify.fields import ENUMERATED, read_extensions, read_instant, read_integer, whole

SERIAL_OCTETS = 20
"""A longer serial number makes a list malformed: no certificate that is read here has one (RFC 5280 4.1.2.2)."""

_TIME_OCTETS = 5
_WIDTH = SERIAL_OCTETS + _TIME_OCTETS
_REMOVED = 1 << 39
_LATEST = _REMOVED - 1
_RUN = 1 << 14
_BLOCK = 32
_STRIDE = _BLOCK * _WIDTH
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENDINGS_KEPT = 256
_UTC_TIME_HEADER = bytes([outline.UTC_TIME, 13])

_REASON, _INVALIDITY_DATE = "2.5.29.21", "2.5.29.24"
_REMOVE_FROM_CRL = 8
_REASONS = frozenset({0, 1, 2, 3, 4, 5, 6, 8, 9, 10})


class Listing(NamedTuple):
    """One entry: when the certificate was revoked (to the second, not before 1970); `removed`: a delta lifts it."""

    at: datetime
    removed: bool


class RevokedSerials:
    """An immutable index of the entries of one list. Of several entries with one serial number the earliest counts, and
    a revocation before a removal. `removals`: whether any entry is one."""

    __slots__ = ("_marks", "_records", "removals")

    def __init__(self, records: bytearray, removals: bool) -> None:
        self._records = records
        self._marks = [bytes(records[at : at + SERIAL_OCTETS]) for at in range(0, len(records), _STRIDE)]
        self.removals = removals

    def __len__(self) -> int:
        return len(self._records) // _WIDTH

    def listing(self, serial: int) -> Listing | None:
        """The entry of `serial`; None when it is not listed. About 1 us."""
        if serial < 0 or serial.bit_length() > 8 * SERIAL_OCTETS:
            return None
        key = serial.to_bytes(SERIAL_OCTETS, "big")
        start = (bisect_right(self._marks, key) - 1) * _STRIDE
        if start < 0:
            return None
        found = self._records.find(key, start, start + _STRIDE)
        while found >= 0 and (found - start) % _WIDTH:
            found = self._records.find(key, found + 1, start + _STRIDE)
        if found < 0:
            return None
        time = int.from_bytes(self._records[found + SERIAL_OCTETS : found + _WIDTH], "big")
        return Listing(datetime.fromtimestamp(time & _LATEST, UTC), bool(time & _REMOVED))


def read_serials(data: bytes, entries: outline.Element | None) -> RevokedSerials:
    """The index of the entries in the content of `entries`; None: the list has none.

    Cost: about 3 us for each entry; 50 bytes for each beside `data` while it is made, 28 of them kept.

    Raises:
        MalformedDER: an entry is not SEQUENCE{INTEGER, Time, extensions OPTIONAL}.
        TrustError: "crl-extension": an entry has a critical extension that is not processed here.
    """
    if entries is None:
        return RevokedSerials(bytearray(), False)
    walk = _Walk(data, entries)
    records = walk.records()
    runs = bytearray()
    while run := sorted(islice(records, _RUN)):
        runs += b"".join(run)
    return RevokedSerials(_merged(bytes(runs)), walk.removals)


def _merged(runs: bytes) -> bytearray:
    """Sorted runs of equal length (the last may be shorter) as one, each serial number once."""
    out = bytearray(len(runs))
    at, last = 0, b""
    run = _RUN * _WIDTH
    for record in heapq.merge(*(_split(runs, start, start + run) for start in range(0, len(runs), run))):
        key = record[:SERIAL_OCTETS]
        if key != last:
            out[at : at + _WIDTH] = record
            at += _WIDTH
            last = key
    del out[at:]
    return out


def _split(runs: bytes, start: int, end: int) -> Iterator[bytes]:
    return (runs[at : at + _WIDTH] for at in range(start, min(end, len(runs)), _WIDTH))


class _Walk:
    """One pass over the entries. Days, and extensions that many entries share, are read once."""

    __slots__ = ("_data", "_days", "_end", "_endings", "_start", "removals")

    def __init__(self, data: bytes, entries: outline.Element) -> None:
        self._data, self._start, self._end = data, entries.content, entries.end
        self._days: dict[bytes, int] = {}
        self._endings: dict[bytes, int] = {}
        self.removals = False

    def records(self) -> Iterator[bytes]:
        """The record of each entry, in the list's order. Headers are read in place: calls would double the cost."""
        data, at, end = self._data, self._start, self._end
        while at < end:
            if at + 2 > end or data[at] != outline.SEQUENCE:
                raise outline.MalformedDER(f"no CRL entry at byte {at}")
            serial, stop = at + 2, at + 2 + data[at + 1]
            if stop >= serial + 0x80:
                _, _, serial, stop = outline.read_element(data, at, end)
            if stop > end or serial + 2 > stop or data[serial] != outline.INTEGER:
                raise outline.MalformedDER(f"CRL entry at byte {at} has no serial number or is cut off")
            time = serial + 2 + data[serial + 1]
            number = data[serial + 2 : time]
            if time + 2 > stop or not _is_serial(number):
                raise outline.MalformedDER(f"serial number of the CRL entry at byte {at} is out of range or padded")
            seconds, after = self._time(time, stop)
            if after != stop:
                seconds |= self._ending(data[after:stop])
            yield number.rjust(SERIAL_OCTETS, b"\0") + seconds.to_bytes(_TIME_OCTETS, "big")
            at = stop

    def _time(self, start: int, limit: int) -> tuple[int, int]:
        """Seconds from 1970 of the time at `start`, and where it ends. Nearly all are UTCTime of a day seen before."""
        data = self._data
        midnight = self._days.get(data[start + 2 : start + 8]) if data[start : start + 2] == _UTC_TIME_HEADER else None
        clock = data[start + 8 : start + 14]
        if midnight is not None and start + 15 <= limit and data[start + 14] == 0x5A and clock.isdigit():
            hour, minute, second = int(clock[:2]), int(clock[2:4]), int(clock[4:])
            if hour < 24 and minute < 60 and second < 60:
                return midnight + hour * 3600 + minute * 60 + second, start + 15
        element = outline.read_element(data, start, limit)
        instant = read_instant(data, element)
        if element.tag == outline.UTC_TIME:
            day = instant.replace(hour=0, minute=0, second=0)
            self._days[data[start + 2 : start + 8]] = max(0, int((day - _EPOCH).total_seconds()))
        return min(max(0, int((instant - _EPOCH).total_seconds())), _LATEST), element.end

    def _ending(self, der: bytes) -> int:
        """The flag that an entry's extensions put into its record."""
        known = self._endings.get(der)
        if known is None:
            known = _REMOVED if _is_removal(der) else 0
            self.removals = self.removals or bool(known)
            if len(self._endings) < _ENDINGS_KEPT:
                self._endings[der] = known
        return known


def _is_serial(content: bytes) -> bool:
    """Whether an INTEGER's content is not negative, in its shortest form and of at most 20 octets."""
    size = len(content)
    if not 1 <= size <= SERIAL_OCTETS or content[0] > 0x7F:
        return False
    return content[0] > 0 or size == 1 or content[1] > 0x7F


def _is_removal(der: bytes) -> bool:
    """Whether an entry's extensions say removeFromCRL."""
    extensions = read_extensions(der, whole(der, outline.SEQUENCE))
    for oid, extension in extensions.items():
        if extension.critical and oid not in (_REASON, _INVALIDITY_DATE):
            raise TrustError(
                "crl-extension",
                f"a CRL entry carries critical extension {oid}, which is not processed",
                clause="RFC 5280 5.3",
            )
    if _REASON not in extensions:
        return False
    content = extensions[_REASON].content
    reason = read_integer(content, whole(content, ENUMERATED), 1)
    if reason not in _REASONS:
        raise outline.MalformedDER(f"a CRL entry has reason {reason}, which does not exist")
    return reason == _REMOVE_FROM_CRL
