"""kill -9 of gateway and hub at random moments while chargers charge; at the end the account is exact.

Each seed is one run: the moments, the victims and the pauses come from it. A seed that ever failed stays in SEEDS.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_sim.charger import DIALECTS, Charge, Charger, ChargerSpec
from firmware_sim.closing import close_books
from firmware_sim.connection import Address, BackOff
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import ChargerError
from firmware_sim.faults import Daemon, Daemons
from firmware_sim.scenario import Scenario
from firmware_sim.site import Site
from wire.meter.keys import encode_public_key_oca
from wire.toml import parse_toml

KILLS = 28
SEEDS = (1, 2)
CARD = "04A1B2C3D4E5F6"
ROOT = Path(__file__).parent.parent.parent

SCENARIO = f"""
title = "kills"
about = "two chargers charge without a pause while their gateway and its hub are killed"
pki = "certs/lab.toml"
[[charger]]
id = "KILL-201"
ocpp = "2.0.1"
power_kw = 150
current = "DC"
[[charger]]
id = "KILL-16"
ocpp = "1.6"
power_kw = 22
current = "AC"
[[token]]
uid = "{CARD}"
[[token]]
contract = "alice"
[[step]]
do = "found"
title = "not played: the test drives the site itself"
"""


class Killer:
    """Kills one of the two daemons at a time, waits a little, starts it again."""

    def __init__(self, site: Site, daemons: Daemons, chance: random.Random) -> None:
        self._site, self._daemons, self._chance = site, daemons, chance
        self._running: dict[str, Daemon] = {}
        self.kills = {"gateway": 0, "hub": 0}

    async def start(self, name: str) -> None:
        self._running[name] = await self._daemons.start(name, name, *self._site.command(name))

    async def kill(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(self._chance.uniform(0.02, 0.5))
            name = self._chance.choice(("gateway", "gateway", "hub"))
            await self._running[name].kill()
            self.kills[name] += 1
            await asyncio.sleep(self._chance.uniform(0, 0.2))
            await self.start(name)


def chargers_of(site: Site, scenario: Scenario) -> list[Charger]:
    made = []
    for table in scenario.charger:
        spec = ChargerSpec(
            charger_id=table.id,
            ocpp=table.ocpp.value,
            power_w=int(table.power_kw * 1000),
            current=table.current,
            tick_s=0.03,
            sample_s=0.06,
            signed_every=2,
            message_timeout_s=3.0,
            retry_interval_s=0.1,
        )
        password = site.passwords[table.id].text.encode()
        address = Address(site.charger_url, table.id, password, DIALECTS[spec.ocpp]().subprotocol)
        folder = site.charger_folder(table.id)
        folder.mkdir(parents=True, exist_ok=True)
        back_off = BackOff(first_s=0.05, most_s=0.3)
        made.append(Charger(spec, address, folder, lambda: datetime.now(UTC), back_off=back_off))
    return made


async def charge_until(charger: Charger, cars: list[Presented], enough: Callable[[], bool]) -> list[Charge]:
    """One charge after the other; a driver who is not answered shows the card again."""
    charges: list[Charge] = []
    while not enough():
        presented = cars[len(charges) % len(cars)]
        try:
            answer = await charger.authorize(presented)
        except ChargerError:
            await asyncio.sleep(0.05)
            continue
        assert answer.accepted, f"{charger.spec.charger_id}: {answer}"
        charges.append(await charger.charge(presented, 0.4, lambda _progress: None))
    return charges


async def whitelisted(site: Site) -> None:
    while True:
        if (await site.gateway_status()).whitelist_version > 0:
            return
        await asyncio.sleep(0.05)


async def play(seed: int, folder: Path) -> None:
    scenario = parse_toml(Scenario, SCENARIO, "kills")
    site = Site(scenario, folder)
    chargers = chargers_of(site, scenario)
    keys = {c.spec.charger_id: encode_public_key_oca(c.meter.public_key) for c in chargers}
    await site.build(ROOT / scenario.pki, keys)
    async with Daemons(site.logs) as daemons:
        killer = Killer(site, daemons, random.Random(seed))
        await killer.start("pki")
        await site.enrol()
        await killer.start("hub")
        await killer.start("gateway")
        await site.publish(site.tokens(datetime.now(UTC)))
        await asyncio.wait_for(whitelisted(site), 20)
        await asyncio.wait_for(site.await_lists(), 20)
        contract, pem = site.contract("alice")
        cars = [Presented(Medium.RFID, CARD), Presented(Medium.CONTRACT, contract.emaid, pem)]
        for charger in chargers:
            await charger.connect()
        killing = asyncio.create_task(killer.kill(KILLS))
        done = await asyncio.gather(*(charge_until(charger, cars, killing.done) for charger in chargers))
        killing.result()
        for charger in chargers:
            await charger.delivered(30)
            await charger.disconnect()
        charges = [charge for made in done for charge in made]
        account, _ = await asyncio.wait_for(close_books(site, chargers, charges, [], {}), 60)
        print(f"seed {seed}: {killer.kills}, {len(charges)} charges, {account.signatures} signed records")
        assert account.balances, "\n".join(f"{found.code}: {found.message}" for found in account.findings[:30])
        assert min(killer.kills.values()) > 0
        assert account.signatures > len(charges)


@pytest.mark.timeout(280)
@pytest.mark.parametrize("seed", SEEDS)
def test_account_is_exact_whatever_is_killed(seed: int, tmp_path: Path) -> None:
    asyncio.run(play(seed, tmp_path))
