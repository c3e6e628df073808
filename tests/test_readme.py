"""Every command that README.md and docs/first-site.md show is run, in a folder that holds what a checkout holds."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_sim.faults import free_ports

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> str:
    """All shell blocks of a page, in order."""
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks, f"{page} shows no commands"
    return "\n".join(blocks)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `script` in a folder with the checkout's certs/, our commands on the PATH; end whatever it left running."""
    shutil.copytree(ROOT / "certs", folder / "certs", ignore=shutil.ignore_patterns("lab"))
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, output)


def on_free_ports(script: str) -> str:
    """The page's script with all default ports replaced, in commands and in the configurations that they write."""
    ports = ("8180", "8443", "8444", "8445", "8081")
    free = dict(zip(ports, map(str, free_ports(len(ports))), strict=True))
    chargers = f"""sed -i 's/^# listen = "127.0.0.1:8180"/listen = "127.0.0.1:{free["8180"]}"/' run/site/gateway.toml"""
    others = "; ".join(f"s/:{port}/:{free[port]}/" for port in ports[1:])
    for name, config in (("hub", "run/site/hub.toml"), ("gateway", "run/site/gateway.toml")):
        also = f"\n{chargers}" if name == "gateway" else ""
        line = rf"^(pnc-{name} init .*)$"
        script = re.sub(line, rf"\1\nsed -i '{others}' {config}{also}", script, flags=re.MULTILINE)
    listens = f"--https 127.0.0.1:{free['8445']} --http 127.0.0.1:{free['8081']}"
    published = f"--publication http://127.0.0.1:{free['8081']}"
    script = re.sub(r"^pnc-pki init ", f"pnc-pki init {listens} {published} ", script, flags=re.MULTILINE)
    for port in ("8180", "8444", "8445"):
        script = re.sub(rf"(://127\.0\.0\.1):{port}\b", rf"\1:{free[port]}", script)
    return script


def test_commands_of_the_readme(tmp_path: Path) -> None:
    done = run("set -e\n" + commands("README.md"), tmp_path)
    assert done.returncode == 0, done.stdout
    assert '"verdict":"accept"' in done.stdout
    assert (tmp_path / "run/try-site/gateway.toml").is_file()


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_two_commands_exist(target: str) -> None:
    assert f"make {target}" in (ROOT / "README.md").read_text(encoding="utf-8")
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_first_site_from_an_empty_folder_to_a_charged_car(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on this machine; docs/first-site.md cannot be followed without it")
    script = on_free_ports(commands("docs/first-site.md"))
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stdout
    assert '"contract_id":"DEABC000000001"' in done.stdout, done.stdout
    started = re.search(r"^session (\S+)", done.stdout, re.MULTILINE)
    assert started is not None, done.stdout
    found, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.rindex('{"cdrs"'))
    assert ["key-learned" in str(cdr.get("findings")) for cdr in found["cdrs"]] == [True, False], done.stdout
    assert (found["cdrs"][1]["session_id"], found["cdrs"][1]["auth_method"]) == (started[1], "COMMAND"), done.stdout
    waiting = [int(number) for number in re.findall(r"^to send +(\d+)", done.stdout, re.MULTILINE)]
    assert waiting[0] == 0, done.stdout
    assert waiting[-1] > 0, done.stdout
