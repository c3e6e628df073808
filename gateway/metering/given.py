"""The meter records that a file holds, each still with what its carrier said of it.

Taken are: one record in any carrier, several OCMF texts behind each other or one a line, the XML of the transparency
software, and any JSON in which signed values stand as OCPP or OCPI have them: a sampled value, a whole OCPP message, a
CDR, or its signed_data alone; and the lines of `pnc-gateway export`, in whose records the OCPP messages are text.
Source: OCPP 1.6 SampledValue, OCPP 2.0.1 SignedMeterValueType, OCPI 2.2.1 SignedData and SignedValue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from wire.chain import RecordKind
from wire.errors import MeterRecordError
from wire.meter.carrier import Unwrapped, split_records, unwrap
from wire.meter.export import parse_safe_xml, read_ocpi_value
from wire.records import SignedValue, TransactionEntry

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Room for 1000 of the longest records in use; a hostile file costs up to 70 times its size in memory while it is
read."""

MAX_RECORDS = 1000

BEGIN, END = "Transaction.Begin", "Transaction.End"
_NATURES = {"start": BEGIN, "end": END}


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRecord:
    """A record as it was carried: `raw` as it came, `carried` what is inside. `context` is OCPP's word for when it was
    taken, `transaction` the file's name for the session that it belongs to; None where the carrier does not say.
    `plain_differs`: the text that stood beside it for people to read says something else."""

    raw: bytes | str
    carried: Unwrapped
    context: str | None = None
    transaction: str | None = None
    plain_differs: bool = False


class _Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What matters here of a record of a gateway's chain (`wire.chain.Record`)."""

    kind: RecordKind
    body: str


def records_in(data: bytes) -> tuple[GivenRecord, ...]:
    """The records of a file, in its order; at least one, which is of unknown format when nothing is recognised.

    Raises:
        MeterRecordError: `too-large`, `empty`, `too-many-records`, `no-signed-values`.
    """
    if len(data) > MAX_FILE_BYTES:
        message = f"more than {MAX_FILE_BYTES >> 20} MiB; for more records give one a line, with --batch"
        raise MeterRecordError("too-large", "file", message)
    stripped = data.strip()
    if not stripped:
        raise MeterRecordError("empty", "file", "there is nothing in it")
    found = list(_from_json(stripped)) if stripped[:1] in (b"{", b"[") else []
    if not found and stripped[:1] == b"{":
        found = list(_from_export(stripped))
    if stripped[:1] == b"<":
        found = list(_from_xml(stripped))
    if not found:
        found = [given_record(record) for record in _bounded(split_records(data))]
    return tuple(found)


def given_record(raw: bytes | str, key: str | None = None, context: str | None = None) -> GivenRecord:
    """The record that `raw` carries; `key` is one that stood beside it, a claim if the carrier itself holds none."""
    return GivenRecord(raw=raw, carried=_with_key(unwrap(raw), key), context=context)


def _with_key(carried: Unwrapped, key: str | None) -> Unwrapped:
    """The same with a key that stood beside it, unless there is one inside."""
    if carried.public_key_claim is None and key is not None and key.strip():
        return msgspec.structs.replace(carried, public_key_claim=key.strip())
    return carried


def _bounded(records: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(records) > MAX_RECORDS:
        raise _too_many()
    return records


def _too_many() -> MeterRecordError:
    message = f"more than {MAX_RECORDS} records; ask for them with --batch, one a line"
    return MeterRecordError("too-many-records", "file", message)


def _from_xml(data: bytes) -> Iterator[GivenRecord]:
    """Every value of a document of the transparency software; none for other XML, which may itself be a record."""
    try:
        values = parse_safe_xml(data)
    except MeterRecordError:
        return
    if len(values) > MAX_RECORDS:
        raise _too_many()
    for value in values:
        carried = _with_key(value.record, value.public_key)
        yield GivenRecord(raw=value.text, carried=carried, context=value.context, transaction=value.transaction)


def _from_json(data: bytes) -> Iterator[GivenRecord]:
    """Every signed value that stands anywhere in a JSON text; none in a text that is a record itself."""
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    waiting: list[tuple[object, str | None]] = [(value, None)]
    count = 0
    while waiting:
        value, context = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, context) for item in reversed(value)]
        if not isinstance(value, dict):
            continue
        context = _text(value, "context") or context
        found = list(_signed_here(value, context))
        count += len(found)
        if count > MAX_RECORDS:
            raise _too_many()
        yield from found
        if not found:
            waiting += [(item, context) for item in reversed(value.values())]


def _from_export(data: bytes) -> Iterator[GivenRecord]:
    """The signed values in lines of `pnc-gateway export`, each of the session that its record names; none for other
    lines."""
    records, count = 0, 0
    for line in data.splitlines():
        try:
            record = msgspec.json.decode(line, type=_Exported)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        records += 1
        for given in _from_message(record):
            count += 1
            if count > MAX_RECORDS:
                message = f"more than {MAX_RECORDS} signed values in an export; give fewer of its lines"
                raise MeterRecordError("too-many-records", "file", message)
            yield given
    if records and not count:
        message = f"{records} records of an export, and no message in them carries a signed value"
        raise MeterRecordError("no-signed-values", "file", message)


def _from_message(record: _Exported) -> Iterator[GivenRecord]:
    if record.kind is not RecordKind.TRANSACTION:
        return
    try:
        entry = msgspec.json.decode(record.body, type=TransactionEntry)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # Its content was let go.
        return
    for given in _from_json(entry.frame.encode("utf-8", "surrogatepass")):
        yield replace(given, transaction=entry.session_id)


def _signed_here(members: dict[str, object], context: str | None) -> Iterator[GivenRecord]:
    values = members.get("signed_values")
    if isinstance(values, list):
        key = _text(members, "public_key")
        yield from (_from_ocpi(value, key) for value in values if isinstance(value, dict))
    elif (data := _text(members, "signedMeterData")) is not None:
        yield given_record(data, _text(members, "publicKey"), context)
    elif members.get("format") == "SignedData" and (data := _text(members, "value")) is not None:
        yield given_record(data, None, context)


def _from_ocpi(value: dict[str, object], key: str | None) -> GivenRecord:
    nature, plain, signed = (_text(value, name) or "" for name in ("nature", "plain_data", "signed_data"))
    read = read_ocpi_value(SignedValue(nature=nature, plain_data=plain, signed_data=signed))
    return GivenRecord(
        raw=signed or plain,
        carried=_with_key(read.record, key),
        context=_NATURES.get(nature.lower(), nature) or None,
        plain_differs=not read.agrees,
    )


def _text(members: dict[str, object], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) else None
