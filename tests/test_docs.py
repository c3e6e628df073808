"""The pages that are made from the code say what the code says."""

from __future__ import annotations

import re
import runpy
import typing
from pathlib import Path

import msgspec
import pytest

from wire.commands import Command, CommandOrder
from wire.ocpp.quirks import QUIRKS, Quirk

DOCS = Path(__file__).parent.parent / "docs"
PAGES = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_has_it(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_quirk_has_its_row() -> None:
    assert QUIRKS.keys() == set(Quirk)
    text = (DOCS / "quirks.md").read_text(encoding="utf-8")
    assert [quirk for quirk in Quirk if f"| `{quirk}` |" not in text] == []


def test_every_command_and_each_of_its_fields_stands_on_the_page() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    told = {block.split("\n", 1)[0]: block for block in text.split("\n## ")[1:]}
    for command in typing.get_args(Command):
        fields = set(re.findall(r"^\| `(\w+)` \|", told[command.__struct_config__.tag], re.MULTILINE))
        assert fields | {"charger_id"} == set(command.__struct_fields__)


def test_the_examples_of_commands_are_commands() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    examples = re.findall(r"^    (\{.*(?:\n      .*)*)", text, re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        order = {"command_id": "c", "expires_at": "2026-11-23T10:00:00Z", "command": msgspec.json.decode(example)}
        msgspec.convert(order, CommandOrder)
