"""`pnc-pki audit`, `backup` and `restore` as an operator types them."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from pki.__main__ import main
from tests.pki.registry.desk import Desk, serial_of


def test_audit_shows_and_checks(desk: Desk) -> None:
    entries = [json.loads(line) for line in desk.does("audit", "--all", "--json").splitlines()]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len(desk.does("audit", "--json").splitlines()) == 50
    last = entries[-1]
    noted = f"{last['number']}:{last['hash']}"
    assert desk.does("audit").endswith(f"last entry {noted}\n")
    desk.issued()
    desk.does("audit", "--noted", noted)
    assert len(desk.does("audit", "--after", str(last["number"]), "--json").splitlines()) == 1
    cut = desk.run("audit", "--noted", f"{last['number'] + 2}:{last['hash']}")
    other = desk.run("audit", "--noted", f"{last['number']}:{'0' * 64}")
    assert (cut.exit_code, other.exit_code) == (1, 1)
    assert "is not the one" in cut.stderr
    desk.misused("audit", "--noted", "nonsense")


def test_audit_tells_what_was_altered(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.state / "registry.db")) as connection:
        connection.execute("UPDATE audit SET who = 'operator:somebody' WHERE number = 7")
        connection.commit()
    done = desk.run("audit")
    assert done.exit_code == 1, done.output
    assert "entry 7 is not what it was" in done.stderr


@pytest.fixture
def pooled(desk: Desk) -> Desk:
    """A desk whose pools have been used."""
    added = ("pool", "clients", "add", "charge", "--role", "cpo", "--why", "x")
    done = CliRunner().invoke(main, [*added, "--dir", str(desk.state)])
    assert done.exit_code == 0, done.output
    return desk


def test_audit_shows_the_pools_too(pooled: Desk) -> None:
    entries = [json.loads(line) for line in pooled.does("audit", "--all", "--json").splitlines()]
    logs = {log: [entry for entry in entries if entry["log"] == log] for log in ("registry", "pools")}
    assert sorted(logs["registry"] + logs["pools"], key=lambda entry: entry["at"]) == entries
    assert logs["pools"][-1]["act"] == "client-added"
    assert [entry["number"] for entry in logs["pools"]] == list(range(1, len(logs["pools"]) + 1))
    told = pooled.does("audit")
    noted = {log: f"{found[-1]['number']}:{found[-1]['hash']}" for log, found in logs.items()}
    assert told.endswith(f"last pools entry pools:{noted['pools']}\nlast entry {noted['registry']}\n")
    assert "client-added" in told
    shown = pooled.says("audit", "--log", "pools", "--after", str(len(logs["pools"]) - 1))
    assert shown == logs["pools"][-1]
    both = ("--noted", noted["registry"], "--noted", f"pools:{noted['pools']}")
    pooled.does("audit", *both)
    crossed = pooled.run("audit", "--noted", f"pools:{noted['registry']}")
    assert (crossed.exit_code, "audit log of the pools is not the one" in crossed.stderr) == (1, True)
    pooled.misused("audit", "--noted", "pools:x")
    for file in pooled.state.glob("pools.db*"):
        file.unlink()
    assert pooled.run("audit", *both).exit_code == 1
    pooled.does("audit", "--noted", noted["registry"])


def test_audit_tells_what_was_altered_in_the_pools(pooled: Desk) -> None:
    with closing(sqlite3.connect(pooled.state / "pools.db")) as connection:
        connection.execute("UPDATE audit SET who = 'operator:somebody' WHERE act = 'client-added'")
        connection.commit()
    for shown in ((), ("--json",), ("--log", "registry")):
        done = pooled.run("audit", *shown)
        assert done.exit_code == 1, done.output
        assert "the audit log of the pools was altered: entry" in done.stderr


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, object]]:
    def read(folder: Path) -> dict[str, object]:
        """Every file but the registry with its content and mode, every folder with its mode."""
        return {
            str(path.relative_to(folder)): (path.stat().st_mode, path.is_dir() or path.read_bytes())
            for path in folder.rglob("*")
            if not path.name.startswith("registry.db")
        }

    return read


def test_backup_and_restore_round_trip(desk: Desk, files_of: Callable[[Path], dict[str, object]]) -> None:
    made, target, secret = desk.issued(), desk.folder / "a.backup", desk.secret("backup.pass")
    before = files_of(desk.state)
    desk.does("backup", target, "--passphrase-file", secret, "--why", "weekly")
    assert target.stat().st_mode & 0o777 == 0o600
    assert b"backed-up" not in target.read_bytes()
    number = desk.says("crl", "mo-sub2")[0]["number"]
    new = desk.folder / "new"
    desk.does("restore", target, "--passphrase-file", secret, state=new)
    assert files_of(new) == before
    with_new = Desk(desk.folder)
    assert json.loads(with_new.does("find", made, "--json", state=new))[0]["serial"] == serial_of(made)
    told = [json.loads(line)["act"] for line in desk.does("audit", "--all", "--json", state=new).splitlines()]
    assert told[-3:] == ["issued", "backed-up", "restored"]
    desk.does("revoke", made, "--why", "x", state=new)  # Every list is due, not only this one.
    numbers = [entry["number"] for entry in json.loads(desk.does("crl", "--json", state=new))]
    assert min(numbers) > number


def test_the_command_that_backup_prints_restores(desk: Desk) -> None:
    (desk.folder / "a folder").mkdir()
    target, secret = desk.folder / "a folder" / "it's.backup", desk.secret("backup pass")
    command = desk.does("backup", target, "--passphrase-file", secret).splitlines()[-1]
    program, *arguments = shlex.split(command)
    done = CliRunner().invoke(main, arguments)
    assert (program, done.exit_code) == ("pnc-pki", 0), done.output
    new = Path(f"{desk.state}-again")
    assert (new / "registry.db").is_file()
    following = shlex.split(done.stdout.splitlines()[-1].partition(": ")[2])
    assert following == ["pnc-pki", "crl", "--publish", "--dir", str(new)]


def test_backup_and_restore_say_in_json_what_they_made(desk: Desk) -> None:
    target, secret, new = desk.folder / "a.backup", desk.secret("backup.pass"), desk.folder / "new"
    said = desk.says("backup", target, "--passphrase-file", secret)
    assert said == {"out": str(target), "octets": target.stat().st_size}
    restored = desk.does("restore", target, "--passphrase-file", secret, "--json", state=new)
    assert json.loads(restored) == {"folder": str(new)}


def test_backup_and_restore_refuse(desk: Desk) -> None:
    target, secret = desk.folder / "a.backup", desk.secret("backup.pass")
    desk.refuses("state-missing", "backup", target, "--passphrase-file", secret, state=desk.folder / "no")
    desk.refuses("unwritable", "backup", desk.folder / "no" / "a.backup", "--passphrase-file", secret)
    desk.does("backup", target, "--passphrase-file", secret)
    desk.refuses("file-exists", "backup", target, "--passphrase-file", secret)
    new = desk.folder / "new"
    desk.refuses("state-exists", "restore", target, "--passphrase-file", secret)
    wrong = desk.secret("wrong.pass", b"another passphrase\n")
    desk.refuses("backup", "restore", target, "--passphrase-file", wrong, state=new)
    desk.refuses("backup", "restore", desk.folder / "missing", "--passphrase-file", secret, state=new)
    octets = target.read_bytes()
    for spoilt in (b"", octets[:40], octets[:-1], octets[:-100], octets[:100] + b"\0" + octets[101:], octets + b"\0"):
        target.write_bytes(spoilt)
        desk.refuses("backup", "restore", target, "--passphrase-file", secret, state=new)
    assert not new.exists()
    assert not [path for path in desk.folder.iterdir() if path.name.startswith(".")]
