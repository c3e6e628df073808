"""The system's clock is set ten years ahead and back to 1970 under a running gateway, and under one that starts:
contracts are judged by the time that is known, the hub is reached, and records show it. By libfaketime."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.processes import SiteFolder, free_port

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
ALICE = "DEABC000000001"
AHEAD, IN_1970 = "+3650d", "-20500d"
WITHIN_S = 30.0

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (package faketime)")


class FakedSite:
    """A site whose gateway sees the system's clock as far off as `set_clock` says; its monotonic clock is real."""

    def __init__(self, folder: Path, lab: Path, patch: pytest.MonkeyPatch) -> None:
        self.site, self._patch, self._file = SiteFolder(folder=folder, lab=lab), patch, folder / "faketime"
        self._chain = (lab / "contracts" / "alice.pem").read_text()
        self._port = free_port()
        with self.site.gateway_toml.open("a", encoding="utf-8") as file:
            file.write(f'[clock]\ntime_daemon = "none"\n[local]\nlisten = "127.0.0.1:{self._port}"\n')
        self.kept = folder / "gateway-state" / "clock.json"

    def set_clock(self, off: str) -> None:
        """The way libfaketime tells: +3650d."""
        beside = self._file.with_suffix(".new")
        beside.write_text(off + "\n")
        beside.replace(self._file)

    def start(self) -> None:
        """Start the gateway, and nothing else, with the clock that is set."""
        with self._patch.context() as faked:
            faked.setenv("LD_PRELOAD", str(LIBRARIES[0]))
            faked.setenv("FAKETIME_TIMESTAMP_FILE", str(self._file))
            faked.setenv("FAKETIME_CACHE_DURATION", "1")
            faked.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            self.site.gateway.start()

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/v1/health", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def until_trusted(self) -> None:
        """Wait until somebody has said what time it is, and that is kept."""
        while not str(self.site.gateway.wait_for("clock-state", WITHIN_S)["message"]).startswith("trusted"):
            continue

    def decide(self) -> dict[str, Any]:
        """The decision on a contract that is good today, and that the hub does not know."""
        question = json.dumps({"emaid": ALICE, "chain_pem": self._chain, "charger_id": "CP-1"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/v1/authorize", question, headers)
        end = time.monotonic() + WITHIN_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    found: dict[str, Any] = json.load(answer)
                return found
            except urllib.error.HTTPError as error:  # A loaded machine does not decide within its second.
                if error.code != 503 or time.monotonic() > end:
                    raise

    def records(self) -> list[dict[str, Any]]:
        """All records of the stopped gateway."""
        command = [sys.executable, "-m", "gateway", "export", "--config", str(self.site.gateway_toml)]
        lines = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
        return [json.loads(line) for line in lines[1:]]


@pytest.fixture
def faked(tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakedSite]:
    found = FakedSite(tmp_path, lab, monkeypatch)
    yield found
    found.site.gateway.kill()
    found.site.hub.kill()


def test_clock_that_jumps_neither_locks_out_nor_lets_in(faked: FakedSite) -> None:
    begun = datetime.now(UTC)
    faked.site.hub.start()
    faked.set_clock("+0")
    faked.start()
    faked.until_trusted()
    assert faked.decide()["chain"]["code"] == "accepted"

    faked.set_clock(AHEAD)
    faked.site.gateway.wait_for("clock-jumped")
    assert faked.decide()["chain"]["code"] == "accepted"
    assert faked.health()["clock"] == "trusted"

    faked.site.gateway.kill()
    faked.set_clock(IN_1970)
    faked.start()  # in the same boot
    assert faked.decide()["chain"]["code"] == "accepted"
    faked.site.gateway.wait_for("uplink-online", WITHIN_S)
    assert faked.health()["clock"] == "trusted"

    faked.site.gateway.kill()
    faked.set_clock(AHEAD)
    faked.kept.unlink()  # as a box that has lost its files too
    faked.site.hub.kill()
    faked.start()
    refused = faked.decide()
    assert (refused["clock"], refused["reason"]) == ("unknown", "clock-unknown")

    faked.site.hub.start()
    faked.until_trusted()
    assert faked.decide()["chain"]["code"] == "accepted"
    assert faked.site.gateway.stop() == 0
    ended = datetime.now(UTC)
    for record in faked.records():
        at = datetime.fromisoformat(record["at"])
        assert begun - timedelta(seconds=10) < at < ended + timedelta(seconds=10), record
