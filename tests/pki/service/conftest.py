"""A small PKI for each test, copied from one that is founded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pki.service.registry import Registry
from tests.pki.service.house import Clock, copy_of, found_small, opened


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
