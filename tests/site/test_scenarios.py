"""The shipped scenarios beside the demo, with real processes: commands from afar, rough chargers, odd meters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import firmware_sim

SCENARIOS = Path(firmware_sim.__file__).parent / "scenarios"


def play(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "firmware_sim", "run", str(SCENARIOS / f"{name}.toml"), "--json"]
    played = subprocess.run([*command, "--keep", str(folder)], capture_output=True, timeout=200, check=False)
    assert played.stderr == b""
    result: dict[str, Any] = json.loads(played.stdout)
    assert result["failures"] == []
    assert (played.returncode, result["ok"]) == (0, True)
    return result


@pytest.mark.parametrize(("name", "sessions"), [("asked_from_afar", 6), ("rough_chargers", 5), ("odd_meters", 5)])
def test_the_scenario_holds_every_expectation(tmp_path: Path, name: str, sessions: int) -> None:
    result = play(name, tmp_path / "day")
    rows = {(row["charger_id"], row["what"]): row for row in result["account"]["rows"]}
    assert all(row["lost"] == row["doubled"] == row["altered"] == 0 for row in rows.values())
    assert rows[None, "completed sessions"]["at_hub"] == rows[None, "CDRs"]["at_hub"] == sessions
    assert all(decision["expected"] == decision["found"] for decision in result["decisions"])
