"""The OCPI specification, where a checkout of it is: its example files, and the tables of its objects.

`PNCGATE_OCPI_SPEC` is the folder of a checkout of 2.3.0 (branch `2.3.0/release/core`), `PNCGATE_OCPI_SPEC_221` of 2.2.1
(branch `release-2.2.1-bugfixes`). Nothing of it is kept here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from wire.ocpi.types import Version

_VARIABLES = {Version.V2_3_0: "PNCGATE_OCPI_SPEC", Version.V2_2_1: "PNCGATE_OCPI_SPEC_221"}
_HEAD = re.compile(r"=+\s+(\w+)(?:\s+_(\w+)_)?")
_CELL = re.compile(r"(?<!\\)\|")
_TYPE = re.compile(r"<<[^,>]*,\s*`?([^`>]*)`?>>")
_LENGTH = re.compile(r"(.*?)[(\[](\d+)[)\]]")


def checkout(version: Version) -> Path:
    """The folder; the test is skipped without one."""
    folder = os.environ.get(_VARIABLES[version])
    if not folder:
        pytest.skip(f"{_VARIABLES[version]} names no checkout of OCPI {version}: nothing was compared with it")
    return Path(folder)


def available() -> list[Version]:
    """The versions whose folder is named; both when none is, so that tests skip aloud."""
    return [version for version in _VARIABLES if os.environ.get(_VARIABLES[version])] or list(_VARIABLES)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an object's table: `length` None where the type says none."""

    name: str
    type: str
    length: int | None
    cardinality: str


@cache
def objects(folder: Path) -> dict[str, list[Row]]:
    """The fields of every object and class, by its name."""
    return {name: [_row(cells) for cells in rows] for name, head, rows in _tables(folder) if head == "Property"}


@cache
def enumerations(folder: Path) -> dict[str, tuple[bool, frozenset[str]]]:
    """Whether each enumeration is open, and its words."""
    return {
        name.removesuffix(":open"): (name.endswith(":open"), frozenset(cells[0] for cells in rows))
        for name, head, rows in _tables(folder)
        if head == "Value"
    }


def _row(cells: list[str]) -> Row:
    name = re.sub(r"\[\[.*?\]\]\s*", "", cells[0])
    type_ = _TYPE.sub(r"\1", cells[1])
    sized = _LENGTH.fullmatch(type_)
    return Row(name, sized[1] if sized else type_, int(sized[2]) if sized else None, cells[2])


def _tables(folder: Path) -> Iterator[tuple[str, str, list[list[str]]]]:
    for file in sorted(folder.glob("*.asciidoc")):
        title, rows = "", None
        for line in file.read_text(encoding="utf-8").splitlines():
            if rows is None and (match := _HEAD.match(line)):
                title = match[1].strip("_") + (":open" if match[2] == "OpenEnum" else "")
            if line.startswith("|==="):
                if rows:
                    first, *others = ([cell.strip() for cell in _CELL.split(row)[1:]] for row in rows)
                    yield title, first[0].replace("Field", "Property"), [_plain(cells) for cells in others]
                rows = [] if rows is None else None
            elif rows is not None and line.startswith("|"):
                rows.append(line)
            elif rows:
                rows[-1] += " " + line


def _plain(cells: list[str]) -> list[str]:
    """`ISO_15118_2_PLUG_AND_CHARGE a| text` has the style of the next cell behind its first."""
    return [re.sub(r"\s+a$", "", cells[0]), *cells[1:]]
