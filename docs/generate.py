"""Writes the pages that are made from the code: `make docs`. tests/test_docs.py holds them to it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as shapes

from gateway.chargers.commands.table import TABLE
from wire.commands import Command
from wire.ocpi.census import DIFFERENCES, TABLE as OCPI_SIDES, Row
from wire.ocpi.quirks import MEANINGS, NAMED, in_force
from wire.ocpi.types import Version
from wire.ocpp import v16
from wire.ocpp.catalogue import CATALOGUE, VERSIONS, WRAPPED, Entry, Sender
from wire.ocpp.pnc16 import VENDOR_ID
from wire.ocpp.quirks import QUIRKS, Kind, Quirk, Tolerance

HERE = Path(__file__).parent
_MADE = "<!-- Made by `make docs` from the code; do not edit. -->\n"
_HEADS = {
    Kind.SHAPE: "In every message",
    Kind.KEPT: "In transaction messages only",
    Kind.FRAME: "In frames",
    Kind.CONDUCT: "In what a station does",
}


def quirks_page() -> str:
    """docs/quirks.md."""
    lines = [
        "# What is accepted beyond the standard",
        "",
        _MADE,
        "Every row is counted, per charger, whenever it is met: `pnc-gateway status` shows the counts and where each",
        "was met last (action and JSON path), and the log says when a charger does it for the first time. What no row",
        "allows is refused with a CALLERROR that names the field; a transaction message is never refused, but stored,",
        "acknowledged and shown as quarantined.",
    ]
    for kind, head in _HEADS.items():
        rows = [(quirk, row) for quirk, row in QUIRKS.items() if row.kind is kind]
        if rows:
            lines += [
                "",
                f"## {head}",
                "",
                "| code | versions | what is accepted | where it was seen | how it is treated |",
            ]
            lines += ["|---|---|---|---|---|", *(_row(quirk, row) for quirk, row in rows)]
    return "\n".join(lines) + "\n"


def _row(quirk: Quirk, row: Tolerance) -> str:
    treated = row.treated
    if row.fields:
        named = (f"`{name}`" + (f" (`{instead}`)" if instead else "") for name, instead in row.fields.items())
        treated += f". Fields: {', '.join(named)}"
    return f"| `{quirk}` | {', '.join(row.versions)} | {row.accepted} | {row.seen} | {treated} |"


_FROM = {Sender.STATION: "station", Sender.GATEWAY: "gateway", Sender.BOTH: "both"}
_OCPP_HEAD = f"""\
# OCPP: every message, and what the gateway does with it

{_MADE}
Versions are negotiated by subprotocol (`ocpp1.6`, `ocpp2.0.1`, `ocpp2.1`), the station's first choice wins. Of 1.6 the
table has the security white paper (edition 3) too. What stations do beyond the schemas and is accepted all the same
stands in [quirks.md](quirks.md).

- **acted on**: the gateway does what the message is for. Transaction messages are stored and synced to disk before they
  are answered, and never refused.
- **entered into the audit log**: it stands in the chain of evidence, and goes to the hub.
- **kept and shown**: the newest of its kind, by `pnc-gateway charger ID`. **acknowledged**: answered, and no more.
- **sent by itself**: the gateway sends it when it is due. **sent on demand**: when an operator or hub wants it, by a
  `pnc-gateway command` of its own or by `pnc-gateway command call`, checked against the schema first.
- **no**: from a station, the answer is CALLERROR NotSupported; to a station, it is never sent. `-`: the version has no
  such message; a station that sends it hears NotImplemented.

| action | from | 1.6 | 2.0.1 | 2.1 | note |
|---|---|---|---|---|---|
"""
_WRAPPED_HEAD = f"""
## Plug & Charge over 1.6

Wrapped in DataTransfer with vendorId `{VENDOR_ID}`, `data` being JSON as text; the older
vendorId `iso15118` is taken as a quirk. A messageId that is not here is answered UnknownMessageId, another vendorId
UnknownVendorId.

| messageId | from | support | note |
|---|---|---|---|
"""


def ocpp_page() -> str:
    """docs/ocpp.md."""
    lines, block = [], ""
    for row in CATALOGUE:
        if row.block != block:
            block = row.block
            lines.append(f"| **{block}** | | | | | |")
        lines.append(_message(row))
    wrapped = (
        f"| `{name}` | {_FROM[sender]} | {support.value} | {note} |"
        for name, (sender, support, note) in WRAPPED.items()
    )
    return _OCPP_HEAD + "\n".join(lines) + "\n" + _WRAPPED_HEAD + "\n".join(wrapped) + "\n"


def _message(row: Entry) -> str:
    cells = (row.support[version].value if version in row.support else "-" for version in VERSIONS)
    return f"| `{row.action}` | {_FROM[row.sender]} | {' | '.join(cells)} | {row.note} |"


_COMMANDS_HEAD = f"""\
# Commands to stations, as JSON

{_MADE}
What `pnc-hub command send` takes as COMMAND, and `POST /api/v1/commands` of the hub as `command`: one object, with the
name as `command`, the station as `charger_id`, and the fields below. An unknown field of a command is refused. How it
is handed in, and what comes of it, is told in [operations.md](operations.md), *Commands to stations*; there too what
`pnc-gateway command` takes in the place of JSON.

    {{"command": "START_SESSION", "charger_id": "CP-1", "token": {{"uid": "APP-4711", "type": "APP_USER"}}}}
    {{"command": "SET_VARIABLES", "charger_id": "CP-1", "settings": [{{"value": "300",
      "name": {{"component": "OCPPCommCtrlr", "variable": "HeartbeatInterval"}}}}]}}

An instant is RFC 3339 with an offset (`2026-11-23T10:00:00Z`), a decimal is text (`"0.49"`). Lengths are in characters.
"""
_WORDS: Mapping[type[shapes.Type], str] = {
    shapes.BoolType: "true or false",
    shapes.DateTimeType: "instant",
    shapes.DecimalType: "decimal",
    shapes.RawType: "any JSON",
    shapes.AnyType: "any JSON",
}
_INT32 = 2**31 - 1


def commands_page() -> str:
    """docs/commands.md."""
    parts: dict[type[Any], None] = {}
    lines = [_COMMANDS_HEAD]
    versions = {
        row[0]: [v16.VERSION] * (row[1] is not None) + [version for version in VERSIONS if version in row[3]]
        for row in TABLE
    }
    for command in typing.get_args(Command):
        spoken = " and ".join(", ".join(versions[command]).rsplit(", ", 1))
        lines += [f"## {_name(command)}", "", _said(command), "", f"In OCPP {spoken}.", ""]
        lines += [*_fields(command, parts), ""]
    lines += ["# Objects in commands", ""]
    told: list[type[Any]] = []
    while left := [part for part in parts if part not in told]:
        told.append(left[0])
        lines += [f"## {left[0].__name__}", "", _said(left[0]), "", *_fields(left[0], parts), ""]
    return "\n".join(lines).rstrip() + "\n"


def _name(command: type[Any]) -> str:
    return str(command.__struct_config__.tag)


def _said(struct: type[Any]) -> str:
    """What its docstring says, in one line."""
    return " ".join(inspect.getdoc(struct).split()) if struct.__doc__ else ""


def _fields(struct: type[Any], parts: dict[type[Any], None]) -> Iterator[str]:
    """The table of its fields but for `charger_id`; objects that it holds are added to `parts`."""
    shape = shapes.type_info(struct)
    assert isinstance(shape, shapes.StructType)
    fields = [field for field in shape.fields if field.name != "charger_id"]
    if not fields:
        yield "No further fields."
        return
    yield from ("| field | type | if left out |", "|---|---|---|")
    for field in fields:
        yield f"| `{field.encode_name}` | {_type(field.type, parts)} | {_left_out(field)} |"


def _left_out(field: shapes.Field) -> str:
    if field.required:
        return "must be given"
    if field.default in (None, msgspec.NODEFAULT, (), msgspec.Raw()):
        return "optional"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def _type(shape: shapes.Type, parts: dict[type[Any], None]) -> str:
    match shape:
        case shapes.UnionType():
            return " or ".join(_type(one, parts) for one in shape.types if not isinstance(one, shapes.NoneType))
        case shapes.StructType():
            parts[shape.cls] = None
            return f"[{shape.cls.__name__}](#{shape.cls.__name__.lower()})"
        case shapes.EnumType():
            return "one of " + ", ".join(f"`{one.value}`" for one in shape.cls)
        case shapes.VarTupleType():
            least = f", {shape.min_length} at least" if shape.min_length else ""
            return f"list of {_type(shape.item_type, parts)}{least}"
        case shapes.DictType():
            return f"object of {_type(shape.value_type, parts)}"
        case shapes.IntType():
            most = "" if shape.le in (None, _INT32) else f" to {shape.le}"
            return f"whole number, {shape.ge}{most or ' at least'}"
        case shapes.StrType():
            return _text(shape)
    return _WORDS[type(shape)]


def _text(shape: shapes.StrType) -> str:
    if shape.pattern is not None:
        pattern = shape.pattern.removeprefix(r"\A").removesuffix(r"\Z").replace("|", r"\|")
        return f"text like `{pattern}`"
    if shape.max_length is None:
        return "text"
    return f"text, {shape.min_length or 0} to {shape.max_length}"


_OCPI_HEAD = f"""\
# OCPI: modules, roles and versions

{_MADE}
Inside, everything is OCPI 2.3.0 (edition 2). A partner of 2.2.1 is spoken to through an adapter
([`wire/ocpi/v221.py`](../wire/ocpi/v221.py)) that names each thing it cannot say. Which version a partner speaks is
found out when credentials are exchanged.

## Sides

**served**: what the hub answers. **called**: what it calls at a partner's. `-`: nothing yet, or nothing there in that
version. Every object is read, checked, written and translated, whether or not its side is served. What is served or
called is shown by the tests that the last column names.

| module | side | who stands there | {" | ".join(Version)} | methods | served | called | tests |
|---|---|---|{"---|" * len(Version)}---|---|---|---|
"""
_OCPI_VALUES = """
## Objects

- **Read**: unknown fields are kept, stored and sent on; numbers are decimals; an instant without an offset is UTC; ids
  are compared without regard to case and keep their spelling. Each finding has a JSON pointer, a code and a message
  ([`wire/ocpi/checks.py`](../wire/ocpi/checks.py)).
- **PUT** replaces; its ids are those of its URL, else 2001. **PATCH** changes what it gives, needs `last_updated`, and
  appends the charging periods of a session; one that came late, or twice, changes nothing.
- **Tried**: every example of the specification comes back from its value unchanged, and every table of it has the
  fields, lengths and words that we have. Both need a checkout of the specification, which is not part of this project:

      git clone --branch 2.3.0/release/core https://github.com/ocpi/ocpi ocpi-2.3.0
      git clone --branch release-2.2.1-bugfixes https://github.com/ocpi/ocpi ocpi-2.2.1
      PNCGATE_OCPI_SPEC=ocpi-2.3.0 PNCGATE_OCPI_SPEC_221=ocpi-2.2.1 make test PYTEST_ARGS="tests/crossed -k ocpi"

## From a gateway

A gateway with `[uplink] kind = "ocpi"` is a CPO of its own and calls one peer, in the newest version that both speak;
it serves nothing ([operations.md](operations.md), *OCPI without a hub of ours*). `tests/site/test_ocpi_uplink.py` and
`tests/gateway/test_ocpi_uplink.py` show it.

| module | what is called |
|---|---|
| `versions`, `credentials` | GET; POST and PUT by `pnc-gateway ocpi register` and `rotate` |
| `tokens` sender | GET in pages, all and what changed; POST authorize |
| `sessions` receiver | PUT: a session whole, since a PATCH that is repeated would append its periods again |
| `cdrs` receiver | POST; GET before a POST is repeated |

## What 2.2.1 cannot say

| topic | on the way to 2.2.1 | on the way from it |
|---|---|---|
"""
_OCPI_QUIRKS = """
## Quirks of partners

What costs nothing is borne from everybody. The rest is switched on per partner, by name or by profile
(`raw-2.2,trailing_slash`).

| quirk | what the partner does, and how it is met |
|---|---|
"""


def ocpi_page() -> str:
    """docs/ocpi.md."""
    sides = _lines(_side(row) for row in OCPI_SIDES)
    differences = _lines(f"| {row.topic} | {row.down} | {row.up} |" for row in DIFFERENCES)
    quirks = _lines(f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items())
    profiles = _lines(
        f"| `{name}` | {_listed(f'`{quirk}`' for quirk in in_force(profile))} |" for name, profile in NAMED.items()
    )
    head = "\n| profile | quirks |\n|---|---|\n"
    return f"{_OCPI_HEAD}{sides}{_OCPI_VALUES}{differences}{_OCPI_QUIRKS}{quirks}{head}{profiles}"


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _side(row: Row) -> str:
    versions = " | ".join("yes" if version in row.versions else "-" for version in Version)
    methods = ", ".join(row.methods) + (f" ({row.note})" if row.note else "")
    tests = _listed(f"[`{test.rsplit('/', 1)[-1]}`](../{test})" for test in row.tests)
    cells = (f"`{row.module}`", row.side.lower(), ", ".join(row.roles), versions, methods)
    return f"| {' | '.join(cells)} | {_listed(row.served)} | {_listed(row.called)} | {tests} |"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "-"


PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "ocpi.md": ocpi_page,
    "ocpp.md": ocpp_page,
    "quirks.md": quirks_page,
}
"""What each page holds, by its name in this folder."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
