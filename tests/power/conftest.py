"""A box with a power cord, for each test one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.power.box import PowerBox


@pytest.fixture
def box(tmp_path: Path, power_shim: Path | None) -> Iterator[PowerBox]:
    if power_shim is None:
        pytest.skip("no C compiler (cc): power cuts cannot be played")
    root = tmp_path / "disk"
    root.mkdir()
    made = PowerBox(root, tmp_path / "beside", power_shim)
    yield made
    made.close()
