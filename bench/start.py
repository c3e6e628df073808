"""What a gateway costs that has nothing to do: `python -m bench.start`. Prints Markdown and leaves nothing behind;
about half a minute.

*start* is from the start of the process to its line `ready`, when every port is served, on the wall; best and median
of so many starts, with the files in the page cache and compiled, as an installed gateway's are. *imports alone* is
the same for a process that imports aiohttp's server, cryptography's X.509 and sqlite3, and says so: what no gateway
made of these can be below. *idle* is the resident memory some seconds after that, with nobody connected and the hub
away.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from pki.issue.lab import build_lab, parse_declaration
from pki.service.files import write_lab
from tests.processes import SiteFolder

STARTS, IDLE_S = 9, 5.0
START_MUST_S, IDLE_MUST_MB = 1.5, 70
ROOT = Path(__file__).parent.parent
_IMPORTS = "import sys, aiohttp.web, cryptography.x509, sqlite3; print('ready', flush=True); sys.stdin.read()"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        declaration = parse_declaration((ROOT / "certs" / "lab.toml").read_text())
        write_lab(build_lab(declaration, datetime.now(UTC)), folder / "lab")
        site = SiteFolder(folder, folder / "lab")
        gateway = [sys.executable, "-m", "gateway", "run", "--config", str(site.gateway_toml)]
        imports = [sys.executable, "-c", _IMPORTS]
        compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
        start = partial(_started, os.environ | compiled)
        start(gateway, 0.0)  # The store is made, and every file compiled and read once.
        start(imports, 0.0)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(STARTS):
            for each, command in zip(times, (imports, gateway), strict=True):
                each.append(start(command, 0.0)[0])
        least, idle = (start(command, IDLE_S)[1] for command in (imports, gateway))
    print("| | start, best s | start, median s | must | idle, MB resident | must |\n|---|---|---|---|---|---|")
    print(f"| imports alone | {min(times[0]):.2f} | {median(times[0]):.2f} | | {least:.1f} | |")
    own = f"{min(times[1]):.2f} | {median(times[1]):.2f} | {START_MUST_S} | {idle:.1f} | {IDLE_MUST_MB}"
    print(f"| the gateway | {own} |")


def _started(environment: Mapping[str, str], command: list[str], idle_s: float) -> tuple[float, float]:
    """The seconds until a process says that it is ready, and its resident MB after so many more."""
    begun = perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if b"ready" in line:
                    break
            else:
                raise RuntimeError(f"{command[:3]} ended before it was ready")
            took = perf_counter() - begun
            sleep(idle_s)
            return took, _resident_mb(process.pid)
        finally:
            process.kill()


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
