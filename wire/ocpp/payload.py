"""From payload bytes to a typed request, with the CALLERROR code that names what is wrong."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.records import decode

T = TypeVar("T")

_OUT_OF_BOUNDS = re.compile(r"Invalid enum value|Expected `[^`]*` (of length|matching regex|[<>]=?) ")
"""How msgspec speaks of a value of the right type that breaks a limit."""


class Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The base of OCPP payloads: camelCase on the wire, unknown fields ignored, unset optional fields left out."""


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
