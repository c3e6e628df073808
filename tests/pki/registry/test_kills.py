"""Real processes: killed while they found or issue, and two at once on one state folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pki.service.registry import Registry
from pki.service.state_folder import open_registry
from pki.service.store.audit import first_broken, read_entries
from tests.pki.registry.house import lists_of
from tests.pki.registry.test_registry import unaccounted

ROOT = Path(__file__).parents[3]
PNC_PKI = (sys.executable, "-m", "pki")


@pytest.fixture(scope="module")
def now_founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab founded now, by the program."""
    folder = tmp_path_factory.mktemp("now") / "state"
    subprocess.run([*PNC_PKI, "init", "lab", "--dir", str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def worker(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.pki.registry.worker", str(folder), str(first), str(count)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


def require_whole(registry: Registry, said: list[str]) -> None:
    """Every certificate has its entry and every entry its certificate; what was told is there; the log is whole."""
    assert unaccounted(registry) == []
    with registry.reading() as connection:
        assert first_broken(connection) is None
        rows = connection.execute("SELECT serial, revoked_at FROM certificate").fetchall()
        entries = list(read_entries(connection))
    serials = [f"{int.from_bytes(serial):x}" for serial, _ in rows]
    revoked = {f"{int.from_bytes(serial):x}" for serial, at in rows if at is not None}
    assert len(serials) == len(set(serials))
    assert {line.split()[-1] for line in said} <= set(serials)
    assert {line.split()[1] for line in said if line.startswith("revoked")} <= revoked
    assert {entry.detail.split()[1] for entry in entries if entry.act == "revoked"} == revoked
    assert lists_of(registry)


def test_killed_while_it_issues_nothing_is_half_done(now_founded: Path) -> None:
    said: list[str] = []
    for run in range(6):
        process = worker(now_founded, 1000 * (run + 1), 1000)
        lines = told(process)
        said += [next(lines) for _ in range(3 + run)]
        process.kill()
        said += [line.strip() for line in process.communicate()[0].splitlines()]
        with open_registry(now_founded) as registry:
            require_whole(registry, said)
    assert len(said) >= 30


def test_two_processes_issue_and_revoke_at_once(now_founded: Path) -> None:
    processes = [worker(now_founded, first, 15) for first in (500_001, 600_001)]
    said = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(said) == 2 * (15 + 5)
    with open_registry(now_founded) as registry:
        require_whole(registry, said)


@pytest.mark.parametrize("files", [1, 12, 30, 55, 80])
def test_killed_while_it_founds_there_is_a_whole_pki_or_none(tmp_path: Path, files: int) -> None:
    folder = tmp_path / "state"
    process = subprocess.Popen(
        [*PNC_PKI, "init", "lab", "--dir", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while process.poll() is None and sum(path.is_file() for path in tmp_path.rglob("*")) < files:
        pass
    process.kill()
    process.communicate()
    if folder.exists():
        with open_registry(folder, now=lambda: datetime.now(UTC)) as registry:
            require_whole(registry, [])
    else:
        again = subprocess.run([*PNC_PKI, "init", "lab", "--dir", str(folder)], cwd=ROOT, check=False, timeout=60)
        assert again.returncode == 0
