"""A typed value from TOML text; a mistake is named with its key, its line and the nearest key that exists.

Pure: the text is an argument. The programs read their configuration files through this, so all of them speak alike.
"""

from __future__ import annotations

import bisect
import difflib
import re
import tomllib
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from wire.errors import WireError

T = TypeVar("T")

Step = str | int | None
"""One step of a path: a key, an index, or None for a key that is not told."""

_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`(?: - at `(.+)`)?$")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")


class TOMLError(WireError):
    """Raised for text that is not the configuration it should be; `line` is 1-based, None when it cannot be told."""

    def __init__(self, source: str, line: int | None, message: str) -> None:
        place = source if line is None else f"{source}, line {line}"
        super().__init__("bad-configuration", f"{place}: {message}")
        self.line = line


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of configuration tables: every key is known, unset keys have defaults."""


def parse_toml(type_: type[T], text: str, source: str) -> T:
    """The value of `type_` (a Table) that `text` holds; `source` is the file's name for messages.

    Raises:
        TOMLError: not TOML, an unknown key (with the nearest known one), a missing key, or a value of a wrong type.
    """
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        message = re.sub(r" \(at (line .*|end of document)\)$", "", str(error))
        # Without a place in the message the trouble begins behind the last line up to which the text can be read.
        line = int(found[1]) if found else _readable(_lines(text))[0] + 1
        raise TOMLError(source, line, f"not valid TOML: {message}") from error
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        raise _explained(str(error), msgspec.inspect.type_info(type_), raw, text, source) from error


def _explained(message: str, kind: msgspec.inspect.Type, raw: object, text: str, source: str) -> TOMLError:
    unknown = _UNKNOWN.match(message)
    if unknown:
        key, path = unknown[1], unknown[2] or "$"
        steps = _steps(path)
        known = _known_keys(kind, raw, steps)
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known keys here: {', '.join(known)}"
        return TOMLError(source, line_of(text, [*steps, key]), f"unknown key `{key}`{_inside(path)}{hint}")
    # From the right: the message may quote a value that holds the same words.
    what, _, path = message.rpartition(" - at `")
    what, path = (what, path.strip("`")) if what else (path, "$")
    missing = re.match(r"Object missing required field `(.+)`", what)
    if missing:
        return TOMLError(source, line_of(text, _steps(path)), f"key `{missing[1]}` is missing{_inside(path)}")
    return TOMLError(source, line_of(text, _steps(path)), f"`{path.removeprefix('$.')}`: {what}")


def _inside(path: str) -> str:
    return "" if path == "$" else f" in [{re.sub(r'[$.]*', '', path, count=1)}]"


def _steps(path: str) -> list[Step]:
    """`$.charger[1].id` as ["charger", 1, "id"]; None stands for a mapping's key, which the error does not tell."""
    return [name or (int(index) if index.isdigit() else None) for name, index in _STEP.findall(path)]


def _known_keys(kind: msgspec.inspect.Type, held: object, steps: Sequence[Step]) -> list[str]:
    """The keys a table may have, found by walking its type and what the text `held` along the path together."""
    kind = _meant(kind, held)
    if not steps:
        return _keys_of(kind) if isinstance(kind, msgspec.inspect.StructType) else []
    step, rest = steps[0], steps[1:]
    if isinstance(kind, msgspec.inspect.StructType):
        inner = next((field.type for field in kind.fields if field.encode_name == step), None)
    elif isinstance(kind, msgspec.inspect.DictType):
        inner = kind.value_type
    elif isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        inner = kind.item_type
    else:
        inner = None
    return [] if inner is None else _known_keys(inner, _held_at(held, step), rest)


def _keys_of(table: msgspec.inspect.StructType) -> list[str]:
    tag = [] if table.tag_field is None else [table.tag_field]
    return sorted([*tag, *(field.encode_name for field in table.fields)])


def _meant(kind: msgspec.inspect.Type, held: object) -> msgspec.inspect.Type:
    """Of a union the table whose tag the text gives; the first table when no tag says more."""
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind
    tables = [member for member in kind.types if isinstance(member, msgspec.inspect.StructType)]
    given = held if isinstance(held, dict) else {}
    tagged = [table for table in tables if table.tag_field is not None and given.get(table.tag_field) == table.tag]
    return next(iter(tagged + tables), kind)


def _held_at(held: object, step: Step) -> object:
    """What stands at `step` in a value of the text; None where the path does not tell it."""
    if isinstance(held, dict) and isinstance(step, str):
        return held.get(step)
    return held[step] if isinstance(held, list) and isinstance(step, int) and step < len(held) else None


def line_of(text: str, steps: Sequence[Step]) -> int | None:
    """The line where the statement begins that gives the value at `steps`; None for the whole file or an unclear place.

    The real parser finds it: the shortest run of lines from the top that is TOML and holds the value ends with the
    statement. Takes about log2(lines) parses. Only for text that is TOML as a whole.
    """
    lines = _lines(text)
    wanted = _places(_readable(lines)[1], steps)
    if len(wanted) != 1 or not wanted[0]:
        return None
    place = wanted[0]

    def holds(count: int) -> bool:
        return _places(_readable(lines[:count])[1], place) == [place]

    last = bisect.bisect_left(range(len(lines)), True, key=holds)
    return _readable(lines[: last - 1])[0] + 1


def _lines(text: str) -> list[str]:
    """The lines as TOML counts them; a carriage return left at the end of the last one would not be TOML."""
    return text.replace("\r\n", "\n").split("\n")


def _readable(lines: list[str]) -> tuple[int, object]:
    """The largest number of lines from the top that are TOML by themselves, and what they hold."""
    for count in range(len(lines), 0, -1):
        try:
            return count, tomllib.loads("\n".join(lines[:count]))
        except (ValueError, RecursionError):
            continue
    return 0, {}


def _places(value: object, steps: Sequence[Step]) -> list[list[Step]]:
    """The paths in `value` that `steps` can mean: none, one, or several when a mapping's key is not told."""
    if not steps:
        return [[]]
    step, rest = steps[0], steps[1:]
    if step is None and isinstance(value, dict):
        return [[key, *place] for key, held in value.items() for place in _places(held, rest)]
    if isinstance(step, str) and isinstance(value, dict) and step in value:
        return [[step, *place] for place in _places(value[step], rest)]
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return [[step, *place] for place in _places(value[step], rest)]
    return []
