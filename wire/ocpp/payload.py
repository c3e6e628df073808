"""From payload bytes to a typed request, with the CALLERROR code that names what is wrong."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.records import decode

T = TypeVar("T")

_OUT_OF_BOUNDS = re.compile(r"Invalid enum value|Expected `[^`]*` (of length|matching regex|[<>]=?) ")
"""How msgspec speaks of a value of the right type that breaks a limit."""


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


def read_request(type_: type[T], payload: bytes, action: str) -> T:
    """The typed request in `payload`.

    Raises:
        CallRejected: with OccurrenceConstraintViolation for a missing field, PropertyConstraintViolation for a value
            out of bounds, TypeConstraintViolation for a wrong type, FormatViolation for anything else.
    """
    try:
        return decode(type_, payload, action)
    except MalformedValue as error:
        raise CallRejected(_code(str(error)), str(error)) from error


def _code(message: str) -> OCPPErrorCode:
    if "missing required field" in message:
        return OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    if _OUT_OF_BOUNDS.search(message):
        return OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    if "Expected `" in message or "Invalid RFC3339" in message:
        return OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION
    return OCPPErrorCode.FORMAT_VIOLATION
