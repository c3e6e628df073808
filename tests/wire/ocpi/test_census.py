"""The table of what is spoken of OCPI holds every side of every module, and nothing without its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from wire.ocpi.census import TABLE, VERSIONS, Row
from wire.ocpi.types import InterfaceRole, Module, Version

ROOT = Path(__file__).parents[3]


def test_every_side_of_every_module_has_one_row() -> None:
    one_sided = {(VERSIONS, InterfaceRole.SENDER), (Module.CREDENTIALS, InterfaceRole.SENDER)}
    both = {(module, side) for module in Module if module is not Module.CREDENTIALS for side in InterfaceRole}
    sides = [(row.module, row.side) for row in TABLE]
    assert len(sides) == len(set(sides))
    assert set(sides) == one_sided | both


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.module}-{row.side}")
def test_a_row_is_borne_out(row: Row) -> None:
    assert set(row.served) <= set(row.methods)
    assert set(row.called) <= set(row.methods)
    assert bool(row.tests) == bool(row.served or row.called), "what is spoken is shown by a test, and only that"
    assert [test for test in row.tests if not (ROOT / test).is_file()] == []
    assert row.roles
    assert set(row.versions) <= set(Version)
