"""One founded lab for the session; each test gets a copy with pools of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
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
    folder = tmp_path_factory.mktemp("founded") / "pki-state"
    declaration = parse_declaration((resources.files("pki.service") / "templates" / "lab.toml").read_bytes())
    settings = msgspec.toml.decode(_SETTINGS, type=PKISettings)
    foundation = Foundation(declaration=declaration, settings=settings, settings_text=_SETTINGS, make_passphrase=True)
    found(folder, foundation, TESTER, lambda: AT)
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
