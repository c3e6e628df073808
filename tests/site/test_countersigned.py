"""A gateway and its hub, killed on the way: what the hub countersigned holds, and is proven without either database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.__main__ import main as gateway_main
from hub.__main__ import main as hub_main
from tests.processes import SiteFolder


def told(program: Any, *arguments: str, stdin: str = "") -> Any:
    """What one of our programs says as JSON, with exit code 0."""
    result = CliRunner().invoke(program, [*arguments, "--json"], input=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    made.hub.start()
    made.gateway.start()
    yield made
    made.gateway.stop()
    made.hub.stop()


def test_killed_gateway_and_hub_agree_on_one_log_and_its_proofs(site: SiteFolder) -> None:
    hub, gateway = ("--config", str(site.hub_toml)), ("--config", str(site.gateway_toml))
    site.hub.wait_for("batch")
    site.hub.wait_for("batch")  # That the key was pinned is a record too.
    for daemon in (site.hub, site.gateway):
        daemon.kill()
        daemon.start()
    site.hub.wait_for("batch")
    state = told(gateway_main, "ledger", "show", *gateway)
    assert state["troubles"] == []
    assert state["receipt"]["signed"]["head"]["size"] >= 1
    report = told(gateway_main, "ledger", "verify", *gateway)
    assert report["findings"] == []
    proof = told(gateway_main, "ledger", "prove", "1", *gateway)
    (held,) = told(hub_main, "ledger", *hub)["ledgers"]
    keys = ("--log-key", held["log_key"], "--hub-key", state["hub_log_key"])
    checked = told(gateway_main, "ledger", "check", "-", *keys, stdin=json.dumps(proof))
    assert (checked["holds"], checked["seq"], checked["log_key_claimed"]) == (True, 1, False)
