"""One lab PKI, founded once, and its service for the tests that leave it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pki_service import PKIService, copy_pki, found_pki


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that no service has touched."""
    folder = tmp_path_factory.mktemp("founded") / "pki-state"
    found_pki(folder)
    return folder


@pytest.fixture(scope="session")
def service(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PKIService]:
    """The running service, shared: tests use names of their own."""
    running = PKIService(copy_pki(founded, tmp_path_factory.mktemp("shared") / "pki-state"))
    yield running.start()
    assert running.stop() == 0, running.errors.decode()
    assert running.errors == b""


@pytest.fixture
def own_service(founded: Path, tmp_path: Path) -> Iterator[PKIService]:
    """A service for one test alone."""
    running = PKIService(copy_pki(founded, tmp_path / "pki-state")).start()
    yield running
    running.stop()
