"""Every command that docs/pki-service.md shows is run, in the order of the page."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.test_readme import commands, on_free_ports, run


def test_the_pki_page_from_founding_to_restoring(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine; docs/pki-service.md cannot be followed without it")
    done = run("set -e\n" + on_free_ports(commands("docs/pki-service.md")), tmp_path)
    assert done.returncode == 0, done.stdout
    assert "accepted: iso15118-2-contract chain accepted" in done.stdout
    assert "revocation good" in done.stdout
    assert "is revoked, counts until" in done.stdout
    assert (tmp_path / "handed-out/trust/mo/mo-root-2.pem").is_file()
    assert (tmp_path / "my-pki-again/registry.db").is_file()
