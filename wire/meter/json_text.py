"""JSON as meters write it: numbers keep their digits, hostile text costs little and is refused with a reason.

Python's reader would turn 2935.600 into a binary float, let the last of two equal keys win in silence, and accept NaN.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from wire.errors import MeterRecordError

MAX_NUMBER_CHARS = 40
MAX_EXPONENT = 60

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class JSONObject:
    """A JSON object's members (the last of equal keys), the keys met twice anywhere inside it, and whether a string
    held a raw control character. Member values are str, bool, None, Decimal, list or dict."""

    members: dict[str, object]
    duplicate_keys: tuple[str, ...]
    control_characters: bool


def parse_number(text: str) -> Decimal | None:
    """The Decimal that a JSON number's text says, digits kept; None if it is no JSON number or out of bounds: at most
    40 characters, exponent within +-60. No meter needs more, and exact arithmetic on it stays cheap."""
    if len(text) > MAX_NUMBER_CHARS or _NUMBER.fullmatch(text) is None:
        return None
    exponent = re.split("[eE]", text)[1:]
    if exponent and abs(int(exponent[0])) > MAX_EXPONENT:
        return None
    return Decimal(text)


class _Reader:
    """One reading of one text: the hooks that Python's JSON reader calls, and the keys they met twice."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.duplicates: dict[str, None] = {}

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
        value = parse_number(literal)
        if value is None:
            raise MeterRecordError("number-out-of-bounds", self._where, f"number {literal[:20]!r} is out of bounds")
        return value

    def _constant(self, literal: str) -> NoReturn:
        raise MeterRecordError("number-out-of-bounds", self._where, f"{literal} is not a JSON number")

    def _members(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.duplicates[key] = None
                seen.add(key)
        return found


def parse_object(text: str, where: str) -> JSONObject:
    """The one JSON object that `text` holds, white space around it allowed; `where` names the section in errors.

    Raises:
        MeterRecordError: `not-json`, `not-an-object`, `number-out-of-bounds` (NaN and Infinity included), `too-deep`.
    """
    reader = _Reader(where)
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
    return JSONObject(value, tuple(reader.duplicates), control_characters)
