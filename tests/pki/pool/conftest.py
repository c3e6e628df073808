"""One founded lab for the session; each test gets a copy with pools of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from pki.issue.declaration import parse_declaration
from pki.service.acts.founding import Foundation, found
from pki.service.settings import PKISettings
from tests.pki.mint import AT
from tests.pki.pool.material import TESTER, Shop, open_shop

_SETTINGS = """
[pki]
organization = "Pool Test"
country = "DE"
[keys]
passphrase_file = "passphrase"
"""


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the built-in lab, founded at AT."""
    return found_lab(tmp_path_factory.mktemp("founded") / "pki-state", AT)


@pytest.fixture(scope="session")
def founded_today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, founded now: for commands, which read the clock."""
    return found_lab(tmp_path_factory.mktemp("today") / "pki-state", datetime.now(UTC))


@pytest.fixture
def founded_now(founded_today: Path, tmp_path: Path) -> Path:
    """A copy of that."""
    folder = tmp_path / "pki-today"
    shutil.copytree(founded_today, folder)
    folder.chmod(0o700)
    return folder


def found_lab(folder: Path, at: datetime) -> Path:
    """Found the built-in lab."""
    declaration = parse_declaration((resources.files("pki.service") / "templates" / "lab.toml").read_bytes())
    settings = msgspec.toml.decode(_SETTINGS, type=PKISettings)
    foundation = Foundation(declaration=declaration, settings=settings, settings_text=_SETTINGS, make_passphrase=True)
    found(folder, foundation, TESTER, lambda: at)
    return folder


@pytest.fixture
def state(founded: Path, tmp_path: Path) -> Path:
    """A copy of the founded folder."""
    folder = tmp_path / "pki-state"
    shutil.copytree(founded, folder)
    folder.chmod(0o700)
    return folder


@pytest.fixture
def shop(state: Path) -> Iterator[Shop]:
    """Pools on a founded PKI."""
    made = open_shop(state)
    yield made
    made.pools.close()
    made.registry.close()
