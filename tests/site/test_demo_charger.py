"""`pnc-sim charger` attached to a real gateway whose hub is away."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
        await built.build(SCENARIO.parent / scenario.pki, {})
        async with Daemons(built.logs) as daemons:
            await daemons.start("pki", "pki", *built.command("pki"))
            await built.enrol()
            await daemons.start("gateway", "gateway", *built.command("gateway"))
            await built.await_lists()
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        assert ready.wait(60)
        for charger_id, secret in built.passwords.items():
            (folder / f"{charger_id}.password").write_text(f"{secret.text}\n")
        yield built
    finally:
        done.set()
        thread.join()


def _command(site: Site, charger_id: str, *arguments: str, url: str = "") -> list[str]:
    password = str(site.folder / f"{charger_id}.password")
    command = [sys.executable, "-P", "-m", "firmware_sim", "charger", "--url", url or site.charger_url]
    return [*command, "--id", charger_id, "--password-file", password, *arguments]


def _charger(site: Site, charger_id: str, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
    command = _command(site, charger_id, *arguments, url=url)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("charger_id", "ocpp"), [("CP-1", "2.0.1"), ("CP-2", "1.6")])
def test_a_good_contract_charges_and_a_person_can_read_it(site: Site, charger_id: str, ocpp: str) -> None:
    chain = str(site.pki / "contracts" / "alice.pem")
    played = _charger(site, charger_id, "--ocpp", ocpp, "--contract", chain, "--seconds", "1.2", "--power-kw", "150")
    assert (played.returncode, played.stderr) == (0, "")
    assert f"the gateway accepted the boot of {charger_id} (OCPP {ocpp})" in played.stdout
    assert "Accepted / Accepted" in played.stdout
    assert "3 signed records, all" in played.stdout


@pytest.mark.parametrize(("charger_id", "ocpp"), [("CP-1", "2.0.1"), ("CP-2", "1.6")])
def test_a_revoked_contract_and_an_unknown_card_are_refused_with_exit_1(site: Site, charger_id: str, ocpp: str) -> None:
    chain = str(site.pki / "contracts" / "revoked.pem")
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
        (("--rfid", "04", "--state", "/proc/x"), "the charger's state in /proc/x: No such file or directory"),
        *(
            (("--rfid", "04", "--url", url), f"--url {url}: expected ws://HOST:PORT/ocpp or wss://")
            for url in ("127.0.0.1:8180", "http://h/ocpp", "ws://[::1/", "ws://h:99999/", "ws://..", "ws://h/?a=b")
        ),
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
    assert "the gateway refused: unknown charger id or wrong password" in played.stderr
    assert played.stderr.count("\n") == 1


def test_an_address_where_no_charger_is_served_is_told(site: Site) -> None:
    played = _charger(
        site, "CP-1", "--rfid", "04", "--patience", "1", url=site.charger_url.replace("ocpp", "elsewhere")
    )
    assert played.returncode == 2
    assert "'CP-1' is not a charging station identity there, or the address is wrong (HTTP 404" in played.stderr


def _interrupt(command: list[str], number: signal.Signals, environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and errors of a charger that gets a signal while a car charges."""
    player = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**environment, "PYTHONUNBUFFERED": "1"}
    )
    with player:
        assert player.stdout is not None
        for line in player.stdout:
            if "Accepted / Accepted" in line:  # The next thing it does is to charge.
                break
        player.send_signal(number)
        _, errors = player.communicate(timeout=60)
    return player.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_charger_and_leaves_no_folder(site: Site, tmp_path: Path, number: signal.Signals) -> None:
    chain = str(site.pki / "contracts" / "alice.pem")
    command = _command(site, "CP-1", "--contract", chain, "--seconds", "60")
    code, errors = _interrupt(command, number, {**os.environ, "TMPDIR": str(tmp_path)})
    assert code == 128 + number
    assert errors == "interrupted; if a charge was going on, without --state no later run can end it\n"
    assert list(tmp_path.iterdir()) == []


def test_after_a_signal_the_next_run_ends_the_charge(site: Site, tmp_path: Path) -> None:
    chain, state = str(site.pki / "contracts" / "alice.pem"), str(tmp_path / "state")
    arguments = ("--contract", chain, "--state", state, "--seconds")
    code, errors = _interrupt(_command(site, "CP-1", *arguments, "60"), signal.SIGTERM, os.environ)
    assert (code, errors) == (143, "interrupted; if a charge was going on, the next run with this --state ends it\n")
    again = _charger(site, "CP-1", *arguments, "0.3")
    assert (again.returncode, again.stderr) == (0, "")
    assert "CP-1 ends a charge that was interrupted after" in again.stdout
    assert "2 signed records, all acknowledged" in again.stdout


def test_a_full_disk_is_one_clear_line_and_the_next_run_goes_on(site: Site, tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, resource.RLIM_INFINITY))

    arguments = ("--contract", str(site.pki / "contracts" / "alice.pem"), "--state", str(tmp_path), "--seconds")
    full = subprocess.run(
        _command(site, "CP-1", *arguments, "60"), capture_output=True, text=True, timeout=60, preexec_fn=small_files
    )
    assert full.returncode == 2
    assert full.stderr == f"pnc-sim: the charger's state in {tmp_path}/messages.jsonl: File too large\n"
    again = _charger(site, "CP-1", *arguments, "0.3")
    assert (again.returncode, again.stderr) == (0, "")
    assert "CP-1 ends a charge that was interrupted after" in again.stdout
