"""Many records in one run: a JSON object on each line, a verdict for each line, in their order.

Rules of this file
1. A line is judged alone: whatever is wrong with it, the answer is one verdict with its id, and the next line is read.
2. A key in a line is the asker's word, and counts as the registry's. A key inside a record's carrier is a claim.
3. A record is taken as it was met on the wire: a string in any wrapping, or the JSON object of a signed value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, BinaryIO, NamedTuple

import msgspec

from gateway.metering.given import GivenRecord, given_record, records_in
from gateway.metering.judged import JudgedRecord, joined, judge_given, judge_together
from pki.service.json_lines import NO_ID, echo_id, id_of, read_lines
from wire.errors import MeterRecordError
from wire.meter.keys import KeyText
from wire.meter.record import MeterFormat
from wire.meter.told import ToldRecord, ToldSessionRecords, told_record, told_session, told_session_records
from wire.meter.verdict import Expected, KeySource, RecordVerdict, Severity, SignatureVerdict
from wire.records import encode

LINE_CAP = 8 * 1024 * 1024
"""Bytes of one line; a longer one is undecodable and is skipped to its end."""

_MAX_RECORDS = 256
_ABSENT = msgspec.Raw(b"")
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class ExpectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a line knows of a session from elsewhere, as `Expected` has it; instants with an offset."""

    identifications: list[str] = []
    begin_wh: Decimal | None = None
    end_wh: Decimal | None = None
    began_at: _Instant | None = None
    ended_at: _Instant | None = None
    max_power_w: int | None = None
    received_at: _Instant | None = None

    def expected(self) -> Expected:
        """The same for the session's checks."""
        fields = msgspec.structs.asdict(self)
        return Expected(**{**fields, "identifications": frozenset(self.identifications)})


class RecordLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a line that holds several; `context` is OCPP's, for what begins and what ends."""

    record: msgspec.Raw
    public_key: str | None = None
    context: str | None = None


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `record`, or `records` for a session. `public_key` is that of every record that has none of its own.
    Fields that are not listed here are ignored, but named where the verdict is a bad one."""

    id: msgspec.Raw = NO_ID
    record: msgspec.Raw = _ABSENT
    records: list[msgspec.Raw] | None = None
    public_key: str | None = None
    expected: ExpectedLine | None = None


_KNOWN = frozenset(BatchLine.__struct_fields__)


class BatchAnswer(NamedTuple):
    """A line of the answer, line feed included, whether everything in it is well, and the members of the line that mean
    nothing here."""

    line: bytes
    is_good: bool
    unknown: tuple[str, ...] = ()


def answer_lines(stream: BinaryIO, public_key: KeyText | None = None) -> Iterator[BatchAnswer]:
    """The answer to each line of `stream` that is not blank, as soon as it is judged. `public_key` counts for records
    whose line brings none. Memory does not grow with the number of lines."""
    for line in read_lines(stream, LINE_CAP):
        yield _refused(NO_ID, f"a line longer than {LINE_CAP} bytes") if line is None else _answer(line, public_key)


def _answer(line: bytes, public_key: KeyText | None) -> BatchAnswer:
    try:
        asked = msgspec.json.decode(line, type=BatchLine)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return _refused(id_of(line), f"the line is no request: {error}")
    unknown = _unknown(line)
    return _answer_asked(asked, public_key, unknown)._replace(unknown=unknown)


def _answer_asked(asked: BatchLine, public_key: KeyText | None, unknown: Sequence[str]) -> BatchAnswer:
    id_ = echo_id(bytes(asked.id))
    key = asked.public_key or public_key
    beside = f"; not known here: {', '.join(unknown)}" if unknown else ""
    try:
        if asked.records is not None:
            return _answer_session(id_, asked, key)
        if not bytes(asked.record):
            return _refused(id_, f"the line has neither record nor records{beside}")
        judged = judge_given(_given(bytes(asked.record)), key)
    except MeterRecordError as error:
        return _refused(id_, f"{error.code}: {error}{beside}")
    is_good = judged.verdict.signature is SignatureVerdict.VALID
    if beside and not is_good:
        verdict = msgspec.structs.replace(judged.verdict, detail=judged.verdict.detail + beside)
        judged = replace(judged, verdict=verdict)
    return _good_if(_told(judged, id_), is_good)


def _unknown(line: bytes) -> tuple[str, ...]:
    """The members of a line that mean nothing here, at most five, in ASCII: a slip of the pen in a name, or the asker's
    own."""
    try:
        names = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys() - _KNOWN
    except (msgspec.MsgspecError, ValueError):  # A name that is no text: a line is decoded without a look at it.
        return ()
    return tuple(ascii(name[:60]) for name in sorted(names)[:5])


def _answer_session(id_: msgspec.Raw, asked: BatchLine, key: KeyText | None) -> BatchAnswer:
    records = asked.records or []
    if not 0 < len(records) <= _MAX_RECORDS:
        raise MeterRecordError("record-count", "records", f"{len(records)} records; expected 1 to {_MAX_RECORDS}")
    read = [_given_with_key(bytes(raw)) for raw in records]
    whole = joined([given for given, _ in read])
    if len(whole) < len(read):
        read = [(whole[0], read[0][1])]
    judged = [judge_given(given, own or key) for given, own in read]
    session = judge_together(judged, None, None if asked.expected is None else asked.expected.expected())
    told = told_session_records([_told(each) for each in judged], told_session(session.verdict), id_=id_)
    fatal = any(finding.severity is Severity.FATAL for finding in session.verdict.findings)
    return _good_if(told, told.signature is SignatureVerdict.VALID and not fatal)


def _given_with_key(raw: bytes) -> tuple[GivenRecord, str | None]:
    """A record of several, which may stand in an object with a key and a context of its own."""
    try:
        one = msgspec.json.decode(raw, type=RecordLine)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _given(raw), None
    given = _given(bytes(one.record))
    if one.context is not None:
        given = replace(given, context=one.context)
    return given, one.public_key or None


def _given(raw: bytes) -> GivenRecord:
    """The one record that a JSON value holds: a string in any wrapping, or an object as OCPP or OCPI have it.

    Raises:
        MeterRecordError: `not-a-record`: another kind of value, or more than one record in it.
    """
    if raw.startswith(b'"'):
        try:
            text = msgspec.json.decode(raw, type=str)
        except (msgspec.MsgspecError, ValueError) as error:
            raise MeterRecordError("not-a-record", "record", f"the string cannot be read: {error}") from error
        given = given_record(text)
        if given.carried.format is not MeterFormat.UNKNOWN or not text.lstrip().startswith("{"):
            return given
        raw = text.encode()
    elif not raw.startswith(b"{"):
        raise MeterRecordError("not-a-record", "record", "expected a string or an object")
    found = records_in(raw)
    if len(found) != 1:
        raise MeterRecordError("not-a-record", "record", f"{len(found)} records in one; give them as records")
    return found[0]


def _told(judged: JudgedRecord, id_: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET) -> ToldRecord:
    return told_record(judged.verdict, judged.given.carried, id_=id_, with_identification=True)


def _good_if(told: ToldRecord | ToldSessionRecords, is_good: bool) -> BatchAnswer:
    return BatchAnswer(encode(told) + b"\n", is_good)


def _refused(id_: msgspec.Raw, reason: str) -> BatchAnswer:
    """The verdict on a line that holds no record."""
    verdict = RecordVerdict(
        format=MeterFormat.UNKNOWN,
        signature=SignatureVerdict.UNDECODABLE,
        key_source=KeySource.NONE,
        deviations=(),
        record=None,
        detail=reason,
    )
    return _good_if(told_record(verdict, id_=id_), False)
