"""A message that breaks its schema, read as far as the table of quirks allows.

Rules
1. msgspec stays the judge: a part that it takes is taken as it is. A part that it refuses is read field by field, so
   that each byte is decoded at most once for every level of nesting above it.
2. What the table allows is put right and noted with its path. The first thing that it does not allow refuses the
   message.
3. One quirk at one place is noted once a message, however many elements of a list show it; beyond MAX_NOTES different
   ones it is no message of this kind any more.
4. A transaction message is kept at almost any price: text of any length, any word of an enumeration, numbers out of
   bounds are kept as they came, and noted. Only what the meaning hangs on refuses it (`mend_transaction`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from wire.errors import MalformedValue
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.quirks import LONG_TEXT_FACTOR, QUIRKS, Noticed, Quirk

T = TypeVar("T")

MAX_NOTES = 64
"""Different deviations in one message."""
MAX_DIGITS = 40
"""No number that is written as text is longer."""

_OUT_OF_BOUNDS = re.compile(r"Invalid enum value|Expected `[^`]*` (of length|matching regex|[<>]=?) ")
"""How msgspec speaks of a value of the right type that breaks a limit."""
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?\s*")
_INDEX = re.compile(r"\[[0-9]+\]")
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,50}")
_NOTHING = (b"null", b'""', b"{}", b"[]")
_LEFT_OUT = object()


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a field, or an element of a list, may hold. `of` and `name` are the names that the table uses."""

    of: str
    name: str
    type: Any
    decoder: msgspec.json.Decoder[Any]
    required: bool
    attribute: str
    struct: type[msgspec.Struct] | None
    item: _Shape | None
    longest: int | None
    choices: tuple[str, ...]
    spelled: Mapping[str, str]
    """The choices by their letters and digits in lower case."""


def refusal_code(message: str) -> OCPPErrorCode:
    """The CALLERROR code for what msgspec says of a payload."""
    if "missing required field" in message:
        return OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    if _OUT_OF_BOUNDS.search(message):
        return OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    if "Expected `" in message or "Invalid RFC3339" in message:
        return OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION
    return OCPPErrorCode.FORMAT_VIOLATION


def conforms(type_: Any, payload: bytes) -> bool:
    """Whether what msgspec took as a `type_` holds nothing that it takes beyond the schema: null for an optional field,
    and text for a decimal number. May say no to what conforms, never yes to what does not."""
    if b"null" in payload:
        return False
    numbers = _quoted_numbers(type_)
    return numbers is None or numbers.search(payload) is None


def mend(type_: type[T], payload: bytes, action: str, noticed: Noticed) -> T:
    """The message in `payload` with what the table allows put right; each use of it is told to `noticed`.

    Raises:
        CallRejected: it holds what the table does not allow; with the code as `refusal_code` gives it.
    """
    try:
        return _whole(_Reading(action), type_, payload, action, noticed)
    except MalformedValue as error:
        raise CallRejected(refusal_code(str(error)), str(error)) from error


def mend_transaction(type_: type[T], payload: bytes, action: str, noticed: Noticed) -> T:
    """The transaction message in `payload`, by rule 4: its enumerations may hold any text, a Decimal may be NaN.

    Raises:
        MalformedValue: a field the meaning hangs on is missing or of another type; names the JSON path.
    """
    return _whole(_Keeping(action), type_, payload, action, noticed)


def _whole(reading: _Reading, type_: type[T], payload: bytes, action: str, noticed: Noticed) -> T:
    shape = _shape(action, "", type_, required=True)
    message = reading.read(shape, payload, "$")
    for quirk, where in reading.notes:
        noticed(quirk, f"{action} {where}")
    return message  # type: ignore[return-value]  # what a shape of T reads is a T


class _Reading:
    """One message being read, and what was noticed in it."""

    def __init__(self, action: str) -> None:
        self._action = action
        self.notes: dict[tuple[Quirk, str], None] = {}

    def read(self, shape: _Shape, raw: bytes, path: str) -> object:
        """The value, or _LEFT_OUT for an optional field that says nothing."""
        try:
            value = shape.decoder.decode(raw)
        except msgspec.ValidationError as error:
            problem = str(error).rpartition(" - at `")[0] or str(error)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._refused(f"not JSON: {error}", path) from error
        else:
            if isinstance(value, Decimal) and raw.startswith(b'"'):
                return self._decimal(value, raw, path)
            if shape.struct is None and shape.item is None and raw != b"null":
                return value
            if conforms(shape.type, raw):
                return value
            problem = ""
        if not shape.required and len(raw) < 16 and b"".join(raw.split()) in _NOTHING:
            return self._noted(Quirk.EMPTY_FIELD, path, _LEFT_OUT)
        if shape.struct is not None:
            return self._fields(shape.struct, raw, path)
        if shape.item is not None:
            return self._elements(shape.item, raw, path, problem)
        return self._mended(shape, raw, path, problem)

    def _fields(self, struct: type[msgspec.Struct], raw: bytes, path: str) -> object:
        parts = self._split(dict[str, msgspec.Raw], raw, path)
        held: dict[str, object] = {}
        for shape in _shapes(struct):
            part = parts.pop(shape.name, None)
            value = self._missing(shape, path) if part is None else self._field(shape, bytes(part), path)
            if value is not _LEFT_OUT:
                held[shape.attribute] = value
        if struct.__struct_config__.forbid_unknown_fields:
            for name in parts:
                self._noted(Quirk.EXTRA_FIELD, f"{path}.{name if _PLAIN.fullmatch(name) else ascii(name[:50])}", None)
        return struct(**held)

    def _field(self, shape: _Shape, raw: bytes, path: str) -> object:
        return self.read(shape, raw, f"{path}.{shape.name}")

    def _missing(self, shape: _Shape, path: str) -> object:
        if shape.required:
            message = f"Object missing required field `{shape.name}`"
            raise self._refused(message, path)
        return _LEFT_OUT

    def _elements(self, item: _Shape, raw: bytes, path: str, problem: str) -> object:
        if problem.startswith("Expected `array` of length"):
            raise self._refused(problem, path)
        return self._list(item, raw, path)

    def _list(self, item: _Shape, raw: bytes, path: str) -> tuple[object, ...]:
        parts = self._split(list[msgspec.Raw], raw, path)
        return tuple(self.read(item, bytes(part), f"{path}[{index}]") for index, part in enumerate(parts))

    def _decimal(self, value: Decimal, raw: bytes, path: str) -> object:
        if _number(raw) is None:
            raise self._refused("Expected `number`, got `str`", path)
        return self._noted(Quirk.NUMBER_AS_TEXT, path, value)

    def _mended(self, shape: _Shape, raw: bytes, path: str, problem: str) -> object:
        if not raw.startswith(b'"'):
            return self._mended_value(shape, raw, path, problem)
        text = self._split(str, raw, path)
        if shape.choices:
            return self._chosen(shape, text, path, problem)
        if shape.longest is not None:
            return self._long(shape, text, path, problem)
        if problem.startswith("Expected `datetime` with a timezone"):
            return self._noted(Quirk.LOCAL_TIME, path, decoder_of(datetime).decode(raw).replace(tzinfo=UTC))
        return self._integer(Quirk.NUMBER_AS_TEXT, shape, raw, path, problem)

    def _mended_value(self, shape: _Shape, raw: bytes, path: str, problem: str) -> object:
        if QUIRKS[Quirk.DATA_AS_OBJECT].of(shape.of, shape.name) is not None:
            try:
                return self._noted(Quirk.DATA_AS_OBJECT, path, raw.decode())
            except UnicodeError as error:
                raise self._refused(f"not JSON: {error}", path) from error
        return self._integer(Quirk.INTEGRAL_FLOAT, shape, raw, path, problem)

    def _integer(self, quirk: Quirk, shape: _Shape, raw: bytes, path: str, problem: str) -> object:
        number = _number(raw)
        if not problem.startswith("Expected `int`, got") or number is None or number != number.to_integral_value():
            raise self._refused(problem, path)
        return self._noted(quirk, path, self.read(shape, str(int(number)).encode(), path))

    def _long(self, shape: _Shape, text: str, path: str, problem: str) -> object:
        allowed = QUIRKS[Quirk.LONG_TEXT].of(shape.of, shape.name) is not None
        if shape.longest is None or not allowed or len(text) > shape.longest * LONG_TEXT_FACTOR:
            raise self._refused(problem, path)
        return self._noted(Quirk.LONG_TEXT, path, text)

    def _chosen(self, shape: _Shape, text: str, path: str, problem: str) -> object:
        meant = shape.spelled.get(_letters(text))
        if meant is not None:
            return self._noted(Quirk.SPELLING, path, meant)
        return self._other(shape, text, path, problem)

    def _other(self, shape: _Shape, text: str, path: str, problem: str) -> object:
        """A word outside the enumeration."""
        instead = QUIRKS[Quirk.UNKNOWN_VALUE].of(shape.of, shape.name)
        if instead in shape.choices:
            return self._noted(Quirk.UNKNOWN_VALUE, path, instead)
        if not shape.required and shape.name not in QUIRKS[Quirk.UNKNOWN_VALUE].never:
            return self._noted(Quirk.UNKNOWN_VALUE, path, _LEFT_OUT)
        raise self._refused(problem, path)

    def _split(self, type_: type[T], raw: bytes, path: str) -> T:
        try:
            return decoder_of(type_).decode(raw)
        except msgspec.ValidationError as error:
            raise self._refused(str(error), path) from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._refused(f"not JSON: {error}", path) from error

    def _refused(self, problem: str, path: str) -> MalformedValue:
        return MalformedValue(self._action, path, problem)

    def _noted(self, quirk: Quirk, path: str, value: object) -> object:
        self.notes[quirk, _INDEX.sub("[]", path)] = None
        if len(self.notes) > MAX_NOTES:
            message = f"breaks its schema in more than {MAX_NOTES} places"
            raise self._refused(message, path)
        return value


class _Keeping(_Reading):
    """A transaction message being read: rule 4."""

    def _field(self, shape: _Shape, raw: bytes, path: str) -> object:
        if raw == b"null":
            self._noted(Quirk.EMPTY_FIELD, f"{path}.{shape.name}", None)
            return self._missing(shape, path)
        try:
            return super()._field(shape, raw, path)
        except MalformedValue:
            if QUIRKS[Quirk.MISTYPED_FIELD].of(shape.of, shape.name) is None:
                raise
            return self._noted(Quirk.MISTYPED_FIELD, f"{path}.{shape.name}", _LEFT_OUT)

    def _missing(self, shape: _Shape, path: str) -> object:
        instead = QUIRKS[Quirk.MISSING_FIELD].of(shape.of, shape.name)
        if not shape.required or instead is None:
            return super()._missing(shape, path)
        return self._noted(Quirk.MISSING_FIELD, f"{path}.{shape.name}", instead)

    def _elements(self, item: _Shape, raw: bytes, path: str, problem: str) -> object:
        if problem.startswith("Expected `array` of length"):
            self._noted(Quirk.OUT_OF_BOUNDS, path, None)
        return self._list(item, raw, path)

    def _decimal(self, value: Decimal, raw: bytes, path: str) -> object:
        return self._noted(Quirk.NUMBER_AS_TEXT, path, value)

    def _mended_value(self, shape: _Shape, raw: bytes, path: str, problem: str) -> object:
        if QUIRKS[Quirk.TEXT_AS_NUMBER].of(shape.of, shape.name) is not None and _number(raw) is not None:
            return self._noted(Quirk.TEXT_AS_NUMBER, path, raw.decode())
        if problem.startswith("Expected `int` "):
            return self._noted(Quirk.OUT_OF_BOUNDS, path, decoder_of(int).decode(raw))
        return super()._mended_value(shape, raw, path, problem)

    def _long(self, shape: _Shape, text: str, path: str, problem: str) -> object:
        return self._noted(Quirk.LONG_TEXT, path, text)

    def _other(self, shape: _Shape, text: str, path: str, problem: str) -> object:
        return self._noted(Quirk.UNKNOWN_VALUE, path, text)

    def _noted(self, quirk: Quirk, path: str, value: object) -> object:
        return super()._noted(quirk, path, value) if len(self.notes) < MAX_NOTES else value


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).casefold()


def _number(raw: bytes) -> Decimal | None:
    """The number that `raw` holds as JSON number or as text; None when it holds none."""
    text = raw.decode("ascii", "replace").strip('"') if len(raw) <= MAX_DIGITS + 2 else ""
    return Decimal(text.strip()) if _NUMBER.fullmatch(text) else None


@cache
def _compiled(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decoder_of(type_: type[T]) -> msgspec.json.Decoder[T]:
    """The compiled decoder of a type."""
    key: Any = type_
    return _compiled(key)


@cache
def _shapes(struct: type[msgspec.Struct]) -> tuple[_Shape, ...]:
    return tuple(
        _shape(struct.__name__, found.encode_name, found.type, required=found.required, attribute=found.name)
        for found in msgspec.structs.fields(struct)
    )


def _shape(of: str, name: str, type_: Any, *, required: bool, attribute: str = "") -> _Shape:
    if get_origin(type_) in (Union, UnionType):
        (type_,) = (part for part in get_args(type_) if part is not NoneType)
    bare: object = type_
    longest: int | None = None
    if get_origin(type_) is Annotated:
        bare, *limits = get_args(type_)
        longest = next((limit.max_length for limit in limits if isinstance(limit, msgspec.Meta)), None)
    item: _Shape | None = None
    struct: type[msgspec.Struct] | None = None
    if get_origin(bare) is tuple:
        item = _shape(of, name, get_args(bare)[0], required=True)
    elif isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        struct = bare
    choices = get_args(bare) if get_origin(bare) is Literal else ()
    return _Shape(
        of=of,
        name=name,
        type=type_,
        decoder=_compiled(type_),
        required=required,
        attribute=attribute,
        struct=struct,
        item=item,
        longest=longest if bare is str else None,
        choices=choices,
        spelled={_letters(choice): choice for choice in choices},
    )


@cache
def _quoted_numbers(type_: Any) -> re.Pattern[bytes] | None:
    """Finds a decimal field of `type_`, at any depth, that is written as text; None when it has no such field."""
    names: set[str] = set()
    todo, seen = [_shape("", "", type_, required=True)], set[object]()
    while todo:
        shape = todo.pop()
        if shape.item is not None:
            todo.append(shape.item)
        elif shape.type is Decimal or get_args(shape.type)[:1] == (Decimal,):
            names.add(shape.name)
        elif shape.struct is not None and shape.struct not in seen:
            seen.add(shape.struct)
            todo.extend(_shapes(shape.struct))
    if not names:
        return None
    return re.compile(f'"(?:{"|".join(sorted(map(re.escape, names)))})"\\s*:\\s*"'.encode())
