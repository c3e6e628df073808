"""What it costs to bring a long outage to the hub: `python -m bench.drain`. Prints Markdown and leaves nothing behind;
about a minute. `python -m bench.drain 1000000` drains a million records, some minutes and 4 GB in the temporary folder.

A gateway whose ledger was written by `bench.backlog` is started beside a hub that has nothing; both are the programs as
they are, each a process, and speak HTTP over mutual TLS on loopback. The time is from the hub's first batch to the one
with the last record of the backlog, as its log says them; CPU seconds are of each process with all its threads, kernel
time included, less what it took to start. Afterwards the hub must hold every record under the same hash as the gateway,
and have settled every session that ended.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import clock_gettime, perf_counter

from bench.backlog import write_backlog
from hub.store.connection import open_reader
from hub.store.readings import totals
from pki.issue.lab import build_lab, parse_declaration
from pki.service.files import write_lab
from tests.processes import SiteFolder

COUNT = 100_000
MUST, AIM = 5_000, 15_000
_LAB = Path(__file__).parents[1] / "certs" / "lab.toml"


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    print(f"# {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(prefix="bench-drain-") as name:
        folder = Path(name)
        declaration = parse_declaration(_LAB.read_text("utf-8"))
        write_lab(build_lab(declaration, datetime.now(UTC)), folder / "lab")
        site = SiteFolder(folder, folder / "lab", [f"CP-{number:04}" for number in range(20)])
        state = folder / "gateway-state"
        state.mkdir(mode=0o700)
        octets = write_backlog(state / "ledger.db", count)
        print(f"\n| {count:,} records of {octets:,} octets | measured | must | aim |\n|---|---|---|---|")
        _drain(site, count)
        _require_all(folder, count)


class _Program:
    """A process of ours, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process, self._lines = process, process.stdout

    def said(self, event: str) -> dict[str, object]:
        """The next line of that event."""
        for text in self._lines:
            line: dict[str, object] = json.loads(text)
            assert line["level"] != "error", line
            if line["event"] == event:
                return line
        raise AssertionError(f"the process ended before it said {event!r}")

    def cpu(self) -> float:
        """CPU seconds so far, all threads, to the nanosecond (Linux: a process's own clock)."""
        return clock_gettime(~self._process.pid << 3 | 2)

    def resident_mb(self) -> float:
        """Its resident memory in MB."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024 / 1e6


@contextmanager
def _program(module: str, config: Path, output: int) -> Iterator[_Program]:
    command = [sys.executable, "-m", module, "run", "--config", str(config)]
    with subprocess.Popen(command, stdout=output, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        try:
            yield _Program(process)
        finally:
            process.terminate()
            process.wait()


def _drain(site: SiteFolder, count: int) -> None:
    with _program("hub", site.hub_toml, subprocess.PIPE) as hub:
        hub.said("ready")
        with _program("gateway", site.gateway_toml, subprocess.PIPE) as gateway:
            gateway.said("ready")
            first = _acked(hub)
            begun, spent = perf_counter(), _cpu(hub, gateway)
            residents = []
            tenth = count // 10
            done = first
            while done < count:
                done = _acked(hub)
                if done >= tenth * (len(residents) + 1):
                    residents.append((hub.resident_mb(), gateway.resident_mb()))
                    print(f"  drained {done:,} of {count:,}", end="\r", file=sys.stderr)
            took = perf_counter() - begun
            drained = done - first
            shares = [(now - before) / drained * 1e6 for now, before in zip(_cpu(hub, gateway), spent, strict=True)]
    print(f"| drained, records a second | {drained / took:,.0f} | {MUST:,} | {AIM:,} |")
    for name, share in zip(("hub", "gateway"), shares, strict=True):
        print(f"| CPU of the {name}, us a record | {share:.1f} | | |")
    for name, each in zip(("hub", "gateway"), zip(*residents, strict=True), strict=True):
        first_mb, *rest = each
        shown = f"{first_mb:.0f}, then {min(rest):.0f} to {max(rest):.0f}"
        print(f"| memory of the {name}, MB after each tenth | {shown} | | |")


def _cpu(*programs: _Program) -> list[float]:
    return [program.cpu() for program in programs]


def _acked(hub: _Program) -> int:
    return int(str(hub.said("batch")["acked_seq"]))


def _require_all(folder: Path, count: int) -> None:
    """Everything has come, and it came to what it should."""
    with closing(open_reader(folder / "hub-state" / "hub.sqlite")) as hub:
        found = totals(hub)
        asked = "SELECT hash FROM records WHERE seq = ?"
        (held,) = hub.execute(asked, (count,)).fetchone()
    with closing(sqlite3.connect(folder / "gateway-state" / "ledger.db")) as ledger:
        (own,) = ledger.execute(asked, (count,)).fetchone()
    assert held == own, (held, own)
    assert found.records >= count, found
    assert found.cdrs == found.sessions - found.active_sessions, found
    assert not found.quarantined, found
    assert not found.conflicts, found
    running = f"; {found.active_sessions:,} had not ended when the backlog was cut off" if found.active_sessions else ""
    print(f"| sessions that ended, all settled | {found.cdrs:,}{running} | | |")


if __name__ == "__main__":
    main()
