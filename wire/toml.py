"""A typed value from TOML text; a mistake is named with its key, its line and the nearest key that exists.

Pure: the text is an argument. The programs read their configuration files through this, so all of them speak alike.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TypeVar

import msgspec

from wire.errors import WireError

T = TypeVar("T")

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
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        message = re.sub(r" \(at (line .*|end of document)\)$", "", str(error))
        raise TOMLError(source, int(found[1]) if found else None, f"not valid TOML: {message}") from error
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        raise _explained(str(error), type_, text, source) from error


def _explained(message: str, type_: object, text: str, source: str) -> TOMLError:
    unknown = _UNKNOWN.match(message)
    if unknown:
        key, path = unknown[1], unknown[2] or "$"
        steps = _steps(path)
        near = difflib.get_close_matches(key, _known_keys(type_, steps), n=1, cutoff=0.5)
        hint = f"; did you mean `{near[0]}`?" if near else f"; known keys here: {', '.join(_known_keys(type_, steps))}"
        return TOMLError(source, _line_of(text, steps, key), f"unknown key `{key}`{_inside(path)}{hint}")
    what, _, path = message.partition(" - at ")
    path = path.strip("`") or "$"
    steps = _steps(path)
    missing = re.match(r"Object missing required field `(.+)`", what)
    if missing:
        return TOMLError(source, _line_of(text, steps, None), f"key `{missing[1]}` is missing{_inside(path)}")
    key = steps[-1] if steps and isinstance(steps[-1], str) else None
    return TOMLError(source, _line_of(text, steps[:-1], key), f"`{path.removeprefix('$.')}`: {what}")


def _inside(path: str) -> str:
    return "" if path == "$" else f" in [{re.sub(r'[$.]*', '', path, count=1)}]"


def _steps(path: str) -> list[str | int]:
    """`$.charger[1].id` as ["charger", 1, "id"]; an index that the error does not tell counts as 0."""
    return [name or (int(index) if index.isdigit() else 0) for name, index in _STEP.findall(path)]


def _known_keys(type_: object, steps: list[str | int]) -> list[str]:
    """The keys a table may have, found by walking the type along the path."""
    info = msgspec.inspect.type_info(type_)
    for step in steps:
        if isinstance(info, msgspec.inspect.StructType) and isinstance(step, str):
            info = next((field.type for field in info.fields if field.encode_name == step), info)
        elif isinstance(info, msgspec.inspect.DictType):
            info = info.value_type
        elif isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            info = info.item_type
        if isinstance(info, msgspec.inspect.UnionType):
            info = next((kind for kind in info.types if isinstance(kind, msgspec.inspect.StructType)), info)
    return sorted(field.encode_name for field in info.fields) if isinstance(info, msgspec.inspect.StructType) else []


def _line_of(text: str, steps: list[str | int], key: str | None) -> int | None:
    """The line where `key` stands in the table at `steps`; the table's header when there is no such key."""
    names = [step for step in steps if isinstance(step, str)]
    index = next((step for step in reversed(steps) if isinstance(step, int)), 0)
    header = re.compile(r"\s*\[\[?\s*" + r"\s*\.\s*".join(map(re.escape, names)) + r"\s*\]\]?\s*(#.*)?")
    lines = text.splitlines()
    start = 0
    if names:
        headers = [number for number, line in enumerate(lines) if header.fullmatch(line)]
        if not headers:
            return None
        start = headers[min(index, len(headers) - 1)] + 1
    for number in range(start, len(lines)):
        if key is not None and re.match(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]", lines[number]):
            return number + 1
        if names and lines[number].lstrip().startswith("["):
            break
    return start or None
