"""What is wrong with a document, each with its place: before it is stored, and for the one who sent it.

Rules
1. A document is checked as its type says (`shapes`) and as OCPI's tables say (`fields`): what is required, what kind of
   value, how long, of which form, whether a list holds something. Fields that nobody knows are never wrong.
2. Documents are of 2.3.0: those of 2.2.1 come up first (`v221.up`).
3. Accepted without a finding: an instant without an offset, with `+00:00`, or with a fraction; longer texts where the
   tables of editions differ; null in the place of an optional value but a list, an empty text in the place of an
   optional text; `300.0` for a whole number.
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
from functools import cache, partial as partial_of
from typing import Any, NamedTuple, TypeAlias

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


Check: TypeAlias = Callable[[Any, str, list[Finding]], None]
"""Adds to the list what is wrong with a value at a pointer."""

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
_LARGEST = 10**15
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def check(document: object, type_: type[msgspec.Struct], *, partial: bool = False) -> tuple[Finding, ...]:
    """What is wrong with a document that is to be a `type_`, in the order of its fields; MOST findings at most."""
    found: list[Finding] = []
    _check_object(type_, document, "", found, partial=partial)
    return tuple(found[:MOST])


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
            return _read(shape.kind, value)
        return value

    return walked(document, type_, change)


def _read(kind: Kind, text: str) -> object:
    bare = text.strip()
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(bare.lower(), text)
    if kind not in (Kind.NUMBER, Kind.WHOLE) or not _NUMBER.fullmatch(bare):
        return text
    return Decimal(bare) if "." in bare else int(bare)


def _check_object(
    struct: type[msgspec.Struct], value: Any, pointer: str, found: list[Finding], *, partial: bool = False
) -> None:
    if not isinstance(value, dict):
        found.append(Finding(pointer or "/", "wrong-type", f"an object is expected ({struct.__name__})"))
        return
    for name, required, kind, check_value in _plan(struct):
        given = value.get(name)
        if given is not None and (given != "" or required or kind is not Kind.TEXT):
            check_value(given, f"{pointer}/{name}", found)
            if required and given == [] and kind is Kind.LIST:
                found.append(Finding(f"{pointer}/{name}", "empty-list", "one at least is expected"))
        elif given is None:
            absent = name not in value
            if required and not (partial and absent):
                found.append(Finding(f"{pointer}/{name}", "missing", "it is required"))
            elif not absent and kind is Kind.LIST:
                found.append(Finding(f"{pointer}/{name}", "wrong-type", "a list is expected"))
    if struct in _TOGETHER:
        found += _TOGETHER[struct](value, pointer)


@cache
def _plan(struct: type[msgspec.Struct]) -> tuple[tuple[str, bool, Kind, Check], ...]:
    """Each field's name, whether it is required, its kind, and what checks a value of it: made once per struct."""
    return tuple(
        (
            field.name,
            field.required,
            field.shape.kind,
            _check_of(field.shape, TEXTS.get(field.owner, {}).get(field.name)),
        )
        for field in fields_of(struct)
    )


def _check_of(shape: Shape, text: Text | None) -> Check:
    if shape.struct is not None:
        return partial_of(_check_object, shape.struct)
    if shape.items is not None:
        return partial_of(_check_list, _check_of(shape.items, text))
    if text is not None:
        return partial_of(_check_text, text)
    return partial_of(_PLAIN[shape.kind], shape)


def _check_list(check_item: Check, value: Any, at: str, found: list[Finding]) -> None:
    if not isinstance(value, list):
        found.append(Finding(at, "wrong-type", "a list is expected"))
        return
    for i, item in enumerate(value):
        check_item(item, f"{at}/{i}", found)
        if len(found) >= MOST:
            return


def _check_text(rule: Text, value: Any, at: str, found: list[Finding]) -> None:
    wrong = _wrong_text(rule, value)
    if wrong is not None:
        found.append(Finding(at, *wrong))


def _wrong_text(rule: Text, value: Any) -> tuple[str, str] | None:
    """Code and message of what is wrong with a text."""
    if not isinstance(value, str):
        return "wrong-type", "a text is expected"
    if not value:
        return "empty-text", "an empty text says nothing"
    if len(value) > rule.length:
        return "too-long", f"{len(value)} characters, {rule.length} are allowed"
    if rule.ci and not _ASCII.fullmatch(value):
        return "not-ascii", "a CiString is printable ASCII"
    if not rule.free and _CONTROL.search(value):
        return "control-character", "printable characters are expected"
    return _wrong_form(rule, value)


def _wrong_form(rule: Text, value: str) -> tuple[str, str] | None:
    if rule.words is not None and value not in rule.words:
        return "unknown-word", f"{value!r} is none of {', '.join(sorted(rule.words))}"
    if rule.form is not None and not rule.form.fullmatch(value):
        return "wrong-form", f"{value!r} is not {rule.called}"
    if rule.url and not _is_url(value):
        return "bad-url", "an absolute http or https URL is expected"
    return None


def _check_number(shape: Shape, value: Any, at: str, found: list[Finding]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            found.append(Finding(at, "number-as-text", f"{value!r} is a text; a number is expected"))
        else:
            found.append(Finding(at, "wrong-type", f"a {shape.kind.value} is expected"))
    elif not -_LARGEST < value < _LARGEST:
        found.append(Finding(at, "out-of-range", "it is beyond all that is measured or paid"))
    elif shape.kind is Kind.WHOLE and value != int(value):
        found.append(Finding(at, "wrong-type", "a whole number is expected"))


def _check_boolean(shape: Shape, value: Any, at: str, found: list[Finding]) -> None:
    if not isinstance(value, bool):
        found.append(Finding(at, "wrong-type", "true or false is expected"))


def _check_instant(shape: Shape, value: Any, at: str, found: list[Finding]) -> None:
    if not isinstance(value, str):
        found.append(Finding(at, "wrong-type", "a DateTime is expected, as text"))
        return
    try:
        parse_instant(value, at)
    except OCPIRefused:
        found.append(Finding(at, "bad-instant", f"{value[:40]!r} is no DateTime (YYYY-MM-DDTHH:MM:SSZ)"))
        return
    if value[-6:-5] in ("+", "-") and value[-5:] != "00:00":
        found.append(Finding(at, "not-utc", "instants are in UTC"))


def _check_word(shape: Shape, value: Any, at: str, found: list[Finding]) -> None:
    if not isinstance(value, str):
        found.append(Finding(at, "wrong-type", "a text is expected"))
    elif value not in shape.words and SYNONYMS.get(value) not in shape.words:
        message = f"{value[:40]!r} is none of {', '.join(sorted(shape.words))}"
        found.append(Finding(at, "unknown-word", message))


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


_PLAIN: Mapping[Kind, Callable[[Shape, Any, str, list[Finding]], None]] = {
    Kind.NUMBER: _check_number,
    Kind.WHOLE: _check_number,
    Kind.BOOLEAN: _check_boolean,
    Kind.INSTANT: _check_instant,
    Kind.WORD: _check_word,
}
_TOGETHER: Mapping[type[msgspec.Struct], Callable[[Mapping[str, Any], str], Iterator[Finding]]] = {
    Cdr: _cdr,
    RegularHours: _regular_hours,
    StartSession: _start_session,
}
"""What holds between the fields of an object."""
