"""From payload bytes to a typed message: as its schema has it, or as the table of quirks allows, or refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from wire.ocpp.mend import conforms, decoder_of, mend
from wire.ocpp.quirks import Noticed, to_nobody

T = TypeVar("T")

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
ABSENT = msgspec.Raw()
"""The default of a field that keeps its JSON as it came: it was left out."""
String3 = Annotated[str, msgspec.Meta(max_length=3)]
String6 = Annotated[str, msgspec.Meta(max_length=6)]
String8 = Annotated[str, msgspec.Meta(max_length=8)]
String16 = Annotated[str, msgspec.Meta(max_length=16)]
String20 = Annotated[str, msgspec.Meta(max_length=20)]
String25 = Annotated[str, msgspec.Meta(max_length=25)]
String32 = Annotated[str, msgspec.Meta(max_length=32)]
String36 = Annotated[str, msgspec.Meta(max_length=36)]
String40 = Annotated[str, msgspec.Meta(max_length=40)]
String48 = Annotated[str, msgspec.Meta(max_length=48)]
String50 = Annotated[str, msgspec.Meta(max_length=50)]
String60 = Annotated[str, msgspec.Meta(max_length=60)]
String64 = Annotated[str, msgspec.Meta(max_length=64)]
String80 = Annotated[str, msgspec.Meta(max_length=80)]
String88 = Annotated[str, msgspec.Meta(max_length=88)]
String100 = Annotated[str, msgspec.Meta(max_length=100)]
String128 = Annotated[str, msgspec.Meta(max_length=128)]
String160 = Annotated[str, msgspec.Meta(max_length=160)]
String200 = Annotated[str, msgspec.Meta(max_length=200)]
String255 = Annotated[str, msgspec.Meta(max_length=255)]
String256 = Annotated[str, msgspec.Meta(max_length=256)]
String500 = Annotated[str, msgspec.Meta(max_length=500)]
String512 = Annotated[str, msgspec.Meta(max_length=512)]
String800 = Annotated[str, msgspec.Meta(max_length=800)]
String1000 = Annotated[str, msgspec.Meta(max_length=1000)]
String1024 = Annotated[str, msgspec.Meta(max_length=1024)]
String2000 = Annotated[str, msgspec.Meta(max_length=2000)]
String2500 = Annotated[str, msgspec.Meta(max_length=2500)]
String5500 = Annotated[str, msgspec.Meta(max_length=5500)]
String5600 = Annotated[str, msgspec.Meta(max_length=5600)]
String7500 = Annotated[str, msgspec.Meta(max_length=7500)]
String10000 = Annotated[str, msgspec.Meta(max_length=10000)]
String11000 = Annotated[str, msgspec.Meta(max_length=11000)]
String17000 = Annotated[str, msgspec.Meta(max_length=17000)]
String18000 = Annotated[str, msgspec.Meta(max_length=18000)]
String32768 = Annotated[str, msgspec.Meta(max_length=32768)]


class Message(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """The base of what a schema describes: camelCase on the wire, nothing beyond the schema, unset optional fields left
    out. A list that may be left out is empty then, since an empty one is not allowed (2.0.1 Part 4 4.1.5)."""


class Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The base of what is read more widely than a schema: camelCase on the wire, unknown fields ignored."""


def read_message(type_: type[T], payload: bytes, action: str, noticed: Noticed) -> T:
    """The typed request or answer in `payload`. What conforms to its schema costs one decoding; what does not is mended
    as far as `wire.ocpp.quirks` allows, and each quirk is told to `noticed`.

    Raises:
        CallRejected: with OccurrenceConstraintViolation for a missing field, PropertyConstraintViolation for a value
            out of bounds, TypeConstraintViolation for a wrong type, FormatViolation for anything else.
    """
    try:
        message = decoder_of(type_).decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return mend(type_, payload, action, noticed)
    if not conforms(type_, payload):
        return mend(type_, payload, action, noticed)
    return message


def read_request(type_: type[T], payload: bytes, action: str) -> T:
    """As `read_message`, for who has nobody to tell. Raises as it does."""
    return read_message(type_, payload, action, to_nobody)
