"""Two platforms that do not know each other yet, a CPO's and an eMSP's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import LittleCA
from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.platforms import CPO_PARTY, EMSP_PARTY, Platform, start_platform


@pytest.fixture
def roaming_ca(tmp_path: Path) -> LittleCA:
    folder = tmp_path / "roaming-ca"
    folder.mkdir()
    return LittleCA(folder, "roaming root")


@pytest.fixture
def cpo(tmp_path: Path, roaming_ca: LittleCA) -> Iterator[Platform]:
    platform = start_platform(tmp_path / "cpo", roaming_ca, "cpo", CPO_PARTY)
    yield platform
    if platform.process.process is not None:
        assert platform.process.stop() == 0


@pytest.fixture
def emsp(tmp_path: Path, roaming_ca: LittleCA) -> Iterator[Platform]:
    platform = start_platform(tmp_path / "emsp", roaming_ca, "emsp", EMSP_PARTY)
    yield platform
    if platform.process.process is not None:
        assert platform.process.stop() == 0


@pytest.fixture
def new_partner(roaming_ca: LittleCA) -> Iterator[Callable[..., Partner]]:
    """Starts partners; all of them end with the test."""
    started = list[Partner]()

    def make(**more: Any) -> Partner:
        started.append(Partner(roaming_ca, **more).start())
        return started[-1]

    yield make
    for partner in started:
        partner.stop()
