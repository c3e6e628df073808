"""`pnc-sim charger` at a real gateway's ports of security profiles 2 and 3; a password that the gateway changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_sim.secrets import load_password
from tests.processes import SiteFolder, free_port


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Iterator[SiteFolder]:
    """A gateway with a port for each profile; CP-2's certificate names it site-1."""
    made = SiteFolder(tmp_path_factory.mktemp("security"), lab)
    made.passwords = dict(made.passwords)
    backend = lab / "backend"
    pair = f'certificates = ["{backend / "hub.pem"}"]\nkeys = ["{backend / "hub.key.pem"}"]\n'
    made.ports = {2: free_port(), 3: free_port()}  # type: ignore[attr-defined]  # for this file alone
    ports = "".join(
        f'[[chargers.port]]\nlisten = "127.0.0.1:{port}"\nprofile = {profile}\n{pair}'
        for profile, port in made.ports.items()  # type: ignore[attr-defined]  # as above
    )
    text = made.gateway_toml.read_text().replace('id = "CP-2"\n', 'id = "CP-2"\nserial_number = "site-1"\n')
    made.gateway_toml.write_text(text + ports)
    made.gateway.start()
    yield made
    made.gateway.stop()


def charger(site: SiteFolder, charger_id: str, profile: int, *arguments: str) -> subprocess.Popen[str]:
    port = site.charger_port if profile == 1 else site.ports[profile]  # type: ignore[attr-defined]  # as above
    url = f"{'ws' if profile == 1 else 'wss'}://127.0.0.1:{port}/ocpp"
    ca = () if profile == 1 else ("--ca", str(site.lab / "backend" / "ca.pem"))
    command = [sys.executable, "-P", "-m", "firmware_sim", "charger", "--url", url, "--id", charger_id, *ca]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def password(site: SiteFolder, charger_id: str) -> tuple[str, str]:
    path = site.folder / f"{charger_id}.password"
    path.write_text(f"{site.passwords[charger_id]}\n")
    return "--password-file", str(path)


@pytest.mark.parametrize("ocpp", ["1.6", "2.0.1", "2.1"])
def test_a_password_over_tls(site: SiteFolder, ocpp: str) -> None:
    arguments = (*password(site, "CP-1"), "--ocpp", ocpp, "--stay", "0.2")
    code, output, errors = ended(charger(site, "CP-1", 2, *arguments))
    assert (code, errors) == (0, "")
    assert f"accepted the boot of CP-1 (OCPP {ocpp})" in output


def test_a_certificate_and_no_password(site: SiteFolder, tmp_path: Path) -> None:
    backend = site.lab / "backend"
    identity = tmp_path / "station.pem"
    identity.write_bytes((backend / "site-1.key.pem").read_bytes() + (backend / "site-1.pem").read_bytes())
    shown = ("--identity", str(identity), "--serial", "site-1", "--stay", "0.2")
    code, output, errors = ended(charger(site, "CP-2", 3, *shown))
    assert (code, errors) == (0, "")
    assert "accepted the boot of CP-2" in output
    code, _, errors = ended(charger(site, "CP-1", 3, *shown, "--patience", "0.5"))
    assert code == 2
    assert "was not accepted by the gateway" in errors


@pytest.mark.parametrize("ocpp", ["2.1", "1.6"])
def test_a_password_that_the_gateway_changed_is_the_one_from_then_on(
    site: SiteFolder, tmp_path: Path, ocpp: str
) -> None:
    arguments = (*password(site, "CP-1"), "--ocpp", ocpp, "--state", str(tmp_path / f"state-{ocpp}"))
    staying = charger(site, "CP-1", 2, *arguments, "--stay", "8")
    try:
        assert staying.stdout is not None
        while "stays for" not in (line := staying.stdout.readline()):
            assert line, staying.communicate()
        rotate = [sys.executable, "-P", "-m", "gateway", "command", "rotate", "CP-1"]
        done = subprocess.run(
            [*rotate, "--config", str(site.gateway_toml)], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        staying.terminate()
        staying.communicate(timeout=60)
    code, _, errors = ended(charger(site, "CP-1", 2, *arguments[:4], "--patience", "0.5", "--stay", "0.2"))
    assert code == 2, "the old password does not count any more"
    assert "wrong password" in errors
    code, _, errors = ended(charger(site, "CP-1", 2, *arguments, "--stay", "0.2"))
    assert (code, errors) == (0, "")
    site.passwords["CP-1"] = (load_password(tmp_path / f"state-{ocpp}") or b"").decode("latin-1")
