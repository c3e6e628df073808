"""JSON as meters write it: numbers keep their digits, hostile text costs little and is refused with a reason.

Python's reader would turn 2935.600 into a binary float, let the last of two equal keys win in silence, and accept NaN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NoReturn

import msgspec

from wire.errors import MeterRecordError

MAX_NUMBER_CHARS = 40
MAX_EXPONENT = 60
MAX_DEPTH = 64
"""Of objects and arrays in one another. Python's reader gives up at a depth that depends on who called; a text that was
read once must always be readable."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHITE = " \t\r\n"


class JSONObject(msgspec.Struct, frozen=True, gc=False):
    """A JSON object as it was written. Member values are str, bool, None, Decimal, list or dict; of equal keys the last
    counts. `duplicate_keys` were met twice in one object anywhere inside, `own_duplicates` in the object itself.
    `control_characters`: a string held a raw one. `is_utf8`: False for a section that had to be read as latin-1."""

    members: dict[str, object]
    duplicate_keys: tuple[str, ...] = ()
    own_duplicates: tuple[str, ...] = ()
    control_characters: bool = False
    is_utf8: bool = True


def parse_number(text: str) -> Decimal | None:
    """The Decimal that a JSON number's text says, digits kept; None if it is no JSON number or out of bounds: at most
    40 characters, exponent within +-60. No meter needs more, and exact arithmetic on it stays cheap."""
    return _bounded(text) if _NUMBER.fullmatch(text) is not None else None


def _bounded(literal: str) -> Decimal | None:
    """The value of a text that is a JSON number, None when it is out of bounds."""
    if len(literal) > MAX_NUMBER_CHARS:
        return None
    if "e" in literal or "E" in literal:
        exponent = literal.lower().partition("e")[2]
        if abs(int(exponent)) > MAX_EXPONENT:
            return None
    return Decimal(literal)


def _plain_number(literal: str) -> Decimal:
    value = _bounded(literal)
    if value is None:
        raise ValueError(literal)
    return value


def _plain_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(literal: str) -> NoReturn:
    raise ValueError(literal)


# Made once: to make a decoder costs as much as to read a signature section. Its hooks raise ValueError for what only
# the careful reading can name.
_PLAIN = json.JSONDecoder(
    parse_float=_plain_number, parse_int=_plain_number, parse_constant=_no_constant, object_pairs_hook=_plain_members
)


class _Careful:
    """One reading of one text that notes what the plain one stumbles over: keys met twice, numbers out of bounds."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.duplicates: dict[str, None] = {}
        self.outermost: dict[str, None] = {}

    def read(self, text: str, *, strict: bool) -> object:
        """The value of `text`; `strict` refuses raw control characters inside strings."""
        self.duplicates.clear()
        return json.loads(
            text,
            strict=strict,
            parse_float=self._number,
            parse_int=self._number,
            parse_constant=self._constant,
            object_pairs_hook=self._members,
        )

    def _number(self, literal: str) -> Decimal:
        value = _bounded(literal)
        if value is None:
            raise MeterRecordError("number-out-of-bounds", self._where, f"number {literal[:20]!r} is out of bounds")
        return value

    def _constant(self, literal: str) -> NoReturn:
        raise MeterRecordError("number-out-of-bounds", self._where, f"{literal} is not a JSON number")

    def _members(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        # Inner objects end before the one around them, so the last call is that of the outermost.
        self.outermost = {}
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.outermost[key] = None
                seen.add(key)
        self.duplicates |= self.outermost
        return found


def parse_section(data: bytes, where: str) -> JSONObject:
    """The one JSON object in `data`: UTF-8, or else latin-1, in which some meters write and sign.

    Raises:
        MeterRecordError: as `parse_object`.
    """
    try:
        return parse_object(data.decode(), where)
    except UnicodeDecodeError:
        return msgspec.structs.replace(parse_object(data.decode("latin-1"), where), is_utf8=False)


def parse_object(text: str, where: str) -> JSONObject:
    """The one JSON object that `text` holds, white space around it allowed; `where` names the section in errors.

    Raises:
        MeterRecordError: `not-json`, `not-an-object`, `number-out-of-bounds` (NaN and Infinity included), `too-deep`
            (more than 64 levels).
    """
    stripped = text.strip(_WHITE)
    try:
        value, end = _PLAIN.raw_decode(stripped)
    except (ValueError, RecursionError):
        return parse_carefully(text, where)
    if end != len(stripped) or not isinstance(value, dict):
        return parse_carefully(text, where)
    if stripped.count("{") + stripped.count("[") > MAX_DEPTH:
        _check_depth(value, where)
    return JSONObject(value)


def _check_depth(outermost: dict[str, object], where: str) -> None:
    level: list[object] = [outermost]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise MeterRecordError("too-deep", where, f"JSON nested more than {MAX_DEPTH} deep")


def _inside(outer: object) -> Iterable[object]:
    return outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()


def parse_carefully(text: str, where: str) -> JSONObject:
    """What `parse_object` says of any text; about twice the cost."""
    reader = _Careful(where)
    control_characters = False
    try:
        try:
            value = reader.read(text, strict=True)
        except json.JSONDecodeError:
            # Raw control characters inside strings occur in the field; any other fault is met again.
            value, control_characters = reader.read(text, strict=False), True
    except json.JSONDecodeError as error:
        raise MeterRecordError("not-json", where, f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise MeterRecordError("too-deep", where, "JSON nested too deeply") from error
    if not isinstance(value, dict):
        raise MeterRecordError("not-an-object", where, "expected a JSON object")
    _check_depth(value, where)
    return JSONObject(value, tuple(reader.duplicates), tuple(reader.outermost), control_characters)
