"""`pnc-sim charger` attached to a real gateway whose hub is away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

import firmware_sim
from firmware_sim.faults import Daemons
from firmware_sim.scenario import load_scenario
from firmware_sim.site import Site

SCENARIO = Path(firmware_sim.__file__).parent / "scenarios" / "day_offline.toml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A built site whose gateway runs; its hub never starts."""
    scenario, folder = load_scenario(SCENARIO), tmp_path_factory.mktemp("site")
    built, ready, done = Site(scenario, folder), Event(), Event()

    async def live() -> None:
        await built.build(SCENARIO.parent / scenario.lab, {})
        async with Daemons(built.logs) as daemons:
            await daemons.start("gateway", "gateway", "run", "--config", str(built.config("gateway")))
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        assert ready.wait(30)
        for charger_id, secret in built.passwords.items():
            (folder / f"{charger_id}.password").write_text(f"{secret.text}\n")
        yield built
    finally:
        done.set()
        thread.join()


def _charger(site: Site, charger_id: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    password = str(site.folder / f"{charger_id}.password")
    command = [sys.executable, "-P", "-m", "firmware_sim", "charger", "--url", site.charger_url, "--id", charger_id]
    return subprocess.run(
        [*command, "--password-file", password, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("charger_id", "ocpp"), [("CP-1", "2.0.1"), ("CP-2", "1.6")])
def test_a_good_contract_charges_and_a_person_can_read_it(site: Site, charger_id: str, ocpp: str) -> None:
    chain = str(site.lab / "contracts" / "alice.pem")
    played = _charger(site, charger_id, "--ocpp", ocpp, "--contract", chain, "--seconds", "1.2", "--power-kw", "150")
    assert (played.returncode, played.stderr) == (0, "")
    assert f"the gateway accepted the boot of {charger_id} (OCPP {ocpp})" in played.stdout
    assert "Accepted / Accepted" in played.stdout
    assert "3 signed records, all" in played.stdout


@pytest.mark.parametrize(("charger_id", "ocpp"), [("CP-1", "2.0.1"), ("CP-2", "1.6")])
def test_a_revoked_contract_and_an_unknown_card_are_refused_with_exit_1(site: Site, charger_id: str, ocpp: str) -> None:
    chain = str(site.lab / "contracts" / "revoked.pem")
    contract = _charger(site, charger_id, "--ocpp", ocpp, "--contract", chain)
    assert contract.returncode == 1
    assert "Invalid / CertificateRevoked" in contract.stdout
    card = _charger(site, charger_id, "--ocpp", ocpp, "--rfid", "04DEADBEEF0001")
    assert card.returncode == 1
    assert "refused, so nothing was charged" in card.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --rfid or --contract"),
        (("--contract", "nothing-here.pem"), "--contract nothing-here.pem: No such file"),
        (("--contract", str(SCENARIO)), "no certificate"),
        (("--rfid", "04", "--ca", "nothing-here.pem"), "--ca nothing-here.pem"),
    ],
)
def test_input_that_cannot_be_used_is_one_clear_line(site: Site, arguments: tuple[str, ...], message: str) -> None:
    played = _charger(site, "CP-1", *arguments)
    assert played.returncode == 2
    assert message in played.stderr
    assert played.stderr.count("\n") == 1


def test_a_wrong_password_is_told(site: Site) -> None:
    (site.folder / "CP-1.password").rename(site.folder / "kept")
    try:
        (site.folder / "CP-1.password").write_text("wrong")
        played = _charger(site, "CP-1", "--rfid", "04", "--patience", "1")
    finally:
        (site.folder / "kept").replace(site.folder / "CP-1.password")
    assert played.returncode == 2
    assert "HTTP 401" in played.stderr
