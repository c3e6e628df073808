"""A list of meter keys as an operator imports it: CSV or JSON, to pinned rows of the registry.

    meter_serial,gateway_serial,charge_point_id,gateway_id,charger_id,evse_id,public_key,curve,source,not_before,not_after
    1EMH0012345678,,,,,,3059301306072A8648CE3D...,,nameplate,2026-01-01,

Rules of this file
1. One meter a row. `public_key` and something that identifies the unit are needed, everything else may be left out;
   `gateway_id`, `charger_id` and `evse_id` stand together. Columns come in any order; `,` or `;` or a tab between them.
2. JSON is an array of objects with the same names, alone or as `{"keys": [...]}`.
3. `not_before` and `not_after` are dates (midnight UTC) or instants with an offset.
4. Everything that is wrong is told at once, with line and column; a list with a mistake imports nothing.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import TypeVar

from wire.errors import MeterRecordError, WireError
from wire.meter.curves import CURVES, curve_named
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.registry import KeyOrigin, KeyPlace, KeyState, RegisteredKey

MAX_LIST_CHARS = 32 * 1024 * 1024
MAX_PROBLEMS = 20
COLUMNS = (
    "meter_serial",
    "gateway_serial",
    "charge_point_id",
    "gateway_id",
    "charger_id",
    "evse_id",
    "public_key",
    "curve",
    "source",
    "not_before",
    "not_after",
)
_ORIGINS = (KeyOrigin.NAMEPLATE, KeyOrigin.COMMISSIONING_FILE, KeyOrigin.BNETZA, KeyOrigin.CONFIGURATION)
_LONGEST_TEXT = 255
_JSON_ARRAY = re.compile(r'\s*(?:\{\s*"keys"\s*:\s*)?\[')

T = TypeVar("T")


class KeyListError(WireError):
    """Raised when a list of keys cannot be imported; `problems` are sentences that name line and column."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        shown = "\n".join(problems[:MAX_PROBLEMS])
        more = len(problems) - MAX_PROBLEMS
        super().__init__("bad-key-list", shown if more <= 0 else f"{shown}\nand {more} problems more")
        self.problems = problems


class _Refused(Exception):
    """One field of one row is wrong: column and sentence."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def parse_key_list(text: str) -> tuple[RegisteredKey, ...]:
    """The pinned rows that `text` lists, in its order; CSV, or JSON if it begins with `[` or `{`.

    Raises:
        KeyListError: `bad-key-list`, with every problem found.
    """
    if len(text) > MAX_LIST_CHARS:
        raise KeyListError((f"{len(text)} characters; at most {MAX_LIST_CHARS}. Split the list",))
    text = text.removeprefix("\ufeff")
    rows = _json_rows(text) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text)
    found: list[RegisteredKey] = []
    problems: list[str] = []
    lines: dict[object, int] = {}
    for line, members in rows:
        try:
            row = _row(members)
        except _Refused as error:
            problems.append(f"line {line}, {error.column}: {error}")
            continue
        first = lines.setdefault((row.identity, row.public_key), line)
        if first != line:
            problems.append(f"line {line}: the same key of the same unit stands in line {first}; remove one")
        found.append(row)
    if not found and not problems:
        problems.append("no keys; expected a line of column names and one meter a line, or a JSON array")
    if problems:
        raise KeyListError(tuple(problems))
    return tuple(found)


# --- lines to members -----------------------------------------------------------------------------------------------


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    head = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    # Not splitlines: it also breaks at characters that are no line ends in CSV.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                line = reader.line_num + 1
                continue
            if names is None:
                names = [cell.strip().lower() for cell in cells]
                _check_names(names, f"line {line}")
            elif len(cells) != len(names):
                advice = "quote a text that holds the separator"
                raise KeyListError((f"line {line}: {len(cells)} fields; expected {len(names)}; {advice}",))
            else:
                yield line, {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}
            line = reader.line_num + 1
    except csv.Error as error:
        raise KeyListError((f"line {line}: not CSV: {error}",)) from error


def _check_names(names: list[str], where: str) -> None:
    problems = [f"{where}: unknown column {name[:40]!a}{_nearest(name)}" for name in names if name not in COLUMNS]
    problems += [f"{where}: column {name} stands twice" for name in COLUMNS if names.count(name) > 1]
    if "public_key" not in names and not problems:
        problems.append(f"{where}: the column public_key is missing; the first line names the columns")
    if problems:
        raise KeyListError(tuple(problems))


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(COLUMNS)}"


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeyListError((f"not JSON: {error}",)) from error
    entries = document.get("keys") if isinstance(document, dict) and len(document) == 1 else document
    opening = _JSON_ARRAY.match(text)
    if not isinstance(entries, list) or opening is None:
        raise KeyListError(('expected a JSON array of objects, or {"keys": [...]} and nothing else',))
    for line, entry in zip(_lines_of(text, opening.end(), len(entries)), entries, strict=True):
        if not isinstance(entry, dict):
            raise KeyListError((f"line {line}: expected an object",))
        unknown = [str(name) for name in entry if name not in COLUMNS]
        if unknown:
            raise KeyListError(tuple(f"line {line}: unknown name {name[:40]!a}{_nearest(name)}" for name in unknown))
        yield line, {name: _scalar(line, name, value) for name, value in entry.items() if value not in (None, "")}


def _scalar(line: int, name: str, value: object) -> str:
    if isinstance(value, str) or (name == "evse_id" and isinstance(value, int) and not isinstance(value, bool)):
        return str(value).strip()
    raise KeyListError((f"line {line}, {name}: expected text",))


def _lines_of(text: str, at: int, count: int) -> list[int]:
    """The line on which each of `count` entries of the array that opens before `at` begins; the text is JSON."""
    decoder = json.JSONDecoder()
    lines, line, seen = [], 1, 0
    for _ in range(count):
        while text[at] in " \t\r\n,":
            at += 1
        line += text.count("\n", seen, at)
        seen = at
        lines.append(line)
        _, at = decoder.raw_decode(text, at)
    return lines


# --- members to rows ------------------------------------------------------------------------------------------------


def _row(members: Mapping[str, str]) -> RegisteredKey:
    for name, value in members.items():
        if name != "public_key" and len(value) > _LONGEST_TEXT:
            raise _Refused(name, f"{len(value)} characters; at most {_LONGEST_TEXT}")
    place = _place(members)
    named = [members.get(name) for name in ("meter_serial", "gateway_serial", "charge_point_id")]
    if place is None and not any(named):
        raise _Refused("meter_serial", "nothing says whose key this is; give a serial, a charge point id or a place")
    key = _key(members)
    not_before, not_after = _instant(members, "not_before"), _instant(members, "not_after")
    if not_before is not None and not_after is not None and not_after <= not_before:
        raise _Refused("not_after", "expected an instant after not_before")
    return RegisteredKey(
        meter_serial=named[0],
        gateway_serial=named[1],
        charge_point_id=named[2],
        place=place,
        public_key=key.spki.hex(),
        curve=key.curve,
        source=_origin(members),
        state=KeyState.PINNED,
        not_before=not_before,
        not_after=not_after,
    )


def _place(members: Mapping[str, str]) -> KeyPlace | None:
    given = [name for name in ("gateway_id", "charger_id", "evse_id") if name in members]
    if not given:
        return None
    if len(given) < 3:
        raise _Refused(given[0], "a place needs gateway_id, charger_id and evse_id")
    number = members["evse_id"]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise _Refused("evse_id", f"expected a number, found {number[:40]!a}")
    return KeyPlace(gateway_id=members["gateway_id"], charger_id=members["charger_id"], evse_id=int(number))


def _key(members: Mapping[str, str]) -> PublicKey:
    text = members.get("public_key")
    if text is None:
        raise _Refused("public_key", "missing; expected SPKI as hex, base64 or PEM, a point, or an oca: composite")
    name = members.get("curve")
    curve = None if name is None else curve_named(name)
    if name is not None and curve is None:
        raise _Refused("curve", f"unknown curve {name[:40]!a}; expected {', '.join(known.name for known in CURVES)}")
    try:
        key = parse_public_key(text, name)
    except MeterRecordError as error:
        raise _Refused("public_key", f"{error}; copy it again as it is printed or exported") from error
    if curve is not None and curve.name != key.curve:
        raise _Refused("curve", f"the key lies on {key.curve}, not on {curve.name}")
    return key


def _origin(members: Mapping[str, str]) -> KeyOrigin:
    text = members.get("source", KeyOrigin.COMMISSIONING_FILE).lower()
    if text not in _ORIGINS:
        raise _Refused("source", f"expected one of {', '.join(_ORIGINS)}, found {text[:40]!a}")
    return KeyOrigin(text)


def _instant(members: Mapping[str, str], name: str) -> datetime | None:
    text = members.get(name)
    if text is None:
        return None
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _Refused(name, f"expected 2026-05-01 or 2026-05-01T08:00:00+02:00, found {text[:40]!a}") from None
    if at.tzinfo is None:
        raise _Refused(name, f"{text[:40]} has no offset; write {text[:40]}Z for UTC")
    return at
