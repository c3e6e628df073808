"""The pages that are made from the code say what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

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
