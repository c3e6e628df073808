"""pnc-hub as a program: configuration errors, init, token, status, one hub per folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.config import load_config
from hub.errors import ConfigError, StoreError
from hub.store.connection import open_reader, open_writer
from hub.store.database import Database
from hub.web.api import holds_token
from wire.settling.terms import EnergyPrice, MeterPlace, Terms


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'state_dir = "state"',
            'state_dirr = "state"',
            "line 3: unknown key `state_dirr` in [hub]; did you mean `state_d",
        ),
        ("[price]", "[prise]", "unknown key `prise`; did you mean `price`"),
        ('name = "operator"', 'nam = "operator"', "unknown key `nam` in [api.client[0]]; did you mean `name`"),
        ('currency = "EUR"', 'currency = "Euro"', "line 16: price.currency: expected three capital letters"),
        ('currency = "EUR"', "", "line 15: key `currency` is missing in [price]"),
        ('energy_per_kwh = "0.49"', 'energy_per_kwh = "much"', "line 17: `price.energy_per_kwh`"),
        ('energy_per_kwh = "0.49"', 'energy_per_kwh = "-1"', "line 17: price.energy_per_kwh: expected 0 to 1000000"),
        ('energy_per_kwh = "0.49"', 'energy_per_kwh = "NaN"', "line 17: price.energy_per_kwh"),
        ('"site-2"]', '"site 2"]', "line 9: sync.gateways: 'site 2' is not a gateway id"),
        ('client_ca = "', 'client_ca = 5 # "', "line 8: `sync.client_ca`: Expected `str`"),
        ("[sync]\nlisten = ", "[sync]\nlisten = 'here' #", "line 5: sync.listen: expected HOST:PORT"),
        ('["site-1", "site-2"]', "[]", "line 9: sync.gateways: expected at least one gateway id, found none"),
        ("sha256$0101", "sha256$010", "line 14: api.client.token_hash"),
        ("[hub]", "[hub", "not valid TOML"),
        ("[hub]", "[[hub]]", "line 2: `hub`: Expected `object`"),
    ],
)
def test_a_configuration_error_names_the_line_and_what_is_expected(hub_config, old, new, expected):
    text = hub_config.read_text()
    assert old in text
    hub_config.write_text(text.replace(old, new, 1))
    result = CliRunner().invoke(main, ["run", "--config", str(hub_config)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr


def test_a_missing_file_or_unusable_certificate_is_one_clear_line(hub_config, tmp_path):
    for damage, expected in (
        (tmp_path / "hub.key.pem", "cannot be used for TLS"),
        (tmp_path / "test-root.pem", "test-root.pem"),
        (hub_config, "there is no such file"),
    ):
        aside = damage.rename(tmp_path / "aside")
        command = [sys.executable, "-m", "hub", "run", "--config", str(hub_config)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert expected in ended.stderr
        aside.rename(damage)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_private_key_that_others_can_read_is_refused(hub_config, tmp_path, mode):
    key = tmp_path / "hub.key.pem"
    key.chmod(mode)
    result = CliRunner().invoke(main, ["run", "--config", str(hub_config)])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"chmod 600 {key}" in result.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["command"],
        ["meters"],
        ["run"],
        ["token"],
        ["command", "send"],
        ["command", "list"],
        ["ledger"],
        ["ledger", "verify"],
        ["agreements"],
        ["audit"],
        ["disputes"],
        ["gateways"],
        ["partners"],
        ["reconcile"],
        ["settle"],
        ["support"],
        ["tariffs"],
        ["users"],
    ],
)
def test_help_fits_on_a_narrow_screen_and_no_sentence_is_cut(command):
    told = CliRunner().invoke(main, [*command, "--help"], terminal_width=80).output
    assert "..." not in told.replace("[ARGS]...", "")
    assert max(map(len, told.splitlines())) <= 80


def test_the_version_is_that_of_the_package():
    assert version("pncgate") in CliRunner().invoke(main, ["--version"]).output


def test_the_database_is_private_whatever_the_umask(tmp_path):
    """And the umask of the process that runs the hub, a test's perhaps, stays as it is."""
    before = os.umask(0)
    try:
        connection = open_writer(tmp_path / "hub.sqlite")
        connection.execute("INSERT INTO issued_versions VALUES (1)")
        files = sorted(tmp_path.iterdir())
        assert [file.name for file in files] == ["hub.sqlite", "hub.sqlite-shm", "hub.sqlite-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        connection.close()
    finally:
        os.umask(before)


def test_running_leaves_the_umask_alone(hub_config, tmp_path, monkeypatch):
    before = os.umask(0o027)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "hub.sqlite").write_bytes(b"no database" * 100)
    try:
        assert CliRunner().invoke(main, ["run", "--config", str(hub_config)]).exit_code == 2
    finally:
        found = os.umask(before)
    assert found == 0o027


def descriptors_of(folder):
    """The open files of this process that lie in `folder`."""
    links = [Path(link) for link in Path("/proc/self/fd").iterdir()]
    return [os.readlink(link) for link in links if link.is_symlink() and os.readlink(link).startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks the kernel which files are open")
@pytest.mark.parametrize("damage", ["version", "junk", "folder"])
def test_what_cannot_be_opened_is_closed(tmp_path, damage):
    path = tmp_path / "hub.sqlite"
    if damage == "folder":
        path.mkdir()
    else:
        connection = open_writer(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    if damage == "junk":
        path.write_bytes(b"no database" * 100)
    for opened in (open_writer, open_reader, lambda path: Database(path.parent, Terms(EnergyPrice("EUR", 1, 0)))):
        with pytest.raises(StoreError) as refused:
            asyncio.run(_called(opened, path))
        # The error still holds the frames, and whatever stands in them.
        assert refused.tb is not None
        assert descriptors_of(tmp_path) == []


async def _called(opened, path):
    return opened(path)


def test_init_writes_a_configuration_that_loads_and_never_overwrites(tmp_path):
    path = tmp_path / "hub.toml"
    runner = CliRunner()
    assert runner.invoke(main, ["init", "--config", str(path)]).exit_code == 0
    config = load_config(path)
    assert (config.state_dir, config.sync.port, config.api_tls) == (tmp_path / "hub-state", 8443, config.sync_tls)
    assert config.terms.price.energy_per_kwh == Decimal("0.49")
    path.write_text("mine")
    refused = runner.invoke(main, ["init", "--config", str(path)])
    assert refused.exit_code == 2
    assert f"{path} is there already" in refused.stderr
    assert path.read_text() == "mine"


def test_a_made_token_fits_the_line_it_comes_with(hub_config):
    output = CliRunner().invoke(main, ["token", "--name", "desk"]).output
    secret = re.search(r"^token \(shown once\): (\S+)$", output, re.M)
    assert secret is not None
    hub_config.write_text(hub_config.read_text() + output[output.index("[[api.client]]") :])
    client = load_config(hub_config).clients[1]
    assert client.name == "desk"
    assert holds_token(client, secret[1].encode())
    assert not holds_token(client, b"another")


def test_registered_meter_keys_are_read_and_checked(hub_config, charger):
    text = hub_config.read_text()
    meter = '[[meter]]\ngateway_id = "site-1"\ncharger_id = "CP-1"\npublic_key = "%s"\n'
    hub_config.write_text(text + meter % charger.meter.public_text)
    assert list(load_config(hub_config).terms.meter_keys) == [MeterPlace("site-1", "cp-1", 1)]
    hub_config.write_text(text + meter % charger.meter.public_text + meter % "none")
    with pytest.raises(ConfigError, match=r"listed twice"):
        load_config(hub_config)
    hub_config.write_text(text + meter % "none")
    with pytest.raises(ConfigError, match=r"line 22: meter.public_key"):
        load_config(hub_config)


def test_status_reads_beside_a_running_hub(hub, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "2.000")
    hub.link().send(chain.batch(1, 3))
    result = CliRunner().invoke(main, ["status", "--config", str(hub.config), "--json"])
    shown = json.loads(result.output)
    assert shown["totals"] == {"records": 3, "sessions": 1, "active_sessions": 0, "cdrs": 1} | {
        "tokens": 0,
        "whitelist_version": 0,
        "quarantined": 0,
        "conflicts": 0,
    }
    assert shown["gateways"][0]["acked_seq"] == 3
    lines = CliRunner().invoke(main, ["status", "--config", str(hub.config)]).output
    assert "gateway site-1  epoch e1  acked 3" in lines


def test_status_without_a_database_says_so(hub_config):
    result = CliRunner().invoke(main, ["status", "--config", str(hub_config)])
    assert (result.exit_code, "no database there yet" in result.stderr) == (2, True)


def test_a_second_hub_on_the_same_folder_is_refused(hub):
    command = [sys.executable, "-m", "hub", "run", "--config", str(hub.config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "another hub runs on this folder" in ended.stderr) == (2, True)


def test_sigterm_ends_it_cleanly_with_a_connection_open(hub, chain):
    hub.link().send(chain.hello())
    assert hub.stop() == 0


def test_the_database_is_durable_private_and_of_this_version(hub, hub_config):
    path = hub.folder / "state" / "hub.sqlite"
    assert (path.stat().st_mode & 0o077, path.parent.stat().st_mode & 0o077) == (0, 0)
    assert hub.stop() == 0
    connection = open_writer(path)
    settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for opened in (open_writer, open_reader):
        with pytest.raises(Exception, match="version 99"):
            opened(path)
    path.write_bytes(b"no database" * 100)
    result = CliRunner().invoke(main, ["run", "--config", str(hub_config)])
    assert (result.exit_code, "hub.sqlite" in result.stderr) == (2, True)


def test_a_cdr_and_a_record_cannot_be_changed_even_by_mistake(tmp_path):
    connection = open_writer(tmp_path / "hub.sqlite")
    row = ("site-1", "e1", 1, "h", "audit", "t", "b", 1, "trusted", "{}", "t", None, "", None)
    connection.execute(f"INSERT INTO records VALUES ({','.join('?' * 14)})", row)
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        connection.execute("UPDATE records SET body = ''")
    connection.close()
