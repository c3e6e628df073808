"""`pnc-hub demo`: five real hubs, and an account in which everything holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

PATIENCE_S = 180
"""It ends a hang; on a quiet machine the demo takes some ten seconds."""


def _command(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-P", "-m", "hub", "demo", "--fast", *arguments]


def test_a_month_of_roaming_adds_up(tmp_path: Path) -> None:
    folder = tmp_path / "month"
    played = subprocess.run(
        _command("--json", "--keep", str(folder)), capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert played.stderr == b""
    account = json.loads(played.stdout, parse_float=Decimal)
    assert [check for check in account["checks"] if not check["held"]] == []
    assert (played.returncode, len(account["checks"])) == (0, 48)
    rows = {row["party"]: row for row in account["platforms"]}
    assert [row["role"] for row in account["platforms"]] == ["CPO", "CPO", "EMSP", "EMSP"]
    assert rows["DE*NOR"]["sessions"] + rows["NL*SUD"]["sessions"] == 17
    assert rows["DE*DRV"]["sessions"] + rows["FR*VLT"]["sessions"] == 17
    assert rows["DE*DRV"]["refused"] == 1
    for party in ("NL*SUD", "FR*VLT"):
        assert (rows[party]["disputed"], rows[party]["credited"], rows[party]["on_hold"]) == (1, 1, 1)
    assert "total_energy" in account["refusal"]
    pairs = account["pairs"]
    assert len(pairs) == 4
    assert all(pair["agreed"] and pair["gross"] == pair["net"] + pair["vat"] > 0 for pair in pairs)
    assert sum(balance["amount"] for balance in account["balances"]) == 0
    assert "settle list" in (folder / "README.md").read_text()
    assert len(list((folder / "exports").iterdir())) == 3 * len(pairs)


def test_a_demo_that_is_told_to_end_leaves_no_process(tmp_path: Path) -> None:
    player = subprocess.Popen(
        _command("--keep", str(tmp_path / "month")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with player:
        assert player.stdout is not None
        for line in player.stdout:
            if "register with the hub" in line:
                player.terminate()
                break
        _, said = player.communicate(timeout=PATIENCE_S)
    assert "all programs have ended" in said
    assert player.returncode == 128 + signal.SIGTERM
    logs = list((tmp_path / "month").glob("*/hub.log"))
    assert len(logs) == 5
    assert all(log.read_text().splitlines()[-1].count('"stopped"') for log in logs)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    played = subprocess.run(_command("--keep", str(tmp_path)), capture_output=True, timeout=PATIENCE_S, check=False)
    assert (played.returncode, (tmp_path / "mine").read_text()) == (2, "mine")
    assert b"is no empty folder" in played.stderr
