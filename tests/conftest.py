"""What every room's tests may use: one lab hierarchy, made once."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from pki.issue.lab import build_lab, parse_declaration
from pki.service.files import write_lab
from tests.power.box import build_shim

ROOT = Path(__file__).parent.parent
settings.register_profile("any machine", deadline=None)  # How long an example takes is no law.
settings.load_profile("any machine")
os.environ.pop("COLUMNS", None)  # The width of whatever shows the tests is none of theirs; their processes get it, too.


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the lab that certs/lab.toml declares, made now."""
    folder = tmp_path_factory.mktemp("lab") / "lab"
    declaration = parse_declaration((ROOT / "certs" / "lab.toml").read_text(encoding="utf-8"))
    write_lab(build_lab(declaration, datetime.now(UTC)), folder)
    return folder


@pytest.fixture(scope="session")
def power_shim(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The library that power cuts are played with; None without a C compiler."""
    return build_shim(tmp_path_factory.mktemp("shim"))
