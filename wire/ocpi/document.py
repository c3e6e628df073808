"""The JSON of an OCPI object as it came, and its value.

Rules
1. A document is what `parse_document` read: every field, known or not, and numbers as Decimal. It is stored, merged and
   sent on; a field that nobody here knows survives.
2. `view` makes the value of a document; what stands against its type is an error with the place.
3. `encode_document` writes numbers as JSON numbers and instants as they came; `document_of` makes the document of a
   value.

Source: OCPI 2.3.0 transport_and_format (unknown fields), types (number, DateTime).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpi.shapes import softened

Document: TypeAlias = dict[str, Any]
"""JSON: dict, list, str, int, Decimal, bool, None."""

T = TypeVar("T")
DEEPEST = 64
"""Levels of a partner's document at most; OCPI's own objects have less than ten."""
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def parse_document(data: bytes | str, what: str) -> Any:
    """The JSON that `data` holds. Raises MalformedValue for anything else."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError) as error:
        raise MalformedValue(what, "$", f"not JSON: {error}") from error


def require_shallow(document: Any, what: str) -> Any:
    """`document`, which is nested no deeper than DEEPEST: unknown fields are kept and walked, whatever is in them.

    Raises:
        MalformedValue: it is nested deeper.
    """
    level = [document]
    for _ in range(DEEPEST):
        level = [
            one
            for above in level
            if isinstance(above, dict | list)
            for one in (above.values() if isinstance(above, dict) else above)
            if isinstance(one, dict | list)
        ]
        if not level:
            return document
    raise MalformedValue(what, "$", f"nested deeper than {DEEPEST} levels")


def view(document: object, type_: type[T], what: str) -> T:
    """The value of a document. Instants without an offset count as UTC, and `300.0` as a whole number.

    Raises:
        MalformedValue: a field is missing or of another type; names `what` and the JSON path.
    """
    try:
        try:
            return msgspec.convert(document, type_, strict=True)
        except msgspec.ValidationError:
            # What is borne is rare: it is looked for only now.
            return msgspec.convert(softened(document, type_), type_, strict=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).rpartition(" - at `")
        raise MalformedValue(what, where.strip("`") if message else "$", message or where) from error


def document_of(value: msgspec.Struct) -> Document:
    """The document of a value; fields that hold their default are left out."""
    return dict(parse_document(_ENCODER.encode(value), type(value).__name__))


def encode_document(document: object) -> bytes:
    """The JSON of a document or a value."""
    return _ENCODER.encode(document)


def utc(at: datetime) -> datetime:
    """An instant in UTC; one without an offset is in UTC already (OCPI types, DateTime)."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
