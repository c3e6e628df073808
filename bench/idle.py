"""What the way to the hub costs while nothing happens: `python -m bench.idle`. Prints Markdown and leaves nothing
behind; about ten minutes. `python -m bench.idle 60` measures for one.

A gateway and a hub, each the program as it is with the settings that it has by itself, speak over mutual TLS on
loopback through a proxy that counts connections and octets: of TCP's payload, so what TCP and IP add is not in them.
The time begins when what was opened at the start has had its time to be closed.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pki.issue.lab import build_lab, parse_declaration
from pki.service.files import write_lab
from tests.fault_proxy import FaultProxy
from tests.processes import SiteFolder

SECONDS = 480.0
SETTLED_S = 125.0
LOOK_EVERY_S = 0.5
_LAB = Path(__file__).parents[1] / "certs" / "lab.toml"


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    print(f"# {platform.machine()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as name:
        declaration = parse_declaration(_LAB.read_text("utf-8"))
        write_lab(build_lab(declaration, datetime.now(UTC)), Path(name) / "lab")
        asyncio.run(_measure(SiteFolder(Path(name), Path(name) / "lab"), seconds))


async def _measure(site: SiteFolder, seconds: float) -> None:
    async with FaultProxy(site.sync_port) as way:
        text = site.gateway_toml.read_text("utf-8").replace(f"127.0.0.1:{site.sync_port}", f"127.0.0.1:{way.port}")
        lines = [line for line in text.splitlines() if not line.startswith("whitelist_interval_s")]
        site.gateway_toml.write_text("\n".join(lines) + "\n", "utf-8")
        try:
            await asyncio.to_thread(site.hub.start)
            await asyncio.to_thread(site.gateway.start)
            await asyncio.sleep(SETTLED_S)
            accepted, up, down = way.accepted, way.passed[True], way.passed[False]
            looks: list[int] = []
            until = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until:
                looks.append(way.open)
                await asyncio.sleep(LOOK_EVERY_S)
            opened, up, down = way.accepted - accepted, way.passed[True] - up, way.passed[False] - down
        finally:
            await asyncio.to_thread(site.gateway.stop)
            await asyncio.to_thread(site.hub.stop)
    hours = seconds / 3600
    shares = ", ".join(f"{count}: {looks.count(count) / len(looks):.0%}" for count in sorted(set(looks)))
    print(f"\n| idle for {seconds:.0f} s | measured |\n|---|---|")
    print(f"| octets an hour, to the hub | {up / hours:,.0f} |")
    print(f"| octets an hour, from the hub | {down / hours:,.0f} |")
    print(f"| connections opened an hour | {opened / hours:.1f} |")
    print(f"| connections open at once, share of the time | {shares} |")


if __name__ == "__main__":
    main()
