"""A small PKI for each test, copied from one that is founded once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pki.__main__ import main
from pki.service.registry import Registry
from tests.pki.registry.desk import Desk
from tests.pki.registry.house import Clock, copy_of, found_small, opened


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder as it was founded; copy it."""
    folder = tmp_path_factory.mktemp("founded") / "state"
    found_small(folder)
    return folder


@pytest.fixture
def clock() -> Clock:
    """The clock of the registry."""
    return Clock()


@pytest.fixture
def folder(founded: Path, tmp_path: Path) -> Path:
    """A state folder of one's own."""
    return copy_of(founded, tmp_path / "state")


@pytest.fixture
def registry(folder: Path, clock: Clock) -> Iterator[Registry]:
    """The registry in it, open."""
    with opened(folder, clock) as found:
        yield found


@pytest.fixture(scope="session")
def founded_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pnc-pki init lab` makes."""
    folder = tmp_path_factory.mktemp("lab") / "pki-state"
    done = CliRunner().invoke(main, ["init", "lab", "--dir", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def desk(founded_lab: Path, tmp_path: Path) -> Desk:
    """An operator's desk with such a PKI."""
    shutil.copytree(founded_lab, tmp_path / "pki-state")
    return Desk(tmp_path)
