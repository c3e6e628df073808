"""The demo itself: `pnc-sim run day_offline.toml` with real processes, as `make demo` plays it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import firmware_sim

SCENARIO = Path(firmware_sim.__file__).parent / "scenarios" / "day_offline.toml"
SHORT = f"""
title = "A car that charges"
about = "all three daemons run and one card charges; no revocation list is waited for"
pki = "{Path(firmware_sim.__file__).parents[1] / "certs" / "lab.toml"}"
[[charger]]
id = "CP-1"
ocpp = "2.0.1"
power_kw = 22
current = "AC"
[[token]]
uid = "04A2B3C4D5E680"
[[step]]
do = "found"
title = "Found"
[[step]]
do = "start"
title = "Start the PKI"
process = "pki"
[[step]]
do = "enrol"
title = "Enrol"
[[step]]
do = "start"
title = "Start the hub"
process = "hub"
[[step]]
do = "tokens"
title = "Publish the token"
[[step]]
do = "start"
title = "Start the gateway"
process = "gateway"
[[step]]
do = "wait"
title = "The whitelist reaches the gateway"
until = "whitelist"
[[step]]
do = "connect"
title = "The charger boots"
[[step]]
do = "charge"
title = "A card"
charger = "CP-1"
rfid = "04A2B3C4D5E680"
seconds = 600
background = true
expect = {{ status = "Accepted" }}
[[step]]
do = "finish"
title = "It drives away"
[[step]]
do = "account"
title = "Close the books"
"""


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "firmware_sim", "run", *arguments]


def test_the_day_offline_holds_every_expectation(tmp_path: Path) -> None:
    played = subprocess.run(
        _command(str(SCENARIO), "--json", "--keep", str(tmp_path / "day")),
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert played.stderr == b""
    result = json.loads(played.stdout)
    assert result["failures"] == []
    assert (played.returncode, result["ok"]) == (0, True)
    rows = {(row["charger_id"], row["what"]): row for row in result["account"]["rows"]}
    assert all(row["lost"] == row["doubled"] == row["altered"] == 0 for row in rows.values())
    for charger_id in ("CP-1", "CP-2"):
        signed = rows[charger_id, "signed records"]
        assert signed["written"] == signed["acknowledged"] == signed["at_gateway"] == signed["at_hub"] > 8
    assert rows[None, "completed sessions"]["at_hub"] == rows[None, "CDRs"]["at_hub"] == 6
    assert all(decision["expected"] == decision["found"] for decision in result["decisions"])
    assert len(result["decisions"]) == 14
    for daemon in ("hub", "gateway"):  # Each was killed once and started again.
        said = [json.loads(line) for line in (tmp_path / "day" / "logs" / f"{daemon}.log").read_text().splitlines()]
        assert [line["event"] for line in said].count("ready") == 2


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_play_that_is_interrupted_leaves_no_process(tmp_path: Path, told: signal.Signals) -> None:
    scenario = tmp_path / "short.toml"
    scenario.write_text(SHORT)
    player = subprocess.Popen(
        _command(str(scenario), "--keep", str(tmp_path / "day")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    pids = []
    with player:
        assert player.stdout is not None
        for line in player.stdout:
            if started := re.search(r"Start the \w+: pid (\d+)", line):
                pids.append(int(started[1]))
            if "goes on" in line:  # A car is charging, all three daemons run.
                break
        player.send_signal(told)
        _, errors = player.communicate(timeout=60)
    assert player.returncode == 128 + told
    assert errors == "interrupted; chargers and daemons are ended\n"
    assert len(pids) == 3
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_folder_that_cannot_be_made_is_one_clear_line() -> None:
    played = subprocess.run(
        _command(str(SCENARIO), "--keep", "/proc/x"), capture_output=True, text=True, timeout=60, check=False
    )
    assert (played.returncode, played.stdout) == (2, "")
    assert played.stderr == "pnc-sim: --keep /proc/x: No such file or directory\n"
