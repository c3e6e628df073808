"""Meter records for others to check: the transparency software's file, and OCPI's signed_data.

Rules of this file
1. What is written is the record's exact bytes. Where a text cannot carry them they are encoded, never changed.
2. Nothing is shortened. What is longer than a format allows is written whole and said to be too long, so that whoever
   sends it can send an address instead.
3. A document of the transparency software is read with `wire.meter.xml_text`: expat, no document type, no entities.

Source: transparency software of the S.A.F.E. association 1.4.1 (values.xsd, Value.java); OCPI 2.2.1 and 2.3.0
mod_cdrs 1.4.10 and 1.4.11 (SignedData, SignedValue).
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pki.der import read_children, read_element
from wire.errors import MeterExportError, MeterRecordError
from wire.meter.carrier import Layer, Unwrapped, unwrap
from wire.meter.json_text import parse_object
from wire.meter.keys import PublicKey
from wire.meter.record import MeterFormat
from wire.meter.xml_text import MAX_XML_BYTES, Element, parse_xml
from wire.records import SignedData, SignedValue

_SAFE_FORMATS = {
    MeterFormat.OCMF: "OCMF",
    MeterFormat.ALFEN: "ALFEN",
    MeterFormat.EDL40: "EDL_40_P",
    MeterFormat.EDL40_SIG: "EDL_40_SIG",
    MeterFormat.EDL40_MENNEKES: "EDL_40_MENNEKES",
    MeterFormat.ISA_EDL_40P: "ISA_EDL_40_P",
    MeterFormat.PCDF: "PCDF",
}
_BINARY = frozenset({MeterFormat.EDL40, MeterFormat.ISA_EDL_40P})
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})

# --- the transparency software --------------------------------------------------------------------------------------


class ValueContext(StrEnum):
    """Which end of a transaction a value is."""

    BEGIN = "Transaction.Begin"
    END = "Transaction.End"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeValue:
    """One value of the transparency software's file: a record without carrier, and the key to check it with, as text.

    A pair shares a `transaction_id`, one value its begin and one its end. A record that holds both ends, or whose other
    end is lost, stands alone: without id and context.
    """

    payload: bytes = field(repr=False)
    format: MeterFormat
    public_key: str | None = None
    transaction_id: int | None = None
    context: ValueContext | None = None


def safe_key_text(format_: MeterFormat, key: PublicKey) -> str:
    """The key as the transparency software takes it for records of that format, in hex: the SubjectPublicKeyInfo for
    OCMF, the bare point X||Y for the meters of EDL40, a compressed point for ALFEN, an uncompressed one for PCDF."""
    if format_ is MeterFormat.OCMF:
        return key.spki.hex()
    point = _point(key)
    if format_ is MeterFormat.ALFEN:
        size = len(point) // 2
        return (bytes((2 + (point[-1] & 1),)) + point[1 : 1 + size]).hex()
    return (point if format_ is MeterFormat.PCDF else point[1:]).hex()


def _point(key: PublicKey) -> bytes:
    """The uncompressed point that stands in the SubjectPublicKeyInfo's bit string."""
    outer = read_element(key.spki, 0, len(key.spki))
    bits = read_children(key.spki, outer)[1]
    return key.spki[bits.content + 1 : bits.end]


def safe_xml(values: Sequence[SafeValue]) -> bytes:
    """The file that the transparency software imports, UTF-8, always well-formed; values in the order given.

    Text stands as it is, with a carriage return as a character reference, for a reader of XML would drop it. SML stands
    in hex. Bytes that XML cannot carry (control characters, no UTF-8) stand in base64; the software, which in 1.4.1
    never asks for the encoding, cannot read those.

    Raises:
        MeterExportError: `no-values`, `format-unknown`: the software has none for it, `transaction-pair`: an id without
            exactly one begin and one end, or only one of id and context, `too-large`: more than 512 KiB.
    """
    if not values:
        raise MeterExportError("no-values", "a file needs at least one value")
    _check_pairs(values)
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n<values>\n', *map(_value_text, values), "</values>\n"]
    document = "".join(pieces).encode()
    if len(document) > MAX_XML_BYTES:
        raise MeterExportError("too-large", f"{len(document)} bytes; at most {MAX_XML_BYTES}")
    return document


def _check_pairs(values: Sequence[SafeValue]) -> None:
    ends: dict[int, list[ValueContext]] = defaultdict(list)
    for value in values:
        if (value.transaction_id is None) != (value.context is None):
            raise MeterExportError(
                "transaction-pair", "a transaction's id and its context stand together or not at all"
            )
        if value.transaction_id is not None and value.context is not None:
            ends[value.transaction_id].append(value.context)
    for transaction_id, contexts in ends.items():
        if sorted(contexts) != sorted(ValueContext):
            found = ", ".join(contexts)
            message = f"transaction {transaction_id}: expected one begin and one end, found {found}"
            raise MeterExportError("transaction-pair", message)


def _value_text(value: SafeValue) -> str:
    name = _SAFE_FORMATS.get(value.format)
    if name is None:
        raise MeterExportError("format-unknown", f"the transparency software does not know {value.format.value}")
    data, encoding = _data_text(value)
    about = ""
    if value.transaction_id is not None and value.context is not None:
        about = f' transactionId="{value.transaction_id}" context="{value.context.value}"'
    key = "" if not value.public_key else _key_element(value.public_key)
    signed = f'<signedData format="{name}" encoding="{encoding}">{data}</signedData>'
    return f"  <value{about}>\n    {signed}\n{key}  </value>\n"


def _data_text(value: SafeValue) -> tuple[str, str]:
    if value.format in _BINARY:
        return value.payload.hex().upper(), "plain"
    try:
        text = value.payload.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _NOT_XML.search(text):
        return base64.b64encode(value.payload).decode(), "base64"
    return text.translate(_ESCAPES), "plain"


def _key_element(key: str) -> str:
    bare = "".join(key.split())
    encoding = "hex" if _HEX.fullmatch(bare) else "base64" if _BASE64.fullmatch(bare) else "plain"
    return f'    <publicKey encoding="{encoding}">{_NOT_XML.sub("", bare).translate(_ESCAPES)}</publicKey>\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeReading:
    """One value of such a file as it was written: `text` as it stood there, `record` what is inside, and what stood
    beside it; None where nothing did."""

    text: str = field(repr=False)
    record: Unwrapped
    public_key: str | None
    transaction: str | None
    context: str | None


def parse_safe_xml(data: bytes) -> tuple[SafeReading, ...]:
    """The values of a file of the transparency software; at most 512 KiB. Which format a value is, is told by its own
    text, not by the attribute; what is unknown is kept.

    Raises:
        MeterRecordError: the codes of `parse_xml`; `not-safe-xml`: another root, or no value in it.
    """
    root = parse_xml(data, "file")
    found = tuple(_parsed(value) for value in root.children if value.name == "value") if root.name == "values" else ()
    if not found:
        raise MeterRecordError("not-safe-xml", "file", "expected <values> with at least one <value>")
    return found


def _parsed(value: Element) -> SafeReading:
    signed, sealed, key = value.child("signedData"), value.child("encodedData"), value.child("publicKey")
    if signed is None and sealed is not None:
        text = sealed.text.strip()
        record = Unwrapped(payload=text.encode(), layers=(), format=MeterFormat.SEALED_OCMF)
    else:
        text = "" if signed is None else signed.text
        record = unwrap(text)
    return SafeReading(
        text=text,
        record=record,
        public_key=None if key is None else key.text.strip() or None,
        transaction=value.attributes.get("transactionId", "").strip() or None,
        context=value.attributes.get("context", "").strip() or None,
    )


# --- OCPI -----------------------------------------------------------------------------------------------------------


class Nature(StrEnum):
    """Which value of a session it is, in OCPI's words."""

    START = "Start"
    INTERMEDIATE = "Intermediate"
    END = "End"


OCPI_DATA_CHARS = 5000
OCPI_KEY_CHARS = 512
OCPI_METHOD_CHARS = 36

_OCPI_METHODS = {
    MeterFormat.OCMF: "OCMF",
    MeterFormat.ALFEN: "Alfen Eichrecht",
    MeterFormat.EDL40: "EDL40 E-Mobility Extension",
    MeterFormat.EDL40_SIG: "EDL40 E-Mobility Extension",
    MeterFormat.EDL40_MENNEKES: "EDL40 Mennekes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit:
    """A field that has more characters than the format allows: written whole, and to be sent by another way."""

    field: str
    size: int
    limit: int

    def __str__(self) -> str:
        return f"{self.field} has {self.size} characters, at most {self.limit} are allowed"


def ocpi_signed_values(
    records: Sequence[tuple[Nature, Unwrapped]], public_key: str | None, encoding_method: str | None = None
) -> tuple[SignedData, tuple[OverLimit, ...]]:
    """OCPI's signed_data of a session, and the fields that are too long for OCPI 2.2.1 and 2.3.0.

    `plain_data` is the whole record as text (hex where it is none), `signed_data` base64 of the same bytes. One record
    that holds both ends is one End value, also when the same record came at begin and end. `encoding_method` is the
    carrier's word, used for formats that OCPI has no name for. The version is left out: OCPI's is a whole number, which
    cannot say 1.4.

    Raises:
        MeterExportError: `no-values`: signed_values has at least one.
    """
    kept = [
        (nature, record)
        for position, (nature, record) in enumerate(records)
        if all(record.payload != later.payload for _, later in records[position + 1 :])
    ]
    if not kept:
        raise MeterExportError("no-values", "signed_data needs at least one record")
    format_ = kept[-1][1].format
    data = SignedData(
        encoding_method=_OCPI_METHODS.get(format_) or encoding_method or format_.value,
        signed_values=tuple(_ocpi_value(nature, record.payload) for nature, record in kept),
        public_key=public_key,
    )
    return data, tuple(_over_limit(data))


def _ocpi_value(nature: Nature, payload: bytes) -> SignedValue:
    try:
        plain = payload.decode()
    except UnicodeDecodeError:
        plain = payload.hex().upper()
    return SignedValue(nature=nature.value, plain_data=plain, signed_data=base64.b64encode(payload).decode())


def _over_limit(data: SignedData) -> Iterator[OverLimit]:
    lengths = [
        ("encoding_method", len(data.encoding_method), OCPI_METHOD_CHARS),
        ("public_key", len(data.public_key or ""), OCPI_KEY_CHARS),
    ]
    for number, value in enumerate(data.signed_values):
        lengths.append((f"signed_values[{number}].plain_data", len(value.plain_data), OCPI_DATA_CHARS))
        lengths.append((f"signed_values[{number}].signed_data", len(value.signed_data), OCPI_DATA_CHARS))
    return (OverLimit(field=name, size=size, limit=limit) for name, size, limit in lengths if size > limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class OCPIReading:
    """A record that came by OCPI. `agrees` is False when `plain_data` says something else than the record."""

    record: Unwrapped
    agrees: bool


def read_ocpi_value(value: SignedValue) -> OCPIReading:
    """The record of one OCPI SignedValue, in every way in which senders fill it: the whole record in `signed_data`, in
    base64 or bare, with the whole record or only its payload in `plain_data`; the whole record in `plain_data` alone;
    or the payload in `plain_data` and the signature section in `signed_data`. Never raises; what is none of these is
    unknown, as it stood in `signed_data`.

    Source: OCPI 2.2.1 mod_cdrs 1.4.11; ocpi/ocpi issue 550.
    """
    signed, plain = unwrap(value.signed_data), unwrap(value.plain_data)
    if signed.format is not MeterFormat.UNKNOWN:
        told = value.plain_data.strip()
        said = plain.payload if plain.format is not MeterFormat.UNKNOWN else told.encode("utf-8", "surrogatepass")
        agrees = not told or said == signed.payload or said in signed.payload.split(b"|")
        return OCPIReading(record=signed, agrees=agrees)
    if plain.format is not MeterFormat.UNKNOWN:
        return OCPIReading(record=plain, agrees=True)
    joined = _joined(value)
    return OCPIReading(record=signed if joined is None else joined, agrees=True)


def _joined(value: SignedValue) -> Unwrapped | None:
    """An OCMF record whose sections came apart, both verbatim; None when they are no sections."""
    try:
        signature = base64.b64decode(value.signed_data, validate=True)
    except ValueError:
        signature = value.signed_data.encode("utf-8", "surrogatepass")
    try:
        section = parse_object(signature.decode(), "signed_data").members
        parse_object(value.plain_data, "plain_data")
    except (MeterRecordError, UnicodeDecodeError):
        return None
    if "SD" not in section:
        return None
    record = unwrap(b"|".join((b"OCMF", value.plain_data.encode("utf-8", "surrogatepass"), signature)))
    return Unwrapped(payload=record.payload, layers=(Layer.SPLIT,), format=record.format, cut=record.cut)
