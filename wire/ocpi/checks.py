"""What is wrong with a document, each with its place: before it is stored, and for the one who sent it.

Rules
1. A document is checked as its type says (`shapes`) and as OCPI's tables say (`fields`): what is required, what kind of
   value, how long, of which form, whether a list holds something. Fields that nobody knows are never wrong.
2. Documents are of 2.3.0: those of 2.2.1 come up first (`v221.up`).
3. Accepted without a finding: an instant without an offset, with `+00:00`, or with a fraction; longer texts where the
   tables of editions differ; null in the place of an optional value; `300.0` for a whole number.
4. Of a PATCH (`partial`) only what is there is checked.
5. After `MOST` findings the rest is not looked at.

Codes: `missing`, `wrong-type`, `number-as-text`, `empty-list`, `too-long`, `empty-text`, `not-ascii`,
`control-character`, `wrong-form`, `unknown-word`, `bad-url`, `bad-instant`, `not-utc`, `out-of-range`, `contradiction`.

Source: OCPI 2.3.0 types, and each module's objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from wire.errors import OCPIRefused
from wire.ocpi.commands import (
    CancelReservation,
    CommandType,
    ReserveNow,
    SetChargingProfile,
    StartSession,
    StopSession,
    UnlockConnector,
)
from wire.ocpi.fields import TEXTS, Text
from wire.ocpi.instants import parse_instant
from wire.ocpi.locations import EVSE, Connector, Location, RegularHours
from wire.ocpi.merge import Part
from wire.ocpi.partners import ClientInfo, Credentials
from wire.ocpi.quirks import Quirks
from wire.ocpi.sessions import Cdr, InvoiceReconciliationRecord, Session
from wire.ocpi.shapes import SYNONYMS, Kind, Shape, fields_of, walked
from wire.ocpi.tariffs import Tariff
from wire.ocpi.tokens import Token
from wire.ocpi.types import Module
from wire.ocpi.urls import place_of

MOST = 100
"""Findings at most."""


class Finding(NamedTuple):
    """What is wrong at a place (a JSON pointer)."""

    pointer: str
    code: str
    message: str


TYPE_OF: Mapping[Module, type[msgspec.Struct]] = {
    Module.CDRS: Cdr,
    Module.CHARGING_PROFILES: SetChargingProfile,
    Module.CREDENTIALS: Credentials,
    Module.HUB_CLIENT_INFO: ClientInfo,
    Module.INVOICE_RECONCILIATION: InvoiceReconciliationRecord,
    Module.LOCATIONS: Location,
    Module.SESSIONS: Session,
    Module.TARIFFS: Tariff,
    Module.TOKENS: Token,
}
"""The object of each module; commands have one each (`TYPE_OF_COMMAND`)."""
TYPE_OF_PART: Mapping[Part, type[msgspec.Struct]] = {
    Part.WHOLE: Location,
    Part.EVSE: EVSE,
    Part.CONNECTOR: Connector,
}
TYPE_OF_COMMAND: Mapping[CommandType, type[msgspec.Struct]] = {
    CommandType.CANCEL_RESERVATION: CancelReservation,
    CommandType.RESERVE_NOW: ReserveNow,
    CommandType.START_SESSION: StartSession,
    CommandType.STOP_SESSION: StopSession,
    CommandType.UNLOCK_CONNECTOR: UnlockConnector,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ASCII = re.compile(r"[\x20-\x7e]*")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def check(document: object, type_: type[msgspec.Struct], *, partial: bool = False) -> tuple[Finding, ...]:
    """What is wrong with a document that is to be a `type_`, in the order of its fields; MOST findings at most."""
    return tuple(islice(_object(document, type_, "", partial), MOST))


def check_object(
    module: Module, document: object, *, part: Part = Part.WHOLE, partial: bool = False
) -> tuple[Finding, ...]:
    """What is wrong with an object of a module; `part` of a location. Raises KeyError for `commands`: see `check`."""
    type_ = TYPE_OF_PART[part] if module is Module.LOCATIONS else TYPE_OF[module]
    return check(document, type_, partial=partial)


def require(findings: tuple[Finding, ...]) -> None:
    """Nothing, without findings.

    Raises:
        OCPIRefused: the first of them, with how many more there are; status 2001.
    """
    if findings:
        first, more = findings[0], len(findings) - 1
        message = first.message + (f"; and {more} more" if more else "")
        raise OCPIRefused(first.code, first.pointer, message)


def mended(document: object, type_: type[msgspec.Struct], quirks: Quirks) -> Any:
    """The document of a partner with `numbers_as_text` or `lists_as_null`: its numbers and booleans as such, its nulls
    in the place of lists as empty lists."""
    if not (quirks.numbers_as_text or quirks.lists_as_null):
        return document

    def change(shape: Shape, value: Any) -> Any:
        if quirks.lists_as_null and value is None and shape.kind is Kind.LIST:
            return []
        if quirks.numbers_as_text and isinstance(value, str):
            return _read(shape.kind, value.strip())
        return value

    return walked(document, type_, change)


def _read(kind: Kind, text: str) -> object:
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind not in (Kind.NUMBER, Kind.WHOLE) or not _NUMBER.fullmatch(text):
        return text
    return int(text) if "." not in text else Decimal(text)


def _object(value: object, struct: type[msgspec.Struct], pointer: str, partial: bool = False) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield Finding(pointer or "/", "wrong-type", f"an object is expected ({struct.__name__})")
        return
    for field in fields_of(struct):
        at = f"{pointer}/{field.name}"
        given = value.get(field.name)
        if given is None:
            absent = field.name not in value
            if field.required and not (partial and absent):
                yield Finding(at, "missing", "it is required")
            elif not absent and field.shape.kind is Kind.LIST:
                yield Finding(at, "wrong-type", "a list is expected")
            continue
        if field.required and given == [] and field.shape.kind is Kind.LIST:
            yield Finding(at, "empty-list", "one at least is expected")
        yield from _value(given, field.shape, TEXTS.get(field.owner, {}).get(field.name), at)
    if struct in _TOGETHER:
        yield from _TOGETHER[struct](value, pointer)


def _value(value: Any, shape: Shape, text: Text | None, at: str) -> Iterator[Finding]:
    if shape.struct is not None:
        yield from _object(value, shape.struct, at)
    elif shape.items is not None:
        if not isinstance(value, list):
            yield Finding(at, "wrong-type", "a list is expected")
            return
        for i, item in enumerate(value):
            yield from _value(item, shape.items, text, f"{at}/{i}")
    elif text is not None:
        yield from _text(value, text, at)
    else:
        yield from _PLAIN[shape.kind](value, shape, at)


def _text(value: Any, rule: Text, at: str) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield Finding(at, "wrong-type", "a text is expected")
    elif not value:
        yield Finding(at, "empty-text", "an empty text says nothing")
    elif len(value) > rule.length:
        yield Finding(at, "too-long", f"{len(value)} characters, {rule.length} are allowed")
    elif rule.ci and not _ASCII.fullmatch(value):
        yield Finding(at, "not-ascii", "a CiString is printable ASCII")
    elif not rule.free and _CONTROL.search(value):
        yield Finding(at, "control-character", "printable characters are expected")
    elif rule.words is not None and value not in rule.words:
        yield Finding(at, "unknown-word", f"{value!r} is none of {', '.join(sorted(rule.words))}")
    elif rule.form is not None and not rule.form.fullmatch(value):
        yield Finding(at, "wrong-form", f"{value!r} is not {rule.called}")
    elif rule.url and not _is_url(value):
        yield Finding(at, "bad-url", "an absolute http or https URL is expected")


def _number(value: Any, shape: Shape, at: str) -> Iterator[Finding]:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        yield Finding(at, "number-as-text", f"{value!r} is a text; a number is expected")
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        yield Finding(at, "wrong-type", f"a {shape.kind.value} is expected")
    elif abs(Decimal(value)) >= 10**15 or not Decimal(value).is_finite():
        yield Finding(at, "out-of-range", "it is beyond all that is measured or paid")
    elif shape.kind is Kind.WHOLE and value != int(value):
        yield Finding(at, "wrong-type", "a whole number is expected")


def _boolean(value: Any, shape: Shape, at: str) -> Iterator[Finding]:
    if not isinstance(value, bool):
        yield Finding(at, "wrong-type", "true or false is expected")


def _instant(value: Any, shape: Shape, at: str) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield Finding(at, "wrong-type", "a DateTime is expected, as text")
        return
    try:
        parse_instant(value, at)
    except OCPIRefused:
        yield Finding(at, "bad-instant", f"{value[:40]!r} is no DateTime (YYYY-MM-DDTHH:MM:SSZ)")
        return
    if value[-6:-5] in ("+", "-") and value[-5:] != "00:00":
        yield Finding(at, "not-utc", "instants are in UTC")


def _word(value: Any, shape: Shape, at: str) -> Iterator[Finding]:
    if not isinstance(value, str):
        yield Finding(at, "wrong-type", "a text is expected")
    elif value not in shape.words and SYNONYMS.get(value) not in shape.words:
        yield Finding(at, "unknown-word", f"{value[:40]!r} is none of {', '.join(sorted(shape.words))}")


def _anything(value: Any, shape: Shape, at: str) -> Iterator[Finding]:
    yield from ()


def _is_url(text: str) -> bool:
    try:
        place_of(text)
    except OCPIRefused:
        return False
    return True


def _cdr(value: Mapping[str, Any], pointer: str) -> Iterator[Finding]:
    id_, credit = value.get("id"), value.get("credit") is True
    if isinstance(id_, str) and 36 < len(id_) <= 39 and not credit:
        yield Finding(f"{pointer}/id", "too-long", "more than 36 characters are for Credit CDRs only")
    if credit and not value.get("credit_reference_id"):
        yield Finding(f"{pointer}/credit_reference_id", "missing", "a Credit CDR names the CDR that it takes back")
    if value.get("credit_reference_id") and not credit:
        yield Finding(f"{pointer}/credit", "contradiction", "a CDR that takes back another is a Credit CDR")


def _start_session(value: Mapping[str, Any], pointer: str) -> Iterator[Finding]:
    if value.get("connector_id") and not value.get("evse_uid"):
        yield Finding(f"{pointer}/evse_uid", "missing", "it is required beside connector_id")


def _regular_hours(value: Mapping[str, Any], pointer: str) -> Iterator[Finding]:
    weekday = value.get("weekday")
    if isinstance(weekday, int) and not 1 <= weekday <= 7:
        yield Finding(f"{pointer}/weekday", "out-of-range", "1 is Monday, 7 Sunday")


_PLAIN: Mapping[Kind, Callable[[Any, Shape, str], Iterator[Finding]]] = {
    Kind.TEXT: lambda value, shape, at: _text(value, Text(100_000, free=True), at),
    Kind.NUMBER: _number,
    Kind.WHOLE: _number,
    Kind.BOOLEAN: _boolean,
    Kind.INSTANT: _instant,
    Kind.WORD: _word,
    Kind.ANY: _anything,
}
_TOGETHER: Mapping[type[msgspec.Struct], Callable[[Mapping[str, Any], str], Iterator[Finding]]] = {
    Cdr: _cdr,
    RegularHours: _regular_hours,
    StartSession: _start_session,
}
"""What holds between the fields of an object."""
