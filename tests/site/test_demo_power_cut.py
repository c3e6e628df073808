"""`pnc-sim charger --state` killed in the middle of charges, its gateway too: the next run tells it all, to the letter.

Both chargers are real processes against a real gateway and hub; each seed gives the moments and the signals.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_sim.account import balance
from firmware_sim.books import ChargeBook, ChargerBook
from firmware_sim.closing import POLL_S
from firmware_sim.faults import Daemon, Daemons
from firmware_sim.journal import load_message_journal, load_transaction_journal
from firmware_sim.meter import SigningMeter, load_meter_journal
from firmware_sim.scenario import Scenario
from firmware_sim.site import Site
from wire.meter.keys import encode_public_key_oca
from wire.meter.record import CurrentType, ReadingReason
from wire.records import SessionStatus
from wire.toml import parse_toml

ROOT = Path(__file__).parent.parent.parent
CARD = "04A1B2C3D4E5F6"
ROUNDS = 4
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
VERSIONS = {"CUT-201": "2.0.1", "CUT-16": "1.6"}

SCENARIO = f"""
title = "power cuts"
about = "two chargers lose their power again and again"
pki = "certs/lab.toml"
[[charger]]
id = "CUT-201"
ocpp = "2.0.1"
power_kw = 22
current = "AC"
[[charger]]
id = "CUT-16"
ocpp = "1.6"
power_kw = 22
current = "AC"
[[token]]
uid = "{CARD}"
[[step]]
do = "found"
title = "not played: the test drives the site itself"
"""


def _command(site: Site, charger_id: str, seconds: str) -> list[str]:
    password = site.folder / f"{charger_id}.password"
    password.write_text(site.passwords[charger_id].text)
    command = [sys.executable, "-P", "-m", "firmware_sim", "charger", "--url", site.charger_url, "--id", charger_id]
    command += ["--password-file", str(password), "--ocpp", VERSIONS[charger_id], "--rfid", CARD]
    return [*command, "--state", str(site.charger_folder(charger_id)), "--seconds", seconds]


def _meter(site: Site, charger_id: str) -> SigningMeter:
    folder = site.charger_folder(charger_id)
    return SigningMeter(folder, charger_id, lambda: datetime.now(UTC), current=CurrentType.AC)


def _begun(site: Site, charger_id: str) -> int:
    return len(load_transaction_journal(site.charger_folder(charger_id) / "transactions.jsonl"))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(POLL_S / 4)


async def _cut(player: asyncio.subprocess.Process, after_s: float, number: signal.Signals) -> None:
    """A charge is going on; its charger ends at a moment of chance."""
    await asyncio.sleep(after_s)
    player.send_signal(number)
    await asyncio.wait_for(player.wait(), 60)


async def _charge_and_cut(site: Site, chance: random.Random, turn: int, gateway: Daemon | None) -> None:
    """Both chargers begin to charge; the gateway is killed, if one is given; then both chargers are ended."""
    quiet = asyncio.subprocess.DEVNULL
    players = [
        await asyncio.create_subprocess_exec(*_command(site, name, "600"), stdout=quiet, stderr=quiet)
        for name in VERSIONS
    ]
    try:
        await _until(lambda: all(_begun(site, name) > turn for name in VERSIONS))
        if gateway is not None:
            await asyncio.sleep(chance.uniform(0, 0.6))
            await gateway.kill()
        cuts = [_cut(player, chance.uniform(0, 1.2), chance.choice(SIGNALS)) for player in players]
        await asyncio.gather(*cuts)
    finally:
        for player in players:
            if player.returncode is None:
                player.kill()
            await player.wait()


async def _last_run(site: Site, charger_id: str) -> None:
    """Everything that was left, and then a short charge that is not disturbed."""
    player = await asyncio.create_subprocess_exec(
        *_command(site, charger_id, "0.6"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(player.communicate(), 60)
    assert player.returncode == 0, output.decode()
    assert b"ends a charge that was interrupted" in output


def _books(site: Site, charger_id: str) -> tuple[ChargerBook, list[ChargeBook]]:
    """What the charger and its meter wrote down, and the charges that can be read from it."""
    folder, meter = site.charger_folder(charger_id), _meter(site, charger_id)
    readings, messages = meter.readings(), load_message_journal(folder / "messages.jsonl")
    book = ChargerBook(charger_id, meter.public_key, load_meter_journal(folder / "meter.jsonl"), messages)
    charges, begin = [], readings[0]
    names = {line.first_record: line.wire_id for line in load_transaction_journal(folder / "transactions.jsonl")}
    for reading in readings:
        if reading.reason is ReadingReason.BEGIN:
            begin = reading
        elif reading.reason.is_end:
            energy_wh = (reading.register_kwh - begin.register_kwh).scaleb(3)
            charges.append(ChargeBook(charger_id, names[begin.place] or "", energy_wh))
    return book, charges


async def _listed(site: Site, version: int) -> None:
    while True:
        if (await site.gateway_status()).whitelist_version >= version:
            return
        await asyncio.sleep(POLL_S)


async def _drained(site: Site, records: int) -> None:
    while True:
        if await site.hub_position() >= records:
            return
        await asyncio.sleep(POLL_S)


async def _play(seed: int, folder: Path) -> None:
    scenario, chance = parse_toml(Scenario, SCENARIO, "power cuts"), random.Random(seed)
    site = Site(scenario, folder)
    keys = {name: encode_public_key_oca(_meter(site, name).public_key) for name in VERSIONS}
    await site.build(ROOT / scenario.pki, keys)
    async with Daemons(site.logs) as daemons:
        await daemons.start("pki", "pki", *site.command("pki"))
        await site.enrol()
        await daemons.start("hub", "hub", *site.command("hub"))
        gateway = await daemons.start("gateway", "gateway", *site.command("gateway"))
        version = await site.publish(site.tokens(datetime.now(UTC)))
        await asyncio.wait_for(_listed(site, version), 60)
        await asyncio.wait_for(site.await_lists(), 60)
        for turn in range(ROUNDS):
            await _charge_and_cut(site, chance, turn, gateway if turn % 2 else None)
            if turn % 2:
                gateway = await daemons.start("gateway", "gateway", *site.command("gateway"))
        await asyncio.gather(*(_last_run(site, name) for name in VERSIONS))
        chain = await site.gateway_chain()
        await asyncio.wait_for(_drained(site, len(chain.records)), 60)
        hub = await site.hub_book(chain.epoch)
    books = [_books(site, name) for name in VERSIONS]
    account = balance([book for book, _ in books], chain, hub, [charge for _, made in books for charge in made])
    assert account.balances, "\n".join(f"{found.code}: {found.message}" for found in account.findings[:30])
    assert {session.status for session in hub.sessions} == {SessionStatus.COMPLETED}
    assert len(hub.cdrs) == sum(len(made) for _, made in books) > ROUNDS
    assert account.signatures == sum(len(book.signed) for book, _ in books)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
def test_after_every_power_cut_the_account_is_exact(seed: int, tmp_path: Path) -> None:
    asyncio.run(_play(seed, tmp_path))
