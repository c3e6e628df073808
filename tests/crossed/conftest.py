"""A running gateway for foreign chargers; the hub is not started: nothing here may need it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import SiteFolder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(folder=tmp_path_factory.mktemp("site"), lab=lab)
    made.gateway.start()
    yield made
    assert made.gateway.stop() == 0
