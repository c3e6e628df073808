"""Daemons are started, waited for, killed, and ended whatever happens; commands that fail say why."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from firmware_sim.errors import DaemonError, SiteError
from firmware_sim.faults import Daemon, Daemons, free_ports, run_command

WELL_BEHAVED = """
import signal, sys
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
print('not JSON')
print('{"event": "ready", "arguments": ' + str(len(sys.argv) - 1) + '}', flush=True)
while True:
    signal.pause()
"""
STUBBORN = WELL_BEHAVED.replace("lambda number, frame: sys.exit(0)", "signal.SIG_IGN")
BROKEN = "import sys\nsys.exit('no configuration today')\n"
SILENT = "import signal\nsignal.pause()\n"


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs to start, as modules of the child's Python."""
    for name, text in (("well", WELL_BEHAVED), ("stubborn", STUBBORN), ("broken", BROKEN), ("silent", SILENT)):
        (tmp_path / f"sim_test_{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_daemon_that_behaves_ends_with_0(tmp_path: Path) -> None:
    async def story() -> tuple[int, int]:
        async with Daemons(tmp_path / "logs") as daemons:
            daemon = await daemons.start("one", "sim_test_well", "run", "--config")
            return daemon.pid, await daemon.end()

    pid, code = asyncio.run(story())
    assert code == 0
    assert _gone(pid)
    assert (tmp_path / "logs" / "one.log").read_text() == 'not JSON\n{"event": "ready", "arguments": 2}\n'


def test_kill_is_sigkill_and_waits_for_the_end(tmp_path: Path) -> None:
    async def story() -> tuple[int, int]:
        async with Daemons(tmp_path / "logs") as daemons:
            daemon = await daemons.start("one", "sim_test_stubborn")
            await daemon.kill()
            return daemon.pid, await daemon.end()  # Ending one that is gone does no harm.

    pid, code = asyncio.run(story())
    assert code == -signal.SIGKILL
    assert _gone(pid)


def test_an_error_in_the_block_leaves_nothing_running(tmp_path: Path) -> None:
    started: list[Daemon] = []

    async def story() -> None:
        async with Daemons(tmp_path / "logs") as daemons:
            started.append(await daemons.start("one", "sim_test_well"))
            started.append(await daemons.start("two", "sim_test_well"))
            raise KeyError("something else went wrong")

    with pytest.raises(KeyError):
        asyncio.run(story())
    assert [_gone(daemon.pid) for daemon in started] == [True, True]


def test_a_daemon_that_ends_first_is_named_with_its_last_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with Daemons(tmp_path / "logs") as daemons:
            await daemons.start("gateway", "sim_test_broken")

    with pytest.raises(DaemonError, match=r"gateway ended with exit code 1 .*\n    no configuration today") as failed:
        asyncio.run(story())
    assert failed.value.code == "daemon-ended"


def test_a_daemon_that_never_gets_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    async def story() -> None:
        async with Daemons(tmp_path / "logs", ready_timeout_s=0.3) as daemons:
            await daemons.start("hub", "sim_test_silent")

    with pytest.raises(DaemonError, match=r"hub was not ready within 0.3 s: \(it said nothing\)"):
        asyncio.run(story())


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(SiteError, match="no configuration today") as failed:
        asyncio.run(run_command("sim_test_broken"))
    assert failed.value.code == "command-failed"


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(SiteError, match=r"did not end within 0.3 s"):
        asyncio.run(run_command("sim_test_silent", timeout_s=0.3))


def test_free_ports_differ_are_free_and_are_not_given_to_outgoing_connections() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(1024 < port < 32_768 for port in ports)
    for port in ports:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
