"""A gateway that cannot reach the PKI takes its lists by the hub, and refuses a contract that is revoked. The PKI
service, the hub and the gateway are real processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import firmware_sim
from firmware_sim.faults import Daemons, run_command
from firmware_sim.scenario import load_scenario
from firmware_sim.site import Site

SCENARIO = Path(firmware_sim.__file__).parent / "scenarios" / "day_offline.toml"


class CutOff(Site):
    """A site whose gateway may not go where the PKI publishes: the name leads into a network that only the hub may
    enter."""

    @property
    def _published(self) -> str:
        return f"http://localhost:{self._ports[4]}"

    def cut(self) -> None:
        """Give the hub the way to the PKI, and the gateway none but by the hub."""
        host = self._published.removeprefix("http://")
        gateway, hub = self.config("gateway"), self.config("hub")
        head, _, _ = gateway.read_text().partition("[trust.refresh]")
        head = head.replace("[uplink]\n", '[uplink]\nrevocation = "hub"\n')
        times = "interval_s = 0.5\nretry_min_s = 0.2\nretry_max_s = 0.5\n"
        gateway.write_text(f'{head}[trust.refresh]\nhosts = ["{host}"]\n{times}')
        with hub.open("a") as file:
            file.write(f'[revocation]\nhosts = ["{host}"]\nnetworks = ["127.0.0.0/8", "::1/128"]\n{times}')

    async def held(self) -> list[dict[str, Any]]:
        """What `pnc-hub revocation list --json` says."""
        said = await run_command("hub", "revocation", "list", "--json", "--config", str(self.config("hub")))
        found: list[dict[str, Any]] = json.loads(said)["revocation"]
        return found

    async def held_since(self, at: datetime) -> None:
        """Return once the hub holds no list that was made before an instant."""
        while not all(one["this_update"] and datetime.fromisoformat(one["this_update"]) >= at for one in self.lists):
            self.lists = [one for one in await self.held() if one["url"].endswith("mo-sub2.crl")] or self.lists

    lists: list[dict[str, Any]]

    async def trouble(self, code: str) -> None:
        """Return once each list's last fetch ended with a code."""
        while not all(each.code == code for each in (await self.gateway_status()).sources):
            continue

    def authorize(self, name: str) -> subprocess.CompletedProcess[str]:
        """`pnc-sim charger` with a contract."""
        charger_id = next(iter(self.passwords))
        password = self.folder / "password"
        password.write_text(f"{self.passwords[charger_id].text}\n")
        chain = str(self.pki / self.contract(name)[0].chain)
        command = [sys.executable, "-P", "-m", "firmware_sim", "charger", "--url", self.charger_url]
        command += ["--id", charger_id, "--password-file", str(password), "--contract", chain]
        played = ["--seconds", "1.2", "--power-kw", "150"]
        return subprocess.run([*command, *played], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.timeout(240)
def test_contract_that_is_revoked_is_refused_where_only_the_hub_reaches_the_pki(tmp_path: Path) -> None:
    scenario = load_scenario(SCENARIO)
    site = CutOff(scenario, tmp_path / "site")
    site.lists = [{"this_update": None}]

    async def play() -> None:
        await site.build(SCENARIO.parent / scenario.pki, {})
        site.cut()
        async with Daemons(site.logs) as daemons:
            await daemons.start("pki", "pki", *site.command("pki"))
            await site.enrol()
            hub = await daemons.start("hub", "hub", *site.command("hub"))
            await site.publish(site.tokens(datetime.now(UTC)))
            await daemons.start("gateway", "gateway", *site.command("gateway"))
            async with asyncio.timeout(100):
                # The first car of that CA tells where its lists are; then they come, by the hub.
                while (await asyncio.to_thread(site.authorize, "alice")).returncode:
                    continue
            await site.await_lists()
            assert {one["asked_by"] for one in await site.held()} == {scenario.gateway_id}
            revoked_at = datetime.now(UTC).replace(microsecond=0)
            await site.revoke("alice")
            async with asyncio.timeout(100):
                await site.held_since(revoked_at)
                await site.await_lists(datetime.now(UTC))
            refused = await asyncio.to_thread(site.authorize, "alice")
            assert refused.returncode == 1, refused.stdout
            assert "Invalid / CertificateRevoked" in refused.stdout
            await hub.kill()
            async with asyncio.timeout(60):
                await site.trouble("address-not-allowed")

    asyncio.run(play())
